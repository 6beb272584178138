"""The worker: reads requests from stdin, keeps one session, writes events. It ends when stdin ends.

Three threads keep it quick: the main one reads, one judges (the newest edit wins, an older one is stopped),
one answers questions about the model while judging goes on. Jobs have processes of their own.
"""

from __future__ import annotations

import contextlib
import gc
import itertools
import os
import queue
import select
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import msgspec

from friction_tui.processes.child import Stopped
from friction_tui.processes.locks import remove_lasting, sweep, temporary_folder
from friction_tui.processes.stdio import LineWriter, take_stdout
from friction_tui.vocabulary.protocol import (
    EXPORT_JOB,
    Apply,
    AskOthers,
    CancelJob,
    Event,
    FindWidest,
    Forecast,
    GraphReady,
    Inspect,
    JobEnded,
    JobKind,
    Open,
    Preview,
    ReadInitializer,
    ReadSource,
    Refused,
    Request,
    SaveEngine,
    SaveModel,
    SaveScript,
    Sent,
    StartJob,
    StartNetron,
    WatchGpu,
    WatchSource,
)

if TYPE_CHECKING:
    from friction_tui.session.first_look import FirstLook
    from friction_tui.worker.netron_server import NetronServer

NEED_WEIGHTS = (StartJob, ReadInitializer, SaveModel, SaveScript, StartNetron)
"""Requests that the values of weights are needed for."""
ASKED_SOON_S = 1.0
"""How long a worker that has read a model waits to be asked for it: the face imports its own libraries meanwhile."""


class Host:
    """Dispatches requests to the session, the jobs and the watchers."""

    def __init__(self, send: LineWriter, folder: Path, looked: FirstLook | None) -> None:
        from friction_tui.session.session import Session
        from friction_tui.worker.gpu_watch import GpuWatch
        from friction_tui.worker.jobs import Jobs
        from friction_tui.worker.source_watch import SourceWatch

        self.send = send
        self.folder = folder
        self.session = Session(send, folder, looked)
        self.jobs = Jobs(send.raw, self._job_ended)
        self.gpu = GpuWatch(send, self.jobs)
        self.netron: NetronServer | None = None
        self.watch = SourceWatch(send, lambda: self.session.watched)
        self._judge = _Newest(self._judge_one)
        self._waiting: set[int] = set()
        """Jobs that wait for the weights of the model."""
        self._others: AskOthers | None = None
        self._previews = _Newest(self._preview)
        self._questions: queue.SimpleQueue[Request] = queue.SimpleQueue()
        threading.Thread(target=self._answer, name="answers", daemon=True).start()

    def hello(self) -> None:
        """Say who is here and what is installed."""
        self.send(self.session.hello())

    def handle(self, request: Request) -> None:
        """Start whatever the request asks for; never blocks."""
        match request:
            case Open() | Apply():
                self._judge.put(request)
            case CancelJob() if request.job == EXPORT_JOB:
                if self.session.exporting:  # a verdict that is being made by now is not what was cancelled
                    self._judge.stop()
            case CancelJob() if request.job in self._waiting:
                self._waiting.discard(request.job)
            case CancelJob():
                self.jobs.cancel(request.job)
            case WatchGpu():
                self.gpu.every(request.interval)
            case WatchSource():
                self.watch.set(request.on)
            case AskOthers():
                self._others = request
                threading.Thread(target=self._ask_others, args=(request,), name="other engines", daemon=True).start()
            case Preview():
                self._previews.put(request)
            case Sent():
                self.session.sent(request)
                again = self.session.again() if self.session.hollow and not request.light else None
                if again is not None:
                    self._judge.put(again, unless_more_waits=True)
            case _ if self.session.hollow and isinstance(request, NEED_WEIGHTS):
                threading.Thread(target=self._with_weights, args=(request,), name="weights", daemon=True).start()
            case _:
                self._questions.put(request)

    def close(self) -> None:
        """End the jobs and whatever else would stay behind."""
        self.jobs.cancel_all()
        self.session.close()

    def _judge_one(self, request: Request, stop: threading.Event) -> None:
        try:
            if isinstance(request, Open):
                self.session.open(request, stop.is_set)
            elif isinstance(request, Apply):
                self.session.apply(request, stop.is_set)
        except Exception as error:
            revision = request.revision if isinstance(request, (Open, Apply)) else 0
            self._fault("This model could not be judged", error, revision)

    def _ask_others(self, request: AskOthers) -> None:
        try:
            self.session.ask_others(request, lambda: self._others is not request)
        except Exception as error:
            self._fault("The other environments could not be asked", error)

    def _preview(self, request: Request, stop: threading.Event) -> None:
        if not isinstance(request, Preview):
            return
        try:
            answer = self.session.preview(request, stop.is_set)
        except Exception as error:
            self._fault("The preview of a fix could not be made", error)
        else:
            if answer is not None:
                self.send(answer)

    def _with_weights(self, request: Request) -> None:
        """Ask once the weights of the open model are there, and it is judged with them."""
        from friction_tui.session.sent_files import NoWeights

        job = request.job if isinstance(request, StartJob) else None
        if job is not None:
            self._waiting.add(job)
        started = time.monotonic()

        def stop() -> bool:
            return job is not None and job not in self._waiting

        error, cancelled = "", False
        try:
            again = self.session.fetch_weights(stop)
            if again is not None and self.session.hollow:
                self._judge.put(again, unless_more_waits=True)
            while self.session.hollow:
                if stop():
                    raise Stopped
                time.sleep(0.05)
        except Stopped:
            cancelled = True
        except NoWeights as failed:
            error = str(failed)
        if job is not None:
            cancelled = cancelled or job not in self._waiting
            self._waiting.discard(job)
        if not (error or cancelled):
            self._questions.put(request)
            return
        if error:
            self.send(Refused("The weights are needed for this", error, "Try again once the machine can be reached."))
        if isinstance(request, StartJob):
            seconds = time.monotonic() - started
            self.send(JobEnded(job=request.job, kind=request.kind, seconds=seconds, cancelled=cancelled, error=error))

    def _answer(self) -> None:
        while True:
            request = self._questions.get()
            try:
                self._answer_one(request)
            except Exception as error:
                self._fault(f"The answer to {type(request).__name__} failed", error)
                if isinstance(request, StartJob):
                    self.send(JobEnded(job=request.job, kind=request.kind, seconds=0.0, error=str(error)))

    def _answer_one(self, request: Request) -> None:
        session = self.session
        match request:
            case Inspect():
                self.send(session.inspect(request.path))
            case ReadInitializer():
                self.send(session.initializer(request.name))
            case Forecast():
                self.send(session.forecast(request))
            case FindWidest():
                self.send(session.widest(request.key))
            case ReadSource():
                self.send(session.source(request.file))
            case StartJob():
                self._start_job(request)
            case SaveEngine():
                self.send(session.save_engine(Path(request.path)))
            case SaveModel():
                self.send(session.save_model(Path(request.path)))
            case SaveScript():
                self.send(session.save_script(Path(request.path)))
            case StartNetron():
                self._start_netron()
            case _:
                raise ValueError(f"no answer for {type(request).__name__}")

    def _start_netron(self) -> None:
        if self.netron is None:
            from friction_tui.worker.netron_server import NetronServer  # an HTTP server takes 0.1 s to import

            self.netron = NetronServer()
        self.send(self.netron.serve(self.session.serialized()))

    def _start_job(self, request: StartJob) -> None:
        prepared = self.session.job_request(request)
        if isinstance(prepared, Refused):
            self.send(prepared)
            self.send(
                JobEnded(job=request.job, kind=request.kind, seconds=0.0, error=f"{prepared.why}. {prepared.next}")
            )
        else:
            self.jobs.start(prepared)

    def _job_ended(self, ended: JobEnded) -> None:
        try:
            self.send(self.session.job_ended(ended))
        except Exception as error:
            self.send(ended)
            self._fault("The job's result could not be read", error)

    def _fault(self, what: str, error: Exception, revision: int = 0) -> None:
        traceback.print_exception(error, file=sys.stderr)
        frame = traceback.extract_tb(error.__traceback__)[-1]
        self.send(
            Refused(
                what=what,
                why=f"{type(error).__name__}: {error} ({Path(frame.filename).name}:{frame.lineno})",
                next="This is a fault of friction-tui, not of your model; its log has more (friction-tui locate).",
                revision=revision,
            )
        )


class _Newest:
    """Runs one request at a time; a newer one stops the running one and replaces those that wait.

    An Open is never replaced by the Apply behind it: the edit needs the model.
    """

    def __init__(self, run: Callable[[Request, threading.Event], None]) -> None:
        self._run = run
        self._waiting: list[Request] = []
        self._stop = threading.Event()
        self._there = threading.Condition()
        threading.Thread(target=self._loop, name="newest", daemon=True).start()

    def stop(self) -> None:
        """End what runs without putting anything in its place."""
        self._stop.set()

    def put(self, request: Request, *, unless_more_waits: bool = False) -> None:
        """Run `request` as soon as the running one has stopped; `unless_more_waits`: what waits is as good."""
        with self._there:
            if unless_more_waits and self._waiting:
                return
            if isinstance(request, Open):
                self._waiting.clear()
            else:
                self._waiting = [waiting for waiting in self._waiting if isinstance(waiting, Open)]
            self._waiting.append(request)
            self._stop.set()
            self._there.notify()

    def _loop(self) -> None:
        while True:
            with self._there:
                while not self._waiting:
                    self._there.wait()
                request = self._waiting.pop(0)
                self._stop = threading.Event()
            self._run(request, self._stop)


def main() -> None:
    """The worker, on this machine or behind ssh.

    Its arguments are the file that will be asked for first, and "undrawn" where its graph is not to be shown.
    """
    channel = take_stdout()
    with temporary_folder("worker") as folder:
        sweep()
        serve(channel, folder, sys.argv[1] if len(sys.argv) > 1 else "", drawn="undrawn" not in sys.argv[2:])
        remove_lasting()
        sys.stderr.flush()
    os._exit(0)  # native exit handlers are slow and nothing is left to do


def serve(channel: BinaryIO, folder: Path, first: str, *, drawn: bool = True) -> None:
    """Answer requests until stdin ends. The model `first` is shown, if `drawn`, before what judges it is imported.

    TensorRT's parser loads in its own process meanwhile.
    """
    # An index of a large model allocates a great deal and frees nothing: looking for garbage meanwhile costs a fifth
    # of the time to a verdict.
    gc.set_threshold(100_000, 20, 20)
    send = LineWriter(channel)
    from friction_tui.engines.found import second_opinion

    if drawn:
        looked, asked = _shown(Path(first), send) if first else (None, b"")
        _prestart()
    else:
        # Nothing is to be shown soon: the processes that judge start first, beside this one's imports.
        _prestart()
        second_opinion().prestart_opinion()
        looked, asked = _read(Path(first)), b""
    host = Host(send, folder, looked)
    gc.freeze()
    host.hello()
    for line in itertools.chain([asked] if asked else [], sys.stdin.buffer):
        try:
            request = _DECODER.decode(line)
        except msgspec.MsgspecError as error:
            for answer in _unreadable(line, str(error)):
                host.send(answer)
            continue
        host.handle(request)
    host.close()


class _Job(msgspec.Struct, tag="start_job"):
    """As much of a StartJob as tells which job it was to start."""

    job: int
    kind: JobKind


def _unreadable(line: bytes, why: str) -> Iterator[Event]:
    """The answers to a message that cannot be read: a job that does not start has ended."""
    yield Refused(what="A message could not be read", why=why)
    with contextlib.suppress(msgspec.MsgspecError):
        job = msgspec.json.decode(line, type=_Job)
        yield JobEnded(job=job.job, kind=job.kind, seconds=0.0, error=f"The job was not started: {why}")


def _prestart() -> None:
    """Begin starting the processes that TensorRT and onnx's native code run in."""
    from friction_tui.engines.found import prestart
    from friction_tui.model import onnx_native

    prestart()
    onnx_native.prestart()


def _read(first: Path) -> FirstLook | None:
    from friction_tui.session.first_look import first_look

    return first_look(first, drawn=False)


def _shown(first: Path, send: LineWriter) -> tuple[FirstLook | None, bytes]:
    """Read a model, and show its graph if the first request opens it. That request is still to be handled."""
    from friction_tui.session.first_look import first_look

    looked = first_look(first)
    if looked is None or not select.select([sys.stdin], [], [], ASKED_SOON_S)[0]:
        return looked, b""
    asked = sys.stdin.buffer.readline()
    try:
        request = _DECODER.decode(asked)
    except msgspec.MsgspecError:
        return looked, asked
    opens = isinstance(request, Open) and Path(request.recipe.source.path) == looked.model.path
    if isinstance(request, Open) and opens and looked.graph is not None:
        send(GraphReady(revision=request.revision, graph=looked.graph))
        looked = replace(looked, shown_for=request.revision)
    return looked, asked


_DECODER: msgspec.json.Decoder[Request] = msgspec.json.Decoder(Request)
