"""Forms of operators that older TensorRTs refuse, where types and sizes tell the form: notes that name the version."""

from __future__ import annotations

from collections.abc import Iterator

import onnx

from friction_tui.kinds import older
from friction_tui.model.graph import Node
from friction_tui.model.shapes.profile import shape_operands
from friction_tui.model.shapes.tensors import UNKNOWN, TensorType, dims_text, tensor_type
from friction_tui.rules.check import Check
from friction_tui.rules.context import CheckContext
from friction_tui.rules.operators.older_tensorrt import (
    Older,
    OlderRule,
    attribute_of,
    changelog,
    computed,
    older_notes,
)
from friction_tui.vocabulary.finding import Finding
from friction_tui.vocabulary.recipe import POINTS

_FOLLOWED = 64
"""Tensors that are looked at behind a node."""


def check(context: CheckContext) -> Iterator[Finding]:
    """Notes, for nothing here is wrong for the target; errors where the recipe requires such a version."""
    if context.model.file.kind == "onnx":
        yield from older_notes(context, _RULES)


def _form(op: str, name: str, form: str, version: str, fix: str, source: str) -> Older:
    """A form of an operator that came later than the operator."""
    return Older(
        older.FORM_SINCE,
        version,
        f"{op} {form}: {name}. TensorRT takes that from {version} on; this one does.",
        (f"Use TensorRT {version} or newer.", fix),
        source,
        subject=f"{op} {form} needs TensorRT {version}",
    )


def _if(context: CheckContext, node: Node) -> Older | None:
    """Branches whose outputs differ in rank, or in static dims."""
    shapes: list[list[tuple[int | None, ...] | None]] = []
    for prefix in context.model.index.bodies_of(node.path):
        graph = context.model.index.graphs[prefix]
        assert isinstance(graph, onnx.GraphProto)
        known = context.table.opt.inside(prefix).types
        shapes.append([_dims(value, known.get(value.name)) for value in graph.output])
    if len(shapes) != 2:
        return None
    for first, second in zip(*shapes, strict=False):
        if first is None or second is None:
            continue
        if len(first) != len(second):
            return None
        if any(None not in pair and pair[0] != pair[1] for pair in zip(first, second, strict=True)):
            return Older(
                older.IF_SIZES,
                "10.11",
                f"The branches of If {node.name} return tensors of different sizes, {dims_text(first)} and "
                f"{dims_text(second)}. TensorRT before 10.11 wants the same shape from both "
                "(`IIfConditionalOutputLayer inputs must have the same shape`); this one takes it.",
                (
                    "Compute both results at one size (pad the smaller one), or choose with Where.",
                    "If the condition is constant for your shapes, fold it, and the If disappears.",
                ),
                "release notes of TensorRT 10.11: inputs of IIfConditionalOutputLayer may have different shapes",
            )
    return None


def _dims(value: onnx.ValueInfoProto, known: TensorType | None) -> tuple[int | None, ...] | None:
    """The dims of a branch's output: those that were followed, else those that it declares."""
    if known is not None and known.dims is not None:
        return known.dims
    return tensor_type(value.type).dims


def _grid_sample(context: CheckContext, node: Node) -> Older | None:
    """Volumes, five dimensions."""
    known = context.table.opt.inside(node.graph).types.get(node.proto.input[0]) if node.proto.input else None
    if known is not None and known.dims is not None and len(known.dims) == 5:
        fix = "Sample with Gather and arithmetic, or slice by slice."
        source = "release notes of TensorRT 11.2.1: GridSample 3D support"
        return _form("GridSample", node.name, "of volumes (5 dimensions)", "11.2", fix, source)
    return None


def _one_hot(context: CheckContext, node: Node) -> Older | None:
    """A OneHot that computes a shape, as torch's older exporter writes repeat_interleave."""
    if not any(computed(context, node, at) for at in range(3)) or not _decides_sizes(context, node):
        return None
    return Older(
        older.FORM_SINCE,
        "10.8",
        f"OneHot {node.name} computes a shape. TensorRT up to 10.7 refuses that (`an IIOneHotLayer cannot be used to "
        "compute a shape tensor`); this one takes it.",
        (
            "Write torch.repeat_interleave(x, n, dim=0) as x.expand or torch.tile, and re-export.",
            "Use TensorRT 10.8 or newer.",
        ),
        "NVIDIA/TensorRT#4426 (10.7), NVIDIA-AI-IOT/nanosam#40 (10.3), BooHwang/segment_anything_tensorrt#4 (8.6)",
        subject="OneHot that computes a shape needs TensorRT 10.8",
    )


def _decides_sizes(context: CheckContext, node: Node) -> bool:
    """Whether sizes are made from the values of the first output of `node`, by way of integer tensors."""
    index, types = context.model.index, context.table.opt.inside(node.graph).types
    pending = list(node.proto.output[:1])
    seen: set[str] = set()
    while pending and len(seen) < _FOLLOWED:
        tensor = pending.pop()
        if tensor in seen or types.get(tensor, UNKNOWN).dtype not in ("int32", "int64"):
            continue
        seen.add(tensor)
        for reader in index.consumers.get(tensor, ()):
            if tensor in shape_operands(reader):
                return True
            if reader.proto.op_type not in ("Shape", "Size"):  # these read dims, no values
                pending.extend(reader.proto.output)
    return False


def _pow(context: CheckContext, node: Node) -> Older | None:
    """A base of integers."""
    known = context.table.opt.inside(node.graph).types.get(node.proto.input[0]) if node.proto.input else None
    if known is None or known.dtype not in ("int32", "int64"):
        return None
    return _form(
        "Pow", node.name, f"with a base of {known.dtype}", "10.12", "Multiply, or Cast to float32.", changelog("10.12")
    )


def _einsum(context: CheckContext, node: Node) -> Older | None:  # noqa: ARG001 - every rule has the same signature
    """An ellipsis, or a diagonal (a letter twice in one operand)."""
    equation = attribute_of(node, "equation")
    text = equation.s.decode("utf-8", "replace").replace(" ", "") if equation is not None else ""
    operands = text.partition("->")[0].split(",")
    diagonal = any(len(set(one.replace(".", ""))) < len(one.replace(".", "")) for one in operands)
    form = "with an ellipsis" if "..." in text else "of a diagonal" if diagonal else ""
    if not form:
        return None
    return _form(
        "Einsum", node.name, form, "10.12", "Write it as MatMul with Reshape and Transpose.", changelog("10.12")
    )


def _squeeze(context: CheckContext, node: Node) -> Older | None:
    """Squeeze without axes on a dynamic shape."""
    if (len(node.proto.input) > 1 and node.proto.input[1]) or attribute_of(node, "axes") is not None:
        return None
    points = [context.table.at(point).inside(node.graph).types.get(node.inputs[0]) for point in POINTS]
    if len({one.dims for one in points if one is not None}) < 2:
        return None
    fix = "Name the axes: x.squeeze(dim=1)."
    source = "release notes of TensorRT 11.5; the importers before say `Cannot infer squeeze dimensions from a dynamic"
    return _form(
        "Squeeze", node.name, "without axes on a dynamic input", "11.5", fix, f"{source} shape` (NVIDIA/TensorRT#3420)"
    )


_RULES: dict[str, OlderRule] = {
    "If": _if,
    "GridSample": _grid_sample,
    "OneHot": _one_hot,
    "Pow": _pow,
    "Einsum": _einsum,
    "Squeeze": _squeeze,
}

CHECK = Check("older forms", "forms that older releases refuse", check, (older.FORM_SINCE, older.IF_SIZES))
