"""What a judgement makes of the parser's process: its answers, and its crash."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from friction_tui.engines.base import EngineCrashed
from friction_tui.engines.tensorrt.engine import TensorRT
from friction_tui.model.opened import OpenedModel, open_model
from friction_tui.model.shapes.shape_table import ShapeTable
from friction_tui.rules.context import CheckContext
from friction_tui.samples import sample
from friction_tui.session.asking import ParserQuestion, ProfileFreeResults
from friction_tui.session.judging import PARSER, Judgement, judge
from friction_tui.vocabulary.finding import Finding, Severity, Tier
from friction_tui.vocabulary.protocol import CheckState, Event, Findings
from friction_tui.vocabulary.recipe import Profile, Recipe, Source

Judge = Callable[[], tuple[list[Finding], Findings]]


@pytest.fixture
def judged() -> Judge:
    """The findings of the healthy sample, and the last event of the parser's check."""

    def run() -> tuple[list[Finding], Findings]:
        path = sample("healthy_cnn")
        assert path is not None
        model = open_model(Path(path))
        recipe = Recipe(source=Source(str(path)))
        events: list[Event] = []
        context = CheckContext(model, recipe, ShapeTable(model, Profile()), None, "TensorRT-RTX 1.7.1")
        kept = ProfileFreeResults(model, recipe, ParserQuestion(TensorRT(), model))
        found = judge(Judgement(1, events.append, lambda: False), context, kept, lambda: None)
        assert found is not None
        return found, [one for one in events if isinstance(one, Findings) and one.check == PARSER][-1]

    return run


def test_a_crash_of_the_parser_is_a_finding(judged: Judge, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(_: TensorRT, model: OpenedModel, **__: object) -> None:
        raise EngineCrashed("TensorRT's parser", -11, "Segmentation fault")

    monkeypatch.setattr(TensorRT, "refusals", crash)
    found, answer = judged()
    (crashed,) = [one for one in found if one.kind == "engine/parser-crashed"]
    assert (crashed.severity, crashed.tier) == (Severity.ERROR, Tier.PARSER)
    assert "killed by SIGSEGV" in crashed.cause
    assert crashed.words[0].text == "Segmentation fault"
    assert answer.state is CheckState.FAILED


def test_a_parser_that_answers_has_not_crashed(judged: Judge) -> None:
    found, answer = judged()
    assert answer.state is CheckState.DONE
    assert [one.kind for one in found if one.severity is Severity.ERROR] == []
