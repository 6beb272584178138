"""Loops whose carried tensors change their shape, and If branches that give results of different rank.

TensorRT's recurrence keeps one shape for all iterations, and its conditional one rank for both branches unless the
condition is known when the engine is built. Both are refused by the builder only; here before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from friction_tui.diagnosis.case import RULE, Case
from friction_tui.diagnosis.size_origin import constant_operand
from friction_tui.finding import Finding, Fix, Severity, Tier
from friction_tui.model.bodies import BODY_RULES
from friction_tui.model.graph import Node
from friction_tui.model.provenance import place_of
from friction_tui.model.steps import Block, prepared
from friction_tui.model.tensors import TensorType, dims_text
from friction_tui.model.walk import Knowledge, walk
from friction_tui.recipe import POINTS

_MEASURES = frozenset(("Shape", "Size"))
_MOVES = frozenset(
    ["Gather", "Slice", "Squeeze", "Unsqueeze", "Concat", "Cast", "Identity", "Reshape", "Flatten", "Split"]
)
"""Operators that pass values on: their result is known at build time when it is the same at every point."""


def check(case: Case) -> Iterator[Finding]:
    """One finding per loop with a carried tensor that changes, one per If whose branches differ in rank."""
    if case.model.file.kind != "onnx":
        return
    if not any(node.proto.op_type in ("Loop", "Scan", "If") for node in case.model.index.nodes):
        return
    seen: set[str] = set()
    for point in POINTS:
        shapes = case.table.at(point)
        for node in case.model.index.main:
            for finding in _visit(case, node, Knowledge(shapes.types, shapes.values)):
                if finding.places[0].node not in seen:
                    seen.add(finding.places[0].node)
                    yield finding


def _visit(case: Case, node: Node, known: Knowledge) -> Iterator[Finding]:
    """Judge a node and what is inside its bodies, with what is known around it."""
    op = node.proto.op_type
    if op not in ("Loop", "Scan", "If"):
        return
    ready = prepared(case.model)
    outcomes: dict[str, tuple[Block, Knowledge]] = {}
    for prefix in case.model.index.bodies_of(node.path):
        block = ready.block(prefix)
        inner = known.inside(block, case.model.index.captured.get(node.path, ()))
        inner.types.update(zip(block.inputs, _arguments(node, known), strict=False))
        walk(ready, block, inner, {}, BODY_RULES)
        outcomes[prefix.rpartition(".")[2]] = (block, inner)
        for deeper in case.model.index.nodes_in[prefix]:
            yield from _visit(case, deeper, inner)
    if op == "If":
        yield from _branches(case, node, outcomes, known)
        yield from _impossible(case, node, outcomes, known)
    elif "body" in outcomes:
        yield from _carried(case, node, *outcomes["body"])


def _arguments(node: Node, known: Knowledge) -> list[TensorType]:
    """The types a body's inputs have in the first iteration."""
    given = [known.types.get(name, TensorType("", None)) for name in node.proto.input]
    if node.proto.op_type == "Loop":
        return [TensorType("int64", ()), TensorType("bool", ()), *given[2:]]
    if node.proto.op_type == "Scan":
        count = _scanned(node)
        rows = [TensorType(row.dtype, row.dims[1:] if row.dims else None) for row in given[len(given) - count :]]
        return given[: len(given) - count] + rows
    return []


def _scanned(node: Node) -> int:
    return next((int(a.i) for a in node.proto.attribute if a.name == "num_scan_inputs"), 0)


# ------------------------------------------------------------------------------------------------- loops


def _carried(case: Case, node: Node, block: Block, inner: Knowledge) -> Iterator[Finding]:
    loop = node.proto.op_type == "Loop"
    count = len(block.inputs) - (2 if loop else _scanned(node))
    states = block.inputs[2:] if loop else block.inputs[:count]
    results = block.outputs[1 : 1 + count] if loop else block.outputs[:count]
    for before, after in zip(states, results, strict=False):
        start, end = inner.types.get(before), inner.types.get(after)
        if start is None or end is None or not _differ(start, end):
            continue
        yield _growing(case, node, before, after, start, end)


def _differ(one: TensorType, other: TensorType) -> bool:
    if one.dims is None or other.dims is None:
        return False
    if len(one.dims) != len(other.dims):
        return True
    return any(a != b for a, b in zip(one.dims, other.dims, strict=True) if None not in (a, b))


def _growing(case: Case, node: Node, before: str, after: str, start: TensorType, end: TensorType) -> Finding:
    op = node.proto.op_type
    prefix = next(p for p in case.model.index.bodies_of(node.path))
    writer = case.model.index.writer_in(prefix, after)
    made_by = f", where {writer.proto.op_type} {writer.name} makes it" if writer is not None else ""
    trips = case.table.opt.values.get(node.proto.input[0]) if op == "Loop" and node.proto.input else None
    times = f" its {int(np.ravel(trips)[0])} iterations" if trips is not None and np.size(trips) == 1 else ""
    return Finding(
        kind="control/growing-state",
        severity=Severity.ERROR,
        tier=Tier.BUILDER,
        title=f"{op} {node.name} carries a tensor that changes its shape",
        cause=f"{op} {node.name} carries {before} from one iteration to the next, and its shape is not the same: "
        f"{dims_text(start.dims)} goes in, {dims_text(end.dims)} comes out as {after}{made_by}. It grows or "
        "shrinks with every iteration; TensorRT's loop state (IRecurrenceLayer) must have the same shape in "
        "each, so the builder refuses it.",
        source=RULE,
        places=(place_of(case.model, node), *((place_of(case.model, writer),) if writer is not None else ())),
        fixes=(
            Fix("Pre-allocate the carried tensor at its final size (pad) and write into it with ScatterND or Where."),
            Fix(f"Unroll the loop{times}, or export one step with a fixed state and loop outside the engine."),
        ),
    )


# ---------------------------------------------------------------------------------------------- branches


def _branches(
    case: Case, node: Node, outcomes: Mapping[str, tuple[Block, Knowledge]], known: Knowledge
) -> Iterator[Finding]:
    if {"then_branch", "else_branch"} - outcomes.keys():
        return
    (then, inside_then), (other, inside_other) = outcomes["then_branch"], outcomes["else_branch"]
    condition = node.proto.input[0] if node.proto.input else ""
    for name, one, two in zip(node.proto.output, then.outputs, other.outputs, strict=False):
        first, second = inside_then.types.get(one), inside_other.types.get(two)
        if first is None or second is None or first.dims is None or second.dims is None:
            continue
        if len(first.dims) == len(second.dims) or _decided(case, node, condition, known):
            continue
        yield _ranks(case, node, condition, name, first, second)


def _ranks(case: Case, node: Node, condition: str, name: str, first: TensorType, second: TensorType) -> Finding:
    return Finding(
        kind="control/if-branches",
        severity=Severity.ERROR,
        tier=Tier.BUILDER,
        title=f"The branches of If {node.name} differ in rank",
        cause=f"The then branch of If {node.name} gives {name} the shape {dims_text(first.dims)}, the else branch "
        f"{dims_text(second.dims)}: their rank differs, and the condition {condition} is not known when the "
        "engine is built (it depends on the input). TensorRT wants one rank from both branches.",
        source=RULE,
        places=(place_of(case.model, node),),
        fixes=(
            Fix("Make both branches give the same rank: squeeze a fixed axis that is always 1, or keep the dimension."),
            Fix("Fix the size the condition tests (static in the profile), so that the If folds to a constant branch."),
            Fix("Remove the if from the Python code; use torch.where for a choice of values."),
        ),
    )


def _impossible(
    case: Case, node: Node, outcomes: Mapping[str, tuple[Block, Knowledge]], known: Knowledge
) -> Iterator[Finding]:
    """Nodes of a branch that cannot work. TensorRT works out the shapes of both branches, whichever is taken."""
    condition = node.proto.input[0] if node.proto.input else ""
    if _decided(case, node, condition, known) or all(inner.failures for _, inner in outcomes.values()):
        return  # only the branch taken counts; or it fails anyway, which the shapes have said
    for name, (_, inner) in outcomes.items():
        for failure in inner.failures:
            inside = case.model.index.by_path[failure.path]
            target = constant_operand(case.model, inside)
            baked = f" Its target {target} is a constant, baked in while the input is dynamic." if target else ""
            yield Finding(
                kind="control/branch-cannot-work",
                severity=Severity.ERROR,
                tier=Tier.BUILDER,
                title=f"{inside.proto.op_type} {inside.name} in a branch of If {node.name} cannot work",
                cause=f"{failure.message} ({name} of If {node.name}).{baked} TensorRT works out the shapes of both "
                "branches, whichever the condition takes, so the other one does not help; the batch or size it "
                "was exported with is the only one that works.",
                source=RULE,
                places=(place_of(case.model, inside), place_of(case.model, node)),
                fixes=(
                    Fix(
                        "Make the branch valid at every size: -1 or x.shape in reshapes, re-exported with dynamic "
                        "sizes."
                    ),
                    Fix("Fix the size the condition tests, so that the If folds away; or remove the If."),
                ),
            )


def _decided(case: Case, node: Node, condition: str, known: Knowledge) -> bool:
    """Whether the branch is chosen when the engine is built; inside a body, whether its value is known at all."""
    return condition in known.values if node.graph else known_at_build(case, condition)


def known_at_build(case: Case, tensor: str) -> bool:
    """Whether TensorRT knows a value of the main graph when it builds.

    It does when everything the value is computed from is a constant or a size that is the same in the whole profile.
    A comparison that happens to give the same answer everywhere is not folded (TensorRT-RTX 1.7.1).
    """
    index = case.model.index
    seen: set[str] = set()
    pending = [tensor]
    while pending:
        name = pending.pop()
        if not name or name in seen or name in index.initializers:
            continue
        seen.add(name)
        writer = index.producer.get(name)
        if writer is None:
            return False
        op = writer.proto.op_type
        if op == "Constant" or ((op in _MEASURES or op in _MOVES) and _same_everywhere(case, name)):
            continue
        if op in _MEASURES or not writer.proto.input:
            return False
        pending.extend(writer.proto.input)
    return True


def _same_everywhere(case: Case, tensor: str) -> bool:
    """Whether a value is known at min, opt and max, and the same at each."""
    values = [case.table.at(point).values.get(tensor) for point in POINTS]
    known = [value for value in values if value is not None]
    return len(known) == len(POINTS) and all(np.array_equal(value, known[0]) for value in known)
