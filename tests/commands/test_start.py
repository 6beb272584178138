"""Starting: with the words a person and a shell expect. How quick it is: tests/test_imports.py, benchmarks."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from friction_tui import __version__
from friction_tui.cli import main


@pytest.mark.parametrize(("argument", "said"), [("--version", __version__), ("--help", "friction-tui check MODEL")])
def test_it_says_what_it_is(argument: str, said: str) -> None:
    done = CliRunner().invoke(main, [argument])
    assert done.exit_code == 0
    assert said in done.output


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell: str) -> None:
    done = CliRunner().invoke(main, ["completion", shell])
    assert done.exit_code == 0
    assert "_FRICTION_TUI_COMPLETE" in done.output


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("friction-tui ", {"plain,check", "plain,report", "file,"}),
        ("friction-tui che", {"plain,check", "file,che"}),
        ("friction-tui check mod", {"file,mod"}),
        ("friction-tui diff a.onnx b", {"file,b"}),
        ("friction-tui model.onnx --wat", {"plain,--watch"}),
        ("friction-tui check --form", {"plain,--format"}),
    ],
)
def test_a_shell_completes_commands_models_and_options(
    typed: str, offered: set[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("_FRICTION_TUI_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", typed)
    monkeypatch.setenv("COMP_CWORD", str(len(typed.split(" ")) - 1))
    with pytest.raises(SystemExit):
        main([], prog_name="friction-tui", standalone_mode=False)
    said = set(capsys.readouterr().out.splitlines())
    assert offered <= said
    assert typed.endswith(" ") or said == offered, "nothing else is offered"


def test_demo_prints_a_report_without_a_terminal() -> None:
    done = CliRunner().invoke(main, ["demo", "boolean_mask"])
    assert done.exit_code == 0, "what it found is what it is to show"
    assert "boolean_mask.onnx" in done.output
    assert "✗ error" in done.output
    unknown = CliRunner().invoke(main, ["demo", "nothing"])
    assert unknown.exit_code == 2
    assert "the samples are detector" in unknown.output


def test_an_unknown_kind_is_answered_with_its_neighbours() -> None:
    known = CliRunner().invoke(main, ["explain", "dynamic/baked-reshape"])
    assert known.exit_code == 0
    assert "Cause" in known.output
    near = CliRunner().invoke(main, ["explain", "dynamic/bakedreshape"])
    assert near.exit_code == 2
    assert "did you mean dynamic/baked-reshape" in near.output
