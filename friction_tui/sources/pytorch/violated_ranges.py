"""Dimensions asked to be dynamic that the code fixes or narrows, where the exporter stops for it.

A `Dim` gives "Constraints violated", `Dim.DYNAMIC` and a plain name "conflicts between user-specified ranges and
inferred ranges" (torch.fx.experimental.symbolic_shapes and torch._export of torch 2.13).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from friction_tui.kinds import export
from friction_tui.sources.failure import Failure, finding
from friction_tui.sources.pytorch import size_rewrites
from friction_tui.sources.pytorch.guards import Guard
from friction_tui.vocabulary.finding import Finding, SourceLine

_NAMED = re.compile(r"You marked (\S+) as dynamic but your code specialized it to be a constant \((\d+)\)")
_INFERRED = re.compile(r"inferred a static shape of (\d+) for dimension inputs((?:\[[^\]]+\])+)\.shape\[(\d+)\]")


def concerned(failure: Failure) -> bool:
    """Whether the failure is about the sizes asked for."""
    return any(words in failure.text for words in ("Constraints violated", "not in range", "user-specified ranges"))


def line_of(failure: Failure, guards: Sequence[Guard]) -> SourceLine | None:
    """The line that fixed the dimension the failure is about, from the guards of a capture with free dimensions."""
    with_line = [guard for guard in guards if guard.line]
    inferred = _INFERRED.search(failure.text)
    if inferred:
        about = [g for g in with_line if g.about(_input(inferred.group(2)), int(inferred.group(3)))]
        with_line = [g for g in about if g.expression.startswith("Eq(")] or about or with_line
    return next((guard.line for guard in with_line), None)


def recognise(failure: Failure) -> Finding | None:
    """The finding for a size the code fixes at one value, or narrows; None for any other failure."""
    if not concerned(failure):
        return None
    evidence = tuple(dict.fromkeys(re.findall(r"^\s*- (.+)$", failure.root, re.M)))
    named, inferred = _NAMED.search(failure.text), _INFERRED.search(failure.text)
    if named:
        return _specialised(failure, named.group(1), int(named.group(2)), "x", 0, evidence)
    if inferred:
        value, path, axis = inferred.groups()
        tensor = _input(path)
        return _specialised(failure, f"{tensor}[{axis}]", int(value), tensor, int(axis), evidence)
    suggested = re.search(r"Suggested fixes:\n((?:\s+.+\n?)+)", failure.text)
    advice = "; ".join(line.strip() for line in suggested.group(1).strip().splitlines()) if suggested else ""
    return finding(
        failure,
        export.DIM_CONSTRAINT,
        f"A constraint on a dynamic dimension is violated: {evidence[0] if evidence else failure.root}",
        (
            f"Declare what the model takes: {advice}." if advice else "Narrow the range of this dimension.",
            "Let the exporter find it out: `Dim.AUTO` for this dimension.",
            "Change the line that needs it, if the model should take every size in the range.",
        ),
        evidence,
        asked="A range of sizes was asked for",
        takes="does not take all of them",
    )


def _specialised(
    failure: Failure, dimension: str, value: int, tensor: str, axis: int, evidence: Sequence[str]
) -> Finding:
    return finding(
        failure,
        export.DIM_SPECIALISED,
        f"The code specialised {dimension} to the constant {value} of the example input: a constraint on a dynamic "
        "dimension was violated.",
        size_rewrites.of_constant_size(failure.line, value, axis, tensor),
        evidence,
        dimension=f"Dimension {dimension}",
        size=value,
    )


def _input(path: str) -> str:
    """`['xs'][0]` as the exporter names that input: `xs_0`."""
    return "_".join(re.findall(r"\[['\"]?([^'\"\]]+)['\"]?\]", path))
