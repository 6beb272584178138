"""The numbers TensorRT's builder puts into its INFO log, and what a line means for the user.

Wordings as printed by TensorRT-RTX 1.7.1 and TensorRT 10; a line that is worded otherwise gives no number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

_BYTES = re.compile(
    r"^(Total Activation|Max Scratch|Total Scratch|Total Weights|Total Host Persistent|Total Device Persistent)"
    r" Memory: (\d+)(?: bytes)?"
)
_SECONDS = re.compile(r"^Engine generation completed in ([\d.]+) seconds")
_PEAK = re.compile(r"^\[MemUsageStats\] Peak memory usage .*?CPU:? (\d+) MiB")

CANNOT_RUN = re.compile(r"values are not self-consistent|violate shape constraints")
"""In a warning: TensorRT builds in spite of it, and the engine fails at that point of the profile."""
NO_CUDA = re.compile(
    r"catchCudaError|cudaError \d+: (CUDA driver|no CUDA-capable)|Cuda Error in \w+: \d+|"
    r"CUDA driver version is insufficient|no CUDA-capable device|CUDA initialization failure"
)
"""A line that TensorRT logs because it found no GPU. It does so behind many ordinary errors, where it means nothing."""
_RULE = re.compile(r"^-+$|^\w[\w ]*:\s*$")
"""Separators and empty fields of the model's header, not worth showing."""


@dataclass(slots=True)
class Figures:
    """What one build said about itself. Bytes and seconds; None: not said."""

    activation: list[int] = field(default_factory=list)
    """One entry per optimization profile, at its max."""
    scratch: int | None = None
    weights: int | None = None
    host_persistent: int | None = None
    device_persistent: int | None = None
    peak_host: int | None = None
    seconds: float | None = None

    def read(self, line: str) -> None:
        """Take the number out of a line, if there is one."""
        if found := _BYTES.match(line):
            self._bytes(found[1], int(found[2]))
        elif found := _SECONDS.match(line):
            self.seconds = float(found[1])
        elif found := _PEAK.match(line):
            # RTX prints 0 for small builds: rounded down, so not known.
            self.peak_host = int(found[1]) * 2**20 or None

    def _bytes(self, what: str, count: int) -> None:
        match what:
            case "Total Activation":
                self.activation.append(count)
            case "Total Weights":
                self.weights = max(count, self.weights or 0)
            case "Total Host Persistent":
                self.host_persistent = max(count, self.host_persistent or 0)
            case "Total Device Persistent":
                self.device_persistent = max(count, self.device_persistent or 0)
            case _:
                self.scratch = max(count, self.scratch or 0)


def figures(lines: Iterable[str]) -> Figures:
    """Read the numbers of a whole log."""
    found = Figures()
    for line in lines:
        found.read(line)
    return found


def worth_showing(level: str, text: str) -> bool:
    """Whether a line belongs in front of a person. Densenet's build logs 61,000 verbose lines."""
    return level != "verbose" and bool(text.strip()) and not _RULE.match(text)


def worth_keeping(errors: Iterable[str]) -> list[str]:
    """The error lines that say why, in order and without repeats.

    What TensorRT adds because it found no GPU goes, unless it is all there is.
    """
    told = list(dict.fromkeys(line.strip() for line in errors if line.strip()))
    return [message for message in told if without_cuda(message)] or told


def without_cuda(message: str) -> str:
    """Return a message without the lines about a missing GPU, "" when nothing else is in it."""
    return "\n".join(line for line in message.splitlines() if not NO_CUDA.search(line))
