"""A model's graph in the form in which it is drawn and sent: see `friction_tui.vocabulary.protocol.GraphData`."""

from __future__ import annotations

from dataclasses import dataclass, field

from friction_tui.model.graph import GraphIndex, Node, initializers_of
from friction_tui.model.opened import OpenedModel
from friction_tui.model.provenance import scope_of
from friction_tui.vocabulary.protocol import Body, GraphData


@dataclass(slots=True)
class _Items:
    """The parallel lists of GraphData while they grow."""

    names: list[str] = field(default_factory=list)
    ops: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    inputs: list[list[int]] = field(default_factory=list)
    scopes: list[int] = field(default_factory=list)
    scope_numbers: dict[tuple[str, ...], int] = field(default_factory=lambda: {(): 0})

    def add(self, name: str, op: str, path: str, scope: tuple[str, ...] = ()) -> int:
        self.names.append(name)
        self.ops.append(op)
        self.paths.append(path)
        self.inputs.append([])
        self.scopes.append(self.scope_numbers.setdefault(scope, len(self.scope_numbers)))
        return len(self.names) - 1


def graph_data(model: OpenedModel) -> GraphData:
    """The items, edges, scopes and bodies of the whole model; `order` is left empty.

    Pseudo-items of a body carry the body's path in theirs: `12.then_branch.^x`.
    """
    index = model.index
    items = _Items()
    _add_graph(index, "", items)
    main = len(items.names)
    bodies: list[Body] = []
    number_of: dict[str, int] = {}
    for prefix in index.graphs:
        if prefix:
            first = len(items.names)
            _add_graph(index, prefix, items)
            number_of[prefix] = len(bodies)
            label = prefix if prefix.startswith("@") and "." not in prefix else prefix.rpartition(".")[2]
            bodies.append(Body(_function_label(index, prefix) or label, first, len(items.names)))
    return GraphData(
        names=items.names,
        ops=items.ops,
        paths=items.paths,
        inputs=items.inputs,
        scopes=items.scopes,
        scope_table=list(items.scope_numbers),
        order=[],
        main=main,
        bodies=bodies,
        owners=_owners(index, items, number_of),
        nodes=len(index.nodes),
    )


def _function_label(index: GraphIndex, prefix: str) -> str:
    return prefix if prefix in index.functions.values() else ""


def _owners(index: GraphIndex, items: _Items, number_of: dict[str, int]) -> dict[int, list[int]]:
    """Which bodies each item opens into."""
    owners: dict[int, list[int]] = {}
    for item, path in enumerate(items.paths):
        node = index.by_path.get(path)
        if node is None:
            continue
        prefixes = list(index.bodies_of(path))
        function = index.function_of(node.proto)
        if function is not None:
            prefixes.append(function)
        if prefixes:
            owners[item] = [number_of[prefix] for prefix in prefixes]
    return owners


def _add_graph(index: GraphIndex, prefix: str, items: _Items) -> None:
    """Add the items of one graph: outer values, inputs, nodes, outputs; then the edges between them."""
    graph = index.graphs[prefix]
    nodes = index.nodes_in[prefix]
    stored = set(initializers_of(graph))
    outputs = [_name(value) for value in graph.output]
    hidden = _hidden_constants(index, nodes)
    dot = f"{prefix}." if prefix else ""

    written = {name for node in nodes for name in node.outputs if name}
    fed = [_name(value) for value in graph.input]
    item_of: dict[str, int] = {}
    for name in _outer_values(index, prefix, written | stored | set(fed), nodes, outputs):
        item_of[name] = items.add(name, "<outer>", f"{dot}^{name}")
    for name in fed:
        if name not in stored and name not in item_of:
            item_of[name] = items.add(name, "Input", f"{dot}<{name}")

    shown: list[tuple[int, Node]] = []
    for node in nodes:
        if node.path in hidden:
            continue
        item = items.add(node.name, node.proto.op_type, node.path, scope_of(node))
        shown.append((item, node))
        for name in node.outputs:
            if name:
                item_of.setdefault(name, item)
    for item, node in shown:
        items.inputs[item] = _sources(index.reads(node), item_of)
    for name in outputs:
        item = items.add(name, "Output", f"{dot}>{name}")
        items.inputs[item] = _sources([name], item_of)


def _sources(tensors: list[str], item_of: dict[str, int]) -> list[int]:
    return list(dict.fromkeys(item_of[name] for name in tensors if name in item_of))


def _outer_values(index: GraphIndex, prefix: str, own: set[str], nodes: list[Node], outputs: list[str]) -> list[str]:
    """What a body reads from the graphs around it and is computed there, in order of first use."""
    owner = index.owner_of(prefix)
    if not owner:
        return []
    read = dict.fromkeys(name for node in nodes for name in index.reads(node))
    read.update(dict.fromkeys(outputs))
    return [name for name in read if name and name not in own and not _is_stored_outside(index, owner, name)]


def _is_stored_outside(index: GraphIndex, owner: str, name: str) -> bool:
    """Whether an outer name is an initializer or a Constant, which are not items where they live either."""
    while owner:
        prefix = index.by_path[owner].graph
        if index.initializer_in(prefix, name) is not None:
            return True
        writer = index.writer_in(prefix, name)
        if writer is not None:
            return writer.proto.op_type == "Constant" and not writer.proto.input
        owner = index.owner_of(prefix)
    return False


def _hidden_constants(index: GraphIndex, nodes: list[Node]) -> set[str]:
    """Paths of the Constant nodes that some other node reads, which shows them well enough."""
    constants = [node for node in nodes if node.proto.op_type == "Constant" and not node.proto.input]
    if not constants:
        return set()
    read = {name for node in nodes for name in index.reads(node)}
    return {node.path for node in constants if any(name in read for name in node.outputs)}


def _name(value: object) -> str:
    """A graph's inputs and outputs are ValueInfoProtos, a function's are plain strings."""
    return value if isinstance(value, str) else str(getattr(value, "name", ""))
