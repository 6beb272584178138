"""Sample models with tokens or steps in: transformers, loops, masks."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper

from sample_models.building import Graph

WIDTH, HEADS = 32, 4


def _attention(g: Graph, scope: str, x: str) -> str:
    heads = g.constant(f"{scope}.split", [0, 0, HEADS, WIDTH // HEADS], np.int64)
    parts = {}
    for part in ("q", "k", "v"):
        wide = g.node("Reshape", f"{scope}/{part}/Reshape", [g.linear(f"{scope}/{part}", x, WIDTH, WIDTH), heads])
        order = [0, 2, 3, 1] if part == "k" else [0, 2, 1, 3]
        parts[part] = g.node("Transpose", f"{scope}/{part}/Transpose", [wide], perm=order)
    scores = g.node("MatMul", f"{scope}/scores/MatMul", [parts["q"], parts["k"]])
    root = g.constant(f"{scope}.scale", (WIDTH // HEADS) ** -0.5, np.float32)
    weights = g.node("Softmax", f"{scope}/Softmax", [g.node("Mul", f"{scope}/scores/Mul", [scores, root])], axis=-1)
    mixed = g.node("MatMul", f"{scope}/mix/MatMul", [weights, parts["v"]])
    back = g.node("Transpose", f"{scope}/mix/Transpose", [mixed], perm=[0, 2, 1, 3])
    flat = g.node("Reshape", f"{scope}/mix/Reshape", [back, g.constant(f"{scope}.join", [0, 0, WIDTH], np.int64)])
    return g.linear(f"{scope}/out", flat, WIDTH, WIDTH)


def _norm(g: Graph, scope: str, x: str) -> str:
    scale, bias = (
        g.constant(f"{scope}.scale", np.ones(WIDTH, np.float32)),
        g.constant(f"{scope}.bias", np.zeros(WIDTH, np.float32)),
    )
    return g.node("LayerNormalization", f"{scope}/LayerNorm", [x, scale, bias], axis=-1)


def healthy_transformer() -> onnx.ModelProto:
    """Nothing is wrong: four layers, dynamic batch and sequence."""
    g = Graph("healthy_transformer")
    tokens = g.input("tokens", ["N", "L"], TensorProto.INT64)
    x = g.node("Gather", "embed/Gather", [g.weight("embed.weight", 200, WIDTH, scale=0.02), tokens])
    for i in range(4):
        scope = f"layers.{i}"
        attended = _attention(g, f"{scope}/attn", _norm(g, f"{scope}/norm1", x))
        x = g.node("Add", f"{scope}/Add1", [x, attended])
        up = g.node(
            "Relu", f"{scope}/mlp/Relu", [g.linear(f"{scope}/mlp/up", _norm(g, f"{scope}/norm2", x), WIDTH, 64)]
        )
        x = g.node("Add", f"{scope}/Add2", [x, g.linear(f"{scope}/mlp/down", up, 64, WIDTH)])
    g.node("Identity", "out/Identity", [g.linear("lm_head", _norm(g, "norm", x), WIDTH, 200)], outputs=["logits"])
    g.output("logits", ["N", "L", 200])
    return g.model()


def boolean_mask() -> onnx.ModelProto:
    """x[mask] in Python: how many rows come out depends on the values."""
    g = Graph("boolean_mask")
    x, mask = g.input("x", ["L", 16]), g.input("mask", ["L"], TensorProto.BOOL)
    where = g.node("Transpose", "select/Transpose", [g.node("NonZero", "select/NonZero", [mask])], perm=[1, 0])
    rows = g.node("GatherND", "select/GatherND", [x, where])
    g.node("ReduceMean", "pool/ReduceMean", [rows], outputs=["mean"], axes=[0], keepdims=0)
    g.output("mean", [16])
    return g.model()


def growing_loop() -> onnx.ModelProto:
    """A decoder that appends one column to its state every step: TensorRT's loops keep their shapes."""
    g = Graph("growing_loop")
    start = g.input("start", [1, 4])
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go_in"], ["go_out"], name="keep_going"),
            helper.make_node("ReduceMean", ["state_in"], ["next"], name="predict", axes=[1], keepdims=1),
            helper.make_node("Concat", ["state_in", "next"], ["state_out"], name="append", axis=1),
        ],
        "step",
        [
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
            helper.make_tensor_value_info("go_in", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state_in", TensorProto.FLOAT, [1, None]),
        ],
        [
            helper.make_tensor_value_info("go_out", TensorProto.BOOL, []),
            helper.make_tensor_value_info("state_out", TensorProto.FLOAT, [1, None]),
        ],
    )
    steps, go = g.constant("decode.steps", 8, np.int64), g.constant("decode.go", True, np.bool_)
    g.node("Loop", "decode/Loop", [steps, go, start], outputs=["sequence"], body=body)
    g.output("sequence", [1, None])
    return g.model()


def fp16_hazard() -> onnx.ModelProto:
    """A hand-written RMS norm over large activations, and weights too small for float16."""
    g = Graph("fp16_hazard")
    x = g.input("x", ["N", 64])
    big = g.node("Mul", "scale/Mul", [x, g.constant("scale.gain", 1.0e6, np.float32)])
    square = g.node("Pow", "norm/Pow", [big, g.constant("norm.two", 2.0, np.float32)])
    mean = g.node("ReduceMean", "norm/ReduceMean", [square], axes=[-1], keepdims=1)
    y = g.node("Div", "norm/Div", [big, g.node("Sqrt", "norm/Sqrt", [mean])])
    g.node("MatMul", "head/MatMul", [y, g.weight("head.weight", 64, 8, scale=1e-8)], outputs=["y"])
    g.output("y", ["N", 8])
    return g.model()
