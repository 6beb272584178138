"""Running a model on the CPU for a limited time: in ONNX Runtime, or in ONNX's reference evaluator."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx

_INTEGER_PRODUCTS = frozenset({"QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger"})
Feeds = Mapping[str, np.ndarray]
Run = Callable[[Feeds], list[np.ndarray] | None]
"""The outputs for some inputs; None where the model cannot take them."""


class TimeLimit:
    """Seconds that all runs together may take. ONNX Runtime is told to stop at the next node once they are over."""

    def __init__(self, seconds: float) -> None:
        import onnxruntime as ort

        self.seconds = seconds
        self._ends = time.monotonic() + seconds
        self.options = ort.RunOptions()

    @property
    def over(self) -> bool:
        """Whether no time is left."""
        return time.monotonic() >= self._ends

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        """Within it, runs that take too long are stopped."""

        def end() -> None:
            self.options.terminate = True

        timer = threading.Timer(max(self._ends - time.monotonic(), 0), end)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()


def runner(model: onnx.ModelProto, limit: TimeLimit) -> Run:
    """The model in ONNX Runtime without optimisation. Raises what its loading raises."""
    session = _session(model)
    return lambda feeds: _run(session, feeds, limit)


def chain(whole: onnx.ModelProto, parts: Sequence[onnx.ModelProto], limit: TimeLimit) -> Run:
    """Parts that run one after another, as one model with the inputs and outputs of the whole."""
    sessions = [_session(part) for part in parts]

    def run(feeds: Feeds) -> list[np.ndarray] | None:
        values = dict(feeds)
        for session in sessions:
            names = [port.name for port in session.get_outputs()]
            given = _run(session, values, limit)
            if given is None:
                return None
            values.update(zip(names, given, strict=True))
        return [values[value.name] for value in whole.graph.output]

    return run


def original(model: onnx.ModelProto, limit: TimeLimit) -> tuple[Run | None, str, str]:
    """What runs the original, what stands in for it ("" for itself), and why nothing does."""
    try:
        return runner(model, limit), "", ""
    except Exception as error:
        why = first_line(error)
    with contextlib.suppress(Exception):  # a body that cannot be put in is no stand-in
        return runner(_expanded(model), limit), "the original by ONNX's function bodies", ""
    with contextlib.suppress(Exception):  # the evaluator lacks operators, or the model is not one
        return _reference_runner(model), "the original by ONNX's reference evaluator", ""
    return None, "", why


def by_reference(model: onnx.ModelProto, feeds: Feeds) -> list[np.ndarray] | None:
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


def as_declared(model: onnx.ModelProto | Sequence[onnx.ModelProto], feeds: Feeds) -> dict[str, np.ndarray]:
    """The same numbers in the types that a model, or its parts, declare: a rewrite may change those of inputs."""
    parts = (model,) if isinstance(model, onnx.ModelProto) else model
    types = {value.name: value.type.tensor_type.elem_type for part in parts for value in part.graph.input}
    return {
        name: array.astype(onnx.helper.tensor_dtype_to_np_dtype(types[name]), copy=False)
        for name, array in feeds.items()
        if types.get(name)
    }


def first_line(error: Exception) -> str:
    """What an error says first."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


def _expanded(model: onnx.ModelProto) -> onnx.ModelProto:
    from friction_tui.model.opened import from_proto
    from friction_tui.rewrites.expansion import expand

    opened = from_proto(model, Path("model.onnx"))
    return expand(opened, [node.path for node in opened.index.nodes])


def _reference_runner(model: onnx.ModelProto) -> Run:
    from onnx.reference import ReferenceEvaluator

    onnx.checker.check_model(model)  # it would run models that break the specification in a way of its own
    evaluator = ReferenceEvaluator(model)

    def run(feeds: Feeds) -> list[np.ndarray] | None:
        try:
            return [np.asarray(output) for output in evaluator.run(None, dict(feeds))]
        except Exception:
            return None

    return run


def _session(model: onnx.ModelProto) -> Any:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 4
    # Its fusions change the results of quantized graphs.
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def _run(session: Any, feeds: Feeds, limit: TimeLimit) -> list[np.ndarray] | None:
    wanted = {port.name for port in session.get_inputs()}
    try:
        outputs = session.run(
            None, {name: array for name, array in feeds.items() if name in wanted}, run_options=limit.options
        )
    except Exception:
        return None  # this point is outside what the model can take, which is an answer
    return [np.asarray(output) for output in outputs]
