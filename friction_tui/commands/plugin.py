"""`friction-tui plugin`: the skeleton of a TensorRT plug-in for one node."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from friction_tui.commands.ask import answered
from friction_tui.commands.failing import CouldNotRun
from friction_tui.drawing.width import visible
from friction_tui.report.verdict import bounded_line
from friction_tui.vocabulary.recipe import Recipe


def run(recipe: Recipe, node: str, folder: Path) -> int:
    """Write it into `folder`; 0, or the command ends with status 2 and the reason."""
    question = {
        "path": str(Path(recipe.source.path).resolve()),
        "node": node,
        "folder": str(folder.resolve()),
        "profile": recipe.profile,
    }
    written = msgspec.json.decode(
        answered("friction_tui.rewrites.plugin_skeleton", question, "the plug-in was not written")
    )
    if written["why_not"]:
        raise CouldNotRun(f"no plug-in was written: {visible(written['why_not'])}")
    click.echo(f"plug-in {bounded_line(written['name'])}")
    for file in written["files"]:
        click.echo(f"  {visible(file)}")
    click.echo("left for you:")
    for point in written["open_points"]:
        click.echo(f"  {visible(bounded_line(point))}")
    return 0
