"""What is asked of ONNX Runtime in a process of its own; see `friction_tui.engines.onnxruntime`.

One `Ask` as JSON on stdin, one answer as JSON on the real stdout.
"""

from __future__ import annotations

import os
import sys

import msgspec


class Ask(msgspec.Struct, frozen=True):
    """A question: `session`, `lint`, `placement` or `limits`."""

    what: str
    model: str = ""
    sizes: dict[str, list[int]] = {}
    values: dict[str, list[int]] = {}


class NodeError(msgspec.Struct, frozen=True):
    """A node that ONNX Runtime refuses. `path` as in GraphData; `stage` is `load` or `run`."""

    path: str
    name: str
    op: str
    text: str
    stage: str


class Placed(msgspec.Struct, frozen=True):
    """A node (its name, "" for a nameless one) and the provider it runs on."""

    name: str
    op: str
    provider: str


class Limits(msgspec.Struct, frozen=True):
    """The newest IR version and opset of the default domain that load."""

    ir: int
    opset: int


def main() -> None:
    """Answer one question."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # native code prints to fd 1
    ask = msgspec.json.decode(sys.stdin.buffer.read(), type=Ask)
    answer: object
    match ask.what:
        case "session":
            answer = session_error(ask.model)
        case "placement":
            answer = placement(ask.model)
        case "limits":
            answer = limits()
        case _:
            from friction_tui.engines.node_lint import lint

            answer = lint(ask.model, ask.sizes, ask.values)
    out.write(msgspec.json.encode(answer))
    out.flush()
    os._exit(0)  # exit handlers of native libraries can crash after the work is done


def session_error(model: str) -> str:
    """What loading the file says, "" for nothing. Optimizations are off: they hide nodes and cost time."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        # The bindings raise a class of their own for each of ONNX Runtime's status codes.
        return str(error)
    return ""


def placement(model: str) -> list[Placed]:
    """Where each node runs; see https://onnxruntime.ai/docs/api/python for get_provider_graph_assignment_info."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    session = ort.InferenceSession(model, options, providers=ort.get_available_providers())
    return [
        Placed(node.name, node.op_type, part.ep_name)
        for part in session.get_provider_graph_assignment_info()
        for node in part.get_nodes()
    ]


def limits() -> Limits:
    """Try one-node models, each newer than the one before, until one does not load."""
    import onnx
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 4
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    result = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], ["y"])], "probe", [value], [result])

    def loads(ir: int, opset: int) -> bool:
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", opset)], ir_version=ir)
        try:
            ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        except Exception:
            return False  # any refusal is the answer here
        return True

    ir, opset = 8, 15  # taken since ONNX Runtime 1.10, older than every one this tool installs with
    while loads(ir + 1, 15):
        ir += 1
    while loads(8, opset + 1):
        opset += 1
    return Limits(ir, opset)


if __name__ == "__main__":
    main()
