"""Loops whose carried tensors change their shape, and If branches that give results of different rank.

TensorRT's recurrence keeps one shape for all iterations, and its conditional one rank for both branches unless the
condition is known when the engine is built. Both are refused by the builder only; here before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, partial

import msgspec
import numpy as np
import onnx

from friction_tui.kinds import control
from friction_tui.model.graph import Node
from friction_tui.model.provenance import location_of
from friction_tui.model.shapes.bodies import iterations
from friction_tui.model.shapes.shape_table import ShapeTable
from friction_tui.model.shapes.tensors import PointShapes, TensorType, dims_text
from friction_tui.rules.check import Check
from friction_tui.rules.context import CheckContext
from friction_tui.rules.control.body_limits import body_limits
from friction_tui.rules.control.build_time import known_at_build
from friction_tui.vocabulary.finding import Finding, Severity
from friction_tui.vocabulary.recipe import POINTS, Range

_SIMULATED = 3
"""Iterations followed to show how a carried tensor changes."""


def check(context: CheckContext) -> Iterator[Finding]:
    """One finding per loop with a carried tensor that changes, one per If whose branches differ in rank."""
    if context.model.file.kind != "onnx":
        return
    nodes = [node for node in context.model.index.nodes if node.proto.op_type in ("Loop", "Scan", "If")]
    # Following the shapes once more serves every If, and is done for the first that needs it.
    branches = partial(_branches, fixed=cache(lambda: _guesses_fixed(context)))
    for node in nodes:
        judge = branches if node.proto.op_type == "If" else _carried
        yield from next(
            (found for point in POINTS if (found := list(judge(context, node, context.table.at(point))))), ()
        )
    yield from body_limits(context, nodes)


# ------------------------------------------------------------------------------------------------- loops


def _carried(context: CheckContext, node: Node, point: PointShapes) -> Iterator[Finding]:
    body = next(iter(context.model.index.bodies_of(node.path)), "")
    graph = context.model.index.graphs.get(body)
    if not body or not isinstance(graph, onnx.GraphProto):
        return
    steps = iterations(context.model, node, point.inside(node.graph), _SIMULATED)
    skipped = (2, 1) if node.proto.op_type == "Loop" else (0, 0)
    names = [value.name for value in graph.input][skipped[0] :], [value.name for value in graph.output][skipped[1] :]
    for before, after, *types in zip(*names, *steps, strict=False):
        if len(types) > 1 and _differ(types[0], types[1]):
            yield _growing(context, node, before, after, types)


def _differ(one: TensorType, other: TensorType) -> bool:
    if one.dims is None or other.dims is None:
        return False
    if len(one.dims) != len(other.dims):
        return True
    return any(a != b for a, b in zip(one.dims, other.dims, strict=True) if None not in (a, b))


def _growing(context: CheckContext, node: Node, before: str, after: str, types: list[TensorType]) -> Finding:
    op = node.proto.op_type
    body = next(iter(context.model.index.bodies_of(node.path)))
    writer = context.model.index.writer_in(body, after)
    made_by = f", where {writer.proto.op_type} {writer.name} makes it" if writer is not None else ""
    values = context.table.opt.inside(node.graph).values
    trips = values.get(node.inputs[0]) if op == "Loop" and node.inputs else None
    times = f" its {int(np.ravel(trips)[0])} iterations" if trips is not None and np.size(trips) == 1 else ""
    shapes = [dims_text(one.dims) for one in types]
    return control.GROWING_STATE.finding(
        op=op,
        node=node.name,
        cause=f"{op} {node.name} carries {before} from one iteration to the next, and its shape is not the same: "
        f"{shapes[0]} goes in, {shapes[1]} comes out as {after}{made_by}. It {_manner(types[0], types[1])} with every "
        f"iteration ({' → '.join(shapes)}); TensorRT's loop state (IRecurrenceLayer) must have the same shape in "
        "each, so the builder refuses it.",
        locations=(
            location_of(context.model, node),
            *((location_of(context.model, writer),) if writer is not None else ()),
        ),
        evidence=(f"{before} on entry and after each iteration: {' → '.join(shapes)}",),
        fixes=(
            (
                f"Pre-allocate {before} at its final size (pad it before the loop) and write into it with ScatterND or "
                "Where; carry the number of valid entries beside it."
            ),
            f"Unroll the loop{times}, or export one step with a fixed state and loop outside the engine.",
        ),
    )


def _manner(one: TensorType, other: TensorType) -> str:
    """Whether the state grows, shrinks, or changes otherwise."""
    before, after = one.dims or (), other.dims or ()
    if len(before) != len(after):
        return "changes its rank"
    pairs = [(a, b) for a, b in zip(before, after, strict=True) if a is not None and b is not None and a != b]
    if all(b > a for a, b in pairs):
        return "grows"
    return "shrinks" if all(b < a for a, b in pairs) else "changes its shape"


# ---------------------------------------------------------------------------------------------- branches


def _branches(
    context: CheckContext, node: Node, point: PointShapes, fixed: Callable[[], CheckContext | None]
) -> Iterator[Finding]:
    prefixes = {prefix.rpartition(".")[2]: prefix for prefix in context.model.index.bodies_of(node.path)}
    if {"then_branch", "else_branch"} - prefixes.keys() or not node.inputs:
        return
    types = []
    for name in ("then_branch", "else_branch"):
        graph = context.model.index.graphs[prefixes[name]]
        known = point.inside(prefixes[name]).types
        types.append([known.get(value if isinstance(value, str) else value.name) for value in graph.output])
    for name, first, second in zip(node.outputs, *types, strict=False):
        if first is None or second is None or first.dims is None or second.dims is None:
            continue
        if len(first.dims) == len(second.dims) or known_at_build(context, node.inputs[0], node.graph):
            continue
        where_fixed = fixed()
        guess = where_fixed is not None and known_at_build(where_fixed, node.inputs[0], node.graph)
        yield _ranks(context, node, name, first, second, guess=guess)


def _guesses_fixed(context: CheckContext) -> CheckContext | None:
    """The same with the sizes that nobody chose fixed at their opt; None where no size is such, or all are fixed."""
    profile = context.recipe.profile
    if profile is None:
        return None
    loose = {key for key, chosen in profile.ranges.items() if chosen.min != chosen.max} & set(profile.guessed)
    if not loose:
        return None
    opts = {key: profile.ranges[key].opt for key in loose}
    ranges = {**profile.ranges, **{key: Range(opt, opt, opt) for key, opt in opts.items()}}
    return replace(context, table=ShapeTable(context.model, msgspec.structs.replace(profile, ranges=ranges)))


def _ranks(
    context: CheckContext, node: Node, name: str, first: TensorType, second: TensorType, *, guess: bool
) -> Finding:
    """`guess`: TensorRT would know the condition if the sizes that nobody chose were fixed."""
    only_guessed = " This is at sizes that were guessed; with fixed ones the If folds." if guess else ""
    return control.IF_BRANCHES.finding(
        node=node.name,
        severity=Severity.WARNING if guess else Severity.ERROR,
        cause=f"The branches of If {node.name} give shapes of different rank, {dims_text(first.dims)} (then) and "
        f"{dims_text(second.dims)} (else), and its condition is not known when the engine is built (it depends on the "
        f"input). TensorRT wants one rank from both branches.{only_guessed}",
        evidence=(f"If {node.name}: its condition {node.inputs[0]} decides {name}",),
        locations=(location_of(context.model, node),),
        fixes=(
            "Make both branches give the same rank: squeeze a fixed axis that is always 1, or keep the dimension.",
            "Fix the size the condition tests (static in the profile), so that the If folds to a constant branch.",
            "Remove the if from the Python code; use torch.where for a choice of values.",
        ),
    )


CHECK = Check(
    "control flow",
    "loops and branches whose shapes change",
    check,
    (control.GROWING_STATE, control.IF_BRANCHES, control.LOOP_CONDITION, control.SLICE_BY_ITERATION, control.NESTED_IF),
)
