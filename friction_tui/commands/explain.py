"""`friction-tui explain`: what a kind of finding means, with an example and what to do."""

from __future__ import annotations

import difflib

import click

from friction_tui.kinds import explain, kinds


def run(kind: str | None) -> int:
    """Print one kind's page, or the list of kinds."""
    known = kinds()
    if kind is None:
        width = max(map(len, known))
        for name, title in known.items():
            click.echo(f"{name:{width}}  {title}")
        return 0
    page = explain(kind)
    if page is None:
        near = difflib.get_close_matches(kind, known, n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else "`friction-tui explain` lists them all"
        raise click.UsageError(f"there is no kind {kind!r}: {hint}")
    click.echo(page.rstrip())
    return 0
