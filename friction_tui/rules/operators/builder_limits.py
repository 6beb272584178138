"""What TensorRT-RTX parses and then cannot build: known before the build from what was measured.

Observed with tensorrt_rtx 1.7.1 without a GPU, over the backend tests of the onnx package and one-node models.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from onnx import TensorProto

from friction_tui.kinds import operators
from friction_tui.model.constants import constant_value
from friction_tui.model.graph import Node
from friction_tui.model.provenance import location_of
from friction_tui.rules.check import Check
from friction_tui.rules.context import CheckContext
from friction_tui.rules.operators.operator_tables import support
from friction_tui.rules.types.element_types import type_in
from friction_tui.vocabulary.finding import Finding, Location, LocationKind, Tier
from friction_tui.vocabulary.recipe import POINTS

_LOW_PRECISION: dict[int, str] = {
    TensorProto.FLOAT8E4M3FN: "FP8",
    TensorProto.FLOAT4E2M1: "FP4",
    TensorProto.INT4: "INT4",
}
_LARGEST_K = 3840
"""`ITopKLayer`: `K exceeds the maximum value allowed (3840)`."""
_SMALLEST_HEAD = 12
"""Head size from which the fused kernels take 16-bit attention; 4 and 8 fail, 12 to 256 build."""


def check(context: CheckContext) -> Iterator[Finding]:
    """What the parser takes and the builder has no kernel for, operator by operator."""
    if not context.rtx or not context.engine:
        return
    refused = {refusal.path for refusal in context.refusals or ()}
    cast: set[str] = set()
    for node in context.model.index.nodes:
        op = node.proto.op_type
        if node.proto.domain not in ("", "ai.onnx") or node.path in refused:
            continue  # what the parser refuses never comes to the builder
        if op == "Attention":
            yield from _attention(context, node)
        elif op == "TopK":
            yield from _top_k(context, node)
        elif op == "OneHot":
            yield from _one_hot(context, node)
        elif op == "Pad":
            yield from _pad(context, node)
        elif op == "InstanceNormalization":
            yield from _instance_norm(context, node)
        elif op in ("RandomUniformLike", "RandomNormalLike"):
            yield from _random_scalar(context, node)
        elif op in ("Cast", "CastLike"):
            yield from _low_precision(context, node, cast)


def _source() -> str:
    return f"operator table ({support().rtx})"


def _attention(context: CheckContext, node: Node) -> Iterator[Finding]:
    """Only 16-bit attention has fused kernels; plain 3-D multi-head attention is taken apart and builds in any type."""
    inputs = list(node.proto.input)
    attributes = {attribute.name: attribute.i for attribute in node.proto.attribute}
    query = context.table.opt.types.get(inputs[0]) if inputs and not node.graph else None
    if query is None or not query.dims:
        return
    if len(inputs) > 6 and inputs[6] and query.dims[-2:-1] == (1,):
        return  # one step of decoding has a kernel of its own
    heads, groups = attributes.get("q_num_heads", 0), attributes.get("kv_num_heads", 0)
    masked = len(inputs) > 3 and bool(inputs[3])
    if len(query.dims) == 3 and not masked and not attributes.get("is_causal") and heads == groups:
        return
    width = query.dims[-1]
    size = width if len(query.dims) == 4 or not heads or width is None else width // heads
    if query.dtype in ("float16", "bfloat16") and (size is None or size >= _SMALLEST_HEAD):
        return
    why = f"its inputs are {query.dtype}" if query.dtype == "float32" else f"its head size is {size}"
    yield operators.NO_IMPLEMENTATION.finding(
        node=f"Attention {node.name}",
        cause=f"Attention {node.name} parses, and the builder has no implementation of it: {why}, and the fused "
        f"kernels take float16 and bfloat16 with heads of {_SMALLEST_HEAD} or more only. The operator is not supported "
        "in this form (`CHECK(composite_op->is_decomposable()) failed`).",
        source=_source(),
        locations=(location_of(context.model, node),),
        fixes=(
            "Build in float16 or bfloat16: convert the model's precision.",
            "Write it as MatMul, Softmax and MatMul: export at opset 22 or lower, which decomposes it.",
        ),
    )


def _top_k(context: CheckContext, node: Node) -> Iterator[Finding]:
    """A constant K beyond what the layer can do."""
    name = node.proto.input[1] if len(node.proto.input) > 1 else ""
    value = constant_value(context.model, name, 1, node.graph) if name else None
    k = int(value.ravel()[0]) if value is not None and value.size else 0
    k = k or next((attribute.i for attribute in node.proto.attribute if attribute.name == "k"), 0)
    if k > _LARGEST_K:
        yield operators.SIZE_LIMIT.finding(
            node=f"TopK {node.name}",
            size=f"{k} elements",
            cause=f"TopK {node.name} has K = {k}, larger than the limit of {_LARGEST_K}: it parses, and the builder "
            f"refuses it (`K exceeds the maximum value allowed ({_LARGEST_K})`).",
            source=_source(),
            locations=(location_of(context.model, node),),
            fixes=(
                f"Use a K of {_LARGEST_K} or smaller: keep fewer candidates (max_det, pre_nms_top_n), and re-export.",
                "Take the top elements of slices first, then the top of these; or sort outside the engine.",
            ),
        )


def _one_hot(context: CheckContext, node: Node) -> Iterator[Finding]:
    """A depth that is not known at the build."""
    depth = node.proto.input[1] if len(node.proto.input) > 1 else ""
    if not depth or not _varies(context, node, depth):
        return
    yield operators.NEEDS_CONSTANT.finding(
        nodes=f"OneHot {node.name}",
        tier=Tier.BUILDER,
        cause=f"OneHot {node.name} takes its depth from {depth}, which is not a constant: it parses, and the builder "
        "refuses it (`Depth input of IOneHotLayer must be a build time constant`).",
        source=_source(),
        locations=(location_of(context.model, node), Location(LocationKind.TENSOR, depth)),
        fixes=(
            "Make the depth constant: the number of classes, as an initializer; and re-export (num_classes=... in "
            "torch.nn.functional.one_hot).",
            "Compare the indices with Range(depth) instead: Equal(Unsqueeze(indices), Range), and a Cast.",
        ),
    )


def _pad(context: CheckContext, node: Node) -> Iterator[Finding]:
    """A fill value of several elements: ONNX wants a scalar, and neither the parser nor shape inference looks."""
    value = node.proto.input[2] if len(node.proto.input) > 2 else ""
    known = context.table.opt.inside(node.graph).types.get(value) if value else None
    sizes = known.sizes if known is not None else None
    if sizes is None or math.prod(sizes) <= 1:
        return
    yield operators.NO_IMPLEMENTATION.finding(
        node=f"Pad {node.name}",
        cause=f"Pad {node.name} takes its fill value from {value} of shape {list(sizes)}, and it has to be one number: "
        "it parses, and no kernel of the builder does it (`should have a fill value that is of rank 0 or is a "
        "singleton`).",
        source=_source(),
        locations=(location_of(context.model, node), Location(LocationKind.TENSOR, value)),
        fixes=("Give Pad a scalar constant_value.",),
    )


def _instance_norm(context: CheckContext, node: Node) -> Iterator[Finding]:
    """Several channels of one element each, at every size of the range."""
    name = node.proto.input[0] if node.proto.input else ""
    found = [context.table.at(point).inside(node.graph).types.get(name) for point in POINTS]
    shapes = [one.sizes for one in found if one is not None and one.sizes is not None and len(one.sizes) > 2]
    if len(shapes) < len(POINTS) or any(shape[1] == 1 or math.prod(shape[2:]) != 1 for shape in shapes):
        return
    yield operators.NO_IMPLEMENTATION.finding(
        node=f"InstanceNormalization {node.name}",
        cause=f"InstanceNormalization {node.name} normalizes {name} of shape {list(shapes[0])}, where a channel has 1 "
        "element: less its mean that is always 0, so the result is the bias. It parses, and the builder has no kernel.",
        source=_source(),
        locations=(location_of(context.model, node), Location(LocationKind.TENSOR, name)),
        fixes=(
            "Leave the normalization out there, or replace it by its bias: it makes everything before it have no "
            "effect, which the training cannot have meant.",
        ),
    )


def _random_scalar(context: CheckContext, node: Node) -> Iterator[Finding]:
    """A random number like a scalar; one of shape [1] builds."""
    name = node.proto.input[0] if node.proto.input else ""
    known = context.table.opt.inside(node.graph).types.get(name)
    if known is None or known.sizes != ():
        return
    op = node.proto.op_type
    yield operators.NO_IMPLEMENTATION.finding(
        node=f"{op} {node.name}",
        cause=f"{op} {node.name} is to give a number of the shape of {name}, a scalar: it parses, and no kernel of the "
        "builder does it. With one axis of size 1 it builds.",
        source=_source(),
        locations=(location_of(context.model, node), Location(LocationKind.TENSOR, name)),
        fixes=("Give it the shape [1], and squeeze the result.",),
    )


def _varies(context: CheckContext, node: Node, tensor: str) -> bool:
    """Whether a shape value differs between min, opt and max; an input's does unless its values are one."""
    points = [context.table.at(point).inside(node.graph).values.get(tensor) for point in POINTS]
    known = {tuple(value.ravel().tolist()) for value in points if value is not None}
    from_outside = any(value.name == tensor for value in context.model.index.inputs)
    return len(known) > 1 or (from_outside and not known)


def _low_precision(context: CheckContext, node: Node, named: set[str]) -> Iterator[Finding]:
    """FP8, FP4 and INT4 exist between QuantizeLinear and DequantizeLinear only; a Cast cannot make or read them.

    `named` are the tensors that a finding has named already, of which the Cast behind is not another.
    """
    ends = [(name, "makes") for name in node.proto.output[:1]] + [(name, "reads") for name in node.proto.input[:1]]
    for name, role in ends:
        dtype = _LOW_PRECISION.get(type_in(context.model, node.graph, name))
        constant = name in context.model.index.initializers
        if dtype is None or constant or name in named:
            continue
        named.add(name)
        yield operators.LOW_PRECISION_CAST.finding(
            node=f"{node.proto.op_type} {node.name}",
            role=role,
            dtype=dtype,
            cause=f"{node.proto.op_type} {node.name} {role} the {dtype} tensor {name}. TensorRT has {dtype} tensors "
            "only between QuantizeLinear and DequantizeLinear: the builder refuses one that is not produced or "
            "consumed by these.",
            source=_source(),
            locations=(location_of(context.model, node), Location(LocationKind.TENSOR, name)),
            fixes=(
                f"Use QuantizeLinear and DequantizeLinear with a scale of 1 instead of the Cast to or from {dtype}.",
                "Keep the border of the model in float16 or float32.",
            ),
        )
        return


CHECK = Check(
    "builder limits",
    "what parses and cannot be built",
    check,
    (
        operators.NO_IMPLEMENTATION,
        operators.SIZE_LIMIT,
        operators.NEEDS_CONSTANT,
        operators.LOW_PRECISION_CAST,
    ),
)
