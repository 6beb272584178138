"""Shape profiles: which dimensions are free, which inputs are shapes themselves, and a first guess for both."""

from __future__ import annotations

from friction_tui.model.graph import Node
from friction_tui.model.names import declared_dim, dtype_name
from friction_tui.model.opened import OpenedModel
from friction_tui.model.shape_values import RULES
from friction_tui.recipe import Profile, dim_key

SHAPE_OPERANDS: dict[str, tuple[int, ...]] = {
    "Reshape": (1,),
    "Expand": (1,),
    "Tile": (1,),
    "ConstantOfShape": (0,),
    "Range": (0, 1, 2),
    "Slice": (1, 2, 3, 4),
    "Pad": (1,),
    "Resize": (3,),
    "TopK": (1,),
    "Split": (1,),
    "OneHot": (1,),
    "CumSum": (1,),
    "Squeeze": (1,),
    "Unsqueeze": (1,),
}
"""Operator to the inputs TensorRT must know the values of before it runs: sizes, bounds, axes.

As TensorRT-RTX 1.7.1 marks them (`ITensor.is_shape_tensor`), asked with one model per operator.
"""

_PLUMBING = RULES.keys() - {"NonZero", "ConstantOfShape"}
"""Operators a size can pass through on its way from an input to a shape operand."""


def free_dims(model: OpenedModel) -> dict[str, list[tuple[str, int]]]:
    """Dim key (see `friction_tui.recipe.Profile`) to the (input, axis) pairs that take its size."""
    free: dict[str, list[tuple[str, int]]] = {}
    for value in model.index.inputs:
        for axis, proto in enumerate(value.type.tensor_type.shape.dim):
            dim = declared_dim(proto)
            if dim.size is None:
                free.setdefault(dim_key(value.name, axis, dim.symbol), []).append((value.name, axis))
    return free


def shape_tensor_inputs(model: OpenedModel) -> set[str]:
    """The integer inputs of rank 0 or 1 whose values reach a shape operand: TensorRT wants values for these.

    A length that is dynamic itself (a batch of sequence lengths) makes none: TensorRT-RTX 1.7.1 then computes with
    the values on the device, or refuses the node that needs them.
    """
    index = model.index
    candidates = {
        value.name
        for value in index.inputs
        if dtype_name(value.type.tensor_type.elem_type) in ("int32", "int64")
        and value.type.tensor_type.HasField("shape")
        and len(value.type.tensor_type.shape.dim) <= 1
        and all(declared_dim(dim).size is not None for dim in value.type.tensor_type.shape.dim)
    }
    if not candidates:
        return set()
    found: set[str] = set()
    seen: set[tuple[str, str]] = set()
    pending = [(node.graph, name) for node in index.nodes for name in shape_operands(node)]
    while pending:
        graph, name = pending.pop()
        if not name or (graph, name) in seen:
            continue
        seen.add((graph, name))
        writer = index.writer_in(graph, name)
        owner = index.owner_of(graph)
        if writer is not None:
            if writer.proto.op_type in _PLUMBING:
                pending.extend((graph, source) for source in writer.inputs)
        elif owner:
            pending.append((index.by_path[owner].graph, name))
        elif not graph and name in candidates:
            found.add(name)
    return found


def shape_operands(node: Node) -> list[str]:
    """The inputs of `node` whose values decide the size of an output."""
    positions = SHAPE_OPERANDS.get(node.proto.op_type, ())
    return [node.inputs[position] for position in positions if position < len(node.inputs)]


def default_profile(model: OpenedModel, chosen: Profile | None = None) -> Profile:
    """`chosen` completed by a guess for every other free dimension and shape-tensor input.

    What was guessed is listed in `guessed`; see `friction_tui.model.guess` for what is guessed and why.
    """
    from friction_tui.model.guess import guess

    return guess(model, free_dims(model), shape_tensor_inputs(model), chosen or Profile())
