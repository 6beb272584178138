"""The roles that a text can play, and what they look like. A symbol or a word always says the same as the colour.

Beside those in `LOOKS`, `cursor` is the cell or character where typing goes. They are not component classes: Textual
matches each of these against every rule, for every widget, whenever a class changes, half of the time to the first
screen.
"""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakKeyDictionary

from rich.style import Style
from textual.color import Color
from textual.widget import Widget


@dataclass(frozen=True, slots=True)
class Look:
    """A colour of the theme, how much of it is seen over the background (0 to 1), and a text style."""

    colour: str
    strength: float = 1.0
    text: str = ""


LOOKS = {
    "text": Look("foreground"),
    "muted": Look("foreground", 0.74),
    "strong": Look("foreground", text="bold"),
    "name": Look("secondary"),
    "code": Look("accent"),
    "link": Look("primary"),
    "key": Look("accent", text="bold"),
    "error": Look("error", text="bold"),
    "warning": Look("warning", text="bold"),
    "note": Look("primary"),
    "good": Look("success"),
    "stale": Look("foreground", 0.74, "italic"),
    "gutter": Look("foreground", 0.55),
    "glyph": Look("foreground", 0.74),
    "keyword": Look("accent", text="bold"),
    "string": Look("success"),
    "number": Look("warning"),
}
"""In our own themes, and in any other that has more than the terminal's sixteen colours.

Text has a contrast of 4.5 or more on every background of our themes, lines and marks of 3 (WCAG 2.2 AA); a test
computes it.
"""
PEOPLE = ("link", "good", "key", "name")
"""Roles in which the viewers of a shared session are told apart, by their colour's number."""
CURSOR, AT_REST = "block-cursor-background", "panel"
"""Backgrounds of an entry under the cursor, by their names in a theme."""

DIMMED = {"muted": "dim", "stale": "dim italic", "gutter": "dim", "glyph": ""}
"""Where there are only the terminal's own colours, nothing can be mixed: the text style says it."""

_styles: WeakKeyDictionary[Widget, tuple[object, dict[str, Style]]] = WeakKeyDictionary()
"""Of each widget: the colours its styles were made of, and the styles by role."""


def role_style(widget: Widget, role: str, under: str = "") -> Style:
    """The style of a role in the present theme, on the background of `widget` or on that of a cursor, `under`."""
    colours = widget.app.theme_variables
    made_of, known = _styles.get(widget, (None, {}))
    if made_of is not colours:  # another theme: Textual makes another dict
        known = {}
        _styles[widget] = colours, known
    if role == "cursor":  # the cell or character where typing goes
        role, under = "text", CURSOR
    key = role + under
    if key not in known:
        known[key] = _made(widget, LOOKS[role], DIMMED.get(role), under)
    return known[key]


def cursor_style(widget: Widget, role: str) -> Style:
    """The style of a role under the cursor; faint where the keys go to another widget."""
    return role_style(widget, role, CURSOR if widget.has_focus else AT_REST)


def _made(widget: Widget, look: Look, dimmed: str | None, under: str) -> Style:
    colours = widget.app.theme_variables
    background = Color.parse(colours[under]) if under else widget.background_colors[1]
    colour = Color.parse(colours[look.colour])
    native = widget.app.native_ansi_color
    if native and under == CURSOR:
        background = widget.background_colors[1]
    if native and dimmed is not None:
        text = dimmed
    else:
        colour, text = background + colour.multiply_alpha(look.strength), look.text
    style = Style.from_color(colour.rich_color, background.rich_color) + Style.parse(text)
    if under == CURSOR:
        style += Style(reverse=True) if native else Style(bold=True)
    elif under and native:  # no colour of its own to stand on
        style += Style(bold=True)
    return style
