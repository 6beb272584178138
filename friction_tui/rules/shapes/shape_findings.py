"""A broken node and its explanation as a finding: how severe it is, how it is put, and which ranges mend it."""

from __future__ import annotations

from friction_tui.kinds import dynamic
from friction_tui.model.provenance import location_of
from friction_tui.rules.context import CheckContext
from friction_tui.rules.shapes.dimensions import Assignment, Dimension
from friction_tui.rules.shapes.explanation import Explanation
from friction_tui.rules.shapes.shape_study import Broken, Study
from friction_tui.vocabulary.finding import Finding, Fix, Severity, Tier
from friction_tui.vocabulary.recipe import Range


def shape_finding(context: CheckContext, broken: Broken, studied: Study, explained: Explanation) -> Finding:
    """The finding about one node."""
    node = broken.node
    sizes, ranges = (_sizes(studied), _ranges(studied)) if explained.by_size else ("", ())
    level = severity(broken, studied, explained)
    said = (_sentence(broken.message), _capital(explained.text), sizes, _guessed(studied, level))
    breaks = _breaks(studied) if explained.by_size or studied.together else _does_not_follow(studied)
    locations = dict.fromkeys((location_of(context.model, node), *explained.locations))
    return explained.kind.finding(
        op=node.proto.op_type,
        node=node.name,
        breaks=breaks,
        severity=level,
        tier=Tier.SHAPES,
        cause=" ".join(part for part in said if part),
        locations=locations,
        evidence=[f"at {_where(label, assignment)}: {text}" for label, (assignment, text) in broken.at.items()][:3]
        if len(broken.at) > 1 and studied.dimensions
        else (),
        fixes=(*explained.fixes, *ranges),
    )


def severity(broken: Broken, studied: Study, explained: Explanation) -> Severity:
    """As severe as is true: what only guessed sizes break is no error, a size that was chosen and fails is one."""
    dimensions = studied.dimensions
    if not dimensions:
        return Severity.ERROR
    guessed = all(one.guessed for one in dimensions)
    if explained.kind is dynamic.MUST_BE_EQUAL and (not broken.at_points or any(one.guessed for one in dimensions)):
        return Severity.NOTE  # they are equal wherever the user said so; only our own sizes are not
    kinds = {pattern.kind for _, pattern in studied.blamed.values()}
    if guessed and _free_batch_is_not(broken, studied, explained):
        return Severity.ERROR
    if guessed:
        # Declared dynamic, and one size works, or none: a warning, since nobody asked for another one.
        declared_wrong = not explained.by_size or kinds in ({"only"}, {"none"})
        return Severity.WARNING if declared_wrong else Severity.NOTE
    if broken.at_points or kinds == {"only"}:
        return Severity.ERROR
    # Every size that was named works. An engine is built for those between as well, and a request with one fails.
    return Severity.NOTE if studied.together and explained.by_size else Severity.WARNING


def _free_batch_is_not(broken: Broken, studied: Study, explained: Explanation) -> bool:
    """Whether the model contradicts itself, whatever the sizes are: its batch is declared free and only one works.

    That is no guess, since others were tried. In a branch that may never be taken it is one.
    """
    only = {pattern.kind for _, pattern in studied.blamed.values()} == {"only"}
    baked = explained.kind is dynamic.BAKED_RESHAPE and not explained.by_size
    batch = any(one.is_batch or "batch" in one.key.lower() for one in studied.dimensions)
    return (only or baked) and batch and not broken.node.graph


def _does_not_follow(studied: Study) -> str:
    return (
        f"does not follow {' and '.join(dimension.key for dimension in studied.dimensions)}"
        if studied.dimensions
        else "cannot work"
    )


def _breaks(studied: Study) -> str:
    if not studied.dimensions:
        return "cannot work"
    if studied.together:
        return f"breaks where sizes differ: {', '.join(dimension.key for dimension in studied.together)}"
    key, (_, pattern) = next(iter(studied.blamed.items()))
    keys = " and ".join(studied.blamed)
    return {
        "only": f"works only at {key} = {pattern.size}",
        "multiples": f"is sure to work only at multiples of {pattern.size} of {keys}"
        if pattern.rounded
        else f"needs {keys} to be a multiple of {pattern.size}",
        "at-most": f"breaks for {key} above {pattern.size}",
        "at-least": f"breaks for {key} below {pattern.size}",
        "none": f"breaks at every size of {keys}",
        "unclear": f"breaks at some sizes of {keys}",
    }[pattern.kind]


def _where(label: str, assignment: Assignment) -> str:
    sizes = ", ".join(f"{key}={size}" for key, size in assignment.items())
    return f"{label} ({sizes})" if sizes else label


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!")) else f"{text}."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _sizes(studied: Study) -> str:
    """Which sizes work, and who chose the ones that do not."""
    if not studied.blamed or not studied.searched:
        return ""
    clauses = [pattern.clause(key) for key, (_, pattern) in studied.blamed.items() if pattern.kind != "unclear"]
    if not clauses:
        return ""
    joined = "; ".join(clauses)
    if studied.square:
        joined = f"{joined} (changed together)"
    return f"Which sizes work: {joined}."


def _guessed(studied: Study, level: Severity) -> str:
    """That nobody chose the sizes, where nobody did and it matters."""
    if (
        level is Severity.ERROR
        or not studied.dimensions
        or not all(dimension.guessed for dimension in studied.dimensions)
    ):
        return ""
    return f"It fails at sizes that were guessed ({', '.join(d.key for d in studied.dimensions)}), not chosen."


def _ranges(studied: Study) -> tuple[Fix, ...]:
    """The nearest ranges in which the node works, ready to be applied."""
    ranges = {}
    for key, (dimension, pattern) in studied.blamed.items():
        found = pattern.range_within(dimension.range)
        if found is not None and found != dimension.range:
            ranges[key] = found
    if not ranges:
        return ()
    chosen = "; ".join(_range_text(studied.blamed[key][0], found) for key, found in ranges.items())
    multiple = next((p.size for _, p in studied.blamed.values() if p.kind == "multiples"), 0)
    extra = f": only multiples of {multiple} are fed then" if any(found.step > 1 for found in ranges.values()) else ""
    return (Fix(f"Set the range of {chosen}{extra}.", ranges=ranges),)


def _range_text(dimension: Dimension, found: Range) -> str:
    if found.min == found.max:
        return f"{dimension.key} to {found.min}"
    step = f" step {found.step}" if found.step > 1 else ""
    return f"{dimension.key} to {found.min}..{found.max}{step} (opt {found.opt})"
