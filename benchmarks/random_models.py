"""Random small models: chains of operators with random attributes, types and ranks, each step valid by shape inference.

Every operator of the ai.onnx domain can come up. A node is kept if strict shape inference takes the model with it
and knows the sizes of its outputs. Parameters (axes, sizes, pads …) are constants, seldom inputs of the graph.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, defs, helper, numpy_helper, shape_inference

OPSET = 20
SKIPPED = frozenset({"Loop", "Scan", "If", "SequenceMap", "ImageDecoder"})
"""Operators with bodies, and one that reads files: a random choice of inputs is never valid there."""
TRIES = 30
"""Random nodes that are tried for each one that is kept."""
TYPES = {
    "tensor(float)": TensorProto.FLOAT,
    "tensor(float16)": TensorProto.FLOAT16,
    "tensor(int64)": TensorProto.INT64,
    "tensor(int32)": TensorProto.INT32,
    "tensor(bool)": TensorProto.BOOL,
    "tensor(int8)": TensorProto.INT8,
    "tensor(uint8)": TensorProto.UINT8,
    "tensor(double)": TensorProto.DOUBLE,
}
_STARTS = (1, 1, 1, 1, 1, TensorProto.FLOAT16, TensorProto.INT64, TensorProto.INT32, TensorProto.BOOL)
_CHOICES: dict[str, tuple[Any, ...]] = {
    "approximate": ("none", "tanh"),
    "auto_pad": ("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"),
    "blocksize": (2,),
    "coordinate_transformation_mode": ("half_pixel", "align_corners", "asymmetric", "pytorch_half_pixel"),
    "count_include_pad": (0, 1),
    "detect_negative": (0, 1),
    "equation": ("ij->ji", "bij->bji", "bij,bjk->bik", "ij,jk", "ii->i"),
    "group": (1, 1, 1, 2),
    "hidden_size": (4,),
    "nearest_mode": ("round_prefer_floor", "floor", "ceil", "round_prefer_ceil"),
    "padding_mode": ("zeros", "border", "reflection"),
    "reduction": ("none", "none", "add", "mul", "max", "min"),
    "p": (1, 2),
    "num_groups": (1, 2),
    "num_outputs": (2, 3),
    "size": (3,),
    "to": tuple(TYPES.values()),
}
_MODES: dict[str, tuple[Any, ...]] = {
    "DepthToSpace": ("DCR", "CRD"),
    "Resize": ("nearest", "linear", "cubic"),
    "Upsample": ("nearest", "linear"),
    "Pad": ("constant", "reflect", "edge", "wrap"),
    "GridSample": ("linear", "nearest", "cubic"),
    "RoiAlign": ("avg", "max"),
}
_FLAGS = frozenset(
    [
        "keepdims",
        "largest",
        "sorted",
        "exclusive",
        "reverse",
        "transA",
        "transB",
        "fmod",
        "noop_with_empty_axes",
        "select_last_index",
        "upper",
        "ceil_mode",
        "align_corners",
        "center_point_box",
        "allowzero",
        "inclusive",
        "exclude_outside",
        "antialias",
    ]
)
_FLOATS = frozenset(
    ["alpha", "beta", "gamma", "epsilon", "bias", "lambd", "cubic_coeff_a", "extrapolation_value", "min", "max"]
)


@dataclass(slots=True)
class Draft:
    """A model in the making: tensors by name with their types and sizes, nodes, constants and what is fed."""

    rng: random.Random
    types: dict[str, tuple[int, tuple[int, ...]]] = field(default_factory=dict)
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)
    feeds: dict[str, np.ndarray] = field(default_factory=dict)
    count: int = 0

    def name(self, stem: str) -> str:
        """A new name."""
        self.count += 1
        return f"{stem}{self.count}"

    def values(self, kind: int, shape: tuple[int, ...]) -> np.ndarray:
        """Random values of a type: small ones, so that integers can be indices now and then."""
        numbers = np.random.default_rng(self.rng.randrange(1 << 30))
        dtype = helper.tensor_dtype_to_np_dtype(kind)
        if dtype.kind == "f":
            return np.asarray(numbers.standard_normal(shape), dtype)
        return np.asarray(numbers.integers(0, 2, shape), dtype)

    def constant(self, array: Any, dtype: Any = None) -> str:
        """A constant, or an input of the graph now and then."""
        value = np.asarray(array, dtype)
        name = self.name("k")
        if self.rng.random() < 0.04:
            self.feeds[name] = value
        else:
            self.constants.append(numpy_helper.from_array(value, name))
        self.types[name] = (helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
        return name

    def model(self, extra: onnx.NodeProto | None = None) -> onnx.ModelProto:
        """The whole, with an output for everything that nobody reads."""
        nodes = [*self.nodes, *([extra] if extra else [])]
        read = {name for node in nodes for name in node.input}
        written = [name for node in nodes for name in node.output if name]
        inputs = [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
            for name, array in self.feeds.items()
            if name in read
        ]
        outputs = [
            helper.make_tensor_value_info(name, *self.types[name])
            if name in self.types
            else onnx.ValueInfoProto(name=name)
            for name in written
            if name not in read
        ]
        constants = [tensor for tensor in self.constants if tensor.name in read]
        graph = helper.make_graph(nodes, "random", inputs, outputs, constants)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)


def random_model(seed: int, size: int = 6) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    """A model of up to `size` nodes and what to feed it with, the same for the same seed."""
    rng = random.Random(seed)
    draft = Draft(rng)
    for _ in range(rng.randint(1, 2)):
        rank = rng.choice((1, 2, 3, 3, 4, 4))
        shape = tuple(rng.choice((1, 2, 4, 6, 8)) for _ in range(rank))
        kind, name = rng.choice(_STARTS), draft.name("x")
        draft.feeds[name] = draft.values(kind, shape)
        draft.types[name] = (kind, shape)
    wanted = rng.randint(1, size)
    for _ in range(wanted * TRIES):
        if len(draft.nodes) == wanted:
            break
        _grow(draft)
    model = draft.model()
    return model, {value.name: draft.feeds[value.name] for value in model.graph.input}


def schemas() -> list[defs.OpSchema]:
    """The newest form at `OPSET` of every operator that can come up."""
    names = {one.name for one in defs.get_all_schemas_with_history() if one.domain == "" and one.name not in SKIPPED}
    found = []
    for name in sorted(names):
        try:
            schema = defs.get_schema(name, OPSET)
        except defs.SchemaError:
            continue
        if not schema.deprecated:
            found.append(schema)
    return found


_SCHEMAS = schemas()


def _grow(draft: Draft) -> None:
    """Try one random node; it stays if shape inference takes it."""
    schema = draft.rng.choice(_SCHEMAS)
    before = len(draft.constants), dict(draft.types), dict(draft.feeds)
    node = _node(draft, schema)
    known = _inferred(draft.model(node)) if node is not None else None
    found = {name: known[name] for name in node.output if name in known} if node and known is not None else {}
    if node is None or len(found) < len([name for name in node.output if name]):
        del draft.constants[before[0] :]
        draft.types, draft.feeds = before[1], before[2]
        return
    draft.nodes.append(node)
    draft.types |= found


def _inferred(model: onnx.ModelProto) -> dict[str, tuple[int, tuple[int, ...]]] | None:
    """Types and sizes of all tensors; None for a model that is not valid. Leaves out what has an unknown size."""
    try:
        known = shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    except Exception:  # shape inference raises errors of several types
        return None
    found = {}
    for value in (*known.graph.value_info, *known.graph.output):
        tensor = value.type.tensor_type
        if not value.type.HasField("tensor_type") or not tensor.HasField("shape"):
            continue
        sizes = [dim.dim_value if dim.HasField("dim_value") else -1 for dim in tensor.shape.dim]
        if tensor.elem_type in TYPES.values() and all(size > 0 for size in sizes) and math.prod(sizes) <= 1 << 16:
            found[value.name] = (tensor.elem_type, tuple(sizes))
    return found


def _node(draft: Draft, schema: defs.OpSchema) -> onnx.NodeProto | None:
    """A node of the operator on tensors of the draft; None where none fits."""
    rng = draft.rng
    inputs: list[str] = []
    bound: dict[str, int] = {}
    for position, formal in enumerate(schema.inputs):
        optional = formal.option == defs.OpSchema.FormalParameterOption.Optional
        variadic = formal.option == defs.OpSchema.FormalParameterOption.Variadic
        if optional and rng.random() < 0.5:
            inputs.append("")
            continue
        for _ in range(rng.randint(1, 3) if variadic else 1):
            name = _input(draft, schema, position, formal, inputs, bound)
            if not name and not optional:
                return None
            inputs.append(name)
    while inputs and not inputs[-1]:
        inputs.pop()
    rank = len(draft.types[inputs[0]][1]) if inputs and inputs[0] else 2
    attributes = {}
    for name, attribute in schema.attributes.items():
        if not attribute.required and rng.random() < 0.6:
            continue
        value = _attribute(draft, schema.name, name, rank)
        value = None if value == [] else value  # a list without entries has no type
        if value is None and attribute.required:
            return None
        if value is not None:
            attributes[name] = value
    count = max(schema.min_output, 1 if len(schema.outputs) == 1 else rng.randint(1, len(schema.outputs)))
    if schema.name == "Split":
        count = attributes.get("num_outputs", 2)
    outputs = [draft.name("t") for _ in range(count)]
    return helper.make_node(schema.name, inputs, outputs, name=draft.name(schema.name), **attributes)


def _input(
    draft: Draft,
    schema: defs.OpSchema,
    position: int,
    formal: defs.OpSchema.FormalParameter,
    before: list[str],
    bound: dict[str, int],
) -> str:
    """A tensor for one input: a parameter made for it, or one of the draft of an allowed type; "" if there is none."""
    rng, text = draft.rng, formal.type_str
    data = draft.types[before[0]] if before and before[0] else None
    if data is not None and (maker := _PARAMETERS.get((schema.name, position)) or _PARAMETERS.get((formal.name, 0))):
        made = maker(rng, data[1])
        return draft.constant(made[0], made[1]) if made is not None else ""
    constraint = next((one.allowed_type_strs for one in schema.type_constraints if one.type_param_str == text), [text])
    allowed: list[int] = [TYPES[kind] for kind in constraint if kind in TYPES]
    allowed = [bound[text]] if text in bound else allowed
    fitting = [name for name, (kind, _) in draft.types.items() if kind in allowed and not name.startswith("k")]
    if data is not None and position and (weight := _weight(rng, schema.name, position, data[1])) is not None:
        kind = data[0] if text in bound else rng.choice(allowed) if allowed else 1
        values = draft.values(kind, weight)
        # A variance below 0 is an error of its own, which no engine says.
        return draft.constant(np.abs(values) if formal.name == "input_var" else values) if allowed else ""
    if not fitting:
        if not allowed or position == 0:
            return ""
        shape = data[1] if data else (2, 4)
        return draft.constant(draft.values(rng.choice(allowed), shape))
    alike = [name for name in fitting if data and draft.types[name][1] == data[1]]
    chosen = rng.choice(alike if alike and rng.random() < 0.7 else fitting[-4:])
    bound.setdefault(text, draft.types[chosen][0])
    return chosen


Sizes = tuple[int, ...]
Made = tuple[Any, Any] | None
Maker = Callable[[random.Random, Sizes], Made]


def _axes(rng: random.Random, shape: Sizes) -> list[int]:
    return rng.sample(range(len(shape)), rng.randint(1, len(shape))) if shape else []


def _reshaped(rng: random.Random, shape: Sizes) -> Made:
    left = math.prod(shape)
    sizes: list[int] = []
    while left > 1 and len(sizes) < 3:
        size = rng.choice([n for n in range(1, left + 1) if left % n == 0])
        sizes.append(size)
        left //= size
    return [*sizes, rng.choice((left, -1))], np.int64


def _pads(rng: random.Random, shape: Sizes) -> Made:
    return [rng.randint(0, 1) for _ in range(2 * len(shape))], np.int64


def _all(low: int, high: int) -> Maker:
    return lambda rng, shape: ([rng.randint(low, high) for _ in shape], np.int64)


def _one(low: int, high: int, *, scalar: bool = False) -> Maker:
    return lambda rng, _shape: (rng.randint(low, high) if scalar else [rng.randint(low, high)], np.int64)


_PARAMETERS: dict[tuple[str, int], Maker] = {
    ("Reshape", 1): _reshaped,
    ("Expand", 1): lambda rng, shape: ([size if size > 1 else rng.randint(1, 3) for size in shape], np.int64),
    ("Unsqueeze", 1): lambda rng, shape: ([rng.randint(0, len(shape))], np.int64),
    ("Squeeze", 1): lambda _rng, shape: ([axis for axis, size in enumerate(shape) if size == 1], np.int64),
    ("axes", 0): lambda rng, shape: (_axes(rng, shape), np.int64),
    ("Slice", 1): _one(0, 1),
    ("Slice", 2): _one(1, 6),
    ("Slice", 3): lambda rng, shape: ([rng.randrange(len(shape))] if shape else [0], np.int64),
    ("Slice", 4): _one(1, 2),
    ("Tile", 1): _all(1, 2),
    ("Pad", 1): _pads,
    ("Resize", 1): lambda _rng, _shape: None,
    ("Resize", 2): lambda rng, shape: (
        [1.0] * min(2, len(shape)) + [rng.choice((0.5, 1.5, 2.0)) for _ in shape[2:]],
        np.float32,
    ),
    ("Resize", 3): lambda _rng, _shape: None,
    ("TopK", 1): _one(1, 4),
    ("Gather", 1): lambda rng, _shape: ([rng.randint(-1, 0) for _ in range(3)], np.int64),
    ("GatherElements", 1): lambda _rng, shape: (np.zeros(shape), np.int64),
    ("ScatterElements", 1): lambda _rng, shape: (np.zeros(shape), np.int64),
    ("GatherND", 1): lambda _rng, _shape: ([[0], [0]], np.int64),
    ("OneHot", 1): _one(2, 5, scalar=True),
    ("CumSum", 1): lambda rng, shape: (rng.randrange(len(shape)) if shape else 0, np.int64),
    ("Trilu", 1): _one(-2, 2, scalar=True),
    ("CenterCropPad", 1): _all(2, 6),
    ("Clip", 1): lambda rng, _shape: (rng.uniform(-2, 0), np.float32),
    ("Clip", 2): lambda rng, _shape: (rng.uniform(0, 2), np.float32),
    ("split", 0): lambda _rng, _shape: None,
}
"""(operator, position) or (formal name, 0) → the constant for a parameter, from the shape of the first input."""


def _weight(rng: random.Random, op: str, position: int, shape: Sizes) -> Sizes | None:
    """The shape of a weight that fits data of `shape`; None for an input that is no weight."""
    channels = shape[1] if len(shape) > 1 else 1
    last = shape[-1] if shape else 1
    if op in ("Conv", "ConvTranspose") and len(shape) > 2:
        return (channels, channels, *(rng.randint(1, 3) for _ in shape[2:])) if position == 1 else (channels,)
    if op == "MatMul" and position == 1:
        return (last, rng.choice((3, 8)))
    if op == "Gemm":
        return (last, 8) if position == 1 else (8,)
    if op in ("LSTM", "GRU", "RNN") and len(shape) == 3 and position < 4:
        gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[op] * 4
        return {1: (1, gates, last), 2: (1, gates, 4), 3: (1, 2 * gates)}[position]
    if op in ("BatchNormalization", "InstanceNormalization", "GroupNormalization", "PRelu"):
        return (channels, *(1 for _ in shape[2:])) if op == "PRelu" else (channels,)
    if op == "LayerNormalization":
        return (last,)
    return None


def _attribute(draft: Draft, op: str, name: str, rank: int) -> Any:
    """A random value for an attribute; None where nothing is known of it."""
    rng, inner = draft.rng, max(rank - 2, 0)
    if name in ("axis", "batch_axis", "time_axis"):
        return rng.randrange(-rank, rank) if rank else 0
    if name == "perm":
        return rng.sample(range(rank), rank)
    if name == "kernel_shape" and op not in ("Conv", "ConvTranspose"):
        return [rng.randint(1, 3) for _ in range(inner)]
    if name in ("strides", "dilations"):
        return [rng.randint(1, 2) for _ in range(inner)]
    if name == "pads":
        return [rng.randint(0, 1)] * (2 * inner)
    if name == "mode":
        return rng.choice(_MODES[op]) if op in _MODES else None
    if name == "direction" and op == "BitShift":
        return rng.choice(("LEFT", "RIGHT"))
    if name == "axes":
        return [rng.randrange(rank)] if rank else None
    if name in _FLAGS:
        return rng.randint(0, 1)
    if name in _FLOATS:
        return rng.uniform(0.1, 1.5)
    if name in ("value_float",):
        return rng.uniform(-1, 1)
    if name == "value_ints":
        return [rng.randint(1, 4)]
    return rng.choice(_CHOICES[name]) if name in _CHOICES else None
