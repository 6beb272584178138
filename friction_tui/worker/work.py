"""What job processes do: build an engine, time a model. Imported in a job process only."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import onnx
from onnx.external_data_helper import load_external_data_for_model

from friction_tui.engines.found import builder, deciding, found, runner
from friction_tui.measure.inputs import example_inputs
from friction_tui.measure.latency import with_onnxruntime, with_plan
from friction_tui.model.opened import OpenedModel, open_model
from friction_tui.model.shapes.point_shapes import input_sizes
from friction_tui.rewrites.apply import apply, changes_model
from friction_tui.rewrites.edited import PROTOBUF_LIMIT, write
from friction_tui.session.builder_verdict import terms_for
from friction_tui.vocabulary.protocol import BuildResult, EngineInfo, JobEnded, JobRequest
from friction_tui.vocabulary.recipe import Precision
from friction_tui.vocabulary.recipe.builder_options import refused
from friction_tui.worker.engine_cache import EngineCache, Parts, parts_of
from friction_tui.worker.progress import Progress


def build(request: JobRequest, progress: Progress) -> JobEnded:
    """Build the engine of the request's model with its recipe applied; the plan lands in the request's folder."""
    started = time.monotonic()
    base, model = _prepared(request, progress)
    terms = replace(terms_for(model, request.recipe, weak_types=_weak_types()), options=request.recipe.builder)
    plan, engine = Path(request.folder) / "engine.plan", deciding(found())

    def built() -> BuildResult:
        return builder(engine).build(
            base.path if model is base else model.proto.SerializeToString(),
            terms,
            plan,
            progress,
            origin=None if model is base else base.path,
        )

    offered = engine is not None and not refused(request.recipe.builder, engine.options)
    if engine is None or not offered or not request.recipe.builder.get("engine_cache"):
        result = built()
    else:
        try:
            parts = parts_of(base, model, terms, engine)
        except OSError as error:
            said = f"engine cache: {error.filename} cannot be read, so the engine is not kept: {error.strerror}"
            result = msgspec.structs.replace(built(), not_reused=said)
        else:
            result = _cached(parts, plan, base.path, built, progress)
    return JobEnded(job=request.job, kind=request.kind, seconds=time.monotonic() - started, build=result)


def _cached(parts: Parts, plan: Path, path: Path, built: Callable[[], BuildResult], progress: Progress) -> BuildResult:
    """The engine that is kept, else one that is built and kept; the log says which, and why."""
    cache = EngineCache()
    kept, said = cache.take(parts, plan, path)
    progress.log("info", said)
    if kept is not None:
        return kept
    result = built()
    if result.ok:
        progress.log("info", cache.keep(parts, plan, path, result))
    return msgspec.structs.replace(result, not_reused=said)


def measure(request: JobRequest, progress: Progress) -> JobEnded:
    """Time the model at one point of its profile: the built engine where it can run, else ONNX Runtime."""
    started = time.monotonic()
    base, model = _prepared(request, progress)
    profile = request.recipe.profile
    sizes = input_sizes(model, profile, request.point)
    values = {name: chosen.at(request.point) for name, chosen in profile.values.items()} if profile else {}
    feeds = example_inputs(model.proto, sizes, values)
    enter = _phases(progress)
    engine = deciding(found())
    # A plan that was opened runs in the edition that wrote it or not at all, and says why not.
    is_plan = base.file.kind == "engine"
    note = "" if is_plan else _why_not_built(engine, request.engine)
    if not note:
        result = with_plan(
            runner(engine),
            Path(request.engine),
            feeds,
            point=request.point,
            profile=request.recipe.position,
            runs=request.runs,
            on_phase=enter,
        )
    elif model is not base and request.recipe.precision is Precision.BF16:
        raise ValueError(
            f"{note}; and ONNX Runtime has no bfloat16 kernels for most operators: measure as exported, or as fp16"
        )
    else:
        runnable = _runnable(base, model, Path(request.folder))
        result = with_onnxruntime(runnable, feeds, point=request.point, runs=request.runs, note=note, on_phase=enter)
    enter("")
    return JobEnded(job=request.job, kind=request.kind, seconds=time.monotonic() - started, latency=result)


def _prepared(request: JobRequest, progress: Progress) -> tuple[OpenedModel, OpenedModel]:
    """The model as it lies on disk, and as the recipe makes it: the same object when nothing is edited."""
    progress.begin("open")
    base = open_model(Path(request.model))
    weak = _weak_types()
    model = apply(base, request.recipe, weak_types=weak) if changes_model(request.recipe, weak_types=weak) else base
    progress.end("open")
    return base, model


def _weak_types() -> bool:
    """Whether the engine that builds here takes precision as a wish (TensorRT 10)."""
    engine = deciding(found())
    return engine is not None and engine.weak_types


def _why_not_built(engine: EngineInfo | None, plan: str) -> str:
    if engine is None:
        return "TensorRT is not installed here"
    if not engine.can_run:
        return f"{engine.label} cannot run here: {engine.why_not}"
    return "" if plan else f"no {engine.label} engine of this recipe was built yet: press b"


def _runnable(base: OpenedModel, model: OpenedModel, folder: Path) -> str | bytes:
    """What ONNX Runtime loads: the file itself, or the edited model with its weights inside where they fit."""
    if model is base:
        return str(base.path)
    proto = onnx.ModelProto()
    proto.CopyFrom(model.proto)
    if model.external:
        load_external_data_for_model(proto, str(base.path.parent))
    if proto.ByteSize() < PROTOBUF_LIMIT:
        return bytes(proto.SerializeToString())
    out = folder / "edited.onnx"
    write(proto, out)
    return str(out)


def _phases(progress: Progress) -> Callable[[str], None]:
    """A function that ends the phase before and begins the one named ("" begins none)."""
    running: list[str] = []

    def enter(phase: str) -> None:
        while running:
            progress.end(running.pop())
        if phase:
            progress.begin(phase)
            running.append(phase)

    return enter
