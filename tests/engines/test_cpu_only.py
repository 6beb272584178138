"""TensorRT 11 on a machine without a GPU: its CPU-only mode is tried, told, and given up where it does not start.

The bindings are NVIDIA's own, from PyPI; the 2 GB of libraries behind them are stood in for by a few lines of C.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from friction_tui.engines.nvidia import cannot_run
from friction_tui.engines.tensorrt import engine as tensorrt
from friction_tui.engines.tensorrt.module import Installed
from friction_tui.processes.begin import command

BINDINGS = "tensorrt-cu13-bindings==11.4.0.106"
LIBRARIES = """
#include <stdlib.h>
#include <string.h>
/* An object whose virtual functions all return 0: enough of a builder for the bindings to hold one. */
struct object { void **table; struct object *inner; };
static void *table[256];
static struct object inner = { table, 0 }, builder = { table, &inner };
static void *nothing(void) { return 0; }
void *createInferBuilder_INTERNAL(void *logger, int version) {
  const char *options = getenv("TRT_INTERNAL_OPTIONS");
  for (int i = 0; i < 256; i++) table[i] = (void *)nothing;
  return options && strstr(options, "--cpu_only=1") && !getenv("WITHOUT_THE_MODE") ? &builder : 0;
}
void *createInferRefitter_INTERNAL(void) { return 0; }
void *createInferRuntime_INTERNAL(void) { return 0; }
void *createNvOnnxParserRefitter_INTERNAL(void) { return 0; }
void *createNvOnnxParser_INTERNAL(void) { return 0; }
void *getBuilderPluginRegistry(void) { return 0; }
void *getNvOnnxParserVersion(void) { return 0; }
void *getPluginRegistry(void) { return 0; }
int initLibNvInferPlugins(void) { return 1; }
"""


@pytest.fixture(scope="module")
def bindings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a package `tensorrt` of the real bindings, and libraries that have a builder in that mode only."""
    if shutil.which("cc") is None or not sys.platform.startswith("linux"):
        pytest.skip("no C compiler here")
    folder = tmp_path_factory.mktemp("tensorrt")
    download = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--dest", str(folder), BINDINGS]
    if subprocess.run(download, capture_output=True, timeout=120, check=False).returncode:
        pytest.skip("pip cannot download the bindings here")
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        wheel.extractall(folder)
    (folder / "tensorrt").mkdir()
    (folder / "tensorrt" / "__init__.py").write_text(
        "from tensorrt_bindings import *\nfrom tensorrt_bindings import __version__\n"
    )
    source = folder / "libraries.c"
    source.write_text(LIBRARIES)
    for library in ("libnvonnxparser", "libnvinfer_plugin", "libnvinfer"):
        out = folder / f"{library}.so.11"
        subprocess.run(["cc", "-shared", "-fPIC", "-o", out, source], check=True)
    return folder


@pytest.mark.slow
@pytest.mark.skipif(not cannot_run(), reason="there is a GPU")
@pytest.mark.parametrize("has_the_mode", [True, False])
def test_the_bindings_of_tensorrt_11_build_without_a_gpu_where_the_mode_starts(
    has_the_mode: bool, bindings: Path
) -> None:
    there = {"LD_LIBRARY_PATH": str(bindings), "PYTHONPATH": str(bindings)}
    without = {} if has_the_mode else {"WITHOUT_THE_MODE": "1"}
    asked = command("friction_tui.engines.tensorrt.capabilities_job", "tensorrt", "without-gpu")
    done = subprocess.run(
        asked, env={**os.environ, **there, **without}, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    known = json.loads(done.stdout.splitlines()[-1])
    assert (known["version"], known["cpu_only"]) == ("11.4.0.106", has_the_mode)


@pytest.mark.parametrize("cpu_only", [True, False])
def test_an_edition_in_that_mode_builds_and_does_not_run(cpu_only: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """What such a TensorRT answers is what this machine cannot have."""
    monkeypatch.setattr(tensorrt, "_capabilities", lambda _: {"precisions": [], "targets": [], "cpu_only": cpu_only})
    monkeypatch.setattr(tensorrt, "cannot_run", lambda: "no NVIDIA driver")
    monkeypatch.setattr(Installed, "can_build", property(lambda _: False))
    known = tensorrt._info(Installed("tensorrt", "11.4.0.106"))
    assert (known.can_parse, known.can_build, known.can_run, known.cpu_only) == (cpu_only, cpu_only, False, cpu_only)
    assert known.why_not == "no NVIDIA driver"
