"""The subgraphs TensorRT would take when some nodes are refused, and what it costs to cut there.

Computed on the graph itself: TensorRT's own answer marks every subgraph unsupported after any error.
"""

from __future__ import annotations

from dataclasses import dataclass

from friction_tui.kinds import operators
from friction_tui.model.graph import Node
from friction_tui.model.opened import OpenedModel
from friction_tui.model.provenance import location_of
from friction_tui.rules.context import CheckContext
from friction_tui.rules.tensor_bytes import tensor_bytes
from friction_tui.vocabulary.finding import Finding

_WORTH_SAYING = 8
"""Nodes a graph must have before its partitions say more than the refusals themselves."""


@dataclass(frozen=True, slots=True)
class Partition:
    """A subgraph TensorRT can take whole.

    `paths` are its nodes, `inputs` and `outputs` the tensors that cross to or from a node outside (graph
    inputs, outputs and weights do not count).
    """

    paths: tuple[str, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def partitions(model: OpenedModel, refused: set[str]) -> list[Partition]:
    """The largest subgraphs of the main graph without a refused node, such that no path leaves one and comes back.

    A refused node in a body takes the node that owns the body with it.
    """
    index = model.index
    outside = {path.partition(".")[0] for path in refused}
    calls = {path.partition(".")[0][1:] for path in refused if path.startswith("@")}
    if calls:
        outside |= {n.path for n in index.main if (index.function_of(n.proto) or "@")[1:] in calls}
    level: dict[str, int] = {}
    group: dict[str, str] = {}
    order = [index.by_path[path] for path in index.order]
    writers = {node.path: _writers(model, node) for node in order}
    for node in order:
        before = writers[node.path]
        mine = node.path in outside
        # A change of sides raises the level, so a path that leaves a level never comes back to it.
        level[node.path] = max(
            (level[w.path] + ((w.path in outside) != mine) for w in before if w.path in level),
            default=int(mine),
        )
        group[node.path] = node.path
    for node in order:
        if node.path in outside:
            continue
        for writer in writers[node.path]:
            if writer.path not in outside and level.get(writer.path) == level[node.path]:
                _join(group, writer.path, node.path)
    members: dict[str, list[Node]] = {}
    for node in order:
        if node.path not in outside:
            members.setdefault(_root(group, node.path), []).append(node)
    return [_partition(model, nodes) for nodes in members.values()]


def _writers(model: OpenedModel, node: Node) -> list[Node]:
    producer = model.index.producer
    return [producer[name] for name in model.index.reads(node) if name in producer]


def _root(group: dict[str, str], path: str) -> str:
    while group[path] != path:
        group[path] = group[group[path]]
        path = group[path]
    return path


def _join(group: dict[str, str], one: str, other: str) -> None:
    group[_root(group, other)] = _root(group, one)


def _partition(model: OpenedModel, nodes: list[Node]) -> Partition:
    index, producer, consumers = model.index, model.index.producer, model.index.consumers
    inside = {node.path for node in nodes}
    inputs = dict.fromkeys(
        name for node in nodes for name in index.reads(node) if name in producer and producer[name].path not in inside
    )
    outputs = dict.fromkeys(
        name
        for node in nodes
        for name in node.outputs
        if any(reader.path not in inside for reader in consumers.get(name, ()))
    )
    return Partition(tuple(node.path for node in nodes), tuple(inputs), tuple(outputs))


def partition_note(context: CheckContext, refused: set[str]) -> Finding | None:
    """What TensorRT would take without the refused nodes, and what would cross at opt; None if not worth saying."""
    main = context.model.index.main
    if not refused or len(main) < _WORTH_SAYING:
        return None
    parts = sorted(partitions(context.model, refused), key=lambda part: -len(part.paths))
    if not parts:
        return None
    taken = sum(len(part.paths) for part in parts)
    crossing = dict.fromkeys(name for part in parts for name in (*part.inputs, *part.outputs))
    sizes = [tensor_bytes(context.table.opt.types.get(name)) for name in crossing]
    known = sum(size for size in sizes if size is not None)
    amount = f"{known:,} bytes at opt" if known else ""
    unsized = f"{sizes.count(None)} of unknown size" if None in sizes else ""
    weight = ", ".join(part for part in (amount, unsized) if part)
    listed = ", ".join(str(len(part.paths)) for part in parts[:5]) + (" …" if len(parts) > 5 else "")
    outside = [
        context.model.index.by_path[path.partition(".")[0]] for path in sorted(refused) if not path.startswith("@")
    ]
    return operators.PARTITIONS.finding(
        taken=taken,
        nodes=len(main),
        subgraphs=f"{len(parts)} subgraph{'s' * (len(parts) != 1)}",
        cause=f"Cut at the refused nodes, {len(parts)} subgraph{'s remain' if len(parts) != 1 else ' remains'}, of "
        f"{listed} nodes; {len(crossing)} tensor{'s' * (len(crossing) != 1)} ({weight}) would cross "
        "between TensorRT and another runtime at every inference.",
        locations=dict.fromkeys(location_of(context.model, node) for node in outside),
        fixes=(
            "Remove the refused nodes; or run the model in ONNX Runtime with its TensorRT provider: it cuts like this.",
        ),
    )
