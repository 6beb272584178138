"""What can be worked out before the engine is built, or is not needed at all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from friction_tui.model.opened import OpenedModel
from friction_tui.rewrites.base import CannotRewrite, Rewriter
from friction_tui.rewrites.editing import copy_of

LARGEST = 1 << 20
"""Bytes a folded constant may have: folding must not blow a ConstantOfShape up into weights."""


def fold_constants(model: OpenedModel, paths: Sequence[str]) -> onnx.ModelProto:
    """Replace nodes whose inputs are all constant by what they give, with the ONNX reference evaluator.

    Nodes with bodies, random nodes and results above `LARGEST` bytes stay. `paths` is not needed.
    """
    from onnx.reference import ReferenceEvaluator

    del paths
    proto = copy_of(model)
    known = {
        tensor.name: numpy_helper.to_array(tensor, str(Path(model.path).parent))
        for tensor in proto.graph.initializer
        if tensor.data_location != onnx.TensorProto.EXTERNAL and tensor.ByteSize() <= LARGEST
    }
    kept, folded = [], 0
    outputs = {output.name for output in proto.graph.output}
    for node in proto.graph.node:
        constant = all(name in known for name in node.input if name) and not _stays(node)
        if not constant or outputs & set(node.output):
            kept.append(node)
            continue
        evaluator = ReferenceEvaluator(_alone(node, proto))
        feeds = {name: known[name] for name in node.input if name}
        results = [np.asarray(result) for result in evaluator.run(None, feeds)]
        if any(result.nbytes > LARGEST for result in results):
            kept.append(node)
            continue
        for name, result in zip((name for name in node.output if name), results, strict=True):
            known[name] = result
            proto.graph.initializer.append(numpy_helper.from_array(result, name))
        folded += 1
    if not folded:
        raise CannotRewrite("no node has only constant inputs")
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in kept]
    del proto.graph.node[:]
    proto.graph.node.extend(copies)
    return _without_unused(proto)


def remove_unused(model: OpenedModel, paths: Sequence[str]) -> onnx.ModelProto:
    """Drop initializers that no node reads and no output names."""
    del paths
    proto = copy_of(model)
    before = len(proto.graph.initializer)
    _without_unused(proto)
    if len(proto.graph.initializer) == before:
        raise CannotRewrite("every initializer is used")
    return proto


def _without_unused(proto: onnx.ModelProto) -> onnx.ModelProto:
    used = {output.name for output in proto.graph.output}
    pending = [proto.graph]
    while pending:
        graph = pending.pop()
        for node in graph.node:
            used.update(node.input)
            pending.extend(attribute.g for attribute in node.attribute if attribute.HasField("g"))
            pending.extend(body for attribute in node.attribute for body in attribute.graphs)
    for tensor in list(proto.graph.initializer):
        if tensor.name not in used:
            proto.graph.initializer.remove(tensor)
    for value in list(proto.graph.input):
        if value.name not in used and not value.type.HasField("tensor_type"):
            proto.graph.input.remove(value)
    return proto


def _stays(node: onnx.NodeProto) -> bool:
    has_body = any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute)
    random = node.op_type.startswith("Random") or node.op_type in ("Bernoulli", "Multinomial", "Dropout")
    return has_body or random or node.domain not in ("", "ai.onnx")


def _alone(node: onnx.NodeProto, proto: onnx.ModelProto) -> onnx.ModelProto:
    values = [onnx.ValueInfoProto(name=name) for name in dict.fromkeys(node.input) if name]
    results = [onnx.ValueInfoProto(name=name) for name in node.output if name]
    graph = onnx.helper.make_graph([node], "alone", values, results)
    return onnx.helper.make_model(graph, opset_imports=proto.opset_import, ir_version=min(proto.ir_version or 8, 10))


FOLD_CONSTANTS = Rewriter("fold-constants", "work constants out now", fold_constants)
REMOVE_UNUSED = Rewriter("remove-unused-initializer", "drop initializers nobody reads", remove_unused)
REWRITES = (FOLD_CONSTANTS, REMOVE_UNUSED)
