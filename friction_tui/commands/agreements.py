"""What a `friction.toml` allows: the findings that the team lives with."""

from __future__ import annotations

import datetime
from collections.abc import Container, Sequence
from dataclasses import replace

from friction_tui.friction_toml import Allowed, RecipeFile
from friction_tui.report.verdict import ModelVerdict


def under(verdicts: Sequence[ModelVerdict], files: Sequence[RecipeFile], today: datetime.date) -> list[ModelVerdict]:
    """The verdicts without what the team allows today, each with the file of its model.

    They say how much was left out, which agreements have run out, and which match nothing in any model: a file may be
    shared by several.
    """
    judged = [(verdict, held) for verdict, held in zip(verdicts, files, strict=True) if not verdict.failure]
    used = {a for verdict, held in judged for a in held.allow for f in verdict.findings if a.covers(f.kind, f.names)}
    return [_under(verdict, held, used, today) for verdict, held in zip(verdicts, files, strict=True)]


def _under(verdict: ModelVerdict, held: RecipeFile, used: Container[Allowed], today: datetime.date) -> ModelVerdict:
    allowed = [a for a in held.allow if a.holds(today)]
    kept = tuple(f for f in verdict.findings if not any(a.covers(f.kind, f.names) for a in allowed))
    hidden = len(verdict.findings) - len(kept)
    found = {finding.kind for finding in kept}
    ended = [a for a in held.allow if a.kind in found and a not in allowed]
    unused = [a for a in held.allow if a not in used and a not in ended and not verdict.failure]
    about = (
        *verdict.about,
        f"pinned to opset {held.opset}: {held.opset_why}" if held.opset and held.opset_why else "",
        f"{hidden} allowed by friction.toml" if hidden else "",
        *(f"{agreement.kind} was allowed until {agreement.until}" for agreement in ended),
        *(f"{agreement} is allowed and was found in no model checked" for agreement in unused),
    )
    return replace(verdict, findings=kept, about=about)
