"""The job that applies fixes until no error is left that one of them mends. Imported in a job process only."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
import onnx
from onnx.external_data_helper import load_external_data_for_model

from friction_tui.engines.base import Refusal
from friction_tui.engines.found import deciding, found, parser
from friction_tui.model.file.external import tensor_bytes
from friction_tui.model.graph_diff import model_diff
from friction_tui.model.opened import OpenedModel, all_tensors, open_model
from friction_tui.model.shapes.profile import default_profile, free_dims
from friction_tui.model.shapes.shape_table import ShapeTable
from friction_tui.plugin_libraries import agreed
from friction_tui.rewrites import cutting, mending
from friction_tui.rewrites.apply import apply
from friction_tui.rewrites.verification import Verification, not_run, verify
from friction_tui.rewrites.verifying import LARGEST, TOO_LARGE, changes_of, points_of
from friction_tui.session.at_once import context_of, judged
from friction_tui.session.builder_verdict import refused_by_builder, why_not
from friction_tui.session.saving import edits_of, save_model, write_script
from friction_tui.vocabulary.finding import Location, LocationKind, Severity
from friction_tui.vocabulary.protocol import CutParts, JobEnded, JobRequest, Mended, MendStep, Refused
from friction_tui.vocabulary.recipe import POINTS, Profile, Range, Recipe
from friction_tui.worker.progress import Progress


def mend(request: JobRequest, progress: Progress) -> JobEnded:
    """Mend the request's model with its recipe applied; write it to `request.output` where that is asked."""
    started = time.monotonic()
    progress.begin("open")
    base = open_model(Path(request.model))
    engine = deciding(found())
    model = apply(base, request.recipe, weak_types=engine is not None and engine.weak_types)
    progress.end("open")
    progress.begin("fix")

    def on_step(step: MendStep) -> None:
        progress.log("info", f"{step.problem}: {step.what} ({step.exactness}); {step.verified}")

    done = mending.mend(
        model,
        lambda edited: judged(edited, request.recipe),
        lambda before, after, name: compared(before, after, request.recipe, [name]),
        level=request.level,
        only=frozenset(request.only),
        on_step=on_step,
    )
    progress.end("fix")
    names = [step.rewrite.name for step in done.steps]
    # Opset and precision of the recipe are in both: what the fixes did is compared.
    whole = compared(model, done.model, request.recipe, names) if done.steps else None
    saved = _saved(base, done.model, request.output) if request.output else ""
    script, scripted = "", ""
    if request.script:
        progress.begin("script")
        steps = [*edits_of(request.recipe), *map(_described, done.steps)]
        script = request.script
        scripted = write_script(base, done.model, Path(script), steps).text
        progress.end("script")
    result = Mended(
        steps=tuple(done.steps),
        findings=tuple(done.findings),
        unanswered=done.unanswered,
        refused=tuple(dict.fromkeys(done.refused)),
        verified=str(whole) if whole is not None else "",
        holds=whole.holds if whole is not None else None,
        saved=saved,
        script=script,
        scripted=scripted,
        cut=_cut(base, model, done, request) if request.cut else None,
        difference=model_diff(base.proto, done.model.proto) if request.diff else None,
    )
    return JobEnded(job=request.job, kind=request.kind, seconds=time.monotonic() - started, mended=result)


def _described(step: MendStep) -> str:
    return f"{step.problem}: {step.what} ({step.rewrite.name}, {step.exactness})"


def _cut(base: OpenedModel, unmended: OpenedModel, done: mending.Mending, request: JobRequest) -> CutParts | None:
    """Cut what stays refused and write the parts beside the output; None where nothing is refused."""
    model, output = done.model, Path(request.output)
    refused = cutting.refused_nodes(done.findings)
    if not refused:
        return None
    profile = default_profile(model, request.recipe.profile) if request.recipe.profile is not None else None
    table = ShapeTable(model, profile)
    notes: dict[str, str] = {}

    def ask(part: OpenedModel) -> list[Refusal]:
        refused_here, notes[_outputs(part)] = refused_in_part(part, table, request.recipe)
        return refused_here

    try:
        parts = cutting.cut(model, refused, table, ask)
    except cutting.CannotCut as error:
        return CutParts(why_not=str(error))
    files = {part.name: output.with_name(f"{output.stem}.{part.name}.onnx") for part in parts.parts}
    for part in parts.parts:
        _saved(base, part.model, str(files[part.name]))
    runner = output.with_name(f"{output.stem}_run.py")
    outputs = [value.name for value in model.proto.graph.output]
    named = [(files[part.name].name, part.engine) for part in parts.parts]
    runner.write_text(cutting.runner_text(base.path.name, named, outputs), encoding="utf-8")
    on_tensorrt = [part for part in parts.parts if part.engine is cutting.Engine.TENSORRT]
    names = [step.rewrite.name for step in done.steps]
    checked = compared(unmended, [part.model for part in parts.parts], request.recipe, names)
    return CutParts(
        **{name: str(file) for name, file in files.items()},
        runner=str(runner),
        tensors=parts.tensors,
        bytes=parts.crossing_bytes,
        built=tuple(f"{part.name}: {notes[_outputs(part.model)]}" for part in on_tensorrt),
        nodes=tuple(len(part.model.index.main) for part in parts.parts),
        verified=str(checked),
        holds=checked.holds,
    )


def _outputs(part: OpenedModel) -> str:
    return "\0".join(value.name for value in part.proto.graph.output)


def refused_in_part(part: OpenedModel, whole: ShapeTable, recipe: Recipe) -> tuple[list[Refusal], str]:
    """What parser and builder refuse of a part of a model, and in words whether the builder was asked.

    `whole` are the shapes of the whole model: the sizes of the tensors that the part reads.
    """
    reader = parser(deciding(found())) if recipe.parse else None
    found_here: list[Refusal] = []
    if reader is not None:
        libraries = agreed(recipe)  # not every engine can load them
        found_here = reader.refusals(part, libraries=libraries) if libraries else reader.refusals(part)
    if found_here:
        return found_here, ""
    context = context_of(part, msgspec.structs.replace(recipe, profile=_profile_of(part, whole, recipe)))
    why = why_not(context)
    if why:
        return [], f"its parser takes it; not built: {why}"
    errors = [one for one in refused_by_builder(context, ()) if one.severity is Severity.ERROR]
    if not errors:
        return [], f"{context.engine} takes its shapes and layers"
    places = [(one, place) for one in errors for place in one.locations or (Location(LocationKind.MODEL, ""),)]
    return [
        Refusal(place.node, place.name, place.op, "BUILDER", one.title, "", "", "dynamic", False, ())
        for one, place in places
    ], ""


def _profile_of(part: OpenedModel, whole: ShapeTable, recipe: Recipe) -> Profile | None:
    """The recipe's profile, with the sizes that the part's inputs have within the whole model."""
    if recipe.profile is None:
        return None
    sizes = {}
    for name in (value.name for value in part.index.inputs):
        found = [whole.at(point).types.get(name) for point in POINTS]
        dims = [one.dims for one in found if one is not None and one.dims is not None]
        if len(dims) == len(POINTS) and len({len(one) for one in dims}) == 1:
            for axis, (low, opt, high) in enumerate(zip(*dims, strict=True)):
                if isinstance(low, int) and isinstance(opt, int) and isinstance(high, int) and low <= opt <= high:
                    sizes[f"{name}[{axis}]"] = Range(low, opt, high)
    free = {f"{name}[{axis}]" for places in free_dims(part).values() for name, axis in places}
    ranges = {key: one for key, one in sizes.items() if key in free}
    chosen = msgspec.structs.replace(recipe.profile, ranges={**recipe.profile.ranges, **ranges})
    return default_profile(part, chosen)


def compared(
    before: OpenedModel, after: OpenedModel | Sequence[OpenedModel], recipe: Recipe, names: Iterable[str] = ()
) -> Verification:
    """Both models, or the second's parts, run on the same inputs; `names` are the rewrites between them."""
    parts = [after] if isinstance(after, OpenedModel) else after
    if max(sum(map(tensor_bytes, all_tensors(one.index))) for one in (before, *parts)) > LARGEST:
        return not_run(TOO_LARGE)
    first, *others = [_loaded(model) for model in (before, *parts)]
    profile = default_profile(before, recipe.profile) if recipe.profile is not None else None
    points = points_of(before, msgspec.structs.replace(recipe, profile=profile))
    rewritten = others[0] if isinstance(after, OpenedModel) else others
    return verify(first, rewritten, points, changes=changes_of(names))


def _loaded(model: OpenedModel) -> onnx.ModelProto:
    proto = onnx.ModelProto()
    proto.CopyFrom(model.proto)
    load_external_data_for_model(proto, str(model.path.parent))
    return proto


def _saved(base: OpenedModel, model: OpenedModel, output: str) -> str:
    saved = save_model(base, model, Path(output))
    if isinstance(saved, Refused):
        raise OSError(f"{saved.what}: {saved.why}")
    return saved.path
