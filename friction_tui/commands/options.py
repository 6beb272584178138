"""`friction-tui options`: the builder options, and what the TensorRT installed here does with each."""

from __future__ import annotations

from collections.abc import Iterator

import click
import msgspec

from friction_tui.commands.ask import answered
from friction_tui.vocabulary.protocol import EngineInfo, OptionHere
from friction_tui.vocabulary.recipe.builder_options import DEFAULT, OPTIONS, BuilderOption, values_here


def run(form: str) -> int:
    """Print them. Without a TensorRT they are listed all the same, and nothing is said of what it offers."""
    engines = msgspec.json.decode(
        answered("friction_tui.engines.found_job", None, "the engines installed here were not found out"),
        type=tuple[EngineInfo, ...],
    )
    engine = next((one for one in engines if one.decides), None)
    if form == "json":
        listed = {
            "engine": engine.label if engine else None,
            "options": [_as_json(option, engine.options.get(option.name) if engine else None) for option in OPTIONS],
        }
        click.echo(msgspec.json.format(msgspec.json.encode(listed), indent=2).decode())
        return 0
    click.echo(
        f"{engine.label} here:" if engine else "No TensorRT is installed here; it says what it offers where it is."
    )
    for option in OPTIONS:
        click.echo("\n".join(_lines(option, engine.options.get(option.name) if engine else None)))
    return 0


def _lines(option: BuilderOption, here: OptionHere | None) -> Iterator[str]:
    yield f"\n{option.name} = {values_here(option, here)} (default: {option.default})"
    yield f"  {option.does}"
    if here is not None and here.why_not:
        yield f"  not offered: {here.why_not}" + (f"; {here.nearest}" if here.nearest else "")
    elif here is not None and here.remark:
        yield f"  {here.remark}"


def _as_json(option: BuilderOption, here: OptionHere | None) -> dict[str, object]:
    return {
        "name": option.name,
        "values": values_here(option, here),
        DEFAULT: option.default,
        "does": option.does,
        "offered": None if here is None else not here.why_not,
        "why_not": here.why_not if here else "",
        "nearest": here.nearest if here else "",
        "remark": here.remark if here else "",
        "needs": option.needs,
    }
