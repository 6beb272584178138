"""Fixes by key: the dialog's promise, preview and outcome; all at once; taken back when the results change; kept."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace

import msgspec
import pytest
from textual.pilot import Pilot

from friction_tui.state.app_state import AppState
from friction_tui.ui.app import FrictionApp
from friction_tui.ui.problems.fixes import FixesScreen, at_same_place, promise, title
from friction_tui.vocabulary.finding import Finding, Fix, Severity, Tier
from friction_tui.vocabulary.protocol import (
    Apply,
    CancelJob,
    Event,
    Findings,
    Hello,
    Inspect,
    JobEnded,
    JobKind,
    JobProgress,
    Judged,
    LogLevel,
    LogLine,
    Mended,
    MendStep,
    Preview,
    Previewed,
    Request,
    StartJob,
    Verified,
)
from friction_tui.vocabulary.protocol.differences import Change, GraphDifference, ModelDifference, NodeFacts
from friction_tui.vocabulary.recipe import Recipe, Rewrite
from tests.detector import NON_ZERO, RESHAPE, session_events
from tests.ui.bench import screen_text, settled

SCATTER = Rewrite("nonzero-scatter", ("post/NonZero_out",))
EXACT = Fix("Number the elements with CumSum (exact).", SCATTER.name, SCATTER.nodes, exactness="exact")
TOPK = Fix(
    "Keep 100 (changes results: at most 100).",
    "nonzero-topk",
    ("10",),
    exactness="changes results",
    changes="at most 100",
)
REFUSED = msgspec.structs.replace(NON_ZERO, fixes=(EXACT, TOPK, Fix("compute it outside of the model")))
NOTE = msgspec.structs.replace(
    NON_ZERO,
    kind="types/int64-range",
    severity=Severity.NOTE,
    tier=Tier.HAZARD,
    title="NonZero gives int64",
    fixes=(Fix("cast it", rewrite="cast-it", nodes=("10",), exactness="exact"),),
)
DIFFERENCE = ModelDifference(
    graphs=(
        GraphDifference(
            removed=(NodeFacts("10", "post/NonZero", "NonZero", ("fc",), ("nz",)),),
            added=tuple(NodeFacts(str(at), f"post/n{at}", "CumSum", ("fc",), (f"t{at}",)) for at in range(10, 40)),
            initializers=(Change("axis", "", "int64[] 0"),),
        ),
    )
)
OpenApp = Callable[..., AbstractAsyncContextManager[tuple[FrictionApp, Pilot[None], list[Request]]]]


@pytest.fixture
def open_app(recipe: Recipe, hello: Hello, silent_worker: list[str], monkeypatch: pytest.MonkeyPatch) -> OpenApp:
    """`async with open_app(findings, size) as (app, pilot, sent)`: the detector, judged, and what is asked of it."""

    @asynccontextmanager
    async def run(
        findings: list[Finding], size: tuple[int, int] = (80, 24)
    ) -> AsyncIterator[tuple[FrictionApp, Pilot[None], list[Request]]]:
        app, sent = FrictionApp(recipe, worker=silent_worker), list[Request]()

        def keep(request: Request) -> None:
            if not isinstance(request, Inspect):  # asked once the cursor rests
                sent.append(request)

        async with app.run_test(size=size) as pilot:
            for event in (hello, *session_events(findings=findings)):
                app.live.hear(event)
            await settled(pilot)
            monkeypatch.setattr(app.live._client, "send", keep)
            yield app, pilot, sent

    return run


async def press(pilot: Pilot[None], *keys: str) -> None:
    for key in keys:
        await pilot.press(key)
        await settled(pilot)


async def hear(app: FrictionApp, pilot: Pilot[None], *events: Event) -> None:
    for event in events:
        app.live.hear(event)
    await settled(pilot)


def asked_for(sent: list[Request]) -> tuple[Rewrite, ...]:
    """The rewrites of the last edit that was sent."""
    return next(request.recipe.rewrites for request in reversed(sent) if isinstance(request, Apply))


def changed(revision: int) -> Verified:
    return Verified(revision, (SCATTER.name,), False, "differs on 2 of 6 inputs, max difference 0.3")


def test_a_promise_is_said_once() -> None:
    assert (title(EXACT), promise(EXACT)) == ("Number the elements with CumSum.", ("exact", "good"))
    assert (title(TOPK), promise(TOPK)) == ("Keep 100.", ("changes results: at most 100", "warning"))
    assert (title(Fix("by hand")), promise(Fix("by hand"))) == ("by hand", None)


def test_findings_about_one_node_stand_together_errors_first() -> None:
    state = AppState(findings=(NOTE, RESHAPE, REFUSED))
    assert at_same_place(state, NOTE) == [REFUSED, NOTE]
    assert at_same_place(state, RESHAPE) == [RESHAPE]
    whole = msgspec.structs.replace(NOTE, locations=())
    assert at_same_place(replace(state, findings=(whole, REFUSED)), whole) == [whole]


async def test_next_names_what_it_chose_and_fix_begins_with_it(open_app: OpenApp) -> None:
    async with open_app([REFUSED, NOTE]) as (app, pilot, _):
        await press(pilot, "n")
        assert "✗ 1 of 2 here  NonZero has no implementation" in screen_text(app)
        await press(pilot, "n")
        assert "· 2 of 2 here  NonZero gives int64" in screen_text(app)
        await press(pilot, "x")
        shown = screen_text(app)
        assert shown.index("Number the elements") < shown.index("cast it"), "errors stand first"
        assert isinstance(app.screen, FixesScreen)
        await press(pilot, "x")
        assert app.live.state.recipe is not None
        assert app.live.state.recipe.rewrites == (Rewrite("cast-it", ("10",)),), "the cursor begins at the note's"


async def test_without_a_chosen_problem_the_fixes_are_those_of_the_selected_node(open_app: OpenApp) -> None:
    async with open_app([REFUSED, RESHAPE]) as (app, pilot, _):
        assert app.workbench is not None
        app.workbench.graph.reveal("8")
        await settled(pilot)
        await press(pilot, "x")
        assert "rewrite the target to [-1, 256]" in screen_text(app)


async def test_a_preview_shows_the_difference_and_marks_the_graph(open_app: OpenApp) -> None:
    async with open_app([REFUSED]) as (app, pilot, sent):
        await press(pilot, "n", "x", "p")
        assert sent == [Preview(1, SCATTER)] and "making the preview" in screen_text(app)
        await hear(app, pilot, Previewed(1, SCATTER, DIFFERENCE))
        shown = screen_text(app)
        assert "- goes, +30 come: CumSum" in shown
        assert "1 removed, 30 added" in shown and "- NonZero post/NonZero: fc → nz" in shown
        await press(pilot, *["down"] * 33)
        assert "+ initializer axis int64[] 0" in screen_text(app), "the cursor goes through its lines"
        await press(pilot, "down")
        assert sent[-1] == Preview(1, Rewrite("nonzero-topk", ("10",)))
        await hear(app, pilot, Previewed(1, Rewrite("nonzero-topk", ("10",)), why_not="there is no Gather"))
        assert "does not apply: there is no Gather" in screen_text(app)
        await press(pilot, "escape")
        assert app.live.state.previewed is None and "goes" not in screen_text(app)


async def test_what_came_of_a_fix_is_shown_where_it_was_chosen(open_app: OpenApp) -> None:
    async with open_app([REFUSED, RESHAPE]) as (app, pilot, sent):
        await press(pilot, "n", "x", "enter")
        assert asked_for(sent) == (SCATTER,)
        assert "checking the model again" in screen_text(app)
        await hear(app, pilot, Judged(2, [RESHAPE], 0.1))
        assert "fixed post/NonZero" in screen_text(app) and "still an error: batch 1 is baked" in screen_text(app)
        await hear(app, pilot, Verified(2, (SCATTER.name,), True, "verified on 6 inputs, max difference 0 (ORT)"))
        assert "verified on 6 inputs, max difference 0" in screen_text(app)
        await press(pilot, "u")
        assert app.screen is app.workbench and asked_for(sent) == ()


async def test_a_fix_that_changes_the_results_is_taken_back_and_can_be_kept(open_app: OpenApp) -> None:
    async with open_app([REFUSED]) as (app, pilot, sent):
        await press(pilot, "n", "x", "enter")
        await hear(app, pilot, Judged(2, [], 0.1), changed(2))
        assert asked_for(sent) == (), "taken back"
        shown = " ".join(screen_text(app).replace("│", " ").split())
        assert "taken back, because the outputs are not the same: differs on 2 of 6 inputs" in shown
        await hear(app, pilot, Judged(3, [REFUSED], 0.1))
        assert "taken back: nonzero-scatter differs on 2 of 6" in app.live.state.notices[-1].text
        await press(pilot, "enter")
        assert "K keep anyway" in screen_text(app)
        await press(pilot, "K")
        assert asked_for(sent) == (SCATTER,)
        await hear(app, pilot, Judged(4, [], 0.1), changed(4))
        assert app.live.state.recipe is not None
        assert app.live.state.recipe.rewrites == (SCATTER,), "the user insisted"
        assert "the results changed" in screen_text(app)


async def test_fixes_offered_later_appear_in_the_open_dialog(open_app: OpenApp) -> None:
    bare = msgspec.structs.replace(REFUSED, fixes=REFUSED.fixes[2:])
    async with open_app([bare]) as (app, pilot, _):
        await press(pilot, "n", "x")
        assert "Number the elements" not in screen_text(app)
        await hear(app, pilot, Judged(1, [REFUSED], 0.1))
        assert "Number the elements" in screen_text(app)
        await press(pilot, "enter")
        assert app.live.state.recipe is not None and app.live.state.recipe.rewrites == (SCATTER,)


async def test_all_exact_fixes_are_one_edit_and_what_remains_is_said(open_app: OpenApp) -> None:
    async with open_app([REFUSED, RESHAPE]) as (app, pilot, sent):
        await press(pilot, "X")
        assert sent == [StartJob(job=1, kind=JobKind.FIX, level="exact")]
        line = LogLine(LogLevel.INFO, "one", 0.1)
        await hear(app, pilot, JobProgress(1, JobKind.FIX, (), (line,), 0.2))
        assert "fixing: 1 done" in screen_text(app) and "Esc stop fixing" in screen_text(app)
        steps = tuple(
            MendStep(kind="k", problem="p", rewrite=rewrite, what="w", exactness="exact")
            for rewrite in (SCATTER, Rewrite("reshape-follow-input", ("8",)))
        )
        mended = Mended(steps=steps, findings=(RESHAPE,))
        await hear(app, pilot, JobEnded(1, JobKind.FIX, 1.0, mended=mended), Judged(2, [RESHAPE], 0.1))
        assert asked_for(sent) == tuple(step.rewrite for step in steps)
        said = "2 fixed, 1 remains: batch 1 is baked into the target shape: it breaks for N ≥ 2; u undoes"
        assert app.live.state.notices[-1].text == said
        await press(pilot, "u")
        assert app.live.state.recipe is not None and app.live.state.recipe.rewrites == ()


async def test_a_cancelled_run_of_fixes_changes_nothing(open_app: OpenApp) -> None:
    async with open_app([REFUSED]) as (app, pilot, sent):
        await press(pilot, "X", "X")
        assert "fixes are being tried already" in screen_text(app) and len(sent) == 1
        await press(pilot, "escape")
        assert sent[-1] == CancelJob(1)
        await hear(app, pilot, JobEnded(1, JobKind.FIX, 1.0, cancelled=True))
        assert "nothing was changed" in screen_text(app)
        assert app.live.state.recipe is not None and app.live.state.recipe.rewrites == ()


async def test_fixes_of_an_older_recipe_are_not_applied(open_app: OpenApp) -> None:
    async with open_app([REFUSED]) as (app, pilot, _):
        await press(pilot, "X")
        recipe = app.live.state.recipe
        assert recipe is not None
        app.live.edit(msgspec.structs.replace(recipe, opset=18), "opset 18")
        step = MendStep(kind="k", problem="p", rewrite=SCATTER, what="w", exactness="exact")
        await hear(app, pilot, JobEnded(1, JobKind.FIX, 1.0, mended=Mended(steps=(step,), findings=())))
        assert app.live.state.recipe is not None and app.live.state.recipe.rewrites == ()
        assert "the recipe changed while they were tried" in app.live.state.notices[-1].text


@pytest.mark.parametrize(
    ("findings", "why"),
    [([], "there is no problem"), ([msgspec.structs.replace(REFUSED, fixes=(TOPK,))], "no error has an exact fix")],
)
async def test_without_an_exact_fix_there_is_a_reason(open_app: OpenApp, findings: list[Finding], why: str) -> None:
    async with open_app(findings) as (app, pilot, sent):
        await press(pilot, "X")
        assert f"fix all: {why}" in screen_text(app) and sent == []


async def test_no_fix_is_said_to_be_missing_while_they_are_looked_for(open_app: OpenApp) -> None:
    async with open_app([msgspec.structs.replace(REFUSED, fixes=())]) as (app, pilot, _):
        await press(pilot, "n", "x")
        assert "no fix is known" in screen_text(app)
        await press(pilot, "escape")
        recipe = app.live.state.recipe
        assert recipe is not None
        app.live.edit(msgspec.structs.replace(recipe, opset=18), "opset 18")
        await press(pilot, "X")
        assert "fix all: fixes are still being looked for" in screen_text(app)
        await press(pilot, "x")
        assert "no fix is known" not in screen_text(app) and "looked for …" in screen_text(app)


async def test_marks_of_an_older_graph_are_not_drawn_in_a_newer_one(open_app: OpenApp) -> None:
    async with open_app([REFUSED]) as (app, pilot, _):
        graph = next(event for event in session_events() if type(event).__name__ == "GraphReady")
        await press(pilot, "n", "x", "enter", "enter")
        assert "10" in app.live.state.marks
        await hear(app, pilot, msgspec.structs.replace(graph, revision=2))
        assert app.live.state.marks == {} and app.live.state.findings
        parser = next(event for event in session_events() if isinstance(event, Findings))
        await hear(app, pilot, msgspec.structs.replace(parser, revision=2), Judged(2, [REFUSED], 0.1))
        assert "10" in app.live.state.marks
