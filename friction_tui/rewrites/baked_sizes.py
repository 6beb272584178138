"""Sizes of the example that were written into the graph made to follow the input again.

The original fails, or computes something else, at every other size; at the example's own size both give the same, which
is what the verification compares.
"""

from __future__ import annotations

import numpy as np
import onnx

from friction_tui.model.shapes.tensors import UNKNOWN
from friction_tui.rewrites.base import CannotRewrite, Exactness
from friction_tui.rewrites.graph_editor import Array, Dims, GraphEditor, node_rewrite
from friction_tui.rewrites.known_values import KnownValues

_LONGEST = 100_000
"""Nodes in a row beyond which a graph is taken to have a cycle."""
_TO_THE_END = np.iinfo(np.int64).max


@node_rewrite("reshape-follow-input", "let fixed entries follow the input", ("", "Reshape"))
def reshape_follow_input(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """Entries of a constant target that stand for free sizes of the input become 0 (copy) or -1 (work out).

    An entry becomes 0 where the input's size at the same axis is free and everything in front of it is copied or equal;
    where only one other entry stands for the product of free sizes it becomes -1.
    """
    target = [int(size) for size in graph.require_constant(graph.input(node, 1), "the target shape").reshape(-1)]
    sizes = graph.dims(node.input[0])
    if sizes is None:
        raise CannotRewrite("the rank of the input is not known")
    if graph.attribute(node, "allowzero", 0) and 0 in target:
        raise CannotRewrite("a 0 in the target is meant as a size (allowzero)")
    wanted = list(target)
    aligned = True
    for axis, size in enumerate(sizes[: len(target)]):
        if not aligned:
            break
        if isinstance(size, int):
            aligned = target[axis] in (size, 0)
        else:
            wanted[axis] = 0 if target[axis] > 0 else target[axis]
            aligned = target[axis] != -1  # it may take in more than this axis
    free_left = sum(not isinstance(size, int) for axis, size in enumerate(sizes) if axis >= len(wanted) or wanted[axis])
    if free_left and -1 not in wanted:
        raise CannotRewrite("it is not clear which entries stand for the free sizes")
    if -1 not in wanted:
        fixed_here = _product([size for size in wanted if size > 0])
        fixed_there = _product(
            [size for axis, size in enumerate(sizes) if isinstance(size, int) and (axis >= len(wanted) or wanted[axis])]
        )
        if fixed_here != fixed_there:
            raise CannotRewrite(f"the entries {target} do not multiply to the sizes of the input")
    if wanted == target:
        raise CannotRewrite(f"{target} follows the input already")
    graph.op("Reshape", [node.input[0], graph.const(wanted)], node.output[0])


@node_rewrite("reshape-entry-of-computed", "work out the fixed entry of a computed target", ("", "Reshape"))
def reshape_entry_of_computed(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """The constant entry of a target put together at run time becomes -1, where that gives a free size of an input.

    Exactly one entry must do so: at two sizes of every free dimension the other entries leave just its size.
    """
    parts = graph.writer(graph.input(node, 1))
    if parts is None or parts.op_type != "Concat":
        raise CannotRewrite("the target shape is not put together by a Concat")
    constants = [graph.constant(name) for name in parts.input]
    for free, *ends in graph.ends():
        targets = [point.values.get(node.input[1]) for point in ends]
        shapes = [point.types.get(node.input[0], UNKNOWN).sizes for point in ends]
        low, high = ([] if target is None else [int(entry) for entry in target.reshape(-1)] for target in targets)
        if not low or any(shape is None for shape in shapes) or min(low + high) <= 0:
            continue
        left = [
            tuple(_left(shape or (), entries, at) for shape, entries in zip(shapes, (low, high), strict=True))
            for at in range(len(low))
        ]
        found = [place for at, sizes in enumerate(left) if sizes in free and (place := _place(constants, at))]
        if len(found) == 1:
            ((part, position),) = found
            replaced = graph.require_constant(parts.input[part], "the entry").reshape(-1).copy()
            replaced[position] = -1
            inputs = [*parts.input[:part], graph.const(replaced), *parts.input[part + 1 :]]
            graph.op("Reshape", [node.input[0], graph.concat(inputs)], node.output[0])
            return
    raise CannotRewrite("it is not clear which entry stands for a free size")


def _left(shape: tuple[int, ...], entries: list[int], at: int) -> int | None:
    """The size that the other entries of a target leave for one, None where they do not divide the elements."""
    others = _product([entry for position, entry in enumerate(entries) if position != at])
    size, rest = divmod(_product(list(shape)), others)
    return None if rest else size


def _place(parts: list[Array | None], entry: int) -> tuple[int, int] | None:
    """Which part of a Concat holds an entry, and where in it; parts that are computed give one entry each.

    None for an entry that is computed.
    """
    for number, part in enumerate(parts):
        length = 1 if part is None else part.size
        if entry < length:
            return None if part is None else (number, entry)
        entry -= length
    return None


def _product(sizes: list[int]) -> int:
    return int(np.prod(sizes, dtype=np.int64)) if sizes else 1


@node_rewrite("reshape-batch-copy", "copy the batch from the input", ("", "Reshape"))
def reshape_batch_copy(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """The first entry, the example's batch, becomes 0: the input's first size, which must be free."""
    target = [int(size) for size in graph.require_constant(graph.input(node, 1), "the target shape").reshape(-1)]
    sizes = graph.dims(node.input[0])
    if not target or target[0] in (0, -1):
        raise CannotRewrite("the first entry is not a fixed size")
    if not sizes or isinstance(sizes[0], int):
        raise CannotRewrite("the first size of the input is fixed as well")
    if len([size for size in sizes if not isinstance(size, int)]) > 1 and -1 not in target:
        raise CannotRewrite("another size of the input is free as well, and no entry is left to work it out")
    graph.op("Reshape", [node.input[0], graph.const([0, *target[1:]])], node.output[0])


@node_rewrite("reshape-one-minus-one", "copy sizes instead of a second -1", ("", "Reshape"))
def reshape_one_minus_one(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """Of several -1 all but the last that lines up with the input's own axis become 0."""
    target = [int(size) for size in graph.require_constant(graph.input(node, 1), "the target shape").reshape(-1)]
    if target.count(-1) < 2:
        raise CannotRewrite("the target has one -1 at most")
    rank, wanted = graph.rank(node.input[0]), list(target)
    for axis, size in enumerate(target):
        if wanted.count(-1) == 1:
            break
        if size == -1 and axis < rank:
            wanted[axis] = 0
    if wanted.count(-1) > 1:
        raise CannotRewrite(f"no reading of {target} leaves one size to work out")
    graph.op("Reshape", [node.input[0], graph.const(wanted)], node.output[0])


@node_rewrite("reshape-copy-zero", "let a 0 copy the input's size", ("", "Reshape"))
def reshape_copy_zero(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """A 0 in the target copies the input's size (allowzero 0): with allowzero 1 it fits empty tensors only."""
    if not graph.attribute(node, "allowzero", 0):
        raise CannotRewrite("allowzero is off already")
    graph.op("Reshape", list(node.input), node.output[0])


@node_rewrite("expand-follow-partner", "expand to the batch of what it meets", ("", "Expand"))
def expand_follow_partner(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """Entries of a constant Expand target follow the tensor that the result is joined with (class tokens, masks)."""
    target = _numbers(graph, graph.input(node, 1), "the target shape")
    axes, partner = _free_axes_of_partner(node, graph, len(target))
    graph.op("Expand", [node.input[0], _sizes_from(graph, target, axes, partner)], node.output[0])


@node_rewrite("tile-follow-partner", "repeat as often as what it meets is large", ("", "Tile"))
def tile_follow_partner(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """Repeats of an axis of size 1 follow the tensor that the result is joined with."""
    repeats = _numbers(graph, graph.input(node, 1), "the repeats")
    axes, partner = _free_axes_of_partner(node, graph, len(repeats))
    sizes = _sizes(graph, node.input[0])
    for axis in axes:
        if sizes is None or sizes[axis] != 1:
            raise CannotRewrite(f"axis {axis} of the repeated tensor has more than one entry")
    graph.op("Tile", [node.input[0], _sizes_from(graph, repeats, axes, partner)], node.output[0])


def _numbers(graph: GraphEditor, name: str, what: str) -> list[int]:
    """The values of an operand that is constant or worked out from constants and fixed sizes."""
    value = KnownValues(graph).of(name) if name else None
    if value is None:
        raise CannotRewrite(f"{what} {name} depends on an input".replace("  ", " "))
    return [int(number) for number in value.reshape(-1)]


def _sizes(graph: GraphEditor, name: str) -> Dims | None:
    """Sizes of a tensor, also behind an Expand whose target ONNX's inference does not work out."""
    found, writer = graph.dims(name), graph.writer(name)
    if (
        writer is None
        or writer.op_type != "Expand"
        or (found is not None and all(isinstance(one, int) for one in found))
    ):
        return found
    target, sizes = KnownValues(graph).of(writer.input[1]), graph.dims(writer.input[0])
    if target is None or sizes is None or len(sizes) != target.size:
        return found
    return [size if wanted == 1 else int(wanted) for size, wanted in zip(sizes, target.reshape(-1), strict=True)]


def _free_axes_of_partner(node: onnx.NodeProto, graph: GraphEditor, rank: int) -> tuple[list[int], str]:
    """The axes at which the result meets a free size of another tensor, and that tensor."""
    for reader in graph.reading(node.output[0]):
        for other in reader.input:
            sizes = graph.dims(other) if other and other != node.output[0] else None
            if sizes is None or len(sizes) != rank:
                continue
            axes = [axis for axis in _met(reader, graph, rank) if not isinstance(sizes[axis], int)]
            if axes:
                return axes, other
    for value in graph.proto.graph.input:
        sizes = graph.dims(value.name)
        if sizes and not isinstance(sizes[0], int):
            return [0], value.name  # what it meets is not known: the batch of the model
    raise CannotRewrite("it meets no tensor whose sizes it could follow")


def _met(reader: onnx.NodeProto, graph: GraphEditor, rank: int) -> list[int]:
    """The axes at which the inputs of a node have the same sizes, where they have `rank` axes."""
    if reader.op_type == "Concat":
        joined = graph.attribute(reader, "axis", 0) % rank
        return [axis for axis in range(rank) if axis != joined]
    if reader.op_type == "MatMul":
        return list(range(rank - 2))
    return list(range(rank)) if reader.op_type in _JOINS else []


_JOINS = frozenset({"Concat", "Add", "Sub", "Mul", "Div", "Where", "And", "Or", "Equal", "Pow", "Max", "Min"})
"""Operators whose inputs have the same sizes, but for the axis that Concat joins."""


def _sizes_from(graph: GraphEditor, fixed: list[int], axes: list[int], partner: str) -> str:
    parts = [_size_of(graph, partner, axis) if axis in axes else graph.const([size]) for axis, size in enumerate(fixed)]
    return graph.concat(parts)


def _size_of(graph: GraphEditor, partner: str, axis: int) -> str:
    """A size of `partner`, from an input of the model where one has it: the partner may be computed later."""
    symbol = (graph.dims(partner) or [])[axis]
    for value in graph.proto.graph.input:
        sizes = graph.dims(value.name) or []
        if isinstance(symbol, str) and symbol in sizes:
            return graph.size(value.name, sizes.index(symbol))
    return graph.size(partner, axis)


@node_rewrite("slice-to-the-end", "cut to the end instead of the example's size", ("", "Slice"))
def slice_to_the_end(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """A constant end that is the example's own size of a free axis becomes `to the end`; the start must be 0."""
    starts = graph.require_constant(graph.input(node, 1), "the starts").reshape(-1)
    ends = graph.require_constant(graph.input(node, 2), "the ends").reshape(-1)
    axes = graph.ints(node, "axes", 3, range(len(starts))) or []
    sizes = graph.dims(node.input[0])
    if sizes is None:
        raise CannotRewrite("the rank of the input is not known")
    if not all(-len(sizes) <= axis < len(sizes) for axis in axes):
        raise CannotRewrite("an axis is outside the input's rank")
    wanted = [
        _TO_THE_END if start == 0 and end > 0 and not isinstance(sizes[axis], int) else int(end)
        for start, end, axis in zip(starts, ends, axes, strict=False)
    ]
    if wanted == [int(end) for end in ends]:
        raise CannotRewrite("no end stands for a free size")
    rest = [node.input[1], graph.const(np.array(wanted, np.int64)), *node.input[3:]]
    graph.op("Slice", [node.input[0], *rest], node.output[0])


@node_rewrite("split-equally", "split into equal parts of whatever size", ("", "Split"))
def split_equally(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """Equal constant parts of a free axis become a number of parts."""
    sizes = graph.ints(node, "split", 1, None)
    if not sizes or len(set(sizes)) != 1:
        raise CannotRewrite("the parts have different sizes")
    axis = graph.attribute(node, "axis", 0)
    dims = graph.dims(node.input[0])
    if dims is None or isinstance(dims[axis], int):
        raise CannotRewrite("the size of the axis is fixed")
    count = len(node.output) if graph.opset >= 18 else None
    graph.op("Split", [node.input[0]], list(node.output), axis=axis, num_outputs=count)


@node_rewrite("resize-spatial-only", "resize the image axes only", ("", "Resize"))
def resize_spatial_only(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """Constant `sizes` for all axes: those of free axes that are not resized (the batch) follow the input."""
    name = graph.input(node, 3)
    sizes = [int(size) for size in graph.require_constant(name, "the sizes").reshape(-1)]
    dims = graph.dims(node.input[0])
    if dims is None or len(dims) != len(sizes):
        raise CannotRewrite("the sizes are not those of all axes")
    if isinstance(dims[0], int):
        raise CannotRewrite("the batch is fixed")
    free = [0, *([1] if len(dims) > 3 and not isinstance(dims[1], int) else [])]
    new = graph.concat(
        [graph.size(node.input[0], axis) if axis in free else graph.const([size]) for axis, size in enumerate(sizes)]
    )
    attributes = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
    graph.op("Resize", [node.input[0], graph.input(node, 1), "", new], node.output[0], **attributes)


@node_rewrite(
    "squeeze-fixed-axes",
    "name the axes that are always 1",
    ("", "Squeeze"),
    exactness=Exactness.ROUNDING,
)
def squeeze_fixed_axes(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """Squeeze without axes gets those of fixed size 1. Where a free size is 1 at run time, that axis now stays."""
    if graph.input(node, 1) or graph.attribute(node, "axes") is not None:
        raise CannotRewrite("the axes are given")
    dims = graph.dims(node.input[0])
    axes = [axis for axis, size in enumerate(dims or []) if size == 1]
    if dims is None or not axes:
        raise CannotRewrite("no axis is known to be 1")
    graph.squeeze(node.input[0], axes, node.output[0])


@node_rewrite(
    "expand-constant", "repeat the constant to the batch of what it meets", *((("", op)) for op in sorted(_JOINS))
)
def expand_constant(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """A constant that was made for the example's batch follows the batch: its first row is repeated.

    All rows of the constant must be the same, as those of masks and positions are. Concat only: elsewhere one row
    broadcasts by itself.
    """
    partner = next((name for name in node.input if (dims := graph.dims(name)) and not isinstance(dims[0], int)), "")
    if not partner:
        raise CannotRewrite("no input has a free batch")
    joined = graph.attribute(node, "axis", 0) % graph.rank(partner) if node.op_type == "Concat" else None
    if joined == 0:
        raise CannotRewrite("the batch is the axis that is joined")
    inputs, changed = [], False
    for name in node.input:
        value = graph.constant(name) if name else None
        if value is None or value.ndim != graph.rank(partner) or (value.shape[0] == 1 and node.op_type != "Concat"):
            inputs.append(name)
            continue
        if not (value == value[:1]).all():
            raise CannotRewrite(f"the rows of {name} differ: it is not clear which belongs to another batch")
        row = graph.const(value[:1], value.dtype, f"{name}_row")
        if node.op_type == "Concat":
            shape = graph.concat([graph.size(partner, 0), graph.const(list(value.shape[1:]))])
            row = graph.op("Expand", [row, shape])
        inputs.append(row)
        changed = True
    if not changed:
        raise CannotRewrite("it meets no constant that was made for a batch")
    attributes = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
    graph.op(node.op_type, inputs, node.output[0], **attributes)


@node_rewrite(
    "table-follow-partner",
    "cut the table to the length of what it meets",
    *((("", op)) for op in sorted(_JOINS - {"Concat"})),
)
def table_follow_partner(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """A stored table of the example's length (positions, masks) is cut to the length of the tensor that it meets.

    Row i belongs to position i, whether the table is met as it is, cut by a constant Slice, or looked up with the
    indices 0, 1, 2 … The whole table is there, so that any length up to its own works.
    """
    inputs, changed = list(node.input), False
    for position, name in enumerate(node.input):
        table = _table(name, graph) if name else None
        partner = next((one for one in node.input if one and one != name and _free(one, graph)), "")
        if table is None or not partner:
            continue
        sizes, partners = graph.dims(name), graph.dims(partner)
        if sizes is None or partners is None or len(sizes) > len(partners):
            continue
        source, axes = table
        shift = len(partners) - len(sizes)
        free = [axis for axis in axes if sizes[axis] != 1 and not isinstance(partners[axis + shift], int)]
        for axis in free:
            start, at = axes[axis]
            length = graph.size(partner, axis + shift)
            end = graph.op("Add", [length, graph.const([start])]) if start else length
            source = graph.slice(source, start, end, at)
        if not free:
            continue
        writer = graph.writer(name)
        if writer is not None and writer.op_type == "Gather":
            source = graph.reshape(source, _looked_up(graph, writer, source))
        inputs[position], changed = source, True
    if not changed:
        raise CannotRewrite("it meets no stored table at a free size")
    attributes = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
    graph.op(node.op_type, inputs, node.output[0], **attributes)


def _free(name: str, graph: GraphEditor) -> bool:
    sizes = graph.dims(name)
    return sizes is not None and any(not isinstance(size, int) for size in sizes)


def _table(name: str, graph: GraphEditor) -> tuple[str, dict[int, tuple[int, int]]] | None:
    """The stored tensor behind `name`; for each axis of `name` that can be longer, its first row and axis there."""
    if graph.constant(name) is not None:
        sizes = graph.dims(name) or []
        return name, {axis: (0, axis) for axis in range(len(sizes))}
    writer = graph.writer(name)
    if writer is None or not writer.input or graph.constant(writer.input[0]) is None:
        return None
    if writer.op_type == "Slice" and len(writer.input) > 2:
        starts, ends = (graph.constant(one) for one in writer.input[1:3])
        steps = graph.constant(writer.input[4]) if graph.input(writer, 4) else None
        if starts is None or ends is None or (steps is not None and (steps != 1).any()):
            return None
        rank = graph.rank(writer.input[0])
        axes = [axis % rank for axis in graph.ints(writer, "axes", 3, range(len(starts))) or []]
        if (starts < 0).any():
            return None
        first = dict(zip(axes, map(int, starts), strict=True))
        return writer.input[0], {axis: (first[axis], axis) for axis in axes} if len(axes) == 1 else {}
    if writer.op_type == "Gather" and graph.attribute(writer, "axis", 0) == 0:
        indices = graph.constant(writer.input[1])
        counted = indices is not None and indices.size > 1 and indices.size == max(indices.shape)
        if indices is None or not counted or not (np.diff(indices.reshape(-1)) == 1).all() or indices.min() < 0:
            return None
        along = int(np.argmax(indices.shape))
        return writer.input[0], {along: (int(indices.reshape(-1)[0]), 0)}
    return None


def _looked_up(graph: GraphEditor, gather: onnx.NodeProto, rows: str) -> str:
    """The shape of what a Gather with indices such as [1, L] gives, for another number of `rows`."""
    indices = graph.require_constant(gather.input[1], "the indices")
    count = graph.op("Slice", [graph.shape(rows), graph.const([0]), graph.const([1])])
    rest = graph.static_dims(gather.input[0])[1:]
    sizes = [count if size == indices.size else graph.const([1]) for size in indices.shape]
    return graph.concat([*sizes, *([graph.const(rest)] if rest else [])])


@node_rewrite(
    "fit-to-first",
    "cut or pad with zeros what lost its remainder to the size of the skip connection",
    *((("", op)) for op in sorted(_JOINS)),
)
def fit_to_first(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """Of two image-like tensors that meet, the one further from the input gets the spatial sizes of the other.

    Where they fit nothing changes; where they do not, which is where a size does not divide by the stride, the
    original fails. A U-Net pads so by its own code (`F.pad` with the difference of the sizes).
    """
    if len(node.input) != 2 or graph.opset < 13:
        raise CannotRewrite("not two tensors meet" if graph.opset >= 13 else "opset 13 is needed")
    rank = graph.rank(node.input[0])
    axes = [axis for axis in _met(node, graph, rank) if axis > 1]
    if rank < 3 or graph.rank(node.input[1]) != rank:
        raise CannotRewrite("the tensors are not images or sequences of one rank")
    depths = [_depth(name, graph) for name in node.input]
    moved = int(depths[1] > depths[0])
    if depths[0] == depths[1]:
        raise CannotRewrite("it is not clear which is the skip connection")
    kept, fitted = node.input[1 - moved], node.input[moved]
    wanted = graph.concat([graph.size(kept, axis) for axis in axes])
    at = graph.const(axes)
    fitted = graph.op("Slice", [fitted, graph.const([0] * len(axes)), wanted, at])
    given = graph.op("Gather", [graph.shape(fitted), at], axis=0)
    behind = graph.op("Sub", [wanted, given])
    others = graph.const([0] * (2 * rank - len(axes)))
    if axes != list(range(rank - len(axes), rank)):
        raise CannotRewrite("the axes that meet are not the last ones")
    fitted = graph.op("Pad", [fitted, graph.concat([others, behind])])
    inputs = [fitted if number == moved else name for number, name in enumerate(node.input)]
    attributes = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
    graph.op(node.op_type, inputs, node.output[0], **attributes)


def _depth(name: str, graph: GraphEditor) -> int:
    """How many nodes the longest way from an input or a stored tensor to `name` has."""
    known: dict[str, int] = {}
    pending = [name]
    while pending:
        current = pending[-1]
        writer = graph.writer(current)
        reads = [one for one in writer.input if one] if writer is not None else []
        waiting = [one for one in reads if one not in known]
        if current in known or not waiting:
            known.setdefault(current, max((known[one] + 1 for one in reads), default=0))
            pending.pop()
        elif len(pending) > len(known) + len(waiting) + _LONGEST:
            raise CannotRewrite("the graph has a cycle")
        else:
            pending.extend(waiting)
    return known[name]


REWRITES = (
    reshape_follow_input,
    reshape_batch_copy,
    reshape_one_minus_one,
    reshape_entry_of_computed,
    reshape_copy_zero,
    expand_follow_partner,
    tile_follow_partner,
    slice_to_the_end,
    split_equally,
    resize_spatial_only,
    squeeze_fixed_axes,
    expand_constant,
    table_follow_partner,
    fit_to_first,
)
