"""What a process must not have imported: seconds of start-up, and crashes of native code, are not the face's."""

from __future__ import annotations

import subprocess
import sys

import pytest

NATIVE = {"numpy", "onnx", "onnx_ir", "onnxruntime", "tensorrt", "tensorrt_rtx", "torch", "tensorflow", "pynvml"}
ROOMS = ("session", "model", "engines", "sources", "rules", "rewrites", "measure")
JUDGES = {f"friction_tui.{room}" for room in ROOMS}
WIDGETS = {"textual", "rich", "plotext"}


def imported(*arguments: str) -> set[str]:
    """Names of all modules that Python imported while it ran with these arguments."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments], capture_output=True, check=True, text=True, timeout=60
    )
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}


@pytest.mark.parametrize("arguments", [("--version",), ("--help",), ("explain", "dynamic/baked-reshape")])
def test_a_word_on_the_command_line_imports_no_judge_and_no_widget(arguments: tuple[str, ...]) -> None:
    known = imported("-m", "friction_tui", *arguments)
    assert "friction_tui.cli" in known
    assert not known & (NATIVE | JUDGES | WIDGETS)


@pytest.mark.parametrize("face", ["friction_tui.ui.app", "friction_tui.ui.workbench", "friction_tui.worker.headless"])
def test_the_face_imports_nothing_native(face: str) -> None:
    known = imported("-c", f"import {face}")
    assert face in known
    assert not known & (NATIVE | JUDGES)


def test_the_hub_of_a_shared_session_imports_no_widget() -> None:
    known = imported("-c", "import friction_tui.sharing.hub")
    assert "friction_tui.sharing.hub" in known
    assert not known & (NATIVE | JUDGES | WIDGETS)
