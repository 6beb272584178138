"""One ONNX Runtime session per kind of node: every node that cannot be loaded, where loading the model names one.

Nothing is run. Nodes that differ in names only share a session, so a model costs as many as it has kinds of node.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import onnx
import onnxruntime as ort

from friction_tui.model.graph import GraphIndex, Node


def options() -> ort.SessionOptions:
    """Options of a session that is only loaded: nothing is folded, fused, repacked or said."""
    chosen = ort.SessionOptions()
    chosen.log_severity_level = 4
    chosen.intra_op_num_threads = chosen.inter_op_num_threads = 1
    chosen.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    chosen.add_session_config_entry("session.disable_prepacking", "1")
    return chosen


def lint(model: str) -> Iterator[tuple[str, str]]:
    """Path and reason of each node of the main graph that cannot be loaded alone, but for readers of unknown types."""
    proto = onnx.load(Path(model), load_external_data=False)
    known = _values(proto)
    index = GraphIndex(proto)
    said: dict[bytes, str] = {}
    for node in index.main:
        reads = list(dict.fromkeys(index.reads(node)))
        if any(name not in known and name not in index.initializers for name in reads):
            continue
        alone = _alone(index, node, reads, known)
        key = alone.SerializeToString()
        if key not in said:
            alone.graph.node[0].name = node.proto.name
            said[key] = _error(alone)
        if said[key]:
            yield (node.path, _in_its_names(said[key], node, reads))


def _values(proto: onnx.ModelProto) -> dict[str, onnx.ValueInfoProto]:
    """Every tensor of the main graph whose type is known."""
    try:
        inferred = onnx.shape_inference.infer_shapes(proto)
    except (onnx.shape_inference.InferenceError, onnx.checker.ValidationError, RuntimeError, ValueError):
        inferred = proto  # what the file declares is all there is
    graph = inferred.graph
    return {
        value.name: value
        for value in (*graph.input, *graph.value_info, *graph.output)
        if value.type.WhichOneof("value") not in (None, "tensor_type") or value.type.tensor_type.elem_type
    }


def _alone(index: GraphIndex, node: Node, reads: list[str], known: dict[str, onnx.ValueInfoProto]) -> onnx.ModelProto:
    """A model of nothing but this node. Its tensors are numbered, unless a body of it refers to them by name."""
    bodies = bool(index.bodies_of(node.path))
    names = {name: name if bodies else f"i{number}" for number, name in enumerate(reads)}
    source = index.proto
    model = onnx.ModelProto(ir_version=max(source.ir_version, 4))
    model.opset_import.extend(source.opset_import)
    model.functions.extend(source.functions)
    graph = model.graph
    graph.name = "one node"
    proto = graph.node.add()
    proto.CopyFrom(node.proto)
    proto.ClearField("name")
    proto.ClearField("doc_string")
    del proto.metadata_props[:], proto.input[:], proto.output[:]
    proto.input.extend(names.get(name, name) for name in node.proto.input)
    proto.output.extend(f"o{number}" if name else "" for number, name in enumerate(node.proto.output))
    graph.output.extend(onnx.ValueInfoProto(name=name) for name in proto.output if name)
    for name in reads:
        tensor = index.initializers.get(name)
        if tensor is not None and tensor.data_location != onnx.TensorProto.EXTERNAL:
            graph.initializer.add().CopyFrom(tensor)
            graph.initializer[-1].name = names[name]
        elif tensor is not None:
            dims = list(tensor.dims)
            graph.input.append(onnx.helper.make_tensor_value_info(names[name], tensor.data_type, dims))
        else:
            graph.input.append(onnx.ValueInfoProto(name=names[name], type=known[name].type))
    return model


def _in_its_names(text: str, node: Node, reads: list[str]) -> str:
    """What was said of a numbered node (`Deserialize tensor i1 failed`), with its own tensors' names."""
    names = {f"i{number}": name for number, name in enumerate(reads)}
    names |= {f"o{number}": name for number, name in enumerate(node.proto.output) if name}
    return re.sub(r"\b[io]\d+\b", lambda found: names.get(found[0], found[0]), text)


def _error(model: onnx.ModelProto) -> str:
    try:
        ort.InferenceSession(model.SerializeToString(), options(), providers=["CPUExecutionProvider"])
    except Exception as error:
        # The bindings raise a class of their own for each of ONNX Runtime's status codes.
        return str(error)
    return ""
