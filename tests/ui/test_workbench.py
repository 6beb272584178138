"""The real app under a pilot, fed with what a worker would say."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest

from friction_tui import locations
from friction_tui.ui import sessions
from friction_tui.ui.app import FrictionApp
from friction_tui.ui.bars import KeyLine
from friction_tui.ui.dialogs.text_screen import TextScreen
from friction_tui.ui.graph import inspector
from friction_tui.ui.graph.inspector import Inspector
from friction_tui.ui.layout import PANELS, arrangement, shown
from friction_tui.ui.look.pace import chart_seconds
from friction_tui.ui.panel import Edit
from friction_tui.ui.why_screen import WhyScreen
from friction_tui.ui.workbench import Workbench
from friction_tui.vocabulary.finding import Severity
from friction_tui.vocabulary.protocol import (
    Apply,
    Detail,
    Event,
    GraphReady,
    Inspect,
    Judged,
    Request,
    WorkerDied,
)
from friction_tui.vocabulary.recipe import Range, Recipe
from tests.ui.bench import OpenApp, bench_of, screen_text, settled


async def test_first_paint_does_not_wait_for_the_worker(recipe: Recipe, silent_worker: list[str]) -> None:
    app = FrictionApp(recipe, worker=silent_worker)
    async with app.run_test(size=(80, 24)):
        text = screen_text(app)
    assert "detector.onnx" in text and "opening detector.onnx" in text and "starting the worker" in text


async def test_problems_are_listed_marked_and_explained(open_app: OpenApp) -> None:
    async with open_app() as (app, pilot):
        text = screen_text(app)
        assert "✗ 2  ! 1  ? 1" in text and "Problems ─ 4" in text and "checked 0.14 s" in text
        await pilot.press("n")
        assert app.live.state.problem is not None and app.live.state.problem.kind == "operator/nonzero"
        await settled(pilot)
        assert app.live.state.selected == "10"
        await pilot.press("n", "enter")
        await settled(pilot)
        assert isinstance(app.screen, WhyScreen)
        text = screen_text(app)
        for said in (
            "x = x.view(1, 256)",
            "1024 elements",
            "ONNX Runtime 1.32.0 CPU at opt and max",
            "restrict N to 1",
        ):
            assert said in text
        await pilot.press("escape")
        assert isinstance(app.screen, Workbench)


async def test_narrow_terminals_show_one_panel_and_digits_switch(open_app: OpenApp) -> None:
    async with open_app((80, 24)) as (app, pilot):
        bench = bench_of(app)
        for digit, name in enumerate(PANELS[:6], start=1):
            await pilot.press(str(digit))
            await settled(pilot)
            assert [p for p in PANELS if bench.query_one(f"#{p}").display] == [name]
            assert "…" not in screen_text(app).splitlines()[1], "the panel bar fits"


async def test_what_is_on_screen_survives_a_tiny_terminal(open_app: OpenApp) -> None:
    async with open_app((120, 30)) as (app, pilot):
        await pilot.press("n")
        before = screen_text(app)
        for size in ((20, 5), (1, 1), (240, 70), (120, 30)):
            await pilot.resize_terminal(*size)
            await pilot.press("down", "up", "2", "1")
            await settled(pilot)
        assert screen_text(app).splitlines()[0] == before.splitlines()[0]
        assert app.live.state.selected == "10"


async def test_an_edit_is_sent_marked_stale_and_undone(open_app: OpenApp, monkeypatch: pytest.MonkeyPatch) -> None:
    async with open_app() as (app, pilot):
        sent: list[Request] = []
        monkeypatch.setattr(app.live._client, "send", sent.append)
        recipe = app.live.state.recipe
        assert recipe is not None
        app.screen.post_message(Edit(recipe.with_range("N", Range(1, 4, 16)), "N max 8 → 16"))
        await settled(pilot)
        assert app.live.state.revision == 2 and "stale" in screen_text(app) and "N max 8 → 16" in screen_text(app)
        app.live.hear(Judged(revision=2, findings=[], seconds=0.2))
        await settled(pilot)
        assert "fixed post/NonZero, head/Reshape" in screen_text(app)
        await pilot.press("u")
        assert app.live.state.recipe == recipe and app.live.state.revision == 3
        assert [request.revision for request in sent if isinstance(request, Apply)] == [2, 3]


async def test_the_inspector_asks_once_the_cursor_rests(
    open_app: OpenApp, reshape_detail: Detail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspector, "REST_SECONDS", 0.5)  # a busy machine may take long between two keys
    async with open_app() as (app, pilot):
        sent: list[Request] = []
        monkeypatch.setattr(app.live._client, "send", sent.append)
        await pilot.press("end", "up", "up")
        for _ in range(300):
            await asyncio.sleep(0.01)
            asked = [request.path for request in sent if isinstance(request, Inspect)]
            if "10" in asked:
                break
        assert app.live.state.selected == "10"
        assert set(asked) <= {"<images", "10"}, "nothing is asked about rows that were only passed"
        bench_of(app).graph.reveal("8")
        app.live.hear(reshape_detail)
        await settled(pilot)
        assert bench_of(app).query_one(Inspector).border_title == "Inspector ─ head/Reshape"
        assert "[1, 256]" in screen_text(app)


async def test_the_problem_list_filters_and_shows_all_again(open_app: OpenApp) -> None:
    async with open_app() as (app, pilot):
        await pilot.press("F", *"tier:parser")
        await settled(pilot)
        assert "1 of 4" in screen_text(app)
        await pilot.press("escape")
        await settled(pilot)
        assert "Problems ─ 4" in screen_text(app)


async def test_two_reasons_for_one_node_are_one_row_and_next_goes_down_the_list(open_app: OpenApp) -> None:
    async with open_app() as (app, pilot):
        judged = app.live.state.judged
        assert judged is not None
        first, *others = judged.findings
        note = msgspec.structs.replace(first, severity=Severity.NOTE, title="one more reason", fixes=())
        whole = msgspec.structs.replace(first, title="the builder refuses it", locations=(), fixes=())
        app.live.hear(Judged(revision=app.live.state.revision, findings=[first, whole, *others, note], seconds=0.1))
        await settled(pilot)
        listed = screen_text(app)
        assert listed.count("NonZero  post/NonZero") == 1 and "· one more reason" in listed
        assert "✗ the builder refuses it" in listed
        seen = []
        for _ in range(3):
            await pilot.press("n")
            await settled(pilot)
            seen.append(app.live.state.problem)
        assert seen == [first, note, whole]
        assert app.focused is bench_of(app).problems, "only the list can show what is about the whole model"


async def test_a_dead_worker_is_a_line_on_the_screen(open_app: OpenApp) -> None:
    async with open_app((80, 24)) as (app, pilot):
        app.live.hear(WorkerDied(why="killed by SIGSEGV", restarted=True, last_words="segfault in parser"))
        await settled(pilot)
        text = screen_text(app)
        assert "the worker died and was restarted: killed by SIGSEGV" in text and "head" in text


async def test_a_session_is_saved_and_restored(open_app: OpenApp) -> None:
    async with open_app() as (app, pilot):
        bench = bench_of(app)
        await pilot.press("C")
        bench.graph.reveal("8")
        await settled(pilot)
        await pilot.press("w")
        folds = bench.graph.open_folds()
    (_, saved), *_ = sessions.recent()
    assert saved.cursor == "8" and saved.open_folds == folds
    async with open_app(session=saved) as (app, pilot):
        await settled(pilot)
        assert app.live.state.selected == "8"
        assert bench_of(app).graph.open_folds()[0] in {*folds, *bench_of(app).graph.open_folds()}


async def test_every_binding_has_an_id_and_a_tooltip(open_app: OpenApp) -> None:
    async with open_app() as (app, pilot):
        await pilot.press("question_mark")
        text = screen_text(app)
        assert "Keys" in text
        for widget in bench_of(app).query("*"):
            own = vars(type(widget)).get("BINDINGS", []) if type(widget).__module__.startswith("friction_tui") else []
            assert all(binding.id and binding.tooltip for binding in own), type(widget)


@pytest.mark.parametrize(
    ("size", "arranged", "panels"),
    [
        ((80, 24), "single", {"graph"}),
        ((100, 20), "low", {"graph", "problems", "inspector"}),
        ((120, 30), "wide", {"graph", "problems", "inspector", "shapes", "build"}),
        ((200, 60), "very-wide", {*PANELS} - {"source"}),
    ],
)
def test_what_is_shown_follows_the_size(size: tuple[int, int], arranged: str, panels: set[str]) -> None:
    assert shown(arrangement(*size), "graph", "build") == (arranged, panels)
    assert shown("wide", "latency", "latency") == ("charts", {"graph", "problems", "inspector", "latency"})
    assert shown(arrangement(*size, zoomed=True), "latency", "latency") == ("single", {"latency"})


async def test_keys_can_be_chosen_and_are_shown(recipe: Recipe, silent_worker: list[str]) -> None:
    file = locations.keymap_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text('"panel.problems" = "f2"\n"app.help" = "f1"\n"memory.own" = "G"\n')
    app = FrictionApp(recipe, worker=silent_worker)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("f2")
        assert bench_of(app).current == "problems"
        assert "f1 help" in screen_text(app)
        await pilot.press("f1")
        await settled(pilot)
        assert "f2" in screen_text(app)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("keys = [1]", "keys.toml was not used"),
        ('"panel.problems" = "f2"\n"panel.problem" = "f3"\n', "line 2: there is no action panel.problem; did you mean"),
        ('\n"panel.problems" = "b"\n', "line 2: b is the key of build.start too"),
        ('"panel.problems" = "f2"\n"panel.memory" = "f2"\n', "f2 is the key of panel.problems too"),
    ],
)
async def test_a_mistake_in_the_keymap_is_said_with_its_line(
    recipe: Recipe, silent_worker: list[str], content: str, said: str
) -> None:
    file = locations.keymap_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content)
    app = FrictionApp(recipe, worker=silent_worker)
    async with app.run_test(size=(160, 24)) as pilot:
        await settled(pilot)
        assert said in screen_text(app)
        await pilot.press("2")
        assert bench_of(app).current == "problems"


async def test_the_key_line_takes_clicks(open_app: OpenApp) -> None:
    async with open_app() as (app, pilot):

        async def click(word: str) -> None:
            shown = "".join(segment.text for segment in app.screen.query_one(KeyLine).render_line(0))
            await pilot.click(KeyLine, offset=(shown.index(f" {word}") + 2, 0))
            await settled(pilot)

        await click("edit")
        assert bench_of(app).current == "shapes"
        await pilot.press("escape")  # while a range is typed, the line shows what keys mean in it
        await settled(pilot)
        await click("help")
        assert isinstance(app.screen, TextScreen)


async def test_values_are_followed_and_jumps_go_back(open_app: OpenApp) -> None:
    async with open_app() as (app, pilot):
        bench_of(app).graph.reveal("7")  # Concat reads the Resize and the Relu
        reached = []
        for key in ("left_square_bracket", "left_square_bracket", "backspace", "right_square_bracket"):
            await pilot.press(key)
            await settled(pilot)
            reached.append(app.live.state.selected)
        assert set(reached[:2]) == {"6", "1"} and reached[2:] == ["7", "8"]


async def test_the_nodes_around_one_are_drawn_and_gone_to(open_app: OpenApp) -> None:
    async with open_app((100, 40)) as (app, pilot):
        bench_of(app).graph.reveal("7")
        await pilot.press("G")
        await settled(pilot)
        text = screen_text(app)
        assert "Around neck/cat1" in text and "┃ " in text and "Resize" in text
        await pilot.press("up", "space")
        await settled(pilot)
        assert "Around neck/up1" in screen_text(app)
        await pilot.press("enter")
        await settled(pilot)
        assert isinstance(app.screen, Workbench) and app.live.state.selected == "6"


async def test_the_whole_graph_is_one_picture_and_leads_to_the_problem_in_a_group(open_app: OpenApp) -> None:
    async with open_app((80, 40)) as (app, pilot):
        await pilot.press("M")
        await settled(pilot)
        text = screen_text(app)
        assert "Overview ─" in text and "backbone" in text and "neck" in text and "✗1" in text
        await pilot.press(*["down"] * 9, "enter")
        await settled(pilot)
        assert isinstance(app.screen, Workbench) and app.live.state.selected not in ("", "0")


async def test_ascii_mode_leaves_nothing_else_on_any_page(open_app: OpenApp) -> None:
    async with open_app((120, 30)) as (app, pilot):
        app.live.show(replace(app.live.state, ascii=True))
        for keys in ("12345678", "1n", "G", "M", "W", "x", "o", "t", "y", "?", "l", "/"):
            await pilot.press(*("question_mark" if key == "?" else "slash" if key == "/" else key for key in keys))
            await settled(pilot)
            assert screen_text(app).isascii(), (
                keys,
                [line for line in screen_text(app).split("\n") if not line.isascii()],
            )
            await pilot.press("escape", "escape")
        await pilot.press("ctrl+p")
        await settled(pilot)
        shown = screen_text(app)
        assert shown.isascii() and "Problem: next" in shown and "Panel:" not in shown, "panels have digits"


async def test_an_app_over_ssh_is_quiet(
    recipe: Recipe, silent_worker: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH_TTY", "/dev/pts/0")
    app = FrictionApp(recipe, worker=silent_worker)
    assert app.animation_level == "none" and chart_seconds() == 1.0


async def test_no_colour_is_not_black_on_black(
    recipe: Recipe, silent_worker: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    app = FrictionApp(recipe, worker=silent_worker)
    async with app.run_test(size=(80, 24)):
        styles = [segment.style for strip in app.screen._compositor.render_strips() for segment in strip]
        assert all(style is None or style.color is None or style.color.is_default for style in styles)


async def test_a_cursor_nobody_moved_stays_on_the_first_problem(open_app: OpenApp) -> None:
    async with open_app() as (app, pilot):
        judged = app.live.state.judged
        assert judged is not None
        found = judged.findings
        app.live.hear(Judged(revision=1, findings=found[1:], seconds=0.1))
        await settled(pilot)
        app.live.hear(Judged(revision=1, findings=found, seconds=0.1))
        await settled(pilot)
        problems = bench_of(app).problems
        assert problems.cursor_key == found[0]
        await pilot.press("2", "down")
        app.live.hear(Judged(revision=1, findings=found[1:], seconds=0.1))
        await settled(pilot)
        assert problems.cursor_key == found[1], "where it was put, it stays"
        app.live.hear(Judged(revision=1, findings=[], seconds=0.1))
        await settled(pilot)
        assert problems.cursor_key is None


async def test_ctrl_c_says_which_key_leaves(open_app: OpenApp) -> None:
    async with open_app() as (app, pilot):
        await pilot.press("ctrl+c")
        await settled(pilot)
        assert "q saves the session and leaves" in screen_text(app)


async def test_a_graph_drawn_anew_does_not_put_a_message_away(
    open_app: OpenApp, worker_events: Callable[..., list[Event]]
) -> None:
    async with open_app((80, 24)) as (app, pilot):
        await pilot.press("down", "down")
        await settled(pilot)
        ready = next(event for event in worker_events() if isinstance(event, GraphReady))
        renumbered = [f"1{path}" if path.isdecimal() else path for path in ready.graph.paths]
        app.live.say("fixed head/Reshape")
        app.live.hear(msgspec.structs.replace(ready, graph=msgspec.structs.replace(ready.graph, paths=renumbered)))
        await settled(pilot)
        assert "fixed head/Reshape" in screen_text(app)
        await pilot.press("down")
        await settled(pilot)
        assert "fixed head/Reshape" not in screen_text(app)


async def test_the_cursor_stays_on_its_node_when_one_is_inserted_before_it(open_app: OpenApp) -> None:
    async with open_app() as (app, pilot):
        bench = bench_of(app)
        before = app.live.state.graph
        assert before is not None
        bench.graph.reveal("8")
        await settled(pilot)
        folds = bench.graph.labels(*bench.graph.open_folds())
        here = bench.graph.labels("8")["8"]
        count = before.main
        shifted = [path if path[0] in "<>" else str(int(path) + 1) for path in before.paths]
        after = msgspec.structs.replace(
            before,
            names=[*before.names, "a_cast"],
            ops=[*before.ops, "Cast"],
            paths=[*shifted, "0"],
            inputs=[*before.inputs, [0]],
            scopes=[*before.scopes, before.scopes[0]],
            order=[before.order[0], count, *before.order[1:]],
            main=count + 1,
        )
        app.live.hear(GraphReady(revision=app.live.state.revision, graph=after))
        await settled(pilot)
        assert app.live.state.selected == "9"
        assert bench.graph.labels("9")["9"] == here
        assert [*bench.graph.labels(*bench.graph.open_folds()).values()] == [*folds.values()]
