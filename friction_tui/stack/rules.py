"""What of an installed stack does not fit together: pure rules over facts, each naming the offending pair.

The limits come from `nvidia_versions.toml`, which says where each is from.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from friction_tui.kinds import stack
from friction_tui.vocabulary.finding import Finding, Location, LocationKind, Severity


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU or MIG slice. `architecture` is its compute capability without the point (89); `memory` in bytes.

    Each is None where NVML does not tell it, and `why` says why.
    """

    name: str
    architecture: int | None
    memory: int | None
    why: str = ""


@dataclass(frozen=True, slots=True)
class CudaUser:
    """Something that was compiled for a CUDA version (`13.0`, or `13` where only the major is known)."""

    name: str
    version: str
    cuda: str


@dataclass(frozen=True, slots=True)
class ProviderFile:
    """A provider library of ONNX Runtime.

    `missing` are libraries the loader does not find; `in_wheels` those of them that lie in a wheel of this environment,
    where the loader does not look.
    """

    name: str
    missing: tuple[str, ...]
    in_wheels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Facts:
    """What is installed. `driver` "" when there is none, with the reason in `no_driver`.

    `tensorrts` maps the name (`TensorRT`, `TensorRT-RTX`) to its version, `targets` to the architectures it offers
    where it could be asked. `wheel_parts` maps each distribution of the enterprise or RTX wheels to its version.
    `cudnns` are (where it is, major version); `system_libraries` file names such as `libnvinfer.so.10` on the
    loader's path. `runtime_refuses` is what ONNX Runtime does not take of the newest model the installed onnx writes,
    "" when it takes all.
    """

    driver: str = ""
    no_driver: str = ""
    driver_cuda: str = ""
    gpus: tuple[Gpu, ...] = ()
    cuda_users: tuple[CudaUser, ...] = ()
    tensorrts: tuple[tuple[str, str], ...] = ()
    targets: tuple[tuple[str, tuple[int, ...]], ...] = ()
    wheel_parts: tuple[tuple[str, str], ...] = ()
    onnxruntimes: tuple[tuple[str, str], ...] = ()
    providers: tuple[ProviderFile, ...] = ()
    cudnns: tuple[tuple[str, str], ...] = ()
    system_libraries: tuple[str, ...] = ()
    onnx: str = ""
    runtime_refuses: str = ""


def judge(facts: Facts) -> Iterator[Finding]:
    """Everything in `facts` that does not fit together."""
    yield from _driver(facts)
    yield from _architectures(facts)
    yield from _onnxruntime(facts)
    yield from _tensorrt_parts(facts)
    yield from _cuda_versions(facts)
    yield from _cudnn(facts)
    yield from _onnx(facts)
    yield from _untested(facts)


@cache
def limits() -> dict[str, Any]:
    """The table of versions that fit together."""
    return tomllib.loads((resources.files("friction_tui.stack") / "nvidia_versions.toml").read_text(encoding="utf-8"))


def version_tuple(text: str) -> tuple[int, ...]:
    """The leading numbers of a version: `580.65.06` is (580, 65, 6), `2.13.0+cu130` (2, 13, 0)."""
    numbers = []
    for part in text.split("+", maxsplit=1)[0].split("."):
        if not part.isdecimal():
            break
        numbers.append(int(part))
    return tuple(numbers)


def _packages(*names: str) -> Iterator[Location]:
    return (Location(LocationKind.PACKAGE, name) for name in names)


def _driver(facts: Facts) -> Iterator[Finding]:
    """The driver against everything compiled for a CUDA version."""
    if not facts.driver:
        if facts.no_driver and not facts.gpus:
            rtx = "TensorRT-RTX" in dict(facts.tensorrts)
            ahead = " and engines built ahead of time with TensorRT-RTX" if rtx else ""
            yield stack.NO_DRIVER.finding(
                cause=f"{facts.no_driver}. Models can be judged{ahead}; nothing can run on a GPU.",
                locations=_packages("driver"),
                fixes=(
                    "In a container, start it with `--gpus all` and the NVIDIA container toolkit; else install the "
                    "driver, or restart the machine after its update.",
                ),
            )
        return
    for major, users in _by_major(facts.cuda_users).items():
        least = limits()["driver"].get(major)
        if least and version_tuple(facts.driver) < version_tuple(least):
            yield stack.DRIVER_TOO_OLD.finding(
                driver=facts.driver,
                cuda=major,
                cause=f"{_listed(users)}: built for CUDA {major}, which needs driver {least} or newer; installed is "
                f"{facts.driver}. CUDA then says `CUDA driver version is insufficient for CUDA runtime version` "
                "(error 35).",
                locations=_packages(*(user.name for user in users), "driver"),
                fixes=(
                    f"Upgrade the NVIDIA driver to {least} or newer.",
                    f"Or install builds for CUDA {_older_cuda(facts.driver)}.",
                ),
            )


def _by_major(users: tuple[CudaUser, ...]) -> dict[str, list[CudaUser]]:
    """CUDA users by the major version they are built for, oldest first."""
    found: dict[str, list[CudaUser]] = {}
    for user in sorted(users, key=lambda each: version_tuple(each.cuda)):
        found.setdefault(user.cuda.partition(".")[0], []).append(user)
    return found


def _listed(users: list[CudaUser]) -> str:
    return ", ".join(f"{user.name} {user.version}" for user in users)


def _older_cuda(driver: str) -> str:
    """The newest CUDA major version a driver is new enough for."""
    fit = [major for major, least in limits()["driver"].items() if version_tuple(driver) >= version_tuple(least)]
    return f"{max(fit, key=int)}.x" if fit else "10.2 or older"


def _architectures(facts: Facts) -> Iterator[Finding]:
    """Each GPU against each TensorRT and each CUDA build."""
    offered = dict(facts.targets)
    for gpu in facts.gpus:
        if gpu.architecture is None:
            continue
        for name, version in facts.tensorrts:
            oldest, newest = _supported(version) if name == "TensorRT" else (0, 0)
            targets = offered.get(name, ())
            outside = (
                gpu.architecture not in targets
                if targets
                else bool(newest) and not (oldest <= gpu.architecture <= newest)
            )
            if outside:
                known = ", ".join(f"SM{sm}" for sm in targets) if targets else f"SM{oldest} to SM{newest}"
                yield stack.GPU_NOT_SUPPORTED.finding(
                    tensorrt=f"{name} {version}",
                    gpu=gpu.name,
                    cause=f"{gpu.name} has compute capability SM{gpu.architecture}; {name} {version} supports {known}. "
                    f"It says `Target GPU SM {gpu.architecture} is not supported by this TensorRT release`.",
                    locations=_packages(name, gpu.name),
                    fixes=(
                        "Install a TensorRT that supports this GPU: 10.8 or newer for Blackwell (SM100, SM120), 10.4 "
                        "or older for Volta (SM70), TensorRT instead of TensorRT-RTX for data-centre GPUs.",
                    ),
                )
        yield from _compiled_for(gpu.name, gpu.architecture, facts.cuda_users)


def _supported(version: str) -> tuple[int, int]:
    """(oldest, newest) architecture of a TensorRT version; (0, 0) when the table does not know."""
    rows = [row for row in limits()["tensorrt"] if version_tuple(version) >= version_tuple(row["from"])]
    return (rows[-1]["oldest"], rows[-1]["newest"]) if rows else (0, 0)


def _compiled_for(gpu: str, architecture: int, users: tuple[CudaUser, ...]) -> Iterator[Finding]:
    """A GPU newer or older than the toolkit that libraries were compiled with."""
    first = limits()["first_cuda"].get(str(architecture), "0")
    too_old = [
        user for user in users if len(version_tuple(user.cuda)) > 1 and version_tuple(user.cuda) < version_tuple(first)
    ]
    oldest = {user: limits()["oldest_architecture"].get(user.cuda.partition(".")[0], 0) for user in users}
    too_new = [user for user in users if architecture < oldest[user]]
    for wrong, why, fix in (
        (too_old, f"it is known only from CUDA {first} on", f"Install builds for CUDA {first} or newer."),
        (too_new, "that CUDA no longer compiles for it", "Install builds for an older CUDA."),
    ):
        if wrong:
            yield stack.CUDA_AND_GPU.finding(
                libraries=", ".join(user.name for user in wrong),
                gpu=gpu,
                cause=f"{gpu} has compute capability SM{architecture}; {_listed(wrong)} is built with CUDA "
                f"{wrong[0].cuda}, and {why}. It says `no kernel image is available for execution on the device`.",
                locations=_packages(*(user.name for user in wrong), gpu),
                fixes=(fix,),
            )


def _onnxruntime(facts: Facts) -> Iterator[Finding]:
    """Two ONNX Runtimes in one place, and GPU providers that cannot be loaded."""
    if len(facts.onnxruntimes) > 1:
        names = tuple(name for name, _ in facts.onnxruntimes)
        both = " and ".join(f"{name} {version}" for name, version in facts.onnxruntimes)
        yield stack.TWO_ONNXRUNTIMES.finding(
            packages=" and ".join(names),
            cause=f"{both} are installed side by side. They write the same files (`import onnxruntime`), so whichever "
            "came last wins: usually the GPU providers silently disappear.",
            locations=_packages(*names),
            fixes=(f"`pip uninstall -y {' '.join(names)}`, then install the one you need.",),
        )
    wheels = dict(facts.tensorrts)
    for provider in facts.providers:
        if not provider.missing:
            continue
        lacking = ", ".join(provider.missing)
        other = _other_major(provider.missing, facts.system_libraries)
        present = f" Found instead: {other}." if other else ""
        if any(name.startswith("libnvinfer") for name in provider.missing) and "TensorRT" in wheels:
            present += f" TensorRT {wheels['TensorRT']} is installed in this environment."
        fixes = []
        if provider.in_wheels:
            fixes.append(
                f"{', '.join(provider.in_wheels)} lie in wheels of this environment: call "
                "`onnxruntime.preload_dlls()` before making a session, or put their folders on LD_LIBRARY_PATH."
            )
        fixes.append(f"Install the versions that have {lacking}, and see that the loader finds them (LD_LIBRARY_PATH).")
        yield stack.PROVIDER_LIBRARY_MISSING.finding(
            severity=Severity.WARNING if provider.in_wheels else Severity.ERROR,
            provider=provider.name,
            cause=f"The {provider.name} provider of ONNX Runtime needs {lacking}, which the loader does not find."
            f"{present} ONNX Runtime says so once and falls back to the CPU without an error.",
            locations=_packages(*(name for name, _ in facts.onnxruntimes)),
            fixes=fixes,
        )


def _other_major(missing: tuple[str, ...], present: tuple[str, ...]) -> str:
    """Libraries that are there in another major version than the one missing."""
    stems = {name.split(".so")[0] for name in missing}
    return ", ".join(name for name in present if name.split(".so")[0] in stems)


def _tensorrt_parts(facts: Facts) -> Iterator[Finding]:
    """Wheels of one TensorRT that are of different versions, and a second TensorRT on the loader's path."""
    families: dict[str, dict[str, str]] = {}
    for name, version in facts.wheel_parts:
        families.setdefault("tensorrt-rtx" if "rtx" in name else "tensorrt", {})[name] = version
    for family, parts in families.items():
        if len(set(parts.values())) > 1:
            wheels = ", ".join(f"{name} {version}" for name, version in parts.items())
            yield stack.MIXED_TENSORRT.finding(
                family=family,
                cause=f"The wheels of {family} do not belong together: {wheels}. Bindings and libraries must be of the "
                "same version.",
                locations=_packages(*parts),
                fixes=(f"`pip install --force-reinstall {family}=={max(parts.values(), key=version_tuple)}`",),
            )
    here = dict(facts.tensorrts).get("TensorRT", "")
    for library in facts.system_libraries:
        stem, _, major = library.partition(".so.")
        if stem == "libnvinfer" and here and major.split(".")[0] != here.split(".")[0]:
            yield stack.TWO_TENSORRTS.finding(
                version=here,
                library=library,
                cause=f"Python imports TensorRT {here}, while the loader's path has {library}. A plan built by one "
                "cannot be loaded by the other (`The engine plan file is not compatible with this version of "
                "TensorRT`).",
                locations=_packages("TensorRT", library),
                fixes=("Build with the TensorRT that will load the plan; remove or upgrade the other one.",),
            )


def _cuda_versions(facts: Facts) -> Iterator[Finding]:
    """Libraries compiled for different CUDA major versions in one environment."""
    majors = _by_major(facts.cuda_users)
    if len(majors) > 1:
        builds = "; ".join(f"CUDA {major}: {_listed(users)}" for major, users in majors.items())
        yield stack.MIXED_CUDA.finding(
            versions=" and ".join(majors),
            cause=f"Libraries built for different CUDA versions are installed together: {builds}. In one process they "
            "load two CUDA runtimes and two cuDNNs, and the second one loaded may find the wrong one.",
            locations=_packages(*(user.name for users in majors.values() for user in users)),
            fixes=("Install builds for one CUDA version, or keep them in separate environments.",),
        )


def _cudnn(facts: Facts) -> Iterator[Finding]:
    """Two major versions of cuDNN within reach of one process."""
    if len({major for _, major in facts.cudnns}) > 1:
        versions = ", ".join(f"{name} (cuDNN {major})" for name, major in facts.cudnns)
        yield stack.MIXED_CUDNN.finding(
            cause=f"cuDNN is there in different major versions: {versions}. torch and ONNX Runtime each load the one "
            "they were built for; where the loader gives them the other, symbols are missing.",
            locations=_packages(*(name for name, _ in facts.cudnns)),
            fixes=("Keep one cuDNN: the wheel's, or the system's (LD_LIBRARY_PATH decides).",),
        )


def _onnx(facts: Facts) -> Iterator[Finding]:
    """Models the installed onnx writes and ONNX Runtime does not read."""
    if facts.runtime_refuses:
        runtime = " and ".join(f"{name} {version}" for name, version in facts.onnxruntimes)
        yield stack.ONNX_NEWER_THAN_RUNTIME.finding(
            onnx=facts.onnx,
            runtime=runtime,
            cause=f"Models made with onnx {facts.onnx} at its newest opset and IR version are refused by {runtime}: "
            f"{facts.runtime_refuses}.",
            locations=_packages("onnx", *(name for name, _ in facts.onnxruntimes)),
            fixes=("Upgrade onnxruntime, or export with an older opset and set `model.ir_version` lower.",),
        )


TESTED = {
    "onnx": ("1.22.0", "1.23.2"),
    "onnxruntime": ("1.24.1", "1.32.0"),
    "onnxruntime-gpu": ("1.24.1", "1.32.0"),
    "torch": ("2.13.0", "2.13.0"),
}
"""The oldest and newest version that were tested: those of constraints-oldest.txt and constraints.txt."""


def _untested(facts: Facts) -> Iterator[Finding]:
    """The user's own onnx, ONNX Runtime or torch outside the versions that were tested."""
    users = ((user.name, user.version) for user in facts.cuda_users)
    installed = {"onnx": facts.onnx, **dict(facts.onnxruntimes), **{name: v for name, v in users if name == "torch"}}
    for package, version in installed.items():
        if package not in TESTED or not version:
            continue
        oldest, newest = TESTED[package]
        if not version_tuple(oldest) <= version_tuple(version) <= version_tuple(newest):
            tested = oldest if oldest == newest else f"{oldest} to {newest}"
            yield stack.UNTESTED_VERSION.finding(
                package=package,
                version=version,
                cause=f"{package} {version} is installed; {tested} was tested.",
                locations=_packages(package),
                fixes=("Nothing, as long as it works; else compare with an environment that has a tested version.",),
            )
