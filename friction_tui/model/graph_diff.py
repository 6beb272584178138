"""What differs between two versions of a model, without judging it.

Nodes are matched by the tensors they write, then by name, then by structure: same operator, attributes and inputs,
where a tensor counts as the same if the nodes that write it are matched. A node of another operator is another node,
even if it writes the same tensor.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import onnx
from onnx import AttributeProto, numpy_helper

from friction_tui.model.file.external import tensor_bytes
from friction_tui.model.graph import Graph, body_attributes, function_prefix
from friction_tui.model.inspect import attribute_text, value_text
from friction_tui.model.names import display_name, dtype_name, port
from friction_tui.vocabulary.protocol.differences import (
    Change,
    GraphDifference,
    ModelDifference,
    NodeChange,
    NodeFacts,
)

Pairs = list[tuple[int, int]]
"""(position before, position after) of matched nodes, by position before."""
_PLAIN = frozenset(getattr(AttributeProto, name) for name in ("INT", "STRING", "INTS", "FLOATS", "STRINGS"))
_SPELT_OUT = 8
"""Elements up to which a stored tensor's values are part of its text."""
_T = TypeVar("_T")


def model_diff(before: onnx.ModelProto, after: onnx.ModelProto) -> ModelDifference:
    """Compare two models, bodies of matched nodes included. External data is compared by where it lies."""
    return ModelDifference(
        graphs=tuple(_graph_diffs(before, after)),
        opsets=_changes(_opsets(before), _opsets(after), str),
        functions=_changes(_functions(before), _functions(after), _function_text),
        ir_version=None
        if before.ir_version == after.ir_version
        else Change("IR version", str(before.ir_version), str(after.ir_version)),
    )


def matched(before: Sequence[onnx.NodeProto], after: Sequence[onnx.NodeProto]) -> Pairs:
    """Which node of one graph is which of the other; each at most once."""
    left, right = set(range(len(before))), set(range(len(after)))
    pairs: dict[int, int] = {}

    def match(key_before: Callable[[int], object], key_after: Callable[[int], object]) -> None:
        unique = _unique((key_after(b), b) for b in sorted(right))
        for key, a in _unique((key_before(a), a) for a in sorted(left)).items():
            b = unique.get(key)
            if key is not None and b is not None:
                pairs[a] = b
                left.discard(a)
                right.discard(b)

    match(lambda a: _by_outputs(before[a]), lambda b: _by_outputs(after[b]))
    match(lambda a: _by_first_output(before[a]), lambda b: _by_first_output(after[b]))
    match(lambda a: _by_name(before[a]), lambda b: _by_name(after[b]))
    while left and right:
        known = len(pairs)
        outputs = (zip(before[a].output, after[b].output, strict=False) for a, b in pairs.items())
        names = {written: now for both in outputs for written, now in both}
        old = {a: _structure(before[a], names) for a in left}
        match(old.__getitem__, lambda b: _structure(after[b], {}))
        if len(pairs) == known:
            break
    return sorted(pairs.items())


def unmoved(pairs: Pairs) -> set[int]:
    """Positions before of a largest set of matched nodes that stand in the same order after."""
    tails: list[int] = []
    at: list[int] = []
    previous: list[int] = []
    for i, (_, b) in enumerate(pairs):
        place = bisect_left(tails, b)
        if place == len(tails):
            tails.append(b)
            at.append(i)
        else:
            tails[place], at[place] = b, i
        previous.append(at[place - 1] if place else -1)
    kept: set[int] = set()
    i = at[-1] if at else -1
    while i >= 0:
        kept.add(pairs[i][0])
        i = previous[i]
    return kept


def same_attribute(one: AttributeProto, other: AttributeProto) -> bool:
    """Whether two attributes have the same value; tensors may be stored in different fields."""
    if one == other:
        return True
    if one.type != other.type or one.ref_attr_name != other.ref_attr_name:
        return False
    if one.type == AttributeProto.TENSOR:
        return same_tensor(one.t, other.t)
    if one.type == AttributeProto.FLOAT:
        return one.f == other.f or (one.f != one.f and other.f != other.f)
    plain = (one.i, one.s, *one.ints, *one.floats, *one.strings) == (
        other.i,
        other.s,
        *other.ints,
        *other.floats,
        *other.strings,
    )
    return one.type in _PLAIN and plain


def same_tensor(one: onnx.TensorProto, other: onnx.TensorProto) -> bool:
    """Whether two stored tensors have the same type, dims and values, bit by bit."""
    if one == other:
        return True
    external = onnx.TensorProto.EXTERNAL
    if one.data_type != other.data_type or list(one.dims) != list(other.dims):
        return False
    if external in (one.data_location, other.data_location):
        places = [sorted((entry.key, entry.value) for entry in tensor.external_data) for tensor in (one, other)]
        return one.data_location == other.data_location and places[0] == places[1]
    if one.data_type == onnx.TensorProto.STRING:
        return list(one.string_data) == list(other.string_data)
    try:
        return numpy_helper.to_array(one).tobytes() == numpy_helper.to_array(other).tobytes()
    except (ValueError, TypeError, KeyError, AttributeError, RuntimeError):
        return False  # broken data is the same only if it is stored the same


def _graph_diffs(before: onnx.ModelProto, after: onnx.ModelProto) -> Iterable[GraphDifference]:
    pending: list[tuple[str, str, Graph, Graph]] = [("", "", before.graph, after.graph)]
    functions = {function_prefix(function): function for function in after.functions}
    for function in before.functions:
        prefix = function_prefix(function)
        if prefix in functions and functions[prefix] != function:
            pending.append((prefix, prefix, function, functions[prefix]))
    for prefix, prefix_after, one, other in pending:  # bodies are appended while it runs
        if one == other:
            continue
        pairs = matched(one.node, other.node)
        found = _graph_diff(prefix, prefix_after, one, other, pairs)
        if not found.empty:
            yield found
        for a, b in pairs:
            bodies = dict(body_attributes(other.node[b]))
            for name, body in body_attributes(one.node[a]):
                if name in bodies:
                    pending.append(
                        (f"{_path(prefix, a)}.{name}", f"{_path(prefix_after, b)}.{name}", body, bodies[name])
                    )


def _graph_diff(prefix: str, prefix_after: str, one: Graph, other: Graph, pairs: Pairs) -> GraphDifference:
    left, right = {a for a, _ in pairs}, {b for _, b in pairs}
    changed = []
    for a, b in pairs:
        attributes = _attribute_changes(one.node[a], other.node[b])
        before = _facts(one.node[a], _path(prefix, a))
        after = _facts(other.node[b], _path(prefix_after, b))
        same = (before.name, before.inputs, before.outputs) == (after.name, after.inputs, after.outputs)
        if attributes or not same:
            changed.append(NodeChange(before, after, attributes))
    difference = GraphDifference(
        graph=prefix,
        removed=tuple(_facts(node, _path(prefix, a)) for a, node in enumerate(one.node) if a not in left),
        added=tuple(_facts(node, _path(prefix_after, b)) for b, node in enumerate(other.node) if b not in right),
        changed=tuple(changed),
        moved=len(pairs) - len(unmoved(pairs)),
    )
    if not isinstance(one, onnx.GraphProto) or not isinstance(other, onnx.GraphProto):
        return difference
    stored = [{tensor.name: tensor for tensor in graph.initializer} for graph in (one, other)]
    for known, graph in zip(stored, (one, other), strict=True):
        known.update({sparse.values.name: sparse.values for sparse in graph.sparse_initializer})
    return GraphDifference(
        graph=prefix,
        removed=difference.removed,
        added=difference.added,
        changed=difference.changed,
        inputs=_changes(_ports(one.input), _ports(other.input), str),
        outputs=_changes(_ports(one.output), _ports(other.output), str),
        initializers=_changes(stored[0], stored[1], _tensor_text, same_tensor),
        moved=difference.moved,
    )


def _attribute_changes(one: onnx.NodeProto, other: onnx.NodeProto) -> tuple[Change, ...]:
    """Attributes that differ; what differs inside a body that both have is told of that body."""
    bodies = (AttributeProto.GRAPH, AttributeProto.GRAPHS)
    before, after = ({attribute.name: attribute for attribute in node.attribute} for node in (one, other))
    return _changes(
        before,
        after,
        attribute_text,
        lambda a, b: (a.type == b.type and a.type in bodies) or same_attribute(a, b),
    )


def _changes(
    before: dict[str, _T],
    after: dict[str, _T],
    text: Callable[[_T], str],
    same: Callable[[_T, _T], bool] = lambda a, b: a == b,
) -> tuple[Change, ...]:
    found = []
    for name in dict.fromkeys((*before, *after)):
        if name not in before or name not in after or not same(before[name], after[name]):
            old, new = (text(values[name]) if name in values else "" for values in (before, after))
            found.append(Change(name, old, new))
    return tuple(found)


def _facts(node: onnx.NodeProto, path: str) -> NodeFacts:
    return NodeFacts(
        path=path,
        name=display_name(node),
        op=_op(node),
        inputs=tuple(node.input),
        outputs=tuple(node.output),
        attributes={attribute.name: attribute_text(attribute) for attribute in node.attribute},
    )


def _op(node: onnx.NodeProto) -> str:
    return f"{node.domain}::{node.op_type}" if node.domain not in ("", "ai.onnx") else node.op_type


def _path(prefix: str, number: int) -> str:
    return f"{prefix}.{number}" if prefix else str(number)


def _opsets(model: onnx.ModelProto) -> dict[str, str]:
    return {entry.domain or "ai.onnx": str(entry.version) for entry in model.opset_import}


def _functions(model: onnx.ModelProto) -> dict[str, onnx.FunctionProto]:
    return {function_prefix(function): function for function in model.functions}


def _function_text(function: onnx.FunctionProto) -> str:
    return f"{len(function.node)} node{'s' * (len(function.node) != 1)}"


def _ports(values: Iterable[onnx.ValueInfoProto]) -> dict[str, str]:
    found = {}
    for value in values:
        one = port(value)
        sizes = (
            ("?",) if one.dims is None else (dim.symbol or "?" if dim.size is None else dim.size for dim in one.dims)
        )
        found[value.name] = f"{one.dtype}[{', '.join(map(str, sizes))}]"
    return found


def _tensor_text(tensor: onnx.TensorProto) -> str:
    text = f"{dtype_name(tensor.data_type)}{list(tensor.dims)}"
    count = 1
    for dim in tensor.dims:
        count *= dim
    if tensor.data_location == onnx.TensorProto.EXTERNAL or count > _SPELT_OUT:
        return f"{text} {tensor_bytes(tensor):,} bytes"
    try:
        return f"{text} {value_text(numpy_helper.to_array(tensor))}"
    except (ValueError, TypeError, KeyError, AttributeError, RuntimeError):
        return text


def _by_outputs(node: onnx.NodeProto) -> object:
    return (_op(node), *node.output) if any(node.output) else None


def _by_first_output(node: onnx.NodeProto) -> object:
    first = next((name for name in node.output if name), "")
    return (_op(node), first) if first else None


def _by_name(node: onnx.NodeProto) -> object:
    return (_op(node), node.name) if node.name else None


def _structure(node: onnx.NodeProto, names: dict[str, str]) -> object:
    """Operator, inputs as the other model calls them, attributes."""
    attributes = sorted(attribute.SerializeToString(deterministic=True) for attribute in node.attribute)
    return (_op(node), tuple(names.get(name, name) for name in node.input), len(node.output), tuple(attributes))


def _unique(items: Iterable[tuple[object, int]]) -> dict[object, int]:
    """Keys that occur once."""
    seen: dict[object, int] = {}
    twice = set()
    for key, number in items:
        if key in seen:
            twice.add(key)
        seen[key] = number
    return {key: number for key, number in seen.items() if key not in twice}
