"""The difference between two versions of a model as text, one line a fact, `-` and `+` as diff writes them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from friction_tui.drawing.width import visible
from friction_tui.vocabulary.protocol.differences import (
    Change,
    GraphDifference,
    ModelDifference,
    NodeChange,
    NodeFacts,
)


def lines(difference: ModelDifference) -> Iterator[str]:
    """Every line, without colour; control characters in names are written out."""
    if difference.empty:
        yield "nothing differs"
        return
    yield from _changes("opset", difference.opsets)
    yield from _changes("", (difference.ir_version,) if difference.ir_version else ())
    yield from _changes("function", difference.functions)
    for graph in difference.graphs:
        yield from _graph(graph)


def _graph(graph: GraphDifference) -> Iterator[str]:
    counts = [f"{len(graph.removed)} removed", f"{len(graph.added)} added", f"{len(graph.changed)} changed"]
    if graph.moved:
        counts.append(f"{graph.moved} moved")
    name = f"graph {visible(graph.graph)}" if graph.graph else "main graph"
    yield f"@@ {name}: nodes {', '.join(counts)} @@"
    yield from (f"- {_node(node)}" for node in graph.removed)
    yield from (f"+ {_node(node)}" for node in graph.added)
    for change in graph.changed:
        yield from _node_change(change)
    yield from _changes("input", graph.inputs)
    yield from _changes("output", graph.outputs)
    yield from _changes("initializer", graph.initializers)


def _node(node: NodeFacts) -> str:
    attributes = " ".join(f"{visible(name)}={visible(text)}" for name, text in node.attributes.items())
    text = f"{visible(node.op)} {visible(node.name)}: {_tensors(node.inputs)} → {_tensors(node.outputs)}"
    return f"{text}  ({attributes})" if attributes else text


def _node_change(change: NodeChange) -> Iterator[str]:
    before, after = change.before, change.after
    yield f"~ {visible(before.op)} {visible(before.name)}"
    parts = (("name", (before.name,), (after.name,)), ("inputs", before.inputs, after.inputs))
    for label, old, new in (*parts, ("outputs", before.outputs, after.outputs)):
        if old != new:
            yield f"  - {label} {_tensors(old)}"
            yield f"  + {label} {_tensors(new)}"
    yield from (f"  {line}" for line in _changes("attribute", change.attributes))


def _changes(what: str, changes: Sequence[Change]) -> Iterator[str]:
    for change in changes:
        name = f"{what} {visible(change.name)}".strip()
        if change.before:
            yield f"- {name} {visible(change.before)}"
        if change.after:
            yield f"+ {name} {visible(change.after)}"


def _tensors(names: Sequence[str]) -> str:
    return ", ".join(visible(name) if name else "∅" for name in names) or "nothing"
