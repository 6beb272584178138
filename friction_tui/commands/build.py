"""`friction-tui build`: build once, print what it took and what came out."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from friction_tui.commands.ask import judged
from friction_tui.commands.failing import CouldNotRun, writable
from friction_tui.drawing.width import visible
from friction_tui.files import whole
from friction_tui.report.text import ansi, describe, plain
from friction_tui.verdicts import kernel_types
from friction_tui.verdicts.answer import Answer
from friction_tui.vocabulary.finding import Finding, Severity
from friction_tui.vocabulary.protocol import BuildResult, Event, JobKind, JobProgress
from friction_tui.vocabulary.recipe import Recipe
from friction_tui.vocabulary.units import size_text


def run(recipe: Recipe, save: Path | None, *, show_log: bool, allow: bool) -> int:
    """Build the engine; 0 it builds and can run in the whole profile, 1 it does not."""
    live = sys.stderr.isatty()
    if save:
        writable(save, "the engine")

    def on_event(event: Event) -> None:
        if not isinstance(event, JobProgress) or event.kind is not JobKind.BUILD:
            return
        for line in event.lines if show_log else ():
            click.echo(f"{line.t:8.2f} s  {line.level:7}  {visible(line.text)}", err=True)
        if live and not show_log and event.phases:
            click.echo(f"\r\x1b[K{visible(event.phases[-1].name)}  {event.elapsed:.1f} s", nl=False, err=True)

    def keep(answer: Answer) -> None:
        if save and answer.build and answer.build.ok:
            try:
                with whole(save) as partial:
                    shutil.copyfile(answer.build.engine_path, partial)
            except OSError as error:
                raise CouldNotRun(f"the engine was not written to {save}: {error.strerror}") from None

    answer = judged(recipe, allow=allow, jobs=(JobKind.BUILD,), on_event=on_event, on_finished=keep)
    if live and not show_log:
        click.echo("\r\x1b[K", nl=False, err=True)
    if answer.opened is None:
        _tell(answer.findings)
        click.echo("The source gave no model; nothing was built.")
        return 1
    if answer.build is None:
        _tell(answer.jobs[JobKind.BUILD].findings if JobKind.BUILD in answer.jobs else ())
        raise CouldNotRun(answer.job_error or "the build did not start")
    findings = answer.jobs[JobKind.BUILD].findings
    _tell(findings)
    for line in _lines(answer.build, answer.recipe):
        click.echo(line)
    if save and answer.build.ok:
        click.echo(f"saved to {save}")
    cannot_run = any(finding.severity is Severity.ERROR for finding in findings)
    return int(cannot_run or not answer.build.ok)


def _tell(findings: Iterable[Finding]) -> None:
    paint = ansi if sys.stdout.isatty() else plain
    for finding in findings:
        click.echo("\n".join(describe(finding, paint)) + "\n")


def _lines(result: BuildResult, recipe: Recipe) -> Iterator[str]:
    if result.reused:
        yield f"taken from the engine cache: {result.reused} by {result.source}"
    else:
        yield f"{'built' if result.ok else 'refused'} by {result.source} in {result.seconds:.1f} s"
    if result.not_reused:
        yield result.not_reused
    for phase in result.phases:
        took = f"{phase.seconds:.2f} s" if phase.seconds is not None else "not finished"
        yield f"  {visible(phase.name):<34} {took:>12}"
    figures = (
        ("engine", result.engine_bytes),
        *((f"activation memory, profile {i}", planned) for i, planned in enumerate(result.activation_bytes)),
        ("weights", result.weights_bytes),
        ("scratch", result.scratch_bytes),
        ("device, persistent", result.device_persistent_bytes),
        ("host, peak while building", result.peak_host_bytes),
    )
    known = [(name, figure) for name, figure in figures if figure is not None]
    if known:
        yield "planned by the builder, not measured on a GPU:"
    for name, figure in known:
        yield f"  {name:<34} {size_text(figure):>12}"
    if result.kernels:
        nodes = {node for kernel in result.kernels for node in kernel.onnx_nodes}
        yield f"  {len(result.kernels)} kernels for {len(nodes)} ONNX nodes"
        yield from (f"  {visible(line)}" for line in kernel_types.lines(result, recipe))
