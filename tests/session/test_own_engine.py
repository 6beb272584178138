"""An engine that is added: one class, one entry in the registry, and the session's verdict is its verdict."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from onnx import parser, save_model

from friction_tui.engines import found as registry
from friction_tui.engines.base import DRY_LIMIT_S, BuilderAnswer, Reduced, Refusal, Said, Terms
from friction_tui.engines.engine import Progress
from friction_tui.model.opened import OpenedModel
from friction_tui.model.shapes.shape_table import ShapeTable
from friction_tui.session.session import Session
from friction_tui.vocabulary.finding import Severity, Tier
from friction_tui.vocabulary.protocol import BuildResult, EngineInfo, Event, Findings, Judged, Open
from friction_tui.vocabulary.recipe import Recipe, Source

GRAPH = "g (float[2,4] x) => (float[2,4] y) { [first] a = %s(x)  [last] y = Tanh(a) }"


class Small:
    """An engine that reads everything but Erf, and builds everything but Sin."""

    names = ("Small",)

    def found(self) -> tuple[EngineInfo, ...]:
        return (
            EngineInfo(
                name="Small",
                label="Small 1",
                version="1.0",
                can_parse=True,
                can_build=True,
                can_run=False,
                decides=True,
                precisions=("as-exported",),
                operator_table="enterprise",
            ),
        )

    def prestart(self) -> None:
        pass

    def refusals(
        self,
        model: OpenedModel,
        *,
        on_batch: Callable[[Sequence[Refusal]], None] = lambda _: None,
        stop: Callable[[], bool] = lambda: False,
    ) -> list[Refusal]:
        refused = [
            Refusal(n.path, n.name, "Erf", "UNSUPPORTED_NODE", "Small has no Erf", "", "", "static", False, ())
            for n in model.index.nodes
            if n.proto.op_type == "Erf"
        ]
        on_batch(refused)
        return refused

    def question(self, model: OpenedModel) -> Asked:
        return Asked(model)

    def build(
        self,
        model: Path | bytes,
        terms: Terms,
        plan: Path,
        progress: Progress,
        *,
        origin: Path | None = None,
    ) -> BuildResult:
        raise NotImplementedError  # no check of a model builds to the end without a target

    def reduced(self, model: OpenedModel, table: ShapeTable, terms: Terms, say: Callable[[str], None]) -> Reduced:
        raise NotImplementedError


class Asked:
    """A model put to the engine's builder."""

    def __init__(self, model: OpenedModel) -> None:
        self.model = model

    def ask(
        self,
        terms: Terms,
        *,
        dry: bool = True,
        limit_s: float = DRY_LIMIT_S,
        stop: Callable[[], bool] = lambda: False,
    ) -> BuilderAnswer:
        refused = tuple(
            Said("Sin is too much for Small", (n.path,)) for n in self.model.index.nodes if n.proto.op_type == "Sin"
        )
        return BuilderAnswer("refused" if refused else "taken", "Small 1", 0.0, dry, refused)


def judged(op: str, folder: Path) -> tuple[Judged, list[Findings]]:
    """The last verdict of a session on a model that begins with `op`, and what its checks reported."""
    path, events = folder / "model.onnx", list[Event]()
    save_model(parser.parse_model(f'<ir_version: 10, opset_import: ["" : 17]>\n{GRAPH % op}'), path)
    session = Session(events.append, folder)
    assert session.hello().engines[0].label == "Small 1"
    session.open(Open(revision=1, recipe=Recipe(source=Source(str(path)))), lambda: False)
    session.close()
    verdicts = [event for event in events if isinstance(event, Judged)]
    return verdicts[-1], [event for event in events if isinstance(event, Findings)]


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "ENGINES", (Small(), *registry.ENGINES))


@pytest.mark.parametrize(
    ("op", "tier", "source"), [("Erf", Tier.PARSER, "Small 1 parser"), ("Sin", Tier.BUILDER, "Small 1 builder")]
)
def test_what_a_registered_engine_refuses_is_the_verdict(op: str, tier: Tier, source: str, tmp_path: Path) -> None:
    verdict, _ = judged(op, tmp_path)
    errors = [one for one in verdict.findings if one.severity is Severity.ERROR]
    assert [(one.names, one.source) for one in errors] == [(("first",), source)]
    assert errors[0].tier in (tier, Tier.UNKNOWN)


def test_what_it_takes_is_without_errors_and_signed_by_it(tmp_path: Path) -> None:
    verdict, reported = judged("Relu", tmp_path)
    assert [one.title for one in verdict.findings if one.severity is Severity.ERROR] == []
    assert {one.source for one in reported} >= {"Small 1 parser", "Small 1 builder"}
