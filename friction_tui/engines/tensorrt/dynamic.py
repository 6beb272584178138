"""The pass that imports: parse, take out the node that fails, parse what follows, until nothing fails."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from friction_tui.engines.base import EngineCrashed, Refusal
from friction_tui.engines.tensorrt.cuts import Cut, Cuts
from friction_tui.engines.tensorrt.marked import MarkedGraph, unmarked
from friction_tui.engines.tensorrt.parser import Parsed, Parser, ParserError
from friction_tui.engines.tensorrt.reading import crash_refusal, graph_refusal, node_refusal, tensor_of

_LIKELY_MORE = 3
"""From this many later nodes of the same operator on, they are asked one by one instead of by suffixes."""


@dataclass(frozen=True, slots=True)
class DynamicPass:
    """Finds every node the parser refuses to import and tells `add`, in the order they are imported."""

    cuts: Cuts
    graph: MarkedGraph
    parser: Parser
    add: Callable[..., None]
    stop: Callable[[], bool]

    def run(self) -> None:
        """Work through the graph, from the first failing node to the last."""
        start, cut = 0, self.cuts.whole() if self.cuts.untouched else self.cuts.suffix(0)
        while cut.numbers and not self.stop():
            try:
                parsed = self.parser.parse(cut.data, self.graph.path, keep=True)
            except EngineCrashed as crash:
                start = self._first(start, self._dies)
                if start == len(self.graph.pieces):
                    raise
                mark = self.graph.mark_in(self.graph.pieces[start].proto.name)
                self.add(crash_refusal(crash, mark, "dynamic", provisional=self.cuts.provisional(start)))
                self.cuts.kill(start)
            else:
                if parsed.ok or not parsed.errors:
                    return
                before = self.cuts.taken_out
                site = self._handle(cut, parsed, start)
                if site is None or self.cuts.taken_out == before:
                    return
                start = site
            cut = self._suffix(start)

    def _suffix(self, start: int) -> Cut:
        """What is left to parse, its edges typed by the parser itself where inference knows too little."""
        cut = self.cuts.suffix(start)
        if cut.weak:
            writers = {name: self.cuts.writer(name) for name in cut.edges if self.cuts.types.weak(name)}
            asked = {name: writer for name, writer in writers.items() if writer is not None}
            for name, dims in zip(asked, self.parser.dims(list(asked.values())), strict=True):
                if dims is not None:
                    self.cuts.types.refine(name, dims)
            cut = self.cuts.suffix(start)
        return cut

    def _handle(self, cut: Cut, parsed: Parsed, start: int) -> int | None:
        """Report what the first error is about and take it out; returns where to go on, None for the end."""
        error = parsed.errors[0]
        if 0 <= error.node < len(cut.numbers):
            self._judge(cut, parsed, cut.numbers[error.node])
            return cut.numbers[error.node]
        if tensor_of(error) in cut.edges:
            self.cuts.untypable.add(tensor_of(error))
            return start
        if error.func == "importModel" and self._refuse_output_types(error):
            return start
        if error.func == "parseGraph" and self.graph.index.cycle_nodes:
            self.add(graph_refusal(error, log=parsed.log))
            return self._break_cycle()
        site = self._first(start, lambda cut: self._fails_like(cut, error) is not None)
        if site == len(self.graph.pieces):
            self.add(graph_refusal(error, self._missing_output(), log=parsed.log))
            return None
        self._refuse(site, parsed, error)  # a node's error that does not say which node
        return site

    # ----------------------------------------------------------------------------------------------- nodes

    def _judge(self, cut: Cut, parsed: Parsed, number: int) -> None:
        """Report the node a parse failed at, unless only the cut made it fail."""
        error = parsed.errors[0]
        if cut.weak and not self.cuts.provisional(number) and self._parses(self.cuts.up_to(number)):
            # The cut knew less about shapes than the parser does inside the whole graph.
            self.cuts.cleared.add(number)
            return
        self._refuse(number, parsed, error)

    def _refuse(self, number: int, parsed: Parsed, error: ParserError) -> None:
        outer = self.graph.pieces[number].proto
        self.add(self._refusal(number, parsed, error))
        if error.name and error.name != outer.name:
            self.cuts.kill_inside(number, error.name)
        else:
            self.cuts.kill(number)
            if unmarked(error.desc) == error.desc:  # says nothing about this node in particular
                self._ask_the_same(number, error)

    def _refusal(self, number: int, parsed: Parsed, error: ParserError) -> Refusal:
        mark = self.graph.mark_of(error, self.graph.pieces[number].proto)
        return node_refusal(error, mark, "dynamic", log=parsed.log, provisional=self.cuts.provisional(number))

    def _ask_the_same(self, number: int, error: ParserError) -> None:
        """Ask the later nodes of the same operator one by one: a model with one NonZero often has fifty."""
        pieces, dead = self.graph.pieces, self.cuts.dead
        kind = (pieces[number].proto.op_type, pieces[number].proto.domain)
        later = [
            other
            for other in range(number + 1, len(pieces))
            if other not in dead and (pieces[other].proto.op_type, pieces[other].proto.domain) == kind
        ]
        refused: list[Refusal] = []
        for asked, other in enumerate(later if len(later) >= _LIKELY_MORE else ()):
            if self.stop() or asked >= 2 * len(refused) + _LIKELY_MORE:
                break
            cut = self.cuts.alone(other)
            parsed = self._fails_like(cut, error)
            if parsed is not None and parsed.errors[0].node >= 0 and cut.numbers[parsed.errors[0].node] == other:
                refused.append(self._refusal(other, parsed, parsed.errors[0]))
                self.cuts.kill(other)
        if refused:
            self.add(*refused)

    # ------------------------------------------------------------------------------------------ the whole graph

    def _refuse_output_types(self, error: ParserError) -> bool:
        """Report the graph outputs whose declared type is not taken; the error itself names none."""
        types = {value.type.tensor_type.elem_type for value in self.cuts.outputs}
        refused = {kind for kind in types if not self.parser.parse(self.cuts.output_type(kind)).ok}
        for value in self.cuts.outputs:
            if value.type.tensor_type.elem_type in refused:
                self.add(graph_refusal(error, value.name))
        self.cuts.outputs[:] = [v for v in self.cuts.outputs if v.type.tensor_type.elem_type not in refused]
        return bool(refused)

    def _break_cycle(self) -> int:
        stuck = {node.proto.name for node in self.graph.index.cycle_nodes}
        for number, piece in enumerate(self.graph.pieces):
            if piece.proto.name in stuck:
                self.cuts.kill(number)
        return 0

    def _missing_output(self) -> str:
        """The first graph output nothing computes: what the parser means by an error without node or tensor."""
        return next((value.name for value in self.cuts.outputs if self.cuts.writer(value.name) is None), "")

    # -------------------------------------------------------------------------------------------------- asking

    def _parse(self, cut: Cut) -> Parsed:
        return self.parser.parse(cut.data, self.graph.path)

    def _fails_like(self, cut: Cut, error: ParserError) -> Parsed | None:
        """The answer to a cut, if it fails with the same words."""
        try:
            parsed = self._parse(cut)
        except EngineCrashed:
            return None
        same = parsed.errors and unmarked(parsed.errors[0].desc) == unmarked(error.desc)
        return parsed if same else None

    def _parses(self, cut: Cut) -> bool:
        try:
            return self._parse(cut).ok
        except EngineCrashed:
            return False

    def _dies(self, cut: Cut) -> bool:
        try:
            self._parse(cut)
        except EngineCrashed:
            return True
        return False

    def _first(self, start: int, fails: Callable[[Cut], bool]) -> int:
        """The first piece with which the graph from `start` on fails, by bisection; the number of pieces for none."""
        low, high = start, len(self.graph.pieces)
        while low < high:
            middle = (low + high) // 2
            if fails(self.cuts.suffix(start, middle + 1)):
                high = middle
            else:
                low = middle + 1
        return low
