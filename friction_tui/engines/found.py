"""Which engines are installed, what they can do here, and why not. Imports none of them into this process."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import platformdirs

from friction_tui.engines.libraries import missing_libraries, wheel_libraries
from friction_tui.engines.nvidia import cannot_run, gpus, has_one_of
from friction_tui.engines.tensorrt import module
from friction_tui.processes.begin import command
from friction_tui.processes.child import run
from friction_tui.vocabulary.protocol import EngineInfo

_PROBE_TIMEOUT_S = 60.0
_PROVIDERS = ("tensorrt", "nv_tensorrt_rtx", "cuda")
_LOADED_BY_OTHERS = ("libonnxruntime_providers_shared.so",)
"""Needed by the provider libraries, and loaded by ONNX Runtime before them."""


def found() -> tuple[EngineInfo, ...]:
    """Every engine of this environment: TensorRTs first, the one to ask before the others."""
    return (*(_tensorrt(one) for one in module.installed()), *_onnxruntime())


@dataclass(frozen=True, slots=True)
class Provider:
    """An ONNX Runtime execution provider that is installed. `missing` are libraries the loader does not find.

    `in_wheels` maps those of them that an NVIDIA wheel of this environment has to where it lies.
    """

    name: str
    library: Path
    missing: tuple[str, ...]
    in_wheels: dict[str, Path]


def providers() -> tuple[Provider, ...]:
    """GPU providers ONNX Runtime has on disk, and what each lacks to be loaded."""
    spec = importlib.util.find_spec("onnxruntime")
    if spec is None or spec.origin is None:
        return ()
    home = Path(spec.origin).parent / "capi"
    named = [(name, home / f"libonnxruntime_providers_{name}.so") for name in _PROVIDERS]
    return tuple(_provider(name, library) for name, library in named if library.exists())


def onnxruntime_distributions() -> dict[str, str]:
    """The installed distributions that bring `import onnxruntime`, with their versions.

    More than one is a fault: they write the same files, and whichever came last wins.
    """
    versions = {}
    for name in ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "onnxruntime-openvino"):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _tensorrt(one: module.Installed) -> EngineInfo:
    known = _capabilities(one)
    rtx = one.name == module.RTX
    usable = one.can_build and "error" not in known
    weak, targets = tuple(known.get("precisions", ())), tuple(known.get("targets", ()))
    why_not = known.get("error") or cannot_run() or _runs_elsewhere(targets, gpus())
    return EngineInfo(
        name="TensorRT-RTX" if rtx else "TensorRT",
        label=one.label,
        version=one.version or known.get("version", ""),
        can_parse=usable,
        can_build=usable,
        can_run=usable and not why_not,
        why_not=why_not,
        targets=targets,
        precisions=("as-exported", *(weak or ("fp16", "bf16"))),
    )


def _runs_elsewhere(targets: tuple[str, ...], here: tuple[str, ...]) -> str:
    """Why an edition that builds for `targets` runs on none of the GPUs `here`; "" when it does or does not say."""
    if not targets or has_one_of(targets, here):
        return ""
    return f"it runs on {', '.join(targets)}, and the GPU here is {'; '.join(here)}"


def _onnxruntime() -> tuple[EngineInfo, ...]:
    spec, versions = importlib.util.find_spec("onnxruntime"), onnxruntime_distributions()
    if spec is None or not versions:
        return ()
    version = versions.get("onnxruntime-gpu") or next(iter(versions.values()))
    lacking = [f"its {one.name} provider lacks {', '.join(one.missing)}" for one in providers() if one.missing]
    clash = [f"{' and '.join(versions)} are both installed: uninstall all and install one"] if len(versions) > 1 else []
    gpu = any(one.name == "cuda" and not one.missing for one in providers()) and not cannot_run()
    return (
        EngineInfo(
            name="ONNX Runtime",
            label=f"ONNX Runtime {version} {'CUDA' if gpu else 'CPU'}",
            version=version,
            can_parse=False,
            can_build=False,
            can_run=True,
            why_not="; ".join([*clash, *lacking]),
        ),
    )


def _provider(name: str, library: Path) -> Provider:
    missing = tuple(one for one in missing_libraries(library) if one not in _LOADED_BY_OTHERS)
    in_wheels = {one: where for one in missing if (where := wheel_libraries(one)) is not None}
    return Provider(name, library, missing, in_wheels)


def _capabilities(one: module.Installed) -> Mapping[str, Any]:
    """What a TensorRT can do, asked in a process of its own and remembered for its version.

    `{"error": why}` when it cannot be loaded; that is not remembered, for it may be mended.
    """
    memory = Path(platformdirs.user_cache_dir("friction-tui")) / f"capabilities-{one.name}-{one.version}.json"
    with contextlib.suppress(OSError, ValueError):  # not asked yet
        known: dict[str, Any] = json.loads(memory.read_text())
        return known
    done = run(command("friction_tui.engines.tensorrt.capabilities", one.name), limit_s=_PROBE_TIMEOUT_S)
    if done.code is None:
        return {"error": f"{one.name} did not finish loading within {_PROBE_TIMEOUT_S:.0f} s"}
    if done.code != 0:
        return {"error": f"{one.name} cannot be loaded: {done.last_line}"}
    known = json.loads(done.out.splitlines()[-1])
    with contextlib.suppress(OSError):  # a read-only home costs 0.2 s at every start, no more
        memory.parent.mkdir(parents=True, exist_ok=True)
        memory.write_text(json.dumps(known))
    return known
