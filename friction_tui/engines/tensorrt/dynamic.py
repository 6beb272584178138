"""The pass that imports: parse, take out the node that fails, parse what follows, until nothing fails."""

from __future__ import annotations

from collections.abc import Callable

from friction_tui.engines.base import EngineCrashed, Refusal
from friction_tui.engines.tensorrt.cuts import Cut, Cuts
from friction_tui.engines.tensorrt.marked import MarkedGraph, unmarked
from friction_tui.engines.tensorrt.parser import Parsed, Parser, ParserError
from friction_tui.engines.tensorrt.reading import graph_refusal, node_refusal, tensor_of

_LIKELY_MORE = 3
"""From this many later nodes of the same operator on, they are asked one by one instead of by suffixes."""

CRASHED = "PARSER_CRASHED"
"""`Refusal.code` of a node that kills the parser's process."""

Add = Callable[..., None]
"""Takes any number of refusals."""
Stop = Callable[[], bool]


def dynamic_pass(cuts: Cuts, graph: MarkedGraph, parser: Parser, add: Add, stop: Stop) -> None:
    """Report every node the parser refuses to import, in the order it imports them."""
    cut = cuts.suffix(0) if cuts.dead or cuts.stubbed else cuts.whole()
    start = 0
    while cut.numbers and not stop():
        try:
            parsed = parser.parse(cut.data, graph.path)
        except EngineCrashed as crash:
            start = _crash_site(cuts, graph, parser, start, crash)
            add(_crashed(crash, graph, start, provisional=cuts.provisional(start)))
            cuts.kill(start)
            cut = cuts.suffix(start)
            continue
        if parsed.ok or not parsed.errors:
            return
        error = parsed.errors[0]
        if tensor_of(error) in cut.edges:
            cuts.untypable.add(tensor_of(error))
        elif not 0 <= error.node < len(cut.numbers):
            add(graph_refusal(error, _missing_output(cuts, graph), log=parsed.log))
            return
        else:
            start = cut.numbers[error.node]
            _judge(cuts, graph, parser, add, cut, parsed, stop)
        cut = cuts.suffix(start)


def _judge(cuts: Cuts, graph: MarkedGraph, parser: Parser, add: Add, cut: Cut, parsed: Parsed, stop: Stop) -> None:
    """Report the node a parse failed at, and take it out."""
    error = parsed.errors[0]
    number = cut.numbers[error.node]
    outer = graph.pieces[number].proto
    provisional = cuts.provisional(number)
    if cut.weak and not provisional:
        exact = cuts.up_to(number)
        again = parser.parse(exact.data, graph.path)
        if again.ok:
            # The cut knew less about shapes than the parser does inside the whole graph.
            cuts.cleared.add(number)
            return
    refused = node_refusal(error, graph.mark_of(error, outer), "dynamic", log=parsed.log, provisional=provisional)
    add(refused)
    if error.name and error.name != outer.name:
        cuts.kill_inside(number, error.name)
    else:
        cuts.kill(number)
        _same_again(cuts, graph, parser, add, number, error, stop)


def _same_again(
    cuts: Cuts, graph: MarkedGraph, parser: Parser, add: Add, number: int, error: ParserError, stop: Stop
) -> None:
    """Ask the later nodes of the same operator one by one: a model with one NonZero often has fifty."""
    refused = graph.pieces[number].proto
    later = [
        other
        for other in range(number + 1, len(graph.pieces))
        if other not in cuts.dead
        and graph.pieces[other].proto.op_type == refused.op_type
        and graph.pieces[other].proto.domain == refused.domain
    ]
    if len(later) < _LIKELY_MORE:
        return
    found = []
    for other in later:
        if stop():
            break
        cut = cuts.alone(other)
        if not cut.numbers:
            continue
        parsed = parser.parse(cut.data, graph.path)
        if not parsed.errors or unmarked(parsed.errors[0].desc) != unmarked(error.desc):
            continue
        node = parsed.errors[0].node
        if 0 <= node < len(cut.numbers) and cut.numbers[node] == other:
            mark = graph.mark_of(parsed.errors[0], graph.pieces[other].proto)
            provisional = cuts.provisional(other)
            found.append(node_refusal(parsed.errors[0], mark, "dynamic", log=parsed.log, provisional=provisional))
            cuts.kill(other)
    if found:
        add(*found)


def _missing_output(cuts: Cuts, graph: MarkedGraph) -> str:
    """The first graph output nothing computes: what the parser means by an error without node or tensor."""
    return next((value.name for value in graph.proto.graph.output if not cuts.writes(value.name)), "")


def _crash_site(cuts: Cuts, graph: MarkedGraph, parser: Parser, start: int, crash: EngineCrashed) -> int:
    """The piece at which the parser dies, by bisection. Raises `crash` when it does not die again."""
    low, high = start, len(graph.pieces)
    while low < high:
        middle = (low + high) // 2
        try:
            parser.parse(cuts.suffix(start, middle + 1).data, graph.path)
            low = middle + 1
        except EngineCrashed:
            high = middle
    if low == len(graph.pieces):
        raise crash
    return low


def _crashed(crash: EngineCrashed, graph: MarkedGraph, number: int, *, provisional: bool) -> Refusal:
    mark = graph.mark_in(graph.pieces[number].proto.name)
    return Refusal(
        path=mark.path,
        name=mark.name,
        op=mark.op,
        code=CRASHED,
        text=f"TensorRT's parser {crash.how} while it imported this node",
        func="",
        tensor="",
        stage="dynamic",
        provisional=provisional,
        log=tuple(crash.last_words.splitlines()[-5:]),
    )
