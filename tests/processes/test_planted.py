"""Modules in the current directory or beside a model never run, whatever installed module they are called like."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import onnx.parser
import pytest

from friction_tui.processes.begin import PACKAGE
from friction_tui.processes.child import run

NAMES = (
    *("onnx", "numpy", "json", "onnxruntime", "tensorrt_rtx", "tensorrt", "torch", "onnx_ir", "onnxscript", "msgspec"),
    *("resource", "ctypes", "platformdirs", "pynvml", "click", "textual", "importlib", "asyncio", "tempfile"),
    *("sitecustomize", "usercustomize", "friction_tui", "ml_dtypes", "onnx_shape_inference", "transformers"),
)
MODEL = """
import torch
def model():
    return torch.nn.Sequential(torch.nn.Linear(4, 2), torch.nn.ReLU()).eval(), (torch.randn(2, 4),)
"""
START = """
import os, sys
os.environ["PYTHONPATH"] = os.pathsep.join(["", {package!r}, "."])
sys.path.append({package!r})
from friction_tui.cli import main
main()
"""
"""An empty entry of PYTHONPATH means the current directory: the children of this process must not see it."""


@pytest.fixture
def planted(tmp_path: Path) -> Path:
    """A folder with a model, its source, and for each name a module and a package that leave a mark when they run."""
    folder = tmp_path / "planted"
    folder.mkdir()
    for number, name in enumerate(NAMES):
        mark = f"import pathlib\npathlib.Path({str(tmp_path / 'ran')!r}).open('a').write({name + chr(10)!r})\n"
        file = folder / name / "__init__.py" if number % 4 == 3 else folder / f"{name}.py"
        file.parent.mkdir(exist_ok=True)
        file.write_text(mark)
    graph = "g (float[N,4] x) => (float[N,4] y) { a = Relu(x)  y = Sigmoid(a) }"
    onnx.save(onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> {graph}'), folder / "m.onnx")
    (folder / "net.py").write_text(MODEL)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("beside", [False, True], ids=["current directory", "beside the model"])
@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "m.onnx", "--also", sys.executable),
        ("graph", "m.onnx"),
        ("build", "m.onnx", "--shapes", "x:2x4"),
        ("doctor",),
        ("check", "net.py:model", "--allow-code"),
    ],
    ids=["check", "graph", "build", "doctor", "export"],
)
def test_what_is_planted_does_not_run(
    planted: Path, tmp_path: Path, beside: bool, arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))  # so that the engines are asked what they can do
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere if beside else planted)
    given = [str(planted / one) if beside and one.startswith(("m.", "net.")) else one for one in arguments]
    done = run([sys.executable, "-P", "-c", START.format(package=str(Path(PACKAGE).parent)), *given])
    assert done.code in (0, 1), done.tail
    assert done.out
    assert not (tmp_path / "ran").exists(), (tmp_path / "ran").read_text()


def test_the_main_process_as_a_module(planted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(planted)
    monkeypatch.setenv("PYTHONPATH", str(Path(PACKAGE).parent))
    (planted / "friction_tui.py").unlink()  # Python itself takes it for the module to run
    (planted / "importlib.py").unlink(missing_ok=True)  # and imports this one before it runs any
    done = run([sys.executable, "-m", "friction_tui", "check", "m.onnx"])
    assert done.code in (0, 1), done.tail
    assert not (tmp_path / "ran").exists(), (tmp_path / "ran").read_text()


@pytest.mark.parametrize("entries", [("", "/nowhere"), (".",), ("/nowhere", "./")])
def test_the_command_with_the_current_directory_in_pythonpath(
    planted: Path, tmp_path: Path, entries: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python itself imports what it needs to start; what the command needs is imported from where it is installed."""
    for name in ("sitecustomize", "usercustomize", "friction_tui", "json", "resource", "tempfile", "ctypes"):
        for left in (planted / f"{name}.py", planted / name / "__init__.py"):
            left.unlink(missing_ok=True)
    monkeypatch.chdir(planted)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join((*entries, str(Path(PACKAGE).parent))))
    start = "import sys; sys.argv[0] = 'friction-tui'; from friction_tui.cli import main; main()"
    done = run([sys.executable, "-P", "-c", start, "check", "m.onnx"])
    assert done.code in (0, 1), done.tail
    assert not (tmp_path / "ran").exists(), (tmp_path / "ran").read_text()
