"""Whether a rewrite kept the results: both models run in ONNX Runtime on the same inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
import onnx

from friction_tui.measure.inputs import example_inputs

TOLERANCE = 1e-4
"""Largest difference that counts as equal, relative to the largest output: float32 sums in another order."""
SEEDS = (1, 2)
_INTEGER_PRODUCTS = frozenset({"QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger"})


class Verification(msgspec.Struct, frozen=True):
    """What running both models showed.

    `equal`: on how many inputs both ran and agreed; `ran`: on how many both ran at all; `only_after`: on how many
    only the rewritten model ran, which is what the rewrite was for; `only_before`: on how many only the original ran,
    which the rewrite broke. `max_difference` is the largest absolute difference.
    """

    equal: int
    ran: int
    only_after: int
    max_difference: float
    source: str
    why_not: str = ""
    only_before: int = 0

    @property
    def holds(self) -> bool | None:
        """Whether the results are the same wherever the original runs; None where neither model ran at all."""
        if not (self.ran or self.only_after or self.only_before):
            return None
        return self.equal == self.ran and not self.only_before

    def __str__(self) -> str:
        """What was found, in words, such as `verified on 6 inputs, max difference 3e-07 (ONNX Runtime 1.32.0 CPU)`."""
        if self.why_not:
            return f"not verified: {self.why_not}"
        if self.only_before:
            return f"fails on {self.only_before} of {self.ran + self.only_before} inputs that the original runs on"
        if self.ran > self.equal:
            return f"differs on {self.ran - self.equal} of {self.ran} inputs, max difference {self.max_difference:.3g}"
        parts = [f"verified on {self.equal} inputs, max difference {self.max_difference:.2g}"] if self.ran else []
        parts += [f"runs on {self.only_after} inputs that the original fails on"] if self.only_after else []
        return ("; ".join(parts) or "neither model ran") + f" ({self.source})"


def verify(
    before: onnx.ModelProto,
    after: onnx.ModelProto | Sequence[onnx.ModelProto],
    points: Sequence[tuple[Mapping[str, Sequence[int]], Mapping[str, Sequence[int]]]],
) -> Verification:
    """Run both on the (sizes, values) of every point, with two seeds each. Needs the weights in the models.

    `after` may be the parts of a model that was cut, in the order they run.
    """
    import onnxruntime as ort

    source = f"ONNX Runtime {ort.__version__} CPU"
    sessions = []
    for model in (before, after):
        try:
            sessions.append(_session(ort, model) if isinstance(model, onnx.ModelProto) else _Chain(ort, before, model))
        except Exception as error:
            which = "the original" if not sessions else "the rewritten model"
            return Verification(0, 0, 0, 0.0, source, f"{which} does not load: {str(error).splitlines()[0][:200]}")
    equal = ran = only_after = only_before = 0
    worst = 0.0
    for sizes, values in points:
        for seed in SEEDS:
            feeds = example_inputs(before, sizes, values, seed)
            results = [
                _run(session, _as_declared(model if isinstance(model, onnx.ModelProto) else before, feeds))
                for session, model in zip(sessions, (before, after), strict=True)
            ]
            if results[0] is None or results[1] is None:
                only_after += results[1] is not None
                only_before += results[0] is not None
                continue
            ran += 1
            apart, scale = _difference(results[0], results[1])
            if apart > TOLERANCE * max(scale, 1.0) and (exact := _by_reference(before, feeds)) is not None:
                apart, scale = _difference(exact, results[1])
            worst = max(worst, apart)
            equal += apart <= TOLERANCE * max(scale, 1.0)
    return Verification(equal, ran, only_after, worst, source, only_before=only_before)


class _Chain:
    """Sessions of parts that run one after another, with the interface of one session."""

    def __init__(self, ort: Any, whole: onnx.ModelProto, parts: Sequence[onnx.ModelProto]) -> None:
        self._sessions = [_session(ort, part) for part in parts]
        self._outputs = [value.name for value in whole.graph.output]
        self._inputs = list(whole.graph.input)

    def get_inputs(self) -> list[onnx.ValueInfoProto]:
        """The whole model's inputs."""
        return self._inputs

    def run(self, _: None, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        """The whole model's outputs."""
        values = dict(feeds)
        for session in self._sessions:
            names = [port.name for port in session.get_outputs()]
            given = {port.name: values[port.name] for port in session.get_inputs()}
            values.update(zip(names, session.run(names, given), strict=True))
        return [values[name] for name in self._outputs]


def _session(ort: Any, model: onnx.ModelProto) -> Any:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    # Its fusions change the results of quantized graphs.
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _by_reference(model: onnx.ModelProto, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray] | None:
    """The outputs by ONNX's reference evaluator, where the model has integer products; None where it cannot run it.

    ONNX Runtime's kernels for uint8 with int8 saturate on processors without VNNI instructions.
    """
    from onnx.reference import ReferenceEvaluator

    if not any(node.op_type in _INTEGER_PRODUCTS for node in model.graph.node):
        return None
    try:
        return [np.asarray(output) for output in ReferenceEvaluator(model).run(None, dict(feeds))]
    except Exception:
        return None  # it lacks the operators of many opsets


def _as_declared(model: onnx.ModelProto, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same numbers in the types that a model declares: a rewrite may change those of inputs."""
    types = {value.name: value.type.tensor_type.elem_type for value in model.graph.input}
    return {
        name: array.astype(onnx.helper.tensor_dtype_to_np_dtype(types[name]), copy=False)
        for name, array in feeds.items()
        if types.get(name)
    }


def _run(session: Any, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray] | None:
    wanted = {port.name for port in session.get_inputs()}
    try:
        outputs = session.run(None, {name: array for name, array in feeds.items() if name in wanted})
    except Exception:
        return None  # this point is outside what the model can take, which is an answer
    return [np.asarray(output) for output in outputs]


def _difference(before: Sequence[np.ndarray], after: Sequence[np.ndarray]) -> tuple[float, float]:
    """Largest absolute difference, and the largest value it is measured against; infinite when shapes differ."""
    worst = scale = 0.0
    for a, b in zip(before, after, strict=False):
        if a.shape != b.shape:
            return float("inf"), 1.0
        if a.size and a.dtype.kind in "fiub":
            x, y = a.astype(np.float64), b.astype(np.float64)
            finite = np.isfinite(x) & np.isfinite(y)
            if not np.array_equal(x[~finite], y[~finite], equal_nan=True):
                return float("inf"), 1.0
            if finite.any():
                worst = max(worst, float(np.max(np.abs(x - y)[finite])))
                scale = max(scale, float(np.max(np.abs(x[finite]))))
    return worst, scale
