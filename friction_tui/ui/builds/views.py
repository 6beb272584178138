"""What the build panel shows, as lines: phases, result, log, kernels, history. Pure functions of a job."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.cells import cell_len

from friction_tui.state.app_state import Job
from friction_tui.ui.builds.history import BuildRecord, Timed, estimate, last_seconds
from friction_tui.ui.look.lines import Line, Span, cut, paragraph, symbol, width_of
from friction_tui.verdicts import kernel_types
from friction_tui.verdicts.after_build import findings_of_build, repeated
from friction_tui.vocabulary.finding import Finding, Severity
from friction_tui.vocabulary.protocol import BuildResult, Kernel, LogLevel, LogLine
from friction_tui.vocabulary.recipe import Recipe
from friction_tui.vocabulary.recipe.builder_options import words_of
from friction_tui.vocabulary.recipe.changes import changes
from friction_tui.vocabulary.units import seconds_text, size_text

LEVELS = tuple(LogLevel)
AMOUNT_WIDTH = 20
"""Cells of a size with its name."""
INSET: tuple[Span, ...] = (("  ", "text"),)
CAUSE_LINES = 3
"""Lines of a finding's cause in the result; the Why page has all of it."""
LOG_SHOWN = 1000
"""Log lines drawn at most, the newest; a search looks through all."""
_LEVEL_MARKS = {
    LogLevel.ERROR: ("✗", "X", "error"),
    LogLevel.WARNING: ("!", "!", "warning"),
    LogLevel.INFO: ("·", ".", "text"),
    LogLevel.VERBOSE: (" ", " ", "muted"),
}


def phases(job: Job, past: Sequence[Timed], now: float, *, ascii_only: bool, what: str = "build") -> list[Line]:
    """One line a phase: how long it took or has taken, against the last build's. `now` is seconds into the job."""
    done_mark, now_mark, failed_mark = ("+", ">", "X") if ascii_only else ("✓", "▶", "✗")
    ended_well = job.running or job.cancelled or (job.build.ok if job.build else not (job.error or job.findings))
    failed = job.phases[-1] if job.phases and not ended_well else None
    lines = []
    longest = max((cell_len(phase.name) for phase in job.phases), default=0)
    column = max(10, longest + 1)
    spent = sum(phase.seconds for phase in job.phases if phase.seconds is not None)
    for phase in job.phases:
        last = last_seconds(past, phase.name)
        beside = ((f"last: {seconds_text(last)}", "muted"),) if last is not None else ()
        if phase is failed:
            seconds = max(job.elapsed - spent, 0.0) if phase.seconds is None else phase.seconds
            mark, text, role = (f"{failed_mark} ", "error"), seconds_text(seconds), "text"
        elif phase.seconds is not None:
            mark, text, role = (f"{done_mark} ", "good"), seconds_text(phase.seconds), "text"
        elif job.running:
            mark, text, role = (f"{now_mark} ", "note"), seconds_text(max(now - spent, 0)), "strong"
        else:
            mark, text, role = ("- ", "muted"), "not finished", "muted"
        lines.append(Line((mark, (phase.name.ljust(column), role), (f"{text:>8}", role)), beside))
    if job.running and not job.phases:
        lines.append(Line(((f"{now_mark} ", "note"), ("starting", "strong"))))
    if job.running:
        lines.append(Line(((f"  {seconds_text(now)} in all", "strong"), (f"   {estimate(past, now, what)}", "muted"))))
    return lines


def result(job: Job, present: Recipe | None, known: Sequence[Finding], width: int, *, ascii_only: bool) -> list[Line]:
    """How a finished build came out, why, and what its engine needs. `known` are the problems listed now."""
    cross, tick = ("X", "+") if ascii_only else ("✗", "✓")
    if job.cancelled:
        return [Line((("- ", "muted"), (f"cancelled after {seconds_text(job.elapsed)}", "text")))]
    if job.error:
        return paragraph(job.error, width, "error", indent=((f"{cross} ", "error"),))
    build = job.build
    if build is None:
        return []
    lines: list[Line] = []
    if present is not None and job.recipe != present:
        since = ", ".join(changes(job.recipe, present)) or "the recipe"
        lines += paragraph(f"stale: changed since: {since}; b builds again", width, "stale")
    by = f"{build.source} · {target_text(job.recipe)}"
    found: list[Finding] = []
    for said in findings_of_build(build, job.findings):
        reason = repeated(said, known, build) or said
        if reason not in found:
            found.append(reason)
    if build.ok and any(finding.severity is Severity.ERROR for finding in found):
        head = (
            ("! ", "warning"),
            (f"built in {seconds_text(build.seconds)}, but cannot run as asked", "strong"),
        )
    elif build.reused:
        head = (f"{tick} ", "good"), (f"from the engine cache, {build.reused}", "strong")
    elif build.ok:
        head = (f"{tick} ", "good"), (f"built in {seconds_text(build.seconds)}", "strong")
    else:
        head = (f"{cross} ", "error"), (f"refused after {seconds_text(build.seconds)}", "error")
    lines += _head(head, by, width)
    lines += paragraph(build.not_reused, width, "muted", indent=INSET) if build.not_reused else []
    for finding in found:
        lines += _why(finding, width, listed=finding in known, ascii_only=ascii_only)
    lines += _amounts(build, width)
    for told in kernel_types.lines(build, job.recipe):
        lines += paragraph(told, width, "muted")
    return lines


def _head(head: tuple[Span, ...], by: str, width: int) -> list[Line]:
    """How it came out and who says so: in one line where that fits, without cutting off a name where it does not."""
    whole: tuple[Span, ...] = (*head, (f" · {by}", "muted"))
    if width_of(whole) <= width:
        return [Line(whole)]
    return [*paragraph(head[1][0], width, head[1][1], indent=head[:1]), *paragraph(by, width, "muted", indent=INSET)]


def _why(finding: Finding, width: int, *, listed: bool, ascii_only: bool) -> list[Line]:
    """One reason, in words; `listed` says that it is among the problems, which know more."""
    mark, role = symbol(finding.severity, finding.tier, ascii_only=ascii_only)
    locations = ", ".join(name for name in finding.names[:3] if name not in finding.title)
    text = f"{finding.title}{': ' + locations if locations else ''}"
    lines = paragraph(text, width, "strong", indent=((f"{mark} ", role),))
    cause = paragraph(finding.cause, width, "muted", indent=INSET)
    lines += cause[:CAUSE_LINES]
    if len(cause) > CAUSE_LINES:
        lines[-1] = _going_on(lines[-1], width)
    if listed:
        lines.append(Line((("  2", "key"), (" lists it, ", "muted"), ("W", "key"), (" explains", "muted"))))
    return lines


def _going_on(line: Line, width: int) -> Line:
    """The line with a sign that there is more."""
    return Line((*cut(line.spans, width - 2), (" …", "muted")))


def target_text(recipe: Recipe) -> str:
    """`SM89, fp16, workspace=512MiB`."""
    return ", ".join((recipe.target or "default targets", recipe.precision, *words_of(recipe.builder)))


def _amounts(build: BuildResult, width: int) -> list[Line]:
    rows: list[tuple[str, int | None, str]] = [("engine", build.engine_bytes, "on disk")]
    for at, planned in enumerate(build.activation_bytes):
        name = "activations" if len(build.activation_bytes) == 1 else f"activations {at}"
        rows.append((name, planned, "planned, at the profile's max"))
    rows += [
        ("weights", build.weights_bytes, "planned"),
        ("scratch", build.scratch_bytes, "planned, the largest of any layer"),
        ("persistent", build.device_persistent_bytes, "planned, on the device"),
        ("host", build.host_persistent_bytes, "planned, persistent"),
        ("peak host", build.peak_host_bytes, "measured by the builder"),
    ]
    lines = [
        line
        for name, amount, what in rows
        if amount is not None
        for line in _amount(name, size_text(amount), what, width)
    ]
    if build.kernels:
        fused = sum(len(kernel.onnx_nodes) > 1 for kernel in build.kernels)
        lines += _amount("kernels", f"{len(build.kernels)}", f"{fused} fused, of several nodes each", width)
    return lines


def _amount(name: str, figure: str, remark: str, width: int) -> list[Line]:
    """A figure and who says so, which is never cut: without what follows its comma, else on a line of its own."""
    spans: tuple[Span, ...] = ((f"{name:<12}", "muted"), (f"{figure:>8}", "strong"))
    for text in (remark, remark.partition(",")[0]):
        if AMOUNT_WIDTH + 2 + cell_len(text) <= width:
            return [Line((*spans, (f"  {text}", "muted")))]
    return [Line(spans), *paragraph(remark.partition(",")[0], width, "muted", indent=INSET)]


def log(lines: Sequence[LogLine], levels: frozenset[LogLevel], search: str, *, ascii_only: bool) -> list[Line]:
    """The log lines of these levels with `search` in them; each is one entry whose key is the log line."""
    needle = search.lower()
    kept = [line for line in lines if line.level in levels and (not needle or needle in line.text.lower())]
    shown = kept[-LOG_SHOWN:]
    made: list[Line] = []
    if len(kept) > len(shown):
        made.append(Line(((f"… {len(kept) - len(shown):,} earlier lines; search to see them", "muted"),)))
    for line in shown:
        fancy, plain, role = _LEVEL_MARKS[line.level]
        text = " ".join(line.text.split())
        made.append(
            Line(((f"{line.t:7.2f} ", "muted"), (f"{plain if ascii_only else fancy} ", role), (text, role)), key=line)
        )
    return made


def kernels(found: Sequence[Kernel], search: str, width: int, *, ascii_only: bool) -> list[Line]:
    """Each kernel with the ONNX nodes in it; those of one node, then several, as the engine runs them."""
    needle = search.lower()
    arrow = "<-" if ascii_only else "←"
    lines: list[Line] = []
    for kernel in found:
        words = (kernel.name, kernel.kind, *kernel.onnx_nodes, *kernel.reads)
        if needle and needle not in " ".join(words).lower():
            continue
        count = len(kernel.onnx_nodes)
        tail: tuple[Span, ...] = (
            (f"{count} nodes" if count > 1 else "" if count else "TensorRT's own", "note" if count > 1 else "muted"),
        )
        about = " ".join(filter(None, (kernel.kind, kernel_types.type_of(kernel))))
        kind: tuple[Span, ...] = ((f"{about}  ", "muted"),) if about else ()
        lines.append(Line((*kind, (kernel.name, "name")), tail, key=kernel))
        if count > 1:
            text = ", ".join(kernel.onnx_nodes)
            lines += paragraph(text, width, "muted", indent=((f"  {arrow} ", "muted"),), key=kernel)
    return lines


def history(jobs: Sequence[Job], past: Sequence[BuildRecord], width: int, *, ascii_only: bool) -> list[Line]:
    """Builds of this session, newest first, with what changed since the one before; then those of earlier sessions."""
    cross, tick = ("X", "+") if ascii_only else ("✗", "✓")
    lines: list[Line] = []
    for at, job in reversed(list(enumerate(jobs))):
        assert job.build is not None
        before = jobs[at - 1].recipe if at else None
        what = (
            ", ".join(changes(before, job.recipe)) or "same recipe" if before is not None else "first of this session"
        )
        mark: Span = (f"{tick} ", "good") if job.build.ok else (f"{cross} ", "error")
        came = f"engine {size_text(job.build.engine_bytes)}" if job.build.ok else "refused"
        head = f"#{job.nth:<3} {seconds_text(job.build.seconds):>8}  {came}"
        planned = f"  activations {size_text(max(job.build.activation_bytes))}" if job.build.activation_bytes else ""
        figures: tuple[Span, ...] = (mark, (head + planned, "text"))
        if width_of(figures) + 2 + cell_len(what) <= width:
            lines.append(Line((*figures, (f"  {what}", "muted")), key=job.number))
        else:
            lines.append(Line(figures, key=job.number))
            lines += paragraph(what, width, "muted", indent=(("       ", "text"),), key=job.number)
    if past:
        lines.append(Line((("earlier sessions", "strong"),)))
    for record in reversed(past):
        mark = (f"{tick} ", "good") if record.ok else (f"{cross} ", "error")
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(record.ended))
        came = f"engine {size_text(record.engine_bytes)}" if record.ok else "refused"
        head = f"     {seconds_text(record.seconds):>8}  {came}"
        lines.append(Line((mark, (head, "muted"), (f"  {record.source}", "muted")), ((when, "muted"),)))
    return lines
