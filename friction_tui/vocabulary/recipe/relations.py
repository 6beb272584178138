"""Equations between the sizes of a model: `total = past + seq`, `T1 = T2 + 1`, `H = 2*W`.

One side is a dim key, the other a sum of dim keys, each with a whole factor, and a constant. A key is a symbol of the
model or `input[axis]`; one that contains a sign itself, as in `past + seq`, is quoted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from friction_tui.vocabulary.recipe.recipe import POINTS, Profile, Range

_TOKEN = re.compile(r"\s*(?:'([^']+)'|\"([^\"]+)\"|([-+=*·])|([^\s'\"+=*·-][^\s'\"+=*·]*))")
_PLAIN = re.compile(r"[^\s'\"+=*·-][^\s'\"+=*·]*")
"""A key that needs no quotes."""
_EXAMPLE = "such as total = past + seq, or T1 = T2 + 1"
LARGEST_FACTOR = 2**31
"""Nothing larger is the size of a tensor."""


class RelationError(ValueError):
    """A text that is not a relation; the message is for the person who typed it."""


@dataclass(frozen=True, slots=True)
class Relation:
    """`key` = the sum of `terms`, as (dim key, factor), + `constant`. No key is twice in it."""

    key: str
    terms: tuple[tuple[str, int], ...]
    constant: int = 0

    @property
    def keys(self) -> tuple[str, ...]:
        """Every dim key in it, the left one first."""
        return self.key, *(name for name, _ in self.terms)

    def size(self, sizes: Mapping[str, int]) -> int | None:
        """What the right side comes to; None when a size is not known."""
        if any(name not in sizes for name, _ in self.terms):
            return None
        return self.constant + sum(factor * sizes[name] for name, factor in self.terms)

    def holds(self, sizes: Mapping[str, int]) -> bool | None:
        """Whether both sides are equal; None when a size is not known."""
        wanted = self.size(sizes)
        return None if wanted is None or self.key not in sizes else sizes[self.key] == wanted

    def solved_for(self, key: str) -> Relation | None:
        """The same equation with `key` alone on the left; None where that needs a division."""
        if key == self.key:
            return self
        factor = dict(self.terms).get(key, 0)
        if abs(factor) != 1:
            return None
        others = tuple((name, -factor * times) for name, times in self.terms if name != key)
        return Relation(key, ((self.key, factor), *others), -factor * self.constant)

    def renamed(self, names: Mapping[str, str]) -> Relation:
        """The same with keys exchanged. A key that is then on both sides stays as it was given."""
        keys = [names.get(key, key) for key in self.keys]
        if len(set(keys)) < len(keys):
            return self
        return replace(self, key=keys[0], terms=tuple(zip(keys[1:], (factor for _, factor in self.terms), strict=True)))

    def __str__(self) -> str:
        """As it is typed; `parse_relation` reads it back."""
        signed = [(factor, quoted(name)) for name, factor in self.terms]
        signed.sort(key=lambda term: term[0] < 0)  # an equation does not begin with a minus sign if it need not
        parts = [
            ("-" if factor < 0 else "+", f"{abs(factor)}*{name}" if abs(factor) != 1 else name)
            for factor, name in signed
        ]
        if self.constant or not parts:
            parts.append(("-" if self.constant < 0 else "+", str(abs(self.constant))))
        first, *rest = parts
        text = ("-" if first[0] == "-" else "") + first[1]
        return f"{quoted(self.key)} = {text}" + "".join(f" {sign} {term}" for sign, term in rest)


def parse_relation(text: str) -> Relation:
    """A typed relation. Raises RelationError, which names the text and what is wrong with it."""
    shown = text.strip()[:80]
    tokens = _tokens(text)
    if len(tokens) < 3 or tokens[0][0] != "key" or tokens[1] != ("sign", "="):
        raise RelationError(f"{shown!r} is not a relation; one size stands before the equals sign, {_EXAMPLE}")
    terms: dict[str, int] = {}
    constant, rest, begun = 0, tokens[2:], False
    while rest:
        sign = 1
        if rest[0] in (("sign", "+"), ("sign", "-")):
            sign, rest = (-1 if rest[0][1] == "-" else 1), rest[1:]
        elif begun:
            raise RelationError(f"{shown!r}: {rest[0][1]!r} needs + or - before it, {_EXAMPLE}")
        begun = True
        factor, name, rest = _term(rest, shown)
        if factor > LARGEST_FACTOR:
            raise RelationError(f"{shown!r}: {factor} is larger than any size of a tensor")
        if name:
            terms[name] = terms.get(name, 0) + sign * factor
        else:
            constant += sign * factor
    key = tokens[0][1]
    if key in terms:
        raise RelationError(f"{shown!r}: {key} is on both sides")
    kept = tuple((name, factor) for name, factor in terms.items() if factor)
    if not kept:
        raise RelationError(f"{shown!r} relates no sizes; for one size alone give a range")
    return Relation(key, kept, constant)


def completed(known: Mapping[str, int], relations: Iterable[Relation]) -> dict[str, int]:
    """`known` sizes with every other size that the relations give."""
    sizes, pending = dict(known), list(relations)
    while True:
        before = len(sizes)
        for relation in pending:
            missing = [key for key in relation.keys if key not in sizes]
            solved = relation.solved_for(missing[0]) if len(missing) == 1 else None
            size = solved.size(sizes) if solved is not None else None
            if size is not None:
                sizes[missing[0]] = size
        if len(sizes) == before:
            return sizes


def with_related(profile: Profile, relations: Iterable[Relation]) -> dict[str, Range]:
    """The ranges that follow from the ranges of `profile` by the relations, for keys that have none in it.

    A size that would be negative is 0; a range that would fall from min to max is put in order.
    """
    every = tuple(relations)
    at = {point: completed({key: r.at(point) for key, r in profile.ranges.items()}, every) for point in POINTS}
    found = [key for key in at["opt"] if key not in profile.ranges]
    return {key: Range(*sorted(max(at[point][key], 0) for point in POINTS)) for key in found}


def _tokens(text: str) -> list[tuple[str, str]]:
    """`key`, `number` or `sign` with its text."""
    found: list[tuple[str, str]] = []
    at, text = 0, text.strip()
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise RelationError(f"{text[:80]!r}: {text[at:].strip()[:20]!r} is not a size, {_EXAMPLE}")
        at = match.end()
        quoted, sign, plain = match[1] or match[2], match[3], match[4]
        if quoted:
            found.append(("key", quoted))
        elif sign:
            found.append(("sign", "*" if sign == "·" else sign))
        else:
            found.append(("number" if plain.isascii() and plain.isdecimal() and len(plain) < 20 else "key", plain))
    return found


def _term(rest: list[tuple[str, str]], shown: str) -> tuple[int, str, list[tuple[str, str]]]:
    """(factor, key, what follows) of the term at the beginning; the key is "" for a constant."""
    kinds = [kind for kind, _ in rest[:3]]
    if kinds[:1] == ["number"]:
        factor = int(rest[0][1])
        if rest[1:2] != [("sign", "*")]:
            return factor, "", rest[1:]
        if kinds[2:] == ["key"]:
            return factor, rest[2][1], rest[3:]
    elif kinds[:1] == ["key"]:
        return 1, rest[0][1], rest[1:]
    raise RelationError(f"{shown!r}: a size or a number is missing after {'*' if kinds else 'the sign'}, {_EXAMPLE}")


def quoted(key: str) -> str:
    """A dim key as it stands in a relation."""
    if _PLAIN.fullmatch(key) and not key.isdecimal():
        return key
    return f'"{key}"' if "'" in key else f"'{key}'"
