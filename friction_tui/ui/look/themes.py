"""Colours: calm, in a dark and a light set, and the terminal's own sixteen where it has no more."""

from __future__ import annotations

from collections.abc import Mapping

from textual.theme import Theme

DARK = Theme(
    name="friction-dark",
    dark=True,
    primary="#82AED6",
    secondary="#83B5AC",
    accent="#C7A46B",
    error="#EE8088",
    warning="#DDAA5F",
    success="#8ABF7F",
    foreground="#CBD2DC",
    background="#14171C",
    surface="#14171C",
    panel="#1D222A",
    variables={
        "block-cursor-background": "#26364A",
        "block-cursor-foreground": "#EAF0F7",
        "block-cursor-text-style": "bold",
        "footer-key-foreground": "#C7A46B",
        "input-selection-background": "#82AED6 35%",
    },
)
LIGHT = Theme(
    name="friction-light",
    dark=False,
    primary="#245A86",
    secondary="#256358",
    accent="#7A4F00",
    error="#A82431",
    warning="#7D5000",
    success="#256A2E",
    foreground="#2A303A",
    background="#F8F7F4",
    surface="#F8F7F4",
    panel="#ECEAE4",
    variables={
        "block-cursor-background": "#D6E4F1",
        "block-cursor-foreground": "#10151C",
        "block-cursor-text-style": "bold",
        "footer-key-foreground": "#7A4F00",
        "input-selection-background": "#245A86 25%",
    },
)
THEMES = (DARK, LIGHT)


def is_light(environment: Mapping[str, str]) -> bool:
    """Whether the terminal says that its background is light (`COLORFGBG`, as rxvt, Konsole and iTerm set it)."""
    background = environment.get("COLORFGBG", "").rpartition(";")[2]
    return background in ("7", "15")


def has_many_colours(environment: Mapping[str, str]) -> bool:
    """Whether the terminal knows more than sixteen colours, by `COLORTERM` and `TERM`."""
    if environment.get("COLORTERM", "").lower() in ("truecolor", "24bit"):
        return True
    term = environment.get("TERM", "")
    return not term or "256" in term or "direct" in term or "kitty" in term or "ghostty" in term


def chosen_theme(name: str, environment: Mapping[str, str]) -> str:
    """The theme for `dark`, `light`, `ansi`, or any theme's own name; "" leaves the choice to the terminal."""
    ansi = "ansi-light" if is_light(environment) else "ansi-dark"
    return {"": default_theme(environment), "dark": DARK.name, "light": LIGHT.name, "ansi": ansi}.get(name, name)


def default_theme(environment: Mapping[str, str]) -> str:
    """The theme to start with. `NO_COLOR` is honoured by Textual itself, whatever the theme."""
    light = is_light(environment)
    if not has_many_colours(environment) or environment.get("NO_COLOR"):
        return "ansi-light" if light else "ansi-dark"
    return (LIGHT if light else DARK).name
