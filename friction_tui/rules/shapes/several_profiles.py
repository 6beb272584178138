"""One check over all optimization profiles of a recipe: what is wrong in some of them says in which."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import msgspec

from friction_tui.model.shapes.shape_table import ShapeTable
from friction_tui.rules.check import Run
from friction_tui.rules.context import CheckContext
from friction_tui.vocabulary.finding import Finding


def in_every_profile(check: Run, context: CheckContext) -> Iterator[Finding]:
    """The findings of `check` under each profile, equal ones once; just those of `context` where there is one profile.

    A finding that not all profiles have names those which do, as TensorRT counts them, from 0. Fixes that would set
    ranges of another profile than the one being edited lose them: they are read, not applied.
    """
    recipe = context.recipe
    if not recipe.others:
        yield from check(context)
        return
    numbers = range(len(recipe.profiles))
    found = [list(check(_under(context, number))) for number in numbers]
    reported: set[tuple[str, tuple[str, ...]]] = set()
    for number in sorted(numbers, key=lambda number: number != recipe.position):  # the one being edited first
        for finding in found[number]:
            identity = finding.kind, finding.names
            if identity in reported:
                continue
            having = [at for at in numbers if any((f.kind, f.names) == identity for f in found[at])]
            if having[:1] != [number] and number != recipe.position:
                continue  # reported under an earlier profile
            yield from (
                _named(one, having, recipe.position, len(numbers)) for one in _of_same_identity(found[number], finding)
            )
            reported.add(identity)


def _of_same_identity(findings: list[Finding], one: Finding) -> list[Finding]:
    return [finding for finding in findings if (finding.kind, finding.names) == (one.kind, one.names)]


def _under(context: CheckContext, number: int) -> CheckContext:
    if number == context.recipe.position:
        return context
    recipe = context.recipe.at_profile(number)
    return replace(context, recipe=recipe, table=ShapeTable(context.model, recipe.profile))


def _named(finding: Finding, having: list[int], shown: int, count: int) -> Finding:
    if len(having) == count:
        return finding
    which = f"profile{'s' if len(having) > 1 else ''} {', '.join(map(str, having))}"
    fixes = finding.fixes
    if shown not in having:
        fixes = tuple(msgspec.structs.replace(fix, ranges={}) if fix.ranges else fix for fix in fixes)
    return msgspec.structs.replace(finding, title=f"{finding.title} ({which})", fixes=fixes)
