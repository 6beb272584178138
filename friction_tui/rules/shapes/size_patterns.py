"""Which sizes of one dimension a node works at: one only, multiples of something, up to or from a limit."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from friction_tui.vocabulary.recipe import Range

Works = Callable[[int], bool | None]
"""Whether a size works; None when it cannot be known (something before it fails there)."""

_DIVISORS = (2, 3, 4, 5, 6, 7, 8, 12, 14, 16, 24, 28, 32, 48, 64, 128)
"""Strides and window sizes that occur; tried where no working size is known to start from."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """`kind` is `only` one size, `multiples` of it, `at-most`, `at-least`, `none` that was tried, or `unclear`."""

    kind: str
    size: int = 0
    broadcast: bool = False
    """Size 1 works as well: it is stretched to the one that does."""
    rounded: bool = False
    """Every multiple works, and some sizes between them do because strides round up."""

    def clause(self, key: str) -> str:
        """The sizes that work, as a clause."""
        return {
            "only": f"only {key} = {self.size} works{', and 1, which is stretched to it' if self.broadcast else ''}",
            "multiples": f"every multiple of {self.size} works for {key}, and some sizes between them by rounding"
            if self.rounded
            else f"{key} must be a multiple of {self.size}",
            "at-most": f"{key} may be {self.size} at most",
            "at-least": f"{key} must be {self.size} or larger",
            "none": f"no size of {key} that was tried works",
            "unclear": f"some sizes of {key} work and some do not",
        }[self.kind]

    def range_within(self, chosen: Range) -> Range | None:
        """The nearest range in which every named size works; None when there is none."""
        if self.kind == "only":
            return Range(self.size, self.size, self.size)
        if self.kind == "multiples":
            low = math.ceil(max(chosen.min, 1) / self.size) * self.size
            high = max(chosen.max // self.size * self.size, low)
            opt = min(max(round(chosen.opt / self.size) * self.size, low), high)
            return Range(low, opt, high, self.size if low < high else 1)
        if self.kind == "at-most":
            return Range(*(min(size, self.size) for size in (chosen.min, chosen.opt, chosen.max)))
        if self.kind == "at-least":
            return Range(*(max(size, self.size) for size in (chosen.min, chosen.opt, chosen.max)))
        return None


@dataclass(slots=True)
class Search:
    """Asks `works` as seldom as possible and at most `budget` times; remembers the answers."""

    works: Works
    budget: int
    known: dict[int, bool | None] = field(default_factory=dict)

    def ask(self, size: int) -> bool | None:
        """Whether `size` works; None when it cannot be known, or when the budget is used up."""
        if size < 1:
            return None
        if size not in self.known:
            if self.budget <= 0:
                return None
            self.budget -= 1
            self.known[size] = self.works(size)
        return self.known[size]

    @property
    def good(self) -> list[int]:
        """Sizes that work."""
        return sorted(size for size, answer in self.known.items() if answer)

    @property
    def bad(self) -> list[int]:
        """Sizes that do not."""
        return sorted(size for size, answer in self.known.items() if answer is False)


def find_pattern(search: Search, chosen: Range, hints: Iterable[int] = ()) -> Pattern:
    """The pattern of the sizes that work. `hints` are sizes likely to work, such as a constant met on the way."""
    for size in (chosen.opt, chosen.min, chosen.max, *hints):
        search.ask(size)
    if not search.good:
        _look_for_one(search, chosen)
    if not search.good:
        return Pattern("none")
    return _only(search) or _limit(search) or _multiples(search, chosen) or Pattern("unclear")


def _look_for_one(search: Search, chosen: Range) -> None:
    """Find any size that works: multiples of likely divisors around opt, then small ones."""
    for divisor in reversed(_DIVISORS):
        if search.ask(max(round(chosen.opt / divisor), 1) * divisor):
            return
    for size in (1, 2):
        if search.ask(size):
            return


def _only(search: Search) -> Pattern | None:
    """One size and neither its neighbours nor its multiples; or that and 1, which is broadcast to any size."""
    if len(search.good) != 1 and (len(search.good) != 2 or search.good[0] != 1 or search.good[1] == 2):
        return None
    size = search.good[-1]
    if any(search.ask(other) for other in (2 * size, 3 * size, size + 1, size - 1)):
        return None
    return Pattern("only", size, broadcast=len(search.good) > 1) if search.bad else None


def _limit(search: Search) -> Pattern | None:
    """Everything up to a size, or everything from a size on."""
    good, bad = search.good, search.bad
    if not bad:
        return None
    if good[-1] < bad[0]:
        low, high = _bisect(search, good[-1], bad[0])
        clear = all(search.ask(size) is not True for size in (high + 1, high + 2, 2 * low, 2 * high))
        clear = clear and all(search.ask(size) is not False for size in (low - 1, low - 2))
        return Pattern("at-most", low) if clear else None
    if bad[-1] < good[0]:
        low, high = _bisect(search, good[0], bad[-1])
        clear = all(search.ask(size) is not False for size in (low + 1, low + 2, low + 3))
        return Pattern("at-least", low) if clear else None
    return None


def _bisect(search: Search, good: int, bad: int) -> tuple[int, int]:
    """The nearest pair of a working and a failing size between `good` and `bad`."""
    while abs(good - bad) > 1:
        middle = (good + bad) // 2
        answer = search.ask(middle)
        if answer is None:
            break
        good, bad = (middle, bad) if answer else (good, middle)
    return good, bad


def _multiples(search: Search, chosen: Range) -> Pattern | None:
    """Multiples of the smallest divisor that every tried size agrees with."""
    divisor = math.gcd(*search.good)
    if len(search.good) == 1 and not (search.ask(2 * divisor) or search.ask(3 * divisor)):
        return None
    divisor = math.gcd(*search.good)
    for prime in (2, 2, 2, 2, 2, 2, 2, 3, 3, 5, 7, 11, 13):
        if divisor % prime:
            continue
        smaller = divisor // prime
        if search.ask(_odd_multiple(smaller, chosen.opt, divisor)):
            divisor = smaller
    agrees = divisor > 1 and all(size % divisor for size in search.bad) and search.bad
    return Pattern("multiples", divisor) if agrees else None


def rounded_multiples(search: Search, chosen: Range) -> Pattern | None:
    """The smallest divisor all of whose multiples work although some other sizes do as well.

    A padded stride rounds up, so 67 goes through two of them and back as 68 does, and 65 and 66 do not.
    """
    for divisor in _DIVISORS:
        if any(size % divisor == 0 for size in search.bad):
            continue
        middle = max(chosen.opt // divisor, 1)
        tried = [
            search.ask(divisor * factor) for factor in (middle, middle + 1, middle + 2, middle + 3, 2 * middle + 1)
        ]
        if all(tried):
            return Pattern("multiples", divisor, rounded=True)
    return None


def _odd_multiple(divisor: int, near: int, not_of: int) -> int:
    """A multiple of `divisor` around `near` that is not a multiple of `not_of`."""
    size = max(near // divisor, 1) * divisor
    while size % not_of == 0:
        size += divisor
    return size
