"""Every kind of friction the tool can find, and the page that explains it.

The pages are markdown in `kind_pages/<family>.md`. A page starts at a heading `## <family>/<name>`; its first
paragraph is the kind's title, the rest says cause, evidence, example and fix. Adding a kind is adding a page:
there is nothing else to register.
"""

from __future__ import annotations

import difflib
import re
from functools import cache
from importlib import resources
from typing import NamedTuple

_HEADING = re.compile(r"^## ([a-z0-9-]+/[a-z0-9-]+)\s*$", re.MULTILINE)


class Kind(NamedTuple):
    """A kind of friction: its stable id, its title in one line, and its page in markdown."""

    id: str
    title: str
    doc: str


class UnknownKind(KeyError):
    """No such kind. The message names the nearest ones."""

    def __str__(self) -> str:
        return str(self.args[0])


@cache
def kinds() -> dict[str, Kind]:
    """Every kind by its id, in the order of the pages."""
    found: dict[str, Kind] = {}
    pages = resources.files("friction_tui.diagnosis") / "kind_pages"
    for page in sorted(pages.iterdir(), key=lambda entry: entry.name):
        if page.name.endswith(".md"):
            for kind in _read_page(page.read_text(encoding="utf-8")):
                if kind.id in found:
                    raise ValueError(f"kind {kind.id} is explained twice; second time in {page.name}")
                found[kind.id] = kind
    return found


def _read_page(text: str) -> list[Kind]:
    """The kinds of one family's page."""
    _, *parts = _HEADING.split(text)
    read = []
    for name, body in zip(parts[::2], parts[1::2], strict=True):
        title, _, doc = body.strip().partition("\n\n")
        read.append(Kind(name, " ".join(title.split()), doc.strip()))
    return read


def explain(kind: str) -> str:
    """The page of one kind (`file/html`), or the list of a family's kinds (`file`), as markdown.

    Raises `UnknownKind` naming the nearest kinds when there is no such kind or family.
    """
    known = kinds()
    if kind in known:
        return f"# {known[kind].title}\n\n`{kind}`\n\n{known[kind].doc}\n"
    family = [entry for entry in known.values() if entry.id.startswith(f"{kind}/")]
    if family:
        return "\n".join([f"# Kinds of {kind}", "", *(f"- `{entry.id}`: {entry.title}" for entry in family), ""])
    near = difflib.get_close_matches(kind, known, n=3, cutoff=0.4) or sorted({key.split("/")[0] for key in known})
    raise UnknownKind(f"no kind called {kind!r}; near it: {', '.join(near)}")
