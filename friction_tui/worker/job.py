"""A job process: reads one `JobRequest`, does it, writes `JobProgress` and one `JobEnded`."""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Callable

import msgspec

from friction_tui.processes.ended import out_of_memory
from friction_tui.processes.locks import remove_lasting
from friction_tui.processes.stdio import LineWriter, take_stdout
from friction_tui.vocabulary.protocol import Event, JobEnded, JobKind, JobRequest
from friction_tui.worker.progress import Progress


def main() -> None:
    """Do the job that the first line of stdin asks for."""
    send = LineWriter(take_stdout())
    request = msgspec.json.decode(sys.stdin.buffer.readline(), type=JobRequest)
    started = time.monotonic()
    progress = Progress(request.job, request.kind, send)
    try:
        ended = run(request, progress, send)
    except Exception as error:
        traceback.print_exception(error, file=sys.stderr)
        progress.log("error", f"{type(error).__name__}: {error}")
        ended = JobEnded(
            job=request.job,
            kind=request.kind,
            seconds=time.monotonic() - started,
            error=_in_words(request, error),
            died="ran out of memory" if isinstance(error, MemoryError) else "",
        )
    progress.close()
    send(ended)
    # Native libraries' exit handlers take seconds and can crash after the work is done.
    remove_lasting()
    sys.stderr.flush()
    os._exit(0)


def run(request: JobRequest, progress: Progress, send: Callable[[Event], None]) -> JobEnded:
    """Do what the request says, in this process; `send` takes what a job says besides its progress."""
    from friction_tui.worker.mending import mend
    from friction_tui.worker.opsets import plan_opsets
    from friction_tui.worker.precision import search_precision
    from friction_tui.worker.work import build, measure

    match request.kind:
        case JobKind.BUILD:
            return build(request, progress)
        case JobKind.MEASURE:
            return measure(request, progress)
        case JobKind.PRECISION:
            return search_precision(request, progress)
        case JobKind.OPSETS:
            return plan_opsets(request, progress, send)
        case JobKind.REDUCE:
            from friction_tui.worker.reducing import reduce

            return reduce(request, progress)
        case JobKind.COMPARE:
            from friction_tui.worker.comparing import compare

            return compare(request, progress)
        case JobKind.FIX:
            return mend(request, progress)
    raise ValueError(f"no such job: {request.kind}")


_SENTENCES = ("CannotTry", "EngineMissing", "PlanRefused")
"""Errors whose text is for the user as it is. By name: most jobs do without importing where they come from."""


def _in_words(request: JobRequest, error: Exception) -> str:
    if type(error).__name__ in _SENTENCES:
        return str(error)
    if isinstance(error, MemoryError) or out_of_memory(1, str(error)):
        return f"This machine ran out of memory ({request.kind}). Close other programs or lower the profile's max."
    return f"{type(error).__name__}: {error}"
