"""One problem with a model: what, where, why, who says so, and what to do.

Everything that judges a model (rules, the TensorRT parser and builder, ONNX Runtime) speaks in
`Finding`s; everything that shows or reports reads them. This module imports nothing heavy.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable

import msgspec

from friction_tui.vocabulary.recipe import Range

RULE = "rule"
"""Signs a finding that our own reasoning made, without asking an engine."""


class Severity(enum.StrEnum):
    """How bad it is. The values are the `level` of the published JSON."""

    ERROR = "error"
    """Refused, or cannot run somewhere in the requested range, or the result is wrong."""
    WARNING = "warn"
    """A hazard: it runs, and may hurt."""
    NOTE = "info"
    """Worth knowing; nothing is wrong for this target."""


class Tier(enum.StrEnum):
    """Which question the finding answers. The tiers are never mixed up on screen."""

    EXPORT = "export"
    MODEL = "model"
    PARSER = "parser"
    BUILDER = "builder"
    SHAPES = "shapes"
    HAZARD = "hazard"
    STACK = "stack"
    UNCHECKED = "unchecked"
    UNKNOWN = "unknown"


TIER_WORDS: dict[Tier, str] = {
    Tier.EXPORT: "the export to ONNX",
    Tier.MODEL: "the file or graph itself is broken",
    Tier.PARSER: "refused by the parser",
    Tier.BUILDER: "refused by the builder",
    Tier.SHAPES: "builds, but not at every shape",
    Tier.HAZARD: "accepted, but the result is at risk",
    Tier.STACK: "versions that do not fit together",
    Tier.UNCHECKED: "not checked",
    Tier.UNKNOWN: "unknown without a GPU",
}


class LocationKind(enum.StrEnum):
    """What kind of thing a `Location` names."""

    NODE = "node"
    TENSOR = "tensor"
    INITIALIZER = "initializer"
    INPUT = "input"
    OUTPUT = "output"
    PROFILE = "profile"
    FILE = "file"
    MODEL = "model"
    PACKAGE = "package"


class SourceLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """A line of the user's own code that a node came from. `line` counts from 1."""

    file: str
    line: int
    function: str = ""
    code: str = ""


class Location(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a problem is.

    `name` is the exact name in the model; a nameless node carries `node_of_<first output>`, the name
    TensorRT's parser gives it. `node` is the node's path (see `friction_tui.vocabulary.protocol.GraphData`),
    empty for anything that is not a node.
    """

    kind: LocationKind
    name: str
    op: str = ""
    node: str = ""
    source: SourceLine | None = None


class Fix(msgspec.Struct, frozen=True, omit_defaults=True):
    """One way out. `text` says what to do; the other fields let the tool do it when the user presses x.

    `rewrite` names a rewrite in `friction_tui.rewrites` to apply at `nodes`, paths or references; `ranges` are
    dimension ranges to put in the profile (keys as in `Profile.ranges`), `relations` equations between dimensions to
    declare; `opset` an opset to convert to.
    All empty: the fix is the user's to make, in their own code. `exactness` is what the rewrite promises about the
    results (`friction_tui.rewrites.base.Exactness`, "" where not known), `changes` what it changes.
    """

    text: str
    rewrite: str = ""
    nodes: tuple[str, ...] = ()
    ranges: dict[str, Range] = {}
    opset: int | None = None
    exactness: str = ""
    changes: str = ""
    relations: tuple[str, ...] = ()

    @property
    def applicable(self) -> bool:
        """Whether the tool itself can carry it out."""
        return bool(self.rewrite or self.ranges or self.relations or self.opset is not None)


class EngineWords(msgspec.Struct, frozen=True):
    """An engine's own text, kept verbatim beside our reading of it."""

    source: str
    text: str


class Finding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One problem, one cause. Several places mean the same cause met in each of them.

    `kind` is a stable id such as `dynamic/baked-reshape`, with a page of its own (docs/kinds.md). `cause` says why in
    one or two sentences with the evidence in it (the constant, the dims, the dtype, the value).
    `source` names who gave the verdict with its version: `TensorRT-RTX 1.7.1 parser`, `rule`.
    `also` names others that came to the same verdict. `fixes` are in order of preference.
    `provisional` marks a verdict about nodes behind one that was already refused.
    """

    kind: str
    severity: Severity
    tier: Tier
    title: str
    cause: str
    source: str
    locations: tuple[Location, ...] = ()
    evidence: tuple[str, ...] = ()
    fixes: tuple[Fix, ...] = ()
    words: tuple[EngineWords, ...] = ()
    also: tuple[str, ...] = ()
    provisional: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The exact names of the nodes, tensors, initializers or inputs at fault, without repeats."""
        return tuple(dict.fromkeys(location.name for location in self.locations if location.name))

    @property
    def node_paths(self) -> tuple[str, ...]:
        """Paths of the nodes at fault."""
        return tuple(dict.fromkeys(location.node for location in self.locations if location.node))

    @property
    def line(self) -> SourceLine | None:
        """The first Python line known for it."""
        return next((location.source for location in self.locations if location.source), None)


_SEVERITY_RANK = {Severity.ERROR: 0, Severity.WARNING: 1, Severity.NOTE: 2}
_TIER_RANK = {tier: rank for rank, tier in enumerate(Tier)}


def fix_first(findings: Iterable[Finding]) -> list[Finding]:
    """Findings sorted by what to fix first: errors before hazards, export and file before the parser before shapes."""
    return sorted(
        findings,
        key=lambda f: (_SEVERITY_RANK[f.severity], _TIER_RANK[f.tier], f.provisional, -len(f.locations), f.kind),
    )


def worst(findings: Iterable[Finding]) -> Severity | None:
    """The gravest severity among `findings`, or None when there is none."""
    return min((f.severity for f in findings), key=_SEVERITY_RANK.__getitem__, default=None)
