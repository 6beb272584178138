"""Builder options on the command line: real checks and builds with them, and the list of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from friction_tui.cli import main
from friction_tui.samples import sample
from friction_tui.vocabulary.recipe.builder_options import OPTIONS

pytest.importorskip("tensorrt_rtx", reason="builds with the RTX edition, which is part of the cpu extra, not of gpu")


def _run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [*map(str, arguments)])


@pytest.fixture
def healthy() -> Path:
    path = sample("healthy_cnn")
    assert path is not None
    return path


def test_an_option_that_is_not_offered_is_an_error_with_what_is_nearest(healthy: Path) -> None:
    done = _run("check", healthy, "--builder", "version_compatible", "--format", "json")
    assert done.exit_code == 1, done.output
    (finding,) = [one for one in json.loads(done.output)["models"][0]["findings"] if one["kind"] == "engine/option"]
    assert "libnvinfer_lean" in finding["cause"]
    assert "Build again with the version that runs the engine." in json.dumps(finding["fixes"])


def test_a_build_with_an_option_that_is_not_offered_says_the_same(healthy: Path) -> None:
    done = _run("build", healthy, "--builder", "tactic_sources=cudnn")
    assert done.exit_code == 1
    assert "does not offer tactic_sources=CUDNN" in done.output
    assert "EDGE_MASK_CONVOLUTIONS" in done.output


def test_an_option_that_is_offered_is_taken(healthy: Path) -> None:
    done = _run("check", healthy, "--builder", "optimization_level=0", "--builder", "sparsity", "--builder", "tf32=no")
    assert done.exit_code == 0, done.output
    assert "engine/option" not in done.output


@pytest.mark.parametrize("command", ["check", "build"])
def test_a_workspace_below_what_a_layer_needs_refuses_the_model(healthy: Path, command: str) -> None:
    target = ("--target", "SM89") if command == "check" else ()
    done = _run(command, healthy, "--builder", "workspace=1MiB", *target)
    assert done.exit_code == 1, done.output
    assert "engine/workspace-too-small" in done.output
    assert "--builder" in done.output
    assert _run(command, healthy, "--builder", "workspace=1GiB", *target).exit_code == 0


def test_friction_toml_chooses_options_and_the_command_line_wins(healthy: Path, tmp_path: Path) -> None:
    model = tmp_path / "net.onnx"
    model.write_bytes(healthy.read_bytes())
    (tmp_path / "friction.toml").write_text('[builder]\nworkspace = "1MiB"\n')
    assert _run("build", model).exit_code == 1
    assert _run("build", model, "--builder", "workspace=default").exit_code == 0


def test_a_build_that_uses_too_much_memory_is_ended_and_told(healthy: Path) -> None:
    done = _run("build", healthy, "--builder", "build_memory=16MiB")
    assert done.exit_code == 2
    assert "engine/out-of-host-memory" in done.output


def test_a_wrong_word_ends_the_command_before_anything_is_read() -> None:
    done = _run("check", "nowhere.onnx", "--builder", "workspce=1GiB")
    assert done.exit_code == 2
    assert "did you mean workspace?" in done.output


def test_the_options_are_listed_with_what_the_engine_here_does() -> None:
    done = _run("options")
    assert done.exit_code == 0
    assert "TensorRT-RTX" in done.output
    for option in OPTIONS:
        assert f"\n{option.name} = " in done.output
    listed = json.loads(_run("options", "--format", "json").output)
    assert [one["name"] for one in listed["options"]] == [option.name for option in OPTIONS]
    by_name = {one["name"]: one for one in listed["options"]}
    assert by_name["workspace"]["offered"] is True
    assert by_name["timing_cache"]["offered"] is False
    assert "engine_cache" in by_name["timing_cache"]["nearest"]
