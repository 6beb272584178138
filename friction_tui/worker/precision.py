"""The job that searches for the nodes which must stay float32. Imported in a job process only."""

from __future__ import annotations

import math
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np
import onnx

from friction_tui.measure.inputs import example_inputs
from friction_tui.model.graph import Node
from friction_tui.model.opened import OpenedModel, from_proto, open_model, weights_bytes
from friction_tui.model.opset import opset_of
from friction_tui.model.shapes.point_shapes import input_sizes
from friction_tui.rewrites.apply import BFLOAT16_SINCE, apply, with_weights
from friction_tui.rewrites.half import HALVES, rewritten
from friction_tui.rewrites.half_trials import OLDEST_OPSET, Arrays, CannotTry, Trials
from friction_tui.rewrites.keep_float32 import Kept, find
from friction_tui.rewrites.verifying import LARGEST
from friction_tui.vocabulary.protocol import JobEnded, JobRequest, KeptNode, PrecisionResult
from friction_tui.vocabulary.recipe import Precision
from friction_tui.worker.progress import Progress

TOLERANCES = {"fp16": 0.01, "bf16": 0.05}
"""Relative errors that count as kept when none are given: 20 and 6 times the rounding of one number in the type."""
SECONDS = 120.0
"""How long the search goes on before it settles for what it has. A try that has begun is finished."""
SEEDS = (1, 2)


def search_precision(request: JobRequest, progress: Progress) -> JobEnded:
    """The smallest set of nodes to keep float32 for the request's recipe, in fp16 unless it asks for bf16.

    Raises CannotTry with the reason when there is nothing to search with.
    """
    started = time.monotonic()
    precision = request.recipe.precision.value if request.recipe.precision.value in HALVES else "fp16"
    tolerance = request.tolerance or TOLERANCES[precision]
    progress.begin("open")
    model = _float32_model(request)
    feeds, inputs = _feeds(model, request)
    progress.end("open")
    progress.begin("float32 run")
    trials = Trials(model, HALVES[precision], feeds)
    progress.end("float32 run")
    progress.begin("search")
    kept = find(trials, tolerance, SECONDS, lambda text: progress.log("info", text))
    progress.end("search")
    seconds = time.monotonic() - started
    result = PrecisionResult(
        source=f"{trials.source}, {precision} imitated by rounding after every node",
        precision=precision,
        tolerance=tolerance,
        inputs=inputs,
        nodes=len(trials.plan),
        kept=_table(model, trials, kept),
        error_in_half=_finite(kept.error_in_half),
        error=_finite(kept.error),
        minimal=kept.minimal,
        casts=_casts(model, trials, kept.paths) - _casts(model, trials, ()),
        runs=trials.runs,
        seconds=seconds,
    )
    return JobEnded(job=request.job, kind=request.kind, seconds=seconds, precision=result)


def _float32_model(request: JobRequest) -> OpenedModel:
    """The model as the recipe makes it but for the precision, weights inside."""
    base = open_model(Path(request.model))
    if weights_bytes(base) > LARGEST:
        raise CannotTry("the weights are larger than 1 GiB; imitations of it do not fit beside it")
    as_exported = msgspec.structs.replace(request.recipe, precision=Precision.AS_EXPORTED, keep_float32=())
    proto = onnx.ModelProto()
    proto.CopyFrom(apply(base, as_exported).proto)
    needed = BFLOAT16_SINCE if request.recipe.precision is Precision.BF16 else OLDEST_OPSET
    if opset_of(proto) < needed:
        raise CannotTry(f"the model is at opset {opset_of(proto)}; choose {needed} or newer with o, or --opset")
    return from_proto(with_weights(proto, base.path), base.path)


def _feeds(model: OpenedModel, request: JobRequest) -> tuple[list[Arrays], str]:
    """The inputs to run on, and what they are in words."""
    if request.data:
        return [given_arrays(model, Path(request.data))], f"given: {Path(request.data).name}"
    feeds: list[Arrays] = []
    profile = request.recipe.profile
    points: list[Mapping[str, tuple[int, ...]]] = []
    for point in ("opt", "max"):
        sizes = input_sizes(model, profile, point)
        if sizes in points:
            continue
        points.append(sizes)
        values = {name: given.at(point) for name, given in profile.values.items()} if profile else {}
        try:
            feeds += [example_inputs(model.proto, sizes, values, seed) for seed in SEEDS[: 2 if point == "opt" else 1]]
        except KeyError as error:
            raise CannotTry(f"the size of input {error} is not known; choose its range first") from None
    at = "opt and max" if len(points) > 1 else "opt"
    return feeds, f"random: standard normal floats, zeros for integers, at {at}"


def given_arrays(model: OpenedModel, file: Path) -> Arrays:
    """The arrays of an .npz, checked against the model's inputs. Pickled arrays are refused by NumPy."""
    if file.exists() and not file.is_file():  # a pipe may never end
        raise CannotTry(f"{file} cannot be read: it is not a regular file")
    try:
        with np.load(file) as loaded:
            arrays = {name: loaded[name] for name in loaded.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise CannotTry(f"{file} cannot be read: {error}") from error
    found: dict[str, np.ndarray] = {}
    for value in model.index.inputs:
        if value.name not in arrays:
            raise CannotTry(f"{file.name} has no array {value.name!r}; it has {', '.join(arrays) or 'none'}")
        wanted = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        found[value.name] = arrays[value.name].astype(wanted, copy=False)
    return found


def _table(model: OpenedModel, trials: Trials, kept: Kept) -> tuple[KeptNode, ...]:
    return tuple(
        KeptNode(
            path=path,
            name=trials.nodes[path].name,
            op=trials.nodes[path].proto.op_type,
            before=_finite(kept.before.get(path)),
            after=_finite(kept.after.get(path)),
            weight_bytes=_weights_in_half(model, trials.nodes[path]),
        )
        for path in kept.paths
    )


def _weights_in_half(model: OpenedModel, node: Node) -> int:
    """Bytes that a node's float32 weights would take in half, which is also what they take beyond it."""
    tensors = [model.index.initializers.get(name) for name in dict.fromkeys(node.inputs)]
    floats = [one for one in tensors if one is not None and one.data_type == onnx.TensorProto.FLOAT]
    return sum(2 * math.prod(one.dims) for one in floats)


def _casts(model: OpenedModel, trials: Trials, kept: tuple[str, ...]) -> int:
    lowered = {path: one for path, one in trials.plan.items() if path not in kept}
    return sum(node.op_type == "Cast" for node in rewritten(model, lowered, trials.half).graph.node)


def _finite(error: float | None) -> float | None:
    return error if error is not None and math.isfinite(error) else None
