"""A process of the terminal's machine: which files a model consists of, and which bytes of them come first.

One path on stdin, one `Packed` on stdout. It reads models, so it is kept apart from the terminal's own process.
"""

from __future__ import annotations

import mmap
import os
import sys
from pathlib import Path

from friction_tui.processes.stdio import LineWriter, take_stdout
from friction_tui.vocabulary.protocol.line import Packed, Part

WORTH_IT = 1 << 20
"""Bytes of weights from which on they are left out at first."""


def pack(path: Path) -> Packed:
    """What to send of the model at `path`."""
    from friction_tui.model.file import hollow
    from friction_tui.model.opened import all_tensors, open_model
    from friction_tui.model.weightless import quantization_parameters

    model = open_model(path)
    if model.file.kind in ("missing", "directory"):
        return Packed(why_not=model.file.error)
    folder = path.resolve().parent
    own = Part(path.resolve().name, model.file.size, ((0, model.file.size),))
    if model.file.kind != "onnx":
        return Packed(str(folder), (own,))  # what is wrong with it is for the worker to say
    kept = quantization_parameters(model.proto)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        view = memoryview(content)
        holes = hollow.embedded(view, kept)
        view.release()
    needed = hollow.outside(model.external, hollow.element_types(all_tensors(model.index)), kept)
    whole, light = [own], [Part(own.name, own.size, tuple(hollow.without(holes, own.size)))]
    for external, segments in needed.items():
        name, size = str(external.relative_to(folder)), external.stat().st_size
        if name == own.name:
            continue
        whole.append(Part(name, size, ((0, size),)))
        light.append(Part(name, size, tuple(segments)))
    left_out = _bytes(whole) - _bytes(light)
    return Packed(str(folder), tuple(whole), tuple(light) if left_out >= WORTH_IT else ())


def _bytes(parts: list[Part]) -> int:
    return sum(length for part in parts for _, length in part.segments)


def main() -> None:
    """In a process of its own."""
    send = LineWriter(take_stdout())
    path = Path(os.fsdecode(sys.stdin.buffer.readline().rstrip(b"\n")))
    try:
        send(pack(path))
    except (OSError, ValueError) as error:
        send(Packed(why_not=str(error)))
    sys.stderr.flush()
    os._exit(0)
