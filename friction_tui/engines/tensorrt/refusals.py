"""Every node TensorRT's parser refuses, with its reason, in one go.

The parser itself stops at the first node it cannot import. Three passes get the rest out of it:

1. *static*: all nodes, those in bodies too, side by side in one graph behind a node of a made-up domain.
   That node fails first, so nothing is imported, and the parser's checks of every other node are all reported.
2. *tensors*: all inputs and initializers by themselves, as often as it takes.
3. *dynamic*: the graph itself; at each node that fails to import, that node is taken out and only what follows
   is parsed again.

A graph that parses as a whole has no refusals: the passes only ever explain a failure. On the 2,024 models of
onnx 1.23's own tests this holds without exception with TensorRT-RTX 1.7.1 (1,110 parse, 914 are refused), and each
error of a whole parse is among the refusals; so it does when a refused node is put in front of everything else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import onnx
from onnx import TensorProto

from friction_tui.engines.base import EngineCrashed, Refusal
from friction_tui.engines.tensorrt import assemble
from friction_tui.engines.tensorrt.cuts import Cut, Cuts
from friction_tui.engines.tensorrt.dynamic import DynamicPass
from friction_tui.engines.tensorrt.marked import MarkedGraph, marked_graph, static_nodes
from friction_tui.engines.tensorrt.parser import Parsed, Parser, shared
from friction_tui.engines.tensorrt.reading import crash_refusal, graph_refusal, node_refusal, tensor_of
from friction_tui.engines.tensorrt.stub import Types, usable
from friction_tui.model.graph import Node
from friction_tui.model.opened import OpenedModel
from friction_tui.processes.locks import temporary_folder

OnBatch = Callable[[Sequence[Refusal]], None]
Stop = Callable[[], bool]


class Report:
    """The refusals so far, without repeats, told to `on_batch` as they come."""

    def __init__(self, on_batch: OnBatch) -> None:
        self._on_batch = on_batch
        self._seen: set[tuple[str, ...]] = set()
        self._paths: set[str] = set()
        self.found: list[Refusal] = []

    def add(self, *refused: Refusal) -> None:
        """Tell what is new of `refused`; an empty batch is told too."""
        new = []
        for one in refused:
            # A function's node is met once for each call, each time with other tensor names in the text.
            key = (one.path, one.func if one.path.startswith("@") else one.text, one.tensor)
            known_bad = one.provisional and one.path in self._paths
            if key not in self._seen and not known_bad:
                self._seen.add(key)
                self._paths.add(one.path)
                new.append(one)
        self.found.extend(new)
        if new or not refused:
            self._on_batch(tuple(new))


def refusals(
    model: OpenedModel, *, on_batch: OnBatch, stop: Stop = lambda: False, parser: Parser | None = None
) -> list[Refusal]:
    """Return every refusal of `model`, none when it parses as a whole.

    `on_batch` hears what is new: first the static pass in one batch (empty if all is well), then the others as
    they are found. When `stop` says yes, what is known so far is returned. Weights are not read. Raises
    EngineMissing without a TensorRT, EngineCrashed when the parser dies and it cannot be told at which node.
    """
    report = Report(on_batch)
    if not model.proto.graph.node or model.file.kind != "onnx":
        report.add()  # what can still be read of a damaged file is nothing to judge
        return []
    asked = parser or shared()
    with asked.turn(stop) as ours, temporary_folder("parse") as folder:
        if ours:
            _search(model, folder, asked, report, stop)
    if not report.found and not model.proto.graph.output:
        report.add(_no_outputs())
    return report.found


def _search(model: OpenedModel, folder: Path, parser: Parser, report: Report, stop: Stop) -> None:
    as_is = None
    if model.proto.functions:
        # Inlining makes every node of a function reachable; whether there is anything to find the original decides.
        graph = marked_graph(model, folder, inline=False)
        as_is = parser.parse(assemble.serialized(graph.proto), graph.path)
        if as_is.ok:
            report.add()
            return
    graph = marked_graph(model, folder)
    cuts = Cuts(graph, Types(graph.proto, _declared(model)))
    if not _static_pass(graph, cuts, parser, report):
        return
    if not stop() and _tensor_pass(cuts, graph, parser, report) and not stop():
        DynamicPass(cuts, graph, parser, report.add, stop).run()
    if as_is is not None and not report.found and not stop():
        report.add(*_as_given(as_is, marked_graph(model, folder, inline=False)))


def _static_pass(graph: MarkedGraph, cuts: Cuts, parser: Parser, report: Report) -> bool:
    """Report all static refusals and take them out; False when there turned out to be nothing to refuse."""
    refused = _checked(graph, static_nodes(graph), parser)
    if refused and all(node.graph for _, node in refused) and _parses(cuts.whole(), graph, parser):
        # All in bodies that the parser, knowing more constants than we do, never imports.
        report.add()
        return False
    report.add(*(refusal for refusal, _ in refused))
    piece_of = {piece.proto.name: number for number, piece in enumerate(graph.pieces)}
    for _, node in refused:
        outermost = graph.index.main[int(node.path.partition(".")[0])]
        number = piece_of[outermost.proto.name]
        if node.graph:
            cuts.kill_inside(number, node.proto.name)
        else:
            cuts.kill(number)
    return True


def _parses(cut: Cut, graph: MarkedGraph, parser: Parser) -> bool:
    try:
        return parser.parse(cut.data, graph.path).ok
    except EngineCrashed:
        return False


def _checked(graph: MarkedGraph, nodes: Sequence[Node], parser: Parser) -> list[tuple[Refusal, Node]]:
    """Refusals of the parser's checks, which it makes without importing anything.

    An exception or a crash hides the other nodes' errors, so then the halves are asked, down to the one node.
    """
    if not nodes:
        return []
    try:
        errors = parser.parse(_side_by_side(graph, nodes)).errors
    except EngineCrashed as crash:
        if len(nodes) == 1:
            return [(crash_refusal(crash, graph.mark_in(nodes[0].proto.name), "static"), nodes[0])]
        errors = ()
    # Number 0 is the made-up node, always refused when all goes well; -1 stands for an exception.
    if len(nodes) > 1 and {error.node for error in errors if error.node <= 0} != {0}:
        half = len(nodes) // 2
        return _checked(graph, nodes[:half], parser) + _checked(graph, nodes[half:], parser)
    culprits = [(error, nodes[max(error.node, 1) - 1]) for error in errors if error.node != 0]
    return [(node_refusal(error, graph.mark_of(error, node.proto), "static"), node) for error, node in culprits]


def _side_by_side(graph: MarkedGraph, nodes: Iterable[Node]) -> bytes:
    """A model of unconnected `nodes`, number 0 being one that cannot be imported."""
    value = onnx.helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    poison = onnx.helper.make_node("FrictionPoison", ["x"], ["o"], domain="friction.tui")
    parts = [assemble.input_field(value), assemble.node_field(poison)]
    for number, node in enumerate(nodes):
        copy = onnx.NodeProto()
        copy.CopyFrom(node.proto)
        copy.ClearField("input")
        copy.input.extend("x" if name else "" for name in node.proto.input)
        copy.ClearField("output")
        copy.output.extend(f"o{number}_{at}" if name else "" for at, name in enumerate(node.proto.output))
        parts.append(assemble.node_field(copy))
    return assemble.assembled(assemble.model_head(graph.proto), parts)


def _tensor_pass(cuts: Cuts, graph: MarkedGraph, parser: Parser, report: Report) -> bool:
    """Report every input and initializer whose type or data is not taken; False if the model itself is refused."""
    as_listed = True
    while True:
        parsed = parser.parse(cuts.tensors(as_listed=as_listed), graph.path)
        if parsed.ok or not parsed.errors:
            return True
        error = parsed.errors[0]
        report.add(graph_refusal(error, log=parsed.log))
        if not cuts.drop(tensor_of(error)):
            if not as_listed:
                return False
            as_listed = False  # two inputs of one name: go on with the first


def _as_given(parsed: Parsed, graph: MarkedGraph) -> list[Refusal]:
    """The parser's own errors on the model as it is."""
    given = []
    for error in parsed.errors:
        if 0 <= error.node < len(graph.index.main):
            mark = graph.mark_of(error, graph.index.main[error.node].proto)
            given.append(node_refusal(error, mark, "dynamic", log=parsed.log))
        else:
            given.append(graph_refusal(error, log=parsed.log))
    return given


def _declared(model: OpenedModel) -> dict[str, onnx.ValueInfoProto]:
    return {value.name: value for value in model.proto.graph.value_info if usable(value)}


def _no_outputs() -> Refusal:
    return Refusal(
        path="",
        name="",
        op="",
        code="INVALID_GRAPH",
        text="the graph has no outputs: the parser takes it, the builder cannot",
        func="",
        tensor="",
        stage="model",
        provisional=False,
        log=(),
    )
