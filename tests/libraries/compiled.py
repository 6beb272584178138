"""The C sources of this folder as shared libraries, which stand for NVIDIA's on a machine that has none."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def compiled(source: str, library: Path, *defined: str) -> Path:
    """`source` of this folder as `library`; the test is skipped where there is no C compiler."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler (cc or gcc) here to make a stand-in for NVIDIA's library")
    flags = [
        "-shared",
        "-fPIC",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-Wno-unused-function",
        *(f"-D{name}" for name in defined),
    ]
    made = subprocess.run([compiler, *flags, "-o", library, HERE / source], capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    return library
