"""What is asked once of a model, however often its profile changes: engines, and checks that do not read sizes."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from friction_tui.engines.base import Opinion, Refusal
from friction_tui.engines.engine import Opines, Parses, Question
from friction_tui.model.opened import OpenedModel
from friction_tui.plugin_libraries import Libraries
from friction_tui.vocabulary.finding import Finding
from friction_tui.vocabulary.recipe import Recipe

Stop = Callable[[], bool]
_POLL_S = 0.05


class ParserQuestion:
    """One model put to the engine's parser, in a thread of its own: neither ranges nor target change the answer.

    An edit that supersedes whoever waits for the answer does not end the search; `forget` does.
    """

    def __init__(self, parser: Parses, model: OpenedModel, libraries: Libraries = ()) -> None:
        self._parser = parser
        self.libraries = libraries
        self._refused: tuple[Refusal, ...] | None = None
        self._complete = False
        self._error: Exception | None = None
        self._changed = threading.Condition()
        self._forgotten = threading.Event()
        threading.Thread(target=self._ask, args=(model,), name="parser", daemon=True).start()

    def forget(self) -> None:
        """Nobody waits for the answer any more."""
        self._forgotten.set()

    def wait(self, seconds: float) -> None:
        """Wait for the first answer, the static pass's, but no longer than this."""
        with self._changed:
            self._changed.wait_for(lambda: self._complete or self._refused is not None, seconds)

    def answers(self, stop: Stop) -> Iterator[tuple[tuple[Refusal, ...], bool]]:
        """All refusals known so far and whether that is all, each time there are more.

        Ends early when `stop` says yes. Raises what ended the search: EngineMissing, EngineCrashed.
        """
        given: tuple[Refusal, ...] | None = None
        while not stop():
            with self._changed:
                if self._refused is given and not self._complete:
                    self._changed.wait(_POLL_S)
                refused, complete, error = self._refused, self._complete, self._error
            if error is not None:
                raise error
            if complete or refused is not given:
                given = refused
                yield refused or (), complete
            if complete:
                return

    def _ask(self, model: OpenedModel) -> None:
        def add(batch: Sequence[Refusal]) -> None:
            with self._changed:
                self._refused = (*(self._refused or ()), *batch)
                self._changed.notify_all()

        error: Exception | None = None
        refused: tuple[Refusal, ...] = ()
        try:
            loaded: dict[str, Any] = {"libraries": self.libraries} if self.libraries else {}  # not every engine can
            refused = tuple(self._parser.refusals(model, on_batch=add, stop=self._forgotten.is_set, **loaded))
        except Exception as raised:  # raised again where the answer is awaited
            error = raised
        with self._changed:
            self._refused, self._complete, self._error = refused, True, error
            self._changed.notify_all()


class OpinionQuestion:
    """A model put to the engine of the second opinion, in a thread of its own. An edit of ranges does not end it."""

    def __init__(self, engine: Opines, model: OpenedModel) -> None:
        self._engine = engine
        self._answer: Opinion | None = None
        self._error: Exception | None = None
        self._done = threading.Event()
        threading.Thread(target=self._ask, args=(model,), name="second opinion", daemon=True).start()

    def answer(self, stop: Stop) -> Opinion | None:
        """Their verdict; None when `stop` said yes before it. Raises what `Opines.opinion` raises."""
        while not self._done.wait(_POLL_S):
            if stop():
                return None
        if self._error is not None:
            raise self._error
        return self._answer

    def _ask(self, model: OpenedModel) -> None:
        try:
            self._answer = self._engine.opinion(model)
        except Exception as raised:  # raised again where the answer is awaited
            self._error = raised
        self._done.set()


@dataclass(slots=True)
class ProfileFreeResults:
    """Results that do not depend on the profile: of one model under one recipe.

    `question` is None when the parser is not asked. `findings` are by check, filled in as checks are run; `opinion`
    is there once ONNX Runtime was asked, `builder` once the builder was.
    """

    model: OpenedModel
    recipe: Recipe
    question: ParserQuestion | None
    findings: dict[str, list[Finding]] = field(default_factory=dict)
    opinion: OpinionQuestion | None = None
    builder: Question | None = None

    @property
    def libraries(self) -> Libraries:
        """The plug-in libraries with which the parser is asked."""
        return self.question.libraries if self.question is not None else ()

    @property
    def asks(self) -> bool:
        """Whether the parser is asked."""
        return self.question is not None

    def under(self, recipe: Recipe) -> ProfileFreeResults:
        """The same for another recipe of the same model: target and precision decide rules, but not the parser."""
        recipe = without_profile(recipe)
        if recipe == self.recipe:
            return self
        return ProfileFreeResults(self.model, recipe, self.question, opinion=self.opinion, builder=self.builder)


def without_profile(recipe: Recipe) -> Recipe:
    """The part of a recipe that checks read which do not read sizes."""
    return msgspec.structs.replace(recipe, profile=None, others=(), position=0)
