"""Shape-only nodes only compute shapes for others (Shape → Gather → Unsqueeze → Concat → Reshape).

Half the nodes of an export can be that. Hiding them leaves what the model is about.
"""

from __future__ import annotations

from collections.abc import Sequence

from friction_tui.vocabulary.protocol import GraphData

_SOURCES = frozenset(("Shape", "Size"))
_ARITHMETIC = frozenset(
    (
        *("Add", "And", "Cast", "Ceil", "Concat", "ConstantOfShape", "Div", "Equal", "Expand", "Floor", "Gather"),
        *("Greater", "Identity", "Less", "Max", "Min", "Mod", "Mul", "Neg", "Not", "Range", "ReduceProd", "Reshape"),
        *("Slice", "Split", "Sqrt", "Squeeze", "Sub", "Transpose", "Unsqueeze", "Where"),
    )
)
_SHAPES_ONLY = frozenset(("ConstantOfShape", "RandomNormal", "RandomUniform", "Range"))
_SHAPE_AFTER_DATA = frozenset(
    (
        *("CenterCropPad", "Expand", "OneHot", "Pad", "Reshape", "Resize", "Slice", "Split", "Squeeze", "Tile"),
        *("TopK", "Trilu", "Unsqueeze", "Upsample"),
    )
)


def shape_only_nodes(graph: GraphData, sources: Sequence[Sequence[int]], readers: Sequence[Sequence[int]]) -> bytearray:
    """1 for each position that is computed from shapes alone and only serves as a shape, or to compute one.

    What is read as data (a position embedding made by Range) stays. `sources` and `readers` are positions.
    """
    ops = [graph.ops[item] for item in graph.order]
    from_shapes = bytearray(len(ops))
    for position, op in enumerate(ops):
        read = sources[position]
        if op in _SOURCES or (op in _ARITHMETIC and read and all(from_shapes[source] for source in read)):
            from_shapes[position] = 1

    def serves(reader: int, position: int) -> bool:
        return ops[reader] in _SHAPES_ONLY or (ops[reader] in _SHAPE_AFTER_DATA and sources[reader][0] != position)

    hidden = bytearray(len(ops))
    for position in range(len(ops) - 1, -1, -1):
        if from_shapes[position] and readers[position]:
            hidden[position] = all(hidden[reader] or serves(reader, position) for reader in readers[position])
    return hidden
