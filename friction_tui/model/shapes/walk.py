"""Following shapes through a graph, node by node in order, for concrete input sizes.

What onnx's whole-graph inference found is taken as it is; where it found nothing, the node is asked on its own
with the values that are known at this point. Every node whose inputs are known is checked. One that cannot
work is reported, its outputs are unknown, and nothing is said about nodes that depend on unknown sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from friction_tui.model.shapes.shape_values import evaluate, shape_value
from friction_tui.model.shapes.steps import Block, NodeStep, Prepared
from friction_tui.model.shapes.tensors import UNKNOWN, Array, NodeFailure, TensorType, dims_text, type_of


@dataclass(slots=True)
class Budget:
    """What following the bodies of a model may still cost, in nodes. `depth` is how deep in functions it is now.

    40 functions that each call the next one twice are 2^40 calls.
    """

    nodes: int = 100_000
    depth: int = 0
    deepest: int = 100
    """A call of a function in a function in a function: deeper ones end Python's stack, exporters nest up to ten."""

    def spend(self, nodes: int) -> bool:
        """Whether a body of so many nodes may be followed."""
        self.nodes -= nodes + 1
        return self.nodes >= 0 and self.depth < self.deepest


@dataclass(slots=True)
class Knowledge:
    """What is known inside one graph so far.

    `doubtful` tensors depend on something that failed or is decided here: the whole-graph inference, which did
    not know of it, is not believed about them. `bodies` keeps what was learnt of every body that was entered.
    """

    types: dict[str, TensorType]
    values: dict[str, Array]
    failures: list[NodeFailure] = field(default_factory=list)
    doubtful: set[str] = field(default_factory=set)
    bodies: dict[str, Knowledge] = field(default_factory=dict)
    calls: frozenset[str] = frozenset()
    """The functions being followed, by path prefix: one that calls itself is not followed again."""
    budget: Budget = field(default_factory=Budget)
    """Shared with every body that is entered from here."""

    def inside(self, block: Block, captured: tuple[str, ...]) -> Knowledge:
        """The knowledge a body starts with: its own constants and what it takes from outside."""
        types = {name: self.types[name] for name in captured if name in self.types}
        values = {name: self.values[name] for name in captured if name in self.values}
        return Knowledge(
            types | block.types, values | block.values, bodies=self.bodies, calls=self.calls, budget=self.budget
        )


_MALFORMED = (TypeError, ValueError, IndexError, KeyError, AttributeError, ZeroDivisionError)
"""What rules raise for a node that breaks its operator's schema: too few inputs, an attribute of another type. That
does not depend on sizes; a check of the schema reports it."""

BodyRule = Callable[[Prepared, NodeStep, Knowledge], list[TensorType]]
"""How a node with bodies gets its output types. Nodes in a body that cannot work go to the failures of `Knowledge`."""


def walk(
    ready: Prepared,
    block: Block,
    known: Knowledge,
    inferred: Mapping[str, TensorType],
    body_rules: Mapping[str, BodyRule],
) -> None:
    """Follow all steps of `block`, adding to `known`. `inferred` are types the whole-graph inference found."""
    types, doubtful = known.types, known.doubtful
    opset = ready.opsets.get("", 1)
    for step in block.steps:
        inputs = [types.get(name, UNKNOWN) for name in step.inputs]
        trusted: Mapping[str, TensorType] = inferred
        if doubtful and not doubtful.isdisjoint(step.inputs):
            trusted = {}
        outputs = _outputs(ready, step, known, inputs, trusted, opset, body_rules)
        if isinstance(outputs, str):
            known.failures.append(NodeFailure(step.path, outputs))
            doubtful.update(step.outputs)
            continue
        for name, found in zip(step.outputs, outputs, strict=False):
            if name:
                types[name] = found
                if found is not trusted.get(name):
                    doubtful.add(name)
        if step.followed:
            _follow_values(step, known, inputs, opset)


def _outputs(
    ready: Prepared,
    step: NodeStep,
    known: Knowledge,
    inputs: list[TensorType],
    inferred: Mapping[str, TensorType],
    opset: int,
    body_rules: Mapping[str, BodyRule],
) -> list[TensorType] | str:
    """The step's output types, or why it cannot work."""
    if step.bodies or step.function is not None:
        rule = body_rules.get("#function" if step.function is not None else step.op)
        if rule is not None:
            try:
                return rule(ready, step, known)
            except _MALFORMED:
                return [UNKNOWN] * len(step.outputs)
    sizes = [found.sizes for found in inputs]
    # A blank input has no sizes either, and that is not a failure.
    complete = None not in sizes or all(
        given is not None or not name for given, name in zip(sizes, step.inputs, strict=True)
    )
    values = [known.values.get(name) for name in step.inputs]
    try:
        fault = step.check(step.attributes, sizes, values, opset) if complete and step.check is not None else ""
        ours = step.rule(step.attributes, inputs, values) if step.rule is not None else None
    except _MALFORMED:
        return [UNKNOWN] * len(step.outputs)
    if fault:
        return f"{step.op}: {fault}"
    if ours is not None:
        return ours
    outputs = [inferred.get(name, UNKNOWN) for name in step.outputs]
    if None not in [found.sizes for found in outputs] or all(
        found.sizes is not None or not name for found, name in zip(outputs, step.outputs, strict=True)
    ):
        return outputs
    if step.canonical < 0:
        step.canonical = ready.nodes.number_of(step.node)
    answer = ready.nodes.ask(step.canonical, inputs, values)
    if isinstance(answer, str):
        if not complete:
            return outputs
        given = ", ".join(dims_text(found.dims) for found, name in zip(inputs, step.inputs, strict=True) if name)
        return f"{step.op}: {answer} (inputs {given})"
    return [_fuller(one, other) for one, other in zip(answer, outputs, strict=True)]


def _fuller(one: TensorType, other: TensorType) -> TensorType:
    """Whichever of two types of the same tensor says more."""
    if one.dims is None:
        return other if other.dims is not None or not one.dtype else one
    if other.dims is None or len(other.dims) != len(one.dims):
        return one
    dims = tuple(a if a is not None else b for a, b in zip(one.dims, other.dims, strict=True))
    return TensorType(one.dtype or other.dtype, dims)


def _follow_values(step: NodeStep, known: Knowledge, inputs: list[TensorType], opset: int) -> None:
    """Compute the step's output values when its inputs' are known, and correct its output types by them."""
    if step.op in ("Shape", "Size"):
        dims = inputs[0].dims if inputs else None
        if dims is None:
            return
        value = shape_value(step.attributes if step.op == "Shape" else {}, dims)
        if value is None:
            return
        results = [value if step.op == "Shape" else np.asarray(value.prod(dtype=np.int64))]
    else:
        values: list[Array | None] = []
        for name in step.inputs:
            if not name:
                values.append(None)
                continue
            found = known.values.get(name)
            if found is None:
                return
            values.append(found)
        evaluated = evaluate(step.op, step.attributes, values, opset)
        if evaluated is None:
            return
        results = list(evaluated)
    for name, result in zip(step.outputs, results, strict=False):
        if name:
            known.values[name] = result
            known.types[name] = type_of(result)
