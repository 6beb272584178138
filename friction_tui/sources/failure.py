"""The facts of a failed export, and how a finding is made of them."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from friction_tui.kinds.kind import Kind
from friction_tui.sources.source_lines import chain, context, evaluated, of_exception, of_stack_text
from friction_tui.vocabulary.finding import (
    EngineWords,
    Finding,
    Fix,
    Location,
    LocationKind,
    Severity,
    SourceLine,
    Tier,
)

_ANSI = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[@-Z\\-_])")
_BOILERPLATE = re.compile(
    r"\n+(For more information, run with|For extended logs|The error above occurred when).*", re.S
)


@dataclass(frozen=True, slots=True)
class Failure:
    """The facts of a failed export: every exception from the exporter's own to the first cause, and the user's line.

    `forward` is where the module's forward is defined, for failures that no line of the user's raised. `expression` is
    what the line was evaluating, where Python recorded that; `returned` what forward's result holds beside tensors.
    """

    links: tuple[BaseException, ...]
    line: SourceLine | None
    source: str
    forward: SourceLine | None = None
    expression: ast.expr | None = None
    returned: str = ""

    @property
    def text(self) -> str:
        """All messages of the chain, the first cause last, without terminal colours."""
        return "\n".join(plain(str(link)) for link in self.links)

    @property
    def root(self) -> str:
        """The first cause as Python would print it, without torch's advice on its own debugging switches."""
        return f"{type(self.links[-1]).__name__}: {_BOILERPLATE.sub('', plain(str(self.links[-1]))).strip()}"

    @property
    def frames(self) -> tuple[str, ...]:
        """File names of every frame of the chain's tracebacks."""
        names = []
        for link in self.links:
            trace = link.__traceback__
            while trace is not None:
                names.append(trace.tb_frame.f_code.co_filename)
                trace = trace.tb_next
        return tuple(names)

    def has(self, *types: str) -> bool:
        """Whether an exception of one of these type names is in the chain."""
        return any(cls.__name__ in types for link in self.links for cls in type(link).__mro__)


def read(error: BaseException, source: str, forward: SourceLine | None = None) -> Failure:
    """The facts of an exception that came out of an export. `source` is who gave it, with version."""
    links = chain(error)
    line = of_exception(error)
    if line is None:
        line = (of_stack_text("\n".join(str(link) for link in links)) or (None,))[-1]
    return Failure(links, line, source, forward, evaluated(error))


def plain(text: str) -> str:
    """The text without the escape sequences that colour it on a terminal."""
    return _ANSI.sub("", text)


def a_or_an(noun: str) -> str:
    """The noun with its article: `an int`, `a Batch`."""
    return f"{'an' if noun[:1].lower() in 'aeio' else 'a'} {noun}"


def location_of(line: SourceLine) -> Location:
    """A place in the user's code."""
    return Location(LocationKind.FILE, f"{Path(line.file).name}:{line.line}", source=line)


def finding(
    failure: Failure, kind: Kind, cause: str, fixes: Sequence[Fix | str], evidence: Sequence[str] = (), **title: Any
) -> Finding:
    """A finding at the failure's line, with the message of the first cause. `title` fills the kind's title."""
    return made(failure.source, failure.line, kind, cause, fixes, failure.root, (), evidence, **title)


def made(
    source: str,
    line: SourceLine | None,
    kind: Kind,
    cause: str,
    fixes: Sequence[Fix | str],
    words: str = "",
    more: Sequence[SourceLine] = (),
    evidence: Sequence[str] = (),
    **title: Any,
) -> Finding:
    """An error that stopped the export, at `line` and `more` lines, the code around the first as evidence."""
    lines = ([line] if line else []) + list(more)
    return kind.finding(
        severity=Severity.ERROR,
        tier=Tier.EXPORT,
        cause=cause,
        source=source,
        locations=map(location_of, lines),
        evidence=(*evidence, *(context(line) if line else ())),
        fixes=fixes,
        words=(EngineWords(source, words),) if words else (),
        **title,
    )


def placed(found: Finding, line: SourceLine | None) -> Finding:
    """The finding at `line`, when it has no place of its own."""
    if found.locations or line is None:
        return found
    return msgspec.structs.replace(found, locations=(location_of(line),), evidence=(*found.evidence, *context(line)))
