"""Turning a source into an ONNX file the session can open: consent first, then an export in its own process."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from friction_tui.sources.consent import (
    also_imports,
    code_files,
    fingerprint,
    imported,
    is_given,
    needs_consent,
    not_found,
    remember,
    remembered,
    with_consent,
)
from friction_tui.sources.export_request import ExportEvent, ExportRequest, Found, Log, Stage
from friction_tui.sources.target import NotASource, understand
from friction_tui.vocabulary.finding import Finding, fix_first
from friction_tui.vocabulary.protocol import (
    EXPORT_JOB,
    CheckState,
    ConsentNeeded,
    Event,
    Exported,
    Findings,
    JobEnded,
    JobKind,
    JobProgress,
    LogLevel,
    LogLine,
    Phase,
)
from friction_tui.vocabulary.recipe import Recipe, SourceKind
from friction_tui.vocabulary.recipe.export_sizes import Limits, asked_profile

if TYPE_CHECKING:
    from friction_tui.sources.runner import ExportOutcome

READ_AS_THEY_ARE = (SourceKind.ONNX, SourceKind.ENGINE)
"""Kinds of source that are opened without an export."""


@dataclass(frozen=True, slots=True)
class LocatedModel:
    """Where the ONNX file of a source lies. `path` None: there is none, and `findings` say why."""

    recipe: Recipe
    path: Path | None
    findings: tuple[Finding, ...] = ()
    files: tuple[Path, ...] = ()
    """What it was made from: a save of one of them is a reason to open it again."""
    limits: Limits = field(default_factory=dict)
    """The sizes it was exported for."""
    unagreed: tuple[Path, ...] = ()
    """What it imports beyond what was agreed to: ask for consent again."""


def understood(recipe: Recipe) -> Recipe:
    """The recipe with the kind of its source worked out. Raises NotASource in words for the user."""
    source = recipe.source
    if source.kind is not SourceKind.AUTO:
        return recipe
    text = f"{source.path}:{source.factory}" if source.factory else source.path
    kind = understand(text, inputs=source.inputs, state_dict=source.state_dict)
    return msgspec.structs.replace(recipe, source=msgspec.structs.replace(kind, consent_hash=source.consent_hash))


def consent(revision: int, recipe: Recipe, *, keep: bool) -> Recipe | ConsentNeeded:
    """The recipe when its code may run, else the question to ask. `keep` remembers a consent that was given.

    Raises NotASource when there is no code that anybody could agree to.
    """
    source = recipe.source
    if not needs_consent(source):
        return recipe
    if not code_files(source):
        raise NotASource(*not_found(source))
    if is_given(source):
        if keep:
            remember(source)
        return recipe
    agreed = msgspec.structs.replace(recipe, source=with_consent(source))
    if remembered(source):
        return agreed
    return ConsentNeeded(
        revision=revision,
        recipe=agreed,
        files=tuple(str(file) for file in code_files(source)[:50]),
        sha256=fingerprint(source),
        runs=_what_runs(recipe),
    )


def export(
    revision: int,
    recipe: Recipe,
    folder: Path,
    emit: Callable[[Event], None],
    stop: Callable[[], bool],
    because: str = "",
) -> LocatedModel:
    """The ONNX file of a source, exported now when it has to be; progress and findings are emitted as they come.

    `because` is why, for the log, where nobody asked for an export by name.
    """
    if recipe.source.kind in READ_AS_THEY_ARE:
        path = Path(recipe.source.path)
        return LocatedModel(recipe, path, files=(path,))
    from friction_tui.sources.runner import run_export  # a model that is ONNX already needs none of it

    telling = _Telling(emit, revision)
    if because:
        telling.hear(Log("info", because, 0.0))
    request = ExportRequest(
        source=recipe.source,
        output=str(folder / f"export-{revision}.onnx"),
        opset=recipe.opset,
        profile=asked_profile(recipe),
        options=recipe.export,
        imported=tuple(map(str, imported(recipe.source))),
    )
    outcome = run_export(request, on_event=telling.hear, stop=stop)
    if outcome.unagreed:
        also_imports(recipe.source, outcome.unagreed)
        outcome = replace(outcome, cancelled=True)
    telling.over(outcome)
    if outcome.cancelled:
        emit(Exported(revision=revision, onnx_path="", seconds=outcome.seconds, cancelled=True))
        return LocatedModel(recipe, None, unagreed=outcome.unagreed)
    emit(
        Findings(
            revision=revision,
            check="export",
            state=CheckState.DONE if outcome.onnx_path else CheckState.FAILED,
            findings=list(outcome.findings),
            seconds=outcome.seconds,
            source="export",
        )
    )
    files = outcome.watch or code_files(recipe.source)  # code that could not be imported is not among the imported
    emit(
        Exported(
            revision=revision,
            onnx_path=str(outcome.onnx_path or ""),
            seconds=outcome.seconds,
            files=tuple(str(file) for file in files),
            inputs=outcome.inputs,
            inputs_guessed=outcome.inputs_guessed,
            captured_nodes=outcome.export_nodes,
            onnx_nodes=outcome.onnx_nodes,
            limits=outcome.limits,
            evidence=outcome.evidence,
        )
    )
    return LocatedModel(recipe, outcome.onnx_path, outcome.findings, files, outcome.limits)


class _Telling:
    """An export's events as the terminal's job progress."""

    def __init__(self, emit: Callable[[Event], None], revision: int) -> None:
        self._emit, self._revision = emit, revision
        self._found: list[Finding] = []
        self._started = time.monotonic()
        self._stages: list[tuple[str, float]] = []

    def hear(self, event: ExportEvent) -> None:
        if isinstance(event, Stage):
            self._stages.append((event.name, event.elapsed))
            self._tell(event.elapsed, ())
        elif isinstance(event, Log):
            self._tell(event.elapsed, (LogLine(LogLevel(event.level), event.text, event.elapsed),))
        elif isinstance(event, Found):
            # Why it failed is known long before what lies behind that.
            self._found.append(event.finding)
            running = CheckState.RUNNING
            seconds = time.monotonic() - self._started
            self._emit(Findings(self._revision, "export", running, list(self._found), seconds, source="export"))

    def _tell(self, elapsed: float, lines: tuple[LogLine, ...]) -> None:
        begun = [start for _, start in self._stages]
        ends: list[float | None] = [*begun[1:], None][: len(begun)]  # a line may come before the first stage
        phases = tuple(
            Phase(name, end - start if end is not None else None)
            for (name, start), end in zip(self._stages, ends, strict=True)
        )
        self._emit(JobProgress(job=EXPORT_JOB, kind=JobKind.EXPORT, phases=phases, lines=lines, elapsed=elapsed))

    def over(self, outcome: ExportOutcome) -> None:
        error = "" if outcome.onnx_path or outcome.cancelled else _failure(outcome)
        if not outcome.cancelled:
            phases = tuple(Phase(name, seconds) for name, seconds in outcome.stages)
            self._emit(
                JobProgress(job=EXPORT_JOB, kind=JobKind.EXPORT, phases=phases, lines=(), elapsed=outcome.seconds)
            )
        self._emit(
            JobEnded(
                job=EXPORT_JOB,
                kind=JobKind.EXPORT,
                seconds=outcome.seconds,
                cancelled=outcome.cancelled,
                error=error,
                findings=outcome.findings,
            )
        )


def _failure(outcome: ExportOutcome) -> str:
    """What ended an export, in one line: its gravest finding and where that is."""
    finding = next(iter(fix_first(outcome.findings)), None)
    if finding is None:
        return "it gave no model and did not say why; its log may"
    return f"{finding.title} ({', '.join(finding.names[:1])})" if finding.names else finding.title


def _what_runs(recipe: Recipe) -> str:
    source = recipe.source
    match source.kind:
        case SourceKind.PYTORCH | SourceKind.TENSORFLOW if source.factory and not Path(source.path).is_dir():
            return f"the Python code of {source.path} and what it imports is run, and {source.factory}() is called"
        case SourceKind.PYTORCH:
            return f"{source.path} is a pickle: loading it runs whatever was written into it"
        case SourceKind.TENSORFLOW:
            return f"{source.path} is loaded by TensorFlow, which can run code stored in the model"
    return f"{source.path} is loaded by torch, which can run code stored in it"
