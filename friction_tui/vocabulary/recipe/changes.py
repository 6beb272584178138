"""What differs between two recipes, in a few words each: `N max 8 → 16`, `opset 17 → 18`."""

from __future__ import annotations

from friction_tui.vocabulary.recipe import POINTS, Profile, Range, Recipe, Rewrite, Values
from friction_tui.vocabulary.recipe.builder_options import differences

NAMED = 3
"""Nodes of a rewrite that are named, in full."""


def changes(before: Recipe, after: Recipe, *, in_full: bool = False) -> list[str]:
    """Every difference that a build could depend on, shape ranges first.

    `in_full`: rewrites as sentences that name their nodes, where room is no matter.
    """
    said: list[str] = []
    if (before.profile is None) != (after.profile is None):
        said.append("no profile" if after.profile is None else "with a profile")
    said += _in_profiles(before, after)
    if before.opset != after.opset:
        said.append(f"opset {before.opset or 'as exported'} → {after.opset or 'as exported'}")
    if before.target != after.target:
        said.append(f"target {before.target or 'default'} → {after.target or 'default'}")
    if before.precision is not after.precision:
        said.append(f"precision {before.precision} → {after.precision}")
    if before.keep_float32 != after.keep_float32:
        said.append(f"{len(after.keep_float32) or 'no'} node{'s' if len(after.keep_float32) != 1 else ''} kept float32")
    said += differences(before.builder, after.builder)
    added = [rewrite for rewrite in after.rewrites if rewrite not in before.rewrites]
    gone = [rewrite for rewrite in before.rewrites if rewrite not in after.rewrites]
    if [rewrite.name for rewrite in added] == [rewrite.name for rewrite in gone]:
        said += [f"{rewrite.name} moved to another node" for rewrite in added]
    elif in_full:
        said += [f"{rewrite.name} applied to {_where(rewrite)}" for rewrite in added]
        said += [f"{rewrite.name} taken back" for rewrite in gone]
    else:
        said += [f"+ {rewrite.name}" for rewrite in added] + [f"- {rewrite.name}" for rewrite in gone]
    if before.source != after.source or before.export != after.export:
        said.append("exported otherwise")
    return said


def _where(rewrite: Rewrite) -> str:
    """The nodes of a rewrite as their references name them: `tensor = what it is`."""
    nodes = [node.rpartition(" = ")[2] for node in rewrite.nodes]
    more = f" and {len(nodes) - NAMED} more" if len(nodes) > NAMED else ""
    return f"{', '.join(nodes[:NAMED])}{more}" if nodes else "the model"


def _in_profiles(before: Recipe, after: Recipe) -> list[str]:
    """What differs in the profiles; which one it is in is said where there are several."""
    old, new = before.profiles or (Profile(),), after.profiles or (Profile(),)
    if len(old) != len(new):
        return [f"{len(old)} → {len(new)} profiles"]
    said: list[str] = []
    for number, (was, now) in enumerate(zip(old, new, strict=True)):
        moved: list[str] = []
        for olds, news in ((was.ranges, now.ranges), (was.values, now.values)):
            moved += [words for key in {**olds, **news} for words in _moved(key, olds.get(key), news.get(key))]
        said += [f"profile {number}: {words}" for words in moved] if len(new) > 1 else moved
    gone, added = old[0].relations, new[0].relations  # they hold in every profile
    said += [f"+ {relation}" for relation in added if relation not in gone]
    said += [f"- {relation}" for relation in gone if relation not in added]
    return said or ([f"profile {after.position}"] if before.position != after.position else [])


def _moved(key: str, old: Range | Values | None, new: Range | Values | None) -> list[str]:
    if old == new:
        return []
    if old is None or new is None:
        return [f"{key} {_text(old)} → {_text(new)}"]
    moved = [point for point in POINTS if old.at(point) != new.at(point)]
    if len(moved) == 1 and _step(old) == _step(new):
        return [f"{key} {moved[0]} {_size(old.at(moved[0]))} → {_size(new.at(moved[0]))}"]
    return [f"{key} {_text(old)} → {_text(new)}"]


def _text(chosen: Range | Values | None) -> str:
    if chosen is None:
        return "not set"
    sizes = [_size(chosen.at(point)) for point in POINTS]
    return sizes[0] if len(set(sizes)) == 1 else "..".join(sizes) + _step(chosen)


def _step(chosen: Range | Values) -> str:
    return f" step {chosen.step}" if isinstance(chosen, Range) and chosen.step > 1 else ""


def _size(size: int | tuple[int, ...]) -> str:
    return str(size) if isinstance(size, int) else ",".join(str(value) for value in size)
