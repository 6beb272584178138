"""The process TensorRT's parser runs in: models in on stdin, errors out on the real stdout.

It imports the TensorRT module and the standard library only: it lives as long as the worker does, and every
megabyte of it counts. Questions and answers are lines of JSON. There are two questions:

- `{"bytes": n, "path": p, "keep": k}` and n bytes of a serialised ModelProto: does it parse? `path` is where
  relative names of external data start; a kept network stays for questions of the other kind;
- `{"dims": [[node name, output number], ...]}`: the shapes of these tensors in the kept network.

Arguments: the module to load, then plug-in libraries. Every answer carries the name and version of the TensorRT that
gave it, or `{"missing": why}` when it, or one of the libraries, cannot be loaded. Ends when stdin does.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping, Sequence

from friction_tui.engines.base import EngineMissing
from friction_tui.engines.tensorrt import module, plugins
from friction_tui.engines.tensorrt.capabilities import network_flags
from friction_tui.engines.tensorrt.module import Native
from friction_tui.engines.tensorrt.native import builder, logger

LOG_LINES, LINE_LENGTH = 200, 4000
"""How much of TensorRT's error log one answer carries at most."""


def main() -> None:
    """Serve until stdin ends."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # TensorRT prints some of its errors straight to fd 1
    stdin, asked, missing = sys.stdin.buffer, None, ""
    try:
        trt = module.load(sys.argv[1])
        missing = "; ".join(plugins.load(trt, sys.argv[2:]))
        asked, about = _Asked(trt), {"name": trt.__name__, "version": trt.__version__}
    except EngineMissing as error:
        missing = str(error)
    for line in stdin:
        question = json.loads(line)
        payload = stdin.read(question.get("bytes", 0))
        if asked is None or missing:
            answer: dict[str, object] = {"missing": missing}
        elif "dims" in question:
            answer = {**about, "dims": asked.dims(question["dims"])}
        else:
            answer = {**about, **asked.parse(payload, question["path"], keep=question["keep"])}
        out.write(json.dumps(answer).encode() + b"\n")
        out.flush()


class _Asked:
    """TensorRT's side. Logger and builder are made once: a process has one logger anyway."""

    def __init__(self, trt: Native) -> None:
        self._trt = trt
        self._lines: list[str] = []
        self._log = logger(trt, self._hear)
        self._builder = builder(trt, self._log, self._lines)
        self._flags = network_flags(trt)
        self._kept: tuple[Native, Native] | None = None

    def _hear(self, level: str, text: str) -> None:
        """Keep error lines; everything else would be read by nobody."""
        if level == "error" and len(self._lines) < LOG_LINES:
            self._lines.append(text[:LINE_LENGTH])

    def parse(self, model: bytes, path: str, *, keep: bool) -> Mapping[str, object]:
        """Parse one model."""
        self._lines.clear()
        started = time.perf_counter()
        network = self._builder.create_network(self._flags)
        parser = self._trt.OnnxParser(network, self._log)
        ok = parser.parse(model, path) if path else parser.parse(model)
        if keep:
            self._kept = (parser, network)
        return {
            "ok": ok,
            "errors": [_described(parser.get_error(number)) for number in range(parser.num_errors)],
            "log": list(self._lines),
            "seconds": time.perf_counter() - started,
        }

    def dims(self, wanted: Sequence[tuple[str, int]]) -> list[list[int] | None]:
        """Return the dims of nodes' outputs, -1 for dynamic ones, None for a tensor not there."""
        return [self._dims(name, number) for name, number in wanted]

    def _dims(self, name: str, number: int) -> list[int] | None:
        if self._kept is None:
            return None
        tensor = self._kept[0].get_layer_output_tensor(name, number)
        try:
            return None if tensor is None else list(tensor.shape)
        except RuntimeError:  # the shape of what failed to import
            return None


def _described(error: Native) -> Mapping[str, object]:
    return {
        "code": error.code().name,
        "desc": error.desc(),
        "file": error.file(),
        "func": error.func(),
        "node": error.node(),
        "name": error.node_name(),
        "op": error.node_operator(),
        "stack": list(error.local_function_stack()),
    }
