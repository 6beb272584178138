"""What the model cannot do at some size of its ranges, found before any engine is built.

Every node is followed at min, opt and max and at awkward sizes between. For one that cannot work the dials are turned
one by one, to name the size that is to blame, the sizes that work, and the constant that was baked in.
"""

from __future__ import annotations

from collections.abc import Iterator

from friction_tui.kinds import KINDS
from friction_tui.model.shapes.profile import free_dims
from friction_tui.rules.check import Check
from friction_tui.rules.context import CheckContext
from friction_tui.rules.shapes.dials import Dials, Setting
from friction_tui.rules.shapes.guessed_sizes import widened
from friction_tui.rules.shapes.profiles import fitting
from friction_tui.rules.shapes.shape_causes import explain
from friction_tui.rules.shapes.shape_findings import shape_finding
from friction_tui.rules.shapes.shape_slice import slice_before
from friction_tui.rules.shapes.shape_study import Broken, study
from friction_tui.rules.shapes.shape_view import View
from friction_tui.vocabulary.finding import Finding, Severity
from friction_tui.vocabulary.recipe import POINTS

_STUDIED = 12
"""Broken nodes whose sizes are searched one by one; more than these share their reasons."""


def check(context: CheckContext) -> Iterator[Finding]:
    """One finding per reason why a node cannot work at some point of the ranges."""
    if context.model.file.kind != "onnx":
        return
    if context.recipe.profile is None and free_dims(context.model):
        return  # without a profile there are no sizes to try; that alone is a finding, elsewhere
    profile = widened(context.model, fitting(context))
    broken = broken_nodes(Dials(context.model, profile))
    part = slice_before(context.model, (one.node for one in broken))
    dials = Dials(part.model, profile, part.paths)
    groups: dict[tuple[object, ...], list[tuple[Broken, Finding]]] = {}
    for number, one in enumerate(broken):
        studied = study(dials, one, search=number < _STUDIED)
        view = View(context.model, dials, one, studied, dials.shapes(one.setting))
        explained = explain(view)
        if explained.kind == "dynamic/shape-values" and set(dials.shape_values) <= set(profile.guessed):
            continue  # nobody gave these values; that they are needed is said elsewhere
        if explained.kind == "profile/same-symbol":
            continue  # what the ranges contradict is said of the profile
        finding = shape_finding(context, one, studied, explained)
        same = (frozenset(finding.names),) if finding.kind == "dynamic/unrolled-loop" else studied.same
        groups.setdefault((finding.kind, one.node.proto.op_type, same), []).append((one, finding))
    yield from _once([_together([finding for _, finding in members]) for members in groups.values()])


def broken_nodes(dials: Dials) -> list[Broken]:
    """Every node that cannot work at some setting, in graph order of the first setting it breaks at."""
    settings: list[tuple[str, Setting]] = [(point, dials.at(point)) for point in POINTS]
    if not dials.shape_values:
        settings += dials.between()
    found: dict[str, Broken] = {}
    for label, setting in settings:
        point = label if label in POINTS else "opt"
        shapes = dials.shapes(setting, point)
        for failure in shapes.failures:
            node = dials.model.index.by_path[failure.path]
            found.setdefault(failure.path, Broken(node, {})).at[label] = (setting, failure.message)
    return list(found.values())


def _once(findings: list[Finding]) -> list[Finding]:
    """The findings without those of which another one of the same kind names every place as its cause."""

    def told(one: Finding, other: Finding) -> bool:
        return one.kind == other.kind and set(one.locations) < set(other.locations)

    return [one for one in findings if not any(told(one, other) for other in findings if other is not one)]


def _together(findings: list[Finding]) -> Finding:
    """Findings with one reason as one, all places in it; as severe as the worst, whose words are taken."""
    if len(findings) == 1:
        return findings[0]
    findings = sorted(findings, key=lambda one: list(Severity).index(one.severity))
    first = findings[0]
    locations = tuple(dict.fromkeys(location for finding in findings for location in finding.locations))
    rest = [finding.locations[0].name for finding in findings[1:]]
    shown = ", ".join(rest[:3]) + (f" and {len(rest) - 3} more" if len(rest) > 3 else "")
    return Finding(
        kind=first.kind,
        severity=first.severity,
        tier=first.tier,
        title=f"{first.title} (and {len(rest)} more)",
        cause=f"{first.cause} The same holds for {shown}.",
        source=first.source,
        locations=locations,
        evidence=first.evidence,
        fixes=first.fixes,
    )


CHECK = Check("shapes", "what cannot work at some size of the ranges", check, tuple(KINDS.values()))
