"""`friction-tui compare`: the outputs of two ways to run a model, and the first tensor where they part."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from friction_tui.commands.ask import judged
from friction_tui.commands.failing import CouldNotRun
from friction_tui.drawing.width import visible
from friction_tui.verdicts.answer import Answer
from friction_tui.vocabulary.protocol import (
    Comparison,
    Event,
    JobKind,
    JobProgress,
    StartJob,
    TensorApart,
)
from friction_tui.vocabulary.protocol.evidence import OutputDifference
from friction_tui.vocabulary.recipe import Recipe

TORCH = "torch"


def run(
    recipe: Recipe, *, against: str, tolerance: float, data: tuple[str, ...], save: Path | None, form: str, allow: bool
) -> int:
    """Compare and print; 0 the same within the tolerance, 1 they differ."""
    live = sys.stderr.isatty()

    def on_event(event: Event) -> None:
        if live and isinstance(event, JobProgress) and event.lines:
            click.echo(f"\r\x1b[K{visible(event.lines[-1].text)}  {event.elapsed:.1f} s", nl=False, err=True)

    def request(number: int, kind: JobKind) -> StartJob:
        return StartJob(
            job=number,
            kind=kind,
            tolerance=tolerance,
            against=str(Path(against).absolute()) if against.endswith(".onnx") else against,
            inputs=tuple(str(Path(file).absolute()) for file in data),
            output=str(save.absolute()) if save else "",
        )

    jobs = () if against == TORCH else (JobKind.COMPARE,)
    answer = judged(recipe, allow=allow, jobs=jobs, job_request=request, on_event=on_event)
    if live:
        click.echo("\r\x1b[K", nl=False, err=True)
    found = _with_torch(answer, tolerance, data, save) if against == TORCH else _of_job(answer)
    if form == "json":
        listed = {"same": found.same, **msgspec.to_builtins(found)}
        click.echo(msgspec.json.format(msgspec.json.encode(listed), indent=2).decode())
    else:
        click.echo("\n".join(map(visible, _lines(found))))
    return int(not found.same)


def _of_job(answer: Answer) -> Comparison:
    ended = answer.jobs.get(JobKind.COMPARE)
    if ended is None or ended.compared is None:
        raise CouldNotRun(answer.job_error or "the comparison did not start")
    return ended.compared


def _with_torch(answer: Answer, tolerance: float, data: tuple[str, ...], save: Path | None) -> Comparison:
    """What the export compared: PyTorch and ONNX Runtime on the example inputs and others of its own."""
    evidence = answer.exported.evidence if answer.exported else None
    if evidence is None or not evidence.differences:
        raise CouldNotRun(
            "PyTorch was not run: --against torch needs a PyTorch source whose export compared the outputs"
        )
    if data or save:
        raise CouldNotRun(
            "--against torch compares on the inputs of the export; --input data.npz and --save do not apply"
        )
    places = list(dict.fromkeys(one.where for one in evidence.differences))
    return Comparison(
        first="PyTorch, at the export",
        second="ONNX Runtime, the exported model",
        tolerance=tolerance or max(one.accepted for one in evidence.differences),
        inputs=tuple(places),
        outputs=tuple(_as_apart(one, places.index(one.where)) for one in evidence.differences),
        located="not looked for: PyTorch keeps no tensors by the names of the ONNX model",
    )


def _as_apart(one: OutputDifference, inputs: int) -> TensorApart:
    return TensorApart(
        tensor=one.output,
        inputs=inputs,
        absolute=one.absolute,
        relative=one.relative,
        index=one.index,
        first=one.expected,
        second=one.got,
    )


def _lines(found: Comparison) -> Iterator[str]:
    wrong = [one for one in found.outputs if not one.same(found.tolerance)]
    verdict = (
        "the same" if found.same else f"differ on {len({one.inputs for one in wrong})} of {len(found.inputs)} inputs"
    )
    yield f"{verdict}, tolerance {found.tolerance:g} relative to the largest value"
    yield f"  first   {found.first}"
    yield f"  second  {found.second}"
    for number, said in enumerate(found.inputs):
        yield f"inputs {number}: {said}"
        yield from (
            f"  {line}" for one in found.outputs if one.inputs == number for line in _apart(one, found.tolerance)
        )
    if found.diverges is not None:
        yield f"first to differ: {found.diverges.tensor}, written by {found.node}"
        yield from (f"  {line}" for line in _apart(found.diverges, found.tolerance))
    if found.located and not found.same:
        yield f"  {found.located}"
    if found.saved:
        yield f"saved to {found.saved}"


def _apart(one: TensorApart, tolerance: float) -> Iterator[str]:
    mark = "same " if one.same(tolerance) else "DIFF "
    if one.unlike:
        yield f"{mark} {one.tensor}: {one.unlike}"
        return
    figures = [
        f"absolute {one.absolute:.3g}" if one.absolute is not None else "",
        f"relative {one.relative:.3g}" if one.relative is not None else "",
        f"cosine {one.cosine:.6f}" if one.cosine is not None else "",
        f"top-1 {one.top1:.1%}" if one.top1 is not None else "",
        f"top-5 {one.top5:.1%}" if one.top5 is not None else "",
    ]
    yield f"{mark} {one.tensor}: {', '.join(filter(None, figures)) or 'no finite value'}"
    if one.absolute and not one.same(tolerance):
        yield f"        at {list(one.index)}: {one.first:.6g} and {one.second:.6g}"
    for wrong in one.not_finite:
        side = "first" if wrong.side == 1 else "second"
        share = f"{wrong.count} of {wrong.total} values"
        yield f"        {wrong.what} in {share} of the {side} only, first at {list(wrong.index)}"
