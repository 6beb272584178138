"""Every kind of friction the tool can find, and the page that explains it.

The pages are markdown in `diagnosis/kind_pages/<family>.md`. A page starts at a heading `## <family>/<name>`; its first
paragraph is the kind's title, the rest says cause, evidence, example and fix. Adding a kind is adding a page: there is
nothing else to register. This module stands outside `diagnosis` so that the command line can read pages without
loading anything that judges.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

_HEADING = re.compile(r"^## ([a-z0-9-]+/[a-z0-9-]+)\s*$", re.MULTILINE)


def kinds() -> dict[str, str]:
    """Every kind's id with its title in one line, in the order of the pages."""
    return {name: title for name, (title, _) in _pages().items()}


def explain(kind: str) -> str | None:
    """The page of one kind (`file/html`), or the list of a family's kinds (`file`), as markdown; None for neither."""
    pages = _pages()
    if kind in pages:
        title, body = pages[kind]
        return f"# {title}\n\n`{kind}`\n\n{body}\n"
    family = [f"- `{name}`: {title}" for name, (title, _) in pages.items() if name.startswith(f"{kind}/")]
    return "\n".join([f"# Kinds of {kind}", "", *family, ""]) if family else None


@cache
def _pages() -> dict[str, tuple[str, str]]:
    """Kind to (title, rest of its page). Raises ValueError for a kind that is explained twice."""
    found: dict[str, tuple[str, str]] = {}
    folder = resources.files("friction_tui") / "diagnosis" / "kind_pages"
    for file in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if not file.name.endswith(".md"):
            continue
        _, *parts = _HEADING.split(file.read_text(encoding="utf-8"))
        for name, text in zip(parts[::2], parts[1::2], strict=True):
            if name in found:
                raise ValueError(f"kind {name} is explained twice, the second time in {file.name}")
            title, _, body = text.strip().partition("\n\n")
            found[name] = (" ".join(title.split()), body.strip())
    return found
