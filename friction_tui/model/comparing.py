"""Two model files compared in a process of its own: reading them needs onnx, which a command does not import."""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

from friction_tui.vocabulary.protocol.differences import Compared, Pair


def main() -> None:
    """A `Pair` on stdin, `Compared` on stdout."""
    from friction_tui.model.graph_diff import model_diff
    from friction_tui.model.opened import open_model
    from friction_tui.processes.stdio import take_stdout

    channel = take_stdout()
    pair = msgspec.json.decode(sys.stdin.buffer.read(), type=Pair)
    models = [open_model(Path(path)) for path in (pair.before, pair.after)]
    missing = next((str(model.path) for model in models if model.file.kind != "onnx"), "")
    found = None if missing else model_diff(models[0].proto, models[1].proto)
    channel.write(msgspec.json.encode(Compared(found, missing)))
    channel.flush()
