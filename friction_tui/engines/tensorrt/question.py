"""One model put to TensorRT's builder: whether it takes it, which of its nodes it has no kernel for, where it fails.

The model is given as the parser is given it: without its large weights, every node marked, so that a message leads back
to the node it names. What is built to the end is remembered on disk.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

from friction_tui.engines.base import DRY_LIMIT_S, LOCATING_S, BuilderAnswer, Probed, Said, Terms
from friction_tui.engines.tensorrt import answers, assemble
from friction_tui.engines.tensorrt.answers import Answers
from friction_tui.engines.tensorrt.builder import Builder, Stop, answer_of, failure, in_background, shared
from friction_tui.engines.tensorrt.failing_part import first_failing
from friction_tui.engines.tensorrt.forms import forms_at_risk
from friction_tui.engines.tensorrt.marked import MarkedGraph, marked_graph, marks_in, unmarked
from friction_tui.engines.tensorrt.module import preferred
from friction_tui.engines.tensorrt.parts import Part, Parts
from friction_tui.engines.tensorrt.places import Over, smallest_window, without_more
from friction_tui.model.graph import Node
from friction_tui.model.opened import OpenedModel, from_proto
from friction_tui.model.shapes.shape_table import ShapeTable
from friction_tui.processes.ended import out_of_memory
from friction_tui.processes.locks import TemporaryFolder, temporary_folder
from friction_tui.vocabulary.protocol import BuildResult

POLITE = 10
"""How much lower the priority of compiling in the background is."""
PROBING_S = 4.0
"""How long forms at risk are built that were not asked before. One takes 50 ms in the median, 0.2 s seldom."""
FORM_LIMIT_S = 3.0
"""How long one form may take; what takes longer is not known. On 4,770 forms seen one did."""
_BOTTOM_UP = 0.7
"""The part of the time for a place that small parts get; the rest is for shorter and shorter beginnings."""
_BAD = ("refused", "crashed")
_ABOUT_A_PROFILE = re.compile(r"API Usage Error.* profile ")
"""What the builder says of the profile itself has no place among the nodes."""
_BEFORE_LAYERS = ("parse", "options", "profile")
"""Phases in which a part may fail because it was cut out, where the whole model got further."""


@cache
def kept_answers() -> Answers:
    """The answers that are kept on this machine."""
    return Answers()


@dataclass(slots=True, weakref_slot=True, eq=False)
class BuilderQuestion:
    """One model to ask the builder about under different terms; it is prepared once."""

    model: OpenedModel
    builder: Builder = field(default_factory=shared)
    kept: Answers = field(default_factory=kept_answers)
    _folder: TemporaryFolder = field(default_factory=partial(TemporaryFolder, "build"))
    _graph: MarkedGraph | None = None
    _data: bytes = b""

    def ask(
        self,
        terms: Terms,
        *,
        dry: bool = True,
        limit_s: float = DRY_LIMIT_S,
        locating_s: float = LOCATING_S,
        stop: Stop = lambda: False,
        table: ShapeTable | None = None,
        background: bool = False,
    ) -> BuilderAnswer:
        """What the builder says; where it names no node, its place is looked for during `locating_s` seconds.

        With the sizes of `table` parts of the model are built for that, without them only its beginnings. `background`:
        in a process of low priority, which no other question waits for. An answer to a build to the end is kept. Raises
        what `Builder.build` raises.
        """
        graph = self._prepared()
        asking, nice = (in_background(), POLITE) if background else (self.builder, 0)

        def build(data: bytes, path: str, terms: Terms, limit: float) -> dict[str, Any]:
            return asking.build(data, terms, path=path, dry=dry, limit_s=limit, stop=stop, nice=nice)

        answer = build(self._data, graph.path, terms, limit_s)
        located: tuple[str, ...] = ()
        alone = False
        if answer["verdict"] in _BAD and not any(map(_ABOUT_A_PROFILE.search, answer["errors"])):
            named = [path for text in answer["errors"] for path in _said(graph, text).nodes]
            search = _Search(self.model, graph, terms, table, build, answer, locating_s)
            if not named:
                located, alone = search.place()
            elif len(set(named)) == 1 and answer["verdict"] == "refused":
                located, alone = search.inside(self.model.index.by_path[named[0]]), True
        if not dry:
            self._keep(terms, {**answer, "located": located, "alone": alone})
        return self._answer(answer, located, alone=alone, dry=dry)

    def remembered(self, terms: Terms) -> BuilderAnswer | None:
        """What the builder said when this model was built to the end before; None when it was not."""
        self._prepared()
        answer = self.kept.get(self._key(terms))
        if answer is None:
            return None
        return self._answer(answer, tuple(answer["located"]), alone=answer["alone"], dry=False)

    def built(self, terms: Terms, result: BuildResult) -> None:
        """Keep that a build of this model to the end succeeded."""
        self._prepared()
        taken = {"verdict": "taken", "errors": [], "cannot_run": [], "phase": "", "how": 0, "tail": ""}
        sizes = {"plan": result.engine_bytes, "activation": list(result.activation_bytes)}
        self._keep(terms, {**taken, **sizes, "seconds": result.seconds})

    def at_risk(
        self,
        terms: Terms,
        table: ShapeTable,
        *,
        budget_s: float = PROBING_S,
        limit_s: float = FORM_LIMIT_S,
        stop: Stop = lambda: False,
    ) -> Probed:
        """What the builder says of nodes that only compiling decides about, each form of them alone.

        A form that was taken before is not asked again; one that was refused is, before anybody is shown it. Raises
        what `Builder.build` raises.
        """
        graph = self._prepared()
        parts = Parts(self.model, table, light=graph.index)
        deadline = time.monotonic() + budget_s
        taken = unknown = 0
        failing: list[BuilderAnswer] = []
        for form, part, nodes in forms_at_risk(parts, terms.target):
            asked = answers.key(_engine(), _question(terms, profiles=False), form.encode())
            known = self.kept.get(asked)
            if known is not None and known["verdict"] == "taken":
                taken += 1
                continue
            left = deadline - time.monotonic()
            if left <= 0:
                unknown += 1
                continue
            its_own = replace(terms, profiles=(part.profile,))
            data = assemble.serialized(part.proto)
            limit = min(limit_s, left)
            answer = self.builder.build(data, its_own, path=graph.path, dry=False, limit_s=limit, stop=stop)
            if answer["verdict"] == "taken":
                taken += 1
            elif answer["verdict"] in _BAD and answer["phase"] not in _BEFORE_LAYERS:
                located = tuple(dict.fromkeys(node.path for node in (*part.nodes, *nodes)))
                failing.append(self._answer(answer, located, alone=True, dry=False))
            else:
                unknown += 1
                continue
            self.kept.put(asked, _to_keep(answer))
        return Probed(taken, unknown, tuple(failing))

    def _keep(self, terms: Terms, answer: dict[str, Any]) -> None:
        if not any(out_of_memory(1, text) for text in answer["errors"]):
            self.kept.put(self._key(terms), _to_keep(answer))

    def _key(self, terms: Terms) -> str:
        return answers.key(_engine(), _question(terms, profiles=True), self._data)

    def _answer(self, answer: dict[str, Any], located: tuple[str, ...], *, alone: bool, dry: bool) -> BuilderAnswer:
        graph = self._prepared()
        return answer_of(answer, dry=dry, said=lambda text: _said(graph, text), located=located, alone=alone)

    def _prepared(self) -> MarkedGraph:
        if self._graph is None:
            # A function is left as it is: the builder is asked about what the parser has taken.
            self._graph = marked_graph(self.model, self._folder.path, inline=False)
            self._data = assemble.serialized(self._graph.proto)
        return self._graph


Build = Callable[[bytes, str, Terms, float], dict[str, Any]]
"""A serialised model, where its external data lies, terms and seconds to the server's answer."""


class _Search:
    """The search for the place of one failure, for `seconds`."""

    def __init__(
        self,
        model: OpenedModel,
        graph: MarkedGraph,
        terms: Terms,
        table: ShapeTable | None,
        build: Build,
        answer: dict[str, Any],
        seconds: float,
    ) -> None:
        self._model, self._graph, self._terms, self._table, self._build = model, graph, terms, table, build
        self._wanted, self._text = failure(answer), " ".join(map(unmarked, answer["errors"]))
        self._longest = max(2.0, 6 * answer["seconds"])
        started = time.monotonic()
        self._until, self._until_end = started + _BOTTOM_UP * seconds, started + seconds

    def place(self) -> tuple[tuple[str, ...], bool]:
        """The paths of the nodes that fail, and whether they do so without the rest; () when they were not found."""
        if self._table is not None:
            parts = Parts(self._model, self._table, light=self._graph.index)
            target, text = self._terms.target, self._text
            nodes = smallest_window(parts, self._fails, target=target, text=text, over=self._over(self._until))
            if len(nodes) > 1:
                nodes = without_more(parts, nodes, self._fails, self._over(self._until_end))
            if len(nodes) == 1:
                return self.inside(nodes[0]) or (nodes[0].path,), True
            if nodes:
                return tuple(node.path for node in nodes), True
        graph, limit, terms = self._graph, self._longest, self._terms
        found = first_failing(
            graph,
            lambda data: failure(self._build(data, graph.path, terms, limit)) == self._wanted,
            self._over(self._until_end),
        )
        if found is None:
            return (), False
        first = self._model.index.by_path[graph.mark_in(graph.pieces[found].proto.name).path]
        return self.inside(first) or (first.path,), False

    def inside(self, node: Node) -> tuple[str, ...]:
        """The nodes in the bodies of `node`, or in the function it calls, that fail by themselves; () for none."""
        if self._table is None:
            return ()
        for prefix in self._model.index.bodies_of(node.path):
            parts = Parts(self._model, self._table, prefix, self._graph.index)
            over = self._over(self._until_end)
            nodes = smallest_window(parts, self._fails_somehow, target=self._terms.target, over=over, hops=1)
            if len(nodes) > 1:
                nodes = without_more(parts, nodes, self._fails_somehow, over)
            if len(nodes) == 1:
                return self.inside(nodes[0]) or (nodes[0].path,)
            if nodes:
                return tuple(one.path for one in nodes)
        return self._inside_function(node) if self._model.index.function_of(node.proto) is not None else ()

    def _inside_function(self, node: Node) -> tuple[str, ...]:
        """The node of a local function's body with which the failure of a call of it begins."""
        assert self._table is not None
        part = Parts(self._model, self._table, node.graph, self._graph.index).part([node])
        if part is None or not self._fails_somehow(part):
            return ()
        with temporary_folder("function") as folder:
            inlined = marked_graph(from_proto(part.proto, Path(self._graph.path)), folder)
            terms = replace(self._terms, profiles=(part.profile,))

            def fails(data: bytes) -> bool:
                return self._is_failure(self._build(data, inlined.path, terms, self._longest))

            found = first_failing(inlined, fails, self._over(self._until_end))
            path = inlined.mark_in(inlined.pieces[found].proto.name).path if found is not None else ""
        return (path,) if path in self._model.index.by_path and path.startswith("@") else ()

    def _fails(self, part: Part) -> bool:
        return failure(self._of(part)) == self._wanted

    def _fails_somehow(self, part: Part) -> bool:
        """Whether a part of a body fails: alone it is not what it was in the body, and its message may be another."""
        return self._is_failure(self._of(part))

    def _is_failure(self, answer: dict[str, Any]) -> bool:
        bad = answer["verdict"] in _BAD and answer["phase"] not in _BEFORE_LAYERS
        return bad or failure(answer) == self._wanted

    def _of(self, part: Part) -> dict[str, Any]:
        terms = replace(self._terms, profiles=(part.profile,))
        return self._build(assemble.serialized(part.proto), self._graph.path, terms, self._longest)

    @staticmethod
    def _over(until: float) -> Over:
        return lambda: time.monotonic() > until


def _engine() -> str:
    one = preferred()
    return f"{one.name} {one.version}"


def _question(terms: Terms, *, profiles: bool) -> dict[str, Any]:
    """What an answer depends on besides the model."""
    sizes = [[dict(one.shapes), dict(one.values)] for one in terms.profiles] if profiles else "its own"
    asked: dict[str, Any] = {
        "target": terms.target,
        "precision": terms.precision,
        "typed": terms.typed,
        "profiles": sizes,
    }
    asked |= {"options": dict(terms.options)} if terms.options else {}
    return asked | ({"libraries": [digest for _, digest in terms.libraries]} if terms.libraries else {})


def _to_keep(answer: dict[str, Any]) -> dict[str, Any]:
    return {"located": (), "alone": False, **answer}


def _said(graph: MarkedGraph, text: str) -> Said:
    paths = (mark.path for mark in marks_in(graph, text))
    return Said(unmarked(text), tuple(dict.fromkeys(paths)))
