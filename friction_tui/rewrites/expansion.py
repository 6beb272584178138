"""Operators replaced by what ONNX itself defines them as, local functions put in place, constants worked out.

ONNX gives many newer operators a function body of simpler ones (https://onnx.ai/onnx/operators/). The body is exact by
definition; computed in another order it may differ in the last bits.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import onnx
from onnx import TensorProto, defs, inliner, shape_inference

from friction_tui.model.file.external import element_bits
from friction_tui.model.light_copy import light_copy
from friction_tui.model.opened import OpenedModel
from friction_tui.rewrites.base import CannotRewrite, Exactness, Rewriter
from friction_tui.rewrites.graph_editor import forget_shapes, graphs_of, remove_unused

_ROUNDS = 4
"""How often bodies are expanded that call functions themselves."""
_SMALL = 1024
"""Bytes up to which a tensor keeps its values while a library rewrites the graph around it."""
_CONTROL = frozenset({"If", "Loop", "Scan", "SequenceMap"})
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
        for _ in range(_ROUNDS):
            count = len(light.graph.node)
            _declare_types(light)
            chosen = [("", op) for op in with_body]
            light = inliner.inline_selected_functions(light, chosen, False, True)
            if len(light.graph.node) == count:
                break
        left = {node.op_type for node in _all_nodes(light)}
        if left & set(with_body):
            raise CannotRewrite(f"the body of {', '.join(sorted(left & set(with_body)))} could not be put in")
        return _optimised(light) if (left - before) & _CONTROL else light

    return without_weights(model, expanded, "the function body")


def inline_functions(model: OpenedModel, paths: Sequence[str]) -> onnx.ModelProto:
    """Every local function put in place of its calls. Raises CannotRewrite where the model has none."""
    del paths
    if not model.proto.functions:
        raise CannotRewrite("the model has no local functions")
    return without_weights(model, inliner.inline_local_functions, "inlining")


def simplify(model: OpenedModel, paths: Sequence[str]) -> onnx.ModelProto:
    """Constants worked out, constant conditions decided, dead and repeated nodes removed, by onnxscript's optimiser.

    Of seven such tools it changed nothing but rounding on 22 real models from opset 14 on. Raises CannotRewrite below
    that, and where nothing becomes simpler.
    """
    del paths
    if model.index.opsets.get("", 1) < _OPTIMISER_OPSET:
        raise CannotRewrite(f"the optimiser needs opset {_OPTIMISER_OPSET}; convert first with o")
    simpler = without_weights(model, _optimised, "the optimiser")
    if len(list(_all_nodes(simpler))) >= len(model.index.nodes):
        raise CannotRewrite("no constant part is left to work out")
    return simpler


def without_weights(
    model: OpenedModel, edit: Callable[[onnx.ModelProto], onnx.ModelProto], what: str
) -> onnx.ModelProto:
    """A copy of the model edited by a library that is not shown the large weights, which are put back afterwards.

    Raises CannotRewrite, naming `what`, for whatever the library raises.
    """
    kept: dict[str, TensorProto] = {}

    def reference(tensor: TensorProto) -> TensorProto:
        external = tensor.data_location == TensorProto.EXTERNAL
        size = element_bits(tensor.data_type) * _elements(tensor) // 8
        if not tensor.name or (not external and size <= _SMALL):
            return tensor
        kept[tensor.name] = tensor
        outside = TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
        outside.data_location = TensorProto.EXTERNAL
        outside.external_data.add(key="location", value="kept")
        return outside

    light = light_copy(model.proto, reference)
    try:
        edited = edit(light)
    except CannotRewrite:
        raise
    except Exception as error:
        # Libraries raise errors of every type for graphs they do not expect; the model is left as it was.
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise CannotRewrite(f"{what} does not take the model: {first}") from None
    for graph in graphs_of(edited.graph):
        for tensor in graph.initializer:
            if tensor.name in kept and tensor.data_location == TensorProto.EXTERNAL:
                tensor.CopyFrom(kept[tensor.name])
    forget_shapes(edited)
    remove_unused(edited)
    return edited


def _optimised(proto: onnx.ModelProto) -> onnx.ModelProto:
    from onnxscript import optimizer

    logging.getLogger("onnxscript").setLevel(logging.ERROR)  # it warns of every node that it leaves as it is
    logging.getLogger("onnx_ir").setLevel(logging.ERROR)
    if not any(entry.domain in ("", "ai.onnx") and entry.version >= _OPTIMISER_OPSET for entry in proto.opset_import):
        raise CannotRewrite(f"the optimiser needs opset {_OPTIMISER_OPSET}; convert first with o")
    return optimizer.optimize(proto)


def _has_body(op: str, opset: int) -> bool:
    try:
        schema = defs.get_schema(op, opset)
    except defs.SchemaError:
        return False
    return any(getattr(schema, name) for name in ("has_function", "has_context_dependent_function"))


def _declare_types(proto: onnx.ModelProto) -> None:
    """Give every tensor its inferred type: the inliner stops where it does not know one."""
    known = {value.name for value in (*proto.graph.value_info, *proto.graph.input, *proto.graph.output)}
    inferred = shape_inference.infer_shapes(proto, data_prop=True)
    for value in inferred.graph.value_info:
        if value.name not in known:
            proto.graph.value_info.append(value)
            known.add(value.name)
    for tensor in proto.graph.initializer:
        if tensor.name not in known:
            declared = onnx.helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims))
            proto.graph.value_info.append(declared)


def _elements(tensor: TensorProto) -> int:
    count = 1
    for size in tensor.dims:
        count *= size
    return count


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
