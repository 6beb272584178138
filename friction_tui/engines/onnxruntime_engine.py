"""ONNX Runtime as an engine: it gives a second opinion and runs models; no model is made for it here."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from friction_tui.engines.nvidia import cannot_run
from friction_tui.engines.onnxruntime_installed import onnxruntime_distributions, providers
from friction_tui.vocabulary.protocol import EngineInfo

if TYPE_CHECKING:
    from friction_tui.engines.base import Opinion, Ran
    from friction_tui.model.opened import OpenedModel

_NAME = "ONNX Runtime"


class OnnxRuntime:
    """ONNX Runtime, on its CPU or through CUDA."""

    names = (_NAME,)

    def found(self) -> tuple[EngineInfo, ...]:
        """The installed ONNX Runtime, with what keeps its providers from loading."""
        spec, versions = importlib.util.find_spec("onnxruntime"), onnxruntime_distributions()
        if spec is None or not versions:
            return ()
        version = versions.get("onnxruntime-gpu") or next(iter(versions.values()))
        lacking = [f"its {one.name} provider lacks {', '.join(one.missing)}" for one in providers() if one.missing]
        clash = (
            [f"{' and '.join(versions)} are both installed: uninstall all and install one"] if len(versions) > 1 else []
        )
        gpu = any(one.name == "cuda" and not one.missing for one in providers()) and not cannot_run()
        return (
            EngineInfo(
                name=_NAME,
                label=f"ONNX Runtime {version} {'CUDA' if gpu else 'CPU'}",
                version=version,
                can_parse=False,
                can_build=False,
                can_run=True,
                why_not="; ".join([*clash, *lacking]),
            ),
        )

    def prestart(self) -> None:
        """Nothing: its process is started when a model is judged, since its imports take longer than its verdicts."""

    def labels(self) -> tuple[str, str]:
        """What verdicts of its CPU and of ONNX's checker are signed with."""
        from friction_tui.engines import onnxruntime

        return onnxruntime.label(), onnxruntime.checker_label()

    def prestart_opinion(self) -> None:
        """Begin starting the process that loads models."""
        from friction_tui.engines import onnxruntime

        onnxruntime.prestart()

    def run_once(
        self, model: OpenedModel, sizes: dict[str, tuple[int, ...]], values: dict[str, tuple[int, ...]]
    ) -> Ran | None:
        """What running the file once comes to."""
        from friction_tui.engines import onnxruntime

        return onnxruntime.run_once(model, sizes, values)

    def opinion(self, model: OpenedModel) -> Opinion:
        """What loading the model says."""
        from friction_tui.engines import onnxruntime

        return onnxruntime.verdict(model)
