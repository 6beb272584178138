"""Attention as ONNX Runtime's optimiser writes it (com.microsoft), back to MatMul, Softmax and Concat.

Definitions: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md. TensorRT finds the attention
in these nodes itself and fuses it again.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto

from friction_tui.rewrites.base import CannotRewrite, Exactness
from friction_tui.rewrites.fused import MS, float_const
from friction_tui.rewrites.graph_editor import GraphEditor, node_rewrite

_MASKED = -10000.0
"""The default `mask_filter_value`: what is added to the score of a masked key."""


# ------------------------------------------------------------------------------------------------------- parts


def heads(graph: GraphEditor, x: str, count: int) -> str:
    """[B, S, heads · size] as [B, heads, S, size]."""
    return graph.op("Transpose", [graph.reshape(x, [0, 0, count, -1])], perm=[0, 2, 1, 3])


def scores_and_values(
    graph: GraphEditor,
    query: str,
    key: str,
    value: str,
    *,
    like: str,
    scale: float,
    output: str,
    biases: Sequence[str] = (),
    causal: bool = False,
    window: int = -1,
    softcap: float = 0.0,
) -> None:
    """Softmax(scale · QKᵀ, capped, plus the biases) · V, heads joined again to [B, S, heads · size].

    Q, K and V are [B, heads, S or T, size]. `causal`: the last query sees all keys, the one before it one less, and
    so on; `window`: a query sees that many keys at most.
    """
    turned = graph.op("Transpose", [key], perm=[0, 1, 3, 2])
    scores = graph.op("MatMul", [graph.op("Mul", [query, float_const(graph, scale, like)]), turned])
    if softcap:
        cap = float_const(graph, softcap, like)
        scores = graph.op("Mul", [graph.op("Tanh", [graph.op("Div", [scores, cap])]), cap])
    for bias in biases:
        scores = graph.op("Add", [scores, bias])
    if causal:
        queries, keys = (graph.op("Gather", [graph.shape(each), graph.const([2])], axis=0) for each in (query, key))
        last = graph.op("Add", [graph.arange(queries), graph.op("Sub", [keys, queries])])
        last = graph.reshape(last, [-1, 1])
        positions = graph.arange(keys)
        hidden = graph.op("Greater", [positions, last])
        if window > 0:
            first = graph.op("Sub", [last, graph.const(window - 1)])
            hidden = graph.op("Or", [hidden, graph.op("Less", [positions, first])])
        lowest = graph.const(np.array(np.finfo(graph.numpy_dtype(like)).min, graph.numpy_dtype(like)))
        scores = graph.op("Where", [hidden, lowest, scores])
    mixed = graph.op("MatMul", [graph.op("Softmax", [scores], axis=-1), value])
    graph.reshape(graph.op("Transpose", [mixed], perm=[0, 2, 1, 3]), [0, 0, -1], output)


def _mask_bias(graph: GraphEditor, node: onnx.NodeProto, mask: str, batch_of: str, key: str) -> str:
    """What is added to the scores for a mask of 1 and 0, [B, T], [B, S, T] or [B, 1, S, T], or of lengths [B]."""
    rank, like = graph.rank(mask), node.input[0]
    filtered = float_const(graph, float(graph.attribute(node, "mask_filter_value", _MASKED)), like)
    if rank == 1:
        count, batch = graph.dims(mask), graph.dims(batch_of)
        known = count and batch and count[0] is not None and count[0] == batch[0]
        if not known and not _counts_rows(graph, mask):
            raise CannotRewrite(f"the one-dimensional mask {mask} is not known to hold one length a row")
        keys = graph.op("Gather", [graph.shape(key), graph.const([2])], axis=0)
        behind = graph.op(
            "GreaterOrEqual", [graph.arange(keys), graph.cast(graph.unsqueeze(mask, [1]), TensorProto.INT64)]
        )
        return graph.unsqueeze(graph.op("Mul", [graph.cast(behind, graph.dtype(like)), filtered]), [1, 2])
    kept = graph.cast(mask, graph.dtype(like))
    bias = graph.op("Mul", [graph.op("Sub", [float_const(graph, 1.0, like), kept]), filtered])
    if rank == 4:
        return bias
    return graph.unsqueeze(bias, [1, 2] if rank == 2 else [1])


def _counts_rows(graph: GraphEditor, mask: str) -> bool:
    """Whether a vector is the sum of each row of a matrix, as EmbedLayerNormalization counts what is not masked."""
    writer = graph.writer(mask)
    while writer is not None and writer.op_type in ("Cast", "Identity"):
        writer = graph.writer(writer.input[0])
    if writer is None or (writer.op_type == "EmbedLayerNormalization" and graph.output(writer, 1) != mask):
        return False
    return writer.op_type in ("EmbedLayerNormalization", "ReduceSum")


def rotated(
    graph: GraphEditor, x: str, cos: str, sin: str, half: int, size: int, *, interleaved: bool, output: str = ""
) -> str:
    """The first 2 · half entries of each head turned by their position's angle, the rest as it is.

    x is [B, heads, S, size]; cos and sin broadcast to [B, heads, S, half]. Pairs are neighbours where `interleaved`,
    else entries i and i + half.
    """
    rest = ""
    if size > 2 * half:
        x, rest = graph.split(x, [2 * half, size - 2 * half], 3)
    if interleaved:
        pairs = graph.reshape(x, [0, 0, 0, -1, 2])
        one, two = (graph.squeeze(part, [4]) for part in graph.split(pairs, [1, 1], 4))
    else:
        one, two = graph.split(x, [half, half], 3)
    first = graph.op("Sub", [graph.op("Mul", [one, cos]), graph.op("Mul", [two, sin])])
    second = graph.op("Add", [graph.op("Mul", [two, cos]), graph.op("Mul", [one, sin])])
    if interleaved:
        joined = graph.concat([graph.unsqueeze(first, [4]), graph.unsqueeze(second, [4])], 4)
        turned = graph.reshape(joined, [0, 0, 0, -1], "" if rest else output)
    else:
        turned = graph.concat([first, second], 3, "" if rest else output)
    return graph.concat([turned, rest], 3, output) if rest else turned


def _refuse(graph: GraphEditor, node: onnx.NodeProto, inputs: dict[int, str], attributes: dict[str, object]) -> None:
    """Raise CannotRewrite for an input that is given or an attribute that is not as it says here."""
    for position, what in inputs.items():
        if graph.input(node, position):
            raise CannotRewrite(f"{what} is given")
    for name, usual in attributes.items():
        if graph.attribute(node, name, usual) != usual:
            raise CannotRewrite(f"{name} is {graph.attribute(node, name)}")


# -------------------------------------------------------------------------------------------------- operators


@node_rewrite(
    "plain-attention",
    "write the attention with MatMul and Softmax",
    (MS, "Attention"),
    exactness=Exactness.ROUNDING,
)
def plain_attention(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """One product for Q, K and V, heads, past keys and values, mask, causal mask, softmax; 21 to 40 nodes."""
    _refuse(graph, node, {6: "the length of the past"}, {"do_rotary": 0, "past_present_share_buffer": 0})
    data, weights = node.input[:2]
    count = int(graph.attribute(node, "num_heads"))
    width = graph.static_dim(weights, 1)
    sizes = [int(size) for size in graph.attribute(node, "qkv_hidden_sizes", [])] or [width // 3] * 3
    product = graph.op("MatMul", [data, weights])
    if graph.input(node, 2):
        product = graph.op("Add", [product, node.input[2]])
    query, key, value = (heads(graph, part, count) for part in graph.split(product, sizes, 2))
    if graph.input(node, 4):
        past = [graph.squeeze(part, [0]) for part in graph.split(node.input[4], [1, 1], 0)]
        key, value = graph.concat([past[0], key], 2), graph.concat([past[1], value], 2)
    if graph.output(node, 1):
        graph.concat([graph.unsqueeze(key, [0]), graph.unsqueeze(value, [0])], 0, node.output[1])
    mask, bias = graph.input(node, 3), graph.input(node, 5)
    scores_and_values(
        graph,
        query,
        key,
        value,
        like=data,
        scale=float(graph.attribute(node, "scale", 0.0)) or (sizes[0] // count) ** -0.5,
        output=node.output[0],
        biases=[*([_mask_bias(graph, node, mask, data, key)] if mask else []), *([bias] if bias else [])],
        causal=bool(graph.attribute(node, "unidirectional", 0)),
    )


@node_rewrite(
    "plain-multi-head-attention",
    "write the attention with MatMul and Softmax",
    (MS, "MultiHeadAttention"),
    exactness=Exactness.ROUNDING,
)
def plain_multi_head_attention(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """Q, K and V apart or packed, their bias, the past, masks, softmax; 16 to 40 nodes."""
    _refuse(graph, node, {8: "the length of the past", 9: "an indirection of the cache"}, {})
    if graph.output(node, 3):
        raise CannotRewrite("the scores are an output")
    count = int(graph.attribute(node, "num_heads"))
    query, key, value, size = _three(node, graph, count)
    if graph.input(node, 6):
        key, value = graph.concat([node.input[6], key], 2), graph.concat([node.input[7], value], 2)
    for position, tensor in ((1, key), (2, value)):
        if graph.output(node, position):
            graph.op("Identity", [tensor], node.output[position])
    mask, bias = graph.input(node, 4), graph.input(node, 5)
    scores_and_values(
        graph,
        query,
        key,
        value,
        like=node.input[0],
        scale=float(graph.attribute(node, "scale", 0.0)) or size**-0.5,
        output=node.output[0],
        biases=[*([_mask_bias(graph, node, mask, node.input[0], key)] if mask else []), *([bias] if bias else [])],
        causal=bool(graph.attribute(node, "unidirectional", 0)),
    )


def _three(node: onnx.NodeProto, graph: GraphEditor, count: int) -> tuple[str, str, str, int]:
    """Q, K and V of a MultiHeadAttention as [B, heads, S, size], its bias added, and the size of a head."""
    query, key, value, bias = (graph.input(node, position) for position in range(4))
    if graph.rank(query) == 5:  # [B, S, heads, 3, size]
        if bias:
            raise CannotRewrite("packed queries, keys and values have a bias")
        parts = [graph.squeeze(part, [3]) for part in graph.split(query, [1, 1, 1], 3)]
        q, k, v = (graph.op("Transpose", [part], perm=[0, 2, 1, 3]) for part in parts)
        return q, k, v, graph.static_dim(query, 4)
    width = graph.static_dim(query, 2)
    if graph.rank(key) == 5:  # [B, T, heads, 2, size]
        if bias:
            raise CannotRewrite("packed keys and values have a bias")
        parts = [graph.squeeze(part, [3]) for part in graph.split(key, [1, 1], 3)]
        k, v = (graph.op("Transpose", [part], perm=[0, 2, 1, 3]) for part in parts)
        return heads(graph, query, count), k, v, width // count
    ready = graph.rank(key) == 4
    if bias:
        biases = graph.split(bias, [width, width, graph.static_dim(bias, 0) - 2 * width], 0)
        query = graph.op("Add", [query, biases[0]])
        if not ready:
            key, value = graph.op("Add", [key, biases[1]]), graph.op("Add", [value, biases[2]])
    q = heads(graph, query, count)
    return (
        (q, key, value, width // count)
        if ready
        else (q, heads(graph, key, count), heads(graph, value, count), width // count)
    )


@node_rewrite(
    "plain-group-query-attention",
    "write the attention with MatMul and Softmax, the past joined by Concat",
    (MS, "GroupQueryAttention"),
    exactness=Exactness.CHANGES,
    changes="right where no row is padded: seqlens_k is past + new - 1 for each, and the past is as long as it says",
)
def plain_group_query_attention(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """Q, K and V apart or packed, rotary embedding, the past joined, keys repeated for each group, softmax.

    ONNX Runtime writes new keys behind the entries that `seqlens_k` counts, possibly into a longer buffer; here they
    are joined behind the whole past, as an export without a shared buffer has it. 44 to 75 nodes.
    """
    _refuse(
        graph,
        node,
        {11: "a sink"},
        {"smooth_softmax": 0, "qk_output": 0, "k_quant_type": "NONE", "v_quant_type": "NONE"},
    )
    if len([name for name in node.output if name]) > 3:
        raise CannotRewrite("the scores are an output")
    count, groups = int(graph.attribute(node, "num_heads")), int(graph.attribute(node, "kv_num_heads"))
    query, key, value = node.input[:3]
    size = _head_size(node, graph, count, groups)
    if not key:
        query, key, value = graph.split(query, [count * size, groups * size, groups * size], 2)
    q, k, v = heads(graph, query, count), heads(graph, key, groups), heads(graph, value, groups)
    past = graph.input(node, 3)
    if graph.attribute(node, "do_rotary", 0):
        if not graph.input(node, 8):
            raise CannotRewrite("the tables of the rotary embedding are not given")
        cos, sin = (graph.op("Gather", [table, _positions(node, graph, q, past)], axis=0) for table in node.input[7:9])
        if graph.input(node, 9):
            cos, sin = graph.unsqueeze(cos, [1]), graph.unsqueeze(sin, [1])
        half = graph.static_dim(node.input[7], 1)
        interleaved = bool(graph.attribute(node, "rotary_interleaved", 0))
        q, k = (rotated(graph, each, cos, sin, half, size, interleaved=interleaved) for each in (q, k))
    keys, values = graph.output(node, 1), graph.output(node, 2)
    if past:
        k, v = graph.concat([past, k], 2, keys), graph.concat([node.input[4], v], 2, values)
    else:
        for tensor, output in ((k, keys), (v, values)):
            if output:
                graph.op("Identity", [tensor], output)
    if count != groups:
        k, v = (_repeated(graph, each, count, groups, size) for each in (k, v))
    scores_and_values(
        graph,
        q,
        k,
        v,
        like=node.input[0],
        scale=float(graph.attribute(node, "scale", 0.0)) or size**-0.5,
        output=node.output[0],
        biases=[node.input[10]] if graph.input(node, 10) else [],
        causal=True,
        window=int(graph.attribute(node, "local_window_size", -1)),
        softcap=float(graph.attribute(node, "softcap", 0.0)),
    )


def _head_size(node: onnx.NodeProto, graph: GraphEditor, count: int, groups: int) -> int:
    past = graph.dims(graph.input(node, 3)) if graph.input(node, 3) else None
    if past is not None and len(past) == 4 and isinstance(size := past[3], int):
        return size
    return graph.static_dim(node.input[0], 2) // (count if graph.input(node, 1) else count + 2 * groups)


def _positions(node: onnx.NodeProto, graph: GraphEditor, query: str, past: str) -> str:
    """Where each query stands: `position_ids`, or counted on behind the past."""
    if graph.input(node, 9):
        return str(node.input[9])
    new = graph.op("Gather", [graph.shape(query), graph.const([2])], axis=0)
    if not past:
        return graph.arange(new)
    return graph.op("Add", [graph.arange(new), graph.op("Gather", [graph.shape(past), graph.const([2])], axis=0)])


def _repeated(graph: GraphEditor, x: str, count: int, groups: int, size: int) -> str:
    """[B, groups, T, size] as [B, heads, T, size], each group's for all of its heads."""
    times = count // groups
    wide = graph.op("Expand", [graph.unsqueeze(x, [2]), graph.const([1, 1, times, 1, 1])])
    return graph.reshape(wide, [0, count, -1, size])


@node_rewrite(
    "plain-rotary-embedding",
    "write the rotary embedding with Split, Mul and Concat",
    (MS, "RotaryEmbedding"),
    exactness=Exactness.ROUNDING,
)
def plain_rotary_embedding(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """[B, S, heads · size] or [B, heads, S, size] turned; positions for each entry, or one offset for all."""
    _refuse(graph, node, {}, {"is_packed_batching": 0})
    data, positions, cos, sin = node.input[:4]
    half = graph.static_dim(cos, 1)
    rank, count = graph.rank(data), int(graph.attribute(node, "num_heads", 0))
    if rank == 3:
        partial = int(graph.attribute(node, "rotary_embedding_dim", 0))
        if partial and not count:
            raise CannotRewrite("the number of heads is not given")
        size = graph.static_dim(data, 2) // count if count else 2 * half
        x = graph.op("Transpose", [graph.reshape(data, [0, 0, -1, size])], perm=[0, 2, 1, 3])
    else:
        x, size = data, graph.static_dim(data, 3)
    if graph.rank(positions) == 1:
        length = graph.op("Gather", [graph.shape(x), graph.const([2])], axis=0)
        positions = graph.unsqueeze(graph.op("Add", [graph.arange(length), positions]), [0])
    cosines, sines = [graph.unsqueeze(graph.op("Gather", [table, positions], axis=0), [1]) for table in (cos, sin)]
    turned = rotated(
        graph,
        x,
        cosines,
        sines,
        half,
        size,
        interleaved=bool(graph.attribute(node, "interleaved", 0)),
        output="" if rank == 3 else node.output[0],
    )
    if rank == 3:
        graph.reshape(graph.op("Transpose", [turned], perm=[0, 2, 1, 3]), [0, 0, -1], node.output[0])


REWRITES = (plain_attention, plain_multi_head_attention, plain_group_query_attention, plain_rotary_embedding)
