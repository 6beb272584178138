"""Sample models with images in: detectors, segmenters, classifiers."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto

from sample_models.building import Graph


def detector() -> onnx.ModelProto:
    """A small detector with three frictions: a skip that needs even sizes, a baked batch, NonZero at the end."""
    g = Graph("detector")
    x = g.input("images", ["N", 3, "H", "W"])
    stem = g.conv("backbone/stem", x, 3, 8, stride=2)
    low = g.conv("backbone/stage1", stem, 8, 16, stride=2)
    deep = g.conv("backbone/stage2", low, 16, 32, stride=2)
    scales = g.constant("neck.scales", [1, 1, 2, 2], np.float32)
    up = g.node("Resize", "neck/up/Resize", [deep, "", scales], mode="nearest")
    joined = g.node("Concat", "neck/Concat", [up, low], axis=1)
    fused = g.conv("neck/fuse", joined, 48, 32)
    pooled = g.node("GlobalAveragePool", "head/pool", [fused])
    target = g.constant("head.flatten_shape", [1, 32], np.int64)
    flat = g.node("Reshape", "head/Reshape", [pooled, target])
    scores = g.node("Sigmoid", "head/Sigmoid", [g.linear("head/score", flat, 32, 10)], outputs=["scores"])
    half = g.constant("post.threshold", 0.5, np.float32)
    kept = g.node("Greater", "post/Greater", [scores, half])
    g.node("NonZero", "post/NonZero", [kept], outputs=["kept"])
    g.output("scores", ["N", 10])
    g.output("kept", [2, "count"], TensorProto.INT64)
    return g.model()


def baked_batch() -> onnx.ModelProto:
    """The flatten before the classifier was traced with batch 1."""
    g = Graph("baked_batch")
    y = g.conv("features/conv1", g.input("images", ["N", 3, 32, 32]), 3, 8, stride=2)
    y = g.conv("features/conv2", y, 8, 16, stride=2)
    y = g.node("Reshape", "classifier/Reshape", [y, g.constant("classifier.shape", [1, 1024], np.int64)])
    g.node("Identity", "logits/Identity", [g.linear("classifier/fc", y, 1024, 10)], outputs=["logits"])
    g.output("logits", ["N", 10])
    return g.model()


def unet_skip() -> onnx.ModelProto:
    """Two down, two up, concatenated: every size that is not a multiple of 4 breaks a Concat."""
    g = Graph("unet_skip")
    x = g.input("image", [1, 3, "H", "W"])
    enc1 = g.conv("enc1", x, 3, 8)
    enc2 = g.conv("enc2", g.node("MaxPool", "down1/MaxPool", [enc1], kernel_shape=[2, 2], strides=[2, 2]), 8, 16)
    deep = g.conv("deep", g.node("MaxPool", "down2/MaxPool", [enc2], kernel_shape=[2, 2], strides=[2, 2]), 16, 32)
    scales = g.constant("up.scales", [1, 1, 2, 2], np.float32)
    up2 = g.node("Resize", "up2/Resize", [deep, "", scales], mode="nearest")
    dec2 = g.conv("dec2", g.node("Concat", "up2/Concat", [up2, enc2], axis=1), 48, 16)
    up1 = g.node("Resize", "up1/Resize", [dec2, "", scales], mode="nearest")
    dec1 = g.conv("dec1", g.node("Concat", "up1/Concat", [up1, enc1], axis=1), 24, 8)
    g.node("Sigmoid", "out/Sigmoid", [g.conv("out", dec1, 8, 1, kernel=1, relu=False)], outputs=["mask"])
    g.output("mask", [1, 1, "H", "W"])
    return g.model()


def nms() -> onnx.ModelProto:
    """Non-maximum suppression left inside the graph."""
    g = Graph("nms")
    boxes = g.input("boxes", ["N", 100, 4])
    logits = g.input("logits", ["N", 4, 100])
    scores = g.node("Sigmoid", "post/Sigmoid", [logits])
    limits = [g.constant("nms.max", [20], np.int64), g.constant("nms.iou", [0.5], np.float32)]
    score = g.constant("nms.score", [0.3], np.float32)
    g.node("NonMaxSuppression", "post/NonMaxSuppression", [boxes, scores, *limits, score], outputs=["selected"])
    g.output("selected", ["count", 3], TensorProto.INT64)
    return g.model()


def qdq_asymmetric() -> onnx.ModelProto:
    """Activations quantized with a zero point that is not zero, as ONNX Runtime's default calibration does."""
    g = Graph("qdq_asymmetric")
    x = g.input("images", ["N", 3, 16, 16])
    scale, zero = g.constant("act.scale", 0.02, np.float32), g.constant("act.zero_point", -7, np.int8)
    q = g.node("QuantizeLinear", "quant/act/QuantizeLinear", [x, scale, zero])
    dq = g.node("DequantizeLinear", "quant/act/DequantizeLinear", [q, scale, zero])
    y = g.conv("conv", dq, 3, 8)
    g.node("Identity", "out/Identity", [y], outputs=["features"])
    g.output("features", ["N", 8, 16, 16])
    return g.model()


def upsample9() -> onnx.ModelProto:
    """F.interpolate as old exporters wrote it: Upsample of opset 9 with scales computed from the shape."""
    g = Graph("upsample9", opset=9)
    x = g.conv("body", g.input("images", ["N", 3, 16, 16]), 3, 8)
    shape = g.node("Shape", "up/Shape", [x])
    size = g.node("Cast", "up/Cast", [shape], to=TensorProto.FLOAT)
    double = g.node("Mul", "up/Mul", [size, g.constant("up.two", [1, 1, 2, 2], np.float32)])
    scales = g.node("Div", "up/Div", [double, size])
    g.node("Upsample", "up/Upsample", [x, scales], outputs=["bigger"], mode="nearest")
    g.output("bigger", ["N", 8, 32, 32])
    return g.model()


def training_mode() -> onnx.ModelProto:
    """Exported without model.eval(): BatchNormalization and Dropout still train."""
    g = Graph("training_mode")
    y = g.conv("body", g.input("images", ["N", 3, 16, 16]), 3, 8, relu=False)
    stats = [
        g.constant(f"bn.{n}", np.full(8, v), np.float32)
        for n, v in (("scale", 1), ("bias", 0), ("mean", 0), ("var", 1))
    ]
    y = g.node(
        "BatchNormalization", "body/BatchNorm", [y, *stats], outputs=["bn_out", "bn_mean", "bn_var"], training_mode=1
    )
    ratio, training = g.constant("drop.ratio", 0.5, np.float32), g.constant("drop.training", True, np.bool_)
    g.node("Dropout", "head/Dropout", [g.node("Relu", "body/Relu", [y]), ratio, training], outputs=["features"])
    g.output("features", ["N", 8, 16, 16])
    return g.model()


def wrong_types() -> onnx.ModelProto:
    """A uint8 image and a float64 scale at the border, as numpy and TensorFlow hand them over."""
    g = Graph("wrong_types")
    pixels = g.input("pixels", ["N", 3, 16, 16], TensorProto.UINT8)
    gain = g.input("gain", ["N", 1, 1, 1], TensorProto.DOUBLE)
    wide = g.node("Cast", "pre/ToDouble", [pixels], to=TensorProto.DOUBLE)
    scaled = g.node("Mul", "pre/Scale", [wide, gain])
    y = g.conv("body", g.node("Cast", "pre/ToFloat", [scaled], to=TensorProto.FLOAT), 3, 8)
    g.node("Identity", "out/Identity", [y], outputs=["features"])
    g.output("features", ["N", 8, 16, 16])
    return g.model()


def healthy_cnn() -> onnx.ModelProto:
    """Nothing is wrong: dynamic batch, everything else fixed."""
    g = Graph("healthy_cnn")
    y = g.conv("stem", g.input("images", ["N", 3, 32, 32]), 3, 8, stride=2)
    left = g.conv("block/conv2", g.conv("block/conv1", y, 8, 8), 8, 8, relu=False)
    y = g.node("Relu", "block/Relu", [g.node("Add", "block/Add", [left, y])])
    y = g.node("Flatten", "head/Flatten", [g.node("GlobalAveragePool", "head/pool", [y])], axis=1)
    g.node("Softmax", "head/Softmax", [g.linear("head/fc", y, 8, 10)], outputs=["probabilities"], axis=-1)
    g.output("probabilities", ["N", 10])
    return g.model()
