"""Sequences and optionals of tensors replaced by the tensors themselves.

What a sequence holds at each point is followed through the graph; what reads it then reads the tensors: Split, Concat,
Slice and Gather, all exact. TensorRT has no type for sequences and optionals.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx

from friction_tui.model.graph import body_attributes
from friction_tui.model.opened import OpenedModel
from friction_tui.rewrites.base import CannotRewrite, Rewriter
from friction_tui.rewrites.bodies import body_constants, body_of, put_in
from friction_tui.rewrites.control_flow import keep_branch, write_out
from friction_tui.rewrites.graph_editor import GraphEditor
from friction_tui.rewrites.graph_parts import forget_shapes, remove_unused
from friction_tui.rewrites.known_values import KnownValues

_LARGEST = 256
"""Tensors up to which a sequence is written out."""


@dataclass(frozen=True, slots=True)
class Parts:
    """A sequence of the entries of a tensor along an axis, however many there are; `keep`: whether the axis stays."""

    tensor: str
    axis: int
    keep: bool


@dataclass(slots=True)
class _Held:
    """What is known of sequences (a list of tensors, or the parts of one) and of optionals ("" when empty) by name."""

    sequences: dict[str, list[str] | Parts] = field(default_factory=dict)
    optionals: dict[str, str] = field(default_factory=dict)


def plain_tensors(model: OpenedModel, paths: Sequence[str]) -> onnx.ModelProto:
    """A copy of the model without sequences and optionals.

    Raises CannotRewrite where one is an input or output of the model, or what it holds depends on values.
    """
    del paths
    proto = onnx.ModelProto()
    proto.CopyFrom(model.proto)
    for value in (*proto.graph.input, *proto.graph.output):
        if value.type.HasField("sequence_type") or value.type.HasField("optional_type"):
            raise CannotRewrite(f"{value.name}, an input or output of the model, is a sequence or optional")
    editor = GraphEditor(proto, model.path.parent)
    if not _replace_all(proto.graph, editor, _Held()):
        raise CannotRewrite("no sequence or optional is left")
    forget_shapes(proto)
    remove_unused(proto)
    return proto


def _replace_all(graph: onnx.GraphProto, editor: GraphEditor, held: _Held) -> bool:
    """Replace them in a graph and its bodies; whether there were any."""
    changed, index = False, 0
    while index < len(graph.node):
        node = graph.node[index]
        make = _replacement(node, editor, held)
        if make is None:
            for _, body in body_attributes(node):
                inner = _Held(dict(held.sequences), dict(held.optionals))
                changed |= _replace_all(body, editor, inner)
                if any(value.name in inner.sequences or value.name in inner.optionals for value in body.output):
                    raise CannotRewrite(f"a body of {node.name or node.op_type} gives a sequence or optional")
            index += 1
            continue
        again = bool(body_attributes(node)) and node.op_type != "SequenceMap"
        before = len(graph.node)
        editor.place(graph, index, make)
        changed = True
        if again:  # the nodes of a loop or branch are looked at in turn
            editor.refresh()
        else:
            index += len(graph.node) - before + 1
    return changed


def _replacement(node: onnx.NodeProto, editor: GraphEditor, held: _Held) -> Callable[[], None] | None:
    """What adds the nodes in place of one that handles sequences or optionals, None for any other node."""
    if node.domain not in ("", "ai.onnx"):
        return None
    handler = _HANDLERS.get(node.op_type)
    if handler is not None:
        return lambda: handler(node, editor, held)
    given = any(name in held.sequences or name in held.optionals for name in node.input)
    if node.op_type == "Identity" and given:
        return lambda: _same(node, held)
    if node.op_type == "Loop" and given:
        return lambda: write_out(node, editor)
    if node.op_type == "If" and _gives_sequences(node):
        condition = KnownValues(editor).of(node.input[0])
        if condition is None:
            raise CannotRewrite(f"which sequence If {node.name} gives depends on values")
        taken = bool(condition.reshape(-1)[0])
        return lambda: keep_branch(node, editor, taken=taken)
    return None


def _gives_sequences(node: onnx.NodeProto) -> bool:
    return any(
        value.type.HasField("sequence_type") or value.type.HasField("optional_type")
        for _, body in body_attributes(node)
        for value in body.output
    )


def _same(node: onnx.NodeProto, held: _Held) -> None:
    source, result = node.input[0], node.output[0]
    if source in held.sequences:
        held.sequences[result] = held.sequences[source]
    if source in held.optionals:
        held.optionals[result] = held.optionals[source]


# --------------------------------------------------------------------------------------------------- sequences


def _of(name: str, held: _Held) -> list[str] | Parts:
    if name not in held.sequences:
        raise CannotRewrite(f"what the sequence {name} holds is not known")
    return held.sequences[name]


def _listed(name: str, held: _Held) -> list[str]:
    found = _of(name, held)
    if isinstance(found, Parts):
        raise CannotRewrite(f"the number of tensors in the sequence {name} is not fixed")
    return found


def _position(name: str, editor: GraphEditor) -> int:
    value = KnownValues(editor).of(name)
    if value is None:
        raise CannotRewrite(f"the position {name} in a sequence is computed at run time")
    return int(value.reshape(-1)[0])


def _empty(node: onnx.NodeProto, editor: GraphEditor, held: _Held) -> None:
    del editor
    held.sequences[node.output[0]] = []


def _construct(node: onnx.NodeProto, editor: GraphEditor, held: _Held) -> None:
    del editor
    held.sequences[node.output[0]] = list(node.input)


def _insert(node: onnx.NodeProto, editor: GraphEditor, held: _Held) -> None:
    items = list(_listed(node.input[0], held))
    place = _position(node.input[2], editor) if editor.input(node, 2) else len(items)
    items.insert(place, node.input[1])
    held.sequences[node.output[0]] = items


def _erase(node: onnx.NodeProto, editor: GraphEditor, held: _Held) -> None:
    items = list(_listed(node.input[0], held))
    place = _position(node.input[1], editor) if editor.input(node, 1) else -1
    if not -len(items) <= place < len(items):
        raise CannotRewrite(f"a sequence of {len(items)} has no position {place}")
    del items[place]
    held.sequences[node.output[0]] = items


def _split(node: onnx.NodeProto, editor: GraphEditor, held: _Held) -> None:
    """SplitToSequence as a Split of known sizes, or the entries of the tensor where it is split into single ones."""
    data, given, result = node.input[0], editor.input(node, 1), node.output[0]
    rank = editor.rank(data)
    axis = int(editor.attribute(node, "axis", 0)) % rank
    keep = bool(given) or bool(editor.attribute(node, "keepdims", 1))
    size = (editor.dims(data) or [])[axis]
    wanted = KnownValues(editor).of(given) if given else np.array(1)
    if wanted is None:
        raise CannotRewrite("the sizes of the split are computed at run time")
    if wanted.ndim == 0 and wanted == 1 and not (isinstance(size, int) and size <= _LARGEST):
        held.sequences[result] = Parts(data, axis, keep)
        return
    if wanted.ndim:
        sizes = [int(part) for part in wanted]
    elif isinstance(size, int):
        part = int(wanted)
        sizes = [part] * (size // part) + ([size % part] if size % part else [])
    else:
        raise CannotRewrite(f"the size of {data} along the split axis is not fixed")
    parts = editor.split(data, sizes, axis) if len(sizes) > 1 else [data]
    held.sequences[result] = parts if keep else [editor.squeeze(part, [axis]) for part in parts]


def _at(node: onnx.NodeProto, editor: GraphEditor, held: _Held) -> None:
    found, position, result = _of(node.input[0], held), node.input[1], node.output[0]
    if isinstance(found, Parts):
        where = editor.reshape(position, [1]) if found.keep else editor.reshape(position, [])
        editor.op("Gather", [found.tensor, where], result, axis=found.axis)
        return
    value = KnownValues(editor).of(position)
    if value is not None:
        place = int(value.reshape(-1)[0])
        if not -len(found) <= place < len(found):
            raise CannotRewrite(f"a sequence of {len(found)} has no position {place}")
        editor.op("Identity", [found[place]], result)
        return
    shapes = [editor.dims(item) for item in found]
    if not found or any(shape is None or None in shape or shape != shapes[0] for shape in shapes):
        raise CannotRewrite(f"the position {position} is computed, and the tensors are not known to have one shape")
    stacked = editor.concat([editor.unsqueeze(item, [0]) for item in found], 0)
    editor.op("Gather", [stacked, editor.reshape(position, [])], result, axis=0)


def _concat(node: onnx.NodeProto, editor: GraphEditor, held: _Held) -> None:
    found, axis = _of(node.input[0], held), int(editor.attribute(node, "axis"))
    new = bool(editor.attribute(node, "new_axis", 0))
    if not isinstance(found, Parts):
        if not found:
            raise CannotRewrite("an empty sequence is joined")
        editor.concat([editor.unsqueeze(item, [axis]) for item in found] if new else found, axis, node.output[0])
        return
    rank = editor.rank(found.tensor)
    if new == found.keep:
        raise CannotRewrite("a sequence of unknown length is joined along another axis than it was split")
    to = axis % rank
    if new and to != found.axis:
        order = [each for each in range(rank) if each != found.axis]
        order.insert(to, found.axis)
        editor.op("Transpose", [found.tensor], node.output[0], perm=order)
    elif to == found.axis:
        editor.op("Identity", [found.tensor], node.output[0])
    else:
        raise CannotRewrite("a sequence of unknown length is joined along another axis than it was split")


def _length(node: onnx.NodeProto, editor: GraphEditor, held: _Held) -> None:
    found = _of(node.input[0], held)
    if isinstance(found, Parts):
        editor.squeeze(editor.size(found.tensor, found.axis), [0], node.output[0])
    else:
        editor.op("Identity", [editor.const(np.array(len(found), np.int64))], node.output[0])


def _map(node: onnx.NodeProto, editor: GraphEditor, held: _Held) -> None:
    """SequenceMap: its body once for each tensor."""
    body = body_of(node, "body")
    lists = [list(_listed(name, held)) if name in held.sequences else name for name in node.input]
    results: list[list[str]] = [[] for _ in node.output]
    shared = body_constants(editor, body)
    for number, _ in enumerate(_listed(node.input[0], held)):
        given = {
            port.name: source if isinstance(source, str) else source[number]
            for port, source in zip(body.input, lists, strict=True)
        }
        made = put_in(editor, body, shared | given, f"{node.name}/{number}")
        for collected, name in zip(results, made, strict=True):
            collected.append(name)
    held.sequences.update(zip(node.output, results, strict=True))


# --------------------------------------------------------------------------------------------------- optionals


def _optional(node: onnx.NodeProto, editor: GraphEditor, held: _Held) -> None:
    held.optionals[node.output[0]] = source = editor.input(node, 0)
    if source in held.sequences:
        held.sequences[node.output[0]] = held.sequences[source]


def _get_element(node: onnx.NodeProto, editor: GraphEditor, held: _Held) -> None:
    source, result = node.input[0], node.output[0]
    if source in held.sequences:
        held.sequences[result] = held.sequences[source]
        return
    if source in held.optionals and not held.optionals[source]:
        raise CannotRewrite("the element of an empty optional is read")
    editor.op("Identity", [held.optionals.get(source, source)], result)


def _has_element(node: onnx.NodeProto, editor: GraphEditor, held: _Held) -> None:
    source = editor.input(node, 0)
    has = bool(held.optionals.get(source, source))
    editor.op("Identity", [editor.const(np.array(has))], node.output[0])


_HANDLERS: dict[str, Callable[[onnx.NodeProto, GraphEditor, _Held], None]] = {
    "SequenceEmpty": _empty,
    "SequenceConstruct": _construct,
    "SequenceInsert": _insert,
    "SequenceErase": _erase,
    "SplitToSequence": _split,
    "SequenceAt": _at,
    "ConcatFromSequence": _concat,
    "SequenceLength": _length,
    "SequenceMap": _map,
    "Optional": _optional,
    "OptionalGetElement": _get_element,
    "OptionalHasElement": _has_element,
}

REWRITES = (
    Rewriter(
        "plain-tensors",
        "use the tensors themselves instead of sequences and optionals",
        plain_tensors,
        ops=tuple(("", op) for op in _HANDLERS),
    ),
)
