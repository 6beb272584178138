"""Modules planted in the current directory and beside a model: none of them runs."""

from __future__ import annotations

import sys
from pathlib import Path

from benchmarks.hardening.running import Tally, run

NAMES = (
    *("onnx", "numpy", "json", "onnxruntime", "tensorrt_rtx", "tensorrt", "torch", "onnx_ir", "onnxscript", "msgspec"),
    *("resource", "ctypes", "platformdirs", "pynvml", "click", "textual", "importlib", "asyncio", "tempfile", "base64"),
    *("sitecustomize", "usercustomize", "friction_tui", "ml_dtypes", "onnx_shape_inference", "transformers", "netron"),
    *("onnx_cpp2py_export", "signal", "subprocess", "threading", "re", "os", "typing", "rich", "google", "tomllib"),
)
COMMANDS = (("check", "m.onnx", "--also", sys.executable), ("graph", "m.onnx"), ("build", "m.onnx"), ("doctor",))
LIMIT_S = 300


def planted(folder: Path, model: bytes, names: tuple[str, ...] = NAMES) -> Tally:
    """Each name on its own, so that one does not hide another; in the current directory, and beside the model."""
    tally = Tally("planted modules")
    for number, name in enumerate(names):
        place, elsewhere = folder / f"planted-{name}", folder / "elsewhere"
        place.mkdir(parents=True)
        elsewhere.mkdir(exist_ok=True)
        (place / "m.onnx").write_bytes(model)
        ran = folder / f"ran-{name}"
        (place / f"{name}.py").write_text(f"open({str(ran)!r}, 'w').close()\nraise SystemExit(77)\n")
        arguments = COMMANDS[number % len(COMMANDS)]
        beside = [str(place / one) if one == "m.onnx" else one for one in COMMANDS[0]]
        for given, cwd in ((COMMANDS[0], place), (arguments, place), (beside, elsewhere)):
            ended = run(given, folder, cwd=cwd, limit_s=LIMIT_S)
            tally.tried += 1
            tally.kinds[f"status {ended.code}"] += 1
            if ran.exists():
                tally.fail(f"{name}.py ran on {' '.join(given)}")
                ran.unlink()
            elif fault := ended.fault():
                tally.fail(f"{name}.py, {' '.join(given)}: {fault}")
    return tally
