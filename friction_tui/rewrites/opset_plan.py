"""What each opset would mean for a model, found by converting it there and asking the engine's parser about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping

import onnx

from friction_tui.engines.base import NEEDS_GPU, EngineCrashed, EngineMissing, Refusal
from friction_tui.engines.engine import Parses
from friction_tui.model.opened import OpenedModel, from_proto, weights_bytes
from friction_tui.model.opset import OpsetRefused, convert, opset_of
from friction_tui.model.versions import newest_opset, operator_exists
from friction_tui.rewrites.apply import with_weights
from friction_tui.rewrites.verification import verify
from friction_tui.rewrites.verifying import LARGEST, Point
from friction_tui.vocabulary.protocol import OpsetPlan

OLDEST = 7
"""ONNX Runtime runs models from opset 7 on: https://onnxruntime.ai/docs/reference/compatibility.html"""
PROVEN_BYTES = LARGEST // 8
"""Weights up to which each conversion is run beside the original: one run an opset, not one a session."""


def plans(
    model: OpenedModel,
    points: list[Point],
    parser: Parses | None,
    source: str,
    tell: Callable[[str], None] = lambda _: None,
) -> Iterator[OpsetPlan]:
    """A plan for each other opset, the nearest ones first. `parser` is asked, if there is one, `source` signs for it.

    `points` are the sizes and values to compare the outputs at, as far as the weights are small. `tell` hears which
    opset is being tried: `21 · 1 of 20`.
    """
    own = opset_of(model.proto)
    before = _refused(model, parser)
    small = weights_bytes(model) <= PROVEN_BYTES
    others = sorted(set(range(OLDEST, newest_opset() + 1)) - {own}, key=lambda opset: (abs(opset - own), -opset))
    for at, opset in enumerate(others, start=1):
        tell(f"{opset} · {at} of {len(others)}")
        try:
            converted = convert(model.proto, opset)
        except OpsetRefused as error:
            yield OpsetPlan(
                opset=opset,
                refusal=error.message,
                adapter=error.adapter,
                node=error.node_path,
                op=error.op,
                node_name=error.node_name,
            )
            continue
        after = from_proto(converted, model.path)
        refused = _refused(after, parser)
        holds, verification = _compared(model, converted, points if small else [])
        yield OpsetPlan(
            opset=opset,
            source=source,
            refused=len(refused),
            lost=tuple(f"{one.op} {one.name}: {one.text}" for key, one in refused.items() if key not in before),
            gained=tuple(f"{one.op} {one.name}" for key, one in before.items() if key not in refused),
            standard=_standard_there(model.proto, own, opset),
            became=_replaced(model.proto, converted),
            inputs=_attributes_that_became_inputs(model.proto, converted),
            holds=holds,
            verification=verification,
        )


def _refused(model: OpenedModel, parser: Parses | None) -> dict[str, Refusal]:
    """What the parser refuses, by the node's first output or the tensor: paths change with the opset."""
    try:
        found = parser.refusals(model) if parser is not None else []
    except (EngineMissing, EngineCrashed) as error:
        return {"": Refusal("", "model", "", "", str(error), "", "", "model", False, ())}
    by_path = model.index.by_path
    return {
        (by_path[one.path].outputs[:1] or ("",))[0] if one.path in by_path else one.tensor or one.name: one
        for one in found
        if one.code != NEEDS_GPU
    }


def _standard_there(proto: onnx.ModelProto, own: int, opset: int) -> tuple[str, ...]:
    """Operators of other domains that ONNX itself has in `opset`, and not in the model's own."""
    foreign = {node.op_type for node in proto.graph.node if node.domain not in ("", "ai.onnx")}
    return tuple(sorted(op for op in foreign if operator_exists(op, "", opset) and not operator_exists(op, "", own)))


def _replaced(before: onnx.ModelProto, after: onnx.ModelProto) -> tuple[str, ...]:
    """Operators that come and go, counted: `Upsample ×2 → Resize ×2`, `+ GroupNormalization ×4`."""
    counts = [
        Counter(node.op_type for node in model.graph.node if node.op_type != "Constant")  # holds what became an input
        for model in (before, after)
    ]
    gone, come = counts[0] - counts[1], counts[1] - counts[0]
    if not gone and not come:
        return ()
    if gone and come:
        return (f"{_counted(gone)} → {_counted(come)}",)
    return (f"{'−' if gone else '+'} {_counted(gone or come)}",)


def _attributes_that_became_inputs(before: onnx.ModelProto, after: onnx.ModelProto) -> tuple[str, ...]:
    """`axes of ReduceSum ×3`: attributes a node had whose values it reads from inputs now."""
    first = {node.output[0]: node for node in before.graph.node if node.output}
    moved: Counter[str] = Counter()
    for node in after.graph.node:
        was = first.get(node.output[0]) if node.output else None
        if was is None or was.op_type != node.op_type or len(node.input) <= len(was.input):
            continue
        names = {attribute.name for attribute in was.attribute} - {attribute.name for attribute in node.attribute}
        moved.update(f"{name} of {node.op_type}" for name in names)
    return tuple(f"{name} ×{count}" for name, count in sorted(moved.items()))


def _counted(operators: Mapping[str, int]) -> str:
    return ", ".join(f"{op} ×{count}" for op, count in sorted(operators.items()))


def _compared(model: OpenedModel, converted: onnx.ModelProto, points: list[Point]) -> tuple[bool | None, str]:
    """Whether the outputs stayed the same, None where nothing could be run, and that in words."""
    if not points:
        return None, "outputs not compared: the weights are large, or a size is not known"
    pair = []
    for proto in (model.proto, converted):
        whole = onnx.ModelProto()
        whole.CopyFrom(proto)
        try:
            pair.append(with_weights(whole, model.path))
        except (OSError, ValueError) as error:
            return None, f"outputs not compared: {error}"
    verification = verify(pair[0], pair[1], points[:1])
    return (verification.holds if verification.ran or verification.only_before else None), str(verification)
