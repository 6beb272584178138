"""The smallest part of a model that TensorRT still refuses, dies of, or does not finish, in the same way.

Bottom up first: one node, and what lies around one. What is found by none of these is found top down: what comes after
the failure is cut off, then what comes before, then all else is left out that can be.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from friction_tui.engines.base import CannotReduce, NothingToReduce, Reduced, Terms
from friction_tui.engines.tensorrt import assemble
from friction_tui.engines.tensorrt.builder import Builder, answer_of, failure
from friction_tui.engines.tensorrt.marked import MarkedGraph, marked_graph, unmarked
from friction_tui.engines.tensorrt.parts import Part, Parts
from friction_tui.engines.tensorrt.places import smallest_window, without_more
from friction_tui.model.graph import Node
from friction_tui.model.opened import OpenedModel
from friction_tui.model.shapes.shape_table import ShapeTable
from friction_tui.processes.locks import temporary_folder

BUDGET_S = 60.0
"""How long parts are tried before the smallest one so far is given."""
WHOLE_S = 300.0
"""How long a build of the whole model may take; one that takes longer hangs, as far as anybody can tell."""
BOTTOM_UP = 0.5
"""The part of the time that parts of a few nodes get."""
HANGS = 0.25
"""The part of the whole model's time after which a part of it hangs too."""


def reduced(
    model: OpenedModel,
    table: ShapeTable,
    terms: Terms,
    builder: Builder,
    *,
    budget_s: float = BUDGET_S,
    whole_s: float = WHOLE_S,
    say: Callable[[str], None] = lambda _: None,
) -> Reduced:
    """The smallest part of `model` that fails as the whole does; sizes are those of `table`.

    A build of the whole that takes longer than `whole_s` hangs. After that parts are tried for `budget_s` seconds.
    Raises NothingToReduce, CannotReduce, and what `Builder.build` raises.
    """
    with temporary_folder("part") as folder:
        light = marked_graph(model, folder, inline=False)
        return _Search(model, table, terms, builder, light, say).run(budget_s, whole_s)


class _OutOfTime(Exception):
    pass


class _Search:
    def __init__(
        self,
        model: OpenedModel,
        table: ShapeTable,
        terms: Terms,
        builder: Builder,
        light: MarkedGraph,
        say: Callable[[str], None],
    ) -> None:
        self._model, self._table, self._terms, self._builder = model, table, terms, builder
        self._light, self._say = light, say
        self._parts = Parts(model, table, light=light.index)
        self._deadline = 0.0
        self._wanted: tuple[str, ...] = ()
        self._text = ""
        self._dry, self._limit_s = True, WHOLE_S
        self._builds = 0
        self._tried: dict[frozenset[str], bool] = {}
        self._best: tuple[Part, dict[str, Any]] | None = None

    def run(self, budget_s: float, whole_s: float) -> Reduced:
        self._whole(whole_s)
        started = time.monotonic()
        self._deadline = started + budget_s
        complete = self._bottom_up(started + BOTTOM_UP * budget_s)
        if not complete:
            try:
                order = self._parts.order
                if not self._fails(order):
                    raise CannotReduce
                self._smallest(order)
                complete = True
            except _OutOfTime:
                complete = False
        if self._best is None:
            raise CannotReduce
        part, answer = self._best
        part = self._with_weights(part)
        return Reduced(part.nodes, part.proto, answer_of(answer), self._builds, complete)

    def _whole(self, whole_s: float) -> None:
        """Build the whole model, to the end only when shapes and layers are taken. Raises NothingToReduce."""
        for dry in (True, False):
            answer = self._build(assemble.serialized(self._light.proto), self._terms, dry, whole_s)
            if answer["verdict"] == "taken":
                continue
            self._wanted, self._dry = failure(answer), dry
            self._text = " ".join(map(unmarked, answer["errors"]))
            hangs = answer["verdict"] == "timeout"
            # A part that takes longer than this does not fail so; of one that hangs, it is how it fails.
            self._limit_s = max(1.0, HANGS * whole_s) if hangs else max(2.0, 6 * answer["seconds"])
            return
        raise NothingToReduce

    def _bottom_up(self, until: float) -> bool:
        """Try parts of a few nodes, the most likely first; whether one of them fails as the whole does."""
        nodes = self._window(self._parts, until, 2)
        found = bool(nodes)
        while len(nodes) == 1:  # inside a node with bodies it may go on
            bodies = self._model.index.bodies_of(nodes[0].path)
            inside = (Parts(self._model, self._table, prefix, self._light.index) for prefix in bodies)
            nodes = next((some for parts in inside if (some := self._window(parts, until, 1))), ())
        return found

    def _window(self, parts: Parts, until: float, hops: int) -> tuple[Node, ...]:
        def fails(part: Part) -> bool:
            return self._part_fails(part, parts)

        target, text = self._terms.target, self._text
        nodes = smallest_window(
            parts, fails, target=target, text=text, over=lambda: time.monotonic() > until, hops=hops
        )
        return without_more(parts, nodes, fails, self._over) if len(nodes) > 1 else nodes

    def _over(self) -> bool:
        return time.monotonic() > self._deadline

    def _with_weights(self, part: Part) -> Part:
        """The same part with the model's own weights and names."""
        own = Parts(self._model, self._table, part.nodes[0].graph).part(part.nodes)
        return own or part

    def _smallest(self, order: Sequence[Node]) -> None:
        """Cut off what comes after the failure, then what comes before, then try to leave out everything else."""
        works, broken = 0, len(order)
        while broken - works > 1:
            middle = (works + broken) // 2
            works, broken = (works, middle) if self._fails(order[:middle]) else (middle, broken)
        nodes = list(order[:broken])
        behind = self._parts.before(nodes, nodes[-1])
        if self._fails(behind):
            nodes = behind
        first, last = 0, len(nodes)
        while last - first > 1:
            middle = (first + last) // 2
            first, last = (middle, last) if self._fails(nodes[middle:]) else (first, middle)
        self._leave_out(nodes[first:])

    def _leave_out(self, nodes: list[Node]) -> None:
        """Delta debugging: halves, then quarters, and so on to single nodes."""
        pieces = 2
        while len(nodes) >= 2:
            size = math.ceil(len(nodes) / pieces)
            chunks = [nodes[at : at + size] for at in range(0, len(nodes), size)]
            rests = [[node for other in chunks if other is not chunk for node in other] for chunk in chunks]
            smaller = next((one for one in (*chunks, *rests) if len(one) < len(nodes) and self._fails(one)), None)
            if smaller is not None:
                nodes, pieces = smaller, max(2, pieces - 1) if smaller in rests else 2
            elif pieces >= len(nodes):
                return
            else:
                pieces = min(len(nodes), 2 * pieces)

    def _fails(self, nodes: Sequence[Node]) -> bool:
        """Whether a part with these nodes fails as the whole does; the smallest one that does is kept."""
        if not nodes:
            return False
        key = frozenset(node.path for node in nodes)
        if key not in self._tried:
            if time.monotonic() > self._deadline:
                raise _OutOfTime
            part = self._parts.part(nodes)
            self._tried[key] = part is not None and self._part_fails(part, self._parts)
        return self._tried[key]

    def _part_fails(self, part: Part, parts: Parts) -> bool:
        answer = self._of(part)
        fails = failure(answer) == self._wanted
        # Of parts with as many nodes, the one inside the other's body is the smaller.
        before = (self._best[0].nodes[0].path.count("."), -len(self._best[0].nodes)) if self._best else (-1, 0)
        if fails and (part.nodes[0].path.count("."), -len(part.nodes)) > before:
            self._best = (part, {**answer, "errors": [unmarked(text) for text in answer["errors"]]})
            inside = f" inside {parts.prefix}" if parts.prefix else ""
            self._say(f"{len(self._model.index.nodes):,} nodes → {len(part.nodes):,}{inside}")
        return fails

    def _of(self, part: Part) -> dict[str, Any]:
        terms = replace(self._terms, profiles=(part.profile,))
        return self._build(assemble.serialized(part.proto), terms, self._dry, self._limit_s)

    def _build(self, data: bytes, terms: Terms, dry: bool, limit_s: float) -> dict[str, Any]:
        self._builds += 1
        return self._builder.build(data, terms, path=self._light.path, dry=dry, limit_s=limit_s)
