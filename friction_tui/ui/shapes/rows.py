"""The rows of the shape editor: which sizes can be chosen, and what a typed text makes of them."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import msgspec

from friction_tui.vocabulary.protocol import Port
from friction_tui.vocabulary.recipe import POINTS, Profile, Range, Recipe, SourceKind, Values, dim_key
from friction_tui.vocabulary.recipe.relations import RelationError, parse_relation, quoted, with_related
from friction_tui.vocabulary.recipe.text import RecipeTextError, parse_range, parse_values, with_point, with_step

FINE_BELOW = 32
"""Ranges that start lower are stepped one by one; others by what they are multiples of, at most this."""


@dataclass(frozen=True, slots=True)
class Row:
    """One dimension key, or one shape-tensor input. `uses` are the dimensions it sizes: `images[0]`."""

    key: str
    uses: tuple[str, ...] = ()
    range: Range | None = None
    values: Values | None = None
    is_values: bool = False
    guessed: bool = False
    overrides: str = ""
    """The symbol, or fixed size, that this entry of one input wins over."""
    missing: bool = False
    """No input of the model has it: the model changed, or the name is wrong."""
    fixed: bool = False
    """The model has one size here, which another export can leave free."""
    freed: bool = False
    """This range is why the export left the dimension free; without it the size is fixed again."""
    relation: str = ""
    """What the size is by a relation, such as `past + seq`; "" where it follows from no other size."""

    def cell(self, point: str) -> str:
        """What stands in the column of a point; empty where nothing is chosen."""
        if self.range is not None:
            return str(self.range.at(point))
        return ",".join(str(value) for value in self.values.at(point)) if self.values is not None else ""

    @property
    def step(self) -> int:
        """By how much + and - change a size."""
        if self.range is not None and self.range.step > 1:
            return self.range.step
        if self.range is None or self.range.min < FINE_BELOW:
            return 1
        step = FINE_BELOW
        while any(self.range.at(point) % step for point in POINTS):
            step //= 2
        return step


def rows(inputs: Sequence[Port], profile: Profile | None, *, can_free: bool = False) -> list[Row]:
    """Every row: symbols in the order the inputs name them, contradicting entries after theirs, shape tensors last.

    `can_free`: the model is exported from code, so that fixed sizes can be chosen too; they come at the end.
    """
    profile = profile or Profile()
    uses: dict[str, list[str]] = {}
    overrides: dict[str, str] = {}
    fixed: list[Row] = []
    freed: set[str] = set()
    for port in inputs:
        if port.shape_tensor:
            continue
        for axis, dim in enumerate(port.dims or ()):
            location = f"{port.name}[{axis}]"
            key = dim_key(port.name, axis, dim.symbol)
            own = location in profile.ranges and location != key
            if can_free and key == f"{port.name}_{axis}" and key not in profile.guessed:
                freed.add(key)
            if can_free and dim.size is not None and location not in profile.ranges:
                fixed.append(Row(location, (location,), Range(dim.size, dim.size, dim.size), fixed=True))
            if dim.size is None and not own:
                uses.setdefault(key, []).append(location)
            elif location in profile.ranges:
                uses.setdefault(location, []).append(location)
                overrides[location] = dim.symbol or str(dim.size)
    made = [
        Row(
            key,
            tuple(locations),
            range=profile.ranges.get(key),
            guessed=key in profile.guessed,
            overrides=overrides.get(key, ""),
            freed=key in freed,
        )
        for key, locations in uses.items()
    ]
    right_sides = _right_sides(profile)
    made = [
        replace(row, relation=right_sides[row.key], guessed=False) if row.key in right_sides else row for row in made
    ]
    known = {port.name for port in inputs}
    tensors = [port.name for port in inputs if port.shape_tensor]
    tensors += [name for name in profile.values if name not in tensors]
    made += [
        Row(
            name,
            values=profile.values.get(name),
            is_values=True,
            guessed=name in profile.guessed,
            missing=name not in known,
        )
        for name in tensors
    ]
    symbols = {dim.symbol for port in inputs for dim in port.dims or ()}
    stray = [key for key in profile.ranges if key not in uses and key not in symbols]
    return made + [Row(key, range=profile.ranges[key], missing=True) for key in stray] + fixed


def _right_sides(profile: Profile) -> dict[str, str]:
    """Each size that follows from others by a declared relation, and what it follows from."""
    sides = {}
    for text in profile.relations:
        relation = parse_relation(text)
        sides[relation.key] = str(relation).partition(" = ")[2]
    return sides


def nothing_to_choose(inputs: Sequence[Port], kind: SourceKind, *, part_only: bool) -> str:
    """Why there is no row; `part_only`: not all of the file could be read."""
    if not inputs:
        return "no input can be read from this file" if part_only else "the model has no inputs"
    if kind is SourceKind.ENGINE:
        return "the sizes of a built engine are fixed in it: there is nothing to choose"
    if kind is SourceKind.EXPORTED_PROGRAM:
        return "every size was fixed when this was captured; dynamic_shapes of torch.export.export leaves them free"
    return "every input has a fixed shape: there is nothing to choose"


def typed(row: Row, point: str, text: str) -> Row:
    """The row after `text` was typed into the column of `point`. RecipeTextError says which rule it breaks.

    A single size changes that point only; `1..4..8` and `320-640` change the whole row from any column, `step 8` its
    step. `= past + seq` declares what the size follows from.
    """
    if row.is_values:
        return _typed_values(row, point, text)
    if text.lstrip().startswith("="):
        try:
            relation = parse_relation(f"{quoted(row.key)} {text.strip()}")
        except RelationError as error:
            raise RecipeTextError(str(error)) from error
        return replace(row, relation=str(relation).partition(" = ")[2])
    if row.range is not None and re.fullmatch(r"\s*-?[0-9]{1,20}\s*", text, re.ASCII):
        return replace(row, range=with_point(row.range, point, int(text), row.key), guessed=False)
    only_step = re.fullmatch(r"\s*step\s*([0-9]{1,20})\s*", text, re.ASCII | re.IGNORECASE)
    if row.range is not None and only_step:
        return replace(row, range=with_step(row.range, int(only_step[1]), row.key), guessed=False)
    return replace(row, range=parse_range(text, row.key, row.range), guessed=False)


def _typed_values(row: Row, point: str, text: str) -> Row:
    parts = [part for part in text.split("..") if part.strip()]
    if len(parts) == 3:
        low, opt, high = (parse_values(part, row.key) for part in parts)
        chosen = Values(low, opt, high)
    elif row.values is None:
        chosen = Values(*[parse_values(text, row.key)] * 3)
    else:
        at = {name: row.values.at(name) for name in POINTS} | {point: parse_values(text, row.key)}
        chosen = Values(at["min"], at["opt"], at["max"])
    counts = [len(chosen.at(name)) for name in POINTS]
    if len(set(counts)) > 1:
        said = ", ".join(f"{name} has {count}" for name, count in zip(POINTS, counts, strict=True))
        raise RecipeTextError(f"{row.key}: {said} values; the counts must be equal, type min..opt..max to change all")
    return replace(row, values=chosen, guessed=False)


def stepped(row: Row, point: str, steps: int) -> Row:
    """The row with one size moved by `steps` steps; all values of a shape tensor by as many ones."""
    if row.values is not None:
        moved = [str(value + steps) for value in row.values.at(point)]
        return typed(row, point, ",".join(moved))
    if row.range is None:
        raise RecipeTextError(f"{row.key}: nothing is chosen yet; type a size first")
    if row.fixed:
        raise RecipeTextError(f"{row.key} is fixed; Enter and a range such as 1..4..8 exports the model again with it")
    size = row.range.at(point) + steps * row.step
    return replace(row, range=with_point(row.range, point, size, row.key), guessed=False)


def applied(recipe: Recipe, row: Row) -> Recipe:
    """The recipe with a row's choice in it, and what follows from it: guesses that a relation ties to it move along."""
    profile = recipe.profile or Profile()
    if row.relation and row.relation != _right_sides(profile).get(row.key, ""):
        others = [text for text in profile.relations if parse_relation(text).key != row.key]
        recipe = recipe.with_relations((*others, f"{quoted(row.key)} = {row.relation}"))
        return _following(recipe, row.key)
    if row.range is not None:
        return _following(recipe.with_range(row.key, row.range), "")
    if row.values is None:
        return recipe
    edited = recipe.with_values(row.key, row.values)
    profile = edited.profile or Profile()
    guessed = tuple(key for key in profile.guessed if key != row.key)
    return msgspec.structs.replace(edited, profile=msgspec.structs.replace(profile, guessed=guessed))


def _following(recipe: Recipe, always: str) -> Recipe:
    """The recipe in which sizes that nobody chose, and the one `always`, are what the relations make of the others."""
    profile = recipe.profile or Profile()
    relations = [parse_relation(text) for text in profile.relations]
    left = {relation.key for relation in relations}
    moving = {key for key in left if key in profile.guessed or key == always}
    rest = msgspec.structs.replace(
        profile, ranges={key: chosen for key, chosen in profile.ranges.items() if key not in moving}
    )
    found = {key: chosen for key, chosen in with_related(rest, relations).items() if key in moving}
    ranges = {key: found.get(key, chosen) for key, chosen in profile.ranges.items()}
    return msgspec.structs.replace(recipe, profile=msgspec.structs.replace(profile, ranges=ranges))


def without_relation(recipe: Recipe, row: Row) -> Recipe:
    """The recipe in which a row's size follows from no other."""
    profile = recipe.profile or Profile()
    return recipe.with_relations(tuple(text for text in profile.relations if parse_relation(text).key != row.key))


def without(recipe: Recipe, row: Row) -> Recipe:
    """The recipe without a row's entry, so that the symbol, or the model, decides again."""
    profile = recipe.profile or Profile()
    left = msgspec.structs.replace(
        profile,
        ranges={key: chosen for key, chosen in profile.ranges.items() if key != row.key},
        values={key: chosen for key, chosen in profile.values.items() if key != row.key},
        guessed=tuple(key for key in profile.guessed if key != row.key),
    )
    return msgspec.structs.replace(recipe, profile=left)


def merged(recipe: Recipe, pasted: Profile, named: Collection[str]) -> Recipe:
    """The recipe with another profile's choices in it; the inputs `named` keep no range of their own from before."""
    profile = recipe.profile or Profile()
    kept = {key: chosen for key, chosen in profile.ranges.items() if key.rpartition("[")[0] not in named}
    chosen = Profile(
        relations=tuple(dict.fromkeys((*profile.relations, *pasted.relations))),
        ranges=kept | pasted.ranges,
        values=profile.values | pasted.values,
        guessed=tuple(key for key in profile.guessed if key not in pasted.ranges and key not in pasted.values),
    )
    return msgspec.structs.replace(recipe, profile=chosen)


def with_copy(recipe: Recipe) -> Recipe:
    """The recipe with a copy of the profile shown behind it, and the copy shown."""
    at = recipe.position
    profiles = recipe.profiles
    return recipe.with_profiles((*profiles[: at + 1], profiles[at], *profiles[at + 1 :]), at + 1)


def without_shown(recipe: Recipe) -> Recipe:
    """The recipe without the profile shown; the one before it is shown then. There has to be another."""
    at = recipe.position
    profiles = recipe.profiles
    return recipe.with_profiles(profiles[:at] + profiles[at + 1 :], max(at - 1, 0))
