"""Where in the user's code an export process is, for one that has to be ended because it takes too long.

The process answers SIGUSR1 twice: faulthandler writes the Python stack at once, whatever native code it is in; between
two steps of Python code it also writes the line that it works on, which only it knows when the stack is the
exporter's (a node of a captured graph keeps the line it came from).
"""

from __future__ import annotations

import contextlib
import faulthandler
import os
import re
import signal
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec

from friction_tui.sources.source_lines import of_frame, of_stack_text
from friction_tui.vocabulary.finding import SourceLine

_SAMPLES, _BETWEEN_S = 4, 0.25
_OUTER = re.compile(r"Current thread|Thread 0x")
_held: list[Any] = []
"""The open file that faulthandler writes to."""


@dataclass(frozen=True, slots=True)
class Busy:
    """The user's line that was being worked on, and the innermost function."""

    line: SourceLine | None
    function: str

    @property
    def said(self) -> str:
        """What was going on, as a sentence for a finding's cause."""
        if self.line is None:
            return f" It was in {self.function}." if self.function else ""
        code = f": `{self.line.code}`" if self.line.code else ""
        return f" It was working on line {self.line.line} of {Path(self.line.file).name}{code} (in {self.function})."


def answer(output: str) -> None:
    """Answer SIGUSR1 from here on, in this process. `output` is the ONNX file that it writes."""
    lines = _lines_file(output)

    def tell(_signal: int, frame: FrameType | None) -> None:
        found = of_frame(frame)[-1:] or _of_node(frame)
        if found:
            with contextlib.suppress(OSError), lines.open("ab") as stream:
                stream.write(msgspec.json.encode(found[0]) + b"\n")

    with contextlib.suppress(OSError):
        signal.signal(signal.SIGUSR1, tell)
        _held[:] = [_stack_file(output).open("w")]
        faulthandler.register(signal.SIGUSR1, file=_held[0], all_threads=False, chain=True)


def of(pid: int, output: str) -> Busy | None:
    """Ask the process `pid`, which exports to `output`, a few times within a second; None when it does not answer."""
    with contextlib.suppress(OSError):
        for _ in range(_SAMPLES):
            os.kill(pid, signal.SIGUSR1)
            time.sleep(_BETWEEN_S)
    lines, stacks = _read(_lines_file(output)), _read(_stack_file(output))
    told = Counter(msgspec.json.decode(line, type=SourceLine) for line in lines.splitlines() if line.endswith("}"))
    # faulthandler lists the innermost frame first.
    last = _OUTER.split(stacks)[-1].splitlines()
    functions = [found.group(2) for text in last if (found := re.search(r'File "(.+)", line \d+ in (.+)', text))]
    in_stack = of_stack_text("\n".join(re.sub(r"(line \d+) in", r"\1, in", text) for text in reversed(last)))
    line = told.most_common(1)[0][0] if told else next(iter(in_stack[-1:]), None)
    return Busy(line, functions[0] if functions else "") if line or functions else None


def clean(output: str) -> None:
    """Remove what the process that exports to `output` wrote for this."""
    for file in (_lines_file(output), _stack_file(output)):
        file.unlink(missing_ok=True)


def _of_node(frame: FrameType | None) -> tuple[SourceLine, ...]:
    """The user's line of the node of a captured graph that a frame works on."""
    while frame is not None:
        for name in ("n", "node"):
            meta = getattr(frame.f_locals.get(name), "meta", None)
            if isinstance(meta, dict) and meta.get("stack_trace"):
                return of_stack_text(str(meta["stack_trace"]))[-1:]
        frame = frame.f_back
    return ()


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _lines_file(output: str) -> Path:
    return Path(f"{output}.lines")


def _stack_file(output: str) -> Path:
    return Path(f"{output}.stack")
