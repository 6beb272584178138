"""The roles that a text can play, and what they look like. A symbol or a word always says the same as the colour.

Not component classes: Textual matches each of these against every rule, for every widget, whenever one of them
changes, which is half of the time to the first screen.
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
    "muted": Look("foreground", 0.62),
    "strong": Look("foreground", text="bold"),
    "name": Look("secondary"),
    "code": Look("accent"),
    "link": Look("primary"),
    "key": Look("accent", text="bold"),
    "error": Look("error", text="bold"),
    "warning": Look("warning", text="bold"),
    "note": Look("primary"),
    "good": Look("success"),
    "stale": Look("foreground", 0.62, "italic"),
    "gutter": Look("foreground", 0.38),
    "glyph": Look("foreground", 0.62),
    "keyword": Look("accent", text="bold"),
    "string": Look("success"),
    "number": Look("warning"),
}
"""In our own themes, and in any other that has more than the terminal's sixteen colours."""

DIMMED = {"muted": "dim", "stale": "dim italic", "gutter": "dim", "glyph": ""}
"""Where there are only the terminal's own colours, nothing can be mixed: the text style says it."""

_styles: WeakKeyDictionary[Widget, tuple[object, dict[str, Style]]] = WeakKeyDictionary()
"""Of each widget: the colours its styles were made of, and the styles by role."""


def role_style(widget: Widget, role: str) -> Style:
    """The style of a role in the present theme, on the background of `widget`."""
    colours = widget.app.theme_variables
    made_of, known = _styles.get(widget, (None, {}))
    if made_of is not colours:  # another theme: Textual makes another dict
        known = {}
        _styles[widget] = colours, known
    if role not in known:
        known[role] = _made(widget, role)
    return known[role]


def cursor_style(widget: Widget, role: str) -> Style:
    """The style of a role under the cursor; faint where the keys go to another widget."""
    return role_style(widget, role) + role_style(widget, "cursor" if widget.has_focus else "rest")


def _made(widget: Widget, role: str) -> Style:
    colours = widget.app.theme_variables
    native = widget.app.native_ansi_color
    if role == "cursor" and native:
        return Style(reverse=True)
    if role in ("cursor", "rest"):
        under = Color.parse(colours["block-cursor-background" if role == "cursor" else "panel"])
        return Style(bgcolor=under.rich_color, bold=True if role == "cursor" else None)
    look = LOOKS[role]
    background = widget.background_colors[1]
    text = look.text
    colour = Color.parse(colours[look.colour])
    if native and role in DIMMED:
        text = DIMMED[role]
    else:
        colour = background + colour.multiply_alpha(look.strength)
    return Style.from_color(colour.rich_color, background.rich_color) + Style.parse(text)
