"""The doctor on the machine the tests run on, with or without a GPU: real packages, a lock, and what changed."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from friction_tui.cli import main
from friction_tui.processes.begin import command
from friction_tui.processes.child import run
from friction_tui.stack.installed import Stack, differences, lock_of, read_lock, table


@pytest.fixture(scope="module")
def stack() -> Stack:
    done = run(command("friction_tui.stack.doctor"), limit_s=60)
    assert done.code == 0, done.tail
    return msgspec.json.decode(done.out, type=Stack)


def test_the_stack_names_what_is_installed_with_its_version(stack: Stack) -> None:
    versions = {item.name: item.version for item in stack.items}
    assert versions["onnx"] == importlib.metadata.version("onnx")
    assert versions["torch"] == importlib.metadata.version("torch")
    assert any(name.startswith("TensorRT") for name in versions)
    assert stack.packages["msgspec"] == importlib.metadata.version("msgspec")


def test_the_table_has_every_part_and_every_finding(stack: Stack) -> None:
    printed = table(stack)
    assert all(item.name in printed for item in stack.items)
    assert all(finding.title in printed for finding in stack.findings)


def test_neither_torch_nor_tensorrt_is_imported() -> None:
    code = (
        "import sys, friction_tui.stack.doctor as d; d.examine(); print({'torch', 'tensorrt_rtx'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "set()"


def test_a_lock_says_what_changed(stack: Stack, tmp_path: Path) -> None:
    lock = lock_of(stack)
    assert differences(lock, lock) == []
    older = msgspec.structs.replace(lock, packages={**lock.packages, "onnx": "1.16.1", "gone": "1.0"})
    changed = differences(older, lock)
    assert f"package onnx: 1.16.1 → {lock.packages['onnx']}" in changed
    assert "package gone: 1.0 → none" in changed
    with pytest.raises(ValueError, match="not a lock"):
        read_lock(b"{}")


def test_the_command_writes_a_lock_and_compares_with_it(tmp_path: Path) -> None:
    path = tmp_path / "stack.json"
    written = CliRunner().invoke(main, ["doctor", "--json", "--lock", str(path)])
    assert json.loads(written.stdout)["packages"]["onnx"]
    text = path.read_bytes().replace(importlib.metadata.version("onnx").encode(), b"1.0.0")
    path.write_bytes(text)
    compared = CliRunner().invoke(main, ["doctor", "--diff", str(path)])
    assert compared.exit_code == 1
    assert "package onnx: 1.0.0 → " in compared.output
