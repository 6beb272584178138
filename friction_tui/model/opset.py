"""Converting a model to another opset, or saying exactly which operator stands in the way.

onnx's C++ converter was right on everything it accepts. It drops metadata and functions, wants the whole model in
memory, and below opset 18 leaves an attribute behind that did not exist yet: all of that is mended here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import onnx

from friction_tui.model import onnx_native
from friction_tui.model.file.external import tensor_bytes
from friction_tui.model.graph import GraphIndex, Node, body_attributes
from friction_tui.model.light_copy import light_copy
from friction_tui.model.onnx_native import NativeRefused, NotAnswered
from friction_tui.model.versions import least_ir, newest_opset, operator_versions

_SMALL = 4096
"""Bytes up to which an initializer goes through the converter, whose adapters read axes and scales."""
_NUMPY_BROADCASTING = 7
"""The opset from which on Add and its kind broadcast as NumPy does."""
_FIRST_NUMBER = 100003
_RESIZE_WITH_MODES = 11
"""The opset in which Resize got modes of coordinates and of rounding."""
_GRID_SAMPLE_IN_3D = 20
"""The opset in which GridSample took volumes too, and got other names for its modes."""
_OLDER_MODES = {b"linear": b"bilinear", b"cubic": b"bicubic", b"nearest": b"nearest"}
"""Modes of GridSample-20 as GridSample-16 spells them (onnx/defs/tensor/old.cc)."""
_UNCONVERTED = "friction_tui.unconverted"
"""A domain of nodes that the converter leaves as they are: it has no adapter for them and needs none."""
_NO_ADAPTER = re.compile(r"No Adapter (?P<way>From|To) Version \$?(?P<version>\d+) for (?P<op>\w+)")
_NO_PREVIOUS = re.compile(r"No Previous Version of (?P<op>\w+) exists")
_ASSERTION = re.compile(r"^.*Assertion `.*?` failed:\s*", re.DOTALL)


class OpsetRefused(Exception):
    """Why a model cannot be converted.

    `node_path`, `node_name` and `op` name the first node in the way, "" when the converter does not say;
    `adapter` is the step that is missing, such as `Relu 14 → 13`; `message` is for the person at the terminal.
    """

    def __init__(self, node_path: str, node_name: str, op: str, message: str, adapter: str = "") -> None:
        super().__init__(message)
        self.node_path = node_path
        self.node_name = node_name
        self.op = op
        self.message = message
        self.adapter = adapter


def opset_of(proto: onnx.ModelProto) -> int:
    """The opset of the default domain the model imports; 0 when it imports none."""
    return next((entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx")), 0)


def convert(model_proto: onnx.ModelProto, target: int) -> onnx.ModelProto:
    """The model at opset `target`, its weights and metadata as they were. The given proto stays as it is.

    Local functions are inlined. Raises `OpsetRefused`.
    """
    source = opset_of(model_proto)
    if not 1 <= target <= newest_opset():
        raise OpsetRefused("", "", "", f"There is no opset {target}: the newest is {newest_opset()}.")
    if source == target:
        unchanged = onnx.ModelProto()
        unchanged.CopyFrom(model_proto)
        return unchanged
    light, weights = _without_weights(model_proto)
    valid = _checker_message(light) == ""
    if source < _NUMPY_BROADCASTING <= target:
        _number_symbols(light.graph)
    try:
        if light.functions:
            light = onnx_native.inline_local_functions(light)
        if target < _GRID_SAMPLE_IN_3D <= source:
            _set_grid_samples_aside(light)
        converted = onnx_native.convert_version(light, target)
        _put_back(converted)
    except NativeRefused as error:
        raise _decode(light, str(error), source, target) from error
    except NotAnswered as error:
        raise OpsetRefused("", "", "", f"Opset {source} → {target}: onnx's converter {error}.") from error
    if opset_of(converted) != target:
        raise OpsetRefused("", "", "", f"The converter left the model at opset {opset_of(converted)}.")
    if source < _NUMPY_BROADCASTING <= target:
        del converted.graph.value_info[:]
        del converted.graph.output[:]
        converted.graph.output.extend(model_proto.graph.output)
    if target < 18:
        _drop_noop_attribute(converted.graph)
    if source < _RESIZE_WITH_MODES <= target:
        _keep_coordinates(converted.graph)
    converted.ir_version = max(model_proto.ir_version, least_ir(target))
    complaint = _checker_message(converted) if valid else ""
    if complaint:
        raise OpsetRefused("", "", "", f"The model converted to opset {target} is not valid ONNX: {complaint}")
    _restore(converted, model_proto, weights)
    return converted


def _without_weights(proto: onnx.ModelProto) -> tuple[onnx.ModelProto, dict[str, onnx.TensorProto]]:
    """A copy in which every large initializer is an input of its type, and those initializers by name."""
    weights = {
        tensor.name: tensor
        for tensor in proto.graph.initializer
        if tensor.data_location == onnx.TensorProto.EXTERNAL or tensor_bytes(tensor) > _SMALL
    }
    light = light_copy(proto, lambda tensor: onnx.TensorProto() if tensor.name in weights else tensor)
    small = [tensor for tensor in light.graph.initializer if tensor.name]
    del light.graph.initializer[:]
    light.graph.initializer.extend(small)
    inputs = {value.name for value in proto.graph.input}
    for name, tensor in weights.items():
        if name not in inputs:
            light.graph.input.append(onnx.helper.make_tensor_value_info(name, tensor.data_type, list(tensor.dims)))
    light.ir_version = max(light.ir_version, 4)  # from 4 on, initializers need not be inputs
    return light, weights


def _restore(converted: onnx.ModelProto, original: onnx.ModelProto, weights: dict[str, onnx.TensorProto]) -> None:
    """Put weights, inputs and every kind of metadata back."""
    graph = converted.graph
    del graph.input[:]
    graph.input.extend(original.graph.input)
    graph.initializer.extend(weights.values())
    graph.doc_string = original.graph.doc_string
    for field in ("quantization_annotation", "metadata_props"):
        del getattr(graph, field)[:]
        getattr(graph, field).extend(getattr(original.graph, field))
    del converted.metadata_props[:]
    converted.metadata_props.extend(original.metadata_props)
    converted.producer_name, converted.producer_version = original.producer_name, original.producer_version
    converted.domain, converted.model_version = original.domain, original.model_version
    converted.doc_string = original.doc_string
    recorded = {node.output[0]: node for node in _all_nodes(original.graph) if node.output}
    for node in _all_nodes(graph):
        before = recorded.get(node.output[0]) if node.output else None
        if before is not None:
            if not node.metadata_props:
                node.metadata_props.extend(before.metadata_props)
            node.name = node.name or before.name
            node.doc_string = node.doc_string or before.doc_string


def _all_nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    pending = [graph]
    while pending:
        for node in pending.pop().node:
            yield node
            pending.extend(body for _, body in body_attributes(node))


def _number_symbols(graph: onnx.GraphProto) -> None:
    """Sizes in place of symbols: the step to opset 7 compares shapes to place an axis, and stops at a symbol.

    Large sizes, each symbol its own, so that none meets a size of the model by accident.
    """
    numbers: dict[str, int] = {}
    for value in (*graph.input, *graph.output, *graph.value_info):
        for dim in value.type.tensor_type.shape.dim:
            if not dim.HasField("dim_value"):
                symbol = dim.dim_param or f"?{len(numbers)}"
                dim.dim_value = numbers.setdefault(symbol, _FIRST_NUMBER + len(numbers))


def _set_grid_samples_aside(light: onnx.ModelProto) -> None:
    """Give GridSample of images its older modes and hide it from the converter; one of volumes did not exist."""
    nodes = [
        node for node in _all_nodes(light.graph) if node.op_type == "GridSample" and node.domain in ("", "ai.onnx")
    ]
    if not nodes:
        return
    known = onnx_native.infer_shapes(light)
    values = (*known.graph.input, *known.graph.value_info, *known.graph.output)
    ranks = {
        value.name: len(value.type.tensor_type.shape.dim) for value in values if value.type.HasField("tensor_type")
    }
    ranks |= {tensor.name: len(tensor.dims) for tensor in light.graph.initializer}
    for node in nodes:
        mode = next((attribute.s for attribute in node.attribute if attribute.name == "mode"), b"linear")
        if mode not in _OLDER_MODES or 4 not in (ranks.get(name) for name in node.input):
            continue
        kept = [attribute for attribute in node.attribute if attribute.name != "mode"]
        del node.attribute[:]
        node.attribute.extend((*kept, onnx.helper.make_attribute("mode", _OLDER_MODES[mode])))
        node.domain = _UNCONVERTED
    light.opset_import.append(onnx.helper.make_opsetid(_UNCONVERTED, 1))


def _put_back(converted: onnx.ModelProto) -> None:
    """The nodes that were set aside in their own domain again."""
    for node in _all_nodes(converted.graph):
        if node.domain == _UNCONVERTED:
            node.domain = ""
    kept = [entry for entry in converted.opset_import if entry.domain != _UNCONVERTED]
    del converted.opset_import[:]
    converted.opset_import.extend(kept)


def _drop_noop_attribute(graph: onnx.GraphProto) -> None:
    """Remove `noop_with_empty_axes`, which only ReduceSum had before opset 18 and the converter leaves on the rest."""
    for node in _all_nodes(graph):
        if node.op_type.startswith("Reduce") and node.op_type != "ReduceSum":
            kept = [attribute for attribute in node.attribute if attribute.name != "noop_with_empty_axes"]
            del node.attribute[:]
            node.attribute.extend(kept)


def _keep_coordinates(graph: onnx.GraphProto) -> None:
    """Say which coordinates Resize and Upsample had before opset 11: the converter leaves its new defaults, others.

    Until then output x was input x / scale, rounded down (onnx/defs/tensor/old.cc, Upsample-9 and Resize-10).
    """
    for node in _all_nodes(graph):
        if node.op_type != "Resize":
            continue
        given = {attribute.name: attribute for attribute in node.attribute}
        if "coordinate_transformation_mode" not in given:
            node.attribute.append(onnx.helper.make_attribute("coordinate_transformation_mode", "asymmetric"))
        nearest = "mode" not in given or given["mode"].s == b"nearest"
        if nearest and "nearest_mode" not in given:
            node.attribute.append(onnx.helper.make_attribute("nearest_mode", "floor"))


def _checker_message(light: onnx.ModelProto) -> str:
    try:
        onnx_native.check_model(light)
    except NativeRefused as error:
        return next(iter(str(error).strip().splitlines()), error.name)
    except NotAnswered as error:
        return f"onnx's checker {error}"
    return ""


def _decode(light: onnx.ModelProto, text: str, source: int, target: int) -> OpsetRefused:
    """The converter's assertion as a refusal that names the node and the missing step."""
    index = GraphIndex(light)
    missing = _NO_ADAPTER.search(text)
    if missing:
        op, version = missing["op"], int(missing["version"])
        step = version - 1 if target < source else version + 1
        words = f"onnx has no adapter that takes {op} from opset {version} to {step}"
        return _refused(index, op, words, f"{op} {version} → {step}", source, target)
    newer = _NO_PREVIOUS.search(text)
    if newer:
        op = newer["op"]
        since = min(operator_versions(op), default=0)
        words = f"{op} exists only since opset {since}"
        return _refused(index, op, words, f"{op} {since} → {since - 1}", source, target)
    return OpsetRefused("", "", "", f"Opset {source} → {target}: {_ASSERTION.sub('', text).strip()}")


def _refused(index: GraphIndex, op: str, words: str, adapter: str, source: int, target: int) -> OpsetRefused:
    nodes: list[Node] = [node for node in index.nodes if node.proto.op_type == op]
    where = f" (node {nodes[0].name}{f' and {len(nodes) - 1} more' if len(nodes) > 1 else ''})" if nodes else ""
    path, name = (nodes[0].path, nodes[0].name) if nodes else ("", "")
    return OpsetRefused(path, name, op, f"Opset {source} → {target}: {words}{where}.", adapter)
