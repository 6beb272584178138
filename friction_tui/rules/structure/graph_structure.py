"""What the ONNX specification asks of a graph as a graph: names, order, writers and readers, outputs.

TensorRT's parser sorts unsorted graphs and ignores much of the rest; ONNX Runtime and the checker refuse,
and each of them stops at the first problem it meets. Rules: https://github.com/onnx/onnx/blob/main/docs/IR.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

import onnx

from friction_tui.kinds import structure
from friction_tui.model.graph import Node, initializers_of
from friction_tui.model.opened import OpenedModel
from friction_tui.model.provenance import location_of
from friction_tui.rules.check import Check
from friction_tui.rules.context import CheckContext
from friction_tui.vocabulary.finding import Finding, Fix, Location, LocationKind

REPAIR = Fix("Re-export the model, or repair the script that edited the graph; `onnx.checker.check_model` then agrees.")
"""The last fix of every violation that the checker reports too."""
LONGEST_NAME = 4095
"""Characters; the limit that TensorRT's message gives, 4096, includes the end of the text."""
_SHOWN = 4
"""Names spelt out in a cause; the locations have all of them."""


def check(context: CheckContext) -> Iterator[Finding]:
    """Every violation of the graph rules: in the main graph, in bodies and in local functions."""
    model = context.model
    if model.file.kind != "onnx":
        return
    known: dict[str, set[str]] = {}
    for prefix in model.index.graphs:
        yield from _names_and_order(model, prefix, known)
    yield from _functions(model)
    yield from _long_names(model)


def _long_names(model: OpenedModel) -> Iterator[Finding]:
    """Names that TensorRT refuses for their length alone: `ITensor::setName`, measured with TensorRT-RTX 1.7.1."""
    long: dict[str, Location] = {}
    for node in model.index.nodes:
        if len(node.proto.name) > LONGEST_NAME:
            long.setdefault(node.name, location_of(model, node))
        for name in (*node.inputs, *node.outputs):
            if len(name) > LONGEST_NAME:
                long.setdefault(name, Location(LocationKind.TENSOR, name))
    if long:
        name, others = next(iter(long)), len(long) - 1
        more = f", and so have {others} more" if others else ""
        yield structure.LONG_NAME.finding(
            cause=f"{name[:40]}…{name[-40:]} has {len(name)} characters{more}. "
            f"TensorRT takes {LONGEST_NAME} at most and refuses the model.",
            locations=long.values(),
            fixes=("Give the tensors and nodes shorter names: an engine does not depend on them.",),
            length=len(name),
        )


def _described(prefix: str) -> str:
    """The graph at a path prefix, in words."""
    if not prefix:
        return "the graph"
    return f"the body {prefix}" if "." in prefix.rpartition(":")[2] else f"the function {prefix[1:]}"


def listed(names: Iterable[str]) -> str:
    """The first few of `names`, and how many more there are."""
    every = list(dict.fromkeys(names))
    return ", ".join(every[:_SHOWN]) + (f" and {len(every) - _SHOWN} more" if len(every) > _SHOWN else "")


def _names_and_order(model: OpenedModel, prefix: str, known: dict[str, set[str]]) -> Iterator[Finding]:
    """Single assignment, undefined inputs, order and cycles of the graph at `prefix`.

    `known` collects, per prefix, the names visible inside that graph; outer graphs come before their bodies.
    """
    index = model.index
    graph, nodes = index.graphs[prefix], index.nodes_in[prefix]
    owner = index.owner_of(prefix) if prefix else ""
    outer = known[index.by_path[owner].graph] if owner else set()
    inputs = list(graph.input) if isinstance(graph, onnx.FunctionProto) else [value.name for value in graph.input]
    own = set(inputs) | set(initializers_of(graph))
    writers: dict[str, list[Node]] = {}
    for node in nodes:
        for name in node.proto.output:
            if name:
                writers.setdefault(name, []).append(node)
    known[prefix] = outer | own | writers.keys()

    yield from _several_definitions(model, prefix, inputs, own, outer, writers)
    yield from _undefined(model, prefix, known[prefix])
    if isinstance(graph, onnx.FunctionProto) or prefix:
        outputs = list(graph.output) if isinstance(graph, onnx.FunctionProto) else [v.name for v in graph.output]
        for name in outputs:
            if name not in known[prefix]:
                yield structure.UNDEFINED_OUTPUT.finding(
                    output=name,
                    graph=_described(prefix),
                    cause=f"{_described(prefix).capitalize()} returns {name}, which is missing: no node in it "
                    "writes it.",
                    locations=[Location(LocationKind.TENSOR, name)],
                    fixes=["Rename the output to a tensor that exists.", REPAIR],
                )
    yield from _order(model, prefix, writers)


def _several_definitions(
    model: OpenedModel,
    prefix: str,
    inputs: list[str],
    own: set[str],
    outer: set[str],
    writers: Mapping[str, list[Node]],
) -> Iterator[Finding]:
    """One name, several meanings: ONNX asks for static single assignment (SSA)."""
    where = _described(prefix)
    for name, nodes in writers.items():
        locations = [Location(LocationKind.TENSOR, name), *(location_of(model, node) for node in nodes)]
        if len(nodes) > 1:
            shown = " and ".join(f"{node.proto.op_type} {node.name}" for node in nodes[:_SHOWN])
            yield structure.TWO_WRITERS.finding(
                tensor=name,
                cause=f"The tensor {name} has {len(nodes)} writers in {where}: {shown}. ONNX requires single static "
                "assignment (SSA), a name must be written exactly once and must not be duplicated; which value a "
                "reader gets is undefined. TensorRT misreports it as `Failed to sort the model topologically`.",
                locations=locations,
                fixes=[f"Rename the output {name} of one of the two nodes, and the readers that mean it.", REPAIR],
            )
        elif name in own:
            what = "a graph input" if name in inputs else "an initializer"
            yield structure.TWO_WRITERS.finding(
                tensor=name,
                cause=f"{nodes[0].proto.op_type} {nodes[0].name} writes the tensor {name}, which is already {what} of "
                f"{where}: a duplicate definition. ONNX requires single static assignment (SSA), one writer for each "
                "name.",
                locations=locations,
                fixes=[
                    f"Rename the node's output {name}, or remove the duplicate {what.rsplit(maxsplit=1)[-1]}.",
                    REPAIR,
                ],
            )
        elif name in outer:
            yield structure.SHADOWED_NAME.finding(
                tensor=name,
                cause=f"{nodes[0].proto.op_type} {nodes[0].name} in {where} writes {name}, a name the surrounding "
                "graph already uses. ONNX forbids it (SSA spans bodies); ONNX Runtime refuses the model, TensorRT "
                "builds it.",
                locations=locations,
                fixes=[f"Rename the tensor {name} inside the body.", REPAIR],
            )
    graph = model.index.graphs[prefix]
    if isinstance(graph, onnx.GraphProto):
        tensors = [tensor.name for tensor in graph.initializer]
        for kind, names in ((LocationKind.INPUT, inputs), (LocationKind.INITIALIZER, tensors)):
            for name, count in Counter(names).items():
                if count > 1:
                    yield structure.TWO_WRITERS.finding(
                        tensor=name,
                        cause=f"{where.capitalize()} declares the {kind.value} {name} {count} times; names must be "
                        "unique, a duplicate leaves open which one is meant.",
                        locations=[Location(kind, name)],
                        fixes=[f"Remove or rename the duplicate {kind.value} {name}.", REPAIR],
                    )


def _undefined(model: OpenedModel, prefix: str, visible: set[str]) -> Iterator[Finding]:
    """Tensors that are read and exist nowhere."""
    readers: dict[str, list[Node]] = {}
    for node in model.index.nodes_in[prefix]:
        for name in node.proto.input:
            if name and name not in visible:
                readers.setdefault(name, []).append(node)
    for name, nodes in readers.items():
        first = nodes[0]
        yield structure.UNDEFINED_INPUT.finding(
            tensor=name,
            cause=f"{first.proto.op_type} {first.name} reads the tensor {name}, which is undefined in "
            f"{_described(prefix)}: it is not a graph input, not an initializer, and no node writes it. A node or "
            "an initializer was removed, or a name is misspelt.",
            locations=[*(location_of(model, node) for node in nodes), Location(LocationKind.TENSOR, name)],
            fixes=[
                f"Add the missing initializer or input {name}, or rename the node's input to the tensor that is meant.",
                REPAIR,
            ],
        )


def _order(model: OpenedModel, prefix: str, writers: Mapping[str, list[Node]]) -> Iterator[Finding]:
    """Readers before their writers: unsorted, or a cycle, which no order resolves."""
    index = model.index
    late: list[tuple[Node, str, Node]] = []
    for node in index.nodes_in[prefix]:
        for name in index.reads(node):
            found = writers.get(name)
            if found and found[0].index >= node.index:
                late.append((node, name, found[0]))
    if not late:
        return
    cycle = _cycle(model, prefix, writers)
    if cycle:
        shown = " → ".join(f"{node.name} ({node.proto.op_type})" for node in (*cycle, cycle[0]))
        yield structure.CYCLE.finding(
            nodes=f"{len(cycle)} node{'s' if len(cycle) > 1 else ''}",
            cause=f"The graph is cyclic: {shown}. Each node on the cycle waits for the output of the one before it, so "
            "none can run; a loop is only allowed inside a Loop or Scan body.",
            locations=[location_of(model, node) for node in cycle],
            fixes=[
                f"Break the cycle: rewire the input of {cycle[0].name} to the tensor it was meant to read, or remove "
                "the edge.",
                REPAIR,
            ],
            evidence=[f"cycle: {shown}"],
        )
        return
    node, name, writer = late[0]
    more = f" {len(late)} inputs are affected." if len(late) > 1 else ""
    yield structure.UNSORTED.finding(
        cause=f"The nodes of {_described(prefix)} are not topologically sorted: {node.proto.op_type} {node.name} "
        f"(position {node.index}) reads {name} before {writer.proto.op_type} {writer.name} (position {writer.index}) "
        f"writes it.{more} ONNX requires sorted nodes: TensorRT and ONNX Runtime sort them themselves, the checker and "
        "tools that edit or convert models refuse.",
        locations=[location_of(model, reader) for reader in {reader.path: reader for reader, _, _ in late}.values()],
        fixes=[
            "Sort the nodes topologically, for example with `onnx_graphsurgeon` `graph.toposort()`, and save.",
            REPAIR,
        ],
    )


def _cycle(model: OpenedModel, prefix: str, writers: Mapping[str, list[Node]]) -> list[Node]:
    """The nodes of one cycle, in the direction data flows; empty when there is none. Iterative depth-first search."""
    index = model.index
    state: dict[int, int] = {}
    for start in index.nodes_in[prefix]:
        if start.index in state:
            continue
        path: list[Node] = []
        stack: list[tuple[Node, Iterator[str]]] = [(start, iter(index.reads(start)))]
        state[start.index] = 1
        path.append(start)
        while stack:
            node, names = stack[-1]
            for name in names:
                writer = writers[name][0] if name in writers else None
                if writer is None:
                    continue
                if state.get(writer.index) == 1:
                    return path[path.index(writer) :][::-1]
                if writer.index not in state:
                    state[writer.index] = 1
                    path.append(writer)
                    stack.append((writer, iter(index.reads(writer))))
                    break
            else:
                state[node.index] = 2
                stack.pop()
                path.pop()
    return []


def _functions(model: OpenedModel) -> Iterator[Finding]:
    """Local functions that call themselves, which ONNX forbids: they are inlined."""
    index = model.index
    calls = {prefix: set[str]() for prefix in index.functions.values()}
    for node in index.nodes:
        called = index.function_of(node.proto)
        caller = next((prefix for prefix in calls if node.graph == prefix or node.graph.startswith(prefix + ".")), None)
        if called and caller:
            calls[caller].add(called)
    finished: set[str] = set()
    while ready := [prefix for prefix, called in calls.items() if prefix not in finished and called <= finished]:
        finished.update(ready)
    recursive = [prefix for prefix in calls if prefix not in finished]
    if recursive:
        yield structure.RECURSIVE_FUNCTION.finding(
            cause=f"The functions {listed(prefix[1:] for prefix in recursive)} call each other in a cycle. ONNX "
            "functions must not be recursive, they are inlined before they run: TensorRT's parser crashes on it, ONNX "
            "Runtime refuses the model.",
            locations=[
                *(Location(LocationKind.MODEL, prefix[1:]) for prefix in recursive),
                *(location_of(model, node) for node in index.nodes if index.function_of(node.proto) in recursive),
            ],
            fixes=["Unroll the recursion where the model is made.", REPAIR],
        )


CHECK = Check(
    "structure",
    "what ONNX asks of a graph",
    check,
    (
        structure.LONG_NAME,
        structure.UNDEFINED_OUTPUT,
        structure.TWO_WRITERS,
        structure.SHADOWED_NAME,
        structure.UNDEFINED_INPUT,
        structure.CYCLE,
        structure.UNSORTED,
        structure.RECURSIVE_FUNCTION,
    ),
)
