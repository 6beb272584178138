"""Keys of the user's own: `keys.toml` in the configuration directory, one line an action: `"build.start" = "f5"`."""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from pathlib import Path

from textual.binding import Binding
from textual.dom import DOMNode

import friction_tui.ui
from friction_tui.files import BadFile, read_toml, read_whole
from friction_tui.locations import keymap_file
from friction_tui.ui.actions.registry import ACTIONS


def read(path: Path | None = None) -> tuple[dict[str, str], str]:
    """Action id to keys, comma separated, and what is wrong with the file; both empty where there is none.

    A file with a mistake is not used at all, so that no key does half of what its owner expects.
    """
    path = path or keymap_file()
    try:
        content = read_whole(path)
        chosen = read_toml(content, dict[str, str])
        for name, wrong in _mistakes(chosen):
            raise BadFile(f"line {_line(content.decode(), name)}: {wrong}")
    except FileNotFoundError:
        return {}, ""
    except (OSError, BadFile) as error:
        return {}, f"{path.name} was not used: {error} ({path})"
    return chosen, ""


def _mistakes(chosen: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """(action id, what is wrong) of ids that do not exist, and of keys that already do something else everywhere."""
    everywhere = {action.id: action.keys for action in ACTIONS}
    known = {**everywhere, **_of_panels()}
    for name in chosen:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1, 0.5)
            yield name, f"there is no action {name}" + (f"; did you mean {near[0]}?" if near else "")
    taken: dict[str, str] = {}
    for name, keys in {**everywhere, **{name: keys for name, keys in chosen.items() if name in everywhere}}.items():
        for key in filter(None, (key.strip() for key in keys.split(","))):
            if key in taken:
                mine, other = (name, taken[key]) if name in chosen else (taken[key], name)
                yield mine, f"{key} is the key of {other} too; give that another one"
            taken[key] = name


def _of_panels() -> dict[str, str]:
    """Ids and keys of the bindings that panels and dialogs have beside those of the whole app."""
    for module in pkgutil.walk_packages(friction_tui.ui.__path__, "friction_tui.ui."):
        importlib.import_module(module.name)
    found: dict[str, str] = {}
    waiting: list[type[DOMNode]] = [DOMNode]
    while waiting:
        widget = waiting.pop()
        waiting += widget.__subclasses__()
        bindings = vars(widget).get("BINDINGS", ()) if widget.__module__.startswith("friction_tui.") else ()
        found |= {each.id: each.key for each in bindings if isinstance(each, Binding) and each.id}
    return found


def _line(text: str, name: str) -> int:
    """The line, from 1, on which a key of the file stands."""
    lines = enumerate(text.splitlines(), 1)
    return next((at for at, line in lines if line.partition("=")[0].strip(" \t\"'") == name), 1)
