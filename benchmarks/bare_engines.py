"""TensorRT-RTX and ONNX Runtime asked about one model file without any code of friction_tui: the truth to compare with.

    python -m benchmarks.bare_engines tensorrt|onnxruntime MODEL.onnx FEEDS.npz

One answer is one process, so a crash costs one answer. FEEDS.npz holds the inputs: TensorRT-RTX builds at exactly their
sizes (and, for an input that it reads as a shape, their values), ONNX Runtime runs on them. Prints lines of JSON:
`{"stage": …}` as parse, build and compile begin, then `{"failed": stage or "", "text": …, "seconds": …}`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

KERNELS = "Computing profile costs"
"""TensorRT's name for the phase in which kernels are compiled: shapes, types and layers are taken when it begins."""


@dataclass(frozen=True, slots=True)
class Bare:
    """An engine's answer. `failed`: `parse`, `build` or `run` is where it refused, `died` that its process did.

    `unfinished`: the time was up while kernels were compiled, so all but those were taken.
    """

    failed: str
    text: str = ""
    seconds: float = 0.0
    unfinished: bool = False

    def __str__(self) -> str:
        """In a cell of a table."""
        if self.failed:
            return f"{self.failed}: {' '.join(self.text.split())[:160]}"
        return "kernels unfinished" if self.unfinished else "ok"


def ask(engine: str, model: Path, feeds: Path, limit_s: float) -> Bare:
    """Ask in a process of its own, which is ended after `limit_s` seconds."""
    started = time.monotonic()
    command = [sys.executable, "-m", "benchmarks.bare_engines", engine, str(model), str(feeds)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        text, _ = process.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        process.kill()
        text, _ = process.communicate()
    seconds = time.monotonic() - started
    lines = [json.loads(line) for line in text.splitlines() if line.endswith("}")]
    if lines and "failed" in lines[-1]:
        return Bare(lines[-1]["failed"], lines[-1]["text"], lines[-1]["seconds"])
    stage = lines[-1]["stage"] if lines else ""
    if seconds >= limit_s:
        if stage == "compile":
            return Bare("", seconds=seconds, unfinished=True)
        return Bare("time", f"no answer within {limit_s:.0f} s", seconds)
    return Bare("died", f"its process ended with status {process.returncode}, stage {stage or 'start'}", seconds)


def _tensorrt(model: str, feeds: dict[str, np.ndarray], say: Any) -> tuple[str, str]:
    import tensorrt_rtx as trt

    errors: list[str] = []

    class Logger(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, text: str) -> None:
            if severity <= trt.ILogger.ERROR:
                errors.append(text)

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)

        def phase_start(self, phase: str, _parent: str | None, _steps: int) -> None:
            if phase == KERNELS:
                say({"stage": "compile"})

        def phase_finish(self, phase: str) -> None: ...

        def step_complete(self, _phase: str, _step: int) -> bool:
            return True

    logger = Logger()
    builder = trt.Builder(logger)
    network = builder.create_network()
    parser = trt.OnnxParser(network, logger)
    say({"stage": "parse"})
    if not parser.parse_from_file(model):
        return "parse", "; ".join(parser.get_error(number).desc() for number in range(parser.num_errors))
    config = builder.create_builder_config()
    monitor = Monitor()
    config.progress_monitor = monitor
    profile = builder.create_optimization_profile()
    for tensor in map(network.get_input, range(network.num_inputs)):
        array = feeds[tensor.name]
        if tensor.is_shape_tensor:
            profile.set_shape_input(tensor.name, *[array.ravel().tolist()] * 3)
        else:
            profile.set_shape(tensor.name, *[array.shape] * 3)
    config.add_optimization_profile(profile)
    del errors[:]
    say({"stage": "build"})
    plan = builder.build_serialized_network(network, config)
    return ("", "") if plan is not None else ("build", "; ".join(errors))


def _onnxruntime(model: str, feeds: dict[str, np.ndarray], say: Any) -> tuple[str, str]:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    say({"stage": "parse"})
    try:
        session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the bindings raise a class of their own for each status code
        return "parse", str(error)
    say({"stage": "run"})
    try:
        session.run(None, {one.name: feeds[one.name] for one in session.get_inputs()})
    except Exception as error:
        return "run", str(error)
    return "", ""


def main() -> None:
    """Answer one question on stdout, which native libraries write to as well."""
    engine, model, stored = sys.argv[1:]
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)

    def say(line: dict[str, Any]) -> None:
        print(json.dumps(line), file=out, flush=True)

    with np.load(stored) as arrays:
        feeds = dict(arrays)
    started = time.monotonic()
    failed, text = (_tensorrt if engine == "tensorrt" else _onnxruntime)(model, feeds, say)
    say({"failed": failed, "text": text, "seconds": time.monotonic() - started})
    out.close()
    os._exit(0)  # exit handlers of native libraries can crash after the work is done


if __name__ == "__main__":
    main()
