"""Translations that tf2onnx 1.17 lacks and ONNX can say exactly. Importing this module registers them."""

from __future__ import annotations

from typing import Any

import numpy as np
from tf2onnx import utils
from tf2onnx.handler import tf_op


@tf_op("Erfc")
class Erfc:
    """1 - Erf(x). Keras computes gelu with it, so without it no Keras transformer would convert."""

    @classmethod
    def version_9(cls, ctx: Any, node: Any, **_: Any) -> None:
        """Erf is there since opset 9."""
        result, shape, dtype = node.output[0], ctx.get_shape(node.output[0]), ctx.get_dtype(node.output[0])
        ctx.remove_node(node.name)
        one = ctx.make_const(utils.make_name("one"), np.array(1, utils.map_onnx_to_numpy_type(dtype)))
        erf = ctx.make_node("Erf", [node.input[0]], shapes=[shape], dtypes=[dtype])
        ctx.make_node("Sub", [one.output[0], erf.output[0]], name=node.name, outputs=[result], shapes=[shape],
                      dtypes=[dtype])  # fmt: skip
