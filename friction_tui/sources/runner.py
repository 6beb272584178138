"""Runs one export in a fresh process, blocking; killed to cancel. Repeated exports in one process go wrong."""

from __future__ import annotations

import os
import re
import shutil
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from friction_tui.kinds import export
from friction_tui.processes.begin import command
from friction_tui.processes.child import Child
from friction_tui.processes.ended import how_it_ended, out_of_memory
from friction_tui.sources import stack_sample
from friction_tui.sources.export_request import (
    Done,
    Evidenced,
    Exported,
    ExportEvent,
    ExportRequest,
    Found,
    InputsUsed,
    Stage,
)
from friction_tui.sources.failure import location_of, plain
from friction_tui.sources.source_lines import context
from friction_tui.sources.stack_sample import Busy
from friction_tui.vocabulary.finding import EngineWords, Finding, Location, LocationKind
from friction_tui.vocabulary.protocol.evidence import ExportEvidence
from friction_tui.vocabulary.recipe import InputSpec, SourceKind

TENSORFLOW_PYTHON = "FRICTION_TENSORFLOW_PYTHON"
"""Environment variable naming the interpreter of a separate TensorFlow environment."""

_POLL_S = 0.05


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
    unagreed: tuple[Path, ...] = ()
    evidence: ExportEvidence | None = None


def run_export(
    request: ExportRequest,
    timeout: float | None = None,
    on_event: Callable[[ExportEvent], None] = lambda _: None,
    stop: Callable[[], bool] = lambda: False,
) -> ExportOutcome:
    """Export and wait. `timeout` in seconds, the request's own when None; `stop` is asked 20 times a second.

    Never raises for what happens in the export: a timeout, a crash and a kill come back as findings. A stage with a
    limit of its own ends the process and keeps what there is.
    """
    limit = request.options.timeout_s if timeout is None else timeout
    started = time.monotonic()
    events: list[ExportEvent] = []
    ends = started + limit
    other = os.environ.get(TENSORFLOW_PYTHON, "") if request.source.kind is SourceKind.TENSORFLOW else ""
    run = command("friction_tui.sources.export_job", python=other)
    if shutil.which(run[0]) is None:
        return _nothing(_no_interpreter(request, run[0]))
    process = Child(run, own_group=True, variables={"PYTHONUNBUFFERED": "1"})

    def listen() -> None:
        nonlocal ends
        decoder = msgspec.json.Decoder(ExportEvent)
        for line in process.lines():
            event: ExportEvent = decoder.decode(line)
            if isinstance(event, Stage) and event.limit:
                ends = time.monotonic() + event.limit * request.patience
            events.append(event)
            on_event(event)

    listening = threading.Thread(target=listen, daemon=True)
    listening.start()
    process.send(request)
    cancelled = timed_out = False
    while process.code is None and not (cancelled or timed_out):
        process.wait(_POLL_S)
        cancelled, timed_out = stop(), time.monotonic() > ends
    busy_at = stack_sample.of(process.pid, request.output) if timed_out and process.code is None else None
    if cancelled or timed_out:
        process.kill()
    code = process.wait()
    listening.join(timeout=5)
    process.kill()  # whatever the user's code started in it
    stack_sample.clean(request.output)
    seconds = time.monotonic() - started
    said = plain(process.tail)
    findings = newest([event.finding for event in events if isinstance(event, Found)])
    done = next((event for event in events if isinstance(event, Done)), None)
    exported = next((event for event in events if isinstance(event, Exported)), None)
    inputs = next((event for event in events if isinstance(event, InputsUsed)), InputsUsed((), guessed=False))
    stage = next((event for event in reversed(events) if isinstance(event, Stage)), Stage("start", 0.0))
    if done is None and timed_out and exported:
        findings.append(_cut_short(request, stage, busy_at, seconds - stage.elapsed))
    elif done is None and not cancelled and not (timed_out and stage.limit and findings):
        missing = re.search(r"No module named '([\w.]+)'", said) if not events else None
        findings.append(
            _incomplete(request, run[0], missing.group(1))
            if missing
            else _ended_early(request, None if timed_out else code, stage.limit or limit, stage.name, said, busy_at)
        )
    done = done or (exported.done if exported else None)
    reached = done.onnx_path if done else None
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
        unagreed=tuple(Path(file) for file in done.unagreed) if done else (),
        evidence=next((event.evidence for event in reversed(events) if isinstance(event, Evidenced)), None),
    )


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


def newest(findings: Sequence[Finding]) -> list[Finding]:
    """The findings without those that a later one of the same kind, title and places replaces."""
    latest = {(found.kind, found.title, found.locations): found for found in findings}
    return list(latest.values())


def _cut_short(request: ExportRequest, stage: Stage, busy_at: Busy | None, seconds: float) -> Finding:
    """The finding for what was ended once the ONNX file was there: the file, and what was found until then, stand."""
    return export.NOT_COMPARED.finding(
        where=" to the end",
        cause=f"The ONNX file was there; the stage '{stage.name}' after it was ended after {seconds:.0f} s. "
        "What was found until then stands." + (busy_at.said if busy_at else ""),
        source="export process",
        locations=(*_at(busy_at), Location(LocationKind.FILE, request.source.path)),
        evidence=context(busy_at.line) if busy_at and busy_at.line else (),
        fixes=("Export a smaller configuration of the model to have it compared: fewer layers, smaller sizes.",),
    )


def _at(busy_at: Busy | None) -> tuple[Location, ...]:
    return (location_of(busy_at.line),) if busy_at and busy_at.line else ()


def _ended_early(
    request: ExportRequest, code: int | None, limit: float, stage: str, said: str, busy_at: Busy | None
) -> Finding:
    """The finding for a process that ended without saying so: killed, crashed, or out of time."""
    where = (*_at(busy_at), Location(LocationKind.FILE, request.source.path))
    words = (EngineWords("export process", said),) if said else ()
    if code is None:
        return export.TIMEOUT.finding(
            limit=f"{limit:g} s",
            cause=f"It was still busy with the stage '{stage}' after {limit:g} s." + (busy_at.said if busy_at else ""),
            source="export process",
            locations=where,
            evidence=context(busy_at.line) if busy_at and busy_at.line else (),
            fixes=(
                "Raise the time limit, `--export timeout_s=1800` (I in the app), or export a smaller configuration "
                "of the model (fewer layers).",
                "A Python loop over a large count unrolls into as many nodes: vectorise it or make it shorter.",
            ),
            words=words,
        )
    memory = out_of_memory(code, said)
    limit_text = f" (limit {request.options.memory_limit_mb} MB)" if request.options.memory_limit_mb else ""
    return (export.OUT_OF_MEMORY if memory else export.CRASHED).finding(
        cause=(
            f"The process {how_it_ended(code, said)}. "
            f"It was busy with the stage '{stage}'{limit_text if memory else ''}."
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
