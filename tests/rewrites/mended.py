"""Whether a rewrite mends a model: TensorRT-RTX refuses it before and builds it after, ONNX Runtime gives the same.

Builds run in forked children of this process, so that a crash of the builder is an answer.
"""

from __future__ import annotations

import json
import os
import signal
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from onnx import helper, numpy_helper, parser, reference

from friction_tui.model.opened import OpenedModel, from_proto
from friction_tui.rewrites.base import Exactness, Rewriter

Shapes = Mapping[str, Sequence[Sequence[int]]]
"""Per input its sizes at min, opt and max."""
BUILD_LIMIT_S = 120


class Answer(NamedTuple):
    """How a build ended: `ok`, `parse`, `profile`, `build`, `crash` or `silent` (over the limit), and the message."""

    verdict: str
    text: str


def model_of(text: str, opset: int = 17, **weights: np.ndarray) -> OpenedModel:
    """A model in ONNX's text form (a graph, or whole with its header) with initializers, each node named."""
    whole = text if text.lstrip().startswith("<") else f'<ir_version: 10, opset_import: ["" : {opset}]>\n{text}'
    proto = parser.parse_model(whole)
    proto.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in weights.items())
    for i, node in enumerate(proto.graph.node):
        node.name = node.name or f"{node.op_type}_{i}"
    return from_proto(proto, Path(tempfile.gettempdir()) / "model.onnx")


def path_of(model: OpenedModel, op: str) -> str:
    """The path of the first node of an operator."""
    return next(node.path for node in model.index.nodes if node.proto.op_type == op)


def rewritten(model: OpenedModel, rewriter: Rewriter, op: str) -> onnx.ModelProto:
    """The model with every node of an operator rewritten; it passes ONNX's checker."""
    paths = [node.path for node in model.index.nodes if node.proto.op_type == op]
    proto = rewriter.run(model, paths)
    if all(entry.domain in ("", "ai.onnx") for entry in proto.opset_import):
        onnx.checker.check_model(proto)
    return proto


def built(proto: onnx.ModelProto, shapes: Shapes | None = None) -> Answer:
    """TensorRT-RTX's answer to a whole build for SM89 at the given sizes; 1, 4, 8 for a free size without one."""
    import tensorrt_rtx  # noqa: F401  # loaded before the fork, so that each child starts at once

    content = proto.SerializeToString()
    readable, writable = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(readable)
            silence = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silence, 1)
            os.dup2(silence, 2)
            signal.alarm(BUILD_LIMIT_S)
            os.write(writable, json.dumps(_build(content, shapes or {})).encode()[:60000])
        finally:
            os._exit(0)
    os.close(writable)
    with os.fdopen(readable, "rb") as stream:
        answer = stream.read()
    _, status = os.waitpid(child, 0)
    if answer:
        return Answer(*json.loads(answer))
    stopped = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGALRM
    return Answer("silent" if stopped else "crash", f"status {status}")


def _build(content: bytes, shapes: Shapes) -> tuple[str, str]:
    import tensorrt_rtx as trt

    messages: list[str] = []

    class Log(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()

        def log(self, severity: Any, text: str) -> None:
            if severity <= trt.Logger.ERROR and "CUDA" not in text and "cudaError" not in text:
                messages.append(text)

    log = Log()
    builder = trt.Builder(log)
    network = builder.create_network(0)
    onnx_parser = trt.OnnxParser(network, log)
    if not onnx_parser.parse(content):
        return "parse", "; ".join(onnx_parser.get_error(i).desc() for i in range(onnx_parser.num_errors))
    config, profile = builder.create_builder_config(), builder.create_optimization_profile()
    for i in range(network.num_inputs):
        port = network.get_input(i)
        if port.name in shapes or any(size < 0 for size in port.shape):
            chosen = shapes.get(port.name) or [[n if n >= 0 else free for n in port.shape] for free in (1, 4, 8)]
            profile.set_shape(port.name, *map(tuple, chosen))
    if config.add_optimization_profile(profile) < 0:
        return "profile", "; ".join(messages)
    config.num_compute_capabilities = 1
    config.set_compute_capability(trt.ComputeCapability.SM89, 0)
    plan = builder.build_serialized_network(network, config)
    return ("ok", "") if plan is not None else ("build", "; ".join(messages))


def ran(proto: onnx.ModelProto, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """The outputs in ONNX Runtime without its optimiser, whose fusions change quantized graphs."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return [np.asarray(value) for value in session.run(None, dict(feeds))]


def evaluated(proto: onnx.ModelProto, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    """The outputs by ONNX's reference evaluator: for integers, where ONNX Runtime's kernels may saturate."""
    return [np.asarray(value) for value in reference.ReferenceEvaluator(proto).run(None, dict(feeds))]


def random_feeds(
    proto: onnx.ModelProto, shapes: Shapes | None, point: int, seed: int, integers: tuple[int, int] = (0, 4)
) -> dict[str, np.ndarray]:
    """Normal floats, integers within `integers` (upper bound excluded), coin-flip bools, at one point of the sizes."""
    rng = np.random.default_rng(seed)
    initialized = {tensor.name for tensor in proto.graph.initializer}
    feeds = {}
    for port in proto.graph.input:
        if port.name in initialized:
            continue
        free = (1, 4, 8)[point]
        sizes = [dim.dim_value if dim.HasField("dim_value") else free for dim in port.type.tensor_type.shape.dim]
        if shapes and port.name in shapes:
            sizes = list(shapes[port.name][point])
        dtype = np.dtype(helper.tensor_dtype_to_np_dtype(port.type.tensor_type.elem_type))
        if dtype.kind in "iu":
            feeds[port.name] = rng.integers(*integers, sizes).astype(dtype)
        elif dtype.kind == "b":
            feeds[port.name] = rng.random(sizes) > 0.5
        else:
            feeds[port.name] = rng.standard_normal(sizes).astype(dtype)
    return feeds


def difference(before: Sequence[np.ndarray], after: Sequence[np.ndarray]) -> float:
    """Largest absolute difference, relative to the largest value where that is above 1; infinite for other shapes,
    element kinds, or NaN and infinities elsewhere."""
    worst = 0.0
    for a, b in zip(before, after, strict=True):
        if a.shape != b.shape or a.dtype.kind != b.dtype.kind:
            return float("inf")
        x, y = a.astype(np.float64), b.astype(np.float64)
        finite = np.isfinite(x) & np.isfinite(y)
        if not np.array_equal(x[~finite], y[~finite], equal_nan=True):
            return float("inf")
        if finite.any():
            worst = max(worst, float(np.abs(x - y)[finite].max() / max(1.0, np.abs(x[finite]).max())))
    return worst


def check_mends(
    model: OpenedModel,
    rewriter: Rewriter,
    op: str,
    *,
    shapes: Shapes | None = None,
    refused: bool = True,
    tolerance: float | None = None,
    integers: tuple[int, int] = (0, 4),
    feeds: Callable[[int, int], dict[str, np.ndarray]] | None = None,
    run: Callable[[onnx.ModelProto, Mapping[str, np.ndarray]], list[np.ndarray]] | None = ran,
) -> onnx.ModelProto:
    """Assert all of it and give the rewritten model.

    `refused` False where TensorRT takes the original (and reads it wrong). `run` None where nothing runs the original.
    `tolerance` defaults to 0 for an exact rewrite and 1e-5 else. `feeds(point, seed)` replaces the random inputs.
    """
    after = rewritten(model, rewriter, op)
    if refused:
        assert built(model.proto, shapes).verdict != "ok"
    assert built(after, shapes) == Answer("ok", "")
    if run is None:
        return after
    allowed = tolerance if tolerance is not None else (0.0 if rewriter.exactness is Exactness.EXACT else 1e-5)
    for point in range(3):
        for seed in range(2):
            given = feeds(point, seed) if feeds else random_feeds(model.proto, shapes, point, seed, integers)
            assert difference(run(model.proto, given), run(after, given)) <= allowed
    return after
