"""Other TensorRTs in the app: asked on Enter only, shown beside each other, and in the findings."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from textual.widgets import Input

from friction_tui.ui.app import FrictionApp
from friction_tui.ui.dialogs.other_engines import OtherEngines, table
from friction_tui.vocabulary.finding import Finding, Severity, Tier
from friction_tui.vocabulary.protocol import AskOthers, Event, Hello, OtherVerdict, OtherVerdicts, Request
from friction_tui.vocabulary.recipe import Recipe


@pytest.mark.parametrize("size", [(80, 24), (160, 45)])
async def test_the_table_fills_as_they_answer(
    size: tuple[int, int],
    worker_events: Callable[..., list[Event]],
    hello: Hello,
    recipe: Recipe,
    silent_worker: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = FrictionApp(recipe, worker=silent_worker)
    sent: list[Request] = []
    monkeypatch.setattr(app.live._client, "send", sent.append)
    async with app.run_test(size=size) as pilot:
        for event in [hello, *worker_events()]:
            app.live.hear(event)
        await pilot.pause()
        app.push_screen(OtherEngines(app.live.state))
        await pilot.pause()
        app.screen.query_one(Input).value = "/nowhere/python"
        await pilot.press("enter")
        assert not [request for request in sent if isinstance(request, AskOthers)]
        app.screen.query_one(Input).value = f"{Path(sys.executable)}"
        await pilot.press("enter")
        asked = [request for request in sent if isinstance(request, AskOthers)]
        assert asked == [AskOthers(1, (sys.executable,))]
        elder = OtherVerdict(python=sys.executable, label="TensorRT-RTX 1.4.0")
        app.live.hear(OtherVerdicts(revision=1, verdicts=(elder,), complete=True))
        await pilot.pause()
        shown = ["".join(text for text, _ in line.spans) for line in table(app.live.state, 100)]
        assert shown[0] == "1 TensorRT-RTX 1.7.1 parser: refuses 1"
        assert shown[-1] == "✗ ✓  NonZero post/NonZero"
        refused = [finding for finding in app.live.state.findings if _is_refusal(finding)]
        assert [finding.evidence[-1] for finding in refused] == ["accepted by the parser of TensorRT-RTX 1.4.0"]


def _is_refusal(finding: Finding) -> bool:
    return finding.tier is Tier.PARSER and finding.severity is Severity.ERROR
