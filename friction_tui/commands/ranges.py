"""`friction-tui ranges`: the widest range of each free dimension in which the shapes work."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from friction_tui.commands.ask import answered
from friction_tui.commands.failing import CouldNotRun
from friction_tui.drawing.width import visible
from friction_tui.report.verdict import bounded_line
from friction_tui.vocabulary.protocol import WidestFound
from friction_tui.vocabulary.recipe import Profile, Range, Recipe


def run(recipe: Recipe) -> int:
    """Print them; 0 every dimension has one, 1 one does not work at its opt size."""
    question = {"path": str(Path(recipe.source.path).resolve()), "profile": recipe.profile or Profile()}
    out = answered("friction_tui.rules.shapes.widest", question, "the ranges were not found")
    why_not, found = msgspec.json.decode(out, type=tuple[str, list[WidestFound]])
    if why_not:
        raise CouldNotRun(f"there are no ranges to find: {visible(why_not)}")
    if not found:
        click.echo("every size is fixed in the model: there is no range to choose")
    for one in found:
        click.echo(f"{visible(bounded_line(one.key))}  {_text(one.range)}   {visible(one.note)}")
    return int(any(one.range is None for one in found))


def _text(found: Range | None) -> str:
    if found is None:
        return "none"
    if found.min == found.max:
        return str(found.min)
    return f"{found.min}..{found.max}" + (f" step {found.step}" if found.step > 1 else "")
