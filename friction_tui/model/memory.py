"""Activation memory before any build: which tensors are alive together, at which sizes.

Two figures bracket what TensorRT-RTX plans: `naive` keeps every intermediate tensor apart from its first to its last
use, `fused` lets element-wise operators work in place and counts reshapes as nothing. On eleven models the plan was at
most 14 per cent above the upper one; the lower one is too high where whole chains are fused (docs/benchmarks.md).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from friction_tui.model.file.external import element_bits
from friction_tui.model.graph import Node
from friction_tui.model.names import DTYPE_CODES
from friction_tui.model.opened import OpenedModel, weights_bytes
from friction_tui.model.shapes.point_shapes import input_sizes, shapes_at
from friction_tui.model.shapes.profile import free_dims
from friction_tui.model.shapes.tensors import PointShapes
from friction_tui.vocabulary.protocol import MemoryForecast
from friction_tui.vocabulary.recipe import Profile, Range

RTX_FLOOR = 8_192_000
"""Bytes every TensorRT-RTX 1.7 engine plans on top of its tensors."""
_POINTS = 10
_LARGEST = 8
_MOST = 2**63 - 1
"""The largest number a message holds; declared sizes can multiply to more."""
_VIEWS = frozenset(("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout"))
_ELEMENTWISE = """
    Relu LeakyRelu PRelu Sigmoid HardSigmoid HardSwish Tanh Elu Selu Gelu Softplus Mish Clip Erf Exp Log Sqrt Neg Abs
    Add Sub Mul Div Pow Min Max Where Not And Or Cast BatchNormalization QuantizeLinear DequantizeLinear
"""
_GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
_BY_ROW = "Softmax LogSoftmax LayerNormalization RMSNormalization InstanceNormalization GroupNormalization Transpose"
_IN_PLACE = frozenset((*_ELEMENTWISE.split(), *_BY_ROW.split()))
"""What fuses with its producer or works on rows that fit on chip. Transposes are folded into matrix products."""


def forecast(model: OpenedModel, profile: Profile, key: str, floor: int = RTX_FLOOR) -> MemoryForecast:
    """Predicted bytes at up to ten sizes of dim `key` between its min and max, everything else at opt.

    "" chooses the dimension with the widest range. Sizes at which some tensor's shape is not known are left out. A
    model without free dimensions gets one entry, with size 1 and key "". `floor` is not part of the figures.
    """
    key = key if key in profile.ranges else _widest(model, profile)
    sizes = _steps(profile.ranges[key]) if key else (1,)
    counted: list[tuple[int, int, int]] = []
    last: PointShapes | None = None
    for size in sizes:
        ranges = {**profile.ranges, key: Range(size, size, size)} if key else profile.ranges
        chosen = Profile(ranges=ranges, values=profile.values)
        values = {name: given.opt for name, given in profile.values.items()}
        point = shapes_at(model, input_sizes(model, chosen, "opt"), values, f"{key}={size}")
        held = _held_bytes(model, point)
        if held is not None:
            gates = _gates(model, point)
            counted.append((size, _peak(model, held, gates, fused=False), _peak(model, held, gates, fused=True)))
            last = point
    held = _held_bytes(model, last) if last is not None else None
    largest = sorted((held or {}).items(), key=lambda item: -item[1])[:_LARGEST]
    return MemoryForecast(
        key=key,
        sizes=tuple(row[0] for row in counted),
        naive=tuple(min(row[1], _MOST) for row in counted),
        fused=tuple(min(row[2], _MOST) for row in counted),
        weights=min(weights_bytes(model), _MOST),
        floor=floor,
        largest=tuple((name, min(size, _MOST)) for name, size in largest),
    )


def _widest(model: OpenedModel, profile: Profile) -> str:
    keys = [key for key in free_dims(model) if key in profile.ranges]
    return max(keys, key=lambda key: profile.ranges[key].max / max(profile.ranges[key].min, 1), default="")


def _steps(chosen: Range) -> tuple[int, ...]:
    """Up to ten sizes from min to max, evenly apart, opt among them."""
    span = chosen.max - chosen.min
    steps = {chosen.min + span * number // (_POINTS - 1) for number in range(_POINTS)}
    return tuple(sorted(steps | {chosen.opt}))


def _held_bytes(model: OpenedModel, point: PointShapes) -> dict[str, int] | None:
    """Bytes of every intermediate tensor; None when one of them has no known size.

    Inputs and outputs lie in the caller's buffers. Tensors whose values are known are shape arithmetic.
    """
    outputs = {value.name for value in model.proto.graph.output}
    held: dict[str, int] = {}
    for node in model.index.main:
        for name in node.proto.output:
            if not name or name in outputs or name in point.values or node.proto.op_type == "Constant":
                continue
            found = point.types.get(name)
            if found is None or found.sizes is None:
                return None
            held[name] = math.prod(found.sizes) * element_bits(DTYPE_CODES.get(found.dtype, 1)) // 8
    return held


def _gates(model: OpenedModel, point: PointShapes) -> dict[str, int]:
    """Bytes a recurrent node needs while it runs, by path: TensorRT works the gates of all steps out at once.

    Sequence length × batch × gates × hidden size × directions: 32 × 512 × 4 × 128 floats are 33.5 MB, and an LSTM of
    these sizes plans 44.3 MB with TensorRT-RTX 1.7.1, where its output takes 8.4 MB.
    """
    found: dict[str, int] = {}
    for node in model.index.main:
        gates = _GATES.get(node.proto.op_type)
        sequence = point.types.get(node.inputs[0]) if gates and node.inputs else None
        state = point.types.get(node.inputs[2]) if gates and len(node.inputs) > 2 else None
        if gates and sequence and state and sequence.sizes and state.sizes:
            directions, _, hidden = state.sizes
            bits = element_bits(DTYPE_CODES.get(sequence.dtype, 1))
            found[node.path] = math.prod(sequence.sizes[:2]) * gates * hidden * directions * bits // 8
    return found


def _peak(model: OpenedModel, held: Mapping[str, int], gates: Mapping[str, int], fused: bool) -> int:
    """The most bytes alive at one time when nodes run in topological order.

    A tensor lies in one buffer of its own or, `fused`, in the buffers of others. `gates` is what a node needs beside.
    """
    index = model.index
    order = [index.by_path[path] for path in index.order]
    last_use = {name: step for step, node in enumerate(order) for name in index.reads(node)}
    lies_in: dict[str, tuple[str, ...]] = {}
    users: dict[str, int] = {}
    alive = peak = 0
    for step, node in enumerate(order):
        for name in node.proto.output:
            if name not in held:
                continue
            shared = _shared_buffers(node, name, step, held, last_use, lies_in, users) if fused else ()
            if not shared:
                shared = (name,)
                users[name] = 0
                alive += held[name]
            lies_in[name] = shared
            for buffer in shared:
                users[buffer] += 1
        peak = max(peak, alive + gates.get(node.path, 0))
        for name in {*index.reads(node), *node.proto.output}:
            if last_use.get(name, step) > step:
                continue
            for buffer in lies_in.pop(name, ()):
                users[buffer] -= 1
                alive -= held[buffer] if users[buffer] == 0 else 0
    return peak


def _shared_buffers(
    node: Node,
    output: str,
    step: int,
    held: Mapping[str, int],
    last_use: Mapping[str, int],
    lies_in: Mapping[str, tuple[str, ...]],
    users: Mapping[str, int],
) -> tuple[str, ...]:
    """The buffers of inputs that `output` can lie in; () when it needs its own.

    A view and a concatenation only look at their inputs; an operator in place overwrites one that is not needed later.
    """
    op = node.proto.op_type
    if op == "Concat":
        parts = [lies_in.get(name, ()) for name in node.proto.input]
        return tuple(dict.fromkeys(buffer for part in parts for buffer in part)) if all(parts) else ()
    if op not in _VIEWS and op not in _IN_PLACE:
        return ()
    for name in node.proto.input:
        buffers = lies_in.get(name, ())
        if not buffers or held[name] != held[output]:
            continue
        if op in _VIEWS or (last_use.get(name) == step and all(users[buffer] == 1 for buffer in buffers)):
            return buffers
    return ()
