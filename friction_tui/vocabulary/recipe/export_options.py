"""The options of an export as people type them: `optimize=no timeout_s=60`, in `--export` and in the app."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

import msgspec

from friction_tui.vocabulary.recipe import ExportOptions
from friction_tui.vocabulary.recipe.text import RecipeTextError

_WORDS = {"yes": True, "no": False, "true": True, "false": False, "on": True, "off": False}


def parse_options(words: Iterable[str], options: ExportOptions | None = None) -> ExportOptions:
    """`options`, or the defaults, with what the words say. RecipeTextError names the word and what it may be.

    A switch alone means yes: `legacy`. Times are in seconds, memory in megabytes; 0 MB leaves the limit to the machine.
    """
    options = options or ExportOptions()
    for word in (part for text in words for part in re.split(r"[\s,]+", text.strip()) if part):
        name, equals, value = word.replace("-", "_").partition("=")
        current = getattr(options, name) if name in ExportOptions.__struct_fields__ else None
        if current is None:
            near = difflib.get_close_matches(name, ExportOptions.__struct_fields__, n=1)
            meant = f"did you mean {near[0]}? " if near else ""
            known = ", ".join(ExportOptions.__struct_fields__)
            raise RecipeTextError(f"--export: {name} is not an export option; {meant}known: {known}")
        chosen = _switch(name, value if equals else "yes") if isinstance(current, bool) else _amount(name, value)
        kind = type(current)
        options = msgspec.structs.replace(options, **{name: kind(chosen)})
    return options


def options_text(options: ExportOptions) -> str:
    """Every option with its value, as `parse_options` reads it."""
    return " ".join(f"{name}={_text(getattr(options, name))}" for name in ExportOptions.__struct_fields__)


def _switch(name: str, value: str) -> bool:
    if value.lower() not in _WORDS:
        raise RecipeTextError(f"--export: {name} is yes or no, not {value or 'nothing'}")
    return _WORDS[value.lower()]


def _amount(name: str, value: str) -> float:
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]+)?", value, re.ASCII):
        raise RecipeTextError(f"--export: {name} is a number, such as {name}=300, not {value or 'nothing'}")
    if name == "timeout_s" and float(value) == 0:
        raise RecipeTextError("--export: a timeout_s of 0 ends every export before it begins")
    return float(value)


def _text(value: bool | float) -> str:
    return ("yes" if value else "no") if isinstance(value, bool) else f"{value:g}"
