"""The smallest part of a model that TensorRT still refuses, or dies of, in the same way."""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from friction_tui.engines.base import CannotReduce, NothingToReduce, Reduced, Terms
from friction_tui.engines.tensorrt import assemble
from friction_tui.engines.tensorrt.builder import Builder, answer_of, failure
from friction_tui.engines.tensorrt.parts import Part, Parts
from friction_tui.model.graph import Node
from friction_tui.model.opened import OpenedModel
from friction_tui.model.shapes.shape_table import ShapeTable
from friction_tui.model.weightless import weightless

BUDGET_S = 60.0
"""How long parts are tried before the smallest one so far is given."""
WHOLE_S = 300.0
"""How long a build of the whole model may take."""


def reduced(
    model: OpenedModel,
    table: ShapeTable,
    terms: Terms,
    builder: Builder,
    *,
    budget_s: float = BUDGET_S,
    say: Callable[[str], None] = lambda _: None,
) -> Reduced:
    """The smallest part of `model` that fails as the whole does; sizes are those of `table`.

    Raises NothingToReduce, CannotReduce, and what `Builder.build` raises.
    """
    search = _Search(model, table, terms, builder, time.monotonic() + budget_s, say)
    return search.run()


class _OutOfTime(Exception):
    pass


class _Search:
    def __init__(
        self,
        model: OpenedModel,
        table: ShapeTable,
        terms: Terms,
        builder: Builder,
        deadline: float,
        say: Callable[[str], None],
    ) -> None:
        self._model, self._terms, self._builder = model, terms, builder
        self._deadline, self._say = deadline, say
        self._parts = Parts(model, table)
        self._wanted: tuple[str, ...] = ()
        self._dry, self._limit_s = True, WHOLE_S
        self._builds = 0
        self._tried: dict[frozenset[str], bool] = {}
        self._best: tuple[Part, dict[str, Any]] | None = None

    def run(self) -> Reduced:
        order = self._parts.order
        self._whole()
        complete = True
        try:
            if not self._fails(order):
                raise CannotReduce
            self._smallest(order)
        except _OutOfTime:
            complete = False
        if self._best is None:
            raise CannotReduce
        part, answer = self._best
        return Reduced(part.nodes, part.proto, answer_of(answer), self._builds, complete)

    def _whole(self) -> None:
        """Build the whole model, to the end only if shapes and layers are taken. Raises NothingToReduce."""
        for dry in (True, False):
            answer = self._build(self._model.proto, self._terms, dry)
            if answer["verdict"] != "taken":
                self._wanted, self._dry = failure(answer), dry
                self._limit_s = max(2.0, 6 * answer["seconds"])  # a part that takes longer does not fail so
                return
        raise NothingToReduce

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
            self._tried[key] = part is not None and self._part_fails(part)
        return self._tried[key]

    def _part_fails(self, part: Part) -> bool:
        answer = self._build(part.proto, replace(self._terms, profiles=(part.profile,)), self._dry)
        fails = failure(answer) == self._wanted
        if fails and (self._best is None or len(part.nodes) < len(self._best[0].nodes)):
            self._best = (part, answer)
            self._say(f"{len(self._parts.order):,} nodes → {len(part.nodes):,}")
        return fails

    def _build(self, proto: Any, terms: Terms, dry: bool) -> dict[str, Any]:
        self._builds += 1
        with tempfile.TemporaryDirectory(prefix="friction-part-") as folder:
            light = weightless(proto, Path(folder), self._model.path.parent)
            data, path = assemble.serialized(light), str(Path(folder) / "model.onnx")
            return self._builder.build(data, terms, path=path, dry=dry, limit_s=self._limit_s)
