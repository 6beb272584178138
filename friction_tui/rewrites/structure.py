"""Repairs of what breaks the ONNX specification in a graph: order, names, declarations.

The rules are https://github.com/onnx/onnx/blob/main/docs/IR.md and the operators' schemas in the onnx package. Where
several readings are possible, the one that ONNX Runtime takes is kept, and the rewrite says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from friction_tui.model import onnx_native
from friction_tui.model.graph import body_attributes
from friction_tui.model.onnx_native import NativeRefused, NotAnswered
from friction_tui.model.opened import OpenedModel
from friction_tui.rewrites.base import CannotRewrite, Exactness, Rewriter
from friction_tui.rewrites.editing import copy_of, fresh_name
from friction_tui.rewrites.graph_parts import graph_at, graphs_of

Edit = Callable[[OpenedModel, onnx.ModelProto], int]
"""Changes the proto it is given and returns how many places it changed."""

LONGEST_NAME = 1024
"""Characters of a name that every TensorRT takes; 4096 are too many for TensorRT-RTX 1.7.1."""


def repair(name: str, title: str, edit: Edit, exactness: Exactness = Exactness.EXACT, changes: str = "") -> Rewriter:
    """A rewrite of the whole model made of an edit that counts what it changed."""

    def run(model: OpenedModel, paths: Sequence[str]) -> onnx.ModelProto:
        del paths
        proto = copy_of(model)
        if not edit(model, proto):
            raise CannotRewrite("there is nothing to repair")
        return proto

    return Rewriter(name, title, run, exactness, changes)


# ------------------------------------------------------------------------------------------------ order and names


def sort_nodes(model: OpenedModel, proto: onnx.ModelProto) -> int:
    """Put the main graph's nodes, and those of each body, in topological order. A cycle has none."""
    if model.index.cycle:
        raise CannotRewrite("the graph has a cycle")
    changed = 0
    for prefix, graph in model.index.graphs.items():
        if not isinstance(graph, onnx.GraphProto):
            continue
        order = model.index.sorted_in(prefix)
        if order != list(range(len(order))):
            target = graph_at(proto, prefix)
            nodes = [target.node[number] for number in order]
            copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in nodes]
            del target.node[:]
            target.node.extend(copies)
            changed += 1
    return changed


def keep_first_initializer(_: OpenedModel, proto: onnx.ModelProto) -> int:
    """Of several initializers with one name the first stays, which is the one that ONNX Runtime takes."""
    seen: set[str] = set()
    kept = [tensor for tensor in proto.graph.initializer if tensor.name not in seen and not seen.add(tensor.name)]  # type: ignore[func-returns-value]
    removed = len(proto.graph.initializer) - len(kept)
    if removed:
        copies = [TensorProto.FromString(tensor.SerializeToString()) for tensor in kept]
        del proto.graph.initializer[:]
        proto.graph.initializer.extend(copies)
    return removed


def rename_second_writer(_: OpenedModel, proto: onnx.ModelProto) -> int:
    """Give what a second node writes under a used name a name of its own; nodes behind it read that one.

    This is the order in which the nodes stand, as a program would run. A graph output keeps its name: then the first
    writer's tensor is renamed.
    """
    changed = 0
    graph = proto.graph
    outputs = {value.name for value in graph.output}
    written = {tensor.name for tensor in graph.initializer} | {value.name for value in graph.input}
    last = {name: i for i, node in enumerate(graph.node) for name in node.output if name}
    current: dict[str, str] = {}
    for i, node in enumerate(graph.node):
        _rename_inputs(node, current)
        for position, name in enumerate(node.output):
            if not name:
                continue
            if name in written or (name in outputs and last[name] != i):
                changed += 1
                stays = name in outputs and last[name] == i and name not in _fixed(graph)
                new = name if stays else fresh_name(proto, f"{name}_written_again")
                node.output[position] = new
                current[name] = new
            else:
                current.pop(name, None)
            written.add(name)
    return changed


def _fixed(graph: onnx.GraphProto) -> set[str]:
    return {tensor.name for tensor in graph.initializer} | {value.name for value in graph.input}


def _rename_inputs(node: onnx.NodeProto, names: dict[str, str]) -> None:
    for i, name in enumerate(node.input):
        node.input[i] = names.get(name, name)
    for _, body in body_attributes(node):
        inner = {value.name for value in body.input} | {tensor.name for tensor in body.initializer}
        visible = {old: new for old, new in names.items() if old not in inner}
        for each in body.node:
            _rename_inputs(each, visible)
        for value in body.output:
            value.name = visible.get(value.name, value.name)


def rename_shadowed(_: OpenedModel, proto: onnx.ModelProto) -> int:
    """Give names of a body that hide a name outside of it a name of their own."""
    return _unshadow(proto.graph, set(), "")


def _unshadow(graph: onnx.GraphProto, outer: set[str], prefix: str) -> int:
    own = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
    own |= {name for node in graph.node for name in node.output if name}
    renamed = {name: f"{prefix}{name}" for name in own & outer} if prefix else {}
    if renamed:
        for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
            value.name = renamed.get(value.name, value.name)
        for node in graph.node:
            _rename_inputs(node, renamed)
            for i, name in enumerate(node.output):
                node.output[i] = renamed.get(name, name)
    visible = outer | {renamed.get(name, name) for name in own}
    inner = sum(
        _unshadow(body, visible, f"{prefix}{node.name or node.op_type}/{name}/")
        for node in graph.node
        for name, body in body_attributes(node)
    )
    return len(renamed) + inner


def shorten_names(_: OpenedModel, proto: onnx.ModelProto) -> int:
    """Cut names beyond `LONGEST_NAME` characters to their end, with a number in front. Inputs and outputs stay."""
    border = {value.name for value in (*proto.graph.input, *proto.graph.output)}
    short: dict[str, str] = {}

    def of(name: str) -> str:
        if len(name) <= LONGEST_NAME or name in border:
            return name
        return short.setdefault(name, f"n{len(short)}_{name[-64:]}")

    for graph in graphs_of(proto.graph):
        for value in (*graph.input, *graph.output, *graph.value_info, *graph.initializer):
            value.name = of(value.name)
        for node in graph.node:
            node.name = of(node.name)
            for names in (node.input, node.output):
                names[:] = [of(name) for name in names]
    return len(short)


def name_nodes(_: OpenedModel, proto: onnx.ModelProto) -> int:
    """Give nodes without a name, or with one that is taken, a name of their own."""
    used: set[str] = set()
    changed = 0
    for graph in graphs_of(proto.graph):
        for node in graph.node:
            if not node.name or node.name in used:
                wish, number = node.name or f"{node.op_type}_{next(iter(node.output), '')}", 1
                while f"{wish}_{number}" in used:
                    number += 1
                node.name = wish if wish not in used else f"{wish}_{number}"
                changed += 1
            used.add(node.name)
    return changed


# ------------------------------------------------------------------------------------------------- declarations


def dense_initializers(_: OpenedModel, proto: onnx.ModelProto) -> int:
    """Write sparse initializers and sparse constants out in full."""
    changed = 0
    for graph in graphs_of(proto.graph):
        for sparse in graph.sparse_initializer:
            graph.initializer.append(_dense(sparse))
            changed += 1
        del graph.sparse_initializer[:]
        for node in graph.node:
            sparse_value = next((one for one in node.attribute if one.name == "sparse_value"), None)
            if node.op_type == "Constant" and sparse_value is not None:
                value = helper.make_attribute("value", _dense(sparse_value.sparse_tensor))
                del node.attribute[:]
                node.attribute.append(value)
                changed += 1
    return changed


def _dense(sparse: onnx.SparseTensorProto) -> TensorProto:
    values, indices = numpy_helper.to_array(sparse.values), numpy_helper.to_array(sparse.indices)
    dense = np.zeros(tuple(sparse.dims), values.dtype)
    if indices.ndim == 1:
        dense.reshape(-1)[indices] = values
    else:
        dense[tuple(indices.T)] = values
    return numpy_helper.from_array(dense, sparse.values.name)


def drop_false_shapes(_: OpenedModel, proto: onnx.ModelProto) -> int:
    """Drop declared types and shapes of inner tensors, and declare outputs as the graph computes them."""
    changed = sum(len(graph.value_info) for graph in graphs_of(proto.graph))
    for graph in graphs_of(proto.graph):
        del graph.value_info[:]
    bare = onnx.ModelProto()
    bare.CopyFrom(proto)
    for output in bare.graph.output:
        output.type.Clear()
    try:
        inferred = {value.name: value for value in onnx_native.infer_shapes(bare, data_prop=True).graph.output}
    except (NativeRefused, NotAnswered) as error:
        raise CannotRewrite(f"the shapes cannot be worked out: {_first_line(error)}") from None
    for output in proto.graph.output:
        known = inferred.get(output.name)
        if known is not None and known.type.tensor_type.elem_type and _contradicts(output, known):
            output.type.CopyFrom(known.type)
            changed += 1
    return changed


def _contradicts(declared: onnx.ValueInfoProto, computed: onnx.ValueInfoProto) -> bool:
    mine, theirs = declared.type.tensor_type, computed.type.tensor_type
    if mine.elem_type != theirs.elem_type or not mine.HasField("shape"):
        return True
    if not theirs.HasField("shape"):
        return True
    sizes = zip(mine.shape.dim, theirs.shape.dim, strict=False)
    fixed = (a.dim_value != b.dim_value for a, b in sizes if a.HasField("dim_value") and b.HasField("dim_value"))
    return (
        len(mine.shape.dim) != len(theirs.shape.dim)
        or any(fixed)
        or any(
            a.HasField("dim_value") and not b.HasField("dim_value")
            for a, b in zip(mine.shape.dim, theirs.shape.dim, strict=False)
        )
    )


def separate_output(_: OpenedModel, proto: onnx.ModelProto) -> int:
    """Let an Identity write an output that is also an input or initializer: the output gets a name of its own."""
    fixed = _fixed(proto.graph)
    changed = 0
    for output in proto.graph.output:
        if output.name in fixed:
            new = fresh_name(proto, f"{output.name}_output")
            proto.graph.node.append(helper.make_node("Identity", [output.name], [new], name=f"{new}/Identity"))
            output.name = new
            changed += 1
    return changed


def separate_symbols(_: OpenedModel, proto: onnx.ModelProto) -> int:
    """Give each free size of an input its own name, where one input has a name twice or it is no name, such as `?`.

    Exporters write one placeholder for every size that is free, and TensorRT takes equal names for equal sizes. What
    is declared of tensors behind the inputs loses these names.
    """
    taken: set[str] = set()
    for value in proto.graph.input:
        names = [dim.dim_param for dim in value.type.tensor_type.shape.dim if dim.dim_param]
        taken.update(name for name in names if names.count(name) > 1 or not any(map(str.isalnum, name)))
    changed = 0
    for value in proto.graph.input:
        for axis, dim in enumerate(value.type.tensor_type.shape.dim):
            if dim.dim_param in taken:
                dim.dim_param = f"{value.name}_{axis}"
                changed += 1
    for graph in graphs_of(proto.graph):
        for value in (*graph.output, *graph.value_info):
            for dim in value.type.tensor_type.shape.dim:
                if dim.dim_param in taken:
                    dim.ClearField("dim_param")
    return changed


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)


def declare_outputs(_: OpenedModel, proto: onnx.ModelProto) -> int:
    """Make outputs of the tensors that nothing reads, in a graph that declares none."""
    graph = proto.graph
    if graph.output:
        return 0
    read = {name for node in graph.node for name in node.input}
    unread = [name for node in graph.node for name in node.output if name and name not in read]
    bare = onnx.ModelProto()
    bare.CopyFrom(proto)
    bare.graph.output.extend(onnx.ValueInfoProto(name=name) for name in unread)
    try:
        inferred = onnx_native.infer_shapes(bare).graph.output
    except (NativeRefused, NotAnswered) as error:
        raise CannotRewrite(f"the types of the outputs cannot be worked out: {_first_line(error)}") from None
    known = [value for value in inferred if value.type.tensor_type.elem_type]
    graph.output.extend(known)
    return len(known)


REWRITES = (
    repair("sort-nodes", "put the nodes in topological order", sort_nodes),
    repair("keep-first-initializer", "keep the first of the initializers with one name", keep_first_initializer),
    repair("rename-second-writer", "give the second tensor of that name a name of its own", rename_second_writer),
    repair("rename-shadowed", "rename what hides a name outside the body", rename_shadowed),
    repair("shorten-names", "shorten names that are too long", shorten_names),
    repair("name-nodes", "give every node a name of its own", name_nodes),
    repair("dense-initializers", "write sparse initializers out in full", dense_initializers),
    repair("drop-false-shapes", "declare the shapes that the graph computes", drop_false_shapes),
    repair("separate-symbols", "give sizes that only share a placeholder names of their own", separate_symbols),
    repair(
        "declare-outputs",
        "make outputs of the tensors that nothing reads",
        declare_outputs,
        Exactness.CHANGES,
        "which tensors are meant is a guess",
    ),
    repair(
        "separate-output",
        "give the output a name of its own",
        separate_output,
        Exactness.CHANGES,
        "the output is renamed",
    ),
)
