"""Shapes that are right by luck, or only declared to be: one runtime runs them, another or the next batch does not."""

from __future__ import annotations

from collections.abc import Iterator

from friction_tui.kinds import dynamic, structure
from friction_tui.model.constants import constant_value
from friction_tui.model.graph import Node
from friction_tui.model.names import declared_dim
from friction_tui.model.provenance import location_of
from friction_tui.model.shapes.profile import free_dims
from friction_tui.rules.check import Check
from friction_tui.rules.context import CheckContext
from friction_tui.rules.shapes.profiles import fitting
from friction_tui.vocabulary.finding import Finding, Location, LocationKind, Severity
from friction_tui.vocabulary.recipe import POINTS, Profile


def check(context: CheckContext) -> Iterator[Finding]:
    """Outputs declared with sizes they never have; Squeeze without axes on a dynamic shape; Resize of the batch."""
    if context.model.file.kind != "onnx":
        return
    yield from _declared_outputs(context)
    free = free_dims(context.model)
    if not free or context.recipe.profile is None:
        return
    for node in context.model.index.main:
        if node.proto.op_type == "Squeeze":
            yield from _squeeze(context, node, context.recipe.profile)
        elif node.proto.op_type == "Resize":
            yield from _resize(context, node)


def _sizes(context: CheckContext, tensor: str) -> list[tuple[int, ...]]:
    """The shapes of a tensor at the points where it is known."""
    found = (context.table.at(point).types.get(tensor) for point in POINTS)
    return [tensor_type.sizes for tensor_type in found if tensor_type is not None and tensor_type.sizes is not None]


def _declared_outputs(context: CheckContext) -> Iterator[Finding]:
    """Declared sizes against the computed ones. A fixed batch that is right for one size only is left alone."""
    if fitting(context) != (context.recipe.profile or Profile()):
        return  # with ranges that contradict the model's inputs everything has other sizes than declared
    for value in context.model.proto.graph.output:
        declared = [declared_dim(dim).size for dim in value.type.tensor_type.shape.dim]
        shapes = _sizes(context, value.name)
        writer = context.model.index.producer.get(value.name)
        if writer is None or len(shapes) < len(POINTS) or not value.type.tensor_type.HasField("shape"):
            continue
        if any(_agrees(declared, shape) for shape in shapes):
            continue
        stale = _left_by_the_example(declared, shapes)
        if stale:
            yield _stale(context, value.name, writer, declared, shapes, stale)
            continue
        dims = ", ".join("?" if size is None else str(size) for size in declared)
        found = " · ".join(dict.fromkeys(str(list(shape)) for shape in shapes))
        yield structure.FALSE_SHAPE.finding(
            name=value.name,
            mismatch="never has its declared shape",
            severity=Severity.WARNING,
            cause=f"The output {value.name} is declared with the shape [{dims}], and {writer.proto.op_type} "
            f"{writer.name} makes {found}. TensorRT and ONNX Runtime go by what is computed (ONNX Runtime warns "
            "`Expected shape from model does not match`); `onnx.checker` refuses the model, and servers that read the "
            "declaration allocate the wrong size.",
            locations=(Location(LocationKind.OUTPUT, value.name), location_of(context.model, writer)),
            fixes=(
                f"Remove the declared shape of {value.name} and let onnx.shape_inference write it again.",
                "If the declared shape is the right one, look for what changed the model since: re-export it.",
            ),
        )


def _left_by_the_example(declared: list[int | None], shapes: list[tuple[int, ...]]) -> list[int]:
    """The axes declared with one size that vary with the input; [] when something else differs as well."""
    if any(len(shape) != len(declared) for shape in shapes):
        return []
    columns = list(zip(declared, zip(*shapes, strict=True), strict=True))
    differ = [axis for axis, (size, sizes) in enumerate(columns) if size is not None and size not in sizes]
    return differ if all(len(set(columns[axis][1])) > 1 for axis in differ) else []


def _stale(
    context: CheckContext,
    name: str,
    writer: Node,
    declared: list[int | None],
    shapes: list[tuple[int, ...]],
    axes: list[int],
) -> Finding:
    """Exporters that write the example's size for an axis that follows the input. Only readers of it are misled."""
    wrong = "; ".join(
        f"axis {axis} as {declared[axis]}, and it is {' · '.join(str(shape[axis]) for shape in shapes)}"
        for axis in axes
    )
    names = ", ".join(f'{axis}: "dim_{axis}"' for axis in axes)
    lines = ", ".join(f'output.type.tensor_type.shape.dim[{axis}].dim_param = "dim_{axis}"' for axis in axes)
    return structure.FALSE_SHAPE.finding(
        name=name,
        mismatch="is declared with the size of the example",
        severity=Severity.NOTE,
        cause=f"The output {name} of {writer.proto.op_type} {writer.name} declares {wrong} (min · opt · max): the "
        "exporter wrote down the size of its example. TensorRT and ONNX Runtime go by what is computed, so the results "
        "are right; only what reads the declaration (servers, code that allocates by it) is misled.",
        locations=(Location(LocationKind.OUTPUT, name), location_of(context.model, writer)),
        fixes=(
            f"Name the axis when exporting: dynamic_axes={{{name!r}: {{{names}}}}} (dynamo=False).",
            f"Or name it in the file: {lines}, and save.",
        ),
    )


def _agrees(declared: list[int | None], shape: tuple[int, ...]) -> bool:
    return len(declared) == len(shape) and all(
        want is None or want == have for want, have in zip(declared, shape, strict=True)
    )


def _squeeze(context: CheckContext, node: Node, profile: Profile) -> Iterator[Finding]:
    """Without axes, whatever has size 1 goes: the rank of the result depends on the input."""
    named = len(node.proto.input) > 1 and node.proto.input[1]
    if named or not node.proto.input or any(attribute.name == "axes" for attribute in node.proto.attribute):
        return
    shapes = _sizes(context, node.proto.input[0])
    if len(shapes) < 2 or len({len(shape) for shape in shapes}) != 1:
        return
    varying = [axis for axis, column in enumerate(zip(*shapes, strict=True)) if len(set(column)) > 1 and 1 in column]
    if not varying:
        return
    chosen = any(key not in profile.guessed for key in profile.ranges)
    always = [axis for axis, column in enumerate(zip(*shapes, strict=True)) if set(column) == {1}]
    keep = f"dim={always[0]}" if len(always) == 1 else f"dim={tuple(always)}" if always else "dim=..."
    seen = " · ".join(str(list(shape)) for shape in shapes)
    yield dynamic.SQUEEZE.finding(
        op="Squeeze",
        node=node.name,
        breaks="has no axes and a dynamic input",
        severity=Severity.ERROR if chosen else Severity.WARNING,
        cause=f"Squeeze {node.name} names no axes, so it removes every axis of size 1: of {seen} (min · opt · max) it "
        f"also removes the dynamic axis {varying[0]} (the batch, or another size) when that is 1, and the rank "
        "changes with the input. TensorRT fixes the rank when it builds and cannot run there.",
        locations=(location_of(context.model, node),),
        fixes=(
            f"Name the axes: x.squeeze({keep}) in the code, and re-export; or give Squeeze a constant axes input.",
            "Keep the min of that size at 2 or more.",
        ),
    )


def _resize(context: CheckContext, node: Node) -> Iterator[Finding]:
    """A constant `sizes` fixes the batch too: a larger batch is resized into it, without an error anywhere."""
    if len(node.proto.input) < 4 or any(attribute.name == "axes" for attribute in node.proto.attribute):
        return
    value = constant_value(context.model, node.proto.input[3], 16)
    batches = {shape[0] for shape in _sizes(context, node.proto.input[0]) if shape}
    if value is None or not value.size or len(batches) < 2:
        return
    sizes = [int(size) for size in value.ravel().tolist()]
    yield dynamic.BAKED_RESIZE.finding(
        node=node.name,
        cause=f"Resize {node.name} has the constant sizes {sizes}: entry 0 ({sizes[0]}) is the batch size at export, "
        f"baked in. The batch is dynamic ({' · '.join(str(size) for size in sorted(batches))}), and any other "
        f"batch is interpolated down or up to {sizes[0]}: every runtime runs it, and the result is wrong.",
        locations=(location_of(context.model, node),),
        fixes=(
            "Resize with scales (scale_factor), or compute sizes from x.shape; re-export with the batch dynamic.",
            "At opset 18 and later give Resize the axes [2, 3] and only two sizes.",
        ),
    )


CHECK = Check(
    "fragile shapes",
    "shapes that are right by luck",
    check,
    (structure.FALSE_SHAPE, dynamic.SQUEEZE, dynamic.BAKED_RESIZE),
)
