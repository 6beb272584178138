"""Whether a rewrite kept the results: both models run in ONNX Runtime on the same inputs."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx

from friction_tui.measure.inputs import example_inputs

TOLERANCE = 1e-4
"""Largest difference that counts as equal, relative to the largest output: float32 sums in another order."""
_COARSER = {"float16": 2.0**5, "bfloat16": 2.0**8}
"""How much more outputs of these types may differ: about three units in the last place, 2**-10 and 2**-7 of a value."""
_INTEGER_PRODUCTS = frozenset({"QLinearConv", "QLinearMatMul", "ConvInteger", "MatMulInteger"})
_LARGE = np.float32(8)
"""Factor of the large inputs; exp of the result still fits into float32."""
_LOCATED = 2000
"""Nodes up to which the first tensor that differs is looked for: every tensor of both models is held at once."""
Feeds = Mapping[str, np.ndarray]
Point = tuple[Mapping[str, Sequence[int]], Mapping[str, Sequence[int]]]
"""Sizes and, for inputs read as shapes, values of every input."""


class Verification(msgspec.Struct, frozen=True):
    """What running both models showed.

    `equal`: on how many inputs both ran and agreed; `ran`: on how many both ran at all; `only_after`: on how many
    only the rewritten model ran, which is what the rewrite was for; `only_before`: on how many only the original ran,
    which the rewrite broke. `max_difference` is the largest absolute difference, `max_relative` the largest one
    relative to the largest value of its output. `source` is what ran them. `stand_in` says what ran in place of the
    original, where that does not run as it is. `diverges` names the first tensor that differs.
    """

    equal: int
    ran: int
    only_after: int
    max_difference: float
    source: str
    why_not: str = ""
    only_before: int = 0
    max_relative: float = 0.0
    stand_in: str = ""
    diverges: str = ""

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
            first = f", first at {self.diverges}" if self.diverges else ""
            where = f"differs on {self.ran - self.equal} of {self.ran} inputs"
            return f"{where}, max difference {self.max_difference:.3g}{first}"
        parts = [f"verified on {self.equal} inputs, max difference {self.max_difference:.2g}"] if self.ran else []
        parts += [f"runs on {self.only_after} inputs that the original fails on"] if self.only_after else []
        against = f"; {self.stand_in}" if self.stand_in else ""
        return ("; ".join(parts) or "neither model ran") + f" ({self.source}{against})"


def verify(
    before: onnx.ModelProto, after: onnx.ModelProto | Sequence[onnx.ModelProto], points: Sequence[Point]
) -> Verification:
    """Run both on several inputs at every point: random ones, zeros, large ones. Needs the weights in the models.

    `after` may be the parts of a model that was cut, in the order they run. Where ONNX Runtime does not load the
    original, ONNX's definition of its operators stands in for it, then ONNX's reference evaluator.
    """
    import onnxruntime as ort

    source = f"ONNX Runtime {ort.__version__} CPU"
    try:
        run_after = _runner(ort, after) if isinstance(after, onnx.ModelProto) else _chain(ort, before, after)
    except Exception as error:
        return Verification(0, 0, 0, 0.0, source, f"the rewritten model does not load: {_first_line(error)}")
    run_before, stand_in, why = _original(ort, before)
    if run_before is None:
        return Verification(0, 0, 0, 0.0, source, f"the original does not load: {why}")
    first = after if isinstance(after, onnx.ModelProto) else before
    counted = Counter[str]()
    worst = worst_relative = 0.0
    diverges = ""
    for feeds in _inputs(before, points):
        expected, given = run_before(_as_declared(before, feeds)), run_after(_as_declared(first, feeds))
        if expected is None or given is None:
            counted["only_after"] += given is not None
            counted["only_before"] += expected is not None
            continue
        counted["ran"] += 1
        apart, scale = _difference(expected, given)
        allowed = _allowed(scale, given)
        if apart > allowed and (exact := _by_reference(before, feeds)) is not None:
            apart, scale = _difference(exact, given)
        worst, worst_relative = max(worst, apart), max(worst_relative, apart / max(scale, 1e-30) if apart else 0.0)
        if apart <= allowed:
            counted["equal"] += 1
        elif not diverges and not stand_in and isinstance(after, onnx.ModelProto):
            diverges = _first_difference(ort, before, after, feeds)
    return Verification(
        counted["equal"],
        counted["ran"],
        counted["only_after"],
        worst,
        source,
        only_before=counted["only_before"],
        max_relative=worst_relative,
        stand_in=stand_in,
        diverges=diverges,
    )


Run = Callable[[Feeds], list[np.ndarray] | None]
"""The outputs for some inputs; None where the model cannot take them."""


def _original(ort: Any, model: onnx.ModelProto) -> tuple[Run | None, str, str]:
    """What runs the original, what stands in for it ("" for itself), and why nothing does."""
    try:
        return _runner(ort, model), "", ""
    except Exception as error:
        why = _first_line(error)
    with contextlib.suppress(Exception):  # a body that cannot be put in is no stand-in
        return _runner(ort, _expanded(model)), "the original by ONNX's function bodies", ""
    with contextlib.suppress(Exception):  # the evaluator lacks operators, or the model is not one
        return _reference_runner(model), "the original by ONNX's reference evaluator", ""
    return None, "", why


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


def _inputs(model: onnx.ModelProto, points: Sequence[Point]) -> Iterator[Feeds]:
    """At each point two random inputs; at the first point also zeros, large floats, and other integers."""
    for number, (sizes, values) in enumerate(points):
        for seed in (1, 2):
            yield example_inputs(model, sizes, values, seed)
        if number == 0:
            random = example_inputs(model, sizes, values, 3)
            kept = set(values)
            floats = [name for name, array in random.items() if array.dtype.kind == "f" and name not in kept]
            if floats:
                yield {**random, **{name: np.zeros_like(random[name]) for name in floats}}
                yield {**random, **{name: random[name] * _LARGE for name in floats}}
            rng = np.random.default_rng(4)
            whole = [name for name, array in random.items() if array.dtype.kind in "iub" and name not in kept]
            if whole:
                small = {name: rng.integers(0, 3, random[name].shape).astype(random[name].dtype) for name in whole}
                yield {**random, **small}


def _first_difference(ort: Any, before: onnx.ModelProto, after: onnx.ModelProto, feeds: Feeds) -> str:
    """The first tensor, in the order of the original, that both models compute and that differs; "" if unknown."""
    if max(len(model.graph.node) for model in (before, after)) > _LOCATED:
        return ""
    written = [[name for node in model.graph.node for name in node.output if name] for model in (before, after)]
    shared = [name for name in written[0] if name in set(written[1])]
    try:
        pair = [_runner(ort, _with_outputs(model, shared))(_as_declared(model, feeds)) for model in (before, after)]
    except Exception:
        return ""  # an inner tensor whose type ONNX Runtime does not know: the outputs have been compared
    if pair[0] is None or pair[1] is None:
        return ""
    for name, a, b in zip(shared, pair[0], pair[1], strict=True):
        apart, scale = _difference([a], [b])
        if apart > _allowed(scale, [b]):
            return str(name)
    return ""


def _with_outputs(model: onnx.ModelProto, names: Sequence[str]) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.output[:]
    copy.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    return copy


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:200]


def _runner(ort: Any, model: onnx.ModelProto) -> Run:
    """A session of ONNX Runtime. Raises what its loading raises."""
    session = _session(ort, model)
    return lambda feeds: _run(session, feeds)


def _chain(ort: Any, whole: onnx.ModelProto, parts: Sequence[onnx.ModelProto]) -> Run:
    """Parts that run one after another, as one model with the inputs and outputs of the whole."""
    sessions = [_session(ort, part) for part in parts]

    def run(feeds: Feeds) -> list[np.ndarray] | None:
        values = dict(feeds)
        for session in sessions:
            names = [port.name for port in session.get_outputs()]
            given = _run(session, values)
            if given is None:
                return None
            values.update(zip(names, given, strict=True))
        return [values[value.name] for value in whole.graph.output]

    return run


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


def _as_declared(
    model: onnx.ModelProto | Sequence[onnx.ModelProto], feeds: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The same numbers in the types that a model, or its parts, declare: a rewrite may change those of inputs."""
    parts = (model,) if isinstance(model, onnx.ModelProto) else model
    types = {value.name: value.type.tensor_type.elem_type for part in parts for value in part.graph.input}
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


def _allowed(scale: float, outputs: Sequence[np.ndarray]) -> float:
    """How far apart outputs up to `scale` may be, by the coarsest of their types."""
    return TOLERANCE * max(scale, 1.0) * max((_COARSER.get(output.dtype.name, 1.0) for output in outputs), default=1.0)


def _difference(before: Sequence[np.ndarray], after: Sequence[np.ndarray]) -> tuple[float, float]:
    """Largest absolute difference and the largest value it is measured against; infinite for other shapes or texts."""
    worst = scale = 0.0
    for a, b in zip(before, after, strict=False):
        if a.shape != b.shape or (a.dtype.kind in "OSU") != (b.dtype.kind in "OSU"):
            return float("inf"), 1.0
        if a.dtype.kind in "OSU" and not np.array_equal(a, b):
            return float("inf"), 1.0
        if a.size and (a.dtype.kind in "fiub" or a.dtype.name in _COARSER):
            x, y = a.astype(np.float64), b.astype(np.float64)
            finite = np.isfinite(x) & np.isfinite(y)
            if not np.array_equal(x[~finite], y[~finite], equal_nan=True):
                return float("inf"), 1.0
            if finite.any():
                worst = max(worst, float(np.max(np.abs(x[finite] - y[finite]))))
                scale = max(scale, float(np.max(np.abs(x[finite]))))
    return worst, scale
