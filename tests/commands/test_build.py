"""`friction-tui build` and `graph`: real engines, real drawings, and what is said when there is nothing to work on."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from friction_tui.cli import main
from friction_tui.engines.tensorrt.plan import read_plan
from friction_tui.samples import sample


def _run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [*map(str, arguments)])


def _sample(name: str) -> Path:
    path = sample(name)
    assert path is not None
    return path


def test_a_build_prints_what_was_planned_and_keeps_the_engine(tmp_path: Path) -> None:
    pytest.importorskip(
        "tensorrt_rtx", reason="builds with the RTX edition, which is part of the cpu extra, not of gpu"
    )
    plan = tmp_path / "net.plan"
    done = _run("build", _sample("healthy_cnn"), "--save", plan)
    assert done.exit_code == 0, done.output
    assert "planned by the builder, not measured on a GPU" in done.output
    assert "activation memory, profile 0" in done.output
    assert read_plan(plan) is not None


def test_an_engine_that_cannot_run_in_its_whole_range_fails(tmp_path: Path) -> None:
    pytest.importorskip(
        "tensorrt_rtx", reason="builds with the RTX edition, which is part of the cpu extra, not of gpu"
    )
    done = _run("build", _sample("baked_batch"))
    assert done.exit_code == 1
    assert "classifier/Reshape" in done.output


def test_where_the_engine_goes_is_looked_at_before_it_is_built(tmp_path: Path) -> None:
    done = _run("build", _sample("healthy_cnn"), "--save", tmp_path / "nowhere" / "net.plan")
    assert done.exit_code == 2
    assert "there is no folder" in done.output
    assert "built by" not in done.output


def test_the_graph_is_drawn_with_its_refused_nodes() -> None:
    done = _run("graph", _sample("detector"), "--width", "90", "--open")
    assert done.exit_code == 0
    lines = done.output.splitlines()
    assert max(map(len, lines)) <= 90
    assert any("✗" in line and "NonZero" in line for line in lines)
    plain = _run("graph", _sample("detector"), "--ascii", "--width", "90")
    assert plain.output.isascii()


@pytest.mark.parametrize("command", ["graph", "build", "precision"])
def test_nothing_to_work_on_is_said(tmp_path: Path, command: str) -> None:
    for content in (None, b"<!DOCTYPE html><html>404</html>"):
        path = tmp_path / "model.onnx"
        if content:
            path.write_bytes(content)
        done = _run(command, path)
        assert done.exit_code == 2, done.output
        assert ("web page" if content else "no file") in done.output.lower()
