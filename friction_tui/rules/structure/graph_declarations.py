"""What a graph declares: outputs, types, shapes, initializers; and whether its bodies fit their nodes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import onnx

from friction_tui.kinds import structure
from friction_tui.model.graph import Node
from friction_tui.model.opened import OpenedModel
from friction_tui.model.provenance import location_of
from friction_tui.rules.check import Check
from friction_tui.rules.context import CheckContext
from friction_tui.rules.structure.graph_structure import REPAIR, listed
from friction_tui.vocabulary.finding import Finding, Location, LocationKind

_SHOWN = 4
"""Tensors that may have been meant as outputs, named in the finding."""
_RANDOM = frozenset(
    ["RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Bernoulli", "Multinomial"]
)
"""Operators whose results differ although their inputs do not."""


def check(context: CheckContext) -> Iterator[Finding]:
    """Missing or empty declarations of the main graph, bodies of the wrong arity, names that nodes share."""
    model = context.model
    if model.file.kind != "onnx":
        return
    yield from _outputs(model)
    yield from _listed_twice(model)
    yield from _passed_through(model)
    yield from _unread(model)
    yield from _constant_outputs(model)
    yield from _types_and_shapes(model)
    yield from _initializers(model)
    yield from _bodies(model)
    yield from _same_names(model)


def _outputs(model: OpenedModel) -> Iterator[Finding]:
    """No outputs at all, and outputs that nothing computes."""
    graph, index = model.proto.graph, model.index
    if not graph.output:
        last = [name for name in index.producer if name not in index.consumers]
        yield structure.NO_OUTPUTS.finding(
            cause="The graph has no outputs: at least one tensor must be marked as output, or nothing is computed. "
            "TensorRT parses it and fails at the build with `Network must have at least one output`."
            + (f" The tensors nothing reads are: {listed(last)}." if last else ""),
            locations=[
                Location(LocationKind.MODEL, "outputs"),
                *(Location(LocationKind.TENSOR, name) for name in last[:_SHOWN]),
            ],
            fixes=[
                "Add the missing output: mark a tensor with `graph.output.append(onnx.helper.make_tensor_value_info("
                "name, dtype, shape))` and save.",
                REPAIR,
            ],
        )
    written = index.producer.keys() | index.initializers.keys() | {value.name for value in graph.input}
    for value in graph.output:
        if value.name not in written:
            yield structure.UNDEFINED_OUTPUT.finding(
                output=value.name,
                graph="the graph",
                cause=f"The graph output {value.name} is missing: no node writes it, and it is neither an input nor an "
                "initializer. TensorRT says `Trying to access weights or a null tensor!`.",
                locations=[Location(LocationKind.OUTPUT, value.name)],
                fixes=[
                    f"Rename the output to a tensor that exists, or remove {value.name} from the graph's outputs.",
                    REPAIR,
                ],
            )


def _listed_twice(model: OpenedModel) -> Iterator[Finding]:
    """Outputs that are listed more than once: ONNX Runtime 1.32 returns each, TensorRT-RTX 1.7.1 has one."""
    times = Counter(value.name for value in model.proto.graph.output if value.name)
    for name, count in times.items():
        if count > 1:
            yield structure.OUTPUT_TWICE.finding(
                output=name,
                count=count,
                cause=f"The graph lists the output {name} {count} times. ONNX Runtime returns it {count} times, "
                "TensorRT once: it logs `it was already set as network-level output` and builds. Callers that take the "
                "outputs by their position get another one than they expect.",
                locations=[Location(LocationKind.OUTPUT, name)],
                fixes=[
                    f"List {name} once; for a second output of the same value, write it with Identity({name}) under a "
                    "name of its own."
                ],
            )


def _passed_through(model: OpenedModel) -> Iterator[Finding]:
    """Inputs that are outputs as well: TensorRT-RTX 1.7.1 renames the input. Whether it builds, the builder says."""
    outputs = {value.name for value in model.proto.graph.output}
    for value in model.index.inputs:
        if value.name not in outputs:
            continue
        name = value.name
        yield structure.INPUT_IS_OUTPUT.finding(
            tensor=name,
            cause=f"The tensor {name} is both an input and an output of the graph: passed through as it is. ONNX "
            f"allows that; TensorRT cannot have one name on both sides and renames the input to __{name}: who feeds "
            f"the engine an input called {name}, or gives a profile for it, has to use that name.",
            locations=[Location(LocationKind.INPUT, name)],
            fixes=[
                f"Put an Identity between: rename the output, and write it with Identity({name}).",
                f"Or remove {name} from the outputs; the caller has it already.",
            ],
        )


def _unread(model: OpenedModel) -> Iterator[Finding]:
    """Inputs that nothing reads: an argument the code no longer uses."""
    read = {name for node in model.index.main for name in model.index.reads(node)}
    read |= {value.name for value in model.proto.graph.output}
    unread = [value.name for value in model.index.inputs if value.name and value.name not in read]
    aliased = _aliased(model, unread)
    for sibling, names in aliased.items():
        times = sum(1 for node in model.index.main for name in model.index.reads(node) if name == sibling)
        yield structure.ALIASED_INPUT.finding(
            inputs=listed(names),
            sibling=sibling,
            cause=f"No node reads the graph input {listed(names)}, and {sibling}, of the same type and shape, is read "
            f"{times} times. So it looks where one tensor was the example of both arguments at export: every use of "
            f"{names[0]} became one of {sibling}, and what is fed as {names[0]} is ignored.",
            locations=[Location(LocationKind.INPUT, name) for name in (*names, sibling)],
            fixes=[
                f"Export again with different tensors (a clone) as examples for {sibling} and {listed(names)}.",
                f"If the code does not use {listed(names)}, remove the argument and export again.",
            ],
        )
    unread = [name for name in unread if not any(name in names for names in aliased.values())]
    if unread and model.index.main:
        yield structure.UNREAD_INPUT.finding(
            inputs=listed(unread),
            cause=f"The graph input {listed(unread)} is not read by any node and is not an output: an argument the "
            "model does not use. TensorRT keeps it (`Unused Input`), so the profile and every call must serve it; "
            "other exporters and optimizers drop it, and callers then fail with `Invalid Feed Input Name`.",
            locations=[Location(LocationKind.INPUT, name) for name in unread],
            fixes=[
                "Nothing needs to be done while the caller feeds it. Remove it from the graph, or from forward() "
                "before the export, to be rid of it."
            ],
        )


def _aliased(model: OpenedModel, unread: list[str]) -> dict[str, list[str]]:
    """Inputs that nothing reads, by a sibling with the same declaration that is read more than once."""
    types = {value.name: value.type.SerializeToString() for value in model.index.inputs}
    times = Counter(name for node in model.index.main for name in model.index.reads(node) if name in types)
    found: dict[str, list[str]] = {}
    for name in unread:
        same = [other for other in types if other not in unread and types[other] == types[name] and times[other] > 1]
        if same and model.index.main:
            found.setdefault(max(same, key=lambda other: times[other]), []).append(name)
    return found


def _constant_outputs(model: OpenedModel) -> Iterator[Finding]:
    """Outputs that nothing leads to from an input, and nothing random."""
    if not model.index.inputs:
        return
    moving = {value.name for value in model.index.inputs}
    for node in model.index.main:
        if node.proto.op_type in _RANDOM or any(name in moving for name in model.index.reads(node)):
            moving.update(name for name in node.outputs if name)
    for value in model.proto.graph.output:
        writer = model.index.producer.get(value.name)
        if writer is None or value.name in moving or not _sorted_before(model, writer):
            continue
        yield structure.CONSTANT_OUTPUT.finding(
            output=value.name,
            cause=f"The output {value.name} of {writer.proto.op_type} {writer.name} is computed from constants only: "
            "it is the same whatever the inputs are. Every engine builds it in silence.",
            locations=[Location(LocationKind.OUTPUT, value.name), location_of(model, writer)],
            fixes=[
                f"If {value.name} should follow an input, compute it in tensors (no .item(), no Python numbers) and "
                "re-export.",
                f"If it is meant as a constant, leave {value.name} out of the outputs and keep it beside the model.",
            ],
        )


def _sorted_before(model: OpenedModel, writer: Node) -> bool:
    """Whether all that leads to a node is there, and before it: of an unsorted or broken graph nothing is claimed."""
    written = {name: node.index for node in model.index.main for name in node.outputs}
    pending, seen = [writer], {writer.path}
    while pending:
        node = pending.pop()
        for name in model.index.reads(node):
            before = model.index.producer.get(name)
            if name not in model.index.initializers and written.get(name, node.index) >= node.index:
                return False
            if before is not None and not before.graph and before.path not in seen:
                seen.add(before.path)
                pending.append(before)
    return True


def _types_and_shapes(model: OpenedModel) -> Iterator[Finding]:
    """Inputs and outputs without a type, inputs without a shape."""
    graph, index = model.proto.graph, model.index
    for value in (*index.inputs, *graph.output):
        kind = value.type.WhichOneof("value")
        if kind is None or (kind == "tensor_type" and not value.type.tensor_type.elem_type):
            location = LocationKind.INPUT if value in index.inputs else LocationKind.OUTPUT
            yield structure.NO_TYPE.finding(
                tensor=f"{location.value} {value.name}",
                cause=f"The graph {location.value} {value.name} declares no element type (dtype); ONNX requires one, "
                "and TensorRT cannot convert it.",
                locations=[Location(location, value.name)],
                fixes=[f"Give {value.name} its type with `onnx.helper.make_tensor_value_info`.", REPAIR],
            )
    for value in index.inputs:
        if value.type.WhichOneof("value") == "tensor_type" and not value.type.tensor_type.HasField("shape"):
            yield structure.NO_SHAPE.finding(
                input=value.name,
                cause=f"The graph input {value.name} declares no shape at all, not even its rank; ONNX requires one. "
                "TensorRT takes it for a scalar in silence, ONNX Runtime for anything.",
                locations=[Location(LocationKind.INPUT, value.name)],
                fixes=[
                    f"Declare the shape of {value.name}, with names for dimensions that vary: "
                    "`onnx.helper.make_tensor_value_info(name, dtype, ['N', 3, 224, 224])`.",
                    REPAIR,
                ],
            )


def _initializers(model: OpenedModel) -> Iterator[Finding]:
    """Initializers that nothing can read, or that TensorRT ignores."""
    graph = model.proto.graph
    nameless = [tensor for tensor in graph.initializer if not tensor.name]
    if nameless:
        yield structure.NAMELESS_INITIALIZER.finding(
            count=len(nameless),
            cause=f"{len(nameless)} initializers have an empty name, so nothing can read them; ONNX requires a name, "
            "the checker refuses the model, engines carry the weights along.",
            locations=[Location(LocationKind.MODEL, "initializer")],
            fixes=["Remove them, or give them the name that is meant.", REPAIR],
        )
    if graph.sparse_initializer:
        names = [sparse.values.name for sparse in graph.sparse_initializer]
        yield structure.SPARSE_INITIALIZER.finding(
            cause=f"The initializer {listed(names)} is stored sparse (sparse_initializer). TensorRT's parser ignores "
            "sparse initializers and then says `Node input was not registered`.",
            locations=[Location(LocationKind.INITIALIZER, name) for name in names],
            fixes=[
                "Store it dense: replace the sparse_initializer by an ordinary initializer with the same name.",
                REPAIR,
            ],
        )


def _bodies(model: OpenedModel) -> Iterator[Finding]:
    """Bodies whose inputs and outputs are not as many as their node gives and takes."""
    index = model.index
    for node in index.nodes:
        op, given, taken = node.proto.op_type, len(node.proto.input), len(node.proto.output)
        if op not in ("If", "Loop"):
            continue
        for prefix in index.bodies_of(node.path):
            body = index.graphs[prefix]
            assert isinstance(body, onnx.GraphProto)
            state = max(given - 2, 0)
            inputs, outputs = (0, taken) if op == "If" else (2 + state, 1 + taken)
            if len(body.input) != inputs or len(body.output) != outputs:
                yield structure.BODY_ARITY.finding(
                    op=op,
                    node=node.name,
                    cause=f"The body {prefix.rpartition('.')[2]} of {op} {node.name} has {len(body.input)} inputs and "
                    f"{len(body.output)} outputs; with {given} inputs and {taken} outputs of the node it must have "
                    f"{inputs} and {outputs}. ONNX Runtime refuses the model; TensorRT's parser may crash on it.",
                    locations=[location_of(model, node)],
                    fixes=[
                        "An If branch takes no inputs (it reads outer tensors by name) and gives the node's outputs. A "
                        "Loop body takes iteration number, condition and state, and gives condition, state and scan "
                        "outputs.",
                        REPAIR,
                    ],
                )


def _same_names(model: OpenedModel) -> Iterator[Finding]:
    """Node names that several nodes share: TensorRT does not mind, ONNX Runtime does."""
    named: dict[str, list[Node]] = {}
    for node in model.index.main:
        if node.proto.name:
            named.setdefault(node.proto.name, []).append(node)
    shared = {name: nodes for name, nodes in named.items() if len(nodes) > 1}
    if shared:
        yield structure.SAME_NODE_NAMES.finding(
            count=sum(map(len, shared.values())),
            cause=f"The node names {listed(shared)} are duplicates, each borne by several nodes. ONNX wants node names "
            "unique: ONNX Runtime refuses the model (`two nodes with same node name`). TensorRT takes it, but its "
            "messages that name a node are ambiguous.",
            locations=[location_of(model, node) for nodes in shared.values() for node in nodes],
            fixes=["Rename the nodes, or clear their names: they are for people only.", REPAIR],
        )


CHECK = Check(
    "declarations",
    "what a graph declares",
    check,
    (
        structure.NO_OUTPUTS,
        structure.UNDEFINED_OUTPUT,
        structure.OUTPUT_TWICE,
        structure.INPUT_IS_OUTPUT,
        structure.UNREAD_INPUT,
        structure.ALIASED_INPUT,
        structure.CONSTANT_OUTPUT,
        structure.NO_TYPE,
        structure.NO_SHAPE,
        structure.NAMELESS_INITIALIZER,
        structure.SPARSE_INITIALIZER,
        structure.BODY_ARITY,
        structure.SAME_NODE_NAMES,
    ),
)
