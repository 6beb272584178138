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
        Kernel(name=found["name"], onnx_nodes=_onnx_nodes(found["rest"]), kind=found["kind"])
        for found in _LAYER.finditer(report, 0, end if end >= 0 else len(report))
    )


def _onnx_nodes(rest: str) -> tuple[str, ...]:
    metadata = _METADATA.search(rest)
    if metadata is None:
        return ()
    parts = _BETWEEN.split(metadata["nodes"])
    named = [part.removeprefix(_ONNX).removesuffix("]") for part in parts if part.startswith(_ONNX)]
    return tuple(dict.fromkeys(named))
