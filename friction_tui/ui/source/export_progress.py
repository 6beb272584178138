"""How an export goes, as lines: its stages against earlier ones, what it gave, what was said on the way."""

from __future__ import annotations

from friction_tui.state.app_state import AppState, Job
from friction_tui.ui.builds import views as build_views
from friction_tui.ui.look.lines import Line, paragraph
from friction_tui.ui.source import evidence_lines
from friction_tui.vocabulary.protocol import JobKind
from friction_tui.vocabulary.recipe import InputSpec
from friction_tui.vocabulary.units import seconds_text

LOG_SHOWN = 200
"""Log lines shown at most, the newest."""


def export_job(state: AppState) -> Job | None:
    """The newest export, running or over."""
    return next((job for job in reversed(state.jobs) if job.kind is JobKind.EXPORT), None)


def spec_text(spec: InputSpec) -> str:
    """`image:2x3x32x32:float32`, as `--input` takes it."""
    return f"{spec.name}:{'x'.join(map(str, spec.shape)) or 'scalar'}:{spec.dtype}"


def progress(state: AppState, width: int, *, log: bool = True) -> list[Line]:
    """The newest export; `log` with all that it said and proved."""
    job = export_job(state)
    if job is None:
        return paragraph("This model needed no export.", width, "muted")
    lines = _outcome(state, job, width)
    # An export that gave a model is among those remembered as soon as it is over.
    past = state.past_exports if job.running or job.error or job.cancelled else state.past_exports[:-1]
    lines += build_views.phases(job, past, job.elapsed, ascii_only=state.ascii, what="export")
    if job.running:
        lines.append(Line((("Esc", "key"), (" cancels; the open model stays", "muted"))))
    evidence = state.exported.evidence if state.exported is not None and not job.running else None
    if log and evidence is not None:
        lines += [Line(), *evidence_lines.summary(evidence, width, ascii_only=state.ascii)]
    said = build_views.log(job.lines[-LOG_SHOWN:], frozenset(build_views.LEVELS), "", ascii_only=state.ascii)
    if log and said:
        lines += [Line(), *said]
    return lines + (evidence_lines.program(evidence, width) if log and evidence is not None else [])


def _outcome(state: AppState, job: Job, width: int) -> list[Line]:
    """What came of it, and which inputs it was made with."""
    exported = state.exported
    if job.running:
        return []
    cross, tick = ("X", "+") if state.ascii else ("✗", "✓")
    took = seconds_text(job.elapsed)
    if job.cancelled:
        return [Line((("- ", "muted"), (f"cancelled after {took}", "text")))]
    if job.error:
        return paragraph(f"failed after {took}: {job.error}", width, "error", indent=((f"{cross} ", "error"),))
    lines = [Line(((f"{tick} ", "good"), (f"exported in {took}", "strong")))]
    if exported is not None and exported.inputs:
        guessed = " guessed; I confirms or edits them" if exported.inputs_guessed else ""
        text = "  ".join(spec_text(spec) for spec in exported.inputs)
        lines += paragraph(f"{text}{guessed}", width, "warning" if guessed else "muted", indent=(("  with ", "muted"),))
    if exported is not None and exported.captured_nodes:
        arrow = "->" if state.ascii else "→"
        sizes = f"{exported.captured_nodes} operators captured {arrow} {exported.onnx_nodes} ONNX nodes"
        lines += paragraph(sizes, width, "muted", indent=(("  ", "muted"),))
    return [*lines, Line()]
