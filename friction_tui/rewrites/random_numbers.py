"""Random draws by comparison with uniform numbers: other numbers, the same distribution."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto

from friction_tui.rewrites.base import CannotRewrite, Exactness, Rewriter
from friction_tui.rewrites.graph_editor import GraphEditor, node_rewrite
from friction_tui.rewrites.indexing import FLOATS

OTHER_DRAWS = "draws other random numbers of the same distribution"


@node_rewrite(
    "multinomial-gumbel",
    "draw with Gumbel noise and ArgMax instead of Multinomial",
    ("", "Multinomial"),
    exactness=Exactness.CHANGES,
    changes=OTHER_DRAWS,
)
def multinomial(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """Multinomial → ArgMax of log-probabilities plus Gumbel noise, drawn sample_size times with replacement."""
    tensor = node.input[0]
    if graph.dtype(tensor) not in FLOATS:
        raise CannotRewrite("the log-probabilities are not float")
    count = graph.attribute(node, "sample_size", 1)
    repeated = graph.op("Expand", [graph.unsqueeze(tensor, [1]), graph.const([1, count, 1])])
    seed = graph.attribute(node, "seed")
    uniform = graph.op("RandomUniformLike", [repeated], low=1e-6, high=1.0 - 1e-6, seed=seed, dtype=TensorProto.FLOAT)
    gumbel = graph.op("Neg", [graph.op("Log", [graph.op("Neg", [graph.op("Log", [uniform])])])])
    drawn = graph.op("ArgMax", [graph.op("Add", [graph.cast(repeated, TensorProto.FLOAT), gumbel])], axis=2, keepdims=0)
    graph.cast(drawn, graph.attribute(node, "dtype", TensorProto.INT32), node.output[0])


@node_rewrite(
    "bernoulli-compare",
    "compare uniform numbers with the probability instead of Bernoulli",
    ("", "Bernoulli"),
    exactness=Exactness.CHANGES,
    changes=OTHER_DRAWS,
)
def bernoulli(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """Bernoulli → RandomUniformLike below the probability."""
    tensor = node.input[0]
    dtype = graph.dtype(tensor)
    if dtype not in FLOATS:
        raise CannotRewrite("the probabilities are not float, float16 or bfloat16")
    seed = graph.attribute(node, "seed")
    uniform = graph.op("RandomUniformLike", [tensor], low=0.0, high=1.0, seed=seed, dtype=TensorProto.FLOAT)
    wide = graph.cast(tensor, TensorProto.FLOAT) if dtype != TensorProto.FLOAT else tensor
    hit = graph.op("Less", [uniform, wide])
    wanted = graph.attribute(node, "dtype", dtype)
    if np.dtype(onnx.helper.tensor_dtype_to_np_dtype(wanted)).kind not in "fib":
        raise CannotRewrite("the draws are of a type that TensorRT does not have")
    graph.cast(hit, wanted, node.output[0])


REWRITES: tuple[Rewriter, ...] = (multinomial, bernoulli)
