"""What a session works out when a model is opened: a complete profile, and a label for every row."""

from __future__ import annotations

import math
import time

import msgspec

from friction_tui.engines import onnxruntime
from friction_tui.model.opened import OpenedModel
from friction_tui.model.shapes.point_shapes import input_sizes
from friction_tui.model.shapes.profile import default_profile, free_dims, shape_tensor_inputs
from friction_tui.model.shapes.shape_table import ShapeTable
from friction_tui.vocabulary.protocol import GraphData
from friction_tui.vocabulary.recipe import POINTS, Profile, Range, Recipe, Values


def complete(model: OpenedModel, recipe: Recipe) -> Recipe:
    """The recipe with shared symbols named once, and a proposal, marked as guessed, for what the user left open."""
    if recipe.profile is None:
        return recipe
    runs = _Runs(model)
    profiles = tuple(default_profile(model, shared(model, profile), runs) for profile in recipe.profiles)
    return recipe.with_profiles(profiles, recipe.position)


class _Runs:
    """Whether a model runs at the opt sizes of a profile, asked of ONNX Runtime within one limit of time for all."""

    def __init__(self, model: OpenedModel) -> None:
        self._model = model
        self._until = 0.0

    def __call__(self, profile: Profile) -> bool | None:
        now = time.monotonic()
        self._until = self._until or now + onnxruntime.RUN_S
        if now >= self._until or self._model.file.kind != "onnx":
            return None
        values = {name: given.opt for name, given in profile.values.items()}
        ran = onnxruntime.run_once(
            self._model, input_sizes(self._model, profile, "opt"), values, limit_s=self._until - now
        )
        return None if ran is None else not ran.error


def shared(model: OpenedModel, profile: Profile) -> Profile:
    """The profile with `input[axis]` entries moved to the symbol of that dimension, so that it is edited once.

    Entries that contradict each other or a size fixed in the model stay as they are, for a check to name; entries
    that only repeat a fixed size go.
    """
    profile = _with_values(model, profile)
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


def _with_values(model: OpenedModel, profile: Profile) -> Profile:
    """The profile with sizes given to an input that TensorRT reads as a shape turned into its values.

    trtexec writes both alike (`--minShapes=k:4`). As many numbers as the input holds are its values; its own shape
    instead is left to be dropped as one that repeats a fixed size, and anything else for a check to name.
    """
    ranges, values = dict(profile.ranges), dict(profile.values)
    shape_tensors = shape_tensor_inputs(model)
    for port in model.index.inputs:
        if port.name not in shape_tensors:
            continue
        given = [key for key in ranges if key.rpartition("[")[0] == port.name]
        rows = [ranges[f"{port.name}[{axis}]"] for axis in range(len(given)) if f"{port.name}[{axis}]" in ranges]
        held = math.prod(dim.dim_value for dim in port.type.tensor_type.shape.dim)
        if rows and len(rows) == len(given) == held:
            points = (tuple(row.at(point) for row in rows) for point in POINTS)
            values.setdefault(port.name, Values(*points))
            for key in given:
                del ranges[key]
    return msgspec.structs.replace(profile, ranges=ranges, values=values)


def _fixed(model: OpenedModel) -> dict[str, int]:
    """`input[axis]` to the size fixed there."""
    return {
        f"{value.name}[{axis}]": dim.dim_value
        for value in model.index.inputs
        for axis, dim in enumerate(value.type.tensor_type.shape.dim)
        if dim.HasField("dim_value") and dim.dim_value >= 0
    }


def row_labels(model: OpenedModel, graph: GraphData, table: ShapeTable) -> list[str]:
    """For every item of the graph, the shape of its first output over the range.

    Where it is not known: behind which operator it got lost; "" at that operator itself, whose own mark says more.
    """
    labels: list[str] = []
    lost: dict[str, str] = {}
    for path in graph.paths:
        if path[:1] in ("<", ">"):
            labels.append(table.label(path[1:]) or _behind(model, path[1:], table, lost, own=False))
            continue
        node = model.index.by_path.get(path)
        if node is None or node.graph or not node.proto.output:
            labels.append("")
        else:
            name = node.proto.output[0]
            labels.append(table.label(name) or _behind(model, name, table, lost, own=True))
    return labels


def _behind(model: OpenedModel, name: str, table: ShapeTable, lost: dict[str, str], *, own: bool) -> str:
    """`not known: after NonZero`, from the first operator upstream of a tensor that has no shape to give.

    `lost` remembers the answers; `own` says that the operator which writes `name` is not to be named as its own cause.
    """
    trail: list[str] = []
    found = ""
    while name not in lost:
        trail.append(name)
        writer = model.index.producer.get(name)
        if writer is None or writer.graph:
            break
        unknown = (read for read in writer.proto.input if read in model.index.producer and not table.label(read))
        upstream = next((read for read in unknown if read not in trail), None)
        if upstream is None:
            found = writer.proto.op_type
            break
        name = upstream
    else:
        found = lost[name]
    at_fault = len(trail) == 1 and own and name == trail[0]
    lost.update(dict.fromkeys(trail, found))
    return f"not known: after {found}" if found and not at_fault else ""
