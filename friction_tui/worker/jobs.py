"""Jobs: one fresh process per build or measurement, killed to cancel.

TensorRT's builder is silent for minutes and hears neither SIGINT nor a progress callback in time, so
cancelling means SIGKILL to the job's process group. Nothing is lost by it: a job owns no state.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable

import msgspec

from friction_tui.processes.begin import command
from friction_tui.processes.child import Child
from friction_tui.processes.limits import SHARE, Watched, machine_memory
from friction_tui.vocabulary.protocol import Event, JobEnded, JobKind, JobProgress, JobRequest

LIMIT_S = 12 * 3600.0
"""Seconds a job may take: the longest builds known are of an hour, on a GPU that times every tactic."""
_DECODER: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)


class Jobs:
    """The running jobs. `relay` gets every message of a job as it came; `ended` its end, exactly once."""

    def __init__(self, relay: Callable[[bytes], None], ended: Callable[[JobEnded], None]) -> None:
        self._relay, self._ended = relay, ended
        self._running: dict[int, Child] = {}
        self._cancelled: set[int] = set()
        self._phases: dict[int, str] = {}
        self._lock = threading.Lock()

    def start(self, request: JobRequest) -> None:
        """Start a job; its messages come from a thread of their own."""
        process = Child(command("friction_tui.worker.job"), own_group=True)
        with self._lock:
            self._running[request.job] = process
        threading.Thread(target=self._follow, args=(request, process), name=f"job {request.job}", daemon=True).start()

    def cancel(self, job: int) -> None:
        """Kill a job. `JobEnded(cancelled=True)` follows; nothing happens if it is already over."""
        with self._lock:
            process = self._running.get(job)
            if process is not None:
                self._cancelled.add(job)
        if process is not None:
            process.kill()

    @property
    def pids(self) -> list[int]:
        """Process ids of the running jobs."""
        with self._lock:
            return [process.pid for process in self._running.values()]

    @property
    def phase(self) -> str:
        """What the newest job is doing, "" when none runs."""
        with self._lock:
            return next((self._phases.get(job, "") for job in reversed(self._running)), "")

    def cancel_all(self) -> None:
        """Kill every job."""
        for job in list(self._running):
            self.cancel(job)

    def _follow(self, request: JobRequest, process: Child) -> None:
        started = time.monotonic()
        memory = request.memory or int(SHARE * machine_memory())
        limits = Watched(process, memory=memory, seconds=_limit_s(request))
        process.send(request)
        result: JobEnded | None = None
        for line in process.lines():
            with contextlib.suppress(msgspec.MsgspecError):  # half a line from a killed job
                event = _DECODER.decode(line)
                if isinstance(event, JobEnded):
                    result = event
                    continue
                if isinstance(event, JobProgress) and event.phases:
                    self._phases[request.job] = event.phases[-1].name
                self._relay(line.rstrip(b"\n"))
        process.kill()  # whatever it had started
        with self._lock:
            self._running.pop(request.job, None)
            self._phases.pop(request.job, None)
            cancelled = request.job in self._cancelled
            self._cancelled.discard(request.job)
        self._ended(result or _death(request, time.monotonic() - started, process, cancelled, limits))


def _limit_s(request: JobRequest) -> float:
    """How long the job may take; of a reduction the limit is that of each build in it."""
    return LIMIT_S if request.kind is JobKind.REDUCE else request.limit_s or LIMIT_S


def _death(request: JobRequest, seconds: float, process: Child, cancelled: bool, limits: Watched) -> JobEnded:
    if cancelled:
        return JobEnded(job=request.job, kind=request.kind, seconds=seconds, cancelled=True)
    last = "\n".join(process.tail.splitlines()[-12:])
    named = {JobKind.BUILD: "The build", JobKind.MEASURE: "The measurement"}.get(request.kind, "The job")
    how = limits.why or process.how
    error = f"{named} process {how}.\n{last}".rstrip()
    return JobEnded(job=request.job, kind=request.kind, seconds=seconds, error=error, died=how, late=limits.late)
