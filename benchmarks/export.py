"""What our export costs over a bare torch.onnx.export of the same model in the same environment.

Both run in fresh processes. `bare` is the wall time of a script that imports torch, builds the model, exports it and
ends; `ours` is the time until the ONNX file is there and compared with the request, process start included.
Parity and the like come afterwards and are timed apart (`whole`). Budget: ours ≤ bare × 1.10 plus the process start.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.machine import machine, row
from friction_tui.recipe import Source, SourceKind
from friction_tui.sources import consent
from friction_tui.sources.export_request import ExportRequest
from friction_tui.sources.runner import run_export

ROOT = Path(__file__).parent.parent
MODELS = (
    (ROOT / "sample_models" / "pytorch" / "residual_cnn.py", "model"),
    (ROOT / "benchmarks" / "torch_models.py", "gpt"),
    (ROOT / "benchmarks" / "torch_models.py", "bert"),
)
RUNS = 5
BARE = """
import importlib.util, sys, torch
path, factory, output = sys.argv[1:]
spec = importlib.util.spec_from_file_location("bare_model", path)
code = importlib.util.module_from_spec(spec)
spec.loader.exec_module(code)
made = getattr(code, factory)()
module, args = made if isinstance(made, tuple) else (made, code.example_inputs())
options = code.export_kwargs() if hasattr(code, "export_kwargs") else {}
torch.onnx.export(module, args, output, dynamo=True, verbose=False, **options)
"""


def bare(path: Path, factory: str, output: Path) -> float:
    """Seconds of the bare export, process start and end included."""
    begin = time.perf_counter()
    command = [sys.executable, "-c", BARE, str(path), factory, str(output)]
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - begin


def ours(path: Path, factory: str, output: Path) -> tuple[float, float]:
    """Seconds until the file is there, and of the whole process with parity."""
    source = consent.with_consent(Source(str(path), SourceKind.PYTORCH, factory))
    outcome = run_export(ExportRequest(source=source, output=str(output)))
    if outcome.exported_s is None:
        raise SystemExit(f"{path.name}:{factory} did not export: {[finding.title for finding in outcome.findings]}")
    return outcome.exported_s, outcome.seconds


def main() -> None:
    print(machine())
    widths = (24, 8, 8, 8, 8)
    print(row(("model", "bare s", "ours s", "ratio", "whole s"), widths))
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "model.onnx"
        for path, factory in MODELS:
            # Taken in turns, so that a busy moment of the machine meets both.
            pairs = [(bare(path, factory, output), ours(path, factory, output)) for _ in range(RUNS)]
            without = statistics.median(seconds for seconds, _ in pairs)
            until, whole = (statistics.median(pair[1][i] for pair in pairs) for i in (0, 1))
            cells = (
                f"{path.stem}:{factory}",
                f"{without:.2f}",
                f"{until:.2f}",
                f"{until / without:.3f}",
                f"{whole:.2f}",
            )
            print(row(cells, widths))


if __name__ == "__main__":
    main()
