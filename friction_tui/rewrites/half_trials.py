"""What half precision does to a model's results: imitations of it run in ONNX Runtime beside the float32 model.

An imitation computes in float32 and rounds what would be in half after every node, so it shows overflow, underflow and
rounding of stored tensors. What a GPU kernel does inside of one node (the type it accumulates in) it does not show.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from friction_tui.model.graph import Node
from friction_tui.model.light_copy import light_copy
from friction_tui.model.opened import OpenedModel, from_proto
from friction_tui.rewrites.editing import replace_tensor
from friction_tui.rewrites.half import FLOAT16_LARGEST, Lowered, lowerable, rewritten, round_trip

Arrays = Mapping[str, np.ndarray]
OLDEST_OPSET = 11
"""Below it Equal and Where do not take floats, with which errors are measured inside the graph."""
_SMALL = 4096
"""Bytes up to which a weight stays in the imitation: shapes, axes and scales have to be constants."""
_OWN, _PASSED = "own:", "passed:"
_ZERO, _FLAT = "compare/zero", "compare/flat"


class CannotTry(Exception):
    """The model cannot be run here; the text says why."""


class Trials:
    """One model, one half type, one set of inputs. `runs` counts the imitations that were run.

    `model` holds its weights. Raises CannotTry when ONNX Runtime does not run the float32 model on `feeds`, or when
    it gives no finite results there.
    """

    def __init__(self, model: OpenedModel, half: int, feeds: Sequence[Arrays]) -> None:
        import onnxruntime as ort

        self._ort = ort
        self.source = f"ONNX Runtime {ort.__version__} CPU"
        self.half, self._feeds, self.runs = half, feeds, 0
        self.plan = lowerable(model)
        self._light, self._weights = _without_weights(model, half)
        self.nodes: dict[str, Node] = {path: model.index.by_path[path] for path in self.plan}
        session = self._session(self._light.proto)
        self._expected = [self._run(session, arrays) for arrays in feeds]
        for outputs in self._expected:
            floats = [one for one in outputs if one.dtype.kind == "f" and one.size]
            if floats and not any(np.isfinite(one).any() for one in floats):
                raise CannotTry("the float32 model itself gives nothing but NaN or Inf on these inputs")
        if feeds and any(map(apart, self._expected[0], self._run(session, feeds[0]))):
            raise CannotTry("the float32 model gives other results each time it runs, as dropout in training mode does")

    def error(self, kept: Collection[str], enough: float = math.inf, *, quick: bool = False) -> float:
        """Largest error of any output when the nodes at the paths `kept` stay float32.

        Relative to the largest magnitude of that output; infinite where a number became NaN or Inf. The inputs that
        are left are not run any more once it is above `enough`; `quick` runs the first ones only.
        """
        self.runs += 1
        session = self._session(rewritten(self._light, self._without(kept), self.half, imitate=True))
        worst = 0.0
        feeds = self._feeds[:1] if quick else self._feeds
        for arrays, expected in zip(feeds, self._expected, strict=False):
            worst = max([worst, *map(apart, expected, self._run(session, arrays))])
            if worst >= enough:
                break
        return worst

    def errors(self, kept: Collection[str]) -> tuple[dict[str, float], dict[str, float]]:
        """Errors at the output of each node, by path: what it does by itself, and with all before it in half too.

        The first is measured on float32 inputs, rounded; nodes in `kept` count in the second only. On the first of the
        inputs.
        """
        self.runs += 1
        session = self._session(self._side_by_side(kept))
        names = [output.name for output in session.get_outputs()]
        own: dict[str, float] = {}
        passed: dict[str, float] = {}
        for arrays in self._feeds[:1]:
            found = dict(zip(names, self._run(session, arrays), strict=True))
            for name in names:
                if not name.endswith("/apart"):
                    continue
                which, _, path = name.removesuffix("/apart").partition(":")
                into = own if which == _OWN[:-1] else passed
                stem = name.removesuffix("/apart")
                far, scale, finite = (float(found[f"{stem}/{part}"]) for part in ("apart", "scale", "finite"))
                error = math.inf if math.isnan(finite) or math.isnan(far) else far / max(scale, 1e-30) if far else 0.0
                into[path] = max(into.get(path, 0.0), error)
        return own, passed

    def _without(self, kept: Collection[str]) -> dict[str, Lowered]:
        return {path: lowered for path, lowered in self.plan.items() if path not in kept}

    def _session(self, proto: onnx.ModelProto) -> Any:
        options = self._ort.SessionOptions()
        options.log_severity_level = 4
        options.graph_optimization_level = self._ort.GraphOptimizationLevel.ORT_DISABLE_ALL
        try:
            return self._ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise CannotTry(f"{self.source} does not load it: {str(error).splitlines()[0][:300]}") from error

    def _run(self, session: Any, arrays: Arrays) -> list[np.ndarray]:
        wanted = [port.name for port in session.get_inputs()]
        feeds = {name: arrays[name] if name in arrays else self._weights[name] for name in wanted}
        try:
            return [np.asarray(one) for one in session.run(None, feeds)]
        except Exception as error:
            raise CannotTry(f"{self.source} does not run it: {str(error).splitlines()[0][:300]}") from error

    # ------------------------------------------------------------------------------------ errors of each node

    def _side_by_side(self, kept: Collection[str]) -> onnx.ModelProto:
        """The float32 model, each node once more by itself, the imitation, and what lies between them as outputs."""
        model = onnx.ModelProto()
        model.CopyFrom(self._light.proto)
        imitation = rewritten(self._light, self._without(kept), self.half, imitate=True)
        made = {name for node in imitation.graph.node for name in node.output}
        graph = model.graph
        del graph.output[:]
        del graph.value_info[:]
        known = {tensor.name for tensor in graph.initializer}
        graph.initializer.extend(t for t in imitation.graph.initializer if t.name not in known)
        graph.initializer.append(numpy_helper.from_array(np.zeros(1, np.float32), _ZERO))
        graph.initializer.append(numpy_helper.from_array(np.array([-1], np.int64), _FLAT))
        graph.node.extend(_prefixed(imitation.graph, made))
        rounded: set[str] = set()
        for path, lowered in self.plan.items():
            node = self.nodes[path]
            output = node.outputs[min(lowered.outputs)] if lowered.outputs else ""
            if output:
                graph.node.extend(self._alone(node, lowered, rounded))
                _compare(graph, output, f"{_OWN}{output}", f"{_OWN}{path}")
                _compare(graph, output, f"{_PASSED}{output}", f"{_PASSED}{path}")
        return model

    def _alone(self, node: Node, lowered: Lowered, rounded: set[str]) -> Iterator[onnx.NodeProto]:
        """A node once more, with its float32 inputs rounded, and its outputs."""
        copied = onnx.NodeProto()
        copied.CopyFrom(node.proto)
        copied.name = f"{_OWN}{copied.name}" if copied.name else ""
        for position in lowered.inputs:
            name = node.inputs[position]
            if name not in rounded:
                rounded.add(name)
                yield from round_trip(name, f"rounded:{name}", self.half)
            copied.input[position] = f"rounded:{name}"
        for position, name in enumerate(node.outputs):
            if position in lowered.outputs:
                copied.output[position] = f"{_OWN}{name}/exact"
                yield from round_trip(f"{_OWN}{name}/exact", f"{_OWN}{name}", self.half)
            elif name:
                copied.output[position] = f"{_OWN}{name}"
        yield copied


def apart(expected: np.ndarray, found: np.ndarray) -> float:
    """How far two results are apart: for floats relative to the largest magnitude, else the share that differs."""
    if expected.shape != found.shape:
        return math.inf
    if not expected.size:
        return 0.0
    if expected.dtype.kind != "f":
        return float(np.mean(expected != found))
    a, b = expected.astype(np.float64), found.astype(np.float64)
    finite = np.isfinite(a)
    with np.errstate(invalid="ignore"):
        same_elsewhere = np.all((a == b) | np.isnan(a) | finite)
        if not same_elsewhere or not np.all(np.isfinite(b[finite])):
            return math.inf
        largest = float(np.max(np.abs(a[finite]), initial=0.0))
        worst = float(np.max(np.abs(a - b)[finite], initial=0.0))
    return worst / max(largest, 1e-30) if worst else 0.0


def _without_weights(model: OpenedModel, half: int) -> tuple[OpenedModel, dict[str, np.ndarray]]:
    """A copy whose large float32 weights are inputs, and these: a hundred imitations share one set of weights."""
    given = {value.name for value in model.proto.graph.input}
    weights = {}
    for tensor in model.proto.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or tensor.name in given or tensor.ByteSize() <= _SMALL:
            continue
        values = numpy_helper.to_array(tensor)
        if half != TensorProto.FLOAT16 or np.max(np.abs(values), initial=0.0) <= FLOAT16_LARGEST:  # else it is clipped
            weights[tensor.name] = values
    light = light_copy(model.proto, lambda tensor: onnx.TensorProto() if tensor.name in weights else tensor)
    kept = [tensor for tensor in light.graph.initializer if tensor.name]
    del light.graph.initializer[:]
    light.graph.initializer.extend(kept)
    for name, values in weights.items():
        light.graph.input.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, values.shape))
    light.ir_version = max(light.ir_version, 4)  # from 4 on, initializers need not be inputs
    return from_proto(light, model.path), weights


def _prefixed(graph: onnx.GraphProto, made: Collection[str]) -> Iterator[onnx.NodeProto]:
    """The nodes with all tensors they make, and all reading of these, under names of their own."""
    for node in graph.node:
        holder = onnx.GraphProto()
        holder.node.append(node)
        copied = holder.node[0]
        copied.name = f"{_PASSED}{copied.name}" if copied.name else ""
        bodies = any(attribute.HasField("g") or attribute.graphs for attribute in copied.attribute)
        if bodies:
            for name in made:
                replace_tensor(holder, name, f"{_PASSED}{name}")
        for names in (copied.input, copied.output):
            for position, name in enumerate(names):
                if name in made:
                    names[position] = f"{_PASSED}{name}"
        yield copied


def _compare(graph: onnx.GraphProto, expected: str, found: str, stem: str) -> None:
    """Nodes that reduce two tensors to the largest difference, the largest magnitude, and 0 or NaN."""

    def add(op: str, inputs: list[str], name: str, **attributes: int) -> str:
        node = helper.make_node(op, inputs, [f"{stem}/{name}"], name=f"{stem}/{name}")
        node.attribute.extend(helper.make_attribute(key, value) for key, value in attributes.items())
        graph.node.append(node)
        return f"{stem}/{name}"

    def flat(name: str, out: str) -> str:
        return add("Concat", [add("Reshape", [name, _FLAT], f"{out}-flat"), _ZERO], out, axis=0)

    same = add("Equal", [expected, found], "same")
    distance = flat(add("Where", [same, _ZERO, add("Sub", [expected, found], "difference")], "distance"), "distances")
    magnitude = flat(add("Abs", [expected], "magnitude"), "magnitudes")
    outputs = [
        add("ReduceMax", [add("Abs", [distance], "absolute")], "apart", keepdims=0),
        add("ReduceMax", [magnitude], "scale", keepdims=0),
        add("ReduceSum", [add("Mul", [distance, _ZERO], "zero-or-nan")], "finite", keepdims=0),
    ]
    graph.output.extend(helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs)
