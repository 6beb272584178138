"""The recipe as a command of another tool: trtexec, polygraphy, torch.onnx.export, a CI check. Copied or saved.

Copying goes through the terminal (OSC 52), which works over SSH where the terminal allows it and up to about 74 kB;
so saving to a file is always beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ClassVar

from textual.binding import Binding, BindingType

from friction_tui.files import write_whole
from friction_tui.state.app_state import AppState, NoticeLevel
from friction_tui.ui.dialogs.choice import ChoiceScreen
from friction_tui.ui.dialogs.path_prompt import PathPrompt
from friction_tui.ui.look.lines import Line, paragraph
from friction_tui.ui.panel import Say
from friction_tui.vocabulary.protocol import Port
from friction_tui.vocabulary.recipe import Recipe
from friction_tui.vocabulary.recipe import commands as recipe_commands

OSC_52_LIMIT = 74_000
"""Bytes a terminal may be sent for its clipboard: xterm's limit, the lowest in use."""

REWRITES_LEFT_OUT = (
    "this recipe rewrites the model, which a command cannot express: save the edited model and use that file"
)

Writer = Callable[[Recipe, Sequence[Port]], str]
FORMS: dict[str, tuple[str, str, Writer]] = {
    "trtexec": ("builds the engine with NVIDIA's own tool", "build.sh", recipe_commands.trtexec),
    "polygraphy": ("builds it and compares with ONNX Runtime", "compare.sh", recipe_commands.polygraphy),
    "torch.onnx.export": ("exports again with these ranges", "export.py", recipe_commands.torch_export),
    "friction-tui check": ("the same verdicts in CI", "check.sh", recipe_commands.check_command),
}


class CopyScreen(ChoiceScreen):
    """Enter copies the form under the cursor, which is shown in full; `s` saves it."""

    KEYS = "Enter copies   s saves to a file   Esc leaves"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("s", "save", "Save", show=False, id="copy.save", tooltip="Save this command to a file"),
    ]

    def __init__(self, state: AppState) -> None:
        super().__init__("Copy as", self._lines, "trtexec", state=state)

    def _text(self, form: object) -> str:
        state = self.state
        if state.recipe is None or not isinstance(form, str):
            return ""
        return FORMS[form][2](state.recipe, state.summary.inputs if state.summary is not None else ())

    def _lines(self, width: int) -> list[Line]:
        current = self.current or "trtexec"
        mark = ">" if self.state.ascii else "▸"
        lines = []
        for form, (about, _, _) in FORMS.items():
            here = mark if form == current else " "
            lines.append(Line(((f"{here} ", "key"), (f"{form:<20}", "strong"), (about, "muted")), key=form))
        lines.append(Line())
        for row in self._text(current).splitlines():
            margin = " " * (len(row) - len(row.lstrip()))
            lines += paragraph(row.lstrip(), width, "code", indent=((margin, "text"),))
        if self.state.recipe is not None and self.state.recipe.rewrites:
            lines += [Line(), *paragraph(REWRITES_LEFT_OUT, width, "warning")]
        return lines

    def chosen(self, key: object) -> None:
        """Copy it."""
        text = self._text(key)
        if len(text.encode()) > OSC_52_LIMIT:
            self.post_message(Say("too long for a terminal's clipboard", NoticeLevel.WARNING, "s saves it to a file"))
            return
        self.app.copy_to_clipboard(text)
        self.post_message(
            Say(
                f"{key} command copied",
                NoticeLevel.INFO,
                "nothing pasted? your terminal does not support OSC 52: y, then s saves it",
            )
        )
        self.dismiss(None)

    def action_save(self) -> None:
        """Ask for a file."""
        form = self.current
        if isinstance(form, str) and self.state.recipe is not None:
            folder = Path(self.state.recipe.source.path).parent
            proposed = folder / FORMS[form][1]
            self.app.push_screen(PathPrompt(f"Save the {form} command.", proposed), lambda path: self._save(form, path))

    def _save(self, form: str, path: Path | None) -> None:
        if path is None:
            return
        head = "#!/bin/sh\n" if path.suffix == ".sh" else ""
        try:
            write_whole(path, f"{head}{self._text(form)}\n".encode())
        except OSError as error:
            self.post_message(Say(f"{path} could not be written: {error.strerror or error}", NoticeLevel.ERROR))
            return
        self.post_message(Say(f"wrote {path}"))
        self.dismiss(None)
