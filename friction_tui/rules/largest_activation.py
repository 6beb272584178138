"""The tensor that costs most memory at the max of the ranges, where it is large enough to end in out-of-memory."""

from __future__ import annotations

import math
from collections.abc import Iterator

from friction_tui.kinds import performance
from friction_tui.model.provenance import location_of
from friction_tui.rules.check import Check
from friction_tui.rules.context import CheckContext
from friction_tui.rules.tensor_bytes import tensor_bytes
from friction_tui.vocabulary.finding import Finding, Severity
from friction_tui.vocabulary.recipe import Profile
from friction_tui.vocabulary.units import size_text

LARGE = 4_000_000_000
"""Bytes of one activation from which on it is worth a note: a sixth of a GPU of 24 GB, held beside its own input."""
TOO_LARGE = 288_000_000_000
"""Bytes that no GPU has: B300, https://www.nvidia.com/en-us/data-center/dgx-b300/, 288 GB."""
_POINTS = ("min", "opt", "max")


def check(context: CheckContext) -> Iterator[Finding]:
    """A note on the largest activation at max; a warning when no GPU holds it."""
    profile = context.recipe.profile
    if profile is None or context.model.file.kind != "onnx":
        return
    producer = context.model.index.producer
    at_max = {name: tensor_bytes(kind) or 0 for name, kind in context.table.at("max").types.items() if name in producer}
    largest = max(at_max, key=lambda name: at_max[name], default="")
    if not largest or at_max[largest] < LARGE:
        return
    node = producer[largest]
    sizes = [tensor_bytes(context.table.at(point).types.get(largest)) for point in _POINTS]
    memory = " · ".join(size_text(size) for size in sizes)
    dims = " × ".join(map(str, context.table.at("max").types[largest].sizes or ()))
    beyond = at_max[largest] > TOO_LARGE
    yield performance.LARGE_ACTIVATION.finding(
        op=node.proto.op_type,
        node=node.name,
        size=size_text(at_max[largest]),
        severity=Severity.WARNING if beyond else Severity.NOTE,
        cause=f"{largest}, the output of {node.proto.op_type} {node.name}, is the largest activation: {dims} at the "
        f"max of the ranges, {memory} of memory at min · opt · max{_growth(profile, sizes)}. Unless TensorRT fuses it "
        "away, it ends in out of memory, or in tactics skipped for insufficient memory"
        f"{': no GPU has as much' if beyond else ''}.",
        locations=(location_of(context.model, node),),
        fixes=(
            "Lower the max of the range to what is really fed; a size that is rare can have a profile of its own.",
            "Compute it in chunks, or fused: attention as scaled_dot_product_attention never stores its scores.",
            "fp16 or bf16 halves it.",
        ),
    )


def _growth(profile: Profile, sizes: list[int | None]) -> str:
    """`, growing with the square of L`, where one dimension alone varies from opt to max."""
    varying = {key: chosen for key, chosen in profile.ranges.items() if chosen.opt < chosen.max}
    _, at_opt, at_max = sizes
    if len(varying) != 1 or not at_opt or not at_max:
        return ""
    ((key, chosen),) = varying.items()
    power = (math.log(at_max) - math.log(at_opt)) / (math.log(chosen.max) - math.log(chosen.opt)) if chosen.opt else 0.0
    return f", growing with the square of {key}" if power > 1.5 else ""


CHECK = Check(
    "largest activation", "what costs most memory at the max of the ranges", check, (performance.LARGE_ACTIVATION,)
)
