"""Fine on the TensorRT installed here, refused or computed differently by older ones: notes that name the version.

Each carries its source: the importers of onnx-tensorrt at its release branches, its docs/Changelog.md, the release
notes of TensorRT, or public threads. They reach TensorRT 11.5.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple, TypeAlias

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto

from friction_tui.kinds import older
from friction_tui.kinds.kind import Kind
from friction_tui.model.constants import constant_value
from friction_tui.model.graph import Node
from friction_tui.model.provenance import location_of
from friction_tui.rules.check import Check
from friction_tui.rules.context import CheckContext
from friction_tui.rules.weights.stored_tensors import Stored, stored_tensors, values_of
from friction_tui.vocabulary.finding import Finding, Fix, Location, Severity

_INT32 = np.iinfo(np.int32)
_IMPORTERS = "importers of onnx-tensorrt by release branch, builtin_op_importers.cpp and onnxOpImporters.cpp"
_CLAMPED_ANYWAY = frozenset({"Slice", "Shape", "Size", "Loop", "Range"})
"""Readers for which a huge number only means `to the end`: clamping it changes nothing."""


class Older(NamedTuple):
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


OlderRule: TypeAlias = Callable[[CheckContext, Node], Older | None]


def check(context: CheckContext) -> Iterator[Finding]:
    """Notes, for nothing here is wrong for the target; errors where the recipe requires such a version."""
    if context.model.file.kind != "onnx":
        return
    yield from older_notes(context, _RULES)
    yield from _int64(context)


def changelog(version: str) -> str:
    """The source of what came with a version."""
    return f"onnx-tensorrt docs/Changelog.md and release notes, TensorRT {version}"


def older_notes(context: CheckContext, rules: Mapping[str, OlderRule]) -> Iterator[Finding]:
    """One note for what `rules`, by operator, say of the nodes; those of which the same is said are in one."""
    found: dict[tuple[Kind, str], tuple[Older, list[Location]]] = {}
    for node in context.model.index.nodes:
        rule = rules.get(node.proto.op_type)
        one = rule(context, node) if rule and node.proto.domain in ("", "ai.onnx") else None
        if one:
            found.setdefault((one.kind, one.subject), (one, []))[1].append(location_of(context.model, node))
    for one, locations in found.values():
        yield older_note(context, one, locations)


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def older_note(context: CheckContext, found: Older, locations: list[Location]) -> Finding:
    """The finding about `locations`: an error where the recipe requires a version that does it."""
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


def attribute_of(node: Node, name: str) -> AttributeProto | None:
    """An attribute of a node, None where it is not given."""
    return next((attribute for attribute in node.proto.attribute if attribute.name == name), None)


def computed(context: CheckContext, node: Node, position: int) -> bool:
    """Whether an input is given and computed at run time."""
    inputs = node.proto.input
    if len(inputs) <= position or not inputs[position]:
        return False
    return constant_value(context.model, inputs[position], graph=node.graph) is None


def _upsample(context: CheckContext, node: Node) -> Older | None:
    if not computed(context, node, 1):
        return None
    return Older(
        older.COMPUTED_SCALES,
        "8.4",
        f"Upsample {node.name} (opset 9) computes its scales from shapes. TensorRT before 8.4 wants them constant "
        "(`The scales input must be an initializer`); this one takes it.",
        ("Re-export at opset 11 or newer, where it becomes Resize with sizes.", "Fold the scales to a constant."),
        _IMPORTERS,
        subject="Upsample",
    )


def _resize(context: CheckContext, node: Node) -> Older | None:
    outside = attribute_of(node, "exclude_outside")
    if outside is not None and outside.i:
        return Older(
            older.RESIZE_EXCLUDE_OUTSIDE,
            "8.5",
            f"Resize {node.name} has exclude_outside=1 (cubic weights outside the image are left out). TensorRT before "
            "8.5 knows neither the attribute nor cubic resizing; this one takes it.",
            ("Use exclude_outside=0, or mode linear, if the model must run on older versions.",),
            _IMPORTERS,
        )
    if computed(context, node, 2) and not (len(node.proto.input) > 3 and node.proto.input[3]):
        return Older(
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


def _group_norm(context: CheckContext, node: Node) -> Older | None:
    """Opset 21 has scale and bias per channel, opset 18 per group."""
    if context.model.index.opsets.get("", 0) < 21 or len(node.proto.input) < 2:
        return None
    return Older(
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


def _if(context: CheckContext, node: Node) -> Older | None:
    """Branches whose outputs are declared with different ranks."""
    ranks: list[list[int | None]] = []
    for prefix in context.model.index.bodies_of(node.path):
        graph = context.model.index.graphs[prefix]
        assert isinstance(graph, onnx.GraphProto)
        ranks.append([_rank(value) for value in graph.output])
    if len(ranks) != 2:
        return None
    for first, second in zip(*ranks, strict=False):
        if first is not None and second is not None and first != second:
            return Older(
                older.IF_RANKS,
                "11.0",
                f"The branches of If {node.name} return tensors of different rank ({first} dimensions from the then "
                f"or else branch, {second} from the other): the shape depends on the condition. TensorRT 10 and older "
                "want the same rank (`IIfConditionalOutputLayer inputs must have the same shape`); this one takes it "
                "when it can fold the condition.",
                (
                    "It usually is torch.squeeze(dim) on a size the exporter did not know: index with [:, 0] or use a "
                    "static shape, and the If disappears.",
                    "If the condition is constant for your shapes, fold it: onnxsim or onnxslim with fixed input "
                    "shapes remove it.",
                ),
                "release notes of TensorRT 10.11: the inputs must still have the same rank",
            )
    return None


def _rank(value: onnx.ValueInfoProto) -> int | None:
    tensor = value.type.tensor_type
    return len(tensor.shape.dim) if tensor.HasField("shape") else None


def _scatter(context: CheckContext, node: Node) -> Older | None:  # noqa: ARG001 - every rule has the same signature
    reduction = attribute_of(node, "reduction")
    if reduction is None:
        return None
    value = reduction.s.decode("utf-8", "replace")
    if node.proto.op_type == "ScatterND" and value in ("", "none"):
        return Older(
            older.SCATTER_REDUCTION_ATTRIBUTE,
            "10.8",
            f"ScatterND {node.name} has the attribute reduction={value!r}, which is the default. TensorRT 10.0 to "
            "10.7 refuse the attribute whatever its value (`Attribute reduction is not supported`); this one takes it.",
            ("Drop the attribute: it says what is the default anyway.",),
            _IMPORTERS,
            begins="10.0",
        )
    if node.proto.op_type == "ScatterElements" and value not in ("", "none"):
        return Older(
            older.SCATTER_REDUCTION,
            "10.0",
            f"ScatterElements {node.name} has reduction={value}. TensorRT before 10.0 ignores it in silence and "
            "overwrites.",
            ("Use TensorRT 10.0 or newer.",),
            changelog("10.0 EA"),
        )
    return None


def _top_k(context: CheckContext, node: Node) -> Older | None:
    if not computed(context, node, 1):
        return None
    return Older(
        older.COMPUTED_K,
        "8.6",
        f"TopK {node.name} computes its K. TensorRT before 8.6 wants it constant (`only supports input K as an "
        "initializer`).",
        ("Use a constant K.",),
        changelog("8.6 EA"),
    )


def _since(version: str) -> OlderRule:
    """A rule for an operator that an older TensorRT does not have at all."""

    def rule(context: CheckContext, node: Node) -> Older | None:  # noqa: ARG001 - every rule has the same signature
        op = node.proto.op_type
        return Older(
            older.OPERATOR_SINCE,
            version,
            f"{op} {node.name} is supported from TensorRT {version} on; older versions say `No importer registered "
            f"for op: {op}`.",
            (f"Use TensorRT {version} or newer, or export at a lower opset, where it is decomposed.",),
            changelog(version),
            subject=f"{op} needs TensorRT {version}",
        )

    return rule


def _computed_axes(version: str, position: int = 3) -> OlderRule:
    """A rule for an operator whose input `position`, the axes, must be constant in an older TensorRT."""

    def rule(context: CheckContext, node: Node) -> Older | None:
        if not computed(context, node, position):
            return None
        op = node.proto.op_type
        return Older(
            older.OPERATOR_SINCE,
            version,
            f"{op} {node.name} computes its axes. TensorRT takes axes that are a tensor from {version} on; before that "
            "they must be an initializer.",
            (f"Use TensorRT {version} or newer, or constant axes.",),
            changelog(version),
            subject=f"{op} with computed axes needs TensorRT {version}",
        )

    return rule


def _grid_sample(context: CheckContext, node: Node) -> Older | None:
    """The names that opset 20 gave the modes, which the importers before 11.2 do not know."""
    mode = attribute_of(node, "mode")
    value = mode.s.decode("utf-8", "replace") if mode is not None else ""
    if context.model.index.opsets.get("", 0) >= 20 and value in ("linear", "cubic"):
        return Older(
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


_RULES: dict[str, OlderRule] = {
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
    "Squeeze": _computed_axes("10.7", 1),
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
    return older_note(
        context,
        Older(
            older.INT64_RANGE,
            "9.0",
            f"The int64 constant {stored.name} holds {shown}, outside the range of int32, and {reader.proto.op_type} "
            f"{reader.name} computes with it. This TensorRT has int64; before 9.0 every int64 became int32 and such a "
            f"value was clamped to {_INT32.max if shown > 0 else _INT32.min} with a warning.",
            (
                "For older versions use a smaller sentinel that fits int32 (such as 2147483647), or clip it.",
                "Use TensorRT 9.0 or newer.",
            ),
            changelog("9.0 EA"),
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
        older.GRID_SAMPLE_MODE,
        older.SCATTER_REDUCTION_ATTRIBUTE,
        older.SCATTER_REDUCTION,
        older.OPERATOR_SINCE,
        older.INT64_RANGE,
    ),
)
