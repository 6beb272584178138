"""What README promises of the samples: where a row says `x`, a fix that the tool carries out is offered and applies."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from friction_tui.model.opened import open_model
from friction_tui.rewrites.apply import rewritten
from friction_tui.rewrites.offering import with_offers
from friction_tui.samples import sample
from friction_tui.session.at_once import judged
from friction_tui.vocabulary.recipe import Profile, Recipe, Rewrite, Source

README = Path(__file__).parents[1] / "README.md"
_ROW = re.compile(r"^\| `(\w+)` \|.*\| (.*) \|$", re.MULTILINE)


def rows() -> list[str]:
    """The samples whose last column names the key."""
    return [name for name, mended in _ROW.findall(README.read_text(encoding="utf-8")) if "`x`" in mended]


def test_most_samples_are_mended_by_key() -> None:
    assert len(rows()) >= 8


@pytest.mark.parametrize("name", rows())
def test_a_row_that_says_x_has_a_fix_that_applies(name: str) -> None:
    path = sample(name)
    assert path is not None
    model = open_model(path)
    found = with_offers(model, judged(model, Recipe(source=Source(str(path)), profile=Profile())).findings)
    fixes = [fix for finding in found for fix in finding.fixes if fix.rewrite]
    assert fixes
    assert all(rewritten(model, Rewrite(fix.rewrite, fix.nodes)).graph.node for fix in fixes)
