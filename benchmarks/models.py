"""Models made for measuring: a long chain with refused operators in it, and a billion parameters nobody reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

WIDTH = 64


def chain(nodes: int, bad_every: int = 0) -> onnx.ModelProto:
    """MatMul, Add, Relu over and over; every `bad_every`-th step a Det that TensorRT refuses, on a side branch."""
    weights = [
        numpy_helper.from_array(np.eye(WIDTH, dtype=np.float32), "w"),
        numpy_helper.from_array(np.zeros(WIDTH, np.float32), "b"),
    ]
    steps, outputs, current = [], [], "x"
    for i in range(nodes):
        scope = f"/layers.{i // 12}"
        if bad_every and i % bad_every == bad_every - 1:
            steps.append(helper.make_node("Det", ["square"], [f"det{i}"], name=f"{scope}/Det_{i}"))
            outputs.append(helper.make_tensor_value_info(f"det{i}", TensorProto.FLOAT, None))
            continue
        op = ("MatMul", "Add", "Relu")[i % 3]
        inputs = [current] if op == "Relu" else [current, "w" if op == "MatMul" else "b"]
        steps.append(helper.make_node(op, inputs, [f"t{i}"], name=f"{scope}/{op}_{i}"))
        current = f"t{i}"
    ports = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", WIDTH])]
    if bad_every:
        ports.append(helper.make_tensor_value_info("square", TensorProto.FLOAT, [4, 4]))
    outputs.append(helper.make_tensor_value_info(current, TensorProto.FLOAT, ["N", WIDTH]))
    graph = helper.make_graph(steps, "chain", ports, outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def billion(folder: Path, layers: int = 20, width: int = 7168) -> Path:
    """`layers` linear layers of `width`², 1.03 billion parameters with the defaults, in a sparse file."""
    step = width * width * 4
    weights, nodes, current = [], [], "x"
    for i in range(layers):
        tensor = TensorProto(name=f"layers.{i}.weight", data_type=TensorProto.FLOAT, dims=[width, width])
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", "billion.data"), ("offset", str(i * step)), ("length", str(step))):
            tensor.external_data.add(key=key, value=value)
        weights.append(tensor)
        nodes.append(helper.make_node("MatMul", [current, tensor.name], [f"h{i}"], name=f"/layers.{i}/MatMul"))
        current = f"h{i}"
    graph = helper.make_graph(
        nodes,
        "billion",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", width])],
        [helper.make_tensor_value_info(current, TensorProto.FLOAT, ["N", width])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    path = folder / "billion.onnx"
    path.write_bytes(model.SerializeToString())
    with (folder / "billion.data").open("wb") as data:
        data.truncate(layers * step)
    return path
