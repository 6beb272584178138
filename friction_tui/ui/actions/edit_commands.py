"""Commands that change the recipe or write files: each opens the panel or dialog where it is chosen."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, cast

import msgspec

from friction_tui.files import write_whole
from friction_tui.state.app_state import AppState, NoticeLevel
from friction_tui.state.derived import outcome_text
from friction_tui.ui.graph.inspector import findings_at
from friction_tui.ui.panel import Ask, Begin, Edit, Say
from friction_tui.vocabulary.finding import fix_first
from friction_tui.vocabulary.protocol import Forecast, JobKind, SaveModel, SaveScript
from friction_tui.vocabulary.recipe import ExportOptions, InputSpec

if TYPE_CHECKING:
    from friction_tui.ui.builds.panel import BuildPanel
    from friction_tui.ui.shapes.panel import ShapesPanel
    from friction_tui.ui.workbench import Workbench


def edit_shapes(bench: Workbench) -> None:
    """To the shape editor, with the cell under its cursor open."""
    bench.show_panel("shapes")
    cast("ShapesPanel", bench.panel("shapes")).begin_edit()


def edit_inputs(bench: Workbench) -> None:
    """The example inputs and the options of the export."""
    from friction_tui.ui.source.export_progress import spec_text
    from friction_tui.ui.source.inputs_dialog import InputsScreen
    from friction_tui.vocabulary.recipe.export_options import options_text

    exported, recipe = bench.state.exported, bench.state.recipe
    if exported is None or recipe is None:
        return

    def take(answer: tuple[tuple[InputSpec, ...], ExportOptions] | None) -> None:
        if answer is None:
            return
        inputs, options = answer
        edited, said = recipe, []
        if inputs != exported.inputs or exported.inputs_guessed:  # the source's own may be more than tensors
            edited = msgspec.structs.replace(edited, source=msgspec.structs.replace(recipe.source, inputs=inputs))
            said.append("example inputs " + ", ".join(spec_text(spec) for spec in inputs))
        if options != recipe.export:
            edited = msgspec.structs.replace(edited, export=options)
            said.append(f"exported with {options_text(options)}")
        if said:
            bench.post_message(Edit(edited, "; ".join(said)))

    bench.app.push_screen(InputsScreen(exported.inputs, recipe.export, guessed=exported.inputs_guessed), take)


def choose_opset(bench: Workbench) -> None:
    """The opset dialog."""
    from friction_tui.ui.dialogs.opset import OpsetScreen

    bench.app.push_screen(OpsetScreen(bench.state))


def choose_target(bench: Workbench) -> None:
    """The target and precision dialog."""
    from friction_tui.ui.dialogs.target import TargetScreen

    bench.app.push_screen(TargetScreen(bench.state))


def choose_builder_options(bench: Workbench) -> None:
    """The dialog of the builder's options."""
    from friction_tui.ui.dialogs.builder_options import BuilderOptions

    bench.app.push_screen(BuilderOptions(bench.state))


def other_engines(bench: Workbench) -> None:
    """Ask the TensorRT of other environments, and show who refuses what."""
    from friction_tui.ui.dialogs.other_engines import OtherEngines

    bench.app.push_screen(OtherEngines(bench.state))


def fix(bench: Workbench) -> None:
    """The fixes for the chosen problem, else for the one at the graph's cursor, else for the most severe."""
    from friction_tui.ui.problems.fixes import FixesScreen

    state = bench.state
    here = fix_first(findings_at(state, state.selected))
    finding = state.problem or next(iter(here), None) or next(iter(state.findings), None)
    if finding is not None:
        bench.app.push_screen(FixesScreen(state, finding, bench))


def fix_all(bench: Workbench) -> None:
    """Every exact fix at once; what they do becomes one edit when all of them were tried."""
    bench.post_message(Begin(JobKind.FIX, level="exact"))


def keep_fix(bench: Workbench) -> None:
    """Make the edit again that was taken back."""
    bench.friction.live.insist()


def journal(bench: Workbench) -> None:
    """Every edit so far, to go back to any of them."""
    from friction_tui.ui.dialogs.journal import SAVE_MODEL, WRITE_RECIPE, WRITE_SCRIPT, Journal, sentence

    history = bench.state.history
    if history is None:
        return

    def answered(answer: object) -> None:
        if answer == WRITE_RECIPE:
            save_recipe(bench)
        elif answer == SAVE_MODEL:
            save_model(bench)
        elif answer == WRITE_SCRIPT:
            save_script(bench)
        elif isinstance(answer, int) and answer != len(history.past):
            bench.friction.live.move(history.at(answer), f"at step {answer}: {sentence(history, answer)}")

    bench.app.push_screen(Journal(bench.state, history), answered)


def lost_steps(bench: Workbench) -> None:
    """What to do with the steps that do not apply any more."""
    from friction_tui.ui.actions.commands import undo
    from friction_tui.ui.dialogs.lost_steps import LostSteps

    def answered(answer: object) -> None:
        if isinstance(answer, tuple):
            bench.post_message(Edit(*answer))
        elif answer is not None:
            undo(bench)

    bench.app.push_screen(LostSteps(bench.state), answered)


def copy_as(bench: Workbench) -> None:
    """The recipe as a command."""
    from friction_tui.ui.dialogs.copy_as import CopyScreen

    bench.app.push_screen(CopyScreen(bench.state))


def compare_builds(bench: Workbench) -> None:
    """Two builds beside each other; which ones is asked where there are more."""
    from friction_tui.ui.builds.compare import CompareScreen

    if len(bench.state.builds) > 2:
        bench.app.push_screen(CompareScreen(bench.state))
    else:
        cast("BuildPanel", bench.panel("build")).compare()


def save_engine(bench: Workbench) -> None:
    """Ask where to save the newest engine."""
    cast("BuildPanel", bench.panel("build")).action_save()


def save_model(bench: Workbench) -> None:
    """Ask where to write the model with the recipe applied."""
    from friction_tui.ui.dialogs.path_prompt import PathPrompt

    recipe = bench.state.recipe
    if recipe is None:
        return
    source = Path(recipe.source.path)

    def answer(path: Path | None) -> None:
        if path is not None:
            bench.post_message(Ask(SaveModel(path=str(path))))

    proposed = source.with_name(f"{source.stem}-edited.onnx")
    bench.app.push_screen(PathPrompt("Save the model with this recipe applied.", proposed), answer)


def save_script(bench: Workbench) -> None:
    """Ask where to write a script that repeats the recipe's edits."""
    from friction_tui.ui.dialogs.path_prompt import PathPrompt

    recipe = bench.state.recipe
    if recipe is None:
        return
    source = Path(recipe.source.path)

    def answer(path: Path | None) -> None:
        if path is not None:
            bench.post_message(Ask(SaveScript(path=str(path))))

    proposed = source.with_name(f"{source.stem}_edits.py")
    bench.app.push_screen(PathPrompt("Write a Python script that repeats the edits.", proposed), answer)


def save_recipe(bench: Workbench) -> None:
    """Ask where to write friction.toml; what the team agreed on in an older one stays."""
    from friction_tui import friction_toml
    from friction_tui.ui.dialogs.path_prompt import PathPrompt

    recipe = bench.state.recipe
    if recipe is None:
        return

    try:
        proposed, agreed = friction_toml.of_model(Path(recipe.source.path))
    except friction_toml.RecipeFileError as error:
        bench.post_message(Say(f"the recipe was not written: {error}", NoticeLevel.ERROR))
        return

    def answer(path: Path | None) -> None:
        if path is None:
            return
        try:
            older = friction_toml.load(path) if path.exists() else agreed
            friction_toml.save(friction_toml.from_recipe(recipe, older), path)
        except (friction_toml.RecipeFileError, OSError) as error:
            bench.post_message(Say(f"the recipe was not written: {error}", NoticeLevel.ERROR))
        else:
            bench.post_message(
                Say(f"recipe written to {path}", NoticeLevel.INFO, "commit it beside the model: CI reads it too")
            )

    bench.app.push_screen(PathPrompt("Write the recipe to a file that people and CI read.", proposed), answer)


def write_report(*, anonymise: bool) -> Callable[[Workbench], None]:
    """Ask where to write the HTML report of the session as it is now."""

    def ask(bench: Workbench) -> None:
        from friction_tui.ui.dialogs.path_prompt import PathPrompt

        state = bench.state
        if state.recipe is None:
            return
        if state.forecast_revision != state.revision:  # answered long before a path is typed
            bench.post_message(Ask(Forecast()))
        source = Path(state.recipe.source.path)
        proposed = source.with_name("report.html" if anonymise else f"{source.stem}-report.html")
        names = "Names of the model's author are left out." if anonymise else "Names are in it, weights are not."
        bench.app.push_screen(
            PathPrompt(f"Write the report as one HTML file. {names}", proposed),
            lambda path: None if path is None else _write_report(bench, path, anonymise=anonymise),
        )

    return ask


def _write_report(bench: Workbench, path: Path, *, anonymise: bool) -> None:
    """Write it in a thread: the page of 10,000 nodes takes a second to make."""
    state = bench.state

    def write() -> None:
        bench.post_message(_reported(state, path, anonymise=anonymise))

    bench.run_worker(write, thread=True, group="report")


def _reported(state: AppState, path: Path, *, anonymise: bool) -> Say:
    from friction_tui.report import as_html
    from friction_tui.state.answer import answer_of
    from friction_tui.ui.dialogs.journal import sentence

    answer, history = answer_of(state), state.history
    assert answer is not None and history is not None
    steps = history.steps
    edits = [
        (sentence(history, at), outcome_text(state, steps[at - 1], steps[at])) for at in range(1, len(history.past) + 1)
    ]
    memory = state.forecast if state.forecast_revision == state.revision else None
    page = as_html.report(as_html.of_answer(answer, memory, edits), anonymise=anonymise).encode()
    try:
        write_whole(path, page)
    except OSError as error:
        return Say(f"{path} could not be written: {error.strerror or error}", NoticeLevel.ERROR)
    return Say(f"report written to {path}", NoticeLevel.INFO, f"{len(page):,} bytes; open it in a browser")
