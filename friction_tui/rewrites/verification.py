"""Whether a rewrite kept the results: both models run in ONNX Runtime on the same inputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
import numpy as np
import onnx

from friction_tui.measure.inputs import example_inputs
from friction_tui.rewrites.running import (
    Feeds,
    Run,
    TimeLimit,
    as_declared,
    by_reference,
    chain,
    first_line,
    original,
    runner,
)

TOLERANCE = 1e-4
"""Largest difference that counts as equal, relative to the largest output: float32 sums in another order."""
_COARSER = {"float16": 2.0**5, "bfloat16": 2.0**8}
"""How much more outputs of these types may differ: about three units in the last place, 2**-10 and 2**-7 of a value."""
_LARGE = np.float32(8)
"""Factor of the large inputs; exp of the result still fits into float32."""
_HUGE = np.float32(1e4)
"""Factor of inputs beyond what a model is made for; float16 still holds the result."""
_ROUNDINGS = 3
"""How often the inputs are rounded otherwise to see how far the outputs move."""
_LOCATED = 2000
"""Nodes up to which the first tensor that differs is looked for: every tensor of both models is held at once."""
LIMIT_S = 60.0
"""Seconds that running both models may take; what was compared until then counts."""
Point = tuple[Mapping[str, Sequence[int]], Mapping[str, Sequence[int]]]
"""Sizes and, for inputs read as shapes, values of every input."""


class Verification(msgspec.Struct, frozen=True):
    """What running both models showed.

    `equal`: on how many inputs both ran and agreed; `ran`: on how many both ran at all; `only_after`: on how many
    only the rewritten model ran, which is what the rewrite was for; `only_before`: on how many only the original ran,
    which the rewrite broke. `max_difference` is the largest absolute difference, `max_relative` the largest one
    relative to the largest value of its output. `source` is what ran them. `stand_in` says what ran in place of the
    original, where that does not run as it is. `diverges` names the first tensor that differs.

    `chance` says what was compared of a model whose outputs differ from one run to the next, `compared_values` False
    where that is no value at all. `undeclared` says on how many of the `only_after` the original runs and gives shapes
    that contradict those it declares, `rounded` on how many of the `equal` the outputs differ no more than those of the
    original do when its inputs are rounded otherwise. `changes` is what the rewrites change on purpose. `stopped` says
    that time was over before every input was tried. `edges` are inputs beyond what a model is made for on which the
    outputs differ.
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
    chance: str = ""
    compared_values: bool = True
    changes: str = ""
    stopped: str = ""
    edges: tuple[str, ...] = ()
    undeclared: int = 0
    rounded: int = 0

    @property
    def holds(self) -> bool | None:
        """Whether the results are the same wherever the original runs.

        None where neither model ran, where no value could be compared, and where they differ on purpose.
        """
        if not (self.ran or self.only_after or self.only_before):
            return None
        if self.equal == self.ran and not self.only_before:
            if not self.ran and self.undeclared:
                return None
            return True if self.compared_values else None
        return None if self.changes else False

    def __str__(self) -> str:
        """What was found, in words, such as `verified on 6 inputs, max difference 3e-07 (ONNX Runtime 1.32.0 CPU)`."""
        if self.why_not:
            return f"not verified: {self.why_not}"
        return f"{self._found()} ({'; '.join(filter(None, (self.source, *self._remarks())))})"

    def _found(self) -> str:
        if self.only_before:
            return f"fails on {self.only_before} of {self.ran + self.only_before} inputs that the original runs on"
        size = f"max difference {self.max_difference:.2g}"
        if self.max_difference == float("inf"):
            size = "in shape, text, or where they are not finite"
        elif self.max_difference:
            size += f", relative {self.max_relative:.2g}"
        if self.ran > self.equal:
            first = f", first at {self.diverges}" if self.diverges else ""
            declared = f", on purpose: {self.changes}" if self.changes else ""
            return f"differs on {self.ran - self.equal} of {self.ran} inputs, {size}{first}{declared}"
        parts = []
        if self.ran and not self.compared_values:
            parts.append(f"not verified: {self.chance}, which agree on {self.equal} inputs")
        elif self.ran:
            parts.append(f"verified on {self.equal} inputs, {size}")
        parts += [f"runs on {self.only_after} inputs that the original fails on"] if self.only_after else []
        return "; ".join(parts) or "not verified: neither model ran"

    def _remarks(self) -> Iterator[str]:
        yield self.stand_in
        if self.compared_values or self.ran > self.equal:
            yield self.chance
        yield self.stopped
        if self.rounded:
            yield f"on {self.rounded} of them no further apart than rounding its inputs moves the original"
        if self.undeclared:
            yield f"on {self.undeclared} of them the original contradicts the shapes that it declares"
        if self.edges:
            yield f"differs {' and '.join(self.edges)}"


def not_run(why: str, source: str = "") -> Verification:
    """Nothing was compared; `why` says why not."""
    return Verification(0, 0, 0, 0.0, source, why)


def verify(
    before: onnx.ModelProto,
    after: onnx.ModelProto | Sequence[onnx.ModelProto],
    points: Sequence[Point],
    *,
    changes: str = "",
    limit_s: float = LIMIT_S,
) -> Verification:
    """Run both on several inputs at every point: random ones, zeros, large ones. Needs the weights in the models.

    `after` may be the parts of a model that was cut, in the order they run. Where ONNX Runtime does not load the
    original, ONNX's definition of its operators stands in for it, then ONNX's reference evaluator. `changes` is what
    the rewrites change on purpose. What is not compared after `limit_s` seconds is not compared.
    """
    import onnxruntime as ort

    source = f"ONNX Runtime {ort.__version__} CPU"
    limit = TimeLimit(limit_s)
    try:
        run_after = runner(after, limit) if isinstance(after, onnx.ModelProto) else chain(before, after, limit)
    except Exception as error:
        return not_run(f"the rewritten model does not load: {first_line(error)}", source)
    run_before, stand_in, why = original(before, limit)
    if run_before is None:
        return not_run(f"the original does not load: {why}", source)
    comparison = _Comparison(
        before, after, run_before, run_after, limit, located=not stand_in, coarser=_coarser(before)
    )
    with limit.watched():
        tried = comparison.all(points)
    stopped = ""
    if limit.over and not comparison.finished:
        if not tried:
            return not_run(f"running both models once takes longer than {limit_s:g} s", source)
        stopped = f"stopped after {limit_s:g} s"
    return Verification(
        comparison.equal,
        comparison.ran,
        comparison.only_after,
        comparison.worst,
        source,
        only_before=comparison.only_before,
        max_relative=comparison.worst_relative,
        stand_in=stand_in,
        diverges=comparison.diverges,
        chance=comparison.chance,
        compared_values=not comparison.random or len(comparison.random) < len(before.graph.output),
        changes=changes,
        stopped=stopped,
        edges=tuple(comparison.edges),
        undeclared=comparison.undeclared,
        rounded=comparison.rounded,
    )


@dataclass(slots=True)
class _Comparison:
    """Both models on one input after another, and what that has shown so far.

    `coarser` is how much more the outputs may differ than in float32. `random` are the numbers of the outputs that
    differ from one run of the original to the next.
    """

    before: onnx.ModelProto
    after: onnx.ModelProto | Sequence[onnx.ModelProto]
    run_before: Run
    run_after: Run
    limit: TimeLimit
    located: bool
    coarser: float
    random: set[int] = field(default_factory=set)
    equal: int = 0
    ran: int = 0
    only_after: int = 0
    only_before: int = 0
    worst: float = 0.0
    worst_relative: float = 0.0
    diverges: str = ""
    edges: list[str] = field(default_factory=list)
    undeclared: int = 0
    rounded: int = 0
    finished: bool = False

    def all(self, points: Sequence[Point]) -> int:
        """Compare on every input until time is over; on how many it was done."""
        tried = 0
        for feeds in _inputs(self.before, points):
            if self.limit.over or not self._one(feeds, first=not tried):
                return tried
            tried += 1
        if self.equal == self.ran and not self.random:
            for name, feeds in _beyond(self.before, points):
                pair = self._outputs(feeds)
                if self.limit.over:
                    return tried
                if pair is None or _contradicts(self.before, as_declared(self.before, feeds), pair[0]):
                    continue
                if self._apart(*pair)[0] > self._allowed(self._apart(*pair)[1], pair[1]):
                    self.edges.append(name)
        self.finished = True
        return tried

    @property
    def chance(self) -> str:
        """What could be compared of a random original; "" for one that is not."""
        outputs = len(self.before.graph.output)
        if not self.random:
            return ""
        if len(self.random) >= outputs:
            return "the original is random: compared only the shapes and types of its outputs"
        values = outputs - len(self.random)
        return f"the original is random: compared only {values} of {outputs} outputs, and the shapes of the others"

    def _given(self, feeds: Feeds) -> list[np.ndarray] | None:
        first = self.after if isinstance(self.after, onnx.ModelProto) else self.before
        return self.run_after(as_declared(first, feeds))

    def _outputs(self, feeds: Feeds) -> tuple[list[np.ndarray], list[np.ndarray]] | None:
        expected, given = self.run_before(as_declared(self.before, feeds)), self._given(feeds)
        return None if expected is None or given is None else (expected, given)

    def _one(self, feeds: Feeds, *, first: bool) -> bool:
        """Compare on one input; False where time was over before both models ran."""
        declared = as_declared(self.before, feeds)
        expected = self.run_before(declared)
        given = self._given(feeds)
        if expected is None or given is None:
            if self.limit.over:
                return False
            self.only_after += given is not None
            self.only_before += expected is not None
            return True
        if _contradicts(self.before, declared, expected) and not _contradicts(self.before, declared, given):
            self.only_after += 1
            self.undeclared += 1
            return True
        if first:
            self._look_for_chance(declared, expected)
        apart, scale = self._apart(expected, given)
        if apart > self._allowed(scale, given) and not first and self._look_for_chance(declared, expected):
            apart, scale = self._apart(expected, given)
        if apart > self._allowed(scale, given) and (exact := by_reference(self.before, feeds)) is not None:
            apart, scale = self._apart(exact, given)
        self.ran += 1
        relative = apart / max(scale, 1e-30) if apart else 0.0
        self.worst, self.worst_relative = max(self.worst, apart), max(self.worst_relative, relative)
        if apart <= self._allowed(scale, given):
            self.equal += 1
        elif self.rounded < self.equal and apart <= self._rounding(declared, expected):
            self.equal += 1
            self.rounded += 1
        elif not self.diverges and self.located and isinstance(self.after, onnx.ModelProto):
            self.diverges = _first_difference(self.before, self.after, feeds, self.limit)
        return True

    def _allowed(self, scale: float, outputs: Sequence[np.ndarray]) -> float:
        return max(_allowed(scale, outputs), TOLERANCE * max(scale, 1.0) * self.coarser)

    def _rounding(self, declared: Feeds, expected: Sequence[np.ndarray]) -> float:
        """How far the outputs of the original move when each input moves by one unit in its last place.

        Where that is far, as behind a Softmax of large numbers, the order of a sum decides as much. It counts only
        beside as many inputs on which the outputs are equal: a model that rounds or compares moves far as well.
        """
        farthest = 0.0
        for seed in range(_ROUNDINGS):
            rng = np.random.default_rng(seed)
            again = self.run_before({name: _in_the_last_place(array, rng) for name, array in declared.items()})
            if again is not None and all(a.shape == b.shape for a, b in zip(again, expected, strict=True)):
                apart = self._apart(expected, again)[0]
                farthest = max(farthest, apart if np.isfinite(apart) else 0.0)
        return farthest

    def _look_for_chance(self, declared: Feeds, expected: Sequence[np.ndarray]) -> bool:
        """Run the original again on the same input; whether more of its outputs than were known are random."""
        again = self.run_before(declared)
        known = len(self.random)
        for number, (a, b) in enumerate(zip(expected, again or (), strict=False)):
            apart, scale = _difference([a], [b])
            if apart > _allowed(scale, [b]):
                self.random.add(number)
        return len(self.random) > known

    def _apart(self, expected: Sequence[np.ndarray], given: Sequence[np.ndarray]) -> tuple[float, float]:
        """Of the outputs that are not random; of those that are, only shape and type count."""
        for number in self.random:
            a, b = expected[number], given[number]
            if a.dtype != b.dtype or a.ndim != b.ndim:
                return float("inf"), 1.0
        kept = [number for number in range(len(expected)) if number not in self.random]
        if len(expected) != len(given):
            return float("inf"), 1.0
        return _difference([expected[number] for number in kept], [given[number] for number in kept])


def _in_the_last_place(array: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Floats moved up or down to the next one; others as they are."""
    if array.dtype.kind != "f":
        return array
    towards = np.where(rng.random(array.shape) < 0.5, -np.inf, np.inf).astype(array.dtype)
    return np.asarray(np.nextafter(array, towards))


def _contradicts(model: onnx.ModelProto, feeds: Feeds, outputs: Sequence[np.ndarray]) -> bool:
    """Whether an output has another size than the model declares, as a number or by a symbol of its inputs."""
    sizes: dict[str, int] = {}
    for value in model.graph.input:
        if value.name in feeds:
            for dim, size in zip(value.type.tensor_type.shape.dim, feeds[value.name].shape, strict=False):
                if dim.dim_param:
                    sizes.setdefault(dim.dim_param, size)
    for value, output in zip(model.graph.output, outputs, strict=False):
        for dim, size in zip(value.type.tensor_type.shape.dim, output.shape, strict=False):
            if size != (dim.dim_value if dim.HasField("dim_value") else sizes.get(dim.dim_param, size)):
                return True
    return False


def _inputs(model: onnx.ModelProto, points: Sequence[Point]) -> Iterator[Feeds]:
    """At each point two random inputs; at the first point also zeros, large and negative floats, and other integers."""
    for number, (sizes, values) in enumerate(points):
        for seed in (1, 2):
            yield example_inputs(model, sizes, values, seed)
        if number == 0:
            random = example_inputs(model, sizes, values, 3)
            floats = _floats(random, values)
            if floats:
                yield {**random, **{name: np.zeros_like(random[name]) for name in floats}}
                yield {**random, **{name: random[name] * _LARGE for name in floats}}
                yield {**random, **{name: -np.abs(random[name]) for name in floats}}
            rng = np.random.default_rng(4)
            whole = [name for name, array in random.items() if array.dtype.kind in "iub" and name not in values]
            if whole:
                small = {name: rng.integers(0, 3, random[name].shape).astype(random[name].dtype) for name in whole}
                yield {**random, **small}


def _beyond(model: onnx.ModelProto, points: Sequence[Point]) -> Iterator[tuple[str, Feeds]]:
    """Inputs that a model is not made for, by what is said of them: what happens there is said, and nothing more."""
    for sizes, values in points[:1]:
        random = example_inputs(model, sizes, values, 5)
        floats = [name for name in _floats(random, values) if random[name].size]
        if floats:
            huge = {name: random[name] * _HUGE for name in floats}
            yield f"on inputs around {_HUGE:,.0f}", {**random, **huge}
            holes = {name: random[name].copy() for name in floats}
            for array in holes.values():
                array.flat[0] = np.nan
            yield "where an input is NaN", {**random, **holes}


def _floats(arrays: Feeds, kept: Mapping[str, object]) -> list[str]:
    return [name for name, array in arrays.items() if array.dtype.kind == "f" and name not in kept]


def _first_difference(before: onnx.ModelProto, after: onnx.ModelProto, feeds: Feeds, limit: TimeLimit) -> str:
    """The first tensor, in the order of the original, that both models compute and that differs; "" if unknown."""
    if max(len(model.graph.node) for model in (before, after)) > _LOCATED:
        return ""
    written = [[name for node in model.graph.node for name in node.output if name] for model in (before, after)]
    shared = [name for name in written[0] if name in set(written[1])]
    try:
        pair = [runner(_with_outputs(model, shared), limit)(as_declared(model, feeds)) for model in (before, after)]
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


def _coarser(model: onnx.ModelProto) -> float:
    """How much more the results of a model may differ: it is as coarse as the coarsest type it computes in."""
    types = {value.type.tensor_type.elem_type for value in model.graph.input}
    types |= {tensor.data_type for tensor in model.graph.initializer}
    types |= {
        one.i for node in model.graph.node if node.op_type == "Cast" for one in node.attribute if one.name == "to"
    }
    known = {code for code in types if code in (onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16)}
    return max((_COARSER[onnx.TensorProto.DataType.Name(code).lower()] for code in known), default=1.0)


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
