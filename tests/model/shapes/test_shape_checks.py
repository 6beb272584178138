"""Our shape checks against ONNX Runtime and numpy, on random operators and random chains."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from friction_tui.model.opened import from_proto
from friction_tui.model.shapes.point_shapes import shapes_at
from friction_tui.model.shapes.shape_values import reshape_target
from friction_tui.model.shapes.tensors import PointShapes

OPSET = 21
Feeds = dict[str, np.ndarray[Any, Any]]
Node = tuple[str, Feeds, Feeds, dict[str, Any], int]
"""(operator, fed inputs, constants, attributes, number of outputs), inputs named i0, i1… in order."""

few = st.integers(1, 4)
shapes = st.lists(few, min_size=0, max_size=4).map(tuple)
ranked = st.lists(few, min_size=1, max_size=3).map(tuple)
axes = st.integers(-4, 3)


def _ones(shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    return np.ones(shape, np.float32)


def _ints(values: list[int]) -> np.ndarray[Any, Any]:
    return np.array(values, np.int64)


@st.composite
def _near(draw: st.DrawFn, shape: tuple[int, ...]) -> tuple[int, ...]:
    """A shape that often broadcasts with `shape`."""
    sizes = [draw(st.sampled_from((size, size, 1, 3))) for size in shape]
    return tuple(sizes[draw(st.integers(0, len(sizes))) :])


@st.composite
def nodes(draw: st.DrawFn) -> Node:
    op = draw(st.sampled_from(sorted(MAKERS)))
    feeds, constants, attributes, outputs = MAKERS[op](draw)
    return op, feeds, constants, attributes, outputs


Made = tuple[Feeds, Feeds, dict[str, Any], int]


def _broadcast(draw: st.DrawFn) -> Made:
    shape = draw(shapes)
    return {"i0": _ones(shape), "i1": _ones(draw(_near(shape)))}, {}, {}, 1


def _concat(draw: st.DrawFn) -> Made:
    shape, axis = draw(ranked), draw(axes)
    return (
        {"i0": _ones(shape), "i1": _ones(tuple(draw(st.sampled_from((s, s, 2))) for s in shape))},
        {},
        {"axis": axis},
        1,
    )


def _reshape(draw: st.DrawFn) -> Made:
    shape = draw(shapes)
    target = draw(st.lists(st.sampled_from((0, -1, 1, 2, 3, 4, int(np.prod(shape)))), max_size=4))
    return {"i0": _ones(shape)}, {"i1": _ints(target)}, {"allowzero": draw(st.integers(0, 1))}, 1


def _expand(draw: st.DrawFn) -> Made:
    shape = draw(shapes)
    return {"i0": _ones(shape)}, {"i1": _ints(list(draw(_near(shape))))}, {}, 1


def _gather(draw: st.DrawFn) -> Made:
    indices = draw(st.lists(st.integers(-5, 4), min_size=1, max_size=3))
    return {"i0": _ones(draw(ranked))}, {"i1": _ints(indices)}, {"axis": draw(axes)}, 1


def _squeeze(draw: st.DrawFn) -> Made:
    shape = tuple(draw(st.lists(st.sampled_from((1, 1, 2)), min_size=1, max_size=4)))
    return {"i0": _ones(shape)}, {"i1": _ints([draw(axes)])}, {}, 1


def _split(draw: st.DrawFn) -> Made:
    sizes = draw(st.lists(st.integers(0, 3), min_size=2, max_size=2))
    return {"i0": _ones(draw(ranked))}, {"i1": _ints(sizes)}, {"axis": draw(axes)}, 2


def _matmul(draw: st.DrawFn) -> Made:
    a, b = draw(ranked), list(draw(ranked))
    b[max(len(b) - 2, 0)] = draw(st.sampled_from((a[-1], a[-1], 2)))
    return {"i0": _ones(a), "i1": _ones(tuple(b))}, {}, {}, 1


def _conv(draw: st.DrawFn) -> Made:
    group = draw(st.sampled_from((1, 2)))
    weight = (draw(few), draw(few), draw(few))
    data = (1, draw(st.sampled_from((weight[1] * group, weight[1] * group, 3))), draw(st.integers(4, 6)))
    return {"i0": _ones(data), "i1": _ones(weight)}, {}, {"group": group}, 1


def _topk(draw: st.DrawFn) -> Made:
    return {"i0": _ones(draw(ranked))}, {"i1": _ints([draw(st.integers(0, 5))])}, {"axis": draw(axes)}, 2


def _pad(draw: st.DrawFn) -> Made:
    shape = draw(ranked)
    pads = [draw(st.integers(0, 3)) for _ in range(2 * len(shape))]
    return {"i0": _ones(shape)}, {"i1": _ints(pads)}, {"mode": draw(st.sampled_from(("reflect", "constant")))}, 1


def _scatter_nd(draw: st.DrawFn) -> Made:
    shape = draw(ranked)
    depth = draw(st.integers(1, len(shape)))
    index = [draw(st.integers(-3, 2)) for _ in range(depth)]
    updates = draw(st.sampled_from(((1, *shape[depth:]), (1, *shape[depth:]), (1,))))
    return {"i0": _ones(shape), "i2": _ones(updates)}, {"i1": _ints(index).reshape(1, depth)}, {}, 1


def _batch_norm(draw: st.DrawFn) -> Made:
    shape = (*draw(ranked), 2, 2)
    sizes = [(draw(st.sampled_from((shape[1], shape[1], shape[1], 3))),) for _ in range(4)]
    return {"i0": _ones(shape)} | {f"i{n + 1}": _ones(size) for n, size in enumerate(sizes)}, {}, {}, 1


MAKERS: dict[str, Callable[[st.DrawFn], Made]] = {
    "Add": _broadcast,
    "BatchNormalization": _batch_norm,
    "Concat": _concat,
    "Conv": _conv,
    "Expand": _expand,
    "Gather": _gather,
    "MatMul": _matmul,
    "Max": _broadcast,
    "Pad": _pad,
    "Reshape": _reshape,
    "ScatterND": _scatter_nd,
    "Split": _split,
    "Squeeze": _squeeze,
    "TopK": _topk,
}


def _model(node: Node) -> onnx.ModelProto:
    op, feeds, constants, attributes, outputs = node
    names = sorted({*feeds, *constants})
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [f"{name}_{axis}" for axis in range(value.ndim)])
        for name, value in feeds.items()
    ]
    results = [onnx.ValueInfoProto(name=f"o{number}") for number in range(outputs)]
    step = helper.make_node(op, names, [result.name for result in results], **attributes)
    stored = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph([step], "one", inputs, results, stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)


def _at(model: onnx.ModelProto, feeds: Feeds) -> PointShapes:
    return shapes_at(from_proto(model, Path("one.onnx")), {name: value.shape for name, value in feeds.items()})


@settings(max_examples=400, deadline=None)
@given(node=nodes())
def test_one_node_agrees_with_onnx_runtime(node: Node) -> None:
    """We say that a node cannot work exactly when ONNX Runtime cannot run it, and agree on its output sizes."""
    model = _model(node)
    point = _at(model, node[1])
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options)
        results = session.run(None, node[1])
    except Exception as error:  # ONNX Runtime's errors have no common class
        assert point.failures, f"{node[0]} was thought to work: {error}"
        return
    assert point.failures == ()
    found = [point.types[output.name].sizes for output in model.graph.output]
    assert found == [result.shape for result in results]


@given(
    shape=st.lists(st.integers(0, 6), max_size=4).map(tuple),
    target=st.lists(st.integers(-1, 8), max_size=4),
)
def test_reshape_target_agrees_with_numpy(shape: tuple[int, ...], target: list[int]) -> None:
    """With `allowzero`, Reshape is numpy's, but for 0 beside -1, which ONNX forbids and numpy cannot resolve either."""
    try:
        wanted: tuple[int, ...] | None = np.empty(shape).reshape(target).shape
    except ValueError:
        wanted = None
    try:
        found: tuple[int, ...] | None = tuple(reshape_target(shape, target, allowzero=True))
    except ValueError:
        found = None
    assert found == wanted


@st.composite
def chains(draw: st.DrawFn) -> tuple[onnx.ModelProto, Feeds, Feeds]:
    """A model of operators that fit by construction, its input, and every tensor's value as numpy computes it."""
    shape = tuple(draw(st.lists(st.integers(1, 6), min_size=1, max_size=4)))
    values: Feeds = {"x": np.ones(shape, np.float32)}
    steps: list[onnx.NodeProto] = []
    constants: Feeds = {}
    current = "x"

    def add(op: str, inputs: list[str], result: np.ndarray[Any, Any], **attributes: Any) -> str:
        name = f"t{len(values)}"
        steps.append(helper.make_node(op, inputs, [name], **attributes))
        values[name] = np.asarray(result)
        return name

    def constant(value: list[int]) -> str:
        name = f"c{len(constants)}"
        constants[name] = np.array(value, np.int64)
        return name

    for kind in draw(st.lists(st.sampled_from(("flatten", "swap", "double", "pool", "unsqueeze", "part")), max_size=8)):
        data = values[current]
        rank = data.ndim
        if kind == "flatten" and rank > 1:
            axis = draw(st.integers(0, rank - 1))
            dims = add("Shape", [current], np.array(data.shape, np.int64))
            kept = add("Gather", [dims, constant([axis])], values[dims][[axis]])
            target = add("Concat", [kept, constant([-1])], np.array([data.shape[axis], -1]), axis=0)
            current = add("Reshape", [current, target], data.reshape(data.shape[axis], -1))
        elif kind == "swap":
            order = draw(st.permutations(range(rank)))
            current = add("Transpose", [current], data.transpose(order), perm=list(order))
        elif kind == "double" and data.size < 4096:
            axis = draw(st.integers(0, rank - 1))
            current = add("Concat", [current, current], np.concatenate([data, data], axis), axis=axis)
        elif kind == "pool":
            current = add("ReduceMax", [current, constant([0])], data.max(axis=0, keepdims=True), keepdims=1)
        elif kind == "unsqueeze" and rank < 5:
            current = add("Unsqueeze", [current, constant([rank])], data[..., None])
        elif kind == "part" and rank:
            dims = add("Shape", [current], np.array(data.shape, np.int64))
            first = add("Slice", [dims, constant([0]), constant([1])], values[dims][:1])
            half = add(
                "Div", [add("Add", [first, constant([1])], values[first] + 1), constant([2])], (values[first] + 1) // 2
            )
            start = constant([0])
            current = add("Slice", [current, start, half, start], data[: int(values[half][0])])
    if current == "x":
        current = add("Relu", ["x"], values["x"])
    graph = helper.make_graph(
        steps,
        "chain",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [f"d{axis}" for axis in range(len(shape))])],
        [onnx.ValueInfoProto(name=current)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    return model, {"x": values["x"]}, values


@settings(max_examples=150, deadline=None)
@given(chain=chains())
def test_consistent_models_have_no_failures_and_the_right_sizes(chain: tuple[onnx.ModelProto, Feeds, Feeds]) -> None:
    model, feeds, values = chain
    assume(all(value.size for value in values.values()))
    point = _at(model, feeds)
    assert point.failures == ()
    assert {name: point.types[name].sizes for name in values} == {name: value.shape for name, value in values.items()}
    for name, followed in point.values.items():
        if name in values:
            assert np.array_equal(followed, values[name]), name
