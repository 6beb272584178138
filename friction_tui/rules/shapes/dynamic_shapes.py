"""What the model cannot do at some size of its ranges, found before any engine is built.

Every node is followed at min, opt and max and at awkward sizes between. For one that cannot work the dimensions
are varied one by one, to name the size that is to blame, the sizes that work, and the constant that was baked in.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from friction_tui.kinds import control, dynamic
from friction_tui.model.opened import OpenedModel
from friction_tui.model.shapes.profile import free_dims
from friction_tui.rules.check import Check
from friction_tui.rules.context import CheckContext
from friction_tui.rules.shapes.dimensions import Assignment, Dimensions
from friction_tui.rules.shapes.explanation import View
from friction_tui.rules.shapes.profiles import fitting
from friction_tui.rules.shapes.shape_causes import explain
from friction_tui.rules.shapes.shape_findings import shape_finding
from friction_tui.rules.shapes.shape_slice import slice_before
from friction_tui.rules.shapes.shape_study import Broken, study
from friction_tui.vocabulary.finding import Finding, Severity
from friction_tui.vocabulary.recipe import POINTS, Profile, Range

_STUDIED = 12
"""Broken nodes whose sizes are searched one by one; more than these share their reasons."""

_LARGEST_MODEL = 20_000
"""Nodes up to which other sizes than a guessed one are tried, as for the guess itself."""


def check(context: CheckContext) -> Iterator[Finding]:
    """One finding per reason why a node cannot work at some point of the ranges."""
    if context.model.file.kind != "onnx":
        return
    if context.recipe.profile is None and free_dims(context.model):
        return  # without a profile there are no sizes to try; that alone is a finding, elsewhere
    profile = widened(context.model, fitting(context))
    broken = broken_nodes(Dimensions(context.model, profile))
    part = slice_before(context.model, (one.node for one in broken))
    dimensions = Dimensions(part.model, profile, part.paths)
    groups: dict[tuple[object, ...], list[tuple[Broken, Finding]]] = {}
    for number, one in enumerate(broken):
        studied = study(dimensions, one, search=number < _STUDIED)
        view = View(context.model, dimensions, one, studied, dimensions.shapes(one.assignment))
        explained = explain(view)
        if explained is None:
            continue  # that the ranges contradict each other is said of the profile
        if explained.kind is dynamic.SHAPE_VALUES and set(dimensions.shape_values) <= set(profile.guessed):
            continue  # nobody gave these values; that they are needed is said elsewhere
        finding = shape_finding(context, one, studied, explained)
        same = (frozenset(finding.names),) if explained.kind is dynamic.UNROLLED_LOOP else studied.same
        groups.setdefault((finding.kind, one.node.proto.op_type, same), []).append((one, finding))
    yield from _once([_together([finding for _, finding in members]) for members in groups.values()])


def broken_nodes(dimensions: Dimensions) -> list[Broken]:
    """Every node that cannot work at some assignment, in graph order of the first assignment it breaks at."""
    assignments: list[tuple[str, Assignment]] = [(point, dimensions.at(point)) for point in POINTS]
    if not dimensions.shape_values:
        assignments += dimensions.between()
    found: dict[str, Broken] = {}
    for label, assignment in assignments:
        point = label if label in POINTS else "opt"
        shapes = dimensions.shapes(assignment, point)
        for failure in shapes.failures:
            node = dimensions.model.index.by_path[failure.path]
            found.setdefault(failure.path, Broken(node, {})).at[label] = (assignment, failure.message)
    return list(found.values())


def _once(findings: list[Finding]) -> list[Finding]:
    """The findings without those of which another one of the same kind names every place as its cause."""

    def contained(one: Finding, other: Finding) -> bool:
        return one.kind == other.kind and set(one.locations) < set(other.locations)

    return [one for one in findings if not any(contained(one, other) for other in findings if other is not one)]


def _together(findings: list[Finding]) -> Finding:
    """Findings with one reason as one, all places in it; as severe as the worst, whose title and cause are taken."""
    if len(findings) == 1:
        return findings[0]
    findings = sorted(findings, key=lambda one: list(Severity).index(one.severity))
    first = findings[0]
    locations = tuple(dict.fromkeys(location for finding in findings for location in finding.locations))
    rest = [finding.locations[0].name for finding in findings[1:]]
    shown = ", ".join(rest[:3]) + (f" and {len(rest) - 3} more" if len(rest) > 3 else "")
    return msgspec.structs.replace(
        first,
        title=f"{first.title} (and {len(rest)} more)",
        cause=f"{first.cause} The same holds for {shown}.",
        locations=locations,
    )


def widened(model: OpenedModel, profile: Profile) -> Profile:
    """`profile` with a range for each guessed single size beside which nothing works, so that it is looked into.

    Such a dimension is declared free and is not; the guess hides that, since everything works at that one size.
    Sizes that only have to change together, such as height and width of a square, are left alone.
    """
    single = {key: chosen.opt for key in profile.guessed if (chosen := profile.ranges.get(key)) and _is_single(chosen)}
    if not single or len(model.index.nodes) > _LARGEST_MODEL:
        return profile
    dimensions = Dimensions(model, profile)
    base = dimensions.at("opt")

    def works(**sizes: int) -> bool:
        return not dimensions.shapes({**base, **sizes}).failures

    if not works():
        return profile
    stuck = {
        key: size
        for key, size in single.items()
        if key in dimensions.all and not any(works(**{key: other}) for other in _others(size))
    }
    if not stuck or any(works(**{key: size * factor for key, size in stuck.items()}) for factor in (2, 3)):
        return profile
    around = {key: Range(max(size // 2, 1), size, 2 * size) for key, size in stuck.items()}
    return msgspec.structs.replace(profile, ranges={**profile.ranges, **around})


def _is_single(chosen: Range) -> bool:
    return chosen.min == chosen.opt == chosen.max


def _others(size: int) -> list[int]:
    """Multiples first: they work wherever strides are all that matters."""
    return [other for other in (2 * size, 3 * size, size // 2, size - 1) if other > 0]


CHECK = Check(
    "shapes",
    "what cannot work at some size of the ranges",
    check,
    (
        dynamic.BAKED_RESHAPE,
        dynamic.RESHAPE_REMAINDER,
        dynamic.RESHAPE_VOLUME,
        dynamic.BAKED_CONSTANT,
        dynamic.STRIDE_MULTIPLE,
        dynamic.TABLE_TOO_SHORT,
        dynamic.MUST_BE_EQUAL,
        dynamic.BROADCAST,
        dynamic.CONCAT,
        dynamic.MATMUL,
        dynamic.SQUEEZE,
        dynamic.INDEX_RANGE,
        dynamic.UNROLLED_LOOP,
        dynamic.PAD,
        dynamic.TOPK,
        dynamic.COLLAPSED,
        dynamic.SPLIT,
        dynamic.SLICE,
        dynamic.RANGE,
        dynamic.SHAPE_VALUES,
        dynamic.CANNOT_WORK,
        dynamic.LAYER_PARAMETERS,
        dynamic.AXIS,
        dynamic.FOLDED_BATCH,
        control.BRANCH_CANNOT_WORK,
    ),
)
