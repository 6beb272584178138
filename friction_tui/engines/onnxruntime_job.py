"""What is asked of ONNX Runtime and of ONNX's checker in a process of its own; see `friction_tui.engines.onnxruntime`.

`Ask`s as lines of JSON on stdin, for each an answer as a line of JSON on the real stdout, until stdin ends.
"""

from __future__ import annotations

import os
import sys

import msgspec

from friction_tui.engines.base import NodeError, Opinion, Ran
from friction_tui.processes.stdio import LineWriter, take_stdout

POLITE = 5
"""How much nicer it is than who asks: TensorRT's verdict and the rules come first, also on two cores."""


class Ask(msgspec.Struct, frozen=True):
    """A question: `verdict` on the file `model`, a `run` of it at `sizes`, or `limits`.

    `values` are those of inputs that are read as shapes, flattened.
    """

    what: str
    model: str = ""
    sizes: dict[str, tuple[int, ...]] = {}
    values: dict[str, tuple[int, ...]] = {}


class Limits(msgspec.Struct, frozen=True):
    """The newest IR version and opset of the default domain that load."""

    ir: int
    opset: int


def main() -> None:
    """Answer what is asked, once the libraries are there."""
    send = LineWriter(take_stdout())
    os.nice(POLITE)
    import onnxruntime  # noqa: F401  (the first question finds it loaded)

    for line in sys.stdin.buffer:
        ask = msgspec.json.decode(line, type=Ask)
        send(limits() if ask.what == "limits" else run_once(ask) if ask.what == "run" else verdict(ask.model))
    os._exit(0)  # exit handlers of native libraries can crash after the work is done


def verdict(model: str) -> Opinion:
    """Load the model; only when that fails is each of its nodes asked."""
    import onnx
    import onnxruntime as ort

    from friction_tui.engines.node_lint import lint, options

    try:
        onnx.checker.check_model(model)
        complaint = ""
    except (onnx.checker.ValidationError, ValueError, RuntimeError) as error:
        complaint = str(error).strip()
    try:
        ort.InferenceSession(model, options(), providers=["CPUExecutionProvider"])
    except Exception as error:
        # The bindings raise a class of their own for each of ONNX Runtime's status codes.
        return Opinion(str(error), tuple(NodeError(path, text) for path, text in lint(model)), complaint)
    return Opinion("", (), complaint)


def run_once(ask: Ask) -> Ran:
    """Run the model on normally distributed floats and on ones, which index any table of two rows."""
    import numpy as np
    import onnxruntime as ort

    from friction_tui.engines.node_lint import options

    try:
        session = ort.InferenceSession(ask.model, options(), providers=["CPUExecutionProvider"])
    except Exception:
        return Ran(fed=False)  # what does not load is said elsewhere
    draw, feeds = np.random.default_rng(0), {}
    for port in session.get_inputs():
        dtype = _NUMPY.get(port.type, "")
        shape = ask.sizes.get(port.name, tuple(port.shape))
        if not dtype or not all(isinstance(size, int) for size in shape):
            return Ran(fed=False)
        if port.name in ask.values:
            feeds[port.name] = np.array(ask.values[port.name], dtype).reshape(shape)
        else:
            made = draw.standard_normal(shape) if dtype.startswith("float") else np.ones(shape)
            feeds[port.name] = made.astype(dtype)
    try:
        outputs = session.run(None, feeds)
    except Exception as error:
        return Ran(str(error))
    named = zip((port.name for port in session.get_outputs()), outputs, strict=True)
    floats = [(name, out) for name, out in named if isinstance(out, np.ndarray) and out.dtype.kind == "f"]
    return Ran("", tuple(name for name, out in floats if not np.isfinite(out).all()))


_NUMPY = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(float16)": "float16",
    **{f"tensor({name})": name for name in ("int8", "int16", "int32", "int64", "uint8", "bool")},
}
"""ONNX Runtime's names of the types of inputs that can be made up, and NumPy's."""


def limits() -> Limits:
    """Try one-node models, each newer than the one before, until one does not load."""
    import onnx
    import onnxruntime as ort

    from friction_tui.engines.node_lint import options

    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    result = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], ["y"])], "probe", [value], [result])

    def loads(ir: int, opset: int) -> bool:
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)], ir_version=ir)
        try:
            ort.InferenceSession(model.SerializeToString(), options(), providers=["CPUExecutionProvider"])
        except Exception:
            return False  # any refusal is the answer here
        return True

    ir, opset = 8, 15  # taken since ONNX Runtime 1.10, older than every one this tool installs with
    while loads(ir + 1, 15):
        ir += 1
    while loads(8, opset + 1):
        opset += 1
    return Limits(ir, opset)
