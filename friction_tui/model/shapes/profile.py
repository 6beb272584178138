"""Shape profiles: which dimensions are free, which inputs are shapes themselves, and a first guess for both."""

from __future__ import annotations

from collections.abc import Callable

from friction_tui.model.graph import Node
from friction_tui.model.names import declared_dim, dtype_name
from friction_tui.model.opened import OpenedModel
from friction_tui.model.shapes.shape_values import RULES
from friction_tui.vocabulary.recipe import Profile, dim_key

SHAPE_OPERANDS: dict[str, tuple[int, ...]] = {
    "Reshape": (1,),
    "Expand": (1,),
    "Tile": (1,),
    "ConstantOfShape": (0,),
    "Range": (0, 1, 2),
    "Slice": (1, 2, 3, 4),
    "Pad": (1, 3),
    "Resize": (3,),
    "TopK": (1,),
    "Split": (1,),
    "OneHot": (1,),
    "CumSum": (1,),
    "Squeeze": (1,),
    "Unsqueeze": (1,),
    "BlackmanWindow": (0,),
    "HammingWindow": (0,),
    "HannWindow": (0,),
}
"""Operator to the inputs TensorRT must know the values of before it runs: sizes, bounds, axes.

As TensorRT-RTX 1.7.1 marks them (`ITensor.is_shape_tensor`), asked with every operator test of the onnx package.
"""

_SHAPE_OPERATORS = RULES.keys() - {"NonZero", "ConstantOfShape"}
"""Operators a size can pass through on its way from an input to a shape operand."""


def free_dims(model: OpenedModel) -> dict[str, list[tuple[str, int]]]:
    """Dim key (see `friction_tui.vocabulary.recipe.Profile`) to the (input, axis) pairs that take its size."""
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
        if writer is not None:
            pending.extend(_sources(model, writer, name))
        elif graph:
            pending.extend(_around(model, graph, name))
        elif name in candidates:
            found.add(name)
    return found


def _sources(model: OpenedModel, writer: Node, tensor: str) -> list[tuple[str, str]]:
    """The (graph, tensor) pairs whose values a value is computed from: of a body or function, its results."""
    index = model.index
    function = index.function_of(writer.proto)
    bodies = [function] if function is not None else index.bodies_of(writer.path)
    if not bodies:
        return [(writer.graph, name) for name in writer.inputs] if writer.proto.op_type in _SHAPE_OPERATORS else []
    position = writer.outputs.index(tensor)
    sources = []
    if writer.proto.op_type == "Loop":
        if position + 2 >= len(writer.inputs):
            return []  # rows of all iterations are computed on the device
        sources.append((writer.graph, writer.inputs[position + 2]))
        position += 1
    for prefix in bodies:
        results = [value if isinstance(value, str) else value.name for value in index.graphs[prefix].output]
        sources.extend((prefix, name) for name in results[position : position + 1])
    return sources


def _around(model: OpenedModel, graph: str, tensor: str) -> list[tuple[str, str]]:
    """The (graph, tensor) pairs behind a tensor that a body or a function takes from outside."""
    index = model.index
    owner = index.owner_of(graph)
    names = [value if isinstance(value, str) else value.name for value in index.graphs[graph].input]
    if not owner:
        calls = [node for node in index.nodes if index.function_of(node.proto) == graph]
        return [(c.graph, c.inputs[names.index(tensor)]) for c in calls if tensor in names[: len(c.inputs)]]
    node = index.by_path[owner]
    if tensor not in names:
        return [(node.graph, tensor)]
    position = names.index(tensor)
    return (
        [(node.graph, node.inputs[position])]
        if node.proto.op_type == "Loop" and 1 < position < len(node.inputs)
        else []
    )


def shape_operands(node: Node) -> list[str]:
    """The inputs of `node` whose values decide the size of an output.

    The trip count of a Loop is one where the Loop collects rows (scan outputs): there are as many.
    """
    positions = SHAPE_OPERANDS.get(node.proto.op_type, ())
    if node.proto.op_type == "Loop" and len(node.outputs) > len(node.inputs) - 2:
        positions = (0,)
    return [node.inputs[position] for position in positions if position < len(node.inputs)]


def default_profile(
    model: OpenedModel, chosen: Profile | None = None, runs: Callable[[Profile], bool | None] | None = None
) -> Profile:
    """`chosen` completed by a guess for every other free dimension and shape-tensor input.

    What was guessed is listed in `guessed`; see `friction_tui.model.shapes.guess` for what is guessed and why. `runs`
    says whether the model runs at the opt sizes of a profile, None where nobody can tell.
    """
    from friction_tui.model.shapes.guess import guess

    given = chosen or Profile()
    return guess(model, free_dims(model), shape_tensor_inputs(model), given, runs or (lambda _: None))
