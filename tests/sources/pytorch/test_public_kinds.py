"""What is said of modules like those of public projects: the kind where one is due, nothing loud where none is."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from friction_tui.kinds.examples import TorchModule
from friction_tui.vocabulary.finding import Severity
from tests.kinds.exported import export_findings

CASES: dict[str, dict[str, Any]] = tomllib.loads(
    (Path(__file__).parent / "public_kinds.toml").read_text(encoding="utf-8")
)

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", CASES)
def test_a_module_like_a_public_one_gets_what_is_right_to_say(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    ranges = {key: (low, opt, high) for key, (low, opt, high) in case.get("ranges", {}).items()}
    found = export_findings(TorchModule(case["code"], ranges=ranges), tmp_path)
    loud = {one.kind for one in found if one.severity is not Severity.NOTE}
    expected = {case["kind"]} if "kind" in case and case.get("loud", True) else set()
    assert loud == expected, [(one.kind, one.title, one.cause) for one in found]
    assert case.get("kind", "") in {one.kind for one in found} | {""}
