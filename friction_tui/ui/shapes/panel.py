"""The shape editor: min, opt and max of every free dimension, edited in place and refused while typing.

A symbol shared by several inputs is one row, edited once. What was not chosen says `guessed`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from rich.cells import cell_len
from rich.markup import escape
from textual.binding import Binding, BindingType
from textual.events import Key, Paste

from friction_tui.state.app_state import AppState, NoticeLevel
from friction_tui.ui.lines_panel import LinesPanel
from friction_tui.ui.look.line_edit import LineEdit
from friction_tui.ui.look.lines import Line, Span, cut, paragraph, width_of
from friction_tui.ui.panel import BORDER, Ask, Edit, Say, Typing
from friction_tui.ui.shapes.rows import (
    Row,
    applied,
    merged,
    nothing_to_choose,
    rows,
    stepped,
    typed,
    with_copy,
    without,
    without_relation,
    without_shown,
)
from friction_tui.vocabulary.protocol import FindWidest, Port, WidestFound
from friction_tui.vocabulary.recipe import POINTS, Recipe, SourceKind
from friction_tui.vocabulary.recipe.changes import changes
from friction_tui.vocabulary.recipe.export_sizes import FREED_BY_RANGES, why_export_again
from friction_tui.vocabulary.recipe.text import RecipeTextError, parse_arguments, profile_for

ONE_PROFILE = ("Enter edit", "+ - step", "a add profile")
SEVERAL_PROFILES = ("[ ] profile", "a add", "D remove", "Enter edit", "+ - step")
"""The keys worth saying below the panel."""
WHILE_EDITING = (("Enter", "takes it"), ("Tab", "next cell"), ("Up Down", "other row"), ("Esc", "leaves it as it was"))
"""What keys mean while a cell is edited."""


class ShapesPanel(LinesPanel):
    """Rows of dimensions, columns of points. Enter edits the cell, + and - step it, Delete drops an exception."""

    NAME = "Shapes"
    READS = frozenset({"recipe", "summary", "ascii", "widest"})
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "column(-1)", "Left", show=False, id="shapes.left", tooltip="Column to the left"),
        Binding("right", "column(1)", "Right", show=False, id="shapes.right", tooltip="Column to the right"),
        Binding("plus,equals_sign", "step(1)", "Larger", show=False, id="shapes.larger", tooltip="One step larger"),
        Binding("minus", "step(-1)", "Smaller", show=False, id="shapes.smaller", tooltip="One step smaller"),
        Binding("a", "add", "Add profile", show=False, id="shapes.add", tooltip="Add a profile like this one"),
        Binding("D", "remove", "Remove profile", show=False, id="shapes.remove", tooltip="Remove this profile"),
        Binding(
            "left_square_bracket",
            "profile(-1)",
            "Profile before",
            show=False,
            id="shapes.before",
            tooltip="The optimization profile before",
        ),
        Binding(
            "right_square_bracket",
            "profile(1)",
            "Next profile",
            show=False,
            id="shapes.after",
            tooltip="The next optimization profile",
        ),
        Binding("W", "widest", "Widest", show=False, id="shapes.widest", tooltip="Take the widest range that works"),
        Binding("delete", "drop", "Drop", show=False, id="shapes.drop", tooltip="Drop this input's own range"),
    ]

    hints: tuple[str, ...] = ONE_PROFILE

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._column = 1
        self._editing: LineEdit | None = None
        self._asked_widest = ""

    # --------------------------------------------------------------------------------------- drawing

    @property
    def _inputs(self) -> tuple[Port, ...]:
        return self.state.summary.inputs if self.state.summary else ()

    @property
    def _rows(self) -> list[Row]:
        recipe = self.state.recipe
        can_free = recipe is not None and recipe.source.kind in FREED_BY_RANGES
        return rows(self._inputs, recipe.profile if recipe else None, can_free=can_free)

    def _exports_again(self, wanted: Row) -> bool:
        recipe, exported = self.state.recipe, self.state.exported
        limits = exported.limits if exported is not None else {}
        return recipe is not None and bool(why_export_again(self._inputs, applied(recipe, wanted), limits))

    def title(self) -> str:
        """`Shapes ─ 3 ranges ─ 2 guessed`."""
        made = [row for row in self._rows if not row.fixed]
        if self.state.recipe is not None and self.state.recipe.profile is None:
            return f"{self.NAME} ─ no profile"
        recipe = self.state.recipe
        parts = [self.NAME, *([f"profile {recipe.position}"] if recipe is not None and recipe.others else [])]
        parts += [f"{len(made)} range{'s' if len(made) != 1 else ''}"] if made else []
        guessed = sum(row.guessed for row in made)
        parts += [f"{guessed} guessed"] if guessed else []
        whole = " ─ ".join(parts)
        if guessed and 0 < self.outer_size.width < len(whole) + BORDER:
            whole = f"{self.NAME} ─ {guessed} guessed"
        return escape(whole)

    def on_resize(self) -> None:
        """The title has as many words as fit."""
        self.border_title = self.title()
        super().on_resize()

    def state_changed(self, before: AppState) -> None:
        """The keys that make sense depend on how many profiles there are."""
        several = self.state.recipe is not None and bool(self.state.recipe.others)
        hints = SEVERAL_PROFILES if several else ONE_PROFILE if self._rows else ()
        if hints != self.hints:
            self.hints = hints
            self._show_hints(on=self.has_focus)
        found = self.state.widest
        if found is not None and found is not before.widest and found.key == self._asked_widest:
            self._asked_widest = ""
            self._take_widest(found)
        super().state_changed(before)

    def _take_widest(self, found: WidestFound) -> None:
        """Make the widest range the choice; what ends it is said."""
        row = next((row for row in self._rows if row.key == found.key), None)
        recipe = self.state.recipe
        if found.range is None or row is None or recipe is None:
            self.post_message(Say(f"no range of {found.key} was found: {found.note}", NoticeLevel.WARNING))
            return
        edited = applied(recipe, replace(row, range=found.range, guessed=False))
        said = ", ".join(changes(recipe, edited)) or f"{found.key} has its widest range already"
        self.post_message(Edit(edited, f"{said}; {found.note}"))

    def action_widest(self) -> None:
        """Ask which sizes work, and take all of them."""
        row = self._current
        if row is None or row.range is None or row.is_values or row.fixed or row.missing:
            self.post_message(Say("only a free size has a widest range", NoticeLevel.WARNING))
        elif row.relation:
            self.post_message(Say(f"{row.key} follows from {row.relation}: ask for these", NoticeLevel.WARNING))
        else:
            self._asked_widest = row.key
            self.post_message(Say(f"trying sizes of {row.key}"))
            self.post_message(Ask(FindWidest(row.key)))

    def lines(self, width: int) -> list[Line]:
        """A heading, a line per row with the hint of the one being edited under it, then the inputs."""
        if self.state.summary is None:
            return paragraph("no model is open yet", width, "muted")
        made = self._rows
        key_width, column = widths(made, width)
        lines = []
        if self.state.recipe is not None and self.state.recipe.profile is None:
            lines += paragraph("no optimization profile, as asked; typing a range makes one", width, "note")
        lines += self._profiles()
        if made:
            heading = "".join(f"{point:>{column - 1}} " for point in POINTS)
            lines.append(Line(((" " * key_width, "muted"), (heading, "muted"))))
        for row in made:
            lines.append(self._row(row, key_width, column, width))
            if self._editing is not None and row.key == self.cursor_key:
                lines.extend(self._rule(row, width))
        if not made:
            kind = self.state.recipe.source.kind if self.state.recipe is not None else SourceKind.ONNX
            why = nothing_to_choose(self._inputs, kind, part_only=bool(self.state.open_file_only))
            lines += paragraph(why, width, "muted")
        elif any(row.fixed for row in made):
            lines += paragraph("a range for a fixed size exports the model again, with that size free", width, "muted")
        return [*lines, *self._ports()]

    def _profiles(self) -> list[Line]:
        """The numbers of all profiles, the one shown marked; nothing where there is only one."""
        recipe = self.state.recipe
        if recipe is None or not recipe.others:
            return []
        spans: list[Span] = [("profile  ", "muted")]
        for number in range(len(recipe.profiles)):
            shown = number == recipe.position
            spans.append((f"[{number}]" if shown else f" {number} ", "strong" if shown else "muted"))
        return [Line(tuple(spans))]

    def _row(self, row: Row, key_width: int, column: int, width: int) -> Line:
        role = "warning" if row.missing else "name"
        name = row.key if len(row.key) < key_width else row.key[: key_width - 2] + "…"
        spans: list[Span] = [(f"{name:<{key_width}}", role)]
        here = row.key == self.cursor_key and self.has_focus
        for at, point in enumerate(POINTS):
            current = here and at == self._column
            if current and self._editing is not None:
                typed_now = self._editing.spans(ascii_only=self.state.ascii)
                room = column - width_of(typed_now)
                spans += [(" " * max(room, 0), "text"), *typed_now]
                continue
            cell = row.cell(point) or "not set"
            cell = cell if len(cell) < column else cell[: column - 2] + "…"
            pad = " " * (column - 1 - len(cell))
            style = "muted" if row.fixed or not row.cell(point) else "note" if row.guessed else "text"
            spans += [(pad, "text"), (cell, "cursor" if current else style), (" ", "text")]
        about = "values" if row.is_values else ", ".join(row.uses) if row.uses != (row.key,) else ""
        remark = remark_in(row, width - width_of(spans) - 1)
        room = width - width_of(spans) - width_of(remark) - 2
        spans += [(f" {about}", "muted")] if room >= cell_len(about.partition(",")[0]) else []
        return Line(tuple(spans), remark, key=row.key)

    def _rule(self, row: Row, width: int) -> list[Line]:
        """What Enter would do, or which rule forbids it."""
        assert self._editing is not None
        cross, tick = ("X", "+") if self.state.ascii else ("✗", "✓")
        try:
            wanted = typed(row, POINTS[self._column], self._editing.text)
        except RecipeTextError as error:
            return paragraph(str(error), width, "error", indent=((f"{cross} ", "error"),), key=row.key)
        shown = " · ".join(wanted.cell(point) for point in POINTS)
        if wanted.range is not None and wanted.range.step > 1:
            shown += f" step {wanted.range.step}"
        if wanted.relation != row.relation:
            shown = f"= {wanted.relation}"
        enter = "Enter exports again with it" if self._exports_again(wanted) else "Enter takes it"
        return paragraph(
            f"{row.key} {shown}   {enter}, Esc does not",
            width,
            "good",
            indent=((f"{tick} ", "good"),),
            key=row.key,
        )

    def _ports(self) -> list[Line]:
        """The inputs as declared: fixed sizes muted, free ones named."""
        lines = [Line()]
        for port in self._inputs:
            spans: list[Span] = [(f"{port.name}  ", "text")]
            if port.dims is None:
                spans.append(("rank unknown", "muted"))
            for axis, dim in enumerate(port.dims or ()):
                spans += [(" x " if self.state.ascii else " × ", "muted")] if axis else []
                spans.append((str(dim.size), "muted") if dim.size is not None else (dim.symbol or "?", "name"))
            if port.dims == ():
                spans.append(("scalar", "muted"))
            kind = f"{port.dtype}, read as a shape" if port.shape_tensor else port.dtype
            lines.append(Line(tuple(spans), ((kind, "muted"),)))
        return lines if len(lines) > 1 else []

    def _under_cursor(self, at: int) -> bool:  # noqa: ARG002
        return False  # the cursor is a cell, drawn with the row

    # --------------------------------------------------------------------------------------- editing

    @property
    def _current(self) -> Row | None:
        return next((row for row in self._rows if row.key == self.cursor_key), None)

    def begin_edit(self) -> None:
        """Type into the cell under the cursor."""
        row = self._current
        if row is not None:
            text = row.cell(POINTS[self._column])
            self._edit(LineEdit(text, len(text), fresh=True))

    def on_key(self, event: Key) -> None:
        """While editing, every key that means something in a line goes there."""
        if self._editing is None:
            return
        if event.key in ("escape", "enter", "tab", "shift+tab", "up", "down"):
            event.stop()
            event.prevent_default()
            if event.key == "escape":
                self._stop_editing()
            elif self._take() and event.key != "enter":
                step = -1 if event.key in ("shift+tab", "up") else 1
                self._next_cell(step) if "tab" in event.key else self.action_move(step)
                self.begin_edit()
            return
        edited = self._editing.pressed(event.key, event.character)
        if edited is not None:
            event.stop()
            event.prevent_default()
            self._editing = edited
            self.rebuild()

    def _next_cell(self, step: int) -> None:
        """To the next point of this row, and from the last to the first of the row below."""
        point = self._column + step
        if not 0 <= point < len(POINTS):
            self.action_move(step)
        self._column = point % len(POINTS)

    def on_paste(self, event: Paste) -> None:
        """Paste into the cell; outside of one, take a whole command's shapes (`--shapes`, trtexec's flags)."""
        event.stop()
        if self._editing is not None:
            self._editing = self._editing.inserted(event.text)
            self.rebuild()
            return
        recipe = self.state.recipe
        if recipe is None:
            return
        try:
            shapes, values = parse_arguments(event.text)
            pasted = profile_for(self._inputs, shapes, values)
        except RecipeTextError as error:
            self.post_message(Say(f"not pasted: {error}", NoticeLevel.WARNING))
            return
        edited = merged(recipe, pasted, shapes)
        self.post_message(Edit(edited, f"pasted: {', '.join(changes(recipe, edited)) or 'the same shapes'}"))

    def _take(self) -> bool:
        """Make the typed text the choice; a refused one stays as typed."""
        row = self._current
        if row is None or self._editing is None:
            self._stop_editing()
            return True
        if self._editing.text == row.cell(POINTS[self._column]):
            self._stop_editing()
            return True
        try:
            wanted = typed(row, POINTS[self._column], self._editing.text)
        except RecipeTextError:
            return False
        self._stop_editing()
        self._choose(wanted)
        return True

    def _stop_editing(self) -> None:
        self._edit(None)

    def _edit(self, editing: LineEdit | None) -> None:
        """Begin or end to edit the cell under the cursor; the key line says what keys mean meanwhile."""
        self._editing = editing
        self.post_message(Typing(WHILE_EDITING if editing is not None else ()))
        self._show_hints(on=self.has_focus)
        self.rebuild()

    def _show_hints(self, *, on: bool) -> None:
        """Those of editing while a cell is edited."""
        super()._show_hints(on=on and self._editing is None)

    def _choose(self, wanted: Row) -> None:
        recipe = self.state.recipe
        if recipe is None:
            return
        edited = applied(recipe, wanted)
        self.post_message(Edit(edited, ", ".join(changes(recipe, edited))))

    # --------------------------------------------------------------------------------------- actions

    def rebuild(self, keep: object = None) -> None:
        """The first cursor needs a second look: which row is current decides how it is drawn."""
        super().rebuild(keep)
        if self._spans and self.has_focus:
            self._lines = self.made()

    def _go(self, index: int) -> None:
        super()._go(index)
        self.rebuild()

    def on_focus(self) -> None:
        """Show the cell."""
        self._edit(self._editing)

    def on_blur(self) -> None:
        """What was being typed is kept until the panel is looked at again."""
        self.post_message(Typing(()))
        self.rebuild()

    def action_column(self, step: int) -> None:
        """Another point of the same row."""
        self._column = (self._column + step) % len(POINTS)
        self.rebuild()

    def action_choose(self) -> None:
        """Edit the cell."""
        self.begin_edit()

    def action_step(self, steps: int) -> None:
        """Move the size by a step; a step against the rule is refused aloud."""
        row = self._current
        if row is None:
            return
        try:
            self._choose(stepped(row, POINTS[self._column], steps))
        except RecipeTextError as error:
            self.post_message(Say(str(error), NoticeLevel.WARNING))

    def action_add(self) -> None:
        """Another optimization profile behind this one, beginning as its copy."""
        recipe = self.state.recipe
        if self.state.summary is not None and not self._rows:
            self.post_message(Say("every size is fixed: another profile would be the same", NoticeLevel.INFO))
        elif recipe is None or recipe.profile is None:
            self.post_message(
                Say("there is no optimization profile to copy", NoticeLevel.WARNING, "typing a range makes one")
            )
        else:
            self._take_profiles(with_copy(recipe), f"profile {recipe.position + 1}: a copy of {recipe.position}")

    def action_remove(self) -> None:
        """One profile less; the last one stays."""
        recipe = self.state.recipe
        if recipe is None or not recipe.others:
            self.post_message(Say("the only optimization profile cannot be removed", NoticeLevel.WARNING))
            return
        self._take_profiles(without_shown(recipe), f"profile {recipe.position} removed")

    def action_profile(self, step: int) -> None:
        """Look at another profile, and have it judged in the first place."""
        recipe = self.state.recipe
        if recipe is None or not recipe.others:
            self.post_message(Say("there is only one optimization profile", NoticeLevel.INFO, "a adds another"))
            return
        shown = recipe.at_profile(recipe.position + step)
        self._take_profiles(shown, f"profile {shown.position} of {len(shown.profiles)}")

    def _take_profiles(self, recipe: Recipe, what: str) -> None:
        self._edit(None)
        self.post_message(Edit(recipe, what))

    def action_drop(self) -> None:
        """Drop an entry that overrides a symbol, or that no input has."""
        row, recipe = self._current, self.state.recipe
        if row is None or recipe is None:
            return
        if row.relation:
            self.post_message(Edit(without_relation(recipe, row), f"{row.key} follows from no other size"))
        elif row.overrides or row.missing or row.freed:
            self.post_message(Edit(without(recipe, row), f"{row.key} dropped"))
        else:
            self.post_message(
                Say(f"{row.key} needs a range; only exceptions and relations can be dropped", NoticeLevel.WARNING)
            )


KEY_WIDTH = 16
"""Cells of the column of names, at most."""
CELL_WIDTH = 7
"""Cells of a size column, at least."""


def widths(made: list[Row], width: int) -> tuple[int, int]:
    """Cells of the names and of a size column, so that sizes and remarks fit beside each other if at all possible."""
    names = min(max((len(row.key) for row in made), default=4), KEY_WIDTH, max(width // 3, 6)) + 1
    longest = max((len(row.cell(point)) for row in made for point in POINTS), default=1)
    remark = max((width_of(_remark(row)) for row in made), default=0)
    wanted = min(max(longest + 2, CELL_WIDTH), (width - names - remark - 1) // 3)
    needed = min(longest + 1, (width - names) // 3)  # the sizes matter more than the remark, which gives way
    return names, max(wanted, needed, 5)


def remark_in(row: Row, room: int) -> tuple[Span, ...]:
    """The remark in so many cells; `?` where a guess has no room to be called one, the title counts them."""
    remark = _remark(row)
    if width_of(remark) <= room:
        return remark
    return (("?", "note"),) if row.guessed and room else tuple(cut(remark, room))


def _remark(row: Row) -> tuple[Span, ...]:
    if row.missing:
        return (("no such input", "warning"),)
    if row.fixed:
        return (("fixed", "muted"),)
    if row.overrides:
        return ((f"over {row.overrides}", "warning"),)
    spans: list[Span] = []
    if row.range is not None and row.range.step > 1:
        spans.append((f"step {row.range.step}", "name"))
    if row.relation:
        spans.append((f"= {row.relation}", "name"))
    if row.guessed:
        spans.append(("guessed", "note"))
    return tuple(span for each in spans for span in ((" ", "text"), each))[1:]
