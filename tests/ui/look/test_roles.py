"""Everything that is written can be read: contrast of every role on every background of our themes (WCAG 2.2 AA)."""

import pytest
from textual.color import Color
from textual.theme import Theme

from friction_tui.ui.look.roles import AT_REST, CURSOR, LOOKS
from friction_tui.ui.look.themes import THEMES

MARKS = {"gutter"}
"""Lines, not text."""


def luminance(colour: Color) -> float:
    """Relative luminance as WCAG 2.2 defines it."""
    parts = [value / 255 for value in colour.rgb]
    red, green, blue = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: Color, other: Color) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("theme", THEMES, ids=lambda theme: theme.name)
def test_every_role_has_contrast(theme: Theme) -> None:
    colours = {"background": theme.background, AT_REST: theme.panel, CURSOR: theme.variables[CURSOR]}
    for name, text in colours.items():
        background = Color.parse(text or "")
        for role, look in LOOKS.items():
            drawn = background + Color.parse(getattr(theme, look.colour)).multiply_alpha(look.strength)
            least = 3.0 if role in MARKS else 4.5
            assert contrast(drawn, background) >= least, f"{role} on {name}: {contrast(drawn, background):.2f}"
