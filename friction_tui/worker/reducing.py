"""The job that searches for the smallest failing part of a model. Imported in a job process only."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import numpy as np

from friction_tui.engines import onnxruntime
from friction_tui.engines.base import CannotReduce, EngineMissing, NothingToReduce, Reduced
from friction_tui.engines.found import builder, deciding, found
from friction_tui.engines.run_reduction import reduced_run
from friction_tui.measure.inputs import example_inputs
from friction_tui.model.opened import OpenedModel, from_proto, open_model
from friction_tui.model.shapes.point_shapes import input_sizes
from friction_tui.model.shapes.profile import default_profile
from friction_tui.model.shapes.shape_table import ShapeTable
from friction_tui.rewrites.apply import apply
from friction_tui.rules.context import CheckContext, context_for
from friction_tui.rules.engine.builder import answer_findings
from friction_tui.session.builder_verdict import terms_of, why_not
from friction_tui.session.saving import save_model
from friction_tui.vocabulary.protocol import JobEnded, JobRequest, Reduction, Refused
from friction_tui.worker.progress import Progress


def reduce(request: JobRequest, progress: Progress) -> JobEnded:
    """Find the smallest failing part of the request's model; write it to `request.output` where that is asked.

    A model that builds, or that cannot be built here at all, ends with the reason as the job's error.
    """
    started = time.monotonic()
    progress.begin("open")
    base = open_model(Path(request.model))
    model = apply(base, request.recipe)
    progress.end("open")
    context = _context(model, request)
    reason = why_not(context)
    progress.begin("reduce")
    if reason:
        ran = _failing_run(base, model, context, request, progress)
        return ran if isinstance(ran, JobEnded) else _over(request, started, error=f"{reason}; {ran}")
    try:
        smallest = builder(context.builder).reduced(
            model,
            context.table,
            terms_of(context),
            lambda text: progress.log("info", text),
            whole_s=request.limit_s or 0.0,
        )
    except NothingToReduce:
        ran = _failing_run(base, model, context, request, progress)
        builds = f"{context.engine} builds the model"
        return ran if isinstance(ran, JobEnded) else _over(request, started, error=f"{builds}, and {ran}")
    except CannotReduce:
        return _over(request, started, error="the model fails as a whole, and no part of it fails in the same way")
    progress.end("reduce")
    return _over(request, started, reduced=_result(base, model, context, smallest, request.output))


def _failing_run(
    base: OpenedModel, model: OpenedModel, context: CheckContext, request: JobRequest, progress: Progress
) -> JobEnded | str:
    """The smallest part with which ONNX Runtime fails at the profile's opt; why there is none, in words."""
    started = time.monotonic()
    try:
        label = onnxruntime.label()
    except EngineMissing as error:
        return str(error)
    profile = context.recipe.profile
    values = {name: chosen.opt for name, chosen in profile.values.items()} if profile else {}
    try:
        feeds = example_inputs(model.proto, input_sizes(model, profile, "opt"), values)
    except KeyError as error:
        return f"no size is known for the input {error.args[0]}, so it was not run"
    found = reduced_run(model, context.table, feeds, lambda text: progress.log("info", text))
    if found is None:
        return f"{label} runs it on example inputs: there is nothing to reduce"
    saved, inputs = "", ""
    if request.output:
        written = save_model(base, from_proto(found.part.proto, model.path), Path(request.output))
        if isinstance(written, Refused):
            raise OSError(f"{written.what}: {written.why}")
        saved, inputs = written.path, str(Path(request.output).with_suffix(".npz"))
        np.savez(inputs, **found.feeds)  # type: ignore[arg-type]
    return _over(
        request,
        started,
        reduced=Reduction(
            source=label,
            total=len(model.index.main),
            nodes=tuple(f"{node.proto.op_type} {node.name}" for node in found.part.nodes),
            findings=(),
            builds=found.runs,
            complete=True,
            saved=saved,
            inputs=inputs,
            said=found.failure.text,
        ),
    )


def _context(model: OpenedModel, request: JobRequest) -> CheckContext:
    engine, given = deciding(found()), request.recipe.profile
    profile = default_profile(model, given) if given is not None else None
    recipe = msgspec.structs.replace(request.recipe, profile=profile, others=(), position=0)
    return context_for(engine, model, recipe, ShapeTable(model, profile))


def _result(base: OpenedModel, model: OpenedModel, context: CheckContext, smallest: Reduced, output: str) -> Reduction:
    part = from_proto(smallest.proto, model.path)
    around = context_for(context.builder, part, context.recipe, ShapeTable(part, None))
    saved = save_model(base, part, Path(output)) if output else None
    if isinstance(saved, Refused):
        raise OSError(f"{saved.what}: {saved.why}")
    return Reduction(
        source=f"{context.engine} builder",
        total=len(model.index.main),
        nodes=tuple(f"{node.proto.op_type} {node.name}" for node in smallest.nodes),
        findings=tuple(answer_findings(around, smallest.answer)),
        builds=smallest.builds,
        complete=smallest.complete,
        saved=saved.path if saved else "",
    )


def _over(request: JobRequest, started: float, *, error: str = "", reduced: Reduction | None = None) -> JobEnded:
    seconds = time.monotonic() - started
    return JobEnded(job=request.job, kind=request.kind, seconds=seconds, error=error, reduced=reduced)
