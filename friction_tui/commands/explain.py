"""`friction-tui explain`: what a kind of finding means, with an example and what to do."""

from __future__ import annotations

import difflib

import click

from friction_tui.kinds import KINDS, explain


def run(kind: str | None) -> int:
    """Print one kind's page, or the list of kinds."""
    if kind is None:
        width = max(map(len, KINDS))
        for one in KINDS.values():
            click.echo(f"{one.id:{width}}  {one.summary}")
        return 0
    page = explain(kind)
    if page is None:
        near = difflib.get_close_matches(kind, KINDS, n=3)
        hint = f"did you mean {' or '.join(near)}?" if near else "`friction-tui explain` lists them all"
        raise click.UsageError(f"there is no kind {kind!r}: {hint}")
    click.echo(page.rstrip())
    return 0
