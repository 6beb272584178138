"""What is installed on this machine, from driver to Python packages, and whether it fits together.

Works without a GPU and imports neither torch nor TensorRT: versions come from package metadata, from files beside the
packages, from NVML and from the loader's path. Runs in a process of its own,
since it loads native libraries; it prints a `friction_tui.stack.installed.Stack` as JSON.
"""

from __future__ import annotations

import os
import platform
import re
from dataclasses import replace
from importlib import metadata, util
from pathlib import Path

from friction_tui.engines import onnxruntime
from friction_tui.engines.base import EngineCrashed, EngineMissing
from friction_tui.engines.found import found
from friction_tui.engines.nvidia import driver_missing
from friction_tui.engines.nvml import Device, Nvml, NvmlLost
from friction_tui.engines.onnxruntime_installed import onnxruntime_distributions, providers
from friction_tui.processes.stdio import LineWriter, take_stdout
from friction_tui.stack.installed import Item, Stack
from friction_tui.stack.rules import CudaUser, Facts, Gpu, ProviderFile, judge
from friction_tui.vocabulary.finding import fix_first
from friction_tui.vocabulary.units import size_text

_EXPORTERS = ("onnx", "onnx-ir", "onnxscript", "onnxslim", "tf2onnx", "tensorflow", "tensorflow-cpu", "keras", "numpy")
_ABSENT = {
    "TensorRT": "not installed: a table of its operators answers. pip install 'friction-tui[cpu]' (or [gpu])",
    "ONNX Runtime": "not installed: no second opinion, no comparison of results. pip install 'friction-tui[cpu]'",
}
"""What the table says of an engine that is not there."""
_LIBRARIES = re.compile(r"^lib(?:nvinfer|tensorrt_rtx|cudart|cudnn|cuda)\.so\.\d+$")
_SYSTEM_FOLDERS = ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/local/cuda/lib64")
_TENSORRT_WHEEL = re.compile(r"^tensorrt(-rtx)?(-cu\d+)?(-bindings|-libs)?$")
_CUDA_WHEEL = re.compile(r"^(tensorrt(?:-rtx)?)-cu(\d+)$")


def examine() -> Stack:
    """The stack of this machine and this Python environment, judged."""
    packages = _packages()
    facts = _facts(packages)
    return Stack(
        machine=f"{platform.system()} {platform.release()} {platform.machine()}, Python {platform.python_version()}",
        items=tuple(_items(facts, packages)),
        findings=tuple(fix_first(judge(facts))),
        packages=packages,
    )


def _packages() -> dict[str, str]:
    """Every distribution with its version; names as pip writes them, with dashes."""
    named = ((entry.metadata["Name"], entry.version) for entry in metadata.distributions())
    first: dict[str, str] = {}
    for name, version in named:  # what comes first on the path is what gets imported
        first.setdefault(str(name).lower().replace("_", "-"), version)
    return dict(sorted(first.items()))


def _facts(packages: dict[str, str]) -> Facts:
    driver, driver_cuda, gpus, no_driver = _driver()
    libraries = tuple(_system_libraries())
    engines = [engine for engine in found() if engine.decides]
    targets = {engine.name: tuple(int(t[2:]) for t in engine.targets if t[2:].isdecimal()) for engine in engines}
    return Facts(
        driver=driver,
        no_driver=no_driver,
        driver_cuda=driver_cuda,
        gpus=gpus,
        cuda_users=tuple(_cuda_users(packages)),
        tensorrts=tuple((engine.name, engine.version) for engine in engines),
        targets=tuple((name, architectures) for name, architectures in targets.items() if architectures),
        wheel_parts=tuple((name, version) for name, version in packages.items() if _TENSORRT_WHEEL.match(name)),
        onnxruntimes=tuple(onnxruntime_distributions().items()),
        providers=tuple(ProviderFile(one.name, one.missing, tuple(one.in_wheels)) for one in providers()),
        cudnns=tuple(_cudnns(packages, libraries)),
        system_libraries=libraries,
        onnx=packages.get("onnx", ""),
        runtime_refuses=_newest_model_refused(packages),
    )


def _driver() -> tuple[str, str, tuple[Gpu, ...], str]:
    """(driver version, CUDA version it speaks, GPUs, why there is no driver), from NVML."""
    if reason := driver_missing():
        return "", "", (), reason
    nvml = Nvml()
    if nvml.why_not:
        return "", "", (), nvml.why_not
    try:
        driver, why = nvml.ask("nvmlSystemGetDriverVersion")
        spoken, _ = nvml.ask("nvmlSystemGetCudaDriverVersion_v2")
        cuda = f"{spoken // 1000}.{spoken % 1000 // 10}" if spoken else ""
        gpus = tuple(_gpu(nvml, part) for device in nvml.devices() for part in _parts(nvml, device))
    except NvmlLost as lost:
        return "", "", (), str(lost)
    finally:
        nvml.close()
    return driver or "", cuda, gpus, why


def _parts(nvml: Nvml, device: Device) -> tuple[Device, ...]:
    try:
        return nvml.parts(device) if device.handle is not None else (device,)
    except NvmlLost as lost:
        return (replace(device, handle=None, why=str(lost)),)


def _gpu(nvml: Nvml, device: Device) -> Gpu:
    if device.handle is None:
        return Gpu(device.name, None, None, device.why)
    try:
        capability, unknown = nvml.ask("nvmlDeviceGetCudaComputeCapability", device.handle)
        memory, silent = nvml.memory(device)
    except NvmlLost as lost:
        return Gpu(device.name, None, None, str(lost))
    architecture = capability[0] * 10 + capability[1] if capability else None
    told = {"memory": silent, "compute capability": unknown}
    why = "; ".join(f"{name}: {reason}" for name, reason in told.items() if reason)
    return Gpu(device.name, architecture, memory.total if memory else None, why)


def _cuda_users(packages: dict[str, str]) -> list[CudaUser]:
    """What is compiled for a CUDA version, read from files beside the packages."""
    users = []
    torch_cuda = _written("torch", "version.py", r"^cuda\b.*=\s*'([\d.]+)'")
    if torch_cuda:
        users.append(CudaUser("torch", packages.get("torch", ""), torch_cuda))
    runtime_cuda = _written("onnxruntime", "capi/build_and_package_info.py", r"^cuda_version\s*=\s*'([\d.]+)'")
    if runtime_cuda and "onnxruntime-gpu" in packages:
        users.append(CudaUser("onnxruntime-gpu", packages["onnxruntime-gpu"], runtime_cuda))
    for name, version in packages.items():
        wheel = _CUDA_WHEEL.match(name)
        if wheel:
            users.append(CudaUser(wheel[1], version, wheel[2]))
    return users


def _written(package: str, file: str, pattern: str) -> str:
    """What a file of an installed package says, without importing it; "" when it does not."""
    spec = util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        return ""
    path = Path(spec.submodule_search_locations[0]) / file
    try:
        match = re.search(pattern, path.read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        return ""
    return match[1] if match else ""


def _system_libraries() -> list[str]:
    """NVIDIA libraries on the loader's path, by file name."""
    folders = [Path(entry) for entry in os.environ.get("LD_LIBRARY_PATH", "").split(":") if entry]
    folders += [Path(entry) for entry in _SYSTEM_FOLDERS]
    names = {file.name for folder in folders if folder.is_dir() for file in folder.iterdir()}
    return sorted(name for name in names if _LIBRARIES.match(name))


def _cudnns(packages: dict[str, str], libraries: tuple[str, ...]) -> list[tuple[str, str]]:
    """Every cuDNN within reach: (wheel or library, major version)."""
    wheels = [
        (name, version.partition(".")[0]) for name, version in packages.items() if name.startswith("nvidia-cudnn")
    ]
    return wheels + [(name, name.rpartition(".")[2]) for name in libraries if name.startswith("libcudnn.so.")]


def _newest_model_refused(packages: dict[str, str]) -> str:
    """What ONNX Runtime does not take of a model of the newest IR version and opset that the installed onnx writes."""
    if "onnx" not in packages:
        return ""
    import onnx

    try:
        takes = onnxruntime.limits()
    except (EngineMissing, EngineCrashed):
        return ""  # its absence has a row of its own
    newest = (("IR version", onnx.IR_VERSION, takes.ir), ("opset", onnx.defs.onnx_opset_version(), takes.opset))
    return "; ".join(f"{what} {ours} is newer than {theirs}" for what, ours, theirs in newest if ours > theirs)


def _items(facts: Facts, packages: dict[str, str]) -> list[Item]:
    """The rows of the table, parts that are missing included."""
    rows = [Item("GPU", "driver", facts.driver, f"CUDA {facts.driver_cuda}" if facts.driver else facts.no_driver)]
    for gpu in facts.gpus:
        target = f"SM{gpu.architecture}" if gpu.architecture is not None else ""
        told = [size_text(gpu.memory)] if gpu.memory is not None else []
        rows.append(Item("GPU", gpu.name, target, "; ".join([*told, *([gpu.why] if gpu.why else [])])))
    rows += [Item("GPU", name, name.rpartition(".so.")[2], "on the loader's path") for name in facts.system_libraries]
    users = {user.name: user.cuda for user in facts.cuda_users}
    for engine in found():
        builds = "builds (CPU-only mode)" if engine.cpu_only else "builds"
        able = [word for word, can in ((builds, engine.can_build), ("runs", engine.can_run)) if can]
        detail = ", ".join([*able, *([engine.why_not] if engine.why_not else [])])
        rows.append(Item("Engines", engine.name, engine.version, detail))
    there = " ".join(engine.name for engine in found())
    rows += [Item("Engines", name, "", how) for name, how in _ABSENT.items() if name not in there]
    for provider in facts.providers:
        state = f"lacks {', '.join(provider.missing)}" if provider.missing else "can be loaded"
        rows.append(Item("Engines", f"ONNX Runtime {provider.name} provider", "", state))
    cuda = f"CUDA {users['torch']}" if "torch" in users else "CPU only" if "torch" in packages else ""
    rows.append(Item("Frameworks", "torch", packages.get("torch", ""), cuda))
    rows += [Item("Frameworks", name, packages[name]) for name in _EXPORTERS if name in packages]
    wheels = sorted(name for name in packages if name.startswith("nvidia-") and name != "nvidia-ml-py")
    rows += [Item("NVIDIA wheels", name, packages[name]) for name in wheels]
    return rows


def main() -> None:
    """Write what `examine` finds to stdout as JSON."""
    LineWriter(take_stdout())(examine())
