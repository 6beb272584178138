"""An index over a model's graphs: who writes and reads each tensor, in bodies and functions too.

Everything here is iterative and linear in the size of the model, and holds for graphs that are cyclic,
unsorted, nameless or write a tensor twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from heapq import heapify, heappop, heappush

import onnx
from onnx import AttributeProto

from friction_tui.model.names import display_name

Graph = onnx.GraphProto | onnx.FunctionProto


@dataclass(frozen=True, slots=True)
class Node:
    """A node and where it is.

    `path` is as in `GraphData` of the protocol; `graph` the path prefix of the graph it lives in ("" for the
    main graph, `12.then_branch`, `@domain:name`); `index` counts in that graph. `name` is its own name or the one
    TensorRT's parser would give it. `inputs` and `outputs` are its tensors, blanks for what it leaves out.
    """

    path: str
    graph: str
    index: int
    proto: onnx.NodeProto
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def body_attributes(node: onnx.NodeProto) -> list[tuple[str, onnx.GraphProto]]:
    """(attribute name, graph) of the bodies a node has; those of a list are called `name[0]`, `name[1]`."""
    bodies = []
    for attribute in node.attribute:
        if attribute.type == AttributeProto.GRAPH:
            bodies.append((attribute.name, attribute.g))
        elif attribute.type == AttributeProto.GRAPHS:
            bodies.extend((f"{attribute.name}[{number}]", graph) for number, graph in enumerate(attribute.graphs))
    return bodies


def function_prefix(function: onnx.FunctionProto) -> str:
    """`@domain:name`, the path of a local function; an overload is appended as a third part."""
    prefix = f"@{function.domain}:{function.name}"
    return f"{prefix}:{function.overload}" if function.overload else prefix


class GraphIndex:
    """Every node of a model by path, and the main graph's tensors by writer and readers.

    `nodes` are all nodes, each followed by those of its bodies, the local functions' last. `main` are the main
    graph's own in file order. `producer` names the first writer of a tensor. `consumers` counts a node with a body
    among the readers of what the body takes from outside. `graphs` maps a path prefix to its graph or function.

    Raises TypeError for names that are not text; see `friction_tui.model.file.text_repair`.
    """

    def __init__(self, proto: onnx.ModelProto) -> None:
        self.proto = proto
        self.nodes: list[Node] = []
        self.graphs: dict[str, Graph] = {}
        self.nodes_in: dict[str, list[Node]] = {}
        self._bodies: dict[str, list[str]] = {}
        self._producers: dict[str, dict[str, Node]] = {}
        self._walk(("", proto.graph))
        for function in proto.functions:
            self._walk((function_prefix(function), function))
        self.main = self.nodes_in[""]
        self.by_path = {node.path: node for node in self.nodes}
        self.opsets = {entry.domain if entry.domain != "ai.onnx" else "": entry.version for entry in proto.opset_import}
        self.initializers = initializers_of(proto.graph)

    def _walk(self, start: tuple[str, Graph]) -> None:
        """Index one graph and, depth first, the bodies in it."""
        prefix, graph = start
        self.graphs[prefix] = graph
        self.nodes_in[prefix] = []
        stack: list[tuple[str, Iterator[tuple[int, onnx.NodeProto]]]] = [(prefix, iter(enumerate(graph.node)))]
        while stack:
            prefix, remaining = stack[-1]
            here = self.nodes_in[prefix]
            entered = False
            for number, proto in remaining:
                path = f"{prefix}.{number}" if prefix else str(number)
                inputs, outputs = tuple(proto.input), tuple(proto.output)
                "".join((proto.name, proto.op_type, proto.domain, *inputs, *outputs))
                name = proto.name or display_name(proto)
                node = Node(path, prefix, number, proto, name, inputs, outputs)
                self.nodes.append(node)
                here.append(node)
                bodies = body_attributes(proto) if proto.attribute else []
                if bodies:
                    self._bodies[path] = [f"{path}.{name}" for name, _ in bodies]
                    for name, body in reversed(bodies):
                        inner = f"{path}.{name}"
                        self.graphs[inner] = body
                        self.nodes_in[inner] = []
                        stack.append((inner, iter(enumerate(body.node))))
                    entered = True
                    break
            if not entered:
                stack.pop()

    @cached_property
    def inputs(self) -> list[onnx.ValueInfoProto]:
        """The inputs a caller feeds: those of the main graph that no initializer gives a value."""
        return [value for value in self.proto.graph.input if value.name not in self.initializers]

    @cached_property
    def functions(self) -> dict[tuple[str, str, str], str]:
        """(domain, name, overload) of each local function to its path prefix."""
        return {(f.domain, f.name, f.overload): function_prefix(f) for f in self.proto.functions}

    def function_of(self, node: onnx.NodeProto) -> str | None:
        """The path prefix of the local function a node calls, None when it calls none."""
        if not self.functions:
            return None
        return self.functions.get((node.domain, node.op_type, node.overload))

    def bodies_of(self, path: str) -> list[str]:
        """Path prefixes of the bodies of the node at `path`."""
        return self._bodies.get(path, [])

    def owner_of(self, prefix: str) -> str:
        """The path of the node whose body `prefix` is; "" for the main graph and functions."""
        owner = prefix.rpartition(".")[0]
        return owner if owner in self.by_path else ""

    @cached_property
    def captured(self) -> dict[str, tuple[str, ...]]:
        """Per path of a node with bodies: the outer tensors these read, in order of first use."""
        captured: dict[str, tuple[str, ...]] = {}
        # Deepest first, so that what an inner body captures is known when its surroundings are asked.
        for path in sorted(self._bodies, key=lambda p: p.count("."), reverse=True):
            outer: dict[str, None] = {}
            for prefix in self._bodies[path]:
                graph = self.graphs[prefix]
                assert isinstance(graph, onnx.GraphProto)
                own = {value.name for value in graph.input} | set(initializers_of(graph))
                for node in self.nodes_in[prefix]:
                    own.update(node.outputs)
                for node in self.nodes_in[prefix]:
                    for name in (*node.inputs, *captured.get(node.path, ())):
                        if name and name not in own:
                            outer[name] = None
                for value in graph.output:
                    if value.name and value.name not in own:
                        outer[value.name] = None
            captured[path] = tuple(outer)
        return captured

    def reads(self, node: Node) -> list[str]:
        """The tensors a node needs: its inputs, and what its bodies take from outside. Optional blanks left out."""
        names = list(node.inputs) if "" not in node.inputs else [name for name in node.inputs if name]
        return [*names, *self.captured[node.path]] if node.path in self._bodies else names

    def writer_in(self, prefix: str, tensor: str) -> Node | None:
        """The first node that writes `tensor` in the graph at `prefix`."""
        return self.producer_in(prefix).get(tensor)

    def initializer_in(self, prefix: str, tensor: str) -> onnx.TensorProto | None:
        """The initializer called `tensor` of the graph at `prefix`."""
        return (self.initializers if not prefix else initializers_of(self.graphs[prefix])).get(tensor)

    def producer_in(self, prefix: str) -> dict[str, Node]:
        """Tensor to the first node that writes it, in the graph at `prefix`."""
        if prefix in self._producers:
            return self._producers[prefix]
        producer = self._producers[prefix] = {}
        for node in self.nodes_in[prefix]:
            for name in node.outputs:
                if name:
                    producer.setdefault(name, node)
        return producer

    def consumers_in(self, prefix: str) -> dict[str, list[Node]]:
        """Tensor to the nodes that read it, in the graph at `prefix`, each once."""
        consumers: dict[str, list[Node]] = {}
        for node in self.nodes_in[prefix]:
            for name in dict.fromkeys(self.reads(node)):
                consumers.setdefault(name, []).append(node)
        return consumers

    @property
    def producer(self) -> dict[str, Node]:
        """`producer_in` the main graph."""
        return self.producer_in("")

    @cached_property
    def consumers(self) -> dict[str, list[Node]]:
        """`consumers_in` the main graph."""
        return self.consumers_in("")

    @cached_property
    def writers(self) -> dict[str, list[Node]]:
        """Tensor to the nodes that write it, in the main graph, bodies and functions together."""
        writers: dict[str, list[Node]] = {}
        for node in self.nodes:
            for name in node.outputs:
                if name:
                    writers.setdefault(name, []).append(node)
        return writers

    @cached_property
    def needed(self) -> frozenset[str]:
        """Paths of the main graph's nodes that an output of the graph is computed from; all, without outputs."""
        wanted = [value.name for value in self.proto.graph.output]
        if not wanted:
            return frozenset(node.path for node in self.main)
        needed: set[str] = set()
        while wanted:
            node = self.producer.get(wanted.pop())
            if node is not None and node.path not in needed:
                needed.add(node.path)
                wanted.extend(self.reads(node))
        return frozenset(needed)

    @cached_property
    def order(self) -> list[str]:
        """Paths of the main graph's nodes so that writers precede readers; file order wherever it allows.

        Nodes on a cycle, and those behind one, come last in file order.
        """
        return [self.main[number].path for number in self.sorted_in("")]

    def sorted_in(self, prefix: str) -> list[int]:
        """Positions of the nodes of the graph at `prefix` in topological order; see `order`."""
        nodes = self.nodes_in[prefix]
        sequence, waiting = self._kahn(nodes, self.producer_in(prefix))
        if waiting:
            placed = set(sequence)
            sequence.extend(number for number in range(len(nodes)) if number not in placed)
        return sequence

    def _kahn(self, nodes: list[Node], producer: dict[str, Node]) -> tuple[list[int], int]:
        """Kahn's algorithm over positions; also how many nodes never became ready."""
        blocked = [0] * len(nodes)
        readers: list[list[int]] = [[] for _ in nodes]
        for number, node in enumerate(nodes):
            for name in self.reads(node):
                writer = producer.get(name)
                if writer is not None:
                    readers[writer.index].append(number)
                    blocked[number] += 1
        if all(reader > number for number, row in enumerate(readers) for reader in row):
            return list(range(len(nodes))), 0  # the file is sorted already, as nearly every file is
        ready = [number for number, count in enumerate(blocked) if count == 0]
        heapify(ready)
        sequence = []
        while ready:
            number = heappop(ready)
            sequence.append(number)
            for reader in readers[number]:
                blocked[reader] -= 1
                if blocked[reader] == 0:
                    heappush(ready, reader)
        return sequence, len(nodes) - len(sequence)

    @cached_property
    def cycle_nodes(self) -> tuple[Node, ...]:
        """The nodes of one cycle of the main graph, each reading from the next; () when there is none."""
        sequence, waiting = self._kahn(self.main, self.producer)
        if not waiting:
            return ()
        stuck = set(range(len(self.main))) - set(sequence)
        # Every stuck node waits for a stuck writer, so following writers must come back to a node seen before.
        number = min(stuck)
        seen: dict[int, int] = {}
        walk: list[int] = []
        while number not in seen:
            seen[number] = len(walk)
            walk.append(number)
            writers = (self.producer.get(name) for name in self.reads(self.main[number]))
            number = next(writer.index for writer in writers if writer is not None and writer.index in stuck)
        return tuple(self.main[n] for n in walk[seen[number] :])

    @property
    def cycle(self) -> tuple[str, ...]:
        """Names of the nodes of one cycle of the main graph, each reading from the next; () when there is none."""
        return tuple(node.name for node in self.cycle_nodes)


def initializers_of(graph: Graph) -> dict[str, onnx.TensorProto]:
    """A graph's initializers by name; of a sparse one its values, which carry the name. Functions have none."""
    if isinstance(graph, onnx.FunctionProto):
        return {}
    found = {tensor.name: tensor for tensor in graph.initializer}
    for sparse in graph.sparse_initializer:
        found.setdefault(sparse.values.name, sparse.values)
    return found
