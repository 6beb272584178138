"""What an export is made with: name, shape and type of each example input, and its options, to confirm or to edit."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Input, Label

from friction_tui.ui.screens import StateScreen
from friction_tui.ui.source.export_progress import spec_text
from friction_tui.vocabulary.recipe import ExportOptions, InputSpec
from friction_tui.vocabulary.recipe.export_options import options_text, parse_options
from friction_tui.vocabulary.recipe.text import RecipeTextError, parse_example

KEYS = "Enter exports with these, ↑ ↓ go to another, Esc leaves"


Answer = tuple[tuple[InputSpec, ...], ExportOptions]


class InputsScreen(StateScreen[Answer | None], ModalScreen[Answer | None]):
    """One line an input, an empty one for another, one of options; dismissed with inputs and options, or None."""

    CSS_PATH = Path(__file__).parents[1] / "dialogs" / "dialogs.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Leave", show=False, id="inputs.leave", tooltip="Leave without exporting"),
        Binding("up", "app.focus_previous", "Up", show=False, id="inputs.up", tooltip="The input above"),
        Binding("down", "app.focus_next", "Down", show=False, id="inputs.down", tooltip="The input below"),
    ]

    def __init__(self, inputs: tuple[InputSpec, ...], options: ExportOptions, *, guessed: bool) -> None:
        super().__init__()
        self._inputs, self._options, self._guessed = inputs, options, guessed

    def compose(self) -> ComposeResult:
        """A line each, as `--input` takes it."""
        question = "Example inputs of the export, as name:shape:type"
        with VerticalScroll(classes="dialog", can_focus=False):
            yield Label(f"{question}. They were guessed." if self._guessed else question, classes="question")
            for text in (*(spec_text(spec) for spec in self._inputs), ""):
                field = Input(text, placeholder="another: name:1x3x224x224:float32", select_on_focus=False)
                field.cursor_blink = False
                yield field
            yield Label("Options of the export", classes="question")
            options = Input(options_text(self._options), id="options", select_on_focus=False)
            options.cursor_blink = False
            yield options
            yield Label(KEYS, id="verdict", markup=False)

    def specs(self) -> tuple[InputSpec, ...]:
        """What the lines say; empty ones are left out. Raises RecipeTextError at the first that says nothing usable."""
        specs: list[InputSpec] = []
        for field in self.query(Input).exclude("#options"):
            field.set_class(False, "refused")
            if not field.value.strip():
                continue
            try:
                spec = parse_example(field.value)
            except RecipeTextError:
                field.set_class(True, "refused")
                raise
            if spec.name in {known.name for known in specs}:
                field.set_class(True, "refused")
                raise RecipeTextError(f"{spec.name} is given twice")
            specs.append(spec)
        if not specs:
            raise RecipeTextError("an export needs at least one input")
        return tuple(specs)

    def options(self) -> ExportOptions:
        """What the line of options says; one left out has its default. Raises RecipeTextError."""
        field = self.query_one("#options", Input)
        field.set_class(True, "refused")
        options = parse_options([field.value])
        field.set_class(False, "refused")
        return options

    def _read_inputs(self) -> Answer | None:
        label = self.query_one("#verdict", Label)
        try:
            specs, options = self.specs(), self.options()
        except RecipeTextError as error:
            label.update(str(error).removeprefix("--input: ").removeprefix("--export: "))
            label.add_class("refused")
            return None
        label.update(self._note(specs) or KEYS)
        label.remove_class("refused")
        return specs, options

    def _note(self, specs: tuple[InputSpec, ...]) -> str:
        """What is unlike the inputs of the last export, which may well be meant."""
        before = {spec.name: spec for spec in self._inputs}
        names = ", ".join(before)
        for spec in specs:
            was = before.get(spec.name)
            if was is None and before:
                return f"{spec.name} is new: the export had {names}. Enter exports anyway"
            if was is not None and len(was.shape) != len(spec.shape):
                counts = f"{len(spec.shape)} dimensions, it had {len(was.shape)}"
                return f"{spec.name} has {counts} ({spec_text(was)}). Enter exports anyway"
        gone = [name for name in before if name not in {spec.name for spec in specs}]
        return f"without {', '.join(gone)}, which the export had. Enter exports anyway" if gone else ""

    def on_input_changed(self) -> None:
        """Check while typing."""
        self._read_inputs()

    def on_input_submitted(self) -> None:
        """Take them, if all can be read."""
        answer = self._read_inputs()
        if answer is not None:
            self.dismiss(answer)
