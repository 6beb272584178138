"""The job that applies fixes until no error is left that one of them mends. Imported in a job process only."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
import onnx
from onnx.external_data_helper import load_external_data_for_model

from friction_tui.engines.found import deciding, found, parser
from friction_tui.model.file.external import tensor_bytes
from friction_tui.model.graph_diff import model_diff
from friction_tui.model.opened import OpenedModel, all_tensors, open_model
from friction_tui.model.shapes.profile import default_profile
from friction_tui.model.shapes.shape_table import ShapeTable
from friction_tui.processes import child
from friction_tui.rewrites import cutting, mending
from friction_tui.rewrites.apply import apply
from friction_tui.rewrites.script import script_of
from friction_tui.rewrites.verification import Verification, verify
from friction_tui.rewrites.verifying import LARGEST, points_of
from friction_tui.rules.checks import diagnose
from friction_tui.rules.context import context_for
from friction_tui.rules.deduplicate import deduplicate
from friction_tui.session.builder_verdict import refused_by_builder
from friction_tui.session.saving import save_model
from friction_tui.vocabulary.finding import Finding, fix_first
from friction_tui.vocabulary.protocol import CutParts, JobEnded, JobRequest, Mended, MendStep, Refused
from friction_tui.vocabulary.recipe import Recipe
from friction_tui.worker.progress import Progress

SCRIPT_LIMIT_S = 600.0
"""Seconds that a written script may take to repeat the edits: it reads and writes the whole model."""


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
        lambda before, after: compared(before, after, request.recipe),
        level=request.level,
        only=frozenset(request.only),
        on_step=on_step,
    )
    progress.end("fix")
    whole = compared(base, done.model, request.recipe) if done.steps else None
    saved = _saved(base, done.model, request.output) if request.output else ""
    script, scripted = "", ""
    if request.script:
        progress.begin("script")
        script, scripted = write_script(base, done.model, Path(request.script), request.recipe, done.steps)
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
        cut=_cut(base, done, request) if request.cut else None,
        difference=model_diff(base.proto, done.model.proto) if request.diff else None,
    )
    return JobEnded(job=request.job, kind=request.kind, seconds=time.monotonic() - started, mended=result)


def write_script(
    base: OpenedModel, model: OpenedModel, path: Path, recipe: Recipe, steps: Sequence[MendStep]
) -> tuple[str, str]:
    """Write the script that makes `model` of `base` and run it once; its path and what that showed, in words."""
    done = [f"{step.problem}: {step.what} ({step.rewrite.name}, {step.exactness})" for step in steps]
    done += [f"convert to opset {recipe.opset}"] if recipe.opset is not None else []
    try:
        script_of(base.proto, model.proto, base.path.name, done).write(path)
    except OSError as error:
        raise OSError(f"{path} was not written: {error}") from None
    with tempfile.TemporaryDirectory(prefix="friction-script-") as folder:
        made = Path(folder) / "repeated.onnx"
        run = child.run([sys.executable, "-I", str(path), str(base.path), str(made)], limit_s=SCRIPT_LIMIT_S)
        if run.code != 0:
            return str(path), f"the script fails: {run.last_line}"
        repeated = onnx.load(str(made), load_external_data=False)
    same = model_diff(model.proto, repeated).empty
    return str(path), "repeats the edits: the same model" if same else "the script gives another model; do not use it"


def _cut(base: OpenedModel, done: mending.Mending, request: JobRequest) -> CutParts | None:
    """Cut what stays refused and write the parts beside the output; None where nothing is refused."""
    model, output = done.model, Path(request.output)
    refused = cutting.refused_nodes(done.findings)
    if not refused:
        return None
    profile = default_profile(model, request.recipe.profile) if request.recipe.profile is not None else None
    asked = parser(deciding(found()))
    try:
        parts = cutting.cut(
            model, refused, ShapeTable(model, profile), lambda part: asked.refusals(part) if asked else []
        )
    except cutting.CannotCut as error:
        return CutParts(why_not=str(error))
    files = {part.name: output.with_name(f"{output.stem}.{part.name}.onnx") for part in parts.parts}
    for part in parts.parts:
        _saved(base, part.model, str(files[part.name]))
    runner = output.with_name(f"{output.stem}_run.py")
    outputs = [value.name for value in model.proto.graph.output]
    named = [(files[part.name].name, part.engine) for part in parts.parts]
    runner.write_text(cutting.runner_text(base.path.name, named, outputs), encoding="utf-8")
    checked = compared(base, [part.model for part in parts.parts], request.recipe)
    return CutParts(
        **{name: str(file) for name, file in files.items()},
        runner=str(runner),
        tensors=parts.tensors,
        bytes=parts.crossing_bytes,
        nodes=tuple(len(part.model.index.main) for part in parts.parts),
        verified=str(checked) if checked is not None else "not verified",
        holds=checked.holds if checked is not None else None,
    )


def judged(model: OpenedModel, recipe: Recipe) -> list[Finding]:
    """Everything found about an edited model: what parser and builder refuse, every check, deduplicated."""
    engine = deciding(found())
    profile = default_profile(model, recipe.profile) if recipe.profile is not None else None
    asked = msgspec.structs.replace(recipe, profile=profile)
    reader = parser(engine) if recipe.parse else None
    refused = tuple(reader.refusals(model)) if reader is not None else None
    context = context_for(engine, model, asked, ShapeTable(model, profile), refused)
    found_by_rules = [finding for _, findings in diagnose(context) for finding in findings]
    return fix_first(deduplicate([*found_by_rules, *refused_by_builder(context, refused)]))


def compared(before: OpenedModel, after: OpenedModel | Sequence[OpenedModel], recipe: Recipe) -> Verification | None:
    """Both models, or the second's parts, run on the same inputs; None where they are too large to load twice."""
    parts = [after] if isinstance(after, OpenedModel) else after
    if max(sum(map(tensor_bytes, all_tensors(one.index))) for one in (before, *parts)) > LARGEST:
        return None
    first, *others = [_loaded(model) for model in (before, *parts)]
    profile = default_profile(before, recipe.profile) if recipe.profile is not None else None
    points = points_of(before, msgspec.structs.replace(recipe, profile=profile))
    return verify(first, others[0] if isinstance(after, OpenedModel) else others, points)


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
