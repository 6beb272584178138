"""The builder's options: value, what each does, whether the engine here offers it, and why not."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import msgspec
from textual.binding import Binding, BindingType

from friction_tui import plugin_libraries
from friction_tui.plugin_libraries import with_agreement
from friction_tui.state.app_state import AppState, NoticeLevel
from friction_tui.ui.dialogs.choice import ChoiceScreen
from friction_tui.ui.dialogs.target import builder
from friction_tui.ui.dialogs.text_prompt import TextPrompt
from friction_tui.ui.look.lines import Line, Span, paragraph
from friction_tui.ui.panel import Edit, Say
from friction_tui.vocabulary.protocol import OptionHere
from friction_tui.vocabulary.recipe import Recipe, Value
from friction_tui.vocabulary.recipe.builder_options import (
    BY_NAME,
    DEFAULT,
    OPTIONS,
    BuilderOption,
    Takes,
    merged,
    parse_value,
    placed,
    refused,
    tool_words,
    values_here,
    written,
)
from friction_tui.vocabulary.recipe.changes import changes
from friction_tui.vocabulary.recipe.text import RecipeTextError

NAME_WIDTH = max(len(option.name) for option in OPTIONS) + 2
INSET: tuple[Span, ...] = (("    ", "text"),)


class BuilderOptions(ChoiceScreen):
    """Enter changes an option at once and stays; each change is an edit of its own. Escape leaves."""

    KEYS = "Enter changes   d default   Esc closes"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("d,delete", "default", "Default", show=False, id="builder.default", tooltip="Leave it to the engine"),
    ]

    def __init__(self, state: AppState) -> None:
        self._recipe, self._engine = state.recipe, builder(state)
        super().__init__("Builder options", self._lines, OPTIONS[0].name, state=state)

    def _here(self, option: BuilderOption) -> OptionHere:
        """What the engine offers; without an engine nothing is known against an option."""
        return self._engine.options.get(option.name, OptionHere()) if self._engine is not None else OptionHere()

    def _lines(self, width: int) -> list[Line]:
        chosen = self._recipe.builder if self._recipe is not None else {}
        engine = self._engine.label if self._engine is not None else "no TensorRT is known here"
        current = self.current or OPTIONS[0].name
        lines = [*paragraph(f"for {engine}", width, "muted"), Line()]
        for option in OPTIONS:
            lines.append(self._entry(option, chosen.get(option.name)))
            if option.name == current:
                lines += self._about(option, chosen, width)
        return lines

    def _entry(self, option: BuilderOption, value: Value | None) -> Line:
        offered = not self._here(option).why_not
        ticked, empty, cross = ("*", " ", "X") if self.state.ascii else ("●", "○", "✗")
        mark: Span = (f"{ticked} ", "good") if value is not None and offered else (f"{empty} ", "muted")
        if value is not None and not offered:
            mark = (f"{cross} ", "error")
        said = option.default if value is None else written(option, value)
        role = "strong" if value is not None else "muted"
        tail: tuple[Span, ...] = () if offered else (("   not offered", "muted"),)
        name: Span = (f"{option.name:<{NAME_WIDTH}}", "text" if offered else "muted")
        return Line((mark, name, (said, role), *tail), key=option.name)

    def _about(self, option: BuilderOption, chosen: dict[str, Value], width: int) -> list[Line]:
        """What the option under the cursor does, takes and is called elsewhere, and why it is not offered."""
        here = self._here(option)
        lines = paragraph(option.does, width, "text", indent=INSET)
        one = (
            refused({**chosen, option.name: chosen[option.name]}, {option.name: here}) if option.name in chosen else {}
        )
        why_not = one.get(option.name, here)
        if why_not.why_not:
            nearest = f"; {why_not.nearest}" if why_not.nearest else ""
            lines += paragraph(f"not offered: {why_not.why_not}{nearest}", width, "warning", indent=INSET)
        else:
            lines += paragraph(f"takes {values_here(option, here)}", width, "muted", indent=INSET)
        if here.remark:
            lines += paragraph(here.remark, width, "muted", indent=INSET)
        if option.name in chosen:
            words = [word for one in tool_words({option.name: chosen[option.name]}, "trtexec") for word in one]
            lines += paragraph(f"trtexec {' '.join(words)}", width, "code", indent=INSET) if words else []
        return lines

    def chosen(self, key: object) -> None:
        """Switch it, take its next choice, or ask for its value."""
        option = BY_NAME.get(str(key))
        if option is None or self._recipe is None:
            return
        here, value = self._here(option), self._recipe.builder.get(option.name)
        if here.why_not:
            if value is not None:
                self._choose(option, None)
                return
            said = f"{option.name} is not offered: {here.why_not}"
            self.post_message(Say(said, NoticeLevel.WARNING, here.nearest))
        elif option.takes is Takes.SWITCH:
            self._choose(option, not (option.default == "yes" if value is None else value))
        elif option.takes is Takes.CHOICE:
            at = option.choices.index(str(option.default if value is None else value))
            self._choose(option, option.choices[(at + 1) % len(option.choices)])
        else:
            self._ask(option, here, value)

    def action_default(self) -> None:
        """Leave the option under the cursor to the engine."""
        option = BY_NAME.get(str(self.current))
        if option is not None:
            self._choose(option, None)

    def _ask(self, option: BuilderOption, here: OptionHere, value: Value | None) -> None:
        def read(text: str) -> tuple[str | None, str]:
            try:
                found = parse_value(option, text.strip(), flag="")
            except RecipeTextError as error:
                return None, str(error)
            if option.takes is Takes.FILES and found is not None:
                try:
                    _digests(option, found)
                except OSError as error:
                    return None, f"{error.filename} cannot be read: {error.strerror}"
            stray = refused({option.name: found}, {option.name: here}) if found is not None else {}
            if option.name in stray:
                return None, f"{stray[option.name].why_not}; {stray[option.name].nearest}"
            return text.strip(), f"{option.name} = {DEFAULT if found is None else written(option, found)}"

        def take(text: str | None) -> None:
            if text is None:
                return
            value = parse_value(option, text)
            if option.takes is Takes.FILES and value is not None:
                self._agree(option, value)
            else:
                self._choose(option, value)

        proposed = DEFAULT if value is None else written(option, value)
        question = f"{option.name}: {values_here(option, here)}, or {DEFAULT} ({option.default})"
        self.app.push_screen(TextPrompt(question, proposed, read), take)

    def _agree(self, option: BuilderOption, value: Value) -> None:
        """Ask whether the libraries' code may run before they are chosen."""
        libraries = placed({option.name: value}, Path.cwd())[option.name] or value

        def lines(width: int) -> list[Line]:
            said = paragraph("Loading a plug-in library runs its code, in the processes of TensorRT:", width, "strong")
            for path, digest in _digests(option, libraries):
                said += paragraph(f"{path}  SHA-256 {digest[:16]}…", width, "text", indent=INSET)
            yes = Line((("load these, I trust them", "key"),), key="yes")
            return [*said, Line(), yes, Line((("do not load them", "text"),), key="no")]

        def answered(answer: object) -> None:
            if answer == "yes":
                self._choose(option, libraries)

        screen = ChoiceScreen("Plug-in libraries", lines, "no", state=self.state)
        self.app.push_screen(screen, answered)

    def _choose(self, option: BuilderOption, value: Value | None) -> None:
        before = self._recipe
        if before is None:
            return
        edited: Recipe = msgspec.structs.replace(before, builder=merged(before.builder, {option.name: value}))
        if option.takes is Takes.FILES:
            edited = with_agreement(edited)
        if edited != before:
            self.post_message(Edit(edited, ", ".join(changes(before, edited))))
            self._recipe = edited
            self._list.rebuild(keep=option.name)


def _digests(option: BuilderOption, value: Value) -> list[tuple[str, str]]:
    """The libraries with their SHA-256. Raises OSError."""
    paths = placed({option.name: value}, Path.cwd())[option.name]
    return [(path, plugin_libraries.digest(path)) for path in (paths if isinstance(paths, tuple) else ())]
