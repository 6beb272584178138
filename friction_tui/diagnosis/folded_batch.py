"""A reshape that folds the batch into another axis: every runtime runs it, and the samples of a batch are mixed."""

from __future__ import annotations

from collections.abc import Iterator

from friction_tui.diagnosis.case import RULE, Case
from friction_tui.diagnosis.dials import Dial, Dials
from friction_tui.diagnosis.size_origin import constant_operand
from friction_tui.finding import Finding, Fix, Severity, Tier
from friction_tui.model.graph import Node
from friction_tui.model.opened import OpenedModel
from friction_tui.model.provenance import place_of
from friction_tui.model.shapes import PointShapes
from friction_tui.recipe import Profile

_TWO, _THREE = 2, 3
"""Batches compared: both differ from the 1 of most examples."""


def check(case: Case) -> Iterator[Finding]:
    """Warnings for a constant leading entry whose -1 takes the batch in, unless a later reshape takes it out again."""
    model, profile = case.model, case.recipe.profile or Profile()
    suspects = [node for node in model.index.main if _leads_with_a_constant(case, node)]
    if model.file.kind != "onnx" or not suspects:
        return
    dials = Dials(model, profile)
    for dial in dials.all.values():
        if not dial.is_batch or dial.range.max < _TWO:
            continue
        base = dials.at("opt")
        points = [dials.shapes({**base, dial.key: batch}) for batch in (_TWO, _THREE)]
        for node in suspects:
            if _folds(node, points) and not _comes_back(model, node, points):
                yield _finding(case, node, dial, points[0])


def _leads_with_a_constant(case: Case, node: Node) -> bool:
    if node.proto.op_type != "Reshape":
        return False
    target = constant_operand(case.model, node) or _computed(case, node)
    return bool(target) and target[0] > 0 and -1 in target[1:]


def _computed(case: Case, node: Node) -> list[int]:
    """A target put together in the graph, where it is the same at every size."""
    name = node.proto.input[1] if len(node.proto.input) > 1 else ""
    values = [case.table.at(point).values.get(name) for point in ("min", "opt", "max")]
    whole = [value for value in values if value is not None and value.dtype.kind in "iu"]
    listed = [[int(entry) for entry in value.ravel().tolist()] for value in whole]
    return listed[0] if len(listed) == len(values) and all(each == listed[0] for each in listed) else []


def _sizes(point: PointShapes, tensor: str) -> tuple[int, ...]:
    found = point.types.get(tensor)
    return found.sizes or () if found is not None else ()


def _folds(node: Node, points: list[PointShapes]) -> bool:
    """Whether axis 0 is the batch before and another one holds several times the batch behind."""
    before = [_sizes(point, node.proto.input[0]) for point in points]
    behind = [_sizes(point, node.proto.output[0]) for point in points]
    batches = (_TWO, _THREE)
    if not all(before) or not all(behind) or tuple(shape[0] for shape in before) != batches:
        return False
    columns = list(zip(*behind, strict=True))[1:]
    return any(two % _TWO == 0 and three % _THREE == 0 and two // _TWO == three // _THREE > 1 for two, three in columns)


def _comes_back(model: OpenedModel, node: Node, points: list[PointShapes]) -> bool:
    """Whether a result that depends on the node has the batch as an axis of its own again."""
    index = model.index
    outputs = {value.name for value in model.proto.graph.output}
    pending, seen = list(node.proto.output), set(node.proto.output)
    while pending:
        name = pending.pop()
        if name in outputs:
            rows = list(zip(*(_sizes(point, name) for point in points), strict=False))
            if (_TWO, _THREE) in rows or not rows:
                return True
        for reader in index.consumers.get(name, ()):
            fresh = [written for written in reader.proto.output if written and written not in seen]
            seen.update(fresh)
            pending.extend(fresh)
    return False


def _finding(case: Case, node: Node, dial: Dial, point: PointShapes) -> Finding:
    before, behind = (list(_sizes(point, name)) for name in (node.proto.input[0], node.proto.output[0]))
    return Finding(
        kind="dynamic/folded-batch",
        severity=Severity.WARNING,
        tier=Tier.HAZARD,
        title=f"Reshape {node.name} folds the batch into another axis",
        cause=f"Reshape {node.name} has the constant {behind[0]} as the first entry of its target and -1 behind it: "
        f"{dial.spoken} is baked in, and with a batch of {_TWO} {before} becomes {behind}. {dial.key} is dynamic "
        f"({dial.points}), and no result has it as an axis again: every runtime runs that, and the samples of a batch "
        "are mixed.",
        source=RULE,
        places=(place_of(case.model, node),),
        fixes=(
            Fix("Use -1 or x.shape[0] for the first entry (x.flatten(1)), and re-export with the batch dynamic."),
            Fix(f"If only one sample is ever fed, fix {dial.key} at {behind[0]}."),
        ),
    )
