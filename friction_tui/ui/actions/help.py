"""The help page: every key, what it does, and what the symbols mean. Made from the registry and the panels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from textual.binding import Binding
from textual.screen import Screen

from friction_tui.ui.actions.registry import ACTIONS
from friction_tui.ui.dialogs.text_screen import TextScreen
from friction_tui.ui.look.lines import Line, Span, paragraph

KEYS_TITLE = "Keys"
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


def page(panels: Mapping[str, list[Binding]], keys: Mapping[str, str], width: int, here: str = "") -> list[Line]:
    """The page; `panels` are the bindings of each panel, by its name, `keys` the user's own by action.

    The keys of the panel `here`, which is looked at, come first.
    """
    lines = _panel(here, panels.get(here, []), keys, width)
    for noun in dict.fromkeys(action.noun for action in ACTIONS):
        lines.append(Line(((noun, "strong"),)))
        for action in ACTIONS:
            if action.noun == noun:
                lines.extend(_row(keys.get(action.id, action.keys) or "^p", action.tooltip, width))
        lines.append(Line())
    for name, bindings in panels.items():
        lines += _panel(name, bindings, keys, width) if name != here else []
    return [*lines, *_marks(width)]


def _panel(name: str, bindings: Sequence[Binding], keys: Mapping[str, str], width: int) -> list[Line]:
    if not bindings:
        return []
    rows = (
        _row(keys.get(binding.id or "", binding.key), binding.tooltip or binding.description, width)
        for binding in bindings
    )
    return [Line(((f"In {name}", "strong"),)), *(line for row in rows for line in row), Line()]


def _marks(width: int) -> list[Line]:
    lines: list[Line] = []
    lines.append(Line((("What the marks mean", "strong"),)))
    for (mark, role), text in MEANINGS:
        lines.extend(paragraph(text, width, indent=((f"  {mark:<{KEY_WIDTH - 2}}", role),)))
    return lines


def help_screen(panels: Mapping[str, list[Binding]], keys: Mapping[str, str], here: str = "") -> TextScreen:
    """The page on a screen."""
    return TextScreen(KEYS_TITLE, lambda width: page(panels, keys, width, here))


def here_screen(screen: Screen[Any], keys: Mapping[str, str]) -> TextScreen:
    """The keys of a screen other than the workbench: its own, then those of what has the focus in it."""
    focused = screen.focused
    own = own_bindings(type(screen))
    rest = own_bindings(type(focused)) if focused is not None else []
    shown = {"this screen": own, getattr(focused, "NAME", "") or "the list": rest}
    return TextScreen(
        KEYS_TITLE, lambda width: [line for name in shown for line in _panel(name, shown[name], keys, width)]
    )


def own_bindings(kind: type) -> list[Binding]:
    """The bindings of a class and of those of ours that it is made from; of two for one key the nearest."""
    ours = (one for one in kind.__mro__ if one.__module__.startswith("friction_tui."))
    found: dict[str, Binding] = {}
    for one in ours:
        for binding in vars(one).get("BINDINGS", []):
            if isinstance(binding, Binding) and binding.tooltip:
                found.setdefault(binding.key, binding)
    return list(found.values())
