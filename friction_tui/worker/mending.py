"""The job that applies fixes until no error is left that one of them mends. Imported in a job process only."""

from __future__ import annotations

import time
from pathlib import Path

import msgspec
import onnx
from onnx.external_data_helper import load_external_data_for_model

from friction_tui.engines.found import deciding, found
from friction_tui.engines.tensorrt.refusals import refusals
from friction_tui.model.file.external import tensor_bytes
from friction_tui.model.opened import OpenedModel, all_tensors, open_model
from friction_tui.model.shapes.profile import default_profile
from friction_tui.model.shapes.shape_table import ShapeTable
from friction_tui.rewrites import mending
from friction_tui.rewrites.apply import apply
from friction_tui.rewrites.verification import Verification, verify
from friction_tui.rewrites.verifying import LARGEST, points_of
from friction_tui.rules.checks import diagnose
from friction_tui.rules.context import CheckContext
from friction_tui.rules.deduplicate import deduplicate
from friction_tui.session.builder_verdict import refused_by_builder
from friction_tui.session.saving import save_model
from friction_tui.vocabulary.finding import Finding, fix_first
from friction_tui.vocabulary.protocol import JobEnded, JobRequest, Mended, MendStep, Refused
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
        lambda before, after: compared(before, after, request.recipe),
        level=request.level,
        only=frozenset(request.only),
        on_step=on_step,
    )
    progress.end("fix")
    whole = compared(base, done.model, request.recipe) if done.steps else None
    saved = _saved(base, done.model, request.output) if request.output else ""
    result = Mended(
        steps=tuple(done.steps),
        findings=tuple(done.findings),
        refused=tuple(dict.fromkeys(done.refused)),
        verified=str(whole) if whole is not None else "",
        holds=whole.holds if whole is not None else None,
        saved=saved,
    )
    return JobEnded(job=request.job, kind=request.kind, seconds=time.monotonic() - started, mended=result)


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


def compared(before: OpenedModel, after: OpenedModel, recipe: Recipe) -> Verification | None:
    """Both models run on the same inputs; None where their weights are too large to load twice."""
    if max(sum(map(tensor_bytes, all_tensors(one.index))) for one in (before, after)) > LARGEST:
        return None
    pair = []
    for model in (before, after):
        proto = onnx.ModelProto()
        proto.CopyFrom(model.proto)
        load_external_data_for_model(proto, str(model.path.parent))
        pair.append(proto)
    profile = default_profile(before, recipe.profile) if recipe.profile is not None else None
    return verify(pair[0], pair[1], points_of(before, msgspec.structs.replace(recipe, profile=profile)))


def _saved(base: OpenedModel, model: OpenedModel, output: str) -> str:
    saved = save_model(base, model, Path(output))
    if isinstance(saved, Refused):
        raise OSError(f"{saved.what}: {saved.why}")
    return saved.path
