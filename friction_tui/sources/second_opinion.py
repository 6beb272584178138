"""Which part of ONNX Runtime makes a difference, when a model's results there are not the original's.

ONNX Runtime rewrites the graph before it runs it. A difference that is gone without these rewrites, or with ONNX's own
reference implementation of the operators, is not the model's.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from friction_tui.kinds.export import RUNTIME_DIFFERS
from friction_tui.sources.time_limit import at_most
from friction_tui.vocabulary.finding import Finding, Location, LocationKind

_REFERENCE_S = 20.0
"""Seconds ONNX's reference implementation may take: it computes a convolution in Python."""


class Cause(enum.Enum):
    """Where a difference comes from."""

    OPTIMISER = "ONNX Runtime's own graph optimisation"
    KERNEL = "ONNX Runtime's kernels"
    MODEL = "the ONNX model"


def cause_of_difference(
    path: Path, feed: Mapping[str, Any], agrees: Callable[[Sequence[np.ndarray[Any, Any]]], bool]
) -> Cause:
    """Run the model at `path` on `feed` without optimisation, then with the reference implementation.

    `agrees` says whether outputs are what the original gives. A way that fails or takes too long says nothing.
    """
    for cause, run in ((Cause.OPTIMISER, unoptimised), (Cause.KERNEL, _reference)):
        try:
            if agrees(run(path, feed)):
                return cause
        except Exception:
            continue
    return Cause.MODEL


def runtime_differs(said: str, cause: Cause, against: str) -> Finding:
    """ONNX Runtime gives something else than the model says. `said` is the difference, `against` the original."""
    import onnxruntime

    runtime = f"ONNX Runtime {onnxruntime.__version__}"
    other, advice = (
        ("with every optimisation off", "In ONNX Runtime set `graph_optimization_level` to ORT_DISABLE_ALL.")
        if cause is Cause.OPTIMISER
        else ("in ONNX's reference implementation", "In ONNX Runtime try another version or execution provider.")
    )
    return RUNTIME_DIFFERS.finding(
        runtime=runtime,
        part=cause.value.removeprefix("ONNX Runtime's "),
        cause=f"{said}; {other} the same file gives the original's result: the export is right.",
        source=f"{runtime} CPU against {against}",
        locations=(Location(LocationKind.MODEL, "model"),),
        fixes=(f"Nothing to change for TensorRT, which has its own optimiser. {advice}",),
    )


def unoptimised(path: Path, feed: Mapping[str, Any]) -> list[Any]:
    """The model's outputs in ONNX Runtime with every graph optimisation off."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return list(session.run(None, dict(feed)))


def _reference(path: Path, feed: Mapping[str, Any]) -> list[Any]:
    from onnx.reference import ReferenceEvaluator

    with at_most(_REFERENCE_S):
        return list(ReferenceEvaluator(onnx.load(path)).run(None, dict(feed)))
