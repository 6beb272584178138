"""Every kind of friction the tool can find: declaration, page and examples in one module per family.

Read by rules, reports, `explain`, SARIF, friction.toml, baselines and deduplication. Imports nothing that judges, so
that the command line reads it at once.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from types import MappingProxyType

from friction_tui.kinds import (
    control,
    dynamic,
    engine,
    export,
    external,
    file,
    older,
    onnxruntime,
    operators,
    performance,
    precision,
    profile,
    quantization,
    schema,
    stack,
    structure,
    training,
    types,
    versions,
    weights,
)
from friction_tui.kinds.kind import Kind

FAMILIES = (
    file,
    external,
    structure,
    schema,
    types,
    weights,
    versions,
    operators,
    control,
    dynamic,
    profile,
    quantization,
    precision,
    training,
    older,
    engine,
    onnxruntime,
    performance,
    export,
    stack,
)
"""The modules that declare kinds, in the order they are listed. A module's first line is its family's heading."""


def _declared() -> Mapping[str, Kind]:
    found: dict[str, Kind] = {}
    for module in FAMILIES:
        for value in vars(module).values():
            if isinstance(value, Kind):
                if value.id in found:
                    raise ValueError(f"kind {value.id} is declared twice")
                found[value.id] = value
    return MappingProxyType(found)


KINDS: Mapping[str, Kind] = _declared()
"""Every kind by its id."""

READING_SIZES = frozenset(kind.id for kind in KINDS.values() if kind.reads_sizes)
"""The kinds whose findings depend on the ranges of the profile."""


def explain(name: str) -> str | None:
    """The page of one kind (`file/html`), or the list of a family's kinds (`file`), as Markdown; None for neither."""
    kind = KINDS.get(name)
    if kind is not None:
        return f"# {kind.summary}\n\n`{kind.id}`\n\n{kind.page}\n"
    family = [f"- `{one.id}`: {one.summary}" for one in KINDS.values() if one.family == name]
    return "\n".join([f"# Kinds of {name}", "", *family, ""]) if family else None


def nearest(name: str) -> str:
    """The id that a mistyped one most likely means, "" when none is close."""
    return next(iter(difflib.get_close_matches(name, KINDS, 1)), "")


def unknown(name: str) -> str:
    """A sentence that says that no kind is called `name`, with the id it most likely means."""
    near = nearest(name)
    return f"there is no kind {name}" + (f"; did you mean {near}?" if near else " (friction-tui explain lists them)")
