"""Activation memory before any build: a model of how TensorRT-RTX lays tensors out in one block of memory.

What it assumes was found by building some sixty small graphs with TensorRT-RTX 1.7 and comparing its planned bytes
(`python -m benchmarks.forecast` repeats the comparison on whole models, docs/benchmarks.md has the figures):

- a matrix product, a convolution and a recurrent layer have `WORKSPACE` bytes beside them while they run;
- element-wise operators, reductions and row-wise operators in a row are one kernel: what passes between them is never
  stored. One without a reduction works in place, or in the kernel before it;
- views and transposes take nothing; the parts of a concatenation are written in place;
- matrix products of one input with constant weights of one shape (query, key, value) are one product;
- convolutions and pooling have a layout of their own: an input or output of the model beside them is copied;
- buffers are placed by size, the largest first, each at the lowest offset that is free while it lives.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from friction_tui.model.file.external import element_bits
from friction_tui.model.graph import Node
from friction_tui.model.names import DTYPE_CODES
from friction_tui.model.opened import OpenedModel, weights_bytes
from friction_tui.model.shapes.point_shapes import input_sizes, shapes_at
from friction_tui.model.shapes.profile import free_dims
from friction_tui.model.shapes.tensors import PointShapes
from friction_tui.vocabulary.protocol import Largest, MemoryForecast
from friction_tui.vocabulary.recipe import Profile, Range

WORKSPACE = 8_192_000
"""Bytes TensorRT-RTX 1.7 plans beside a matrix product or convolution; an engine without one plans none of it."""
_POINTS = 10
_LARGEST = 8
_MOST = 2**63 - 1
"""The largest number a message holds; declared sizes can multiply to more."""
_PLACED = 400
"""How many buffers are placed one by one; all smaller ones are counted by what of them is alive at one time."""
_BEYOND = 2**24
"""No size larger than this is looked at."""
_ALIGNED = 512
_OFF_STRIDE = 64
"""How many sizes in a row may not work, as between the multiples of a stride, before none is expected to."""

_VIEWS = frozenset(("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout", "Transpose"))
_ELEMENTWISE = frozenset(
    (
        *("Relu", "LeakyRelu", "PRelu", "ThresholdedRelu", "Elu", "Selu", "Celu", "Gelu", "Softplus", "Softsign"),
        *("Swish", "Mish", "Sigmoid", "HardSigmoid", "HardSwish", "Tanh", "Clip", "Erf", "Exp", "Log", "Sqrt"),
        *("Reciprocal", "Neg", "Abs", "Sign", "Sin", "Cos", "Floor", "Ceil", "Round", "Add", "Sub", "Mul", "Div"),
        *("Pow", "Mod", "Min", "Max", "Sum", "Mean", "Where", "Not", "And", "Or", "Xor", "Equal", "Less", "Greater"),
        *("LessOrEqual", "GreaterOrEqual", "IsNaN", "IsInf", "Cast", "CastLike", "BatchNormalization"),
        *("QuantizeLinear", "DequantizeLinear"),
    )
)
_BY_ROW = frozenset(
    (
        *("Softmax", "LogSoftmax", "LayerNormalization", "RMSNormalization", "InstanceNormalization"),
        *("GroupNormalization", "ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1"),
        *("ReduceL2", "ReduceSumSquare", "ReduceLogSumExp", "ArgMax", "ArgMin"),
    )
)
_FUSED = _ELEMENTWISE | _BY_ROW
_OWN_LAYOUT = frozenset(("Conv", "ConvTranspose", "MaxPool", "AveragePool", "Resize", "Upsample"))
_GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
_WITH_WORKSPACE = frozenset(("Conv", "ConvTranspose", "MatMul", "Gemm", "Einsum", "Attention", *_GATES))


def forecast(
    model: OpenedModel, profile: Profile, key: str, budgets: Sequence[int] = (), at: int = 0
) -> MemoryForecast:
    """Predicted bytes at up to ten sizes of dim `key` between its min and max, every other dimension at its max.

    "" chooses the dimension with the widest range; a size `at` is the only one to predict for. Sizes at which some
    operator cannot work are left out. A model without free dimensions gets one entry, with size 1 and key "". For each
    of `budgets`, in bytes, the largest size of `key` is found at which activations and weights fit, beyond the range
    too.

    Of two ways to place buffers the one for a larger size can be tighter, by some percent. An engine for a larger range
    is not promised to need less for that: a size is given at least what the smaller ones need.
    """
    key = key if key in profile.ranges else _widest(model, profile)
    sizes = ((at,) if at else _steps(profile.ranges[key])) if key else (1,)
    layouts = {size: found for size in sizes if (found := _layout(model, profile, key, size)) is not None}
    last = layouts[max(layouts)] if layouts else None
    weights = min(weights_bytes(model), _MOST)
    return MemoryForecast(
        key=key,
        sizes=tuple(layouts),
        activations=tuple(itertools.accumulate((min(found.bytes, _MOST) for found in layouts.values()), max)),
        unknown=max((found.unknown for found in layouts.values()), default=0),
        weights=weights,
        others=tuple((name, chosen.max) for name, chosen in profile.ranges.items() if name != key),
        largest=tuple(_largest(last)) if last is not None else (),
        fits=tuple((budget, _largest_size(model, profile, key, budget - weights, layouts)) for budget in budgets),
    )


def _widest(model: OpenedModel, profile: Profile) -> str:
    keys = [key for key in free_dims(model) if key in profile.ranges]
    return max(keys, key=lambda key: profile.ranges[key].max / max(profile.ranges[key].min, 1), default="")


def _steps(chosen: Range) -> tuple[int, ...]:
    """Up to ten sizes from min to max, evenly apart, opt among them."""
    span = chosen.max - chosen.min
    steps = {chosen.min + span * number // (_POINTS - 1) for number in range(_POINTS)}
    return tuple(sorted(steps | {chosen.opt}))


def _largest_size(
    model: OpenedModel, profile: Profile, key: str, usable: int, known: Mapping[int, _Layout]
) -> int | None:
    """The largest size of `key` whose activations take at most `usable` bytes, None when its min takes more.

    No size below it takes more, as far as they are `known`.
    From the range's max on, sizes are followed only as long as all shapes are known. Without free dimensions the one
    size is 1.
    """
    low = profile.ranges[key].min if key else 1
    smallest = _layout(model, profile, key, low)
    if smallest is None or smallest.bytes > usable:
        return None
    if not key:
        return 1
    too_large = min((size for size, found in known.items() if size > low and found.bytes > usable), default=0)
    high, bounded = too_large or max(profile.ranges[key].max, low + 1), bool(too_large)
    while high - low > 1 or not bounded:
        middle = (low + high) // 2 if bounded else high
        works = _working(model, profile, key, low, middle)
        if works is not None and works[1] <= usable and middle < _BEYOND:
            low = works[0]
            high = high if bounded else high * 2
        else:
            high, bounded = middle, True
    return low


def _working(model: OpenedModel, profile: Profile, key: str, above: int, size: int) -> tuple[int, int] | None:
    """The largest size that works in (above, size], looked for among the last `_OFF_STRIDE`, and its bytes."""
    for tried in range(size, max(above, size - _OFF_STRIDE), -1):
        found = _layout(model, profile, key, tried)
        if found is not None:
            return tried, found.bytes
    return None


def _largest(layout: _Layout) -> Iterable[Largest]:
    ranked = sorted(layout.stored.items(), key=lambda item: -item[1])[:_LARGEST]
    return (Largest(tensor=name, node=layout.made_by[name], bytes=min(size, _MOST)) for name, size in ranked)


@dataclass(slots=True)
class _Buffer:
    """Bytes that are needed from one step to another, both included."""

    bytes: int
    first: int
    last: int


@dataclass(slots=True)
class _Layout:
    """Where tensors lie at one point of the profile.

    `bytes` of the whole block, `stored` bytes of each tensor that lies in it, `made_by` the name of the node that
    makes it, `unknown` the number of tensors whose size is not known, which are not counted.
    """

    bytes: int
    unknown: int = 0
    stored: dict[str, int] = field(default_factory=dict)
    made_by: dict[str, str] = field(default_factory=dict)


def _layout(model: OpenedModel, profile: Profile, key: str, size: int) -> _Layout | None:
    """The layout with dimension `key` at `size`, all others at max; None where an operator cannot work."""
    ranges = {**profile.ranges, key: Range(size, size, size)} if key else profile.ranges
    values = {name: given.max for name, given in profile.values.items()}
    sizes = input_sizes(model, Profile(ranges=ranges, values=profile.values), "max")
    point = shapes_at(model, sizes, values, f"{key}={size}")
    return None if point.failures else _Plan(model, point).layout()


class _Plan:
    """The graph at one point, seen as the builder sees it: kernels, and the buffers they write."""

    def __init__(self, model: OpenedModel, point: PointShapes) -> None:
        index = model.index
        self._model, self._point = model, point
        self._order = [index.by_path[path] for path in index.order if index.by_path[path].proto.op_type != "Constant"]
        self._ops = [node.proto.op_type for node in self._order]
        self._inputs = {value.name for value in index.inputs}
        self._outputs = {value.name for value in model.proto.graph.output}
        self._made = {name: step for step, node in enumerate(self._order) for name in node.proto.output if name}
        self._readers: dict[str, list[int]] = {}
        for step, node in enumerate(self._order):
            for name in index.reads(node):
                self._readers.setdefault(name, []).append(step)
        self._unknown = 0
        self._lies_in: dict[str, str] = {}
        self._kernel = self._kernels()

    def layout(self) -> _Layout:
        """Every buffer placed."""
        tensors = self._stored()
        self._share(tensors)
        buffers = self._buffers(tensors)
        made_by = {name: _label(self._order[step]) for name, step in self._made.items() if name in tensors}
        inside = {name: size for name, size in tensors.items() if self._root(name) in buffers}
        return _Layout(_placed([*buffers.values(), *self._beside()]), self._unknown, inside, made_by)

    def _bytes(self, name: str) -> int | None:
        found = self._point.types.get(name)
        if found is None or found.sizes is None:
            return None
        return math.prod(found.sizes) * element_bits(DTYPE_CODES.get(found.dtype, 1)) // 8

    def _kernels(self) -> list[list[int]]:
        """The steps of the kernel of each step, in order: operators that fuse with each other share one list."""
        kernels = [[step] for step in range(len(self._order))]
        for step, node in enumerate(self._order):
            if self._ops[step] not in _FUSED:
                continue
            for name in node.proto.input:
                made = self._made.get(name)
                if made is None or self._ops[made] not in _FUSED or kernels[made] is kernels[step]:
                    continue
                if all(self._ops[reader] in _FUSED for reader in self._readers[name]):
                    joined = sorted({*kernels[made], *kernels[step]})
                    for member in joined:
                        kernels[member] = joined
        return kernels

    def _ends(self, step: int) -> int:
        return self._kernel[step][-1]

    def _stored(self) -> dict[str, int]:
        """Bytes of each tensor that is written to memory, in order."""
        stored: dict[str, int] = {}
        for name, step in self._made.items():
            if name in self._point.values:
                continue  # shape arithmetic
            readers = self._readers.get(name, [])
            inside = name not in self._outputs and readers and self._ops[step] in _FUSED
            if inside and all(self._kernel[reader] is self._kernel[step] for reader in readers):
                continue
            size = self._bytes(name)
            if size is None:
                self._unknown += 1
            else:
                stored[name] = size
        return stored

    def _root(self, name: str) -> str:
        while name in self._lies_in:
            name = self._lies_in[name]
        return name

    def _join(self, name: str, into: str) -> None:
        name, into = self._root(name), self._root(into)
        if name != into:
            self._lies_in[name] = into

    def _share(self, tensors: Mapping[str, int]) -> None:
        """Put tensors into the buffers of others: views, work in place, parts of concatenations, joined products."""
        for name, size in tensors.items():
            step = self._made[name]
            sources = self._order[step].proto.input
            if self._ops[step] in _VIEWS:
                view = next((source for source in sources if tensors.get(source) == size), "")
                if view:
                    self._join(name, view)
            elif self._ops[step] in _ELEMENTWISE:
                self._join_in_place(name, size, tensors)
        for name in tensors:
            if self._ops[self._made[name]] == "Concat":
                for part in self._order[self._made[name]].proto.input:
                    if part in tensors:
                        self._join(part, name)

    def _join_in_place(self, name: str, size: int, tensors: Mapping[str, int]) -> None:
        kernel = self._kernel[self._made[name]]
        if any(self._ops[step] in _BY_ROW for step in kernel):
            return
        for step in kernel:
            for source in self._order[step].proto.input:
                outside = tensors.get(source) == size and self._made[source] not in kernel
                if outside and self._last_read(source) <= kernel[-1] and self._root(source) != name:
                    self._join(name, source)
                    return

    def _last_read(self, name: str) -> int:
        readers = self._readers.get(name)
        return max(self._ends(step) for step in readers) if readers else self._made.get(name, -1)

    def _buffers(self, tensors: Mapping[str, int]) -> dict[str, _Buffer]:
        """Each buffer of the block by the name of its first tensor; what lies in the caller's memory is not in it."""
        found: dict[str, _Buffer] = {}
        in_callers: set[str] = set()
        copied: set[str] = set()
        for name, size in tensors.items():
            root, step = self._root(name), self._made[name]
            buffer = found.setdefault(root, _Buffer(size, step, step))
            buffer.bytes = max(buffer.bytes, size)
            buffer.first, buffer.last = min(buffer.first, step), max(buffer.last, self._last_read(name))
            if name in self._outputs:
                in_callers.add(root)
            if self._ops[step] in _OWN_LAYOUT:
                copied.add(root)
        for root in in_callers - copied:
            del found[root]
        for name in self._inputs:
            readers = self._readers.get(name, [])
            read = self._bytes(name)
            if read and any(self._ops[step] in _OWN_LAYOUT for step in readers):
                found[name] = _Buffer(read, -1, max(readers))
        for together in self._joined_products(tensors, found):
            first = found.pop(together[0])
            for name in together[1:]:
                other = found.pop(name)
                first = _Buffer(first.bytes + other.bytes, min(first.first, other.first), max(first.last, other.last))
            found[together[0]] = first
        return found

    def _joined_products(self, tensors: Mapping[str, int], buffers: Mapping[str, _Buffer]) -> list[list[str]]:
        """Buffers that matrix products of one input with constant weights of one shape write, product by product."""
        groups: dict[tuple[str, tuple[int | None, ...]], list[str]] = {}
        for name in tensors:
            step = self._made[name]
            if self._ops[step] != "MatMul" or self._root(name) not in buffers:
                continue
            data, weight = self._order[step].proto.input
            found = self._point.types.get(weight)
            if weight in self._made or found is None or found.dims is None:
                continue
            groups.setdefault((data, found.dims), []).append(self._root(name))
        return [once for roots in groups.values() if len(once := list(dict.fromkeys(roots))) > 1]

    def _beside(self) -> Iterable[_Buffer]:
        """What nodes need while they run."""
        for step, node in enumerate(self._order):
            if self._ops[step] in _WITH_WORKSPACE:
                yield _Buffer(WORKSPACE, step, step)
            if self._ops[step] in _GATES and (gates := self._gates(node)):
                yield _Buffer(gates, step, step)

    def _gates(self, node: Node) -> int:
        """Bytes of the gates of all steps, which TensorRT works out at once.

        Sequence length × batch × gates × hidden size × directions: 32 × 512 × 4 × 128 floats are 33.5 MB, and an LSTM
        of these sizes plans 44.3 MB with TensorRT-RTX 1.7.1, where its output takes 8.4 MB.
        """
        sequence = self._point.types.get(node.inputs[0]) if node.inputs else None
        state = self._point.types.get(node.inputs[2]) if len(node.inputs) > 2 else None
        if not (sequence and state and sequence.sizes and state.sizes and len(state.sizes) == 3):
            return 0
        directions, _, hidden = state.sizes
        bits = element_bits(DTYPE_CODES.get(sequence.dtype, 1))
        gates = _GATES[node.proto.op_type]
        return math.prod(sequence.sizes[:2]) * gates * hidden * directions * bits // 8


def _label(node: Node) -> str:
    return node.proto.name or f"a {node.proto.op_type} without a name"


def _placed(buffers: list[_Buffer]) -> int:
    """Bytes of a block that holds all `buffers`, placed by size at the lowest offset that is free while they live."""
    ranked = sorted(buffers, key=lambda buffer: (-buffer.bytes, buffer.first))
    taken: list[tuple[int, int, _Buffer]] = []
    top = 0
    for buffer in ranked[:_PLACED]:
        offset = 0
        for start, end, other in taken:
            if other.last < buffer.first or other.first > buffer.last:
                continue
            if start - offset >= buffer.bytes:
                break
            offset = max(offset, end)
        end = offset + -(-buffer.bytes // _ALIGNED) * _ALIGNED
        taken.append((offset, end, buffer))
        taken.sort(key=lambda entry: entry[0])
        top = max(top, end)
    return top + _alive(ranked[_PLACED:])


def _alive(buffers: Iterable[_Buffer]) -> int:
    """The most bytes of `buffers` that are alive at one step."""
    changes: dict[int, int] = {}
    for buffer in buffers:
        changes[buffer.first] = changes.get(buffer.first, 0) + buffer.bytes
        changes[buffer.last + 1] = changes.get(buffer.last + 1, 0) - buffer.bytes
    alive = peak = 0
    for step in sorted(changes):
        alive += changes[step]
        peak = max(peak, alive)
    return peak
