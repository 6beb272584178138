"""The installed stack.

What `friction-tui doctor` finds. The limits are in `nvidia_versions.toml` with their sources.
"""

from functools import partial

from friction_tui.kinds.examples import Stack
from friction_tui.kinds.kind import Kind
from friction_tui.vocabulary.finding import Severity, Tier

StackKind = partial(
    Kind,
    tiers=(Tier.STACK,),
)
"""What the kinds of this family have in common, unless they say otherwise."""

NO_DRIVER = StackKind(
    id="stack/no-driver",
    summary="No NVIDIA driver that works",
    severities=(Severity.NOTE,),
    cause="""Nothing can run on a GPU; judging models and building with TensorRT-RTX works.""",
    evidence="""What the loader says.""",
    example="""A container started without `--gpus all`.""",
    fix="""Install the driver, or give the container the GPU.""",
    shows=Stack({"no_driver": "no NVIDIA driver: libcuda.so.1 not found"}),
    quiet=Stack({"driver": "580.95.05"}),
)

DRIVER_TOO_OLD = StackKind(
    id="stack/driver-too-old",
    summary="The driver is too old for a CUDA version",
    title="Driver {driver} is too old for CUDA {cuda}",
    cause="""Each CUDA major version needs a least driver.""",
    evidence="""Driver, what needs more, and how much.""",
    example="""Driver 550 with CUDA 13 wheels: `CUDA initialization failure with error: 35`.""",
    fix="""Upgrade the driver, or install builds for an older CUDA.""",
    shows=Stack({"driver": "550.54.14", "cuda_users": [{"name": "torch", "version": "2.13.0", "cuda": "13.0"}]}),
    quiet=Stack({"driver": "580.95.05", "cuda_users": [{"name": "torch", "version": "2.13.0", "cuda": "13.0"}]}),
)

GPU_NOT_SUPPORTED = StackKind(
    id="stack/gpu-not-supported",
    summary="A TensorRT that does not know the GPU",
    title="{tensorrt} does not support {gpu}",
    cause="""Each TensorRT supports a range of architectures.""",
    evidence="""GPU, compute capability, the range.""",
    example="""`Target GPU SM 120 is not supported by this TensorRT release`.""",
    fix="""TensorRT 10.8 or newer for Blackwell.""",
    shows=Stack(
        {
            "driver": "580.95.05",
            "gpus": [{"name": "RTX 5090", "architecture": 120, "memory": 24 << 30}],
            "tensorrts": [("TensorRT", "10.4.0")],
        }
    ),
    quiet=Stack(
        {
            "driver": "580.95.05",
            "gpus": [{"name": "RTX 5090", "architecture": 120, "memory": 24 << 30}],
            "tensorrts": [("TensorRT", "10.16.0")],
        }
    ),
)

CUDA_AND_GPU = StackKind(
    id="stack/cuda-and-gpu",
    summary="A library without code for the GPU",
    title="{libraries} has no code for {gpu}",
    cause="""It was compiled with a CUDA that does not know the GPU yet, or no longer.""",
    evidence="""GPU, library, CUDA version.""",
    example="""`no kernel image is available for execution on the device`.""",
    fix="""A build for another CUDA.""",
    shows=Stack(
        {
            "driver": "580.95.05",
            "gpus": [{"name": "RTX 5090", "architecture": 120, "memory": 24 << 30}],
            "cuda_users": [{"name": "torch", "version": "2.6.0", "cuda": "12.4"}],
        }
    ),
    quiet=Stack(
        {
            "driver": "580.95.05",
            "gpus": [{"name": "RTX 5090", "architecture": 120, "memory": 24 << 30}],
            "cuda_users": [{"name": "torch", "version": "2.6.0", "cuda": "12.8"}],
        }
    ),
)

TWO_ONNXRUNTIMES = StackKind(
    id="stack/two-onnxruntimes",
    summary="Two ONNX Runtimes side by side",
    title="{packages} are both installed",
    cause="""Both packages write the same files; the one installed last wins.""",
    evidence="""Both distributions.""",
    example="""`pip install onnxruntime` pulled in by another package beside onnxruntime-gpu.""",
    fix="""Uninstall all, install one.""",
    shows=Stack({"onnxruntimes": [("onnxruntime", "1.32.0"), ("onnxruntime-gpu", "1.31.0")]}),
    quiet=Stack({"onnxruntimes": [("onnxruntime-gpu", "1.31.0")]}),
)

PROVIDER_LIBRARY_MISSING = StackKind(
    id="stack/provider-library-missing",
    summary="A GPU provider that cannot be loaded",
    title="ONNX Runtime's {provider} provider cannot be loaded",
    severities=(Severity.ERROR, Severity.WARNING),
    cause="""A library it needs is not found; ONNX Runtime falls back to the CPU.""",
    evidence="""The provider, the missing .so, what is there instead.""",
    example="""`libnvinfer.so.10: cannot open shared object file`.""",
    fix="""Install that major version; `onnxruntime.preload_dlls()`; LD_LIBRARY_PATH.""",
    shows=Stack(
        {
            "onnxruntimes": [("onnxruntime-gpu", "1.31.0")],
            "providers": [{"name": "tensorrt", "missing": ["libnvinfer.so.10"], "in_wheels": []}],
        }
    ),
    quiet=Stack(
        {
            "onnxruntimes": [("onnxruntime-gpu", "1.31.0")],
            "providers": [{"name": "tensorrt", "missing": [], "in_wheels": []}],
        }
    ),
)

MIXED_TENSORRT = StackKind(
    id="stack/mixed-tensorrt",
    summary="Parts of TensorRT of different versions",
    title="Parts of {family} are of different versions",
    cause="""Bindings and libraries must be of one version.""",
    evidence="""The wheels.""",
    example="""An upgrade of `tensorrt` alone.""",
    fix="""Reinstall at one version.""",
    shows=Stack({"wheel_parts": [("tensorrt-cu13", "10.16.0"), ("tensorrt-cu13-libs", "10.15.1")]}),
    quiet=Stack({"wheel_parts": [("tensorrt-cu13", "10.16.0"), ("tensorrt-cu13-libs", "10.16.0")]}),
)

TWO_TENSORRTS = StackKind(
    id="stack/two-tensorrts",
    summary="A second TensorRT on the system",
    title="Two TensorRTs: {version} in Python, {library} on the system",
    severities=(Severity.WARNING,),
    cause="""A plan built by one cannot be loaded by the other.""",
    evidence="""Both versions.""",
    example="""TensorRT 10 in Python, libnvinfer.so.8 for C++.""",
    fix="""Build with the one that loads.""",
    shows=Stack({"tensorrts": [("TensorRT", "10.16.0")], "system_libraries": ["libnvinfer.so.8"]}),
    quiet=Stack({"tensorrts": [("TensorRT", "10.16.0")], "system_libraries": ["libnvinfer.so.10"]}),
)

MIXED_CUDA = StackKind(
    id="stack/mixed-cuda",
    summary="Builds for different CUDA versions together",
    title="CUDA {versions} in one environment",
    severities=(Severity.WARNING,),
    cause="""Two CUDA runtimes in one process.""",
    evidence="""Who is built for which.""",
    example="""torch for CUDA 13 with onnxruntime-gpu for CUDA 12.""",
    fix="""One CUDA version per environment.""",
    shows=Stack(
        {
            "cuda_users": [
                {"name": "torch", "version": "2.13.0", "cuda": "13.0"},
                {"name": "onnxruntime-gpu", "version": "1.31.0", "cuda": "12.8"},
            ]
        }
    ),
    quiet=Stack(
        {
            "cuda_users": [
                {"name": "torch", "version": "2.13.0", "cuda": "13.0"},
                {"name": "onnxruntime-gpu", "version": "1.31.0", "cuda": "13.0"},
            ]
        }
    ),
)

MIXED_CUDNN = StackKind(
    id="stack/mixed-cudnn",
    summary="Two major versions of cuDNN",
    severities=(Severity.WARNING,),
    cause="""Whoever loads second may get the wrong one.""",
    evidence="""Where each lies.""",
    example="""cuDNN 9 in a wheel, 8 on the system.""",
    fix="""Keep one.""",
    shows=Stack({"cudnns": [("nvidia-cudnn-cu12", "9"), ("libcudnn.so.8", "8")]}),
    quiet=Stack({"cudnns": [("nvidia-cudnn-cu12", "9"), ("libcudnn.so.9", "9")]}),
)

ONNX_NEWER_THAN_RUNTIME = StackKind(
    id="stack/onnx-newer-than-runtime",
    summary="onnx writes models ONNX Runtime cannot read",
    title="onnx {onnx} writes models {runtime} cannot read",
    severities=(Severity.WARNING,),
    cause="""The newest opset and IR version that onnx writes are above what ONNX Runtime reads.""",
    evidence="""What ONNX Runtime does not take.""",
    example="""onnx 1.23 with ONNX Runtime 1.18.""",
    fix="""Upgrade ONNX Runtime, or lower opset and IR version.""",
    shows=Stack(
        {
            "onnx": "1.23.2",
            "onnxruntimes": [("onnxruntime", "1.18.0")],
            "runtime_refuses": "IR version 14 is newer than 10",
        }
    ),
    quiet=Stack({"onnx": "1.23.2", "onnxruntimes": [("onnxruntime", "1.18.0")], "runtime_refuses": ""}),
)

UNTESTED_VERSION = StackKind(
    id="stack/untested-version",
    summary="A version that friction-tui was not tested with",
    title="{package} {version} was not tested with this friction-tui",
    severities=(Severity.NOTE,),
    cause="""
friction-tui is installed beside the onnx and torch of the environment whose export is debugged, and takes what it finds
there. Outside the versions it was tested with, shapes, exports and rewrites may come out otherwise.
""",
    evidence="""The installed version and those that were tested.""",
    example="""torch 2.9 in the project's environment, where 2.13 was tested.""",
    fix="""Nothing, as long as it works. Where it does not, try again in an environment with a tested version.""",
    shows=Stack({"onnx": "1.18.0"}),
    quiet=Stack({"onnx": "1.23.1"}),
)
