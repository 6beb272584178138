"""What a check is: a function over a context, and the kinds of finding it can emit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from friction_tui.kinds.kind import Kind
from friction_tui.rules.context import CheckContext
from friction_tui.vocabulary.finding import Finding

Run = Callable[[CheckContext], Iterable[Finding]]


class UndeclaredKind(Exception):
    """A check emitted a finding of a kind that it does not declare."""


@dataclass(frozen=True, slots=True)
class Check:
    """A check: its name, what it looks at in words, what it runs, and every kind it can emit."""

    name: str
    looks_at: str
    run: Run
    kinds: tuple[Kind, ...]

    @property
    def reads_sizes(self) -> bool:
        """Whether an answer depends on the ranges. All other checks answer the same whatever the profile is."""
        return any(kind.reads_sizes for kind in self.kinds)

    def __call__(self, context: CheckContext) -> Iterator[Finding]:
        """The findings. Raises UndeclaredKind for one of a kind that is not declared."""
        declared = {kind.id for kind in self.kinds}
        for finding in self.run(context):
            if finding.kind not in declared:
                raise UndeclaredKind(f"the check {self.name!r} emitted {finding.kind}, which it does not declare")
            yield finding
