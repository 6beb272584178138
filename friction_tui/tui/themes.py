"""Colours: calm, in a dark and a light set, and the terminal's own sixteen where it has no more."""

from __future__ import annotations

from collections.abc import Mapping

from textual.theme import Theme

DARK = Theme(
    name="friction-dark",
    dark=True,
    primary="#7AA7D0",
    secondary="#83B5AC",
    accent="#C7A46B",
    error="#E5727C",
    warning="#DDAA5F",
    success="#8ABF7F",
    foreground="#CBD2DC",
    background="#14171C",
    surface="#14171C",
    panel="#1D222A",
    variables={
        "block-cursor-background": "#2A3B50",
        "block-cursor-foreground": "#EAF0F7",
        "block-cursor-text-style": "bold",
        "footer-key-foreground": "#C7A46B",
        "input-selection-background": "#7AA7D0 35%",
    },
)
LIGHT = Theme(
    name="friction-light",
    dark=False,
    primary="#2B6390",
    secondary="#2F7A6E",
    accent="#8A5A00",
    error="#B02A37",
    warning="#8F5B00",
    success="#2F7338",
    foreground="#2A303A",
    background="#F8F7F4",
    surface="#F8F7F4",
    panel="#ECEAE4",
    variables={
        "block-cursor-background": "#CFE0EF",
        "block-cursor-foreground": "#10151C",
        "block-cursor-text-style": "bold",
        "footer-key-foreground": "#8A5A00",
        "input-selection-background": "#2B6390 25%",
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
