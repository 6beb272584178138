"""One ONNX Runtime session per kind of node, run one after the other: finds every node that fails, not the first.

polygraphy's lint re-exports the graph for each node and needs minutes; here equal nodes share a session.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime as ort
from onnx import helper, numpy_helper

from friction_tui.engines.onnxruntime_job import NodeError
from friction_tui.model.graph import Node
from friction_tui.model.opened import OpenedModel, open_model

Array = npt.NDArray[np.generic]


def lint(model: str, sizes: Mapping[str, Sequence[int]], values: Mapping[str, Sequence[int]]) -> list[NodeError]:
    """The nodes of the main graph that cannot be loaded, or fail to run, at the given input sizes."""
    opened = open_model(Path(model))
    return _Lint(opened, sizes, values).run()


class _Lint:
    def __init__(
        self, model: OpenedModel, sizes: Mapping[str, Sequence[int]], values: Mapping[str, Sequence[int]]
    ) -> None:
        self._model, self._sizes, self._values = model, sizes, values
        self._known: dict[str, Array] = {}
        self._invented: set[str] = set()
        self._sessions: dict[object, ort.InferenceSession | str] = {}
        self._options = ort.SessionOptions()
        self._options.log_severity_level = 4
        self._options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL

    def run(self) -> list[NodeError]:
        index = self._model.index
        self._invent_inputs()
        readers = Counter(name for node in index.main for name in index.reads(node))
        failed = []
        for path in index.order:
            node = index.by_path[path]
            names = index.reads(node)
            arrays = {name: self._array(name) for name in names}
            if all(array is not None for array in arrays.values()):
                error = self._try(node, {name: array for name, array in arrays.items() if array is not None})
                if error:
                    failed.append(error)
            for name in names:
                readers[name] -= 1
                if not readers[name]:
                    self._known.pop(name, None)
        return failed

    def _invent_inputs(self) -> None:
        rng = np.random.default_rng(0)
        for value in self._model.index.inputs:
            if value.name not in self._sizes:
                continue
            kind = helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
            dims = tuple(self._sizes[value.name])
            if value.name in self._values:
                self._known[value.name] = np.array(self._values[value.name], kind).reshape(dims)
            elif kind.kind == "f":
                self._known[value.name] = rng.random(dims, np.float32).astype(kind)
            elif kind.kind in "iub":
                self._known[value.name] = np.zeros(dims, kind)
                self._invented.add(value.name)

    def _array(self, name: str) -> Array | None:
        if name in self._known:
            return self._known[name]
        tensor = self._model.index.initializers.get(name)
        if tensor is None:
            return None
        try:
            array: Array = numpy_helper.to_array(tensor, str(self._model.path.parent))
        except (OSError, ValueError, TypeError, KeyError, onnx.checker.ValidationError):
            return None  # missing data or a type numpy lacks: other checks name it
        return array

    def _try(self, node: Node, inputs: dict[str, Array]) -> NodeError | None:
        session = self._session(node, inputs)
        if isinstance(session, str):
            return NodeError(node.path, node.name, node.proto.op_type, session, "load")
        feeds = {port.name: array for port, array in zip(session.get_inputs(), inputs.values(), strict=True)}
        doubtful = any(name in self._invented for name in inputs)
        try:
            outputs = session.run(None, feeds)
        except Exception as error:
            # Zeros in the place of real indices or sizes can fail where real ones would not.
            return None if doubtful else NodeError(node.path, node.name, node.proto.op_type, str(error), "run")
        for name, array in zip(filter(None, node.proto.output), outputs, strict=True):
            if isinstance(array, np.ndarray):  # not a sequence or map
                self._known[name] = array
                if doubtful and array.dtype.kind in "iub":
                    self._invented.add(name)
        return None

    def _session(self, node: Node, inputs: dict[str, Array]) -> ort.InferenceSession | str:
        """A session for one node; nodes that differ in names only share it. The error's text if there is none."""
        bodies = len(self._model.index.reads(node)) != len([name for name in node.proto.input if name])
        proto = onnx.NodeProto(op_type=node.proto.op_type, domain=node.proto.domain, overload=node.proto.overload)
        proto.attribute.extend(node.proto.attribute)
        rename = {} if bodies else {name: f"i{number}" for number, name in enumerate(inputs)}
        proto.input.extend(rename.get(name, name) for name in node.proto.input)
        proto.output.extend(f"o{number}" if name else "" for number, name in enumerate(node.proto.output))
        kinds = tuple((array.dtype.str, array.shape) for array in inputs.values())
        key = (proto.SerializeToString(), kinds)
        if key not in self._sessions:
            self._sessions[key] = self._load(proto, {rename.get(n, n): array for n, array in inputs.items()})
        return self._sessions[key]

    def _load(self, proto: onnx.NodeProto, inputs: dict[str, Array]) -> ort.InferenceSession | str:
        source = self._model.proto
        values = [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
            for name, array in inputs.items()
        ]
        outputs = [onnx.ValueInfoProto(name=name) for name in proto.output if name]
        graph = helper.make_graph([proto], "one node", values, outputs)
        model = helper.make_model(graph, opset_imports=source.opset_import, functions=source.functions)
        model.ir_version = max(source.ir_version, 4)
        try:
            return ort.InferenceSession(model.SerializeToString(), self._options, providers=["CPUExecutionProvider"])
        except Exception as error:
            # The bindings raise a class of their own for each of ONNX Runtime's status codes.
            return str(error)
