"""What the loaded TensorRT can do, asked of the module itself: names, never version numbers."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass, replace

from friction_tui.engines.base import EngineMissing
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


def _with_a_builder(trt: Native, known: Capabilities) -> Capabilities:
    """The same, of an enterprise edition on a machine without a GPU, after a builder was asked for."""
    from friction_tui.engines.tensorrt import native

    errors: list[str] = []
    try:
        native.builder(trt, native.logger(trt, lambda _, text: errors.append(text)), errors)
    except EngineMissing:
        return known
    return replace(known, cpu_only=native.is_cpu_only())


def main() -> None:
    """In a process of its own, given the name of a TensorRT: print them as JSON. A second argument: without a GPU."""
    trt = module.load(sys.argv[1])
    known = capabilities(trt)
    print(json.dumps(asdict(_with_a_builder(trt, known) if sys.argv[2:] and not known.targets else known)))
