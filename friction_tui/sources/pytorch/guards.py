"""What a capture assumed about dynamic dimensions, and on which of the user's lines it began to.

torch.export records every guard with the user's stack in its structured trace (logger `torch.__trace`, the channel
`torch.export.draft_export` reads). Listening costs time, so it is done in a second capture, only when the first one
came out with less than was asked.
"""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch._logging import _internal as trace_switch
from torch._logging import structured

from friction_tui.sources.source_lines import of_stack_text
from friction_tui.vocabulary.finding import SourceLine
from friction_tui.vocabulary.protocol.evidence import Decision

_SIZE = re.compile(r"L\['?([^'\]]+)'?\]((?:\[[^\]]+\])*)\.size\(\)\[(\d+)\]")


@dataclass(frozen=True, slots=True)
class Guard:
    """One assumption: `expression` over symbols, and which input dimension each symbol is, as (input, axis)."""

    expression: str
    symbols: dict[str, tuple[str, int]]
    line: SourceLine | None
    variables: tuple[tuple[str, str], ...] = ()
    """The line's own variables, with their shapes."""

    def about(self, input_name: str, axis: int) -> bool:
        """Whether the guard is about this dimension."""
        return (input_name, axis) in self.symbols.values()

    def readable(self) -> str:
        """The expression with `x.size(0)` for the symbols and Python's operators."""
        text = self.expression
        for symbol, (name, axis) in self.symbols.items():
            text = re.sub(rf"\b{re.escape(symbol)}\b", f"{name}.size({axis})", text)
        return re.sub(r"^Eq\((.+), (.+)\)$", r"\1 == \2", re.sub(r"Mod\(([^,]+), ([^,]+)\)", r"\1 % \2", text))


def of_capture(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], shapes: Any) -> tuple[Guard, ...]:
    """Capture once more with the dimensions left free and return the guards added on the way, in order."""
    # As torch.onnx.export captures: a size of 0 or 1 in the example is not a constant.
    settings: Any = torch.fx.experimental._config
    oblivious = {"backed_size_oblivious": True} if hasattr(settings, "backed_size_oblivious") else {}
    with _listening() as guards, settings.patch(**oblivious):
        try:
            torch.export.export(module, args, kwargs=kwargs, dynamic_shapes=shapes, strict=False)
        except Exception:
            # This capture only listens: what was recorded before it failed is what is wanted.
            return tuple(guards)
    return tuple(guards)


def decisions(guards: Sequence[Guard]) -> tuple[Decision, ...]:
    """The guards as they are shown: each once, with how often it was met."""
    times = Counter((guard.readable(), guard.line) for guard in guards)
    held = {(guard.readable(), guard.line): guard.variables for guard in guards}
    return tuple(Decision(said, line, times[said, line], "True", held[said, line]) for said, line in times)


def variables(data: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """The variables of the line in a record of torch's structured trace: `x` with `2×8`."""
    named = ((data.get("frame_locals") or {}).get("locals") or {}).items()
    return tuple((name, _variable(described)) for name, described in named)


def _variable(described: Sequence[object]) -> str:
    """Torch's description, shorter: `2×8` for `Tensor(shape: torch.Size([2, 8]), ...)`."""
    texts = []
    for one in described:
        sizes = re.search(r"Size\(\[([^\]]*)\]\)", str(one))
        texts.append(("×".join(sizes.group(1).split(", ")) or "scalar") if sizes else str(one))
    return ", ".join(texts)


@contextmanager
def _listening() -> Iterator[list[Guard]]:
    recorded: list[Guard] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            added = getattr(record, "metadata", {}).get("guard_added")
            if added and "suppressed" not in added.get("prefix", ""):
                symbols = {
                    symbol: (_name(match), int(match.group(3)))
                    for symbol, where in added["symbol_to_sources"].items()
                    if (match := _SIZE.search(str(where)))
                }
                line = line_of_stack(added.get("user_stack") or [], _interned())
                recorded.append(Guard(added["expr"], symbols, line, variables(added)))

    listener, logger = Listener(), logging.getLogger("torch.__trace")
    before = trace_switch.GET_DTRACE_STRUCTURED
    logger.addHandler(listener)
    trace_switch.GET_DTRACE_STRUCTURED = True
    try:
        yield recorded
    finally:
        trace_switch.GET_DTRACE_STRUCTURED = before
        logger.removeHandler(listener)


def _name(match: re.Match[str]) -> str:
    """`L['xs'][0].size()[1]` is the input the exporter calls `xs_0`."""
    inner = re.findall(r"\[['\"]?([^'\"\]]+)['\"]?\]", match.group(2))
    return "_".join([match.group(1), *inner])


def _interned() -> dict[int, str]:
    return {number: name for name, number in structured.INTERN_TABLE.items()}


def line_of_stack(stack: Sequence[dict[str, Any]], files: Mapping[int, str]) -> SourceLine | None:
    """The innermost user frame of a stack that torch recorded, whose file names are numbers that `files` resolves."""
    text = "\n".join(
        f'File "{files.get(frame["filename"], frame["filename"])}", line {frame["line"]}, in {frame["name"]}'
        for frame in stack
    )
    lines = of_stack_text(text)
    return lines[-1] if lines else None
