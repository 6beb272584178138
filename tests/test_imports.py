"""What may import what: no circles, every package in a contract, and no native library in the terminal's process."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.import_graph import circles, import_graph, of_packages

NATIVE = {"numpy", "onnx", "onnx_ir", "onnxruntime", "tensorrt", "tensorrt_rtx", "torch", "tensorflow", "pynvml"}
JUDGING = ("session", "model", "engines", "sources", "rules", "rewrites", "measure")
JUDGES = {f"friction_tui.{package}" for package in JUDGING}
WIDGETS = {"textual", "rich", "plotext"}


def imported(*arguments: str) -> set[str]:
    """Names of all modules that Python imported while it ran with these arguments."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments], capture_output=True, check=True, text=True, timeout=60
    )
    return {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}


@pytest.mark.parametrize("arguments", [("--version",), ("--help",), ("explain", "dynamic/baked-reshape")])
def test_a_short_command_imports_nothing_that_judges_and_no_widget(arguments: tuple[str, ...]) -> None:
    known = imported("-m", "friction_tui", *arguments)
    assert "friction_tui.cli" in known
    assert not known & (NATIVE | JUDGES | WIDGETS)


@pytest.mark.parametrize("module", ["friction_tui.ui.app", "friction_tui.ui.workbench", "friction_tui.worker.headless"])
def test_the_ui_imports_nothing_native(module: str) -> None:
    known = imported("-c", f"import {module}")
    assert module in known
    assert not known & (NATIVE | JUDGES)


def test_the_hub_of_a_shared_session_imports_no_widget() -> None:
    known = imported("-c", "import friction_tui.sharing.hub")
    assert "friction_tui.sharing.hub" in known
    assert not known & (NATIVE | JUDGES | WIDGETS)


def test_there_is_no_circle_of_imports() -> None:
    graph = import_graph()
    assert "friction_tui.vocabulary.protocol.events" in graph["friction_tui.vocabulary.protocol"]
    assert circles(graph) == []
    assert circles(of_packages(graph)) == []


def test_a_circle_would_be_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == [["b", "c"]]


def test_every_package_may_either_know_models_or_the_terminal() -> None:
    settings = tomllib.loads(Path("pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    contracts = [contract for contract in settings["contracts"] if contract["type"] == "forbidden"]
    without_models, without_terminal = (
        {".".join(module.split(".")[:2]) for module in contract["source_modules"]} for contract in contracts[:2]
    )
    packages = {name for name in of_packages(import_graph()) if name != "friction_tui"}
    assert packages == without_models | without_terminal


def test_a_module_that_stands_in_no_layer_breaks_a_contract() -> None:
    settings = tomllib.loads(Path("pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    layered = [contract for contract in settings["contracts"] if contract["type"] == "layers"]
    assert [one["name"] for one in layered if not (one.get("exhaustive") and one.get("containers"))] == []
