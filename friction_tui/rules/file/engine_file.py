"""A built engine opened in place of a model: what its header says, and what would be needed to run it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from friction_tui.engines.nvidia import cannot_run, gpus, has_one_of
from friction_tui.engines.tensorrt import module
from friction_tui.engines.tensorrt.plan import PlanFacts, read_plan
from friction_tui.kinds import file
from friction_tui.model.file.plan_tensors import read_tensors
from friction_tui.vocabulary.finding import Finding, Location, LocationKind, Severity

_NO_GRAPH = "A plan holds compiled kernels and no ONNX nodes, so there is no graph to show and nothing to check in it."
_PACKAGES = {module.RTX: "tensorrt-rtx", module.ENTERPRISE: "tensorrt"}


@dataclass(frozen=True, slots=True)
class Here:
    """What this machine could run a plan with.

    `no_gpu` is why no engine can run, "" when one can; `gpus` as `friction_tui.engines.nvidia.gpus` gives them.
    """

    installed: tuple[module.Installed, ...]
    no_gpu: str
    gpus: tuple[str, ...] = ()


def here() -> Here:
    """What this machine has."""
    return Here(module.installed(), cannot_run(), gpus())


def finding(path: Path, machine: Here) -> Finding:
    """What the plan is: an error when it could not run here, else a note."""
    plan = read_plan(path)
    locations = [Location(LocationKind.FILE, path.name)]
    if plan is None:
        return file.ENGINE.finding(
            engine="TensorRT engine with an unreadable header",
            verdict="not an ONNX model",
            cause=f"It begins like a plan, but not as TensorRT 8.5 and later or TensorRT-RTX write it. {_NO_GRAPH}",
            locations=locations,
            fixes=["Rebuild the engine from its ONNX model with the TensorRT that will load it."],
        )
    missing = tuple(_missing(plan, machine))
    targets = f" for {', '.join(plan.targets)}" if plan.targets else ""
    return file.ENGINE.finding(
        engine=f"{plan.label} engine{targets}",
        verdict="not an ONNX model" if missing else "which can run here",
        severity=Severity.ERROR if missing else Severity.NOTE,
        cause=f"{_NO_GRAPH} {_needed(plan, missing)}",
        locations=locations,
        evidence=(*_header(plan), *_tensors(path)),
        fixes=_fixes(plan, missing),
    )


def _header(plan: PlanFacts) -> Iterator[str]:
    yield f"{plan.path}, {plan.size:,} bytes"
    edition = "TensorRT-RTX" if plan.edition == module.RTX else "TensorRT"
    yield f"header: written by {edition} {plan.version}"
    if plan.targets:
        yield f"header: compute capabilities {', '.join(plan.targets)}"
    if plan.declared_size is not None:
        yield f"header: {plan.declared_size:,} bytes"


def _tensors(path: Path) -> Iterator[str]:
    tensors = read_tensors(path)
    for tensor in tensors:
        dims = ", ".join("?" if dim is None else str(dim) for dim in tensor.dims)
        yield f"{'input' if tensor.is_input else 'output'} {tensor.name}: {tensor.dtype} [{dims}]"
    if tensors:
        yield "inputs and outputs: read from the plan's own list of tensors, without loading it; ? varies at run time"
    else:
        yield "inputs and outputs: not laid out in a way known here, so only loading the plan tells them"


def _missing(plan: PlanFacts, machine: Here) -> Iterator[tuple[str, str]]:
    """(what is needed to run the plan and not here, how to get it)."""
    if plan.truncated:
        lost = (plan.declared_size or 0) - plan.size
        yield f"the last {lost:,} bytes of the file, which is cut off", "Copy the plan again and compare its size."
    versions = {one.name: one.version for one in machine.installed}
    found = versions.get(plan.edition, "")
    package = _PACKAGES[plan.edition]
    if not _same_version(found, plan.version):
        has = f", where {package} {found} is installed" if found else ""
        yield f"{package} {plan.version}{has}", f"pip install {package}=={plan.version}"
    if machine.no_gpu:
        where = f"a GPU with {_one_of(plan.targets)}" if plan.targets else "a GPU of the kind it was built on"
        yield f"{where}: {machine.no_gpu}", ""
    elif plan.targets and not has_one_of(plan.targets, machine.gpus):
        yield (
            f"a GPU with {_one_of(plan.targets)}, where there is {'; '.join(machine.gpus)}",
            "Rebuild it for this GPU.",
        )


def _same_version(installed: str, written: str) -> bool:
    """A plan loads in the release that wrote it; the build number is not always part of a package's version."""
    return installed.split(".")[:3] == written.split(".")[:3]


def _one_of(targets: tuple[str, ...]) -> str:
    return targets[0] if len(targets) == 1 else f"{', '.join(targets[:-1])} or {targets[-1]}"


def _needed(plan: PlanFacts, missing: tuple[tuple[str, str], ...]) -> str:
    if not missing:
        if not plan.targets:
            return "The TensorRT that wrote it and a GPU are here; whether it is the right one, loading the plan tells."
        return "The TensorRT that wrote it and a GPU it was built for are here."
    return f"To run it here, this is needed: {'; '.join(what for what, _ in missing)}."


def _fixes(plan: PlanFacts, missing: tuple[tuple[str, str], ...]) -> Iterator[str]:
    if not missing:
        yield "Press m: it is loaded and timed in a process of its own."
    yield "Open the ONNX model the engine was built from: friction-tui checks it and b rebuilds the engine."
    for _, how in missing:
        if how:
            yield how
    if not read_tensors(plan.path):
        yield f"Where it can run, `{_loader(plan)} --loadEngine={plan.path.name}` tells its inputs and outputs."


def _loader(plan: PlanFacts) -> str:
    return "tensorrt_rtx" if plan.edition == module.RTX else "trtexec"
