"""The process TensorRT's parser runs in: models in on stdin, errors out on the real stdout.

It imports the TensorRT module and the standard library only: it lives as long as the worker does, and every
megabyte of it counts. One message in is a 4-byte length, a JSON header `{"bytes": n, "path": p}`, and n bytes
of a serialised ModelProto; `path` is where relative names of external data start. One message out is a
4-byte length and JSON. Lengths are big-endian. Ends when stdin does.
"""

from __future__ import annotations

import json
import os
import struct
import sys
import time
from collections.abc import Callable, Mapping
from typing import BinaryIO

from friction_tui.engines.base import EngineMissing
from friction_tui.engines.tensorrt import module
from friction_tui.engines.tensorrt.capabilities import network_flags
from friction_tui.engines.tensorrt.module import Native

LOG_LINES, LINE_LENGTH = 200, 4000
"""How much of TensorRT's error log one answer carries at most."""


def main() -> None:
    """Serve until stdin ends. The first message out says which TensorRT this is."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # TensorRT prints some of its errors straight to fd 1
    try:
        trt = module.load(sys.argv[1] if len(sys.argv) > 1 else "")
    except EngineMissing as error:
        _send(out, {"missing": str(error)})
        return
    parse = _parser(trt)
    _send(out, {"name": trt.__name__, "version": trt.__version__})
    stdin = sys.stdin.buffer
    while head := stdin.read(4):
        header = json.loads(stdin.read(struct.unpack(">I", head)[0]))
        _send(out, parse(stdin.read(header["bytes"]), header["path"]))


def _send(out: BinaryIO, message: Mapping[str, object]) -> None:
    text = json.dumps(message).encode()
    out.write(struct.pack(">I", len(text)) + text)
    out.flush()


def _parser(trt: Native) -> Callable[[bytes, str], Mapping[str, object]]:
    """Make the function that parses one model. Logger and builder are made once: a process has one logger anyway."""
    lines: list[str] = []
    grave = int(trt.ILogger.Severity.ERROR)

    class Log(trt.ILogger):  # type: ignore[misc]
        """Keeps error lines; everything else would be read by nobody."""

        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Native, text: str) -> None:
            if int(severity) <= grave and len(lines) < LOG_LINES:
                lines.append(text[:LINE_LENGTH])

    log = Log()
    trt.init_libnvinfer_plugins(log, "")
    builder = trt.Builder(log)
    flags = network_flags(trt)

    def parse(model: bytes, path: str) -> Mapping[str, object]:
        lines.clear()
        started = time.perf_counter()
        network = builder.create_network(flags)
        parser = trt.OnnxParser(network, log)
        ok = parser.parse(model, path) if path else parser.parse(model)
        return {
            "ok": ok,
            "errors": [_described(parser.get_error(number)) for number in range(parser.num_errors)],
            "log": list(lines),
            "seconds": time.perf_counter() - started,
        }

    return parse


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
