"""What our export costs over a bare torch.onnx.export of the same model in the same environment.

Both run in fresh processes. `bare` is a script that imports torch, builds the model, exports it and ends; `ours` ends
where the ONNX file is there and compared with the request, process start included. Each is told in seconds of the
clock and in seconds of the processor, which a busy machine stretches less; `whole` adds what comes after it (parity).
Budget: ours ≤ bare × 1.10 plus the process start.

`python -m benchmarks.export [RUNS]`: medians of RUNS runs (5), bare and ours in turns.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import machine, row
from friction_tui.sources import consent
from friction_tui.sources.export_request import ExportRequest
from friction_tui.sources.runner import run_export
from friction_tui.vocabulary.recipe import Source, SourceKind

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


@dataclass(frozen=True, slots=True)
class Cost:
    """Seconds of the clock and of the processor, children included."""

    wall: float
    cpu: float


def bare(path: Path, factory: str, output: Path) -> Cost:
    """The bare export, process start and end included."""
    command = [sys.executable, "-c", BARE, str(path), factory, str(output)]
    return _cost(lambda: subprocess.run(command, check=True, capture_output=True))


def ours(path: Path, factory: str, output: Path, *, aftermath: bool) -> Cost:
    """Our export, until the file is there and compared, or with what comes afterwards as well."""
    source = consent.with_consent(Source(str(path), SourceKind.PYTORCH, factory))

    def export() -> None:
        outcome = run_export(ExportRequest(source=source, output=str(output), aftermath=aftermath))
        if outcome.exported_s is None:
            told = [finding.title for finding in outcome.findings]
            raise SystemExit(f"{path.name}:{factory} did not export: {told}")

    return _cost(export)


def _cost(work: Callable[[], object]) -> Cost:
    wall, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    work()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(time.perf_counter() - wall, cpu)


def main() -> None:
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else RUNS
    print(machine())
    print(f"load {os.getloadavg()[0]:.1f} at the start")
    widths = (24, 8, 8, 8, 10, 10, 8, 10)
    print(row(("model", "bare s", "ours s", "ratio", "bare cpu s", "ours cpu s", "ratio", "whole cpu s"), widths))
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "model.onnx"
        for path, factory in MODELS:
            # Taken in turns, so that a busy moment of the machine meets all.
            taken = [
                (
                    bare(path, factory, output),
                    ours(path, factory, output, aftermath=False),
                    ours(path, factory, output, aftermath=True),
                )
                for _ in range(runs)
            ]
            wall = [statistics.median(costs[at].wall for costs in taken) for at in range(3)]
            cpu = [statistics.median(costs[at].cpu for costs in taken) for at in range(3)]
            cells = (
                f"{path.stem}:{factory}",
                *(f"{seconds:.2f}" for seconds in wall[:2]),
                f"{wall[1] / wall[0]:.3f}",
                *(f"{seconds:.2f}" for seconds in cpu[:2]),
                f"{cpu[1] / cpu[0]:.3f}",
                f"{cpu[2]:.2f}",
            )
            print(row(cells, widths), flush=True)
    print(f"load {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    main()
