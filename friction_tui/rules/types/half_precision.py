"""Where float16 runs out of range inside a graph: sums of squares, tiny epsilons, unguarded exponentials.

Reported only where the model, or the precision asked for, really computes in float16: the same patterns are harmless in
float32, and nearly every healthy transformer has them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from onnx import TensorProto

from friction_tui.kinds import precision
from friction_tui.model.constants import constant_value
from friction_tui.model.graph import Node
from friction_tui.model.opened import OpenedModel
from friction_tui.model.provenance import location_of
from friction_tui.rules.check import Check
from friction_tui.rules.context import CheckContext
from friction_tui.rules.types.element_types import type_in
from friction_tui.rules.weights.weights import FP16_LARGEST, FP16_SMALLEST
from friction_tui.vocabulary.finding import Finding, Location
from friction_tui.vocabulary.recipe import Precision

_SUMS = frozenset({"ReduceSumSquare", "ReduceL2", "ReduceLogSumExp", "ReduceSum", "ReduceMean"})
_SQUARES = frozenset({"Pow", "Mul"})
_DIVIDERS = frozenset({"Sqrt", "Div", "Reciprocal", "Pow", "Log"})


@dataclass(slots=True)
class _Found:
    """Nodes by hazard."""

    squares: list[Node] = field(default_factory=list)
    squaring: list[Node] = field(default_factory=list)
    """What makes the squares that are summed."""
    epsilons: list[tuple[Node, float]] = field(default_factory=list)
    exponentials: list[Node] = field(default_factory=list)
    masks: list[tuple[Node, float]] = field(default_factory=list)


def check(context: CheckContext) -> Iterator[Finding]:
    """Warnings for operators whose values leave float16's range, when the model computes in float16."""
    model = context.model
    if model.file.kind != "onnx":
        return
    everywhere, kept = context.recipe.precision is Precision.FP16, frozenset(context.recipe.keep_float32)
    found, otherwise = _Found(), _Found()
    for node in model.index.nodes:
        if (everywhere and node.name not in kept) or _in_half(model, node):
            _look(model, node, found)
        elif not everywhere and node.name not in kept:
            _look(model, node, otherwise)
        if node.proto.op_type == "Cast":
            _look_at_cast(model, node, found)
    if found.squares:
        yield _squares(model, found.squares, found.squaring)
    if found.epsilons:
        yield _epsilons(model, found.epsilons)
    if found.exponentials:
        yield _exponentials(model, found.exponentials)
    if found.masks:
        yield _masks(model, found.masks)
    yield from _if_converted(context, otherwise)


def _if_converted(context: CheckContext, found: _Found) -> Iterator[Finding]:
    """One line about a model in float32: what would be a warning each if it were float16."""
    if context.recipe.precision is not Precision.AS_EXPORTED:
        return
    hazards = {
        "sums of squares": found.squares,
        "epsilons that are 0": [node for node, _ in found.epsilons],
        "Exp without a bound": found.exponentials,
        "constants that are Inf": [node for node, _ in found.masks],
    }
    there = {words: nodes for words, nodes in hazards.items() if nodes}
    if there:
        listed = "; ".join(
            f"{words} ({nodes[0].proto.op_type} {nodes[0].name}{f' and {len(nodes) - 1} more' if nodes[1:] else ''})"
            for words, nodes in there.items()
        )
        yield precision.IF_CONVERTED.finding(
            hazards=f"{len(there)} hazard{'s' if len(there) > 1 else ''}",
            cause=f"In float32, as the model is, nothing is wrong. In fp16 (float16, half) there would be: {listed}.",
            locations=_locations(context.model, (node for nodes in there.values() for node in nodes)),
            fixes=_OTHERWISE,
        )


def _in_half(model: OpenedModel, node: Node) -> bool:
    """Whether the node's first input is a float16 tensor."""
    return bool(node.proto.input) and type_in(model, node.graph, node.proto.input[0]) == TensorProto.FLOAT16


def _look(model: OpenedModel, node: Node, found: _Found) -> None:
    op = node.proto.op_type
    square = _square_before(model, node) if op in _SUMS else None
    if square is not None or op in ("ReduceSumSquare", "ReduceL2", "LpNormalization"):
        found.squares.append(node)
        found.squaring.extend([] if square is None else [square])
    elif op == "Exp" and not _maximum_subtracted(model, node):
        found.exponentials.append(node)
    elif op in ("Add", "Max", "Clip") and _feeds_divider(model, node):
        small = _scalar(model, node)
        least = 0 if op == "Add" else np.nextafter(0, 1)  # a bound of 0 is meant so; a 0 that is added was more once
        if small is not None and least <= small < FP16_SMALLEST:
            found.epsilons.append((node, small))
    elif op in ("Add", "Mul", "Where"):
        large = _scalar(model, node)
        if large is not None and FP16_LARGEST < abs(large) < float("inf"):
            found.masks.append((node, large))


def _look_at_cast(model: OpenedModel, node: Node, found: _Found) -> None:
    """A constant that a Cast takes out of float16's range."""
    to = next((attribute.i for attribute in node.proto.attribute if attribute.name == "to"), 0)
    large = _scalar(model, node) if to == TensorProto.FLOAT16 else None
    if large is not None and FP16_LARGEST < abs(large) < float("inf"):
        found.masks.append((node, large))


def _scalar(model: OpenedModel, node: Node) -> float | None:
    """The first constant scalar among the node's inputs."""
    for name in node.proto.input:
        value = constant_value(model, name, 1, node.graph) if name else None
        if value is not None and value.dtype.kind == "f" and value.size == 1:
            return float(value.astype(np.float64).reshape(()))
    return None


def _square_before(model: OpenedModel, node: Node) -> Node | None:
    """The node that squares what a reduction sums, written as Pow(x, 2) or Mul(x, x)."""
    writer = model.index.writer_in(node.graph, node.proto.input[0]) if node.proto.input else None
    if writer is None or writer.proto.op_type not in _SQUARES or len(writer.proto.input) < 2:
        return None
    first, second = writer.proto.input[:2]
    squares = first == second if writer.proto.op_type == "Mul" else _scalar(model, writer) == 2.0
    return writer if squares else None


def _maximum_subtracted(model: OpenedModel, node: Node) -> bool:
    """Whether the exponent is bounded: x - max(x), a negated or squashed value, a log-probability."""
    writer = model.index.writer_in(node.graph, node.proto.input[0])
    return writer is not None and writer.proto.op_type in ("Sub", "Neg", "LogSoftmax", "Clip", "Min", "Tanh", "Sigmoid")


def _feeds_divider(model: OpenedModel, node: Node) -> bool:
    """Whether something divides by what the node makes, or takes its root or logarithm."""
    readers = model.index.consumers_in(node.graph) if node.graph else model.index.consumers
    return any(
        reader.proto.op_type in _DIVIDERS and (reader.proto.op_type != "Div" or reader.proto.input[1:2] == [name])
        for name in node.proto.output
        for reader in readers.get(name, ())
    )


_OTHERWISE = (
    "Keep these nodes in fp32 (mixed precision); `friction-tui precision`, or the search under t, finds which.",
    "Use bf16 instead of fp16: it has the range of fp32.",
)


def _more(nodes: Sequence[object]) -> str:
    return f" {len(nodes)} nodes are concerned." if len(nodes) > 1 else ""


def _locations(model: OpenedModel, nodes: Iterable[Node]) -> Iterable[Location]:
    return dict.fromkeys(location_of(model, node) for node in nodes)


def _squares(model: OpenedModel, nodes: list[Node], squaring: list[Node]) -> Finding:
    first = nodes[0]
    return precision.SUM_OF_SQUARES.finding(
        cause=f"{first.proto.op_type} {first.name} sums squares in fp16 (float16, half), whose largest number is "
        f"{FP16_LARGEST:g}: a value of 256 squared already overflows to Inf, and the layer gives NaN. It is how a "
        "LayerNorm or RMSNorm looks that was exported in pieces (`Running layernorm after self-attention in FP16 may "
        f"cause overflow`).{_more(nodes)}",
        locations=_locations(model, (*nodes, *squaring)),
        fixes=(
            "Export at opset 17 or newer, where it is one LayerNormalization that TensorRT computes safely.",
            *_OTHERWISE,
        ),
    )


def _epsilons(model: OpenedModel, found: list[tuple[Node, float]]) -> Finding:
    node, small = found[0]
    if small:
        added = f"the epsilon {small:g} in fp16 (float16, half), where it underflows to 0"
    else:
        added = "0 in fp16 (float16, half): an epsilon (eps) that underflowed when the model was converted"
    return precision.EPSILON_UNDERFLOW.finding(
        epsilon=f"An epsilon of {small:g} is" if small else "An epsilon has become",
        cause=f"{node.proto.op_type} {node.name} adds {added}; the smallest fp16 number is {FP16_SMALLEST:.3g}. What "
        f"follows divides by it or takes its root, and gives Inf or NaN.{_more(found)}",
        locations=_locations(model, (node for node, _ in found)),
        fixes=("Use a larger epsilon, such as 1e-5.", *_OTHERWISE),
    )


def _exponentials(model: OpenedModel, nodes: list[Node]) -> Finding:
    return precision.EXPONENTIAL.finding(
        cause=f"Exp {nodes[0].name} has an input without a bound; in fp16 (float16, half) it overflows to Inf from "
        f"11.1 on.{_more(nodes)}",
        locations=_locations(model, nodes),
        fixes=("Subtract the maximum first, use Softmax or LogSumExp, or clamp the input.", *_OTHERWISE),
    )


def _masks(model: OpenedModel, found: list[tuple[Node, float]]) -> Finding:
    node, large = found[0]
    return precision.CONSTANT_OVERFLOW.finding(
        value=f"{large:.4g}",
        cause=f"{node.proto.op_type} {node.name} uses the constant {large:.4g}, beyond the largest fp16 (float16, "
        f"half) number {FP16_LARGEST:g}: it overflows to Inf, and a row that is masked altogether becomes NaN."
        f"{_more(found)}",
        locations=_locations(model, (node for node, _ in found)),
        fixes=("Use a mask value that fp16 holds, such as -1e4 or -65504.", *_OTHERWISE),
    )


CHECK = Check(
    "half precision",
    "where float16 runs out of range inside the graph",
    check,
    (
        precision.SUM_OF_SQUARES,
        precision.EPSILON_UNDERFLOW,
        precision.EXPONENTIAL,
        precision.CONSTANT_OVERFLOW,
        precision.IF_CONVERTED,
    ),
)
