"""The smallest set of nodes that must stay float32 for a model's results to survive half precision.

Nodes are ranked by the error each makes by itself; the shortest prefix of the ranking that suffices is found by
doubling and halving, and then thinned out by delta debugging (Zeller and Hildebrandt, 2002). The search tries the
first inputs only; what it found is tried on all of them. Deterministic, unless the time is over.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from friction_tui.rewrites.half_trials import Trials

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Kept:
    """The nodes that stay float32, by path in graph order, and what that does.

    `error_in_half` is the largest output error with every node in half, `error` with these kept. `minimal`: none of
    them can be left out. `before` and `after` are the errors at their outputs.
    """

    paths: tuple[str, ...]
    error_in_half: float
    error: float
    minimal: bool
    before: dict[str, float]
    after: dict[str, float]


def find(trials: Trials, tolerance: float, seconds: float, tell: Tell = lambda _: None) -> Kept:
    """Search for at most about `seconds`; the result keeps the tolerance even where the time was too short.

    All float32 keeps any tolerance, so there always is a result.
    """
    deadline = time.monotonic() + seconds
    order = {path: number for number, path in enumerate(trials.plan)}
    all_half = trials.error((), enough=max(tolerance, 1.0))
    tell(f"all {len(order)} nodes in half: {_said(all_half)}")
    if all_half <= tolerance:
        return Kept((), all_half, all_half, minimal=True, before={}, after={})
    own, before = trials.errors(())
    ranked = sorted(order, key=lambda path: (-own.get(path, 0.0), order[path]))
    search = _Search(trials, tolerance, deadline, tell)
    kept = search.thinned(search.prefix(ranked))
    if search.error_of_all(kept) > tolerance:  # the other inputs need more
        search.quick = False
        kept = search.thinned(search.prefix(ranked))
    paths = tuple(sorted(kept, key=order.__getitem__))
    after = trials.errors(paths)[1]
    return Kept(paths, all_half, search.error_of_all(paths), search.minimal, before, after)


class _Search:
    """Tries sets of nodes against the tolerance until the deadline; remembers what was tried."""

    def __init__(self, trials: Trials, tolerance: float, deadline: float, tell: Tell) -> None:
        self._trials, self._tolerance, self._deadline, self._tell = trials, tolerance, deadline, tell
        self._errors: dict[tuple[bool, frozenset[str]], float] = {}
        self.minimal = True
        self.quick = True
        """Whether a set is tried on the first inputs only."""

    def error_of(self, kept: Collection[str]) -> float:
        key = self.quick, frozenset(kept)
        if key not in self._errors:
            self._errors[key] = self._trials.error(key[1], enough=self._tolerance * 1.0001, quick=self.quick)
            self._tell(f"{len(key[1])} nodes in float32: {_said(self._errors[key])}")
        return self._errors[key]

    def error_of_all(self, kept: Collection[str]) -> float:
        """The error on all inputs."""
        quick, self.quick = self.quick, False
        error = self.error_of(kept)
        self.quick = quick
        return error

    def prefix(self, ranked: Sequence[str]) -> list[str]:
        """The shortest prefix that suffices, as far as a longer one is never worse."""
        low, high = 0, 1
        while high < len(ranked) and not self._is_late() and not self._suffices(ranked[:high]):
            low, high = high, high * 2
        if self._is_late():
            self.minimal = False
            return list(ranked)
        high = min(high, len(ranked))
        while high - low > 1 and not self._is_late():
            middle = (low + high) // 2
            if self._suffices(ranked[:middle]):
                high = middle
            else:
                low = middle
        return list(ranked[:high])

    def thinned(self, kept: list[str]) -> list[str]:
        """Without what can be left out: chunks first, single nodes last, until no single one can."""
        size = max(len(kept) // 2, 1)
        while not self._is_late():
            before = len(kept)
            for start in range(0, len(kept), size):
                chunk = set(kept[start : start + size])
                rest = [path for path in kept if path not in chunk]
                if chunk and len(rest) < len(kept) and self._suffices(rest):
                    kept = rest
                if self._is_late():
                    break
            if size == 1 and len(kept) == before:
                return kept
            size = max(size // 2, 1)
        self.minimal = False
        return kept

    def _suffices(self, kept: Collection[str]) -> bool:
        return self.error_of(kept) <= self._tolerance

    def _is_late(self) -> bool:
        return time.monotonic() > self._deadline


def _said(error: float) -> str:
    return "NaN or Inf" if math.isinf(error) else f"error {error:.3g}"
