"""Every kind is shown by its example, and is not said of the one that is close to it and sound."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from friction_tui.kinds import KINDS
from friction_tui.kinds.examples import Example, Message, Shown, TorchModule
from friction_tui.kinds.kind import Kind
from tests.kinds.exported import export_findings
from tests.kinds.judged import findings_of

ROOT = Path(__file__).parents[2]


def _of(shown: bool) -> list[object]:
    examples = [(kind, kind.shows if shown else kind.quiet) for kind in KINDS.values()]
    slow = [pytest.mark.slow]
    return [
        pytest.param(kind, example, id=kind.id, marks=slow if isinstance(example, TorchModule) else [])
        for kind, example in examples
    ]


@pytest.mark.parametrize(("kind", "example"), _of(True))
def test_a_kind_is_shown_by_its_example(kind: Kind, example: Example, tmp_path: Path) -> None:
    if isinstance(example, Shown):
        _names_a_test(kind, example)
        return
    found = export_findings(example, tmp_path) if isinstance(example, TorchModule) else findings_of(example, tmp_path)
    same = [one for one in found if one.kind == kind.id]
    assert same, [(one.kind, one.title) for one in found]
    for one in same:
        assert one.severity in kind.severities
        assert one.tier in kind.tiers
        assert one.cause
        assert one.locations or isinstance(example, Message)  # not every message names a node
        assert one.fixes


@pytest.mark.parametrize(("kind", "example"), _of(False))
def test_a_kind_is_not_said_of_what_is_close_and_sound(kind: Kind, example: Example, tmp_path: Path) -> None:
    if isinstance(example, Shown):
        _names_a_test(kind, example)
        return
    found = export_findings(example, tmp_path) if isinstance(example, TorchModule) else findings_of(example, tmp_path)
    assert [one.title for one in found if one.kind == kind.id] == []


def _names_a_test(kind: Kind, example: Shown) -> None:
    """The test exists and speaks of the kind by its id."""
    file, _, test = example.test.partition("::")
    text = (ROOT / file).read_text(encoding="utf-8")
    assert test
    assert re.search(rf"def {test.partition('[')[0]}\b", text), f"{file} has no {test}"
    assert kind.id in text, f"{file} does not name {kind.id}"
