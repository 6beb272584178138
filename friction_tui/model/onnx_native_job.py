"""The child of `onnx_native`: answers one question after another with onnx's C++ module alone.

Standard library only, and not the `onnx` package: the module takes and gives serialized messages, and is loaded in a
twentieth of the time that the package takes.
"""

from __future__ import annotations

import base64
import importlib
import importlib.machinery
import importlib.util
import json
import os
import sys
from typing import Any

_MODULE = "onnx_cpp2py_export"


def main() -> None:
    """Answer what comes in on stdin: a line of JSON, then the bytes whose lengths it gives."""
    channel = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # native code prints to fd 1 whenever it likes
    native = _native()
    for line in sys.stdin.buffer:
        question = json.loads(line)
        parts = {name: sys.stdin.buffer.read(size) for name, size in question["sizes"]}
        try:
            given = _answer(native, question["what"], question["arguments"], parts)
            said: dict[str, Any] = {"given": {name: base64.b64encode(part).decode() for name, part in given.items()}}
        except Exception as error:
            # The errors of the bindings have no common class; which one it was is part of the answer.
            said = {"error": type(error).__name__, "text": str(error)}
        channel.write(json.dumps(said).encode() + b"\n")
        channel.flush()
    os._exit(0)


def _native() -> Any:
    """Onnx's C++ module, without the package around it where that can be done."""
    package = importlib.util.find_spec("onnx")
    places = list(package.submodule_search_locations or ()) if package is not None else []
    spec = importlib.machinery.PathFinder.find_spec(_MODULE, places)
    if spec is None or spec.loader is None:
        return importlib.import_module(f"onnx.{_MODULE}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _answer(native: Any, what: str, arguments: list[Any], parts: dict[str, bytes]) -> dict[str, bytes]:
    subject = parts[""]
    if what == "infer_shapes":
        return {"": native.shape_inference.infer_shapes(subject, *arguments)}
    if what == "inline_local_functions":
        return {"": native.inliner.inline_local_functions(subject, *arguments)}
    if what == "inline_operators":
        return {"": native.inliner.inline_selected_functions2(subject, [("", op) for op in arguments[0]], False)}
    if what == "convert_version":
        return {"": native.version_converter.convert_version(subject, *arguments)}
    if what == "check_model":
        native.checker.check_model(subject)
        return {}
    operator, domain, version, opsets = arguments
    types = {name[1:]: part for name, part in parts.items() if name[:1] == "t"}
    data = {name[1:]: part for name, part in parts.items() if name[:1] == "d"}
    schema = native.defs.get_schema(operator, version, domain)
    return dict(schema._infer_node_outputs(subject, types, data, {}, opsets))
