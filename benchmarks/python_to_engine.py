"""From a line of Python to an engine: models people deploy, through the worker, to a plan or to the reason why not.

Each goes the way it goes in the app and in CI: exported from its `file.py:factory` (or converted from its Keras file),
judged, built by TensorRT with a range for every free dimension, then timed by ONNX Runtime where no GPU runs the plan.
`python -m benchmarks.python_to_engine [NAME...]`. The Keras models need `FRICTION_TENSORFLOW_PYTHON`.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from benchmarks.machine import machine, row
from friction_tui.sources.runner import TENSORFLOW_PYTHON
from friction_tui.verdicts.answer import Answer
from friction_tui.vocabulary.finding import Severity
from friction_tui.vocabulary.protocol import JobKind
from friction_tui.vocabulary.recipe import Profile, Range, Recipe, Source, SourceKind
from friction_tui.vocabulary.units import size_text
from friction_tui.worker.headless import ask

HERE = Path(__file__).parent
BATCH, LENGTH, SIDE = Range(1, 4, 8), Range(1, 64, 128), Range(32, 128, 256)

TORCH: Mapping[str, Mapping[str, Range]] = {
    "resnet": {"image[0]": BATCH, "image[2]": SIDE, "image[3]": SIDE},
    "unet": {"image[0]": BATCH, "image[2]": SIDE, "image[3]": SIDE},
    "lstm": {"tokens[0]": BATCH, "tokens[1]": LENGTH},
    "bert": {"tokens[0]": BATCH, "mask[0]": BATCH, "tokens[1]": LENGTH, "mask[1]": LENGTH},
    "gpt": {"ids[0]": BATCH, "ids[1]": LENGTH},
    "llama": {"ids[0]": BATCH, "ids[1]": LENGTH},
}
"""The factories of `torch_models`, and the ranges asked for."""

KERAS: Mapping[str, Mapping[str, Range]] = {
    "keras_cnn": {"batch": BATCH},
    "keras_lstm": {"batch": BATCH, "tokens_1": LENGTH},
}
"""The models that `keras_models` writes, and the ranges asked for."""

COLUMNS = ("model", "export s", "verdict", "engine", "activations", "build s", "ORT p50 ms")
WIDTHS = (12, 8, 18, 10, 11, 8, 10)


def torch_recipe(name: str) -> Recipe:
    """One of the torch models, as `friction-tui build torch_models.py:name --shapes ...` has it."""
    source = Source(str(HERE / "torch_models.py"), SourceKind.PYTORCH, name)
    return Recipe(source=source, profile=Profile(ranges=dict(TORCH[name])))


def keras_recipe(name: str, folder: Path) -> Recipe:
    """One of the Keras models, written to `folder` by the TensorFlow environment."""
    source = Source(str(folder / f"{name}.keras"), SourceKind.TENSORFLOW)
    return Recipe(source=source, profile=Profile(ranges=dict(KERAS[name])))


def write_keras(folder: Path) -> None:
    """Have the TensorFlow environment write its models to `folder`."""
    command = [os.environ[TENSORFLOW_PYTHON], str(HERE / "keras_models.py"), str(folder)]
    subprocess.run(command, check=True, capture_output=True)


def through(recipe: Recipe) -> Answer:
    """Export, judge, build, time; the user has agreed that the code runs."""
    return asyncio.run(ask(recipe, allow_code=True, jobs=(JobKind.BUILD, JobKind.MEASURE)))


def cells(name: str, answer: Answer) -> tuple[str, ...]:
    """The row of one model; a dash for what was not reached."""
    exported = f"{answer.exported.seconds:.1f}" if answer.exported else "-"
    judged = answer.judged.findings if answer.judged else ()
    counted = [sum(finding.severity is s for finding in judged) for s in (Severity.ERROR, Severity.WARNING)]
    said = [
        f"{count} {word}{'s' if count > 1 else ''}"
        for count, word in zip(counted, ("error", "warning"), strict=True)
        if count
    ]
    verdict = (", ".join(said) or "clean") if answer.could_run else "none"
    build, timed = answer.build, answer.jobs.get(JobKind.MEASURE)
    if build is None or not build.ok:
        return (name, exported, verdict, "refused" if build else "-", "-", "-", "-")
    planned = size_text(max(build.activation_bytes)) if build.activation_bytes else "-"
    p50 = f"{timed.latency.p50:.2f}" if timed and timed.latency else "-"
    return (name, exported, verdict, size_text(build.engine_bytes or 0), planned, f"{build.seconds:.1f}", p50)


def reasons(answer: Answer) -> Iterator[str]:
    """What was said about a model, warnings and worse, and why a step gave nothing."""
    for finding in answer.findings:
        if finding.severity in (Severity.ERROR, Severity.WARNING):
            line = f" ({finding.line.file}:{finding.line.line})" if finding.line else ""
            yield f"    {finding.kind}: {finding.title}{line}"
    yield from (f"    {why}" for why in (answer.failure, answer.job_error) if why)


def versions(answer: Answer) -> str:
    """Who exported, judged, built and timed."""
    timed = answer.jobs.get(JobKind.MEASURE)
    sources = (
        *(found.source for found in answer.checks.values() if found.source not in ("rule", "export")),
        answer.build.source if answer.build else "",
        timed.latency.source if timed and timed.latency else "",
    )
    return ", ".join(dict.fromkeys(source for source in sources if source))


def main() -> None:
    wanted = sys.argv[1:] or [*TORCH, *(KERAS if TENSORFLOW_PYTHON in os.environ else ())]
    print(machine())
    print(row(COLUMNS, WIDTHS), flush=True)
    with tempfile.TemporaryDirectory() as folder:
        if any(name in KERAS for name in wanted):
            write_keras(Path(folder))
        for name in wanted:
            answer = through(torch_recipe(name) if name in TORCH else keras_recipe(name, Path(folder)))
            print(row(cells(name, answer), WIDTHS), *reasons(answer), sep="\n", flush=True)
    print(versions(answer))


if __name__ == "__main__":
    main()
