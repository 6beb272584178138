"""From one error of the parser to one `Refusal`: which node or tensor, and whether it is a refusal at all."""

from __future__ import annotations

import re
from collections.abc import Iterable

from friction_tui.engines.base import NEEDS_GPU, PARSER_CRASHED, EngineCrashed, Refusal, Stage
from friction_tui.engines.tensorrt.log import without_cuda
from friction_tui.engines.tensorrt.marked import Mark, unmarked
from friction_tui.engines.tensorrt.parser import ParserError

_ECHO = re.compile(r"^ModelImporter\.cpp:\d+: (While parsing node|--- |ERROR: )")
"""Log lines that only repeat the error itself."""
_INITIALIZER = re.compile(r"Failed to import initializer: (?!In node|Count of weights)(.+)$", re.DOTALL)


def causes(log: Iterable[str]) -> tuple[str, ...]:
    """Log lines that say more than the error itself, without marks."""
    return tuple(unmarked(line) for line in log if not _ECHO.match(line))


def needs_gpu(error: ParserError, log: Iterable[str]) -> bool:
    """Whether the node failed for the want of a GPU and of nothing else, as RoiAlign's plugin does."""
    lines = causes(log)
    return bool(lines) and not any(map(without_cuda, lines)) and "Error Code" not in without_cuda(error.desc)


def tensor_of(error: ParserError) -> str:
    """The input or initializer an error without a node is about, "" for none."""
    if error.func == "importInput":
        return error.file
    found = _INITIALIZER.search(error.desc)
    return found[1].strip() if found else ""


def stage_of(error: ParserError) -> Stage:
    """The stage of an error that names no node."""
    if error.func == "importInput":
        return "input"
    return "initializer" if tensor_of(error) else "model"


def node_refusal(
    error: ParserError, mark: Mark, stage: Stage, *, log: Iterable[str] = (), provisional: bool = False
) -> Refusal:
    """A refused node."""
    return Refusal(
        path=mark.path,
        name=mark.name,
        op=mark.op,
        code=NEEDS_GPU if needs_gpu(error, log) else error.code,
        text=unmarked(error.desc),
        func=error.func,
        tensor="",
        stage=stage,
        provisional=provisional,
        log=causes(log),
    )


def graph_refusal(error: ParserError, tensor: str = "", *, log: Iterable[str] = ()) -> Refusal:
    """A refused input, initializer or whole graph."""
    return Refusal(
        path="",
        name="",
        op="",
        code=error.code,
        text=unmarked(error.desc),
        func=error.func,
        tensor=tensor or tensor_of(error),
        stage=stage_of(error),
        provisional=False,
        log=causes(log),
    )


def crash_refusal(crash: EngineCrashed, mark: Mark, stage: Stage, *, provisional: bool = False) -> Refusal:
    """A node that kills the parser."""
    return Refusal(
        path=mark.path,
        name=mark.name,
        op=mark.op,
        code=PARSER_CRASHED,
        text=f"{crash.what} {crash.how} when it came to this node",
        func="",
        tensor="",
        stage=stage,
        provisional=provisional,
        log=tuple(crash.tail.splitlines()[-5:]),
    )
