"""Which ONNX nodes went into which kernel, from the engine inspector's one-line-per-layer text.

With detailed profiling verbosity TensorRT-RTX logs that text during the build, as one message that starts with
`Layers:`; elsewhere the inspector of a deserialised engine gives it.
"""

from __future__ import annotations

import re

from friction_tui.vocabulary.protocol import Kernel

_LAYER = re.compile(r"^Name: (?P<name>.*?), LayerType: (?P<kind>[^,]*),(?P<rest>.*)$", re.MULTILINE)
_METADATA = re.compile(r"Metadata: (?P<nodes>.*)$")
_BETWEEN = re.compile(r"[\x1e\x1f]")
_ONNX = "[ONNX Layer: "
_TYPE = re.compile(r"Datatype: (?P<type>[^,}]+)")
_TYPES = {
    "Float": "float32",
    "FP32": "float32",
    "Half": "float16",
    "FP16": "float16",
    "BFloat16": "bfloat16",
    "BF16": "bfloat16",
    "FP8": "fp8",
    "Int8": "int8",
    "INT8": "int8",
    "Int4": "int4",
    "INT4": "int4",
    "FP4": "fp4",
}
"""Types of numbers by the inspector's names: those of RTX 1.7.1, and those in formats of TensorRT 10."""


def is_layer_report(message: str) -> bool:
    """Whether a log message is the inspector's text."""
    return message.startswith("Layers:")


def kernels(report: str) -> tuple[Kernel, ...]:
    """Read the layers of a report, in the order they run; I/O tensors and engine metadata are left out.

    Names of ONNX nodes are the model's own, or `node_of_<first output>`. A kernel that moves data or computes
    shapes has none, and a node can be in several kernels.
    """
    end = report.find("\nI/O Tensors:")
    return tuple(
        Kernel(
            name=found["name"],
            onnx_nodes=_onnx_nodes(found["rest"]),
            kind=found["kind"],
            reads=_types(found["rest"], "Inputs"),
            writes=_types(found["rest"], "Outputs"),
        )
        for found in _LAYER.finditer(report, 0, end if end >= 0 else len(report))
    )


def _types(rest: str, side: str) -> tuple[str, ...]:
    """The types of the tensors on one side of a layer, each once; other types than numbers in their own words."""
    _, _, tensors = rest.partition(f" {side}: [ {{")
    said = (one["type"].split() for one in _TYPE.finditer(tensors.partition("}]")[0]))
    # TensorRT 10 says the layout first: `Channel major FP16 format where channel % 8 == 0`.
    named = (next((word for word in words if word in _TYPES), words[0]) for words in said if words)
    return tuple(dict.fromkeys(_TYPES.get(name, name.lower()) for name in named))


def _onnx_nodes(rest: str) -> tuple[str, ...]:
    metadata = _METADATA.search(rest)
    if metadata is None:
        return ()
    parts = _BETWEEN.split(metadata["nodes"])
    named = [part.removeprefix(_ONNX).removesuffix("]") for part in parts if part.startswith(_ONNX)]
    return tuple(dict.fromkeys(named))
