"""Dims as expressions of the input symbols, such as `8*N`, by the onnx-shape-inference package.

It is slow (0.7 s for 1,000 nodes, 1.2 s for 10,000) and large (40 MB), so it runs in a child process of low
priority, behind whatever a person waits for.
"""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import Callable
from weakref import WeakKeyDictionary

import msgspec
import onnx

from friction_tui.model.opened import OpenedModel
from friction_tui.model.shapes.inference import bare_copy
from friction_tui.processes.begin import command
from friction_tui.processes.child import run

SymbolicDims = dict[str, tuple[str, ...]]

LARGEST_NODES = 10_000
"""Nodes up to which a model is followed; larger ones keep their ranges of sizes."""

LIMIT_S, MEMORY = 120.0, 8 << 30
"""Seconds and bytes of address space it may take."""

_KNOWN: WeakKeyDictionary[OpenedModel, SymbolicDims] = WeakKeyDictionary()
_INVENTED = re.compile(r"\b_d\d+\b")
"""Names the package makes up for sizes it cannot express."""


def infer_symbolic(model: OpenedModel, stop: Callable[[], bool] = lambda: False) -> SymbolicDims:
    """Dims of the main graph's tensors as expressions; remembered with the model.

    Left out are tensors with a size that no input symbol expresses. {} for a graph the package cannot follow.
    Raises Stopped when `stop` says so.
    """
    if model not in _KNOWN:
        _KNOWN[model] = _ask(model, stop) if len(model.index.nodes) <= LARGEST_NODES else {}
    return _KNOWN[model]


def known_symbolic(model: OpenedModel) -> SymbolicDims:
    """What `infer_symbolic` found, {} as long as it has not run."""
    return _KNOWN.get(model, {})


def _ask(model: OpenedModel, stop: Callable[[], bool]) -> SymbolicDims:
    done = run(command(__name__, memory=MEMORY), bare_copy(model).SerializeToString(), stop=stop, limit_s=LIMIT_S)
    if done.code != 0:
        # Broken graphs make it raise nearly anything. Symbols are a convenience: without them ranges are shown.
        logging.getLogger(__name__).info("no symbolic shapes: %s", done.tail)
        return {}
    return msgspec.json.decode(done.out, type=SymbolicDims)


def _infer(bare: onnx.ModelProto) -> SymbolicDims:
    import onnx_ir
    import onnx_shape_inference

    logging.getLogger("onnx_shape_inference").setLevel(logging.CRITICAL)
    inferred = onnx_shape_inference.infer_symbolic_shapes(onnx_ir.from_proto(bare), warn_on_missing=False)
    found: SymbolicDims = {}
    for node in inferred.graph:
        for value in node.outputs:
            if value.name and value.shape is not None:
                dims = tuple(str(dim) for dim in value.shape)
                if not any(dim in ("None", "?", "") or _INVENTED.search(dim) for dim in dims):
                    found[value.name] = dims
    return found


def main() -> None:
    """In a process of its own: a serialised model in, its dims out."""
    from friction_tui.processes.stdio import take_stdout

    os.nice(19)
    channel = take_stdout()
    channel.write(msgspec.json.encode(_infer(onnx.ModelProto.FromString(sys.stdin.buffer.read()))))
    channel.flush()
