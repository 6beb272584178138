"""One run of a model in ONNX Runtime, in a process of its own: it may fail, crash or hang.

A line of JSON on stdin: `model`, `feeds` and `keep`, the paths of an ONNX file, of an .npz with its inputs, and of one
to write its outputs to ("" for none). A line on the real stdout: `error`, what ONNX Runtime says, "" when it ran.
"""

from __future__ import annotations

import json
import os
import sys

from friction_tui.processes.stdio import take_stdout


def main() -> None:
    """Run what stdin asks for."""
    out = take_stdout()
    asked = json.loads(sys.stdin.buffer.readline())
    out.write(json.dumps({"error": run(asked["model"], asked["feeds"], asked["keep"])}).encode() + b"\n")
    out.flush()
    os._exit(0)  # exit handlers of native libraries can crash after the work is done


def run(model: str, feeds: str, keep: str) -> str:
    """What ONNX Runtime says when it loads and runs a model, its graph left as it is; "" when it runs."""
    import numpy as np
    import onnxruntime as ort

    from friction_tui.engines.node_lint import options

    try:
        session = ort.InferenceSession(model, options(), providers=["CPUExecutionProvider"])
        with np.load(feeds) as arrays:
            given = {value.name: arrays[value.name] for value in session.get_inputs()}
        names = [value.name for value in session.get_outputs()]
        results = dict(zip(names, session.run(names, given), strict=True))
    except Exception as error:
        # The bindings raise a class of their own for each of ONNX Runtime's status codes.
        return str(error)
    if keep:
        kept = {name: value for name, value in results.items() if isinstance(value, np.ndarray)}
        np.savez(keep, **kept)  # type: ignore[arg-type]
    return ""


if __name__ == "__main__":
    main()
