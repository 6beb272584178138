"""Operators replaced by what ONNX itself defines them as, local functions put in place, constants worked out.

ONNX gives many newer operators a function body of simpler ones (https://onnx.ai/onnx/operators/). The body is exact by
definition; computed in another order it may differ in the last bits.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import onnx
from onnx import defs

from friction_tui.model import onnx_native
from friction_tui.model.opened import OpenedModel
from friction_tui.rewrites.base import CannotRewrite, Exactness, NeedsOpset, Rewriter
from friction_tui.rewrites.graph_parts import graphs_of, inline_functions, without_weights

_ROUNDS = 4
"""How often bodies are expanded that call functions themselves."""
_CONTROL = frozenset({"If", "Loop", "Scan", "SequenceMap"})
_BODIES = "body"
"""The domain of bodies that are made local functions on the way."""
_OPTIMISER_OPSET = 14
"""The opset from which on the optimiser's Reshape (allowzero) is valid."""


def expand(model: OpenedModel, paths: Sequence[str]) -> onnx.ModelProto:
    """The operators of the nodes at `paths` expanded by their function bodies, wherever they stand.

    Control flow that a body brings along is worked out where its condition is constant. Raises CannotRewrite where
    ONNX defines no body for the operator, or the body cannot be put in.
    """
    nodes = [node for path in paths if (node := model.index.by_path.get(path)) is not None]
    opset = model.index.opsets.get("", 1)
    ops = {node.proto.op_type for node in nodes if node.proto.domain in ("", "ai.onnx")}
    with_body = sorted(op for op in ops if _has_body(op, opset))
    if not with_body:
        raise CannotRewrite(f"ONNX defines {', '.join(sorted(ops)) or 'it'} by no function of simpler operators")

    def expanded(light: onnx.ModelProto) -> onnx.ModelProto:
        before = {node.op_type for node in _all_nodes(light)}
        light = _with_omitted_inputs(light, with_body, opset)
        for _ in range(_ROUNDS):
            count = len(light.graph.node)
            _declare_types(light)
            light = onnx_native.inline_operators(light, with_body)
            if len(light.graph.node) == count:
                break
        left = {node.op_type for node in _all_nodes(light)}
        if left & set(with_body):
            raise CannotRewrite(f"the body of {', '.join(sorted(left & set(with_body)))} could not be put in")
        return _optimised(light) if (left - before) & _CONTROL else light

    return without_weights(model, expanded, "the function body")


def simplify(model: OpenedModel, paths: Sequence[str]) -> onnx.ModelProto:
    """Constants worked out, constant conditions decided, dead and repeated nodes removed, by onnxscript's optimiser.

    Of seven such tools it changed nothing but rounding on 22 real models from opset 14 on. Raises CannotRewrite below
    that, and where nothing becomes simpler.
    """
    del paths
    if model.index.opsets.get("", 1) < _OPTIMISER_OPSET:
        raise NeedsOpset(_OPTIMISER_OPSET, "the optimiser")
    simpler = without_weights(model, _optimised, "the optimiser")
    if len(list(_all_nodes(simpler))) >= len(model.index.nodes):
        raise CannotRewrite("no constant part is left to work out")
    return simpler


def _optimised(proto: onnx.ModelProto) -> onnx.ModelProto:
    from onnxscript import optimizer

    logging.getLogger("onnxscript").setLevel(logging.ERROR)  # it warns of every node that it leaves as it is
    logging.getLogger("onnx_ir").setLevel(logging.ERROR)
    if not any(entry.domain in ("", "ai.onnx") and entry.version >= _OPTIMISER_OPSET for entry in proto.opset_import):
        raise NeedsOpset(_OPTIMISER_OPSET, "the optimiser")
    optimised = optimizer.optimize(proto)
    if not any(entry.domain in ("", "ai.onnx") and entry.version >= 18 for entry in optimised.opset_import):
        _drop_num_outputs(optimised)
    return optimised


def _drop_num_outputs(proto: onnx.ModelProto) -> None:
    """Without the attribute that the optimiser writes at any opset: before opset 18 Split counts its outputs."""
    for node in _all_nodes(proto):
        if node.op_type == "Split":
            kept = [attribute for attribute in node.attribute if attribute.name != "num_outputs"]
            del node.attribute[:]
            node.attribute.extend(kept)


def _has_body(op: str, opset: int) -> bool:
    try:
        schema = defs.get_schema(op, opset)
    except defs.SchemaError:
        return False
    return any(getattr(schema, name) for name in ("has_function", "has_context_dependent_function"))


def _with_omitted_inputs(proto: onnx.ModelProto, ops: Sequence[str], opset: int) -> onnx.ModelProto:
    """The bodies of nodes that leave an optional input out (""), which the inliner asks the type of and stops.

    They are worked out here, where an omitted input may have no type, and put in as local functions.
    """
    known = onnx_native.infer_shapes(proto, data_prop=True)
    types = {
        value.name: value.type
        for graph in graphs_of(known.graph)
        for value in (*graph.value_info, *graph.input, *graph.output)
    }
    types |= {
        tensor.name: onnx.helper.make_tensor_type_proto(tensor.data_type, list(tensor.dims))
        for graph in graphs_of(proto.graph)
        for tensor in graph.initializer
    }
    types[""] = onnx.TypeProto()
    for node in _all_nodes(proto):
        if node.domain in ("", "ai.onnx") and node.op_type in ops and "" in node.input:
            schema: Any = defs.get_schema(node.op_type, opset)  # onnx's stubs lack its functions
            versions = [version for version in schema.context_dependent_function_opset_versions if version <= opset]
            if not versions or not all(name in types for name in node.input):
                continue
            given = [types[name].SerializeToString() for name in node.input]
            body = onnx.FunctionProto()
            body.ParseFromString(
                schema.get_context_dependent_function_with_opset_version(max(versions), node.SerializeToString(), given)
            )
            body.domain, body.name = _BODIES, f"{node.op_type}_{len(proto.functions)}"
            has = {attribute.name for attribute in node.attribute}
            defaults = [schema.attributes[name].default_value for name in body.attribute if name not in has]
            node.attribute.extend(default for default in defaults if default.name)
            node.domain, node.op_type = body.domain, body.name
            proto.functions.append(body)
    own = [(function.domain, function.name) for function in proto.functions if function.domain == _BODIES]
    if not own:
        return proto
    proto.opset_import.add(domain=_BODIES, version=1)
    inlined = onnx_native.inline_local_functions(proto)
    left = [entry for entry in inlined.opset_import if entry.domain != _BODIES]
    del inlined.opset_import[:]
    inlined.opset_import.extend(left)
    return inlined


def _declare_types(proto: onnx.ModelProto) -> None:
    """Give every tensor its inferred type: the inliner stops where it does not know one."""
    known = {value.name for value in (*proto.graph.value_info, *proto.graph.input, *proto.graph.output)}
    inferred = onnx_native.infer_shapes(proto, data_prop=True)
    for value in inferred.graph.value_info:
        if value.name not in known:
            proto.graph.value_info.append(value)
            known.add(value.name)
    for tensor in proto.graph.initializer:
        if tensor.name not in known:
            declared = onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
            proto.graph.value_info.append(declared)


def _all_nodes(proto: onnx.ModelProto) -> list[onnx.NodeProto]:
    return [node for graph in graphs_of(proto.graph) for node in graph.node]


EXPAND = Rewriter(
    "expand-function",
    "replace the operator by what ONNX defines it as",
    expand,
    Exactness.ROUNDING,
    general=True,
)
INLINE_FUNCTIONS = Rewriter(
    "inline-functions", "put local functions in place of their calls", inline_functions, general=True
)
SIMPLIFY = Rewriter(
    "simplify",
    "work out constants and remove what is dead or repeated",
    simplify,
    Exactness.ROUNDING,
    general=True,
)
REWRITES = (EXPAND, INLINE_FUNCTIONS, SIMPLIFY)
