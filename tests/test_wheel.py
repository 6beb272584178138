"""The wheel holds what the program needs, and nothing else."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from friction_tui import __version__

ROOT = Path(__file__).parent.parent


@pytest.mark.slow
@pytest.mark.network
def test_the_wheel_holds_the_package_the_samples_and_nothing_else(tmp_path: Path) -> None:
    source = tmp_path / "source"
    for folder in ("friction_tui", "sample_models", "tests", "benchmarks", "docs"):
        shutil.copytree(ROOT / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "README.md", "LICENSE", "MANIFEST.in", "CHANGELOG.md"):
        shutil.copy(ROOT / file, source / file)
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(source)]
    made = subprocess.run(pip, capture_output=True, text=True, check=False, timeout=240)
    if made.returncode and "setuptools" in made.stderr:
        pytest.skip("setuptools cannot be downloaded here")
    assert made.returncode == 0, made.stderr
    with zipfile.ZipFile(tmp_path / f"friction_tui-{__version__}-py3-none-any.whl") as wheel:
        held = {name for name in wheel.namelist() if ".dist-info/" not in name}
        metadata = wheel.read(f"friction_tui-{__version__}.dist-info/METADATA").decode()
        names = {name.rpartition("/")[2] for name in wheel.namelist() if ".dist-info/" in name}
    package = {str(path.relative_to(source)) for path in (source / "friction_tui").rglob("*") if path.is_file()}
    data = f"friction_tui-{__version__}.data/data/share/friction-tui/sample_models"
    models = [*(source / "sample_models").glob("*.onnx"), *(source / "sample_models").glob("*.friction.toml")]
    assert held == package | {f"{data}/{path.name}" for path in models}
    assert names == {"METADATA", "RECORD", "WHEEL", "LICENSE", "entry_points.txt", "top_level.txt"}
    assert f"Version: {__version__}" in metadata and "Requires-Python: >=3.11" in metadata
