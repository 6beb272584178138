"""`friction-tui memory`: does it fit, up to which size, what takes the most, and what would help."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from typing import Any

import click
import msgspec

from friction_tui.commands.failing import CouldNotRun
from friction_tui.drawing.width import visible, visible_lines
from friction_tui.processes.stdio import printable
from friction_tui.report.verdict import bounded, bounded_line
from friction_tui.vocabulary.gpus import GPUS, RESERVE, Gpu, named
from friction_tui.vocabulary.protocol import Forecast, MemoryForecast
from friction_tui.vocabulary.recipe import Precision, Profile, Recipe
from friction_tui.vocabulary.units import size_text
from friction_tui.worker.headless import forecast

SOURCE = "predicted from the shapes, as TensorRT-RTX 1.7 plans memory"
HALVES = (Precision.FP16, Precision.BF16)


def run(recipe: Recipe, *, gpus: Sequence[str], batch: int | None, along: str, form: str, allow: bool) -> int:
    """Print the prediction; 0 it fits all `gpus`, 1 it does not fit one, 2 (raised) nothing could be predicted."""
    asked = [_gpu(text) for text in gpus]
    answered = asked or list(GPUS)
    budgets = tuple(dict.fromkeys(gpu.usable for gpu in answered))
    found = _forecast(recipe, along, batch, budgets, allow)
    if batch is not None and not found.key:
        raise CouldNotRun("--batch: the model has no free dimension; its sizes are fixed")
    if not found.sizes:
        where = f"{found.key} = {batch}" if batch is not None else "any size of the profile"
        raise CouldNotRun(f"nothing can be predicted: some operator does not work at {where}; `check` says which")
    total = found.weights + found.activations[-1]
    if form == "json":
        click.echo(json.dumps(bounded(_as_json(found, answered, total)), indent=2, ensure_ascii=False))
    else:
        for line in _lines(found, answered, total, recipe.precision):
            click.echo(visible(bounded_line(line)))
    return int(bool(asked) and any(total > gpu.usable for gpu in asked))


def _gpu(text: str) -> Gpu:
    gpu = named(text)
    if gpu is None:
        known = ", ".join(one.name for one in GPUS)
        raise click.UsageError(f"--gpu {text}: name memory such as 8GB or 6.5GB, or one of {known}")
    if gpu.usable <= 0:
        raise click.UsageError(f"--gpu {text}: {size_text(RESERVE)} of it go to CUDA, so nothing is left")
    return gpu


def _forecast(recipe: Recipe, along: str, batch: int | None, budgets: tuple[int, ...], allow: bool) -> MemoryForecast:
    def question(profile: Profile) -> Forecast:
        first = next(iter(profile.ranges), "") if batch is not None else ""
        return Forecast(key=along or first, budgets=budgets, at=batch or 0)

    answer, told = asyncio.run(forecast(recipe, question, allow_code=allow))
    if told is None:
        raise CouldNotRun(visible_lines(printable(answer.failure)))
    if answer.opened is None or not answer.opened.summary.nodes:
        why = next((finding.cause for finding in answer.findings), "it has no nodes")
        raise CouldNotRun(visible_lines(printable(f"nothing can be predicted: {why}")))
    if told.forecast is None:
        raise CouldNotRun(f"nothing can be predicted: {told.note}")
    if along and told.forecast.key != along:
        known = ", ".join((answer.recipe.profile or Profile()).ranges) or "none"
        raise CouldNotRun(f"--along {along}: the model has no such free dimension; it has {known}")
    return told.forecast


def _point(found: MemoryForecast) -> str:
    sizes = ((found.key, found.sizes[-1]), *found.others) if found.key else found.others
    return ", ".join(f"{name} = {size}" for name, size in sizes) or "the model's own sizes"


def _lines(found: MemoryForecast, gpus: Sequence[Gpu], total: int, precision: Precision) -> Iterator[str]:
    least = "at least " if found.unknown else ""
    yield f"{least}{size_text(total)} at {_point(found)}: {SOURCE}"
    yield f"  weights      {size_text(found.weights):>10}"
    yield f"  activations  {size_text(found.activations[-1]):>10}"
    yield f"  beside it    {size_text(RESERVE):>10}  for the CUDA context and libraries, as a reserve"
    if found.unknown:
        yield f"  the sizes of {found.unknown} tensors are not known; they are not counted"
    yield ""
    fits = dict(found.fits)
    for gpu in gpus:
        name = gpu.name if "GB" in gpu.name.upper() else f"{gpu.name} ({gpu.gigabytes:g} GB)"
        said = "fits" if total <= gpu.usable else f"does not fit, {size_text(total - gpu.usable)} too much"
        yield f"{name:<18} {said}{_up_to(found, fits.get(gpu.usable))}"
    if found.largest:
        yield ""
        yield "largest tensors"
        for one in found.largest[:5]:
            yield f"  {size_text(one.bytes):>10}  {one.tensor}  made by {one.node}"
    if any(total > gpu.usable for gpu in gpus):
        yield ""
        yield "what would help"
        for text in _help(found, precision):
            yield f"  {text}"


def _up_to(found: MemoryForecast, size: int | None) -> str:
    if not found.key:
        return ""
    return f"; not even the smallest {found.key} fits" if size is None else f"; up to {found.key} = {size:,}"


def _help(found: MemoryForecast, precision: Precision) -> Iterator[str]:
    widest = [name for name, _ in ((found.key, 0), *found.others) if name]
    if widest:
        yield f"a smaller max of {', '.join(widest)}: TensorRT plans for the largest size of each"
    if len(widest) > 1:
        yield "two profiles, one for each combination you use: memory is planned for the larger, not for all maxima"
    if precision not in HALVES:
        half = (found.weights + found.activations[-1]) // 2
        yield f"--precision fp16: about {size_text(half)}, if every layer can be half"


def _as_json(found: MemoryForecast, gpus: Sequence[Gpu], total: int) -> dict[str, Any]:
    fits = dict(found.fits)
    return {
        "source": SOURCE,
        "at": dict(((found.key, found.sizes[-1]), *found.others)) if found.key else dict(found.others),
        "bytes": total,
        "weights": found.weights,
        "activations": found.activations[-1],
        "reserve": RESERVE,
        "tensors_of_unknown_size": found.unknown,
        "along": found.key,
        "gpus": [
            {
                "name": gpu.name,
                "bytes": int(gpu.gigabytes * 1_000_000_000),
                "fits": total <= gpu.usable,
                "largest_size": fits.get(gpu.usable),
            }
            for gpu in gpus
        ],
        "largest_tensors": [msgspec.to_builtins(one) for one in found.largest],
    }
