"""What is shown when no model is open, or a folder of them is: what can be opened, and how."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input

from friction_tui.onnx_folder import models_to_choose
from friction_tui.samples import DEMO, SAMPLES, sample
from friction_tui.ui import sessions
from friction_tui.ui.lines_panel import LinesPanel
from friction_tui.ui.look.lines import Line, paragraph
from friction_tui.ui.screens import StateScreen
from friction_tui.vocabulary.units import size_text

if TYPE_CHECKING:
    from friction_tui.ui.app import FrictionApp

TAGLINE = "See, understand and remove the friction between a trained model and its TensorRT engine."


class Choices(LinesPanel):
    """What can be opened with Enter."""

    NAME = "friction"

    def __init__(self, now: float, folder: Path | None = None) -> None:
        super().__init__(id="choices")
        self._folder = folder
        self._here = models_to_choose(folder) if folder is not None else ()
        self._recent = sessions.recent()
        self._samples = [(path, about) for name, about in SAMPLES.items() if (path := sample(name)) is not None]
        self._now = now

    def lines(self, width: int) -> list[Line]:
        """The models of the folder that was named, recent sessions, samples, the command line."""
        lines = [*paragraph(TAGLINE, width), Line()]
        if self._folder is not None and self._here:
            lines.append(Line(((f"Models in {self._folder}", "strong"),)))
            for path in self._here:
                size = size_text(path.stat().st_size) if path.exists() else ""
                lines.append(Line(((f"  {path.relative_to(self._folder)}", "name"),), ((size, "muted"),), key=path))
            lines.append(Line())
        if self._recent:
            lines.append(Line((("Recent sessions", "strong"),)))
            for path, saved in self._recent:
                source = Path(saved.recipe.source.path)
                gone = "" if source.exists() else "  (the file is gone)"
                spans = ((f"  {source.name}  ", "name"), (f"{source.parent}", "muted"), (gone, "warning"))
                edits = f"{sessions.edits_text(saved.edits)}, " if saved.edits else ""
                lines.append(Line(spans, ((f"{edits}{sessions.ago(self._now - saved.saved)}", "muted"),), key=path))
                if saved.verdict:
                    role = "good" if saved.verdict.startswith("no error") else "error"
                    lines.append(Line(((f"    {saved.verdict}", role),), key=path))
            lines.append(Line())
        if self._samples:
            lines.append(Line((("Sample models, each with one real problem", "strong"),)))
            lines += [
                Line(((f"  {path.stem:<21}", "name"), (about, "muted")), key=path) for path, about in self._samples
            ]
            lines.append(Line())
        lines.append(Line((("From the shell", "strong"),)))
        for command, what in (
            ("friction-tui model.onnx", "open a model"),
            ("friction-tui demo", "open a model whose problems all have a fix by key"),
            ("friction-tui check model.onnx", "the same verdicts without a terminal"),
            ("friction-tui doctor", "what is installed here, and what fits together"),
        ):
            lines.append(Line(((f"  {command:<31} ", "code"), (what, "muted"))))
        return lines


class Welcome(StateScreen[None]):
    """Choose something, or type a path."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "type_path", "Path", show=False, id="welcome.path", tooltip="Type the path of a model"),
        Binding("escape", "leave_path", "List", show=False, id="welcome.list", tooltip="Back to the list"),
        Binding("d", "demo", "Demo", show=False, id="welcome.demo", tooltip="Open the first sample"),
        Binding("q", "app.quit", "Quit", show=False, id="welcome.quit", tooltip="Leave"),
    ]
    AUTO_FOCUS = "#choices"

    def __init__(self, folder: Path | None = None) -> None:
        super().__init__()
        self._folder = folder

    def compose(self) -> ComposeResult:
        """The list, and a line for a path."""
        choices = Choices(time.time(), self._folder)
        back = "Esc goes back" if self.friction.workbench is not None else "q leaves"
        choices.border_subtitle = f"Enter opens · / types a path · d demo · {back} · ^p commands"
        yield choices
        field = Input(placeholder="path of a model, then Enter", id="path")
        field.cursor_blink = False
        yield field

    @property
    def friction(self) -> FrictionApp:
        """The app."""
        return cast("FrictionApp", self.app)

    def action_demo(self) -> None:
        """The sample that `friction-tui demo` opens."""
        path = sample(DEMO)
        if path is not None:
            self.friction.open_path(path)

    def action_type_path(self) -> None:
        """To the path line."""
        self.query_one(Input).focus()

    def action_leave_path(self) -> None:
        """Back to the list, and from there to what is open."""
        choices = self.query_one(Choices)
        if choices.has_focus and self.friction.workbench is not None:
            self.dismiss()
        choices.focus()

    def on_lines_panel_chosen(self, event: LinesPanel.Chosen) -> None:
        """Open the session or sample."""
        if isinstance(event.key, Path):
            self.friction.open_path(event.key)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Open what was typed; what is wrong with it is said when it is opened."""
        if event.value.strip():
            self.friction.open_path(Path(event.value.strip()).expanduser())
