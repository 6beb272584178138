"""Runs one export in a fresh process, blocking; killed to cancel. Repeated exports in one process go wrong."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

import friction_tui
from friction_tui.kinds import export
from friction_tui.sources.export_request import Done, Exported, ExportEvent, ExportRequest, Found, InputsUsed, Stage
from friction_tui.vocabulary.finding import EngineWords, Finding, Location, LocationKind
from friction_tui.vocabulary.recipe import InputSpec, Source, SourceKind

TENSORFLOW_PYTHON = "FRICTION_TENSORFLOW_PYTHON"
"""Environment variable naming the interpreter of a separate TensorFlow environment."""

_POLL_S = 0.05
_LAST_WORDS = 4000


@dataclass(frozen=True, slots=True)
class ExportOutcome:
    """What an export gave. `stages` are (name, seconds); `exported_s` is when the ONNX file was there."""

    onnx_path: Path | None
    findings: tuple[Finding, ...]
    stages: tuple[tuple[str, float], ...]
    seconds: float
    exported_s: float | None
    watch: tuple[Path, ...]
    inputs: tuple[InputSpec, ...]
    inputs_guessed: bool
    cancelled: bool
    export_nodes: int
    onnx_nodes: int
    last_words: str
    limits: dict[str, tuple[int, int | None]] = field(default_factory=dict)


_START = """
import importlib.util, sys
spec = importlib.util.spec_from_file_location("friction_tui", sys.argv[1])
package = sys.modules["friction_tui"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(package)
from friction_tui.sources.export_job import main
main()
"""
"""Runs this very friction_tui in another environment and nothing else of ours: its numpy and onnx must be its own."""


def command(source: Source) -> list[str]:
    """The command line of an export process for this kind of source."""
    other = os.environ.get(TENSORFLOW_PYTHON) if source.kind is SourceKind.TENSORFLOW else None
    if other:
        return [other, "-c", _START, str(Path(friction_tui.__file__).resolve())]
    return [sys.executable, "-m", "friction_tui.sources.export_job"]


def run_export(
    request: ExportRequest,
    timeout: float | None = None,
    on_event: Callable[[ExportEvent], None] = lambda _: None,
    stop: Callable[[], bool] = lambda: False,
) -> ExportOutcome:
    """Export and wait. `timeout` in seconds, the request's own when None; `stop` is asked 20 times a second.

    Never raises for what happens in the export: a timeout, a crash and a kill come back as findings.
    """
    limit = request.options.timeout_s if timeout is None else timeout
    started = time.monotonic()
    events: list[ExportEvent] = []
    words = bytearray()
    run = command(request.source)
    if shutil.which(run[0]) is None:
        return _nothing(_no_interpreter(request, run[0]))
    with subprocess.Popen(
        run,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
        start_new_session=True,
    ) as process:
        assert process.stdin and process.stdout and process.stderr
        stderr, stdout = process.stderr, process.stdout

        def listen() -> None:
            decoder = msgspec.json.Decoder(ExportEvent)
            for line in stdout:
                event: ExportEvent = decoder.decode(line)
                events.append(event)
                on_event(event)

        def hear_last_words() -> None:
            for chunk in iter(lambda: os.read(stderr.fileno(), 65536), b""):
                words.extend(chunk)
                del words[:-_LAST_WORDS]

        threads = [threading.Thread(target=target, daemon=True) for target in (listen, hear_last_words)]
        for thread in threads:
            thread.start()
        with suppress(BrokenPipeError):
            process.stdin.write(msgspec.json.encode(request) + b"\n")
            process.stdin.flush()
        cancelled = timed_out = False
        while process.poll() is None and not (cancelled or timed_out):
            time.sleep(_POLL_S)
            cancelled, timed_out = stop(), time.monotonic() - started > limit
        if cancelled or timed_out:
            kill(process)
        process.wait()
        for thread in threads:
            thread.join(timeout=5)
    seconds = time.monotonic() - started
    said = words.decode(errors="replace").strip()
    findings = [event.finding for event in events if isinstance(event, Found)]
    done = next((event for event in events if isinstance(event, Done)), None)
    exported = next((event for event in events if isinstance(event, Exported)), None)
    inputs = next((event for event in events if isinstance(event, InputsUsed)), InputsUsed((), guessed=False))
    if done is None and not cancelled:
        stage = next((event.name for event in reversed(events) if isinstance(event, Stage)), "start")
        missing = re.search(r"No module named '([\w.]+)'", said) if not events else None
        findings.append(
            _incomplete(request, run[0], missing.group(1))
            if missing
            else _ended_early(request, process.returncode, timed_out, limit, stage, said)
        )
    reached = done.onnx_path if done else (exported.onnx_path if exported else None)
    return ExportOutcome(
        onnx_path=Path(reached) if reached and not cancelled else None,
        findings=tuple(findings),
        stages=_durations(events, seconds),
        seconds=seconds,
        exported_s=exported.seconds if exported else None,
        watch=tuple(Path(file) for file in done.watch) if done else (),
        inputs=inputs.inputs,
        inputs_guessed=inputs.guessed,
        cancelled=cancelled,
        export_nodes=done.export_nodes if done else 0,
        onnx_nodes=done.onnx_nodes if done else 0,
        last_words=said,
        limits=done.limits if done else {},
    )


def kill(process: subprocess.Popen[bytes]) -> None:
    """End an export and whatever the user's code started in it."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def _nothing(finding: Finding) -> ExportOutcome:
    """The outcome of an export that could not start."""
    return ExportOutcome(None, (finding,), (), 0.0, None, (), (), False, False, 0, 0, "")


def _no_interpreter(request: ExportRequest, python: str) -> Finding:
    return export.NOT_INSTALLED.finding(
        missing=f"the interpreter {python}, which does not exist",
        cause=f"The environment variable {TENSORFLOW_PYTHON} names it, and it cannot be run.",
        source="export process",
        locations=(Location(LocationKind.FILE, request.source.path),),
        fixes=(f"Let {TENSORFLOW_PYTHON} name the Python of an environment with `friction-tui[tensorflow]`.",),
    )


def _incomplete(request: ExportRequest, python: str, package: str) -> Finding:
    return export.NOT_INSTALLED.finding(
        missing=f"{package}, which the environment of {python} lacks",
        cause="The export process could not start in it.",
        source="export process",
        locations=(Location(LocationKind.FILE, request.source.path),),
        fixes=(f"Install it there: `{python} -m pip install 'friction-tui[tensorflow]'`.",),
    )


def _durations(events: list[ExportEvent], end: float) -> tuple[tuple[str, float], ...]:
    stages = [event for event in events if isinstance(event, Stage)]
    ends = [*(stage.elapsed for stage in stages), end][1:]
    return tuple((stage.name, max(0.0, until - stage.elapsed)) for stage, until in zip(stages, ends, strict=True))


def _ended_early(
    request: ExportRequest, code: int | None, timed_out: bool, limit: float, stage: str, said: str
) -> Finding:
    """The finding for a process that ended without saying so: killed, crashed, or out of time."""
    where = (Location(LocationKind.FILE, request.source.path),)
    words = (EngineWords("export process", said[-_LAST_WORDS:]),) if said else ()
    if timed_out:
        return export.TIMEOUT.finding(
            limit=f"{limit:g} s",
            cause=f"It was still busy with the stage '{stage}' after {limit:g} s.",
            source="export process",
            locations=where,
            fixes=(
                "Raise the time limit, `--export timeout_s=1800` (I in the app), or export a smaller configuration "
                "of the model (fewer layers).",
                "A Python loop over a large count unrolls into as many nodes: vectorise it or make it shorter.",
            ),
            words=words,
        )
    memory = code == -signal.SIGKILL
    how = signal.Signals(-code).name if code is not None and code < 0 else f"status {code}"
    limit_text = f" (limit {request.options.memory_limit_mb} MB)" if request.options.memory_limit_mb else ""
    return (export.OUT_OF_MEMORY if memory else export.CRASHED).finding(
        cause=(
            f"The process ended with {how} during the stage '{stage}'"
            + (f": the system kills the largest process when memory runs out{limit_text}." if memory else ".")
        ),
        source="export process",
        locations=where,
        evidence=tuple(said.splitlines()[-3:]),
        fixes=(
            "Export a smaller configuration, or on a machine with more memory."
            if memory
            else "Run the factory and one forward pass alone in Python: native code it calls is likely at fault.",
        ),
        words=words,
    )
