"""Buffers that are most of a file: a causal mask or a table that could be computed where it is used."""

from __future__ import annotations

import inspect
import math
from typing import Any

import onnx

from friction_tui.kinds.export import LARGE_CONSTANT
from friction_tui.sources.failure import location_of
from friction_tui.sources.pytorch.compare_request import Came
from friction_tui.sources.source_lines import context, find_in, of_stack_text
from friction_tui.vocabulary.finding import Finding, Location, LocationKind, SourceLine
from friction_tui.vocabulary.units import size_text

_LEAST = 16 * 2**20
"""Bytes below which nobody minds."""
_PART = 0.4
"""Part of the file from which a buffer is named."""


def findings(came: Came, module: Any) -> list[Finding]:
    """One finding for the largest buffer of the file, when it is most of it."""
    if came.program is None:
        return []
    signature = came.program.graph_signature
    buffers = set(signature.inputs_to_buffers.values()) | set(signature.inputs_to_lifted_tensor_constants.values())
    sizes = {tensor.name: _bytes(tensor) for tensor in came.model.graph.initializer}
    total = sum(sizes.values())
    name = max(sizes.keys() & buffers, key=lambda one: sizes[one], default="")
    if not name or sizes[name] < _LEAST or sizes[name] < _PART * total:
        return []
    tensor = next(one for one in came.model.graph.initializer if one.name == name)
    path, _, attribute = name.rpartition(".")
    line = _made_at(module, path, attribute) or _used_at(came, name)
    return [
        LARGE_CONSTANT.finding(
            buffer=name,
            size=size_text(sizes[name]),
            part=f"{sizes[name] / total:.0%}",
            cause=(
                f"{name} ({'×'.join(map(str, tensor.dims))} "
                f"{onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).name}) is stored whole in the ONNX file. "
                "A mask or a table that follows from a formula need not be a weight: it costs disk, memory on the GPU, "
                "and bandwidth at every run."
            ),
            source=came.source,
            locations=(*((location_of(line),) if line else ()), Location(LocationKind.INITIALIZER, name)),
            evidence=context(line) if line else (),
            fixes=(
                "Compute it in forward from the sizes at hand: a causal mask is "
                "`torch.arange(n)[:, None] >= torch.arange(n)[None]` with `torch.where`, or "
                "`scaled_dot_product_attention(..., is_causal=True)`.",
                "Keep a smaller one: the largest size in use, bool or int8 in place of float32, one row in place of a "
                "square.",
            ),
        )
    ]


def _bytes(tensor: onnx.TensorProto) -> int:
    wide: int = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    return wide * int(math.prod(tensor.dims))


def _made_at(module: Any, path: str, attribute: str) -> SourceLine | None:
    """Where the module registers the buffer."""
    try:
        owner = type(module.get_submodule(path))
        file = inspect.getsourcefile(owner)
    except (AttributeError, TypeError):
        return None
    return find_in(file, (owner.__name__,), rf"register_buffer\(\s*['\"]{attribute}['\"]") if file else None


def _used_at(came: Came, name: str) -> SourceLine | None:
    assert came.program is not None
    signature = came.program.graph_signature
    inputs = {
        placeholder
        for table in (signature.inputs_to_buffers, signature.inputs_to_lifted_tensor_constants)
        for placeholder, buffer in table.items()
        if buffer == name
    }
    for node in came.program.graph.nodes:
        if node.op == "placeholder" and node.name in inputs:
            for user in node.users:
                if lines := of_stack_text(user.meta.get("stack_trace") or ""):
                    return lines[-1]
    return None
