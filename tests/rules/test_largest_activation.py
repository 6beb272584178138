"""The largest activation is reported where it could end in out-of-memory, and only there."""

from __future__ import annotations

from typing import Any

import pytest

from friction_tui.rules.performance import largest_activation as check
from friction_tui.vocabulary.finding import Severity
from friction_tui.vocabulary.recipe import Profile, Range

SCORES = "g (float[1,L,64] x) => (float[1,L,64] y) { t = Transpose <perm = [0,2,1]> (x) [qk] s = MatMul (x, t) [p] a = "
SCORES += "Softmax (s) y = MatMul (a, x) }"


def profile(top: int) -> Profile:
    return Profile(ranges={"L": Range(128, 1024, top)})


def test_attention_scores_that_grow_with_the_square_are_reported_with_their_bytes(judge: Any) -> None:
    (finding,) = judge(check, SCORES, profile=profile(65536))
    assert (finding.kind, finding.severity) == ("performance/large-activation", Severity.NOTE)
    assert finding.names == ("qk",)
    assert "1 × 65536 × 65536 at the max of the ranges, 65.5 kB · 4.19 MB · 17.2 GB" in finding.cause
    assert "the square of L" in finding.cause


def test_what_no_gpu_holds_is_a_warning(judge: Any) -> None:
    (finding,) = judge(check, SCORES, profile=profile(300_000))
    assert finding.severity is Severity.WARNING
    assert "no GPU has as much" in finding.cause


@pytest.mark.parametrize("top", [1024, 8192])
def test_what_fits_is_not_reported(judge: Any, top: int) -> None:
    assert judge(check, SCORES, profile=profile(top)) == []
