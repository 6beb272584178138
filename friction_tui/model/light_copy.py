"""Copies of a model without its weights: what conversion and diagnosis need, at a thousandth of the size."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import onnx
from onnx import AttributeProto

from friction_tui.model.graph import body_attributes


def light_copy(proto: onnx.ModelProto, replace: Callable[[onnx.TensorProto], onnx.TensorProto]) -> onnx.ModelProto:
    """A copy of `proto` with every stored tensor, bodies and functions included, run through `replace`.

    A tensor that `replace` returns unchanged is copied whole; the main graph's large ones are never copied first.
    """
    copy = onnx.ModelProto()
    _copy_fields(proto, copy, "graph")
    _copy_fields(proto.graph, copy.graph, "initializer")
    copy.graph.initializer.extend(replace(tensor) for tensor in proto.graph.initializer)
    pending: list[onnx.GraphProto | onnx.FunctionProto] = [copy.graph, *copy.functions]
    while pending:
        graph = pending.pop()
        for node in graph.node:
            for attribute in node.attribute:
                for tensor in _attribute_tensors(attribute):
                    tensor.CopyFrom(replace(tensor))
            for _, body in body_attributes(node):
                for tensor in body.initializer:
                    tensor.CopyFrom(replace(tensor))
                pending.append(body)
    return copy


def _attribute_tensors(attribute: AttributeProto) -> Iterator[onnx.TensorProto]:
    if attribute.type == AttributeProto.TENSOR:
        yield attribute.t
    yield from attribute.tensors


def _copy_fields(
    source: onnx.ModelProto | onnx.GraphProto, target: onnx.ModelProto | onnx.GraphProto, without: str
) -> None:
    """Copy every field that is set, except the one called `without`."""
    for descriptor, value in source.ListFields():
        if descriptor.name == without:
            continue
        if hasattr(value, "extend"):
            getattr(target, descriptor.name).extend(value)
        elif hasattr(value, "CopyFrom"):
            getattr(target, descriptor.name).CopyFrom(value)
        else:
            setattr(target, descriptor.name, value)
