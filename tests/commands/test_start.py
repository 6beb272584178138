"""Starting: quick, without a heavy import, and with the words a shell expects."""

from __future__ import annotations

import subprocess
import sys

import pytest
from click.testing import CliRunner

from friction_tui import __version__
from friction_tui.cli import main

HEAVY = ("textual", "onnx", "numpy", "torch", "tensorrt", "tensorrt_rtx", "onnxruntime", "tensorflow", "plotext")


@pytest.mark.parametrize("argument", ["--version", "--help"])
def test_nothing_heavy_is_imported_to_say_what_this_is(argument: str) -> None:
    code = (
        "import sys, friction_tui.cli as c\n"
        f"try: c.main([{argument!r}])\n"
        f"finally: print('heavy:', [m for m in {HEAVY} if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stderr.strip() == "heavy: []"
    assert __version__ in done.stdout or "check" in done.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell: str) -> None:
    done = CliRunner().invoke(main, ["completion", shell])
    assert done.exit_code == 0
    assert "_FRICTION_TUI_COMPLETE" in done.output


def test_demo_prints_a_report_without_a_terminal() -> None:
    done = CliRunner().invoke(main, ["demo", "boolean_mask"])
    assert done.exit_code == 1
    assert "boolean_mask.onnx" in done.output
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
