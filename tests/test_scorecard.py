"""The scorecard counts what engines and tools said."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from benchmarks.bare_engines import Bare
from benchmarks.scorecard import JUDGES, Model, Said, Scored, page, samples, score

CHOSEN = argparse.Namespace(seed=0, nodes=1, packages=1)


def cells(text: str, *beginning: str) -> list[str]:
    """The row of a table whose first cells these are."""
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    [row] = [row for row in rows if row[: len(beginning)] == list(beginning)]
    return row


@pytest.mark.slow
def test_a_refused_sample_is_caught_and_mended_and_peers_that_are_not_there_are_silent(tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx", reason="the truth is TensorRT-RTX")
    model = next(one for one in samples(CHOSEN, tmp_path) if one.name == "boolean_mask")
    scored = score(model, tmp_path, tmp_path / "nothing", mend=True)
    assert scored.truth.failed == "parse"
    assert scored.said["friction-tui check"].error is True
    assert {said.error for name, said in scored.said.items() if name != "friction-tui check"} == {None}
    assert scored.mended == {name: name == "friction-tui fix" for name in scored.mended}
    text = page([scored], CHOSEN, 60.0)
    assert cells(text, "sample models", "1", "1", "friction-tui check")[4:7] == ["1 of 1", "0 of 0", "0"]
    assert cells(text, "sample models", "1", "1", "trtcheck")[4:7] == ["0 of 1", "0 of 0", "1"]


def test_missed_refusals_and_false_alarms_are_counted_apart() -> None:
    def scored(failed: str, error: bool | None) -> Scored:
        model = Model("corpus", f"{failed or 'ok'} {error}", Path("m.onnx"), {})
        return Scored(model, Bare(failed), dict.fromkeys(JUDGES, Said(error, 1.0)))

    pairs = [("build", True), ("parse", False), ("", True), ("", False), ("", None)]
    text = page([scored(failed, error) for failed, error in pairs], CHOSEN, 60.0)
    for tool in JUDGES:
        assert cells(text, "corpus", "5", "2", tool)[4:] == ["1 of 2", "1 of 3", "1", "1.0 s"]
    assert cells(text, "`parse False`")[1] == "refuses (parse)"
