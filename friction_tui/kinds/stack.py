"""The installed stack.

What `friction-tui doctor` finds. The limits are in `nvidia_versions.toml` with their sources.
"""

from friction_tui.kinds.examples import Shown
from friction_tui.kinds.kind import Kind
from friction_tui.vocabulary.finding import Severity, Tier

NO_DRIVER = Kind(
    id="stack/no-driver",
    summary="No NVIDIA driver",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""Nothing can run on a GPU; judging models and building with TensorRT-RTX works.""",
    evidence="""What the loader says.""",
    example="""A container started without `--gpus all`.""",
    fix="""Install the driver, or give the container the GPU.""",
    shows=Shown(""),
    quiet=Shown(""),
)

DRIVER_TOO_OLD = Kind(
    id="stack/driver-too-old",
    summary="The driver is too old for a CUDA version",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""Each CUDA major version needs a least driver.""",
    evidence="""Driver, what needs more, and how much.""",
    example="""Driver 550 with CUDA 13 wheels: `CUDA initialization failure with error: 35`.""",
    fix="""Upgrade the driver, or install builds for an older CUDA.""",
    shows=Shown(""),
    quiet=Shown(""),
)

GPU_NOT_SUPPORTED = Kind(
    id="stack/gpu-not-supported",
    summary="A TensorRT that does not know the GPU",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""Each TensorRT supports a range of architectures.""",
    evidence="""GPU, compute capability, the range.""",
    example="""`Target GPU SM 120 is not supported by this TensorRT release`.""",
    fix="""TensorRT 10.8 or newer for Blackwell.""",
    shows=Shown(""),
    quiet=Shown(""),
)

CUDA_AND_GPU = Kind(
    id="stack/cuda-and-gpu",
    summary="A library without code for the GPU",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""It was compiled with a CUDA that does not know the GPU yet, or no longer.""",
    evidence="""GPU, library, CUDA version.""",
    example="""`no kernel image is available for execution on the device`.""",
    fix="""A build for another CUDA.""",
    shows=Shown(""),
    quiet=Shown(""),
)

TWO_ONNXRUNTIMES = Kind(
    id="stack/two-onnxruntimes",
    summary="Two ONNX Runtimes side by side",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""They write the same files; the last one wins.""",
    evidence="""Both distributions.""",
    example="""`pip install onnxruntime` pulled in by another package beside onnxruntime-gpu.""",
    fix="""Uninstall all, install one.""",
    shows=Shown(""),
    quiet=Shown(""),
)

PROVIDER_LIBRARY_MISSING = Kind(
    id="stack/provider-library-missing",
    summary="A GPU provider that cannot be loaded",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""A library it needs is not found; ONNX Runtime falls back to the CPU.""",
    evidence="""The provider, the missing .so, what is there instead.""",
    example="""`libnvinfer.so.10: cannot open shared object file`.""",
    fix="""Install that major version; `onnxruntime.preload_dlls()`; LD_LIBRARY_PATH.""",
    shows=Shown(""),
    quiet=Shown(""),
)

MIXED_TENSORRT = Kind(
    id="stack/mixed-tensorrt",
    summary="Parts of TensorRT of different versions",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""Bindings and libraries must be of one version.""",
    evidence="""The wheels.""",
    example="""An upgrade of `tensorrt` alone.""",
    fix="""Reinstall at one version.""",
    shows=Shown(""),
    quiet=Shown(""),
)

TWO_TENSORRTS = Kind(
    id="stack/two-tensorrts",
    summary="A second TensorRT on the system",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""A plan built by one cannot be loaded by the other.""",
    evidence="""Both versions.""",
    example="""TensorRT 10 in Python, libnvinfer.so.8 for C++.""",
    fix="""Build with the one that loads.""",
    shows=Shown(""),
    quiet=Shown(""),
)

MIXED_CUDA = Kind(
    id="stack/mixed-cuda",
    summary="Builds for different CUDA versions together",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""Two CUDA runtimes in one process.""",
    evidence="""Who is built for which.""",
    example="""torch for CUDA 13 with onnxruntime-gpu for CUDA 12.""",
    fix="""One CUDA version per environment.""",
    shows=Shown(""),
    quiet=Shown(""),
)

MIXED_CUDNN = Kind(
    id="stack/mixed-cudnn",
    summary="Two major versions of cuDNN",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""Whoever loads second may get the wrong one.""",
    evidence="""Where each lies.""",
    example="""cuDNN 9 in a wheel, 8 on the system.""",
    fix="""Keep one.""",
    shows=Shown(""),
    quiet=Shown(""),
)

ONNX_NEWER_THAN_RUNTIME = Kind(
    id="stack/onnx-newer-than-runtime",
    summary="onnx writes models ONNX Runtime cannot read",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""Asked with a one-node model.""",
    evidence="""ONNX Runtime's own words.""",
    example="""onnx 1.23 with ONNX Runtime 1.18.""",
    fix="""Upgrade ONNX Runtime, or lower opset and IR version.""",
    shows=Shown(""),
    quiet=Shown(""),
)
