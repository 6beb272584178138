"""Right results, wasted work: batch norms that could be folded, transposes that undo each other, huge activations."""

from __future__ import annotations

import math
from collections.abc import Iterator

from friction_tui.kinds import performance
from friction_tui.model.graph import Node
from friction_tui.model.opened import OpenedModel
from friction_tui.model.provenance import location_of
from friction_tui.rules.check import Check
from friction_tui.rules.context import CheckContext
from friction_tui.rules.tensor_bytes import tensor_bytes
from friction_tui.vocabulary.finding import Finding, Severity
from friction_tui.vocabulary.recipe import POINTS, Profile
from friction_tui.vocabulary.units import size_text

_ELEMENTWISE_NAMES = """
Relu LeakyRelu Sigmoid Tanh Elu Selu Celu Gelu Mish HardSwish HardSigmoid Softplus Clip Identity Cast Abs Neg
Exp Sqrt Erf
"""
_ELEMENTWISE = frozenset(_ELEMENTWISE_NAMES.split())
"""One tensor in, one out, each element for itself: a transpose can move through them."""


LARGE = 4_000_000_000
"""Bytes of one activation from which on it is worth a note: a sixth of a GPU of 24 GB, held beside its own input."""
TOO_LARGE = 288_000_000_000
"""Bytes that no GPU has: B300, https://www.nvidia.com/en-us/data-center/dgx-b300/, 288 GB."""


def check(context: CheckContext) -> Iterator[Finding]:
    """Notes on work that changes nothing in the result."""
    model = context.model
    if model.file.kind != "onnx":
        return
    yield from _batch_norms(model)
    yield from _transposes(model)


def _only_reader(model: OpenedModel, tensor: str) -> Node | None:
    """The one node that reads a tensor; None when several do or it is an output."""
    readers = model.index.consumers.get(tensor, [])
    if len(readers) != 1 or any(value.name == tensor for value in model.proto.graph.output):
        return None
    return readers[0]


def _batch_norms(model: OpenedModel) -> Iterator[Finding]:
    """BatchNormalization right behind a convolution, both with constant parameters."""
    known = model.index.initializers
    pairs: list[tuple[Node, Node]] = []
    for norm in model.index.main:
        if norm.proto.op_type != "BatchNormalization" or len(norm.proto.output) > 1:
            continue
        writer = model.index.producer.get(norm.proto.input[0]) if norm.proto.input else None
        if (
            writer is not None
            and writer.proto.op_type in ("Conv", "ConvTranspose")
            and _only_reader(model, norm.proto.input[0]) is norm
            and all(name in known for name in (*writer.proto.input[1:], *norm.proto.input[1:]) if name)
        ):
            pairs.append((writer, norm))
    if pairs:
        conv, norm = pairs[0]
        more = f" and {len(pairs) - 1} more pairs" if len(pairs) > 1 else ""
        yield performance.UNFOLDED_BATCH_NORM.finding(
            norms="1 BatchNorm" if len(pairs) == 1 else f"{len(pairs)} BatchNorms",
            cause=f"BatchNormalization (BN) {norm.name} follows {conv.proto.op_type} {conv.name}{more} with constant "
            "parameters and is not folded into its weights. TensorRT fuses the pair when it builds; other engines, "
            "and quantization tools that look at the Conv's weights, see two operators.",
            locations=tuple(location_of(model, node) for pair in pairs for node in pair),
            fixes=(
                "Export after model.eval() with constant folding, or fold (fuse) BN into Conv with onnxscript's "
                "optimizer or onnxslim; before quantization it should be.",
            ),
        )


def _permutation(node: Node) -> list[int] | None:
    return next((list(attribute.ints) for attribute in node.proto.attribute if attribute.name == "perm"), None)


def _transposes(model: OpenedModel) -> Iterator[Finding]:
    """Pairs of Transpose that cancel, next to each other or with element-wise operators between."""
    pairs: list[tuple[Node, Node]] = []
    for first in model.index.main:
        permutation = _permutation(first) if first.proto.op_type == "Transpose" else None
        if permutation is None or not first.proto.output:
            continue
        following = _only_reader(model, first.proto.output[0])
        for _ in range(16):
            if following is None or following.proto.op_type not in _ELEMENTWISE or not following.proto.output:
                break
            following = _only_reader(model, following.proto.output[0])
        if following is None or following.proto.op_type != "Transpose":
            continue
        second = _permutation(following)
        ordered = list(range(len(permutation)))
        if sorted(permutation) != ordered or second is None or sorted(second) != ordered:
            continue  # not permutations of these axes
        if [permutation[axis] for axis in second] == ordered:
            pairs.append((first, following))
    if pairs:
        first, second_node = pairs[0]
        shown = _permutation(first)
        nhwc = " It is the NHWC/NCHW sandwich of a TensorFlow export." if shown in ([0, 3, 1, 2], [0, 2, 3, 1]) else ""
        more = f", and {len(pairs) - 1} more pairs" if len(pairs) > 1 else ""
        yield performance.TRANSPOSE_PAIR.finding(
            pairs="1 pair" if len(pairs) == 1 else f"{len(pairs)} pairs",
            cause=f"Transpose {first.name} (perm {shown}) and Transpose {second_node.name} (perm "
            f"{_permutation(second_node)}) cancel each other{more}: the pair is redundant, and costs two copies of "
            f"the tensor where it is not removed.{nhwc}",
            locations=tuple(location_of(model, node) for pair in pairs for node in pair),
            fixes=(
                "Remove the pairs: export with tf2onnx --inputs-as-nchw (and --outputs-as-nchw), or optimize with "
                "onnxslim or tf2onnx's transpose optimizer, which fold them.",
            ),
        )


def largest_activation(context: CheckContext) -> Iterator[Finding]:
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
    sizes = [tensor_bytes(context.table.at(point).types.get(largest)) for point in POINTS]
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
    "performance", "what costs time without need", check, (performance.UNFOLDED_BATCH_NORM, performance.TRANSPOSE_PAIR)
)
LARGEST_ACTIVATION = Check(
    "largest activation",
    "what costs most memory at the max of the ranges",
    largest_activation,
    (performance.LARGE_ACTIVATION,),
)
