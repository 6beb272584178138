"""What to do with steps of the recipe that do not apply to the model any more: drop them, move them, undo."""

from __future__ import annotations

from typing import ClassVar

import msgspec
from textual.binding import Binding, BindingType

from friction_tui.state.app_state import AppState
from friction_tui.ui.dialogs.choice import ChoiceScreen
from friction_tui.ui.look.lines import Line, paragraph
from friction_tui.vocabulary.protocol import LostStep, OtherNode
from friction_tui.vocabulary.recipe import Recipe

UNDO = "undo"


def dropped(recipe: Recipe, step: LostStep) -> Recipe:
    """The recipe without the step."""
    return msgspec.structs.replace(
        recipe,
        rewrites=tuple(rewrite for rewrite in recipe.rewrites if rewrite != step.rewrite),
        keep_float32=tuple(name for name in recipe.keep_float32 if name != step.kept),
    )


def moved(recipe: Recipe, step: LostStep, other: OtherNode) -> Recipe:
    """The recipe with the step at another node."""
    to = other.reference
    if step.rewrite is None:
        kept = dict.fromkeys(to if name == step.kept else name for name in recipe.keep_float32)
        return msgspec.structs.replace(recipe, keep_float32=tuple(kept))
    nodes = dict.fromkeys(to if name == step.node else name for name in step.rewrite.nodes)
    there = msgspec.structs.replace(step.rewrite, nodes=tuple(nodes))
    rewrites = dict.fromkeys(there if rewrite == step.rewrite else rewrite for rewrite in recipe.rewrites)
    return msgspec.structs.replace(recipe, rewrites=tuple(rewrites))


class LostSteps(ChoiceScreen):
    """Dismissed with the new recipe and what to say of it, UNDO, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("d", "drop", "Drop", show=False, id="lost.drop", tooltip="Drop this step from the recipe"),
        Binding("u", "undo", "Undo", show=False, id="lost.undo", tooltip="Undo the last edit"),
    ]
    KEYS = "Enter chooses   d drops   u undoes the last edit   Esc leaves"

    def __init__(self, state: AppState) -> None:
        self._recipe, self._lost = state.recipe, state.lost
        super().__init__("Does not apply any more", self._lines, state=state)

    def _lines(self, width: int) -> list[Line]:
        lines: list[Line] = []
        for at, step in enumerate(self._lost):
            lines += paragraph(f"{step.name}: {step.why}. It is left out.", width)
            lines.append(Line((("  Drop it", "strong"),), key=(at, -1)))
            for number, other in enumerate(step.others):
                lines.append(Line((("  Move it to ", "text"), (other.label, "name")), key=(at, number)))
            lines.append(Line())
        return lines[:-1]

    def chosen(self, key: object) -> None:
        """Enter: drop the step, or move it to the node."""
        if isinstance(key, tuple) and self._recipe is not None:
            step, number = self._lost[key[0]], key[1]
            if number < 0:
                self.dismiss((dropped(self._recipe, step), f"dropped: {step.name}"))
            else:
                other = step.others[number]
                self.dismiss((moved(self._recipe, step, other), f"moved {step.name} to {other.label}"))

    def action_drop(self) -> None:
        """The step that the cursor is on, or on a node for it."""
        if isinstance(self.current, tuple):
            self.chosen((self.current[0], -1))

    def action_undo(self) -> None:
        """The last edit."""
        self.dismiss(UNDO)
