"""Following shapes into what a node contains: If branches, Loop and Scan bodies, local functions.

A body is followed with the sizes it really meets. Of an If whose condition is known only the branch taken
counts, so a branch that could not work at sizes where it is never taken is not a failure.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from friction_tui.model.graph import Node
from friction_tui.model.opened import OpenedModel
from friction_tui.model.shapes.steps import Block, NodeStep, Prepared, prepared
from friction_tui.model.shapes.tensors import UNKNOWN, Array, PointShapes, TensorType
from friction_tui.model.shapes.walk import BodyRule, Knowledge, walk

_ROUNDS = 4
"""Rounds in which a Loop's state must settle. Each forgets a size that changed, so few are ever needed."""


def _enter(
    ready: Prepared, block: Block, known: Knowledge, captured: tuple[str, ...], arguments: list[TensorType]
) -> Knowledge:
    """Follow a body whose inputs have the types `arguments`; what is learnt of it is kept with `known`."""
    inner = known.inside(block, captured)
    inner.types.update(zip(block.inputs, arguments, strict=False))
    known.bodies[block.prefix] = inner
    _walk(ready, block, inner)
    return inner


def _walk(ready: Prepared, block: Block, inner: Knowledge) -> None:
    """Follow a body, if that is not too much; what it gives stays unknown otherwise."""
    budget = inner.budget
    if not budget.spend(len(block.steps)):
        ready.unanswered.keep("bodies and local functions: there are too many calls in calls to follow all")
        return
    budget.depth += 1
    try:
        walk(ready, block, inner, {}, BODY_RULES)
    finally:
        budget.depth -= 1


def _results(block: Block, inner: Knowledge) -> list[TensorType]:
    return [inner.types.get(name, UNKNOWN) for name in block.outputs]


def common_type(one: TensorType, other: TensorType) -> TensorType:
    """What two types of one tensor agree on."""
    dtype = one.dtype if one.dtype == other.dtype else ""
    if one.dims is None or other.dims is None or len(one.dims) != len(other.dims):
        return TensorType(dtype, None)
    return TensorType(dtype, tuple(a if a == b else None for a, b in zip(one.dims, other.dims, strict=True)))


def _if(ready: Prepared, step: NodeStep, known: Knowledge) -> list[TensorType]:
    branches = {prefix.rpartition(".")[2]: prefix for prefix in step.bodies}
    condition = known.values.get(step.inputs[0]) if step.inputs else None
    taken = {"then_branch", "else_branch"}
    if condition is not None and condition.size == 1:
        taken = {"then_branch" if bool(condition.ravel()[0]) else "else_branch"}
    outcomes: list[list[TensorType]] = []
    failed: list[Knowledge] = []
    for name, prefix in branches.items():
        block = ready.block(prefix)
        inner = _enter(ready, block, known, step.captured, [])
        if name not in taken:
            continue
        if inner.failures:
            failed.append(inner)
        else:
            outcomes.append(_results(block, inner))
            if len(taken) == 1:
                _carry_values(step, block, inner, known)
    if not outcomes:  # whichever branch is taken, it cannot work
        for inner in failed:
            known.failures.extend(inner.failures)
        return [UNKNOWN] * len(step.outputs)
    if len(outcomes) == 1:
        return outcomes[0]
    return [common_type(one, other) for one, other in zip(*outcomes, strict=False)]


def _carry_values(step: NodeStep, block: Block, inner: Knowledge, known: Knowledge) -> None:
    """What a body computed for certain is known outside too."""
    for name, inside in zip(step.outputs, block.outputs, strict=False):
        if name and inside in inner.values:
            known.values[name] = inner.values[inside]


def _loop(ready: Prepared, step: NodeStep, known: Knowledge) -> list[TensorType]:
    block = ready.block(step.bodies[0])
    initial = [known.types.get(name, UNKNOWN) for name in step.inputs[2:]]
    counter = [TensorType("int64", ()), TensorType("bool", ())]
    trips = known.values.get(step.inputs[0]) if step.inputs else None
    states = initial
    rows: list[TensorType] = []
    for number in range(_ROUNDS):
        inner = _enter(ready, block, known, step.captured, counter + states)
        if number == 0 and inner.failures and (trips is None or int(trips.ravel()[0]) > 0):
            known.failures.extend(inner.failures)
            return [UNKNOWN] * len(step.outputs)
        results = _results(block, inner)[1:]
        settled = [common_type(one, other) for one, other in zip(states, results, strict=False)]
        rows = results[len(states) :]
        if settled == states:
            break
        states = settled
    count = int(trips.ravel()[0]) if trips is not None and _always_goes_on(step, block, known) else None
    return states + [_stacked(row, count, 0) for row in rows]


def iterations(model: OpenedModel, node: Node, around: PointShapes, count: int) -> list[list[TensorType]]:
    """The carried tensors' types of a Loop or Scan: on entry, then after each of at most `count` iterations.

    `around` is what is known in the graph the node stands in. Ends early where the body cannot work.
    """
    ready = prepared(model)
    block = ready.block(model.index.bodies_of(node.path)[0])
    types = [around.types.get(name, UNKNOWN) for name in node.inputs]
    counter, rows = [TensorType("int64", ()), TensorType("bool", ())], []
    if node.proto.op_type == "Loop":
        states, skipped = types[2:], 1
    else:
        scanned = next((int(a.i) for a in node.proto.attribute if a.name == "num_scan_inputs"), 0)
        axes = next((list(a.ints) for a in node.proto.attribute if a.name == "scan_input_axes"), [0] * scanned)
        split = len(types) - scanned
        states, counter, rows, skipped = types[:split], [], _sliced(types[split:], axes)[1], 0
    captured = model.index.captured.get(node.path, ())
    found = [states]
    for _ in range(count):
        inner = _enter(ready, block, Knowledge(around.types, around.values), captured, [*counter, *found[-1], *rows])
        results = _results(block, inner)[skipped : skipped + len(states)]
        if inner.failures or len(results) < len(states):
            break
        found.append(results)
    return found


def _always_goes_on(step: NodeStep, block: Block, known: Knowledge) -> bool:
    """Whether only the trip count ends the loop: its condition is blank or true, and stays so."""
    start = step.inputs[1] if len(step.inputs) > 1 else ""
    begins = not start or bool(np.all(known.values.get(start, np.array(False))))
    source = block.outputs[0] if block.outputs else ""
    identities = {body.outputs[0]: body.inputs[0] for body in block.steps if body.op == "Identity" and body.inputs}
    while source in identities:
        source = identities[source]
    stays = block.values.get(source)
    return begins and (source == block.inputs[1] or (stays is not None and bool(np.all(stays))))


def _scan(ready: Prepared, step: NodeStep, known: Knowledge) -> list[TensorType]:
    block = ready.block(step.bodies[0])
    scanned = int(step.attributes.get("num_scan_inputs", 0))
    types = [known.types.get(name, UNKNOWN) for name in step.inputs]
    if ready.opsets.get("", 1) < 9 or not 0 < scanned <= len(types):
        return [UNKNOWN] * len(step.outputs)  # opset 8 had a batch axis and lengths
    states, rows = types[:-scanned], types[-scanned:]
    axes = step.attributes.get("scan_input_axes") or [0] * scanned
    length, arguments = _sliced(rows, axes)
    inner = _enter(ready, block, known, step.captured, states + arguments)
    known.failures.extend(inner.failures)
    if inner.failures:
        return [UNKNOWN] * len(step.outputs)
    results = _results(block, inner)
    settled = [common_type(one, other) for one, other in zip(states, results, strict=False)]
    made = results[len(states) :]
    out_axes = step.attributes.get("scan_output_axes") or [0] * len(made)
    return settled + [_stacked(row, length, axis) for row, axis in zip(made, out_axes, strict=False)]


def _sliced(rows: list[TensorType], axes: list[int]) -> tuple[int | None, list[TensorType]]:
    """How many slices there are along the scanned axes, and the type of one slice of each."""
    lengths: set[int] = set()
    slices = []
    for row, axis in zip(rows, axes, strict=False):
        if row.dims is None or not -len(row.dims) <= axis < len(row.dims):
            slices.append(TensorType(row.dtype, None))
            continue
        size = row.dims[axis]
        if size is not None:
            lengths.add(size)
        at = axis % len(row.dims)
        slices.append(TensorType(row.dtype, row.dims[:at] + row.dims[at + 1 :]))
    return (lengths.pop() if len(lengths) == 1 else None), slices


def _stacked(row: TensorType, count: int | None, axis: int) -> TensorType:
    """The type of `count` rows stacked along a new axis."""
    if row.dims is None:
        return row
    axis %= len(row.dims) + 1
    return TensorType(row.dtype, (*row.dims[:axis], count, *row.dims[axis:]))


def _function(ready: Prepared, step: NodeStep, known: Knowledge) -> list[TensorType]:
    assert step.function is not None
    if step.function in known.calls:
        return [UNKNOWN] * len(step.outputs)
    block = ready.block(step.function, step.node)
    calls = known.calls | {step.function}
    inner = Knowledge(dict(block.types), dict(block.values), bodies=known.bodies, calls=calls, budget=known.budget)
    for formal, actual in zip(block.inputs, step.inputs, strict=False):
        if actual:
            inner.types[formal] = known.types.get(actual, UNKNOWN)
            if actual in known.values:
                inner.values[formal] = known.values[actual]
    _walk(ready, block, inner)
    _keep_call(known, block, inner)
    known.failures.extend(inner.failures)
    _carry_values(step, block, inner, known)
    return _results(block, inner)


def _keep_call(known: Knowledge, block: Block, inner: Knowledge) -> None:
    """Keep what a call of a function learnt of it: a call that fails, else what all of them agree on."""
    earlier = known.bodies.get(block.prefix)
    if earlier is None or (inner.failures and not earlier.failures):
        known.bodies[block.prefix] = inner
    elif not earlier.failures:
        for name, other in inner.types.items():
            one = earlier.types.get(name, UNKNOWN)
            if one != other:
                earlier.types[name] = common_type(one, other)
        for name in [name for name, value in earlier.values.items() if not _same(value, inner.values.get(name))]:
            del earlier.values[name]


def _same(one: Array, other: Array | None) -> bool:
    return one is other or (other is not None and np.array_equal(one, other))


BODY_RULES: Mapping[str, BodyRule] = {"If": _if, "Loop": _loop, "Scan": _scan, "#function": _function}
