"""Several TensorRTs beside each other: which of them refuses which node."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from friction_tui.verdicts.side_by_side import EngineVerdict, rows
from friction_tui.vocabulary.finding import Location

ROWS_SHOWN = 20
SIGNS = {True: "✗", False: "✓", None: "?"}


def matrix(verdicts: Sequence[EngineVerdict]) -> Iterator[str]:
    """The engines, numbered, and a line for every node that one of their parsers refuses."""
    width = len(str(len(verdicts)))
    for number, verdict in enumerate(verdicts, 1):
        yield f"{number:>{width}} {about(verdict)}"
    table = rows(verdicts)
    if not table:
        return
    yield " ".join(f"{number:>{width}}" for number in range(1, len(verdicts) + 1))
    for location, refused in table[:ROWS_SHOWN]:
        yield f"{' '.join(f'{SIGNS[one]:>{width}}' for one in refused)}  {named(location)}"
    if len(table) > ROWS_SHOWN:
        yield f"and {len(table) - ROWS_SHOWN} more"


def about(verdict: EngineVerdict) -> str:
    """One engine and what it comes to: `TensorRT-RTX 1.6.1 parser: refuses 2 (.venv-16/bin/python)`."""
    where = f" ({verdict.python})" if verdict.python and verdict.label else ""
    if verdict.why_not:
        return f"{verdict.name}: not asked: {verdict.why_not}"
    return f"{verdict.label} parser: {f'refuses {len(verdict.refused)}' if verdict.refused else 'accepts all'}{where}"


def named(location: Location) -> str:
    """`NonZero post/NonZero`, `input images`."""
    return f"{location.op or location.kind.value} {location.name}"
