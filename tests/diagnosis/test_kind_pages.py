"""Every kind has a page with the same four parts, and every family can be listed."""

from __future__ import annotations

import pytest

from friction_tui.kinds import explain, kinds


@pytest.mark.parametrize("kind", kinds())
def test_a_page_says_cause_evidence_example_and_fix(kind: str) -> None:
    page = explain(kind)
    assert page is not None
    assert kinds()[kind]
    for part in ("**Cause.**", "**Evidence.**", "**Example.**", "**Fix.**"):
        assert part in page, f"{kind} lacks {part}"


def test_a_family_lists_its_kinds_and_a_stranger_is_none() -> None:
    listed = explain("file")
    assert listed is not None
    assert "file/html" in listed
    assert explain("no/such-kind") is None
