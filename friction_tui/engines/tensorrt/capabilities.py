"""What the loaded TensorRT can do, asked of the module itself: names, never version numbers."""

from __future__ import annotations

from dataclasses import dataclass

from friction_tui.engines.tensorrt import module
from friction_tui.engines.tensorrt.module import Native

_WEAK_PRECISIONS = ("fp16", "bf16", "int8", "fp8")


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What one TensorRT can do.

    `targets` are the compute capabilities it can be told to build for, () where it builds for the GPU it finds.
    `precisions` are those it takes as builder flags (10.x); () where precision is an edit of the model.
    `strongly_typed` tells whether networks are always strongly typed. `cpu_only`: it was asked for a builder on this
    machine without a GPU and has one in its CPU-only mode.
    """

    name: str
    version: str
    targets: tuple[str, ...]
    precisions: tuple[str, ...]
    strongly_typed: bool
    cpu_only: bool = False


def members(trt: Native, enum: str) -> dict[str, Native]:
    """The members of an enum of the module by name; empty when this edition lacks the enum."""
    return dict(getattr(getattr(trt, enum, None), "__members__", {}))


def is_rtx(trt: Native) -> bool:
    """Whether `trt` is the RTX edition: only that one is told its target."""
    return hasattr(trt, "ComputeCapability")


def capabilities(trt: Native) -> Capabilities:
    """What `trt` can do. Pure introspection: creates nothing and needs no GPU."""
    rtx = is_rtx(trt)
    flags = members(trt, "BuilderFlag")
    precisions = tuple(name for name in _WEAK_PRECISIONS if name.upper() in flags)
    return Capabilities(
        name=module.RTX if rtx else module.ENTERPRISE,
        version=trt.__version__,
        targets=tuple(name for name in members(trt, "ComputeCapability") if name.startswith("SM")),
        precisions=precisions,
        strongly_typed=not precisions,
    )


def network_flags(trt: Native, *, strongly_typed: bool = False) -> int:
    """Flags for `Builder.create_network`, by name: the bit of STRONGLY_TYPED differs between versions.

    Explicit batch is the only mode since TensorRT 10, and its flag is gone from 11.
    """
    flag = members(trt, "NetworkDefinitionCreationFlag").get("STRONGLY_TYPED")
    return 1 << int(flag) if flag is not None and (strongly_typed or not capabilities(trt).precisions) else 0
