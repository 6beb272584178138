"""The build panel: honest time, result before log, what changed between builds, nothing remembered wrongly."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import msgspec

from friction_tui.state.app_state import AppState, Job
from friction_tui.ui.builds import diff as build_diff
from friction_tui.ui.builds import history as build_history
from friction_tui.ui.builds import views as build_views
from friction_tui.ui.builds.compare import CompareScreen
from friction_tui.ui.builds.panel import BuildPanel
from friction_tui.ui.dialogs.path_prompt import PathPrompt, verdict
from friction_tui.ui.look.lines import fitted
from friction_tui.ui.panel import Ask, Say
from friction_tui.vocabulary.finding import Tier
from friction_tui.vocabulary.protocol import BuildResult, JobKind, Kernel, LogLevel, LogLine, Phase, SaveEngine
from friction_tui.vocabulary.recipe import Range, Recipe
from tests.ui.bench import Bench
from tests.ui.shapes.test_shapes_panel import state_of
from tests.verdicts.test_build_verdict import finding

KERNELS = (
    Kernel("__myl_ConvRelu_0x1", ("stem/conv", "stem/relu"), "correlation"),
    Kernel("Reformat", (), "reformat"),
)
RESULT = BuildResult(
    ok=True,
    source="TensorRT-RTX 1.7.1 builder",
    seconds=2.4,
    engine_bytes=182_000_000,
    activation_bytes=(390_000_000,),
    weights_bytes=180_000_000,
    phases=(Phase("parse", 0.2), Phase("compile", 2.2)),
    kernels=KERNELS,
    engine_path="/tmp/build.engine",
)
LOG = (
    LogLine(LogLevel.INFO, "Local timing cache in use.", 0.1),
    LogLine(LogLevel.VERBOSE, "Parsing node: stem/conv [Conv]", 0.2),
    LogLine(LogLevel.WARNING, "Profile kMIN values are not self-consistent", 0.3),
    LogLine(LogLevel.ERROR, "Error Code 10: could not find any implementation", 0.4),
)


def recipe_of(state: AppState) -> Recipe:
    assert state.recipe is not None
    return state.recipe


def built(number: int, recipe: Recipe, **changed: object) -> Job:
    result = RESULT if not changed else build_with(**changed)
    return Job(number, JobKind.BUILD, recipe, running=False, build=result, phases=result.phases, lines=LOG)


def build_with(**changed: object) -> BuildResult:
    fields = {name: getattr(RESULT, name) for name in RESULT.__struct_fields__}
    return BuildResult(**{**fields, **changed})


async def test_a_running_build_is_timed_against_the_last_ones_without_a_percentage() -> None:
    panel = BuildPanel(id="build")
    app = Bench(panel)
    base = state_of()
    running = Job(2, JobKind.BUILD, recipe_of(base), phases=(Phase("parse", 0.2), Phase("compile")), elapsed=1.0)
    async with app.run_test(size=(80, 24)) as pilot:
        panel.clock = lambda: 100.0
        app.show(replace(base, jobs=(built(1, recipe_of(base)), running)))
        panel.clock = lambda: 101.5
        panel._tick()
        await pilot.pause()
        shown = app.text()
        assert "2.5 s in all   longer than before: last build took 2.4 s" in shown
        assert "compile      2.3 s" in shown and "last: 2.2 s" in shown
        assert "Esc cancels" in shown and "%" not in shown


async def test_a_result_names_its_builder_and_goes_stale_with_an_edit() -> None:
    app = Bench(BuildPanel(id="build"))
    base = state_of()
    job = built(1, recipe_of(base).with_range("N", Range(1, 4, 16)))
    async with app.run_test(size=(80, 24)) as pilot:
        app.show(replace(base, jobs=(job,)))
        await pilot.pause()
        shown = app.text()
        assert "stale: changed since: N max 16 → 8; b builds again" in shown
        assert "built in 2.4 s · TensorRT-RTX 1.7.1 builder" in shown
        assert "390 MB  planned, at the profile's max" in shown
        app.show(replace(base, jobs=(replace(job, build=None, error="the builder crashed: signal 11"),)))
        await pilot.pause()
        assert "✗ the builder crashed: signal 11" in app.text()


async def test_the_log_is_filtered_by_level_and_by_words() -> None:
    panel = BuildPanel(id="build")
    app = Bench(panel)
    base = state_of()
    async with app.run_test(size=(80, 24)) as pilot:
        app.show(replace(base, jobs=(built(1, recipe_of(base)),)))
        await pilot.press("right")
        await pilot.pause()
        assert "Local timing" in app.text() and "Parsing node" not in app.text()
        await pilot.press("v")
        await pilot.pause()
        assert "Parsing node" in app.text()
        await pilot.press("v")
        await pilot.pause()
        assert "Error Code 10" in app.text() and "kMIN" not in app.text()
        await pilot.press("v")
        assert panel.search("kmin") == "1 of 1"
        await pilot.pause()
        assert "kMIN" in app.text() and "Error Code 10" not in app.text()
        await pilot.press("enter")
        await pilot.pause()
        assert "warning, 0.30 s" in app.text()


async def test_kernels_show_the_nodes_fused_into_them_and_history_what_changed() -> None:
    app = Bench(BuildPanel(id="build"))
    base = state_of()
    wider = recipe_of(base).with_range("N", Range(1, 4, 16))
    jobs = (built(1, recipe_of(base)), built(2, wider, engine_bytes=200_000_000, kernels=KERNELS[:1]))
    async with app.run_test(size=(90, 24)) as pilot:
        app.show(replace(base, jobs=jobs))
        await pilot.press("right", "right")
        await pilot.pause()
        assert "← stem/conv, stem/relu" in app.text()
        await pilot.press("right", "down", "enter")
        await pilot.pause()
        shown = app.text()
        assert "N max 8 → 16" in shown
        assert "+18 MB (+9.89 %)" in shown
        assert "- Reformat (TensorRT's own)" in shown


def test_the_diff_of_equal_builds_says_so() -> None:
    state = state_of()
    first, second = built(1, recipe_of(state)), built(2, recipe_of(state))
    text = "\n".join("".join(t for t, _ in line.spans) for line in build_diff.page(first, second, 80, ascii_only=False))
    assert "the same: differences below come from the builder itself" in text
    assert "the same nodes are fused in both" in text


async def test_an_engine_is_saved_only_when_asked_and_only_where_it_can_be(tmp_path: Path) -> None:
    app = Bench(BuildPanel(id="build"))
    base = state_of()
    async with app.run_test(size=(80, 24)) as pilot:
        app.show(base)
        await pilot.press("s")
        await pilot.pause()
        assert isinstance(app.heard[-1], Say)
        app.show(replace(base, jobs=(built(1, recipe_of(base)),)))
        await pilot.press("s")
        await pilot.pause()
        assert isinstance(app.screen, PathPrompt)
        await pilot.press("ctrl+a", *str(tmp_path / "no" / "m.engine"), "enter")
        await pilot.pause()
        assert isinstance(app.screen, PathPrompt)
    assert verdict(str(tmp_path / "m.engine")) == (True, "Enter writes a new file")
    (tmp_path / "m.engine").write_bytes(b"1234")
    assert verdict(str(tmp_path / "m.engine")) == (True, "Enter replaces the 4 bytes that are there")
    assert not verdict(str(tmp_path))[0] and not verdict(" ")[0]
    panel = BuildPanel()
    sent: list[object] = []
    panel.post_message = sent.append  # type: ignore[method-assign, assignment]
    panel._save(tmp_path / "m.engine")
    assert isinstance(sent[0], Ask) and sent[0].request == SaveEngine(path=str(tmp_path / "m.engine"))


async def test_builds_are_remembered_for_the_next_session_but_only_for_a_model_of_the_same_size() -> None:
    base = state_of()
    assert base.summary is not None
    file = build_history.history_file(recipe_of(base))
    app = Bench(BuildPanel(id="build"))
    async with app.run_test(size=(80, 24)) as pilot:
        app.show(replace(base, jobs=(built(1, recipe_of(base)),)))
        app.show(replace(base, jobs=(built(1, recipe_of(base)), built(2, recipe_of(base)))))
        await pilot.pause()
    kept = build_history.load(file)
    assert [record.seconds for record in kept] == [2.4, 2.4]
    assert len(build_history.comparable(kept, base.summary)) == 2
    assert build_history.estimate(list(kept), 1.0) == "last 2 builds took 2.4 s"
    assert build_history.last_seconds(list(kept), "compile") == 2.2
    file.write_text("{")
    assert build_history.load(file) == ()
    assert build_history.estimate([], 1.0) == "first build of this model: no estimate"


def test_a_refused_build_marks_the_phase_that_failed_and_a_cut_cause_goes_on() -> None:
    cause = "The parts of the concatenation differ on axis 2. " * 8
    refusal = finding("dynamic/concat", Tier.BUILDER, RESULT.source)
    refusal = msgspec.structs.replace(refusal, cause=cause, words=())
    job = built(1, recipe_of(state_of()), ok=False, engine_bytes=None, findings=(refusal,))
    lines = build_views.result(job, None, [], 60, ascii_only=False)
    assert sum("The parts" in "".join(text for text, _ in line.spans) for line in lines) >= 1
    assert any(line.spans[-1][0] == " …" for line in lines)
    marks = [line.spans[0][0] for line in build_views.phases(job, [], 3.0, ascii_only=False)]
    assert marks == ["✓ ", "✗ "]


def test_who_built_is_never_cut_off_and_a_narrow_history_says_what_changed() -> None:
    recipe = recipe_of(state_of())
    jobs = [built(1, recipe), built(2, msgspec.structs.replace(recipe, target="SM89"))]
    narrow = [
        "".join(text for text, _ in line.spans)
        for line in build_views.result(jobs[1], recipe, [], 32, ascii_only=False)
    ]
    assert any("TensorRT-RTX 1.7.1 builder" in line for line in narrow)
    past = [" ".join(text for text, _ in line.spans) for line in build_views.history(jobs, [], 40, ascii_only=False)]
    assert any("SM89" in line for line in past)


async def test_an_undo_that_returns_to_a_built_recipe_returns_to_its_build() -> None:
    panel = BuildPanel(id="build")
    app = Bench(panel)
    base = state_of()
    wider = recipe_of(base).with_range("N", Range(1, 4, 16))
    jobs = (built(1, recipe_of(base)), built(2, wider, seconds=9.0))
    async with app.run_test(size=(90, 24)) as pilot:
        app.show(replace(base, jobs=tuple(replace(job, nth=job.number) for job in jobs)))
        await pilot.pause()
        shown = app.text()
        assert "Build #1 ─" in shown and "built in 2.4 s" in shown and "stale" not in shown
        app.show(replace(panel.state, history=base.history and base.history.edit(wider)))
        await pilot.pause()
        assert "Build #2 ─" in app.text() and "built in 9" in app.text() and "stale" not in app.text()


def test_the_phase_that_failed_is_marked_however_the_build_ended() -> None:
    recipe = recipe_of(state_of())
    refused = build_with(ok=False, phases=(Phase("parse", 0.1), Phase("graph", 0.2)))
    open_phases = (Phase("parse", 0.1), Phase("compile"))
    crashed = Job(1, JobKind.BUILD, recipe, running=False, phases=open_phases, error="signal 11", elapsed=3.0)
    died = finding("engine/builder-crashed", Tier.BUILDER, "builder")
    for job, marks in (
        (replace(crashed, build=refused, phases=refused.phases, error=""), ["✓ parse", "✗ graph"]),
        (crashed, ["✓ parse", "✗ compile"]),
        (
            replace(crashed, error="", findings=(died,)),
            ["✓ parse", "✗ compile"],
        ),
        (replace(crashed, error="", cancelled=True), ["✓ parse", "- compile"]),
    ):
        lines = build_views.phases(job, (), 3.0, ascii_only=False)
        assert ["".join(text for text, _ in line.spans).split("  ")[0].strip() for line in lines] == marks


def test_who_says_a_figure_is_never_cut() -> None:
    job = built(1, recipe_of(state_of()), peak_host_bytes=10_000, scratch_bytes=5_000)
    for width in range(12, 90):
        lines = [fitted(line, width) for line in build_views.result(job, job.recipe, (), width, ascii_only=False)]
        shown = "\n".join("".join(text for text, _ in spans) for spans in lines)
        for word, count in (("on disk", 1), ("planned", 3), ("measured", 1), ("fused", 1)):
            assert shown.count(word) == count, (width, shown)


async def test_any_two_builds_are_compared() -> None:
    base = state_of()
    recipes = [recipe_of(base).with_range("N", Range(1, 4, most)) for most in (8, 16, 32, 64)]
    jobs = tuple(replace(built(number, recipe), nth=number) for number, recipe in enumerate(recipes, start=1))
    dialog = CompareScreen(replace(base, jobs=jobs))
    app = Bench(dialog=dialog)
    async with app.run_test(size=(90, 24)) as pilot:
        await pilot.pause()
        assert "▸ ✓ #4" in app.text()
        for keys, pair, change in (
            (("enter",), "Build #3 and #4", "N max 32 → 64"),
            (("end", "enter"), "Build #1 and #4", "N max 8 → 64"),
            (("up", "space", "end", "enter"), "Build #1 and #2", "N max 8 → 16"),
            (("up", "up", "enter"), "Build #2 and #3", "N max 16 → 32"),
        ):
            await pilot.press(*keys)
            await pilot.pause()
            assert pair in app.text() and change in app.text(), keys
            await pilot.press("escape")
            await pilot.pause()
        await pilot.press("down", "enter")
        await pilot.pause()
        assert app.screen is dialog, "a build is not compared with itself"
