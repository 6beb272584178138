"""TensorRT as an engine: its editions in this environment, what each can do here, and why not."""

from __future__ import annotations

import contextlib
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs

from friction_tui.engines.base import Elsewhere
from friction_tui.engines.nvidia import cannot_run, gpus, has_one_of
from friction_tui.engines.tensorrt import module
from friction_tui.engines.tensorrt.options import offered
from friction_tui.processes.begin import command
from friction_tui.processes.child import run
from friction_tui.vocabulary.protocol import EngineInfo
from friction_tui.vocabulary.recipe import Precision
from friction_tui.vocabulary.recipe.builder_options import BY_NAME

if TYPE_CHECKING:
    from friction_tui.engines.base import Array, Reduced, Refusal, Terms
    from friction_tui.engines.engine import LoadedPlan, Progress
    from friction_tui.engines.tensorrt.question import BuilderQuestion
    from friction_tui.model.opened import OpenedModel
    from friction_tui.model.shapes.shape_table import ShapeTable
    from friction_tui.plugin_libraries import Libraries
    from friction_tui.vocabulary.protocol import BuildResult

_PROBE_TIMEOUT_S = 60.0
_FORMAT = f"2-{zlib.crc32(','.join(BY_NAME).encode()):08x}"
"""Changes with what is remembered of an edition, and with the options that it was asked about."""


class TensorRT:
    """TensorRT 10, 11 and RTX: reads ONNX, builds plans, runs them on a GPU."""

    names = tuple(module.NAMES.values())

    def found(self) -> tuple[EngineInfo, ...]:
        """Every edition that is installed, the one to prefer first. Imports none of them into this process."""
        return tuple(_info(one) for one in module.installed())

    def prestart(self) -> None:
        """Begin starting the processes of parser and builder."""
        from friction_tui.engines.tensorrt import builder, parser

        parser.prestart()
        builder.shared().prestart()

    def refusals(
        self,
        model: OpenedModel,
        *,
        on_batch: Callable[[Sequence[Refusal]], None] = lambda _: None,
        stop: Callable[[], bool] = lambda: False,
        libraries: Libraries = (),
    ) -> list[Refusal]:
        """Every node that the preferred edition's parser refuses."""
        from friction_tui.engines.tensorrt import parser
        from friction_tui.engines.tensorrt.refusals import refusals

        asked = parser.shared(libraries=libraries) if libraries else None
        return refusals(model, on_batch=on_batch, stop=stop, parser=asked)

    def refusals_in(self, python: str, model: OpenedModel, *, stop: Callable[[], bool] = lambda: False) -> Elsewhere:
        """What the parser of another environment's TensorRT refuses."""
        from friction_tui.engines.tensorrt import parser
        from friction_tui.engines.tensorrt.refusals import refusals

        asked = parser.shared(python=python)
        refused = tuple(refusals(model, on_batch=lambda _: None, stop=stop, parser=asked))
        return Elsewhere(refused, module.label(asked.module, asked.version), _operator_table(asked.module))

    def question(self, model: OpenedModel) -> BuilderQuestion:
        """The model, ready to be asked about."""
        from friction_tui.engines.tensorrt.question import BuilderQuestion

        return BuilderQuestion(model)

    def build(
        self,
        model: Path | bytes,
        terms: Terms,
        plan: Path,
        progress: Progress,
        *,
        origin: Path | None = None,
    ) -> BuildResult:
        """Build a plan with the preferred edition, in this process."""
        from friction_tui.engines.tensorrt.build import build

        return build(
            model,
            terms.profiles,
            plan,
            progress,
            origin=origin,
            target=terms.target,
            precision=Precision(terms.precision),
            strongly_typed=terms.typed,
            options=terms.options,
            libraries=terms.libraries,
        )

    def reduced(
        self, model: OpenedModel, table: ShapeTable, terms: Terms, say: Callable[[str], None], *, whole_s: float = 0.0
    ) -> Reduced:
        """The smallest failing part, searched for with a builder process that ends with the search."""
        from friction_tui.engines.tensorrt.builder import Builder
        from friction_tui.engines.tensorrt.reduction import WHOLE_S, reduced

        with closing(Builder()) as builder:
            return reduced(model, table, terms, builder, whole_s=whole_s or WHOLE_S, say=say)

    def loaded(
        self, plan: Path, inputs: Mapping[str, Array], *, profile: int = 0
    ) -> AbstractContextManager[LoadedPlan]:
        """The plan in the edition that wrote it."""
        from friction_tui.engines.tensorrt.run import loaded

        return loaded(plan, inputs, profile=profile)


def _info(one: module.Installed) -> EngineInfo:
    known = _capabilities(one)
    cpu_only = bool(known.get("cpu_only")) and not one.can_build
    usable = (one.can_build or cpu_only) and "error" not in known
    weak, targets = tuple(known.get("precisions", ())), tuple(known.get("targets", ()))
    why_not = known.get("error") or cannot_run() or _runs_elsewhere(targets, gpus())
    return EngineInfo(
        name=module.NAMES[one.name],
        label=one.label,
        version=one.version or known.get("version", ""),
        can_parse=usable,
        can_build=usable,
        can_run=usable and not why_not,
        why_not=why_not,
        decides=True,
        targets=targets,
        precisions=("as-exported", *(weak or ("fp16", "bf16"))),
        weak_types=bool(weak),
        operator_table=_operator_table(one.name),
        cpu_only=cpu_only,
        options=offered(module.NAMES[one.name], one.label, known.get("options", {}), gpu=not cannot_run()),
    )


def _operator_table(name: str) -> str:
    return "rtx" if name == module.RTX else "enterprise"


def _runs_elsewhere(targets: tuple[str, ...], here: tuple[str, ...]) -> str:
    """Why an edition that builds for `targets` runs on none of the GPUs `here`; "" when it does or does not say."""
    if not targets or has_one_of(targets, here):
        return ""
    return f"it runs on {', '.join(targets)}, and the GPU here is {'; '.join(here)}"


def _capabilities(one: module.Installed) -> Mapping[str, Any]:
    """What a TensorRT can do, asked in a process of its own and remembered for its version.

    `{"error": why}` when it cannot be loaded; that is not remembered, for it may be mended.
    """
    without = [] if one.can_build else ["without-gpu"]
    named = "-".join((f"capabilities-{_FORMAT}", one.name, one.version, *without))
    memory = Path(platformdirs.user_cache_dir("friction-tui")) / f"{named}.json"
    with contextlib.suppress(OSError, ValueError):  # not asked yet
        known: dict[str, Any] = json.loads(memory.read_text())
        return known
    done = run(command("friction_tui.engines.tensorrt.capabilities_job", one.name, *without), limit_s=_PROBE_TIMEOUT_S)
    if done.code is None:
        return {"error": f"{one.name} did not finish loading within {_PROBE_TIMEOUT_S:.0f} s"}
    if done.code != 0:
        return {"error": f"{one.name} cannot be loaded: {done.last_line}"}
    known = json.loads(done.out.splitlines()[-1])
    with contextlib.suppress(OSError):  # a read-only home costs 0.2 s at every start, no more
        memory.parent.mkdir(parents=True, exist_ok=True)
        memory.write_text(json.dumps(known))
    return known
