"""The help page: every key, what it does, and what the symbols mean. Made from the registry and the panels."""

from __future__ import annotations

from collections.abc import Mapping

from textual.binding import Binding

from friction_tui.ui.actions.registry import ACTIONS
from friction_tui.ui.dialogs.text_screen import TextScreen
from friction_tui.ui.look.lines import Line, Span, paragraph

KEY_WIDTH = 12
NICE_NAMES = {
    "slash": "/",
    "question_mark": "?",
    "escape": "Esc",
    "enter": "Enter",
    "space": "Space",
    "pageup": "PgUp",
    "pagedown": "PgDn",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
}
MEANINGS: tuple[tuple[Span, str], ...] = (
    (("✗", "error"), "refused, or cannot run somewhere in the requested range, or gives a wrong result"),
    (("!", "warning"), "a hazard: it runs, but may cause problems"),
    (("?", "note"), "not checked, or cannot be known without a GPU"),
    (("stale", "stale"), "belongs to an older recipe; a new answer follows, or press b or m again"),
    (("parses", "good"), "the parser takes every node; that does not mean that an engine can be built"),
    (("builds", "good"), "an engine was built; that does not mean that it runs at every shape"),
    (("runs", "good"), "it ran at the named point, in the runtime that the Latency panel names"),
)


def nice(keys: str) -> str:
    """Keys as people write them."""
    return " ".join(NICE_NAMES.get(key, key.replace("ctrl+", "^")) for key in keys.split(","))


def _row(keys: str, text: str, width: int) -> list[Line]:
    return paragraph(text, width, indent=((f"  {nice(keys):<{KEY_WIDTH - 2}}", "key"),))


def page(panels: dict[str, list[Binding]], keys: Mapping[str, str], width: int) -> list[Line]:
    """The page; `panels` are the bindings of each panel, by its name, `keys` the user's own by action."""
    lines: list[Line] = []
    for noun in dict.fromkeys(action.noun for action in ACTIONS):
        lines.append(Line(((noun, "strong"),)))
        for action in ACTIONS:
            if action.noun == noun:
                lines.extend(_row(keys.get(action.id, action.keys) or "^p", action.tooltip, width))
        lines.append(Line())
    for name, bindings in panels.items():
        lines.append(Line(((f"In {name}", "strong"),)))
        for binding in bindings:
            lines.extend(_row(keys.get(binding.id or "", binding.key), binding.tooltip or binding.description, width))
        lines.append(Line())
    lines.append(Line((("What the marks mean", "strong"),)))
    for (mark, role), text in MEANINGS:
        lines.extend(paragraph(text, width, indent=((f"  {mark:<{KEY_WIDTH - 2}}", role),)))
    return lines


def help_screen(panels: dict[str, list[Binding]], keys: Mapping[str, str]) -> TextScreen:
    """The page on a screen."""
    return TextScreen("Keys", lambda width: page(panels, keys, width))
