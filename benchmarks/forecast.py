"""The memory forecast against what TensorRT-RTX plans: whole models and small parts of them, built for one size each.

    python -m benchmarks.forecast

Both figures are all that is planned beside the weights. Exits 1 when a forecast is more than `OVER` above the plan or
more than `UNDER` below it.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from benchmarks.machine import machine, row
from friction_tui.model.memory import forecast
from friction_tui.model.opened import open_model
from friction_tui.samples import sample
from friction_tui.vocabulary.protocol import JobKind
from friction_tui.vocabulary.recipe import Profile, Range, Recipe, Source
from friction_tui.worker.headless import Conversation

OVER, UNDER = 0.15, 0.05
WIDTHS = (34, 12, 13, 8)
MB = 1e6


class Net:
    """A graph under construction; every method adds a layer and gives the name of what it writes."""

    def __init__(self, *dims: int | str) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self._dims = dims
        self._random = np.random.default_rng(0)

    def add(self, op: str, *inputs: str, **attributes: object) -> str:
        out = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [out], name=f"{op}_{len(self.nodes)}", **attributes))  # type: ignore[arg-type]
        return out

    def weight(self, *dims: int) -> str:
        values = (self._random.standard_normal(dims) * 0.05).astype(np.float32)
        return self._kept(values)

    def ints(self, *values: int) -> str:
        return self._kept(np.array(values, np.int64))

    def _kept(self, values: np.ndarray) -> str:
        self.weights.append(numpy_helper.from_array(values, f"w{len(self.weights)}"))
        return self.weights[-1].name

    def conv(self, x: str, inside: int, outside: int, size: int = 3, stride: int = 1, group: int = 1) -> str:
        pads = [size // 2] * 4
        weight = self.weight(outside, inside // group, size, size)
        y = self.add("Conv", x, weight, pads=pads, strides=[stride, stride], group=group, kernel_shape=[size, size])
        return self.add("Relu", y)

    def model(self, out: str) -> onnx.ModelProto:
        ports = [helper.make_tensor_value_info("x", TensorProto.FLOAT, self._dims)]
        self.nodes.append(helper.make_node("Identity", [out], ["y"], name="out"))
        outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)]
        graph = helper.make_graph(self.nodes, "net", ports, outputs, self.weights)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def transformer(layers: int = 2, width: int = 256, heads: int = 4) -> onnx.ModelProto:
    """Attention is quadratic in L."""
    net, x = Net("N", "L", width), "x"
    for _ in range(layers):
        y = net.add("LayerNormalization", x, net.weight(width), net.weight(width))
        parts = []
        for perm in ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]):
            split = net.add(
                "Reshape", net.add("MatMul", y, net.weight(width, width)), net.ints(0, 0, heads, width // heads)
            )
            parts.append(net.add("Transpose", split, perm=perm))
        mixed = net.add("MatMul", net.add("Softmax", net.add("MatMul", *parts[:2])), parts[2])
        joined = net.add("Reshape", net.add("Transpose", mixed, perm=[0, 2, 1, 3]), net.ints(0, 0, width))
        x = net.add("Add", x, net.add("MatMul", joined, net.weight(width, width)))
        y = net.add("LayerNormalization", x, net.weight(width), net.weight(width))
        wide = net.add("Relu", net.add("MatMul", y, net.weight(width, 4 * width)))
        x = net.add("Add", x, net.add("MatMul", wide, net.weight(4 * width, width)))
    return net.model(x)


def residual() -> onnx.ModelProto:
    net = Net("N", 3, 224, 224)
    x = net.conv("x", 3, 32, stride=2)
    for _ in range(3):
        x = net.add("Relu", net.add("Add", x, net.conv(net.conv(x, 32, 32), 32, 32)))
    return net.model(x)


def depthwise() -> onnx.ModelProto:
    net = Net("N", 3, 224, 224)
    x = net.conv("x", 3, 16, stride=2)
    for _ in range(3):
        x = net.add("Add", x, net.conv(net.conv(net.conv(x, 16, 96, 1), 96, 96, 3, group=96), 96, 16, 1))
    return net.model(x)


def dense() -> onnx.ModelProto:
    net = Net("N", 3, 128, 128)
    x, channels = net.conv("x", 3, 16), 16
    for _ in range(5):
        x, channels = net.add("Concat", x, net.conv(x, channels, 16), axis=1), channels + 16
    return net.model(x)


def unet() -> onnx.ModelProto:
    net = Net("N", 3, 128, 128)
    skips, x, channels = [], net.conv("x", 3, 16), 16
    for _ in range(3):
        skips.append((x, channels))
        x = net.conv(net.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2]), channels, channels * 2)
        channels *= 2
    for skip, outside in reversed(skips):
        weight = net.weight(channels, outside, 2, 2)
        x = net.add("Concat", net.add("ConvTranspose", x, weight, strides=[2, 2]), skip, axis=1)
        x, channels = net.conv(x, 2 * outside, outside), outside
    return net.model(x)


def big_weights() -> onnx.ModelProto:
    net, x = Net("N", 3072), "x"
    for _ in range(3):
        x = net.add("Relu", net.add("Gemm", x, net.weight(3072, 3072)))
    return net.model(x)


def recurrent() -> onnx.ModelProto:
    net = Net("L", "N", 64)
    y = net.add("LSTM", "x", net.weight(1, 512, 64), net.weight(1, 512, 128), hidden_size=128)
    return net.model(net.add("MatMul", net.add("Squeeze", y, net.ints(1)), net.weight(128, 64)))


def mobile() -> onnx.ModelProto:
    """An inverted bottleneck, as in MobileNet."""
    net = Net("N", 16, 128, 128)
    return net.model(net.conv(net.conv(net.conv("x", 16, 96, 1), 96, 96, 3, group=96), 96, 16, 1))


def attention() -> onnx.ModelProto:
    net, width, heads = Net("N", "L", 256), 256, 4
    parts = []
    for perm in ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]):
        product = net.add("MatMul", "x", net.weight(width, width))
        split = net.add("Reshape", product, net.ints(0, 0, heads, width // heads))
        parts.append(net.add("Transpose", split, perm=perm))
    mixed = net.add("MatMul", net.add("Softmax", net.add("MatMul", *parts[:2])), parts[2])
    return net.model(net.add("Reshape", net.add("Transpose", mixed, perm=[0, 2, 1, 3]), net.ints(0, 0, width)))


def softmax_between_products() -> onnx.ModelProto:
    net = Net("N", "L", 256)
    wide = net.add("Softmax", net.add("MatMul", "x", net.weight(256, 1024)))
    return net.model(net.add("MatMul", wide, net.weight(1024, 256)))


def elementwise_chain() -> onnx.ModelProto:
    """Normalization taken apart, and a GELU taken apart, between matrix products."""
    net = Net("N", "L", 256)
    y = net.add("MatMul", "x", net.weight(256, 256))
    centred = net.add("Sub", y, net.add("ReduceMean", y, axes=[-1]))
    spread = net.add("Sqrt", net.add("ReduceMean", net.add("Mul", centred, centred), axes=[-1]))
    y = net.add("MatMul", net.add("Div", centred, spread), net.weight(256, 512))
    return net.model(net.add("MatMul", net.add("Mul", y, net.add("Erf", y)), net.weight(512, 256)))


def densely_gated() -> onnx.ModelProto:
    """SiLU convolutions whose results are concatenated, as in YOLO's necks."""
    net = Net("N", 16, 96, 96)
    parts = ["x"]
    for _ in range(4):
        y = net.add("Conv", parts[-1], net.weight(16, 16, 3, 3), pads=[1] * 4)
        parts.append(net.add("Mul", y, net.add("Sigmoid", y)))
    return net.model(net.conv(net.add("Concat", *parts[1:], axis=1), 64, 16, 1))


Make = Callable[[], onnx.ModelProto]
CASES: tuple[tuple[str, Make | str, tuple[dict[str, int], ...]], ...] = (
    ("transformer", transformer, ({"N": 4, "L": 128}, {"N": 1, "L": 1024})),
    ("U-Net", unet, ({"N": 1}, {"N": 16})),
    ("residual CNN", residual, ({"N": 1}, {"N": 16})),
    ("depthwise CNN", depthwise, ({"N": 1}, {"N": 16})),
    ("dense CNN", dense, ({"N": 1}, {"N": 16})),
    ("113 MB of weights", big_weights, ({"N": 1}, {"N": 4096})),
    ("LSTM", recurrent, ({"L": 32, "N": 8}, {"L": 32, "N": 512})),
    ("mobile block", mobile, ({"N": 1}, {"N": 32})),
    ("attention", attention, ({"N": 1, "L": 128}, {"N": 1, "L": 512}, {"N": 2, "L": 1024})),
    ("softmax between products", softmax_between_products, ({"N": 1, "L": 1024}, {"N": 4, "L": 4096})),
    ("element-wise chains", elementwise_chain, ({"N": 1, "L": 512}, {"N": 16, "L": 2048})),
    ("gated convolutions, concatenated", densely_gated, ({"N": 1}, {"N": 32})),
    ("healthy_transformer", "healthy_transformer", ({"N": 1, "L": 64}, {"N": 8, "L": 256})),
    ("healthy_cnn", "healthy_cnn", ({"N": 8}, {"N": 512})),
    ("unet_skip", "unet_skip", ({"H": 64, "W": 64}, {"H": 512, "W": 512})),
    ("fp16_hazard", "fp16_hazard", ({"N": 64}, {"N": 65536})),
)


async def measured(folder: Path) -> list[tuple[str, int, int]]:
    """(name and sizes, planned, predicted) of every case, in bytes."""
    conversation, found = Conversation(), []
    try:
        for name, source, points in CASES:
            path = folder / "model.onnx"
            if isinstance(source, str):
                known = sample(source)
                assert known is not None
                path = known
            else:
                onnx.save(source(), path)
            for sizes in points:
                profile = Profile(ranges={key: Range(size, size, size) for key, size in sizes.items()})
                answer = await conversation.ask(
                    Recipe(source=Source(str(path)), profile=profile), jobs=(JobKind.BUILD,)
                )
                build, expected = answer.build, forecast(open_model(path), profile, "")
                label = f"{name}, {' '.join(f'{key} {size}' for key, size in sizes.items())}"
                if build is None or not build.activation_bytes or not expected.sizes:
                    raise SystemExit(f"{label}: {answer.job_error or answer.failure or 'no figures'}")
                found.append((label, build.activation_bytes[0], expected.activations[0]))
    finally:
        await conversation.close()
    return found


def main() -> int:
    """Print the table."""
    print(machine())
    print(row(("model, sizes", "planned MB", "predicted MB", "off"), WIDTHS))
    with tempfile.TemporaryDirectory(prefix="forecast-") as folder:
        cases = asyncio.run(measured(Path(folder)))
    missed = 0
    for label, planned, predicted in cases:
        off = (predicted - planned) / planned
        missed += not -UNDER <= off <= OVER
        print(row((label, f"{planned / MB:.2f}", f"{predicted / MB:.2f}", f"{off:+.1%}"), WIDTHS))
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
