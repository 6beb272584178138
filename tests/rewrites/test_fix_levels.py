"""Which fixes a run of fixes may apply, by its level."""

from __future__ import annotations

import numpy as np
import pytest

from friction_tui.kinds.answered import Verdict
from friction_tui.model.opened import OpenedModel
from friction_tui.rewrites.mending import mend
from friction_tui.rewrites.verification import not_run
from friction_tui.vocabulary.finding import Finding, Location, LocationKind, Severity, Tier
from tests.rewrites.mended import model_of, path_of


def refused(model: OpenedModel) -> list[Finding]:
    """What a parser would say that takes neither NonZero nor Det."""
    found = []
    for op in ("NonZero", "Det"):
        for node in model.index.nodes:
            if node.proto.op_type == op:
                at = Location(LocationKind.NODE, node.name, op, path_of(model, op))
                kind = "operators/unsupported"
                found.append(
                    Finding(
                        kind=kind,
                        severity=Severity.ERROR,
                        tier=Tier.PARSER,
                        title=f"{op} is not supported",
                        cause="",
                        source="test",
                        locations=(at,),
                    )
                )
    return found


@pytest.mark.parametrize(("level", "left"), [("exact", ["Det is not supported"]), ("safe", [])])
def test_exact_leaves_what_only_a_rewrite_with_rounding_mends(level: str, left: list[str]) -> None:
    text = "g (float[2,3,3] x, float[6] m) => (float[2] d, int64[1,K] i) { d = Det(x) n = Mul(m, w) i = NonZero(n) }"
    done = mend(
        model_of(text, w=np.ones(6, np.float32)),
        lambda model: Verdict(refused(model)),
        lambda *_: not_run("for this test"),
        level=level,
    )
    assert [finding.title for finding in done.findings] == left
    assert all(step.exactness in ("exact", "equal up to rounding") for step in done.steps)
    assert level == "safe" or {step.exactness for step in done.steps} == {"exact"}
