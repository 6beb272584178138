"""Repairs of versions, and of operators that are not written in the form of the declared opset.

The schemas are those of the onnx package.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, defs, helper, numpy_helper

from friction_tui.model.opened import OpenedModel
from friction_tui.model.opset import OpsetRefused, convert
from friction_tui.model.versions import least_ir, newest_opset
from friction_tui.rewrites.base import CannotRewrite
from friction_tui.rewrites.editing import fresh_name
from friction_tui.rewrites.graph_parts import graphs_of
from friction_tui.rewrites.structure import repair

_BECAME_INPUT: dict[str, tuple[tuple[str, ...], int]] = {
    **dict.fromkeys(("Squeeze", "Unsqueeze", "ReduceSum"), (("axes",), 13)),
    **{
        f"Reduce{name}": (("axes",), 18)
        for name in ("Mean", "Max", "Min", "Prod", "L1", "L2", "LogSum", "LogSumExp", "SumSquare")
    },
    "Split": (("split",), 13),
    "TopK": (("k",), 10),
    "Dropout": (("ratio",), 12),
    "Reshape": (("shape",), 5),
    "Tile": (("repeats",), 6),
    "Expand": (("shape",), 8),
    "Upsample": (("scales",), 9),
    "Slice": (("starts", "ends", "axes"), 10),
    "Clip": (("min", "max"), 11),
    "Pad": (("pads", "value"), 11),
}
"""Operator: the attributes that became its inputs 1, 2 …, and since which opset (onnx's Changelog.md)."""


def complete_versions(_: OpenedModel, proto: onnx.ModelProto) -> int:
    """Import every domain that nodes use, each once, and declare an IR version that allows these opsets."""
    changed = 0
    newest: dict[str, int] = {}
    for entry in proto.opset_import:
        domain = "" if entry.domain == "ai.onnx" else entry.domain
        newest[domain] = max(entry.version, newest.get(domain, 0))
    changed += len(proto.opset_import) - len(newest)
    for domain in {_domain(node) for node in _nodes(proto)} - newest.keys():
        newest[domain] = _fitting_opset(proto, newest_opset()) if not domain else 1
        changed += 1
    if newest.get("", 0) > newest_opset():
        newest[""] = newest_opset()
        changed += 1
    del proto.opset_import[:]
    proto.opset_import.extend(helper.make_opsetid(domain, version) for domain, version in newest.items())
    needed = least_ir(newest[""]) if "" in newest else 3
    newest_ir = max(row[1] for row in helper.VERSION_TABLE)
    if not needed <= proto.ir_version <= newest_ir:
        proto.ir_version = max(needed, 8)
        changed += 1
    return changed


def _fitting_opset(proto: onnx.ModelProto, wish: int) -> int:
    """The newest opset up to `wish` at which every node has a valid form; `wish` where there is none."""
    return next((version for version in range(wish, 6, -1) if _all_valid(proto, version)), wish)


def raise_opset(_: OpenedModel, proto: onnx.ModelProto) -> int:
    """Declare the opset that the newest operators and forms need, the other nodes converted to it.

    Nodes that are newer than the declared opset are left as they are while the rest is converted.
    """
    opset = next((entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx")), 0)
    newer = [node for node in _nodes(proto) if _domain(node) == "" and not _valid(node, opset)]
    target = next(
        (version for version in range(opset + 1, newest_opset() + 1) if all(_valid(one, version) for one in newer)), 0
    )
    if not newer or not target:
        raise CannotRewrite("no opset has a valid form for every node")
    held: dict[str, onnx.NodeProto] = {}
    for number, node in enumerate(newer):
        held[f"held_{number}"] = onnx.NodeProto.FromString(node.SerializeToString())
        node.op_type, node.domain = f"held_{number}", _HELD
        del node.attribute[:]
    proto.opset_import.append(helper.make_opsetid(_HELD, 1))
    try:
        converted = convert(proto, target)
    except OpsetRefused as error:
        raise CannotRewrite(error.message) from None
    for node in _nodes(converted):
        if node.domain == _HELD:
            node.CopyFrom(held[node.op_type])
    kept = [entry for entry in converted.opset_import if entry.domain != _HELD]
    copies = [helper.make_opsetid(entry.domain, entry.version) for entry in kept]
    del converted.opset_import[:]
    converted.opset_import.extend(copies)
    proto.CopyFrom(converted)
    return len(newer)


_HELD = "friction_tui.held"
"""A domain that the converter does not know, so that it leaves these nodes alone."""


def move_attributes(_: OpenedModel, proto: onnx.ModelProto) -> int:
    """Give axes, pads and the like the form of the declared opset: an attribute in older ones, an input in newer."""
    opset = next((entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx")), 0)
    constants = {tensor.name: tensor for tensor in proto.graph.initializer}
    changed = 0
    for graph in graphs_of(proto.graph):
        for node in graph.node:
            names, since = _BECAME_INPUT.get(node.op_type, ((), 0)) if _domain(node) == "" else ((), 0)
            if not names:
                continue
            if opset >= since:
                changed += _to_inputs(proto, node, names)
            else:
                changed += _to_attributes(graph, node, names, constants)
    return changed


def _to_inputs(proto: onnx.ModelProto, node: onnx.NodeProto, names: tuple[str, ...]) -> int:
    given = {attribute.name: attribute for attribute in node.attribute if attribute.name in names}
    if not given or len(node.input) > 1:
        return 0
    for position, name in enumerate(names, start=1):
        attribute = given.get(name)
        while len(node.input) <= position:
            node.input.append("")
        if attribute is None:
            continue
        value = helper.get_attribute_value(attribute)
        floats = attribute.type in (AttributeProto.FLOAT, AttributeProto.FLOATS)
        array = np.array(value, np.float32 if floats else np.int64)
        if node.op_type == "TopK":
            array = array.reshape(1)
        constant = fresh_name(proto, f"{next(iter(node.output), node.name)}_{name}")
        proto.graph.initializer.append(numpy_helper.from_array(array, constant))
        node.input[position] = constant
    while len(node.input) > 1 and not node.input[-1]:
        node.input.pop()
    _keep_attributes(node, lambda attribute: attribute.name not in names)
    return len(given)


def _to_attributes(
    graph: onnx.GraphProto, node: onnx.NodeProto, names: tuple[str, ...], constants: dict[str, TensorProto]
) -> int:
    local = {tensor.name: tensor for tensor in graph.initializer}
    made = []
    for position, name in enumerate(names, start=1):
        source = node.input[position] if position < len(node.input) else ""
        if not source:
            continue
        tensor = local.get(source) or constants.get(source)
        if tensor is None:
            raise CannotRewrite(f"{name} of {node.name or node.op_type} is computed; this opset wants an attribute")
        values = numpy_helper.to_array(tensor)
        scalar = node.op_type in ("TopK", "Clip", "Dropout") or name == "value"
        made.append(
            helper.make_attribute(name, values.reshape(-1).tolist()[0] if scalar else values.reshape(-1).tolist())
        )
    if made:
        del node.input[1:]
        node.attribute.extend(made)
    return len(made)


def drop_attributes(model: OpenedModel, proto: onnx.ModelProto) -> int:
    """Remove attributes that the operator does not have at this opset, and repeats: engines read none of them."""
    opset = model.index.opsets.get("", 1)
    changed = 0
    for node in _nodes(proto):
        schema = _schema(node, opset)
        if schema is None:
            continue
        seen: set[str] = set()

        def known(attribute: AttributeProto, taken: set[str] = seen, names: object = schema.attributes) -> bool:
            first = attribute.name not in taken
            taken.add(attribute.name)
            return first and attribute.name in names  # type: ignore[operator]

        changed += _keep_attributes(node, known)
    return changed


def drop_dangling_inputs(model: OpenedModel, proto: onnx.ModelProto) -> int:
    """Leave out optional inputs that name a tensor which does not exist. Required ones stay."""
    opset = model.index.opsets.get("", 1)
    graph = proto.graph
    known = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
    known |= {sparse.values.name for sparse in graph.sparse_initializer}
    known |= {name for node in graph.node for name in node.output}
    changed = 0
    for node in graph.node:
        schema = _schema(node, opset)
        if schema is None:
            continue
        for position, name in enumerate(node.input):
            declared = schema.inputs[position] if position < len(schema.inputs) else None
            optional = declared is not None and declared.option == defs.OpSchema.FormalParameterOption.Optional
            if name and name not in known and optional:
                node.input[position] = ""
                changed += 1
        while node.input and not node.input[-1]:
            node.input.pop()
    return changed


def _nodes(proto: onnx.ModelProto) -> list[onnx.NodeProto]:
    return [node for graph in graphs_of(proto.graph) for node in graph.node]


def _domain(node: onnx.NodeProto) -> str:
    return "" if node.domain == "ai.onnx" else node.domain


def _schema(node: onnx.NodeProto, opset: int) -> defs.OpSchema | None:
    if _domain(node):
        return None
    try:
        return defs.get_schema(node.op_type, min(opset, newest_opset()))
    except defs.SchemaError:
        return None


def _valid(node: onnx.NodeProto, opset: int) -> bool:
    """Whether the operator exists at an opset with these attributes and numbers of inputs and outputs."""
    schema = _schema(node, opset)
    if schema is None or schema.deprecated:
        return bool(_domain(node))
    counts = schema.min_input <= len(node.input) <= schema.max_input and len(node.output) <= schema.max_output
    return counts and all(attribute.name in schema.attributes for attribute in node.attribute)


def _all_valid(proto: onnx.ModelProto, opset: int) -> bool:
    return all(_valid(node, opset) for node in _nodes(proto))


def _keep_attributes(node: onnx.NodeProto, wanted: Callable[[AttributeProto], bool]) -> int:
    """Keep only the attributes that are `wanted`; gives how many went."""
    kept = [AttributeProto.FromString(one.SerializeToString()) for one in node.attribute if wanted(one)]
    removed = len(node.attribute) - len(kept)
    if removed:
        del node.attribute[:]
        node.attribute.extend(kept)
    return removed


REWRITES = (
    repair("complete-versions", "declare the opsets and the IR version that the nodes need", complete_versions),
    repair("raise-opset", "declare the opset that the newest operator needs", raise_opset),
    repair("move-attributes", "write axes and sizes in the form of this opset", move_attributes),
    repair("drop-attributes", "remove attributes that the operator does not have", drop_attributes),
    repair("drop-dangling-inputs", "leave out optional inputs that do not exist", drop_dangling_inputs),
)
