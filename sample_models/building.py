"""A few lines of grammar for writing small ONNX graphs: seeded weights, named nodes, dynamic inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


class Graph:
    """Collects nodes and initializers; every method that adds a node returns its (first) output's name."""

    def __init__(self, name: str, *, opset: int = 17, seed: int = 7) -> None:
        self.name, self.opset = name, opset
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.outputs: list[onnx.ValueInfoProto] = []
        self._random = np.random.default_rng(seed)

    def input(self, name: str, dims: Sequence[int | str], dtype: int = TensorProto.FLOAT) -> str:
        self.inputs.append(helper.make_tensor_value_info(name, dtype, list(dims)))
        return name

    def output(self, name: str, dims: Sequence[int | str | None] | None, dtype: int = TensorProto.FLOAT) -> None:
        self.outputs.append(helper.make_tensor_value_info(name, dtype, list(dims) if dims is not None else None))

    def constant(self, name: str, value: Any, dtype: Any = None) -> str:
        self.weights.append(numpy_helper.from_array(np.array(value, dtype), name))
        return name

    def weight(self, name: str, *shape: int, scale: float | None = None) -> str:
        """Random float32 weights with the variance of a fresh layer."""
        spread = scale if scale is not None else (2 / max(int(np.prod(shape[1:])), 1)) ** 0.5
        values = self._random.standard_normal(shape, np.float32) * np.float32(spread)
        return self.constant(name, values)

    def node(self, op: str, name: str, inputs: Sequence[str], *, outputs: Sequence[str] = (), **attributes: Any) -> str:
        names = list(outputs) or [f"{name}_out"]
        self.nodes.append(helper.make_node(op, list(inputs), names, name=name, **attributes))
        return names[0]

    def conv(
        self, name: str, x: str, c_in: int, c_out: int, *, kernel: int = 3, stride: int = 1, relu: bool = True
    ) -> str:
        weight = self.weight(f"{name}.weight", c_out, c_in, kernel, kernel)
        bias = self.constant(f"{name}.bias", np.zeros(c_out, np.float32))
        pad = kernel // 2
        y = self.node(
            "Conv", f"{name}/Conv", [x, weight, bias], kernel_shape=[kernel] * 2, strides=[stride] * 2, pads=[pad] * 4
        )
        return self.node("Relu", f"{name}/Relu", [y]) if relu else y

    def linear(self, name: str, x: str, c_in: int, c_out: int) -> str:
        weight = self.weight(f"{name}.weight", c_in, c_out)
        bias = self.constant(f"{name}.bias", np.zeros(c_out, np.float32))
        return self.node("Add", f"{name}/Add", [self.node("MatMul", f"{name}/MatMul", [x, weight]), bias])

    def model(self) -> onnx.ModelProto:
        graph = helper.make_graph(self.nodes, self.name, self.inputs, self.outputs, self.weights)
        opset = [helper.make_opsetid("", self.opset)]
        return helper.make_model(graph, opset_imports=opset, ir_version=8, producer_name="friction-tui samples")
