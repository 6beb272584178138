"""Fine on the TensorRT installed here, refused or computed differently by older ones: notes that name the version.

Each carries its source: the importers of onnx-tensorrt at its release branches, its docs/Changelog.md, the release
notes of TensorRT, or public threads. They reach TensorRT 11.5.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto

from friction_tui.kinds import older
from friction_tui.kinds.kind import Kind
from friction_tui.model.constants import constant_value
from friction_tui.model.graph import Node
from friction_tui.model.provenance import location_of
from friction_tui.model.shapes.profile import shape_operands
from friction_tui.model.shapes.tensors import UNKNOWN, TensorType, dims_text, tensor_type
from friction_tui.rules.check import Check
from friction_tui.rules.context import CheckContext
from friction_tui.rules.weights.stored_tensors import Stored, stored_tensors, values_of
from friction_tui.vocabulary.finding import Finding, Fix, Location, Severity
from friction_tui.vocabulary.recipe import POINTS

_INT32 = np.iinfo(np.int32)
_FOLLOWED = 64
"""Tensors that are looked at behind a node."""
_IMPORTERS = "importers of onnx-tensorrt by release branch, builtin_op_importers.cpp and onnxOpImporters.cpp"
_CLAMPED_ANYWAY = frozenset({"Slice", "Shape", "Size", "Loop", "Range"})
"""Readers for which a huge number only means `to the end`: clamping it changes nothing."""


class _Older(NamedTuple):
    """What an older TensorRT does with a node. `subject` fills the kind's title, `source` says who tells it.

    It holds for versions from `begins` on, all older ones where that is "", and before `until`.
    """

    kind: Kind
    until: str
    cause: str
    fixes: tuple[Fix | str, ...]
    source: str
    subject: str = ""
    begins: str = ""

    def holds_for(self, version: str) -> bool:
        """Whether the TensorRT `version`, such as `10.3`, does it."""
        return (not self.begins or _number(self.begins) <= _number(version)) and _number(version) < _number(self.until)


def check(context: CheckContext) -> Iterator[Finding]:
    """Notes, for nothing here is wrong for the target; errors where the recipe requires such a version."""
    model = context.model
    if model.file.kind != "onnx":
        return
    found: dict[tuple[Kind, str], tuple[_Older, list[Location]]] = {}
    for node in model.index.nodes:
        rule = _RULES.get(node.proto.op_type)
        one = rule(context, node) if rule and node.proto.domain in ("", "ai.onnx") else None
        if one:
            found.setdefault((one.kind, one.subject), (one, []))[1].append(location_of(model, node))
    for one, locations in found.values():
        yield _note(context, one, locations)
    yield from _int64(context)


def _changelog(version: str) -> str:
    return f"onnx-tensorrt docs/Changelog.md and release notes, TensorRT {version}"


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _note(context: CheckContext, found: _Older, locations: list[Location]) -> Finding:
    required = [version for version in context.recipe.required_tensorrt if found.holds_for(version)]
    must = f" friction.toml requires TensorRT {', '.join(required)}." if required else ""
    more = f" {len(locations) - 1} more nodes do the same." if len(locations) > 1 else ""
    return found.kind.finding(
        subject=found.subject,
        cause=found.cause + more + must,
        severity=Severity.ERROR if required else Severity.NOTE,
        locations=locations,
        fixes=found.fixes,
        evidence=(f"source: {found.source}",),
    )


def _attribute(node: Node, name: str) -> AttributeProto | None:
    return next((attribute for attribute in node.proto.attribute if attribute.name == name), None)


def _computed(context: CheckContext, node: Node, position: int) -> bool:
    """Whether an input is given and computed at run time."""
    inputs = node.proto.input
    if len(inputs) <= position or not inputs[position]:
        return False
    return constant_value(context.model, inputs[position], graph=node.graph) is None


def _upsample(context: CheckContext, node: Node) -> _Older | None:
    if not _computed(context, node, 1):
        return None
    return _Older(
        older.COMPUTED_SCALES,
        "8.4",
        f"Upsample {node.name} (opset 9) computes its scales from shapes. TensorRT before 8.4 wants them constant "
        "(`The scales input must be an initializer`); this one takes it.",
        ("Re-export at opset 11 or newer, where it becomes Resize with sizes.", "Fold the scales to a constant."),
        _IMPORTERS,
        subject="Upsample",
    )


def _resize(context: CheckContext, node: Node) -> _Older | None:
    outside = _attribute(node, "exclude_outside")
    if outside is not None and outside.i:
        return _Older(
            older.RESIZE_EXCLUDE_OUTSIDE,
            "8.5",
            f"Resize {node.name} has exclude_outside=1 (cubic weights outside the image are left out). TensorRT before "
            "8.5 knows neither the attribute nor cubic resizing; this one takes it.",
            ("Use exclude_outside=0, or mode linear, if the model must run on older versions.",),
            _IMPORTERS,
        )
    if _computed(context, node, 2) and not (len(node.proto.input) > 3 and node.proto.input[3]):
        return _Older(
            older.COMPUTED_SCALES,
            "8.4",
            f"Resize {node.name} computes its scales from shapes. TensorRT before 8.4 wants them constant (`Resize "
            "scales must be an initializer`); this one takes it.",
            (
                "Export at opset 11 or newer with sizes instead of scales (interpolate with size=).",
                "Fold them to a constant.",
            ),
            _IMPORTERS,
            subject="Resize",
        )
    return None


def _group_norm(context: CheckContext, node: Node) -> _Older | None:
    """Opset 21 has scale and bias per channel, opset 18 per group."""
    if context.model.index.opsets.get("", 0) < 21 or len(node.proto.input) < 2:
        return None
    return _Older(
        older.GROUP_NORM_21,
        "11.0",
        f"GroupNormalization {node.name} has its scale and bias per channel, as opset 21 defines it. TensorRT 10.x "
        "expects them per group, as opset 18 did (`scale dimensions not compatible for normalization`); this one "
        "takes them per channel.",
        (
            "For TensorRT 10 decompose it: Reshape, InstanceNormalization, Reshape, Mul, Add (an export at opset 17 "
            "does so).",
            "Upgrade to a TensorRT that takes opset 21; a per-group scale of ones and the real one as Mul behind "
            "works too.",
        ),
        "NVIDIA/TensorRT#4313",
    )


def _if(context: CheckContext, node: Node) -> _Older | None:
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
            return _Older(
                older.IF_RANKS,
                "11.0",
                f"The branches of If {node.name} return tensors of different rank ({len(first)} dimensions from the "
                f"then or else branch, {len(second)} from the other): the shape depends on the condition. TensorRT 10 "
                "and older want the same rank (`IIfConditionalOutputLayer inputs must have the same shape`); this one "
                "takes it when it can fold the condition.",
                (
                    "It usually is torch.squeeze(dim) on a size the exporter did not know: index with [:, 0] or use a "
                    "static shape, and the If disappears.",
                    "If the condition is constant for your shapes, fold it: onnxsim or onnxslim with fixed input "
                    "shapes remove it.",
                ),
                "release notes of TensorRT 10.11: the inputs must still have the same rank",
            )
        if any(None not in pair and pair[0] != pair[1] for pair in zip(first, second, strict=True)):
            return _Older(
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


def _scatter(context: CheckContext, node: Node) -> _Older | None:  # noqa: ARG001 - every rule has the same signature
    reduction = _attribute(node, "reduction")
    if reduction is None:
        return None
    value = reduction.s.decode("utf-8", "replace")
    if node.proto.op_type == "ScatterND" and value in ("", "none"):
        return _Older(
            older.SCATTER_REDUCTION_ATTRIBUTE,
            "10.8",
            f"ScatterND {node.name} has the attribute reduction={value!r}, which is the default. TensorRT 10.0 to "
            "10.7 refuse the attribute whatever its value (`Attribute reduction is not supported`); this one takes it.",
            ("Drop the attribute: it says what is the default anyway.",),
            _IMPORTERS,
            begins="10.0",
        )
    if node.proto.op_type == "ScatterElements" and value not in ("", "none"):
        return _Older(
            older.SCATTER_REDUCTION,
            "10.0",
            f"ScatterElements {node.name} has reduction={value}. TensorRT before 10.0 ignores it in silence and "
            "overwrites.",
            ("Use TensorRT 10.0 or newer.",),
            _changelog("10.0 EA"),
        )
    return None


def _top_k(context: CheckContext, node: Node) -> _Older | None:
    if not _computed(context, node, 1):
        return None
    return _Older(
        older.COMPUTED_K,
        "8.6",
        f"TopK {node.name} computes its K. TensorRT before 8.6 wants it constant (`only supports input K as an "
        "initializer`).",
        ("Use a constant K.",),
        _changelog("8.6 EA"),
    )


def _since(version: str) -> Callable[[CheckContext, Node], _Older | None]:
    """A rule for an operator that an older TensorRT does not have at all."""

    def rule(context: CheckContext, node: Node) -> _Older | None:  # noqa: ARG001 - every rule has the same signature
        op = node.proto.op_type
        return _Older(
            older.OPERATOR_SINCE,
            version,
            f"{op} {node.name} is supported from TensorRT {version} on; older versions say `No importer registered "
            f"for op: {op}`.",
            (f"Use TensorRT {version} or newer, or export at a lower opset, where it is decomposed.",),
            _changelog(version),
            subject=f"{op} needs TensorRT {version}",
        )

    return rule


def _form(op: str, name: str, form: str, version: str, fix: str, source: str) -> _Older:
    """A form of an operator that came later than the operator."""
    return _Older(
        older.OPERATOR_SINCE,
        version,
        f"{op} {form}: {name}. TensorRT takes that from {version} on; this one does.",
        (f"Use TensorRT {version} or newer.", fix),
        source,
        subject=f"{op} {form} needs TensorRT {version}",
    )


def _computed_axes(version: str, position: int = 3) -> Callable[[CheckContext, Node], _Older | None]:
    """A rule for an operator whose input `position`, the axes, must be constant in an older TensorRT."""

    def rule(context: CheckContext, node: Node) -> _Older | None:
        if not _computed(context, node, position):
            return None
        op = node.proto.op_type
        return _Older(
            older.OPERATOR_SINCE,
            version,
            f"{op} {node.name} computes its axes. TensorRT takes axes that are a tensor from {version} on; before that "
            "they must be an initializer.",
            (f"Use TensorRT {version} or newer, or constant axes.",),
            _changelog(version),
            subject=f"{op} with computed axes needs TensorRT {version}",
        )

    return rule


def _grid_sample(context: CheckContext, node: Node) -> _Older | None:
    """Volumes came with 11.2; the names that opset 20 gave the modes are not known to the importers before 11.2."""
    known = context.table.opt.inside(node.graph).types.get(node.proto.input[0]) if node.proto.input else None
    if known is not None and known.dims is not None and len(known.dims) == 5:
        fix = "Sample with Gather and arithmetic, or slice by slice."
        source = "release notes of TensorRT 11.2.1: GridSample 3D support"
        return _form("GridSample", node.name, "of volumes (5 dimensions)", "11.2", fix, source)
    mode = _attribute(node, "mode")
    value = mode.s.decode("utf-8", "replace") if mode is not None else ""
    if context.model.index.opsets.get("", 0) >= 20 and value in ("linear", "cubic"):
        return _Older(
            older.GRID_SAMPLE_MODE,
            "11.2",
            f"GridSample {node.name} has mode={value}, as opset 20 calls it. TensorRT 10.13 to 11.1, and TensorRT-RTX "
            "1.5, know the older names only and sample the nearest value instead, without a message: the results are "
            "wrong.",
            (
                Fix(f"Convert to opset 19, where the mode is bi{value}.", opset=19),
                "Use TensorRT 11.2 or newer, and compare results.",
            ),
            "onnx/onnx-tensorrt#1060 (seen with 11.1 and RTX 1.5), NVIDIA/TensorRT#4646 (with 10.13.3)",
            begins="10.13",
        )
    return _since("8.5")(context, node)


def _one_hot(context: CheckContext, node: Node) -> _Older | None:
    """A OneHot that computes a shape, as torch's older exporter writes repeat_interleave."""
    if not any(_computed(context, node, at) for at in range(3)) or not _decides_sizes(context, node):
        return None
    return _Older(
        older.OPERATOR_SINCE,
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


def _pow(context: CheckContext, node: Node) -> _Older | None:
    """A base of integers."""
    known = context.table.opt.inside(node.graph).types.get(node.proto.input[0]) if node.proto.input else None
    if known is None or known.dtype not in ("int32", "int64"):
        return None
    return _form(
        "Pow", node.name, f"with a base of {known.dtype}", "10.12", "Multiply, or Cast to float32.", _changelog("10.12")
    )


def _einsum(context: CheckContext, node: Node) -> _Older | None:  # noqa: ARG001 - every rule has the same signature
    """An ellipsis, or a diagonal (a letter twice in one operand)."""
    equation = _attribute(node, "equation")
    text = equation.s.decode("utf-8", "replace").replace(" ", "") if equation is not None else ""
    operands = text.partition("->")[0].split(",")
    diagonal = any(len(set(one.replace(".", ""))) < len(one.replace(".", "")) for one in operands)
    form = "with an ellipsis" if "..." in text else "of a diagonal" if diagonal else ""
    if not form:
        return None
    return _form(
        "Einsum", node.name, form, "10.12", "Write it as MatMul with Reshape and Transpose.", _changelog("10.12")
    )


def _squeeze(context: CheckContext, node: Node) -> _Older | None:
    """Squeeze without axes on a dynamic shape, or with computed ones."""
    given = (len(node.proto.input) > 1 and node.proto.input[1]) or _attribute(node, "axes") is not None
    if given:
        return _computed_axes("10.7", 1)(context, node)
    points = [context.table.at(point).inside(node.graph).types.get(node.inputs[0]) for point in POINTS]
    if len({one.dims for one in points if one is not None}) < 2:
        return None
    fix = "Name the axes: x.squeeze(dim=1)."
    source = "release notes of TensorRT 11.5; the importers before say `Cannot infer squeeze dimensions from a dynamic"
    return _form(
        "Squeeze", node.name, "without axes on a dynamic input", "11.5", fix, f"{source} shape` (NVIDIA/TensorRT#3420)"
    )


_RULES: dict[str, Callable[[CheckContext, Node], _Older | None]] = {
    "Upsample": _upsample,
    "Resize": _resize,
    "GroupNormalization": _group_norm,
    "If": _if,
    "ScatterND": _scatter,
    "ScatterElements": _scatter,
    "TopK": _top_k,
    "GridSample": _grid_sample,
    "RoiAlign": _since("8.5"),
    "NonMaxSuppression": _since("8.5"),
    "IsInf": _since("8.6"),
    "Hardmax": _since("9.2"),
    "DeformConv": _since("10.1"),
    "BlackmanWindow": _since("10.4"),
    "HammingWindow": _since("10.4"),
    "HannWindow": _since("10.4"),
    "STFT": _since("10.5"),
    "Attention": _since("10.14"),
    "RMSNormalization": _since("10.15"),
    "RotaryEmbedding": _since("10.15"),
    "TensorScatter": _since("10.15"),
    "Swish": _since("11.0"),
    "Slice": _computed_axes("10.3"),
    "Pad": _computed_axes("10.4"),
    "Unsqueeze": _computed_axes("10.7", 1),
    "Squeeze": _squeeze,
    "OneHot": _one_hot,
    "Pow": _pow,
    "Einsum": _einsum,
    "DFT": _since("11.2"),
}


def _int64(context: CheckContext) -> Iterator[Finding]:
    """int64 constants beyond int32, which TensorRT before 9.0 clamps."""
    for stored in stored_tensors(context.model):
        if stored.proto.data_type != TensorProto.INT64 or stored.bytes > 1 << 24:
            continue
        readers = [node for node, _ in stored.readers if node.proto.op_type not in _CLAMPED_ANYWAY]
        values = values_of(stored) if readers else None
        if values is None or not values.size:
            continue
        low, high = int(values.min()), int(values.max())
        if _INT32.min <= low and high <= _INT32.max:
            continue
        shown = high if high > _INT32.max else low
        yield _beyond_int32(context, stored, readers[0], shown)


def _beyond_int32(context: CheckContext, stored: Stored, reader: Node, shown: int) -> Finding:
    return _note(
        context,
        _Older(
            older.INT64_RANGE,
            "9.0",
            f"The int64 constant {stored.name} holds {shown}, outside the range of int32, and {reader.proto.op_type} "
            f"{reader.name} computes with it. This TensorRT has int64; before 9.0 every int64 became int32 and such a "
            f"value was clamped to {_INT32.max if shown > 0 else _INT32.min} with a warning.",
            (
                "For older versions use a smaller sentinel that fits int32 (such as 2147483647), or clip it.",
                "Use TensorRT 9.0 or newer.",
            ),
            _changelog("9.0 EA"),
            subject=stored.name,
        ),
        [stored.location(context.model)],
    )


CHECK = Check(
    "older TensorRT",
    "what older releases refuse",
    check,
    (
        older.COMPUTED_SCALES,
        older.COMPUTED_K,
        older.RESIZE_EXCLUDE_OUTSIDE,
        older.GROUP_NORM_21,
        older.IF_RANKS,
        older.IF_SIZES,
        older.GRID_SAMPLE_MODE,
        older.SCATTER_REDUCTION_ATTRIBUTE,
        older.SCATTER_REDUCTION,
        older.OPERATOR_SINCE,
        older.INT64_RANGE,
    ),
)
