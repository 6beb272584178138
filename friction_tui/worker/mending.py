"""The job that applies fixes until no error is left that one of them mends. Imported in a job process only."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
import onnx
from onnx.external_data_helper import load_external_data_for_model

from friction_tui.engines.found import deciding, found
from friction_tui.engines.tensorrt.refusals import refusals
from friction_tui.model.file.external import tensor_bytes
from friction_tui.model.graph_diff import model_diff
from friction_tui.model.opened import OpenedModel, all_tensors, open_model
from friction_tui.model.shapes.profile import default_profile
from friction_tui.model.shapes.shape_table import ShapeTable
from friction_tui.rewrites import cutting, mending
from friction_tui.rewrites.apply import apply
from friction_tui.rewrites.verification import Verification, not_run, verify
from friction_tui.rewrites.verifying import LARGEST, TOO_LARGE, changes_of, points_of
from friction_tui.rules.checks import diagnose
from friction_tui.rules.context import CheckContext
from friction_tui.rules.deduplicate import deduplicate
from friction_tui.session.builder_verdict import refused_by_builder
from friction_tui.session.saving import edits_of, save_model, write_script
from friction_tui.vocabulary.finding import Finding, fix_first
from friction_tui.vocabulary.protocol import CutParts, JobEnded, JobRequest, Mended, MendStep, Refused
from friction_tui.vocabulary.recipe import Recipe
from friction_tui.worker.progress import Progress


def mend(request: JobRequest, progress: Progress) -> JobEnded:
    """Mend the request's model with its recipe applied; write it to `request.output` where that is asked."""
    started = time.monotonic()
    progress.begin("open")
    base = open_model(Path(request.model))
    model = apply(base, request.recipe)
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
    try:
        found = cutting.cut(
            model, refused, ShapeTable(model, profile), lambda part: refusals(part, on_batch=lambda _: None)
        )
    except cutting.CannotCut as error:
        return CutParts(why_not=str(error))
    files = {part.name: output.with_name(f"{output.stem}.{part.name}.onnx") for part in found.parts}
    for part in found.parts:
        _saved(base, part.model, str(files[part.name]))
    runner = output.with_name(f"{output.stem}_run.py")
    outputs = [value.name for value in model.proto.graph.output]
    named = [(files[part.name].name, part.engine) for part in found.parts]
    runner.write_text(cutting.runner_text(base.path.name, named, outputs), encoding="utf-8")
    names = [step.rewrite.name for step in done.steps]
    checked = compared(unmended, [part.model for part in found.parts], request.recipe, names)
    return CutParts(
        **{name: str(file) for name, file in files.items()},
        runner=str(runner),
        tensors=found.tensors,
        bytes=found.crossing_bytes,
        nodes=tuple(len(part.model.index.main) for part in found.parts),
        verified=str(checked),
        holds=checked.holds,
    )


def judged(model: OpenedModel, recipe: Recipe) -> list[Finding]:
    """Everything found about an edited model: what parser and builder refuse, every check, deduplicated."""
    engine = deciding(found())
    profile = default_profile(model, recipe.profile) if recipe.profile is not None else None
    asked = msgspec.structs.replace(recipe, profile=profile)
    refused = tuple(refusals(model, on_batch=lambda _: None)) if engine is not None and recipe.parse else None
    label, rtx = (engine.label, engine.operator_table == "rtx") if engine else ("", True)
    context = CheckContext(model, asked, ShapeTable(model, profile), refused, label, rtx, engine)
    found_by_rules = [finding for _, findings in diagnose(context) for finding in findings]
    return fix_first(deduplicate([*found_by_rules, *refused_by_builder(context, refused)]))


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
