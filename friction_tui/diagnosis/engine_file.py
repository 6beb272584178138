"""A built engine opened in place of a model: what its header says, and what would be needed to run it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from friction_tui.diagnosis.case import RULE
from friction_tui.engines.nvidia import cannot_run
from friction_tui.engines.tensorrt import module
from friction_tui.engines.tensorrt.plan import PlanFacts, read_plan
from friction_tui.finding import Finding, Fix, Place, PlaceKind, Severity, Tier

_NO_GRAPH = "A plan holds compiled kernels and no ONNX nodes, so there is no graph to show and nothing to check in it."
_PACKAGES = {module.RTX: "tensorrt-rtx", module.ENTERPRISE: "tensorrt"}


@dataclass(frozen=True, slots=True)
class Here:
    """What this machine could run a plan with. `no_gpu` is why no engine can run, "" when one can."""

    installed: tuple[module.Installed, ...]
    no_gpu: str


def here() -> Here:
    """What this machine has."""
    return Here(module.installed(), cannot_run())


def findings(path: Path, machine: Here) -> Iterator[Finding]:
    """One finding that says what the plan is, graver the less it could run here."""
    plan = read_plan(path)
    place = (Place(PlaceKind.FILE, path.name),)
    if plan is None:
        yield Finding(
            kind="file/engine",
            severity=Severity.ERROR,
            tier=Tier.MODEL,
            title="A TensorRT engine whose header cannot be read",
            cause=f"It begins like a plan, but not as TensorRT 8.5 and later or TensorRT-RTX write it. {_NO_GRAPH}",
            source=RULE,
            places=place,
            fixes=(Fix("Rebuild the engine from its ONNX model with the TensorRT that will load it."),),
        )
        return
    missing = tuple(_missing(plan, machine))
    targets = f" for {', '.join(plan.targets)}" if plan.targets else ""
    yield Finding(
        kind="file/engine",
        severity=Severity.ERROR,
        tier=Tier.MODEL,
        title=f"A {plan.label} engine{targets}, not an ONNX model",
        cause=f"{_NO_GRAPH} {_needed(missing)}",
        source=RULE,
        places=place,
        evidence=tuple(_header(plan)),
        fixes=tuple(_fixes(plan, missing)),
    )


def _header(plan: PlanFacts) -> Iterator[str]:
    yield f"{plan.path}, {plan.size:,} bytes"
    edition = "TensorRT-RTX" if plan.edition == module.RTX else "TensorRT"
    yield f"header: written by {edition} {plan.version}"
    if plan.targets:
        yield f"header: compute capabilities {', '.join(plan.targets)}"
    if plan.declared_size is not None:
        yield f"header: {plan.declared_size:,} bytes"


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


def _same_version(installed: str, written: str) -> bool:
    """A plan loads in the release that wrote it; the build number is not always part of a package's version."""
    return installed.split(".")[:3] == written.split(".")[:3]


def _one_of(targets: tuple[str, ...]) -> str:
    return targets[0] if len(targets) == 1 else f"{', '.join(targets[:-1])} or {targets[-1]}"


def _needed(missing: tuple[tuple[str, str], ...]) -> str:
    if not missing:
        return "The TensorRT that wrote it is here, and a GPU: whether it is one of the right kind, loading it tells."
    return f"To run it here, this is needed: {'; '.join(what for what, _ in missing)}."


def _fixes(plan: PlanFacts, missing: tuple[tuple[str, str], ...]) -> Iterator[Fix]:
    yield Fix("Open the ONNX model the engine was built from: friction-tui checks it and b rebuilds the engine.")
    for _, how in missing:
        if how:
            yield Fix(how)
    yield Fix(f"Its inputs and outputs are told by whoever loads it: `{_loader(plan)} --loadEngine={plan.path.name}`.")


def _loader(plan: PlanFacts) -> str:
    return "tensorrt_rtx" if plan.edition == module.RTX else "trtexec"
