"""A model at a glance: what is shown of it right after opening."""

from __future__ import annotations

from onnx import defs

from friction_tui.model.names import port
from friction_tui.model.opened import OpenedModel, weights_bytes
from friction_tui.model.shapes.profile import shape_tensor_inputs
from friction_tui.vocabulary.protocol import ModelSummary


def summarize(model: OpenedModel) -> ModelSummary:
    """What there is to say about a model right after opening it."""
    proto, index = model.proto, model.index
    shape_tensors = shape_tensor_inputs(model)
    external_bytes = sum(file.needed_bytes for file in model.external)
    return ModelSummary(
        path=str(model.path),
        ir_version=proto.ir_version,
        opsets=dict(index.opsets),
        producer=f"{proto.producer_name} {proto.producer_version}".strip(),
        inputs=tuple(port(value, value.name in shape_tensors) for value in index.inputs),
        outputs=tuple(port(value) for value in proto.graph.output),
        nodes=len(index.nodes),
        initializers=len(proto.graph.initializer) + len(proto.graph.sparse_initializer),
        weights_bytes=weights_bytes(model),
        external_bytes=external_bytes,
        file_bytes=model.file.size,
        functions=len(proto.functions),
        metadata={entry.key: entry.value for entry in proto.metadata_props},
        own_operators=tuple(sorted(_own_operators(model))),
    )


def _own_operators(model: OpenedModel) -> set[str]:
    used = {(node.proto.op_type, node.proto.domain) for node in model.index.nodes}
    used |= {(function.name, function.domain) for function in model.proto.functions}
    public = ("", "ai.onnx", "com.microsoft")
    return {
        op for op, domain in used if not (domain == "com.microsoft" or defs.has(op, "" if domain in public else domain))
    }
