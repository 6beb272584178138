"""Our verdict on a few small model files of PyPI packages, against TensorRT-RTX and ONNX Runtime themselves."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from benchmarks.real_models import compare, files_of, wheels, wrong


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.parametrize(("package", "file"), [("basic-pitch", "nmp"), ("caustic-nmr", "best_v2_carbons")])
def test_the_verdict_on_a_published_model_is_the_engines_own(package: str, file: str, tmp_path: Path) -> None:
    try:
        [(_, wheel)] = wheels([package], None)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        pytest.skip(f"pip cannot download {package}: {error}")
    [model] = [one for one in files_of(package, wheel, tmp_path / "models") if one.name == file]
    compared = compare(model, tmp_path, 120, fix=False)
    assert list(wrong(compared)) == []
    assert bool(compared.tensorrt.failed) == (package == "caustic-nmr")
