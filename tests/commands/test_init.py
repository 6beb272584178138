"""`friction-tui init`: a repository with models, its files, and the check that reads them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import onnx
import pytest
import yaml
from click.testing import CliRunner, Result
from onnx import parser

from friction_tui import friction_toml
from friction_tui.cli import main

MODEL = """<ir_version: 10, opset_import: ["" : %d]>
    net (float[batch,3,8,8] x, float[4,3,3,3] w) => (float[batch,4,6,6] y) { y = Conv (x, w) }"""


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    subprocess.run(["git", "init", "-q"], check=True)
    return tmp_path


def put(path: Path, opset: int = 18) -> None:
    path.parent.mkdir(exist_ok=True)
    onnx.save(parser.parse_model(MODEL % opset), path)


def ran(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


def test_one_model_gets_its_ranges_its_opset_and_a_workflow(repository: Path) -> None:
    put(repository / "models" / "net.onnx")
    first = ran("init", "--target", "sm89", "--tensorrt", "10.3")
    assert first.exit_code == 0, first.output
    held = friction_toml.load(repository / "models" / "friction.toml")
    assert (held.required_opset, held.target, held.required_tensorrt) == (18, "SM89", ("10.3",))
    assert held.opset_why
    assert set(held.profile) == set(held.guessed) == {"batch"}
    workflow = yaml.safe_load((repository / ".github/workflows/friction.yml").read_text())
    steps = [step.get("run", "") for step in workflow["jobs"]["friction"]["steps"]]
    assert "friction-tui check --format github ." in steps
    (hook,) = yaml.safe_load((repository / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    assert hook["entry"] == "friction-tui check"

    assert ran("check").exit_code == 0, "without arguments the folder is searched"
    put(repository / "models" / "net.onnx", opset=17)
    again = ran("check")
    assert again.exit_code == 1
    assert held.opset_why in " ".join(again.output.split())


def test_what_is_there_is_kept_unless_forced(repository: Path) -> None:
    put(repository / "net.onnx")
    (repository / "friction.toml").write_text("required_opset = 18\n[profile.batch]\nmin = 2\nopt = 2\nmax = 5\n")
    (repository / ".gitlab-ci.yml").write_text("mine: {}\n")
    kept = ran("init", "net.onnx", "--ci", "gitlab")
    assert kept.exit_code == 0, kept.output
    assert "max = 5" in (repository / "friction.toml").read_text()
    assert (repository / ".gitlab-ci.yml").read_text() == "mine: {}\n"
    assert "friction-tui check --format junit" in kept.output, "what to add is shown"
    assert ran("init", "net.onnx", "--ci", "gitlab", "--force").exit_code == 0
    job = yaml.safe_load((repository / ".gitlab-ci.yml").read_text())["friction-tui"]
    assert job["script"][-1].endswith(" net.onnx")


def test_several_models_have_a_file_each_and_a_broken_one_is_told(repository: Path) -> None:
    put(repository / "a.onnx")
    put(repository / "b.onnx")
    (repository / "c.onnx").write_bytes(b"\x08not a model")
    subprocess.run(["git", "remote", "add", "origin", "https://gitlab.example/team/models.git"], check=True)
    result = ran("init")
    assert {path.name for path in repository.glob("*.toml")} >= {"a.friction.toml", "b.friction.toml"}
    assert (repository / ".gitlab-ci.yml").exists(), "the remote says where it is hosted"
    assert not (repository / "friction.toml").exists()
    assert "c.onnx: no file was written for it" in result.output
    assert result.exit_code == 2


def test_the_action_is_a_composite_one_that_checks() -> None:
    action = yaml.safe_load((Path(__file__).parents[2] / ".github/actions/check/action.yml").read_text())
    assert action["runs"]["using"] == "composite"
    commands = "\n".join(step.get("run", "") for step in action["runs"]["steps"])
    assert "friction-tui check $MODELS $ARGUMENTS --format github" in commands
    assert "${{" not in commands, "inputs reach the shell as variables, never as text"
