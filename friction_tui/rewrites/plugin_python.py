"""The Python plug-in: a module that registers itself when imported, with what the node declares filled in."""

from __future__ import annotations

import math

from friction_tui.rewrites.plugin_facts import Field, PluginFacts, Size, Tensor


def python_text(facts: PluginFacts) -> str:
    """The module `plugin.py`. What it computes is the user's to write, in `compute`."""
    fields = "".join(f"    {field.name!r}: ({field.kind!r}, {_values(field)}),\n" for field in facts.fields)
    types = ("".join(f"trt.DataType.{one.dtype}, " for one in tensors) for tensors in (facts.inputs, facts.outputs))
    inputs, outputs = (text.strip() for text in types)
    listed = "\n".join(
        f"    {what} {number}: {_plain(one.name)}, {one.dtype}, {one.shape}"
        for what, tensors in (("input", facts.inputs), ("output", facts.outputs))
        for number, one in enumerate(tensors)
    )
    return f'''"""{facts.name}: a TensorRT plug-in for {_plain(facts.op)} {_plain(facts.node)}.

{listed}

Import it before the model is parsed: it registers itself. {_usage(facts)}
Write what it computes in `enqueue`. TensorRT builds it in; TensorRT-RTX 1.7 only lets it register, its networks have
no plug-in layers.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

try:
    import tensorrt as trt
except ImportError:
    import tensorrt_rtx as trt

NAME = {facts.name!r}
VERSION = "1"
NAMESPACE = ""
OPERATOR = ({facts.domain!r}, {facts.op!r})
FIELDS = {{
{fields}}}
"""Attributes: the kind of field and the values of the node this was written for."""
KINDS = {{"INT32": np.int32, "FLOAT32": np.float32, "CHAR": np.int8}}
INPUT_TYPES = ({inputs})
OUTPUT_TYPES = ({outputs})


def field_collection(values: dict[str, np.ndarray]) -> Any:
    """Attributes as TensorRT takes them."""
    kinds = {{name: getattr(trt.PluginFieldType, kind) for name, (kind, _) in FIELDS.items()}}
    return trt.PluginFieldCollection([trt.PluginField(name, values[name], kind) for name, kind in kinds.items()])


class {facts.name}(trt.IPluginV3, trt.IPluginV3OneCore, trt.IPluginV3OneBuild, trt.IPluginV3OneRuntime):
    """One node. `fields` are its attributes as arrays, text as its bytes (the parser ends it with a 0)."""

    def __init__(self, fields: dict[str, np.ndarray]) -> None:
        trt.IPluginV3.__init__(self)
        trt.IPluginV3OneCore.__init__(self)
        trt.IPluginV3OneBuild.__init__(self)
        trt.IPluginV3OneRuntime.__init__(self)
        self.plugin_name = NAME
        self.plugin_version = VERSION
        self.plugin_namespace = NAMESPACE
        self.num_outputs = len(OUTPUT_TYPES)
        self.fields = fields

    def get_capability_interface(self, type: Any) -> Any:
        """One object has all capabilities."""
        return self

    def clone(self) -> Any:
        """A copy with the same attributes."""
        return {facts.name}(dict(self.fields))

    def get_output_data_types(self, input_types: Sequence[Any]) -> list[Any]:
        """The element types of the outputs."""
        return list(OUTPUT_TYPES)

    def get_output_shapes(self, inputs: Sequence[Any], shape_inputs: Sequence[Any], builder: Any) -> list[Any]:
        """The sizes of the outputs, from those of the inputs."""
{_shapes(facts)}

    def supports_format_combination(self, pos: int, in_out: Sequence[Any], num_inputs: int) -> bool:
        """Which element type and memory layout it takes at a position."""
        described = in_out[pos].desc
        return described.format == trt.TensorFormat.LINEAR and described.type == (*INPUT_TYPES, *OUTPUT_TYPES)[pos]

    def configure_plugin(self, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        """Called with the ranges of sizes while the engine is built."""

    def get_workspace_size(self, inputs: Sequence[Any], outputs: Sequence[Any]) -> int:
        """Bytes of GPU memory that `enqueue` needs besides its tensors."""
        return 0

    def get_valid_tactics(self) -> list[int]:
        """Its tactics, none for a single one."""
        return []

    def set_tactic(self, tactic: int) -> None:
        """Called with the tactic that was chosen."""

    def on_shape_change(self, inputs: Sequence[Any], outputs: Sequence[Any]) -> None:
        """Called with the sizes before it runs."""

    def attach_to_context(self, context: Any) -> Any:
        """The copy that an execution context uses."""
        return self.clone()

    def get_fields_to_serialize(self) -> Any:
        """What is stored in the engine: all attributes."""
        return field_collection(self.fields)

    def enqueue(
        self,
        input_desc: Sequence[Any],
        output_desc: Sequence[Any],
        inputs: Sequence[int],
        outputs: Sequence[int],
        workspace: int,
        stream: int,
    ) -> None:
        """Compute the outputs on a CUDA stream. `inputs` and `outputs` are addresses of GPU memory.

        With CuPy, the first input is
        `cupy.ndarray(tuple(input_desc[0].dims), dtype, cupy.cuda.MemoryPointer(cupy.cuda.UnownedMemory(inputs[0],
        bytes, self), 0))`, computed on within `cupy.cuda.ExternalStream(stream)`.
        """
        raise NotImplementedError(f"{{NAME}} computes nothing yet: write it in enqueue")


class Creator(trt.IPluginCreatorV3One):
    """Makes the plug-in, from a node's attributes or from an engine."""

    def __init__(self) -> None:
        trt.IPluginCreatorV3One.__init__(self)
        self.name = NAME
        self.plugin_version = VERSION
        self.plugin_namespace = NAMESPACE
        self.field_names = field_collection({{name: np.array([]) for name in FIELDS}})

    def create_plugin(self, name: str, fields: Any, phase: Any) -> Any:
        """The plug-in of one node; an attribute that is not given has the value it was written with."""
        values = {{one: np.array(value, KINDS[kind]) for one, (kind, value) in FIELDS.items()}}
        values.update({{field.name: np.array(field.data) for field in fields if field.name in FIELDS}})
        return {facts.name}(values)


CREATOR = Creator()
trt.get_plugin_registry().register_creator(CREATOR, NAMESPACE)


def rename(source: str, target: str) -> None:
    """Let the nodes of the operator go by the plug-in's name, by which TensorRT's parser finds it."""
    import onnx

    model = onnx.load(source, load_external_data=False)
    domain, op = OPERATOR
    for node in model.graph.node:
        if node.op_type == op and node.domain in {{domain, "ai.onnx" if domain == "" else domain}}:
            node.op_type, node.domain = NAME, "trt.plugins"
    if not any(entry.domain == "trt.plugins" for entry in model.opset_import):
        model.opset_import.append(onnx.helper.make_opsetid("trt.plugins", 1))
    onnx.save(model, target)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(f"usage: python {{sys.argv[0]}} MODEL.onnx RENAMED.onnx")
    rename(sys.argv[1], sys.argv[2])
'''


def _usage(facts: PluginFacts) -> str:
    if not facts.renamed:
        return "TensorRT's parser finds it by the operator's name."
    return (
        "TensorRT's parser reads ONNX's own operators\nitself, so the nodes take the plug-in's name first: "
        "python plugin.py MODEL.onnx RENAMED.onnx (RENAMED beside MODEL)."
    )


def _plain(text: str) -> str:
    """A name of the model for a docstring."""
    shown = "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
    return shown.replace("\\", "/").replace('"', "'")


def _values(field: Field) -> str:
    if isinstance(field.values, str):
        return repr(list(field.values.encode()))
    return "[" + ", ".join(repr(one) if math.isfinite(one) else f'float("{one}")' for one in field.values) + "]"


def _shapes(facts: PluginFacts) -> str:
    lines = []
    for number, one in enumerate(facts.outputs):
        lines.append(f"output_{number} = trt.DimsExprs({len(one.sizes)})")
        lines += [f"output_{number}[{axis}] = {_size(one, axis, size)}" for axis, size in enumerate(one.sizes)]
    lines.append(f"return [{', '.join(f'output_{number}' for number in range(len(facts.outputs)))}]")
    return "\n".join(f"        {line}" for line in lines)


def _size(tensor: Tensor, axis: int, size: Size) -> str:
    if size.axis is not None:
        return f"inputs[{size.axis[0]}][{size.axis[1]}]"
    if size.constant is not None:
        return f"builder.constant({size.constant})"
    return f"builder.constant(1)  # not known from the model: axis {axis} of {_plain(tensor.name)}"
