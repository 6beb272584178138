"""The fixes for one problem: those the tool carries out on Enter, and those the user makes in their own code."""

from __future__ import annotations

from typing import ClassVar

import msgspec
from textual.binding import Binding, BindingType

from friction_tui.state.app_state import AppState, NoticeLevel
from friction_tui.state.derived import verification_span
from friction_tui.ui.dialogs.choice import ChoiceScreen
from friction_tui.ui.look.lines import Line, Span, paragraph
from friction_tui.ui.panel import Edit, Say
from friction_tui.ui.problems.why import headline
from friction_tui.vocabulary.finding import Finding, Fix
from friction_tui.vocabulary.recipe import Recipe, Rewrite


def applied(recipe: Recipe, fix: Fix) -> Recipe:
    """The recipe with a fix in it. Ranges join the profile as the user's own choice."""
    for key, chosen in fix.ranges.items():
        recipe = recipe.with_range(key, chosen)
    if fix.opset is not None:
        recipe = msgspec.structs.replace(recipe, opset=fix.opset)
    rewrite = Rewrite(fix.rewrite, fix.nodes)
    if fix.rewrite and rewrite not in recipe.rewrites:
        recipe = msgspec.structs.replace(recipe, rewrites=(*recipe.rewrites, rewrite))
    return recipe


def what_it_does(fix: Fix) -> str:
    """What Enter changes, in words; "" for a fix made by hand."""
    parts = []
    if fix.rewrite:
        where = f" at {len(fix.nodes)} node{'s' if len(fix.nodes) != 1 else ''}" if fix.nodes else ""
        parts.append(f"rewrites the model ({fix.rewrite}{where}) and then compares the outputs of both")
    for key, chosen in fix.ranges.items():
        parts.append(f"sets {key} to {chosen.min}..{chosen.opt}..{chosen.max}")
    if fix.opset is not None:
        parts.append(f"converts to opset {fix.opset}")
    return ", ".join(parts)


class FixesScreen(ChoiceScreen):
    """Enter applies, or copies the text of a fix that is made by hand, as `c` does."""

    KEYS = "Enter x apply   c copies the text   Esc leaves"
    KEYS_BY_HAND = "Enter copies the text   Esc leaves"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("c", "copy", "Copy", show=False, id="fixes.copy", tooltip="Copy this fix as text"),
        Binding("x", "apply", "Apply", show=False, id="fixes.apply", tooltip="Carry out the fix under the cursor"),
        *(
            Binding(str(at), f"number({at})", f"Fix {at}", show=False, id=f"fixes.{at}", tooltip=f"Go to fix {at}")
            for at in range(1, 10)
        ),
    ]

    def __init__(self, state: AppState, finding: Finding) -> None:
        self._state = state
        self._finding = finding
        first = next((fix for fix in finding.fixes if fix.applicable), None)
        super().__init__("Fixes", self._lines, first, ascii_only=state.ascii)
        if first is None:
            self.KEYS = self.KEYS_BY_HAND

    def _lines(self, width: int) -> list[Line]:
        lines = [*headline(self._finding, width, ascii_only=self._state.ascii), Line()]
        for at, fix in enumerate(self._finding.fixes, start=1):
            done = (
                self._state.recipe is not None
                and fix.applicable
                and applied(self._state.recipe, fix) == self._state.recipe
            )
            mark: Span = ("x  ", "key") if fix.applicable and not done else ("   ", "text")
            lines += paragraph(fix.text, width, "text", indent=((f"{at}  ", "muted"), mark), key=fix)
            said = "already in the recipe" if done else what_it_does(fix) or "for you to make in your own code"
            verification = verification_span(self._state) if done and fix.rewrite else None
            lines += paragraph(
                said, width, "note" if fix.applicable else "muted", indent=(("      ", "text"),), key=fix
            )
            if verification is not None:
                lines += paragraph(verification[0], width, verification[1], indent=(("      ", "text"),), key=fix)
        if not self._finding.fixes:
            lines += paragraph(
                "no fix is known; searching for the engine's message may help (W, then v)", width, "muted"
            )
        return lines

    def chosen(self, key: object) -> None:
        """Apply it, or copy what the user must do."""
        recipe = self._state.recipe
        if not isinstance(key, Fix) or recipe is None:
            return
        if not key.applicable:
            self.action_copy()
            return
        edited = applied(recipe, key)
        if edited == recipe:
            self.post_message(Say("this fix is already in the recipe", NoticeLevel.INFO, "u undoes the last edit"))
        else:
            self.post_message(Edit(edited, f"fix: {key.text}"))
        self.dismiss(None)

    def action_number(self, number: int) -> None:
        """The cursor to the fix of that number."""
        if number <= len(self._finding.fixes):
            self._list.rebuild(self._finding.fixes[number - 1])

    def action_apply(self) -> None:
        """What the tool can carry out; the rest is the user's to make, and is said to be."""
        if isinstance(self.current, Fix) and self.current.applicable:
            self.chosen(self.current)
        else:
            self.post_message(Say("you make this change in your own code", NoticeLevel.INFO, "Enter copies its text"))

    def action_copy(self) -> None:
        """The fix's text to the clipboard."""
        if isinstance(self.current, Fix):
            self.app.copy_to_clipboard(self.current.text)
            self.post_message(
                Say(
                    "copied",
                    NoticeLevel.INFO,
                    "nothing pasted? your terminal does not support OSC 52: W shows the text",
                )
            )
