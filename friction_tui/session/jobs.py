"""Which jobs can be started on a model, and why the others cannot."""

from __future__ import annotations

from collections.abc import Iterable

from friction_tui.model.opened import OpenedModel
from friction_tui.vocabulary.protocol import EngineInfo, JobKind, Refused

NOTHING_OPEN = Refused(what="Nothing to do it with", why="no model is open", next="Open one first.")
INSTALL_TENSORRT = "pip install 'friction-tui[cpu]' (TensorRT-RTX, builds without a GPU) or 'friction-tui[gpu]'."


def why_not(kind: JobKind, base: OpenedModel, engines: Iterable[EngineInfo]) -> Refused | None:
    """Why a job of this kind cannot be started on `base`; None when it can. A plan can only be measured."""
    file = base.file
    if file.kind not in ("onnx", "truncated") and not (file.kind == "engine" and kind is JobKind.MEASURE):
        return Refused(what=f"There is nothing to {kind}", why=file.error.rstrip("."), next="Open an ONNX model.")
    if kind is JobKind.BUILD and not any(engine.can_build for engine in engines):
        return Refused(what="There is nothing to build with", why="no TensorRT is installed", next=INSTALL_TENSORRT)
    if not base.path.is_file():
        return Refused(
            what="The model can no longer be read",
            why=f"it was moved or deleted after it was opened: {base.path}",
            next="Put the file back, or open another model.",
        )
    return None
