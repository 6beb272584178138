"""What a session works out when a model is opened: a complete profile, and a label for every row."""

from __future__ import annotations

import msgspec

from friction_tui.model.opened import OpenedModel
from friction_tui.model.profile import default_profile, free_dims
from friction_tui.model.shapes import ShapeTable
from friction_tui.protocol import GraphData
from friction_tui.recipe import Profile, Range, Recipe


def complete(model: OpenedModel, recipe: Recipe) -> Recipe:
    """The recipe with shared symbols named once, and a proposal, marked as guessed, for what the user left open."""
    if recipe.profile is None:
        return recipe
    profile = default_profile(model, shared(model, recipe.profile))
    return msgspec.structs.replace(recipe, profile=profile)


def shared(model: OpenedModel, profile: Profile) -> Profile:
    """The profile with `input[axis]` entries moved to the symbol of that dimension, so that it is edited once.

    Entries that contradict each other or a size fixed in the model stay as they are, for a check to name; entries
    that only repeat a fixed size go.
    """
    ranges = dict(profile.ranges)
    for key, uses in free_dims(model).items():
        wanted = {ranges[f"{name}[{axis}]"] for name, axis in uses if f"{name}[{axis}]" in ranges}
        if key in profile.ranges and f"{uses[0][0]}[{uses[0][1]}]" == key:
            continue
        if len(wanted) == 1 and profile.ranges.get(key) in (None, *wanted):
            for name, axis in uses:
                ranges.pop(f"{name}[{axis}]", None)
            ranges[key] = wanted.pop()
    for key, size in _fixed(model).items():
        if ranges.get(key) == Range(size, size, size):
            del ranges[key]
    return msgspec.structs.replace(profile, ranges=ranges)


def _fixed(model: OpenedModel) -> dict[str, int]:
    """`input[axis]` to the size fixed there."""
    return {
        f"{value.name}[{axis}]": dim.dim_value
        for value in model.index.inputs
        for axis, dim in enumerate(value.type.tensor_type.shape.dim)
        if dim.HasField("dim_value") and dim.dim_value >= 0
    }


def row_labels(model: OpenedModel, graph: GraphData, table: ShapeTable) -> list[str]:
    """For every item of the graph, the shape of its first output over the range; "" where it is not known."""
    labels: list[str] = []
    for path in graph.paths:
        if path[:1] in ("<", ">"):
            labels.append(table.label(path[1:]))
            continue
        node = model.index.by_path.get(path)
        known = node is not None and node.graph == "" and node.proto.output
        labels.append(table.label(node.proto.output[0]) if node is not None and known else "")
    return labels
