"""The job that tries every opset out. Imported in a job process only."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import onnx

from friction_tui.engines.found import deciding, found, parser
from friction_tui.model.opened import from_proto, open_model
from friction_tui.rewrites.apply import apply
from friction_tui.rewrites.opset_plan import plans
from friction_tui.rewrites.verifying import points_of
from friction_tui.vocabulary.protocol import Event, JobEnded, JobRequest, OpsetPlanned
from friction_tui.vocabulary.recipe import Precision
from friction_tui.worker.progress import Progress


def plan_opsets(request: JobRequest, progress: Progress, send: Callable[[Event], None]) -> JobEnded:
    """Send a plan for each opset the request's model can be converted to, and those it cannot."""
    started = time.monotonic()
    progress.begin("open")
    base = open_model(Path(request.model))
    before = msgspec.structs.replace(
        request.recipe, opset=None, precision=Precision.AS_EXPORTED, keep_float32=()
    )  # types are edited after the opset
    proto = onnx.ModelProto()
    proto.CopyFrom(apply(base, before).proto)
    model = from_proto(proto, base.path)
    progress.end("open")
    progress.begin("convert")
    engine = deciding(found())
    asked = parser(engine) if request.recipe.parse else None
    source = f"{engine.label} parser" if engine is not None and asked is not None else ""
    for plan in plans(model, points_of(model, request.recipe), asked, source, lambda text: progress.log("info", text)):
        send(OpsetPlanned(job=request.job, plan=plan))
    progress.end("convert")
    return JobEnded(job=request.job, kind=request.kind, seconds=time.monotonic() - started)
