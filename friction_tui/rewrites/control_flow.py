"""If, Loop and Scan put among the nodes around them.

An If whose condition is known becomes its branch; one with branches of one shape becomes both branches and a Where.
A Loop or Scan of known length becomes its iterations, one after another, each with the sizes that it has.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper

from friction_tui.model.opened import OpenedModel, from_proto
from friction_tui.model.shapes.point_shapes import input_sizes, shapes_at
from friction_tui.model.shapes.profile import default_profile
from friction_tui.rewrites.base import CannotRewrite, Exactness, NeedsOpset, Rewriter
from friction_tui.rewrites.bodies import body_constants, body_of, put_in
from friction_tui.rewrites.graph_editor import Dims, GraphEditor, node_rewrite, replaced
from friction_tui.rewrites.graph_parts import graphs_of
from friction_tui.rewrites.known_values import KnownValues

LONGEST = 128
"""Iterations up to which a loop is unrolled."""
MOST_NODES = 20_000
"""Nodes up to which unrolling may make a model grow: TensorRT takes minutes to build larger ones."""
_MAY_FAIL = frozenset(
    {
        "Gather",
        "GatherElements",
        "GatherND",
        "ScatterElements",
        "ScatterND",
        "Scatter",
        "Reshape",
        "Slice",
        "Expand",
        "Tile",
        "OneHot",
        "Loop",
        "Scan",
        "Range",
        "If",
        "Squeeze",
    }
)
"""Operators that stop with an error for some values of their inputs, which an If may have kept away from them."""
_RANDOM = frozenset({"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Dropout"})


# --------------------------------------------------------------------------------------------------------- If


@node_rewrite("inline-if", "keep the branch that is always taken", ("", "If"))
def inline_if(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """The branch that is always taken in the place of an If whose condition follows from constants and fixed sizes."""
    value = KnownValues(graph).of(node.input[0])
    if value is None or value.size != 1:
        raise CannotRewrite(f"the condition {node.input[0]} of {node.name} depends on the input")
    keep_branch(node, graph, taken=bool(value.reshape(-1)[0]))


@node_rewrite("if-to-where", "compute both branches and choose the result with Where", ("", "If"))
def if_to_where(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """Where(condition, then, else) for branches whose results have one shape and type.

    Exact, for a branch that is not taken leaves nothing behind. Both branches are computed at each run. Refused where
    a branch may stop with an error for values that the condition keeps away from it.
    """
    branches = [body_of(node, name) for name in ("then_branch", "else_branch")]
    for pair in zip(branches[0].output, branches[1].output, strict=True):
        _one_shape(pair, graph)
    for branch in branches:
        _cannot_fail(branch, graph)
    results = [
        put_in(graph, branch, body_constants(graph, branch), f"{node.name}/{branch.name}") for branch in branches
    ]
    condition = node.input[0]
    if graph.dims(condition) not in ([], [1]):
        raise CannotRewrite(f"the shape of the condition {condition} is not known")
    if graph.dims(condition) == [1]:
        condition = graph.squeeze(condition, [0])
    for output, then, other in zip(node.output, *results, strict=True):
        graph.op("Where", [condition, then, other], output)


def if_branch_of_larger_sizes(model: OpenedModel, paths: Sequence[str]) -> onnx.ModelProto:
    """One branch of each If whose branches differ in rank, as `x.squeeze(1)` on a size not known at export makes it.

    The one that the condition chooses where every size that is not fixed is above 1: TensorRT decides the condition
    itself where the size that it tests is fixed, so it is refused only where that has a range. Declared outputs lose
    the shape that the other branch had.
    """
    proto = replaced(model, _ifs(model, paths), _branch_of_larger_sizes)
    declared = [onnx.TensorShapeProto.FromString(_shape_of(value).SerializeToString()) for value in proto.graph.output]
    for value in proto.graph.output:
        value.type.tensor_type.ClearField("shape")
    editor = GraphEditor(proto, model.path.parent)
    for value, before in zip(proto.graph.output, declared, strict=True):
        now = editor.dims(value.name)
        if now is None or len(now) == len(before.dim):
            _shape_of(value).CopyFrom(before)
        else:
            _shape_of(value).CopyFrom(helper.make_tensor_type_proto(TensorProto.FLOAT, now).tensor_type.shape)
    return proto


def _shape_of(value: onnx.ValueInfoProto) -> onnx.TensorShapeProto:
    return value.type.tensor_type.shape


def working_branch(model: OpenedModel, paths: Sequence[str]) -> onnx.ModelProto:
    """The other branch in place of each If that has one of the nodes at `paths`, which cannot work, in a branch.

    Exact where the original runs: it stops with an error where its condition chooses the branch that cannot work.
    """
    broken = {tuple(path.rsplit(".", 2)[:2]) for path in paths if "." in path}
    branches = {path: name for path, name in broken if name in ("then_branch", "else_branch")}
    if not branches:
        raise CannotRewrite("the node is not in a branch of an If")
    proto = onnx.ModelProto()
    proto.CopyFrom(model.proto)
    for path in sorted(branches, key=len, reverse=True):

        def other(node: onnx.NodeProto, graph: GraphEditor, name: str = branches[path]) -> None:
            keep_branch(node, graph, taken=name == "else_branch")

        proto = replaced(from_proto(proto, model.path), [path], other)
    return proto


def _ifs(model: OpenedModel, paths: Sequence[str]) -> list[str]:
    found = (model.index.by_path.get(path) for path in paths)
    return [node.path for node in found if node is not None and node.proto.op_type == "If"]


def _branch_of_larger_sizes(node: onnx.NodeProto, graph: GraphEditor) -> None:
    branches = [body_of(node, name) for name in ("then_branch", "else_branch")]
    ranks = [_rank_of(branch.output[0], graph) for branch in branches]
    if None in ranks or ranks[0] == ranks[1]:
        raise CannotRewrite("the branches do not differ in rank")
    model = from_proto(graph.proto, graph.folder / "model.onnx")
    sizes = input_sizes(model, default_profile(model), "max")
    for value in model.index.inputs:
        if value.name in sizes:
            dims = zip(sizes[value.name], value.type.tensor_type.shape.dim, strict=True)
            sizes[value.name] = tuple(size if dim.HasField("dim_value") else max(size, 2) for size, dim in dims)
    condition = shapes_at(model, sizes, label="max").values.get(node.input[0])
    if condition is None or condition.size != 1:
        raise CannotRewrite(f"the condition {node.input[0]} depends on values, not on sizes")
    keep_branch(node, graph, taken=bool(condition.reshape(-1)[0]))


def _same_rank(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """The If with the Squeeze or Unsqueeze at the end of one branch left out, so that both give one rank."""
    branches = {name: body_of(node, name) for name in ("then_branch", "else_branch")}
    ranks = {name: _rank_of(branch.output[0], graph) for name, branch in branches.items()}
    if None in ranks.values() or len(set(ranks.values())) == 1 or len(node.output) != 1:
        raise CannotRewrite("the branches do not differ in rank")
    low, high = sorted(branches, key=lambda name: ranks[name] or 0)
    for name, op in ((low, "Squeeze"), (high, "Unsqueeze")):
        branch = onnx.GraphProto()
        branch.CopyFrom(branches[name])
        last = next((one for one in branch.node if branch.output[0].name in one.output), None)
        before = graph.dims(last.input[0]) if last is not None else None
        other = ranks[high if name == low else low]
        if last is None or last.op_type != op or before is None or len(before) != other:
            continue
        last.CopyFrom(helper.make_node("Identity", [last.input[0]], list(last.output), name=last.name))
        of = branch.output[0].type.tensor_type
        of.CopyFrom(helper.make_tensor_type_proto(of.elem_type, before).tensor_type)
        changed = {**branches, name: branch}
        graph.op("If", list(node.input), node.output[0], **changed)
        return
    raise CannotRewrite("neither branch ends in a Squeeze or Unsqueeze that makes the difference")


def if_same_rank(model: OpenedModel, paths: Sequence[str]) -> onnx.ModelProto:
    """Both branches of each If with one rank. Declared outputs lose the shape that the other rank had."""
    proto = replaced(model, _ifs(model, paths), _same_rank)
    for value in proto.graph.output:
        value.type.tensor_type.ClearField("shape")
    editor = GraphEditor(proto, model.path.parent)
    for value, before in zip(proto.graph.output, model.proto.graph.output, strict=True):
        now = editor.dims(value.name)
        if now is None or len(now) == len(_shape_of(before).dim):
            value.CopyFrom(before)
        else:
            _shape_of(value).CopyFrom(helper.make_tensor_type_proto(TensorProto.FLOAT, now).tensor_type.shape)
    return proto


def keep_branch(node: onnx.NodeProto, graph: GraphEditor, *, taken: bool) -> None:
    """Add the nodes of one branch of an If, ending in the If's outputs."""
    branch = body_of(node, "then_branch" if taken else "else_branch")
    results = put_in(graph, branch, body_constants(graph, branch), node.name or "If")
    for result, output in zip(results, node.output, strict=True):
        if output:
            graph.op("Identity", [result], output)


def _one_shape(pair: tuple[onnx.ValueInfoProto, onnx.ValueInfoProto], graph: GraphEditor) -> None:
    """Raise CannotRewrite unless both results are tensors of one type and of one known shape."""
    shapes = [_dims_of(value, graph) for value in pair]
    if shapes[0] is None or shapes[1] is None or None in shapes[0] or shapes[0] != shapes[1]:
        shown = " and ".join(f"{value.name} {shape}" for value, shape in zip(pair, shapes, strict=True))
        raise CannotRewrite(f"the branches are not known to give one shape: {shown}")
    if graph.dtype(pair[0].name) != graph.dtype(pair[1].name):
        raise CannotRewrite("the branches give different types")


def _cannot_fail(branch: onnx.GraphProto, graph: GraphEditor) -> None:
    values = KnownValues(graph, body=branch)
    for inner in branch.node:
        if inner.op_type in _RANDOM or inner.domain not in ("", "ai.onnx"):
            raise CannotRewrite(f"{inner.op_type} in a branch cannot be computed where the branch is not taken")
        if inner.op_type in _MAY_FAIL and any(name and values.of(name) is None for name in inner.input[1:]):
            raise CannotRewrite(f"{inner.op_type} in a branch may fail at values that the condition keeps away from it")
        if inner.op_type == "Squeeze" and len(inner.input) < 2 and not inner.attribute:
            raise CannotRewrite("Squeeze without axes in a branch gives a shape that is not known")


def _dims_of(value: onnx.ValueInfoProto, graph: GraphEditor) -> Dims | None:
    known = graph.dims(value.name)
    if known is None and value.type.tensor_type.HasField("shape"):
        return [dim.dim_value or dim.dim_param or None for dim in value.type.tensor_type.shape.dim]
    return known


def _rank_of(value: onnx.ValueInfoProto, graph: GraphEditor) -> int | None:
    dims = _dims_of(value, graph)
    return len(dims) if dims is not None else None


# -------------------------------------------------------------------------------------------------- Loop, Scan


@node_rewrite("unroll-loop", "write out the iterations of the loop one after another", ("", "Loop"))
def unroll_loop(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """The body once for each iteration, as often as the trip count and the condition say.

    Both have to follow from constants, fixed sizes and the iteration number. What follows from these inside the body
    becomes a constant. A carried tensor may change its shape. Exact; the model grows by the body times the iterations.
    """
    write_out(node, graph)


def write_out(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """`unroll-loop` as a function, for rewrites that unroll on the way."""
    body = body_of(node, "body")
    outside = KnownValues(graph)
    trips = _trips(node, outside)
    goes_on = _starts(node, outside)
    shared = body_constants(graph, body)
    states = list(node.input[2:])
    if len(body.input) != 2 + len(states) or len(body.output) < 1 + len(states):
        raise CannotRewrite("the inputs and outputs of the body do not fit those of the loop")
    known: list[np.ndarray | None] = [outside.of(name) for name in states]
    rows: list[list[str]] = [[] for _ in body.output[1 + len(states) :]]
    iteration = 0
    while goes_on and (trips is None or iteration < trips):
        if iteration == LONGEST:
            raise CannotRewrite(f"it does not end within {LONGEST} iterations; longer loops are not written out")
        given = {body.input[0].name: np.array(iteration, np.int64), body.input[1].name: np.array(True)}
        given |= {port.name: value for port, value in zip(body.input[2:], known, strict=True) if value is not None}
        values = KnownValues(graph, given, body)
        bound = shared | {port.name: state for port, state in zip(body.input[2:], states, strict=True)}
        bound |= {port.name: graph.const(given[port.name]) for port in body.input[:2]}
        results = put_in(graph, body, bound, f"{node.name}/{iteration}", values)
        known = [values.of(value.name) for value in body.output[1 : 1 + len(states)]]
        states = results[1 : 1 + len(states)]
        for collected, row in zip(rows, results[1 + len(states) :], strict=True):
            collected.append(graph.unsqueeze(row, [0]))
        condition = values.of(body.output[0].name)
        if condition is None:
            raise CannotRewrite(
                "whether the loop goes on is computed from data; "
                "the number of iterations has to be known (set a fixed one in your code)"
            )
        goes_on = bool(condition.reshape(-1)[0])
        iteration += 1
    _states_and_rows(node, graph, states, rows, [value.name for value in body.output[1 + len(states) :]])


def _trips(node: onnx.NodeProto, outside: KnownValues) -> int | None:
    """The trip count, None where the loop has none. Raises CannotRewrite where it is computed or large."""
    name = node.input[0] if node.input else ""
    if not name:
        return None
    value = outside.of(name)
    if value is None:
        raise CannotRewrite(f"the number of iterations, {name}, is computed at run time")
    trips = int(value.reshape(-1)[0])
    _grows_to(node, trips)
    return trips


def _starts(node: onnx.NodeProto, outside: KnownValues) -> bool:
    if len(node.input) < 2 or not node.input[1]:
        return True
    value = outside.of(node.input[1])
    if value is None:
        raise CannotRewrite(f"whether the loop starts, {node.input[1]}, is computed from data")
    return bool(value.reshape(-1)[0])


def _grows_to(node: onnx.NodeProto, iterations: int) -> None:
    if iterations > LONGEST:
        raise CannotRewrite(f"it has {iterations} iterations; loops up to {LONGEST} are written out")
    size = sum(len(each.node) for each in graphs_of(body_of(node, "body")))
    if size * iterations > MOST_NODES:
        raise CannotRewrite(f"{iterations} iterations of {size} nodes are more than {MOST_NODES} nodes")


def _states_and_rows(
    node: onnx.NodeProto, graph: GraphEditor, states: Sequence[str], rows: Sequence[Sequence[str]], names: Sequence[str]
) -> None:
    """Write a Loop's outputs: the last states, and the collected rows joined."""
    for state, output in zip(states, node.output, strict=False):
        if output:
            graph.op("Identity", [state], output)
    for collected, output, name in zip(rows, node.output[len(states) :], names, strict=False):
        if not output:
            continue
        if collected:
            graph.concat(collected, 0, output)
        else:
            empty = np.zeros([0, *graph.static_dims(name)], graph.numpy_dtype(name))
            graph.op("Identity", [graph.const(empty, empty.dtype)], output)


@node_rewrite("unroll-scan", "write out the iterations of the scan one after another", ("", "Scan"))
def unroll_scan(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """The body once for each entry of the scanned axis, whose size is fixed. Exact."""
    if graph.opset < 9:
        raise NeedsOpset(9)
    body = body_of(node, "body")
    scanned = int(graph.attribute(node, "num_scan_inputs"))
    count = len(node.input) - scanned
    collected = len(body.output) - count
    if len(body.input) != len(node.input) or collected < 0:
        raise CannotRewrite("the inputs and outputs of the body do not fit those of the scan")
    axes = _per_input(graph, node, "scan_input_axes", scanned)
    backwards = _per_input(graph, node, "scan_input_directions", scanned)
    length = _length(node.input[count:], axes, graph)
    _grows_to(node, length)
    shared = body_constants(graph, body)
    states = list(node.input[:count])
    rows: list[list[str]] = [[] for _ in range(collected)]
    out_axes = _per_input(graph, node, "scan_output_axes", collected)
    for iteration in range(length):
        bound = shared | {port.name: state for port, state in zip(body.input, states, strict=False)}
        for port, source, axis, back in zip(body.input[count:], node.input[count:], axes, backwards, strict=True):
            position = graph.const(length - 1 - iteration if back else iteration)
            bound[port.name] = graph.op("Gather", [source, position], axis=axis)
        results = put_in(graph, body, bound, f"{node.name}/{iteration}")
        states = results[:count]
        for row, result, axis in zip(rows, results[count:], out_axes, strict=True):
            row.append(graph.unsqueeze(result, [axis]))
    for state, output in zip(states, node.output, strict=False):
        if output:
            graph.op("Identity", [state], output)
    out_backwards = _per_input(graph, node, "scan_output_directions", collected)
    for row, output, axis, back in zip(rows, node.output[count:], out_axes, out_backwards, strict=False):
        if output:
            graph.concat(row[::-1] if back else row, axis, output)


def _per_input(graph: GraphEditor, node: onnx.NodeProto, name: str, count: int) -> list[int]:
    return [int(value) for value in graph.attribute(node, name, [0] * count)]


def _length(sources: Sequence[str], axes: Sequence[int], graph: GraphEditor) -> int:
    for source, axis in zip(sources, axes, strict=True):
        dims = graph.dims(source)
        if dims is not None and isinstance(dims[axis], int):
            size = dims[axis]
            if isinstance(size, int) and size > 0:
                return size
    raise CannotRewrite("the length of the scanned axis is not fixed")


@node_rewrite("loop-condition", "give the loop a constant true as its condition", ("", "Loop"))
def loop_condition(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """The same Loop with the condition that a blank one stands for. Exact."""
    if graph.input(node, 1) or not graph.input(node, 0):
        raise CannotRewrite("the loop has a condition")
    copied = onnx.NodeProto()
    copied.CopyFrom(node)
    if len(copied.input) < 2:
        copied.input.append("")
    copied.input[1] = graph.const(np.array(True))
    graph.put(copied)


@node_rewrite("slice-to-gather", "take the entry with Gather instead of a Slice of one entry", ("", "Slice"))
def slice_to_gather(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """Gather(x, start) for a Slice of [start, start + 1) along one axis, start computed. Exact where start is in range.

    Such as `x[i:i+1]` with the iteration number of a loop, which TensorRT-RTX does not build as a Slice.
    """
    if len(node.input) < 3:
        raise CannotRewrite("the bounds are attributes")
    data, start, end = node.input[:3]
    step = graph.input(node, 4)
    if step and graph.require_constant(step, "the step").reshape(-1).tolist() != [1]:
        raise CannotRewrite("the step is not 1")
    axes = graph.require_constant(node.input[3], "the axis").reshape(-1).tolist() if graph.input(node, 3) else [0]
    if graph.constant(start) is not None:
        raise CannotRewrite("the bounds are constant")
    if len(axes) != 1 or graph.dims(start) not in ([1], None):
        raise CannotRewrite("more than one axis is sliced")
    first, offset = _offset(start, graph)
    last, distance = _offset(end, graph)
    if first != last or distance - offset != 1:
        raise CannotRewrite("the slice is not known to be one entry long")
    graph.op("Gather", [data, start], node.output[0], axis=int(axes[0]))


def _offset(name: str, graph: GraphEditor) -> tuple[str, int]:
    """What an index is computed from and what is added to it: `i + 1` gives (i, 1)."""
    offset = 0
    while (writer := graph.writer(name)) is not None:
        if writer.op_type in ("Unsqueeze", "Squeeze", "Identity", "Reshape", "Cast"):
            name = writer.input[0]
        elif writer.op_type in ("Add", "Sub"):
            constants = [graph.constant(each) for each in writer.input]
            sign = 1 if writer.op_type == "Add" else -1
            if constants[1] is not None and constants[1].size == 1:
                name, offset = writer.input[0], offset + sign * int(constants[1].reshape(-1)[0])
            elif constants[0] is not None and constants[0].size == 1 and sign == 1:
                name, offset = writer.input[1], offset + int(constants[0].reshape(-1)[0])
            else:
                break
        else:
            break
    return name, offset


IF_BRANCH_OF_LARGER_SIZES = Rewriter(
    "if-branch-of-larger-sizes",
    "keep the branch that is taken where sizes are above 1",
    if_branch_of_larger_sizes,
    Exactness.CHANGES,
    changes="the condition is not tested any more: right for sizes at which it chose this branch",
    ops=(("", "If"),),
)
IF_SAME_RANK = Rewriter(
    "if-same-rank",
    "keep the axis that one branch drops or adds",
    if_same_rank,
    Exactness.CHANGES,
    changes="both branches give the same rank: an axis of size 1 that one of them dropped or added is as in the other",
    ops=(("", "If"),),
)
WORKING_BRANCH = Rewriter("working-branch", "keep the branch that can work", working_branch)
REWRITES = (
    inline_if,
    loop_condition,
    slice_to_gather,
    unroll_loop,
    unroll_scan,
    if_to_where,
    IF_BRANCH_OF_LARGER_SIZES,
    IF_SAME_RANK,
    WORKING_BRANCH,
)
