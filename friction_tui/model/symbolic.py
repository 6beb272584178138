"""Dims as expressions of the input symbols, such as `8*N`, by the onnx-shape-inference package.

Slow (0.7 s for 1,000 nodes, 4 s for 10,000): run it behind whatever a person waits for.
"""

from __future__ import annotations

import contextlib
import logging
import re
from weakref import WeakKeyDictionary

import onnx

from friction_tui.model.inference import bare_copy
from friction_tui.model.opened import OpenedModel

SymbolicDims = dict[str, tuple[str, ...]]

_KNOWN: WeakKeyDictionary[OpenedModel, SymbolicDims] = WeakKeyDictionary()
_INVENTED = re.compile(r"\b_d\d+\b")
"""Names the package makes up for sizes it cannot express."""


def infer_symbolic(model: OpenedModel) -> SymbolicDims:
    """Dims of the main graph's tensors as expressions; remembered with the model.

    Left out are tensors with a size that no input symbol expresses. {} for a graph the package cannot follow.
    """
    if model not in _KNOWN:
        _KNOWN[model] = _infer(bare_copy(model))
    return _KNOWN[model]


def known_symbolic(model: OpenedModel) -> SymbolicDims:
    """What `infer_symbolic` found, {} as long as it has not run."""
    return _KNOWN.get(model, {})


def _infer(bare: onnx.ModelProto) -> SymbolicDims:
    import onnx_ir
    import onnx_shape_inference

    try:
        with _silent("onnx_shape_inference"):
            inferred = onnx_shape_inference.infer_symbolic_shapes(onnx_ir.from_proto(bare), warn_on_missing=False)
    except Exception:
        # Broken graphs make it raise nearly anything. Symbols are a convenience: without them ranges are shown.
        logging.getLogger(__name__).info("no symbolic shapes", exc_info=True)
        return {}
    found: SymbolicDims = {}
    for node in inferred.graph:
        for value in node.outputs:
            if value.name and value.shape is not None:
                dims = tuple(str(dim) for dim in value.shape)
                if not any(dim in ("None", "?", "") or _INVENTED.search(dim) for dim in dims):
                    found[value.name] = dims
    return found


@contextlib.contextmanager
def _silent(name: str):  # type: ignore[no-untyped-def]  # noqa: ANN202
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
