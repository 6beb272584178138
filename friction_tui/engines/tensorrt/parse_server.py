"""The process TensorRT's parser runs in: models in on stdin, errors out on the real stdout.

It imports the TensorRT module and the standard library only: it lives as long as the worker does, and every
megabyte of it counts. One message in is a 4-byte length and a JSON header, one message out a 4-byte length and
JSON; lengths are big-endian. There are two questions:

- `{"bytes": n, "path": p, "keep": k}` and n bytes of a serialised ModelProto: does it parse? `path` is where
  relative names of external data start; a kept network stays for questions of the other kind;
- `{"dims": [[node name, output number], ...]}`: the shapes of these tensors in the kept network.

Ends when stdin does.
"""

from __future__ import annotations

import json
import os
import struct
import sys
import time
from collections.abc import Mapping, Sequence
from typing import BinaryIO

from friction_tui.engines.base import EngineMissing
from friction_tui.engines.tensorrt import module
from friction_tui.engines.tensorrt.capabilities import network_flags
from friction_tui.engines.tensorrt.module import Native
from friction_tui.engines.tensorrt.native import builder, logger

LOG_LINES, LINE_LENGTH = 200, 4000
"""How much of TensorRT's error log one answer carries at most."""


def main() -> None:
    """Serve until stdin ends. The first message out says which TensorRT this is."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # TensorRT prints some of its errors straight to fd 1
    try:
        trt = module.load(sys.argv[1])
        ask = _Asked(trt)
    except EngineMissing as error:
        _send(out, {"missing": str(error)})
        return
    _send(out, {"name": trt.__name__, "version": trt.__version__})
    stdin = sys.stdin.buffer
    while head := stdin.read(4):
        header = json.loads(stdin.read(struct.unpack(">I", head)[0]))
        if "dims" in header:
            _send(out, {"dims": ask.dims(header["dims"])})
        else:
            _send(out, ask.parse(stdin.read(header["bytes"]), header["path"], keep=header["keep"]))


def _send(out: BinaryIO, message: Mapping[str, object]) -> None:
    text = json.dumps(message).encode()
    out.write(struct.pack(">I", len(text)) + text)
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


if __name__ == "__main__":
    main()
