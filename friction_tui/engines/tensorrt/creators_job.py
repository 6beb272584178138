"""Which plug-in creators libraries register with TensorRT, found by loading them: a process of its own.

Arguments: the TensorRT module, the path of a model ("" for none), libraries. Prints JSON: `libraries`, each with its
`creators` (name, version, namespace) and an `error` ("" where it was loaded), and `errors`, what the parser says of the
model with all of them loaded (null where it was not asked). Loading a library runs its code.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from friction_tui.engines.base import EngineMissing
from friction_tui.engines.tensorrt import module
from friction_tui.engines.tensorrt.capabilities import network_flags
from friction_tui.engines.tensorrt.module import Native
from friction_tui.engines.tensorrt.native import builder, logger
from friction_tui.processes.stdio import take_stdout

Creator = tuple[str, str, str]


def main() -> None:
    """Load and list."""
    out = take_stdout()
    name, model, *libraries = sys.argv[1:]
    said: list[str] = []
    trt = module.load(name)
    log = logger(trt, lambda level, text: said.append(text) if level == "error" else None)
    trt.init_libnvinfer_plugins(log, "")
    found = [_loaded(trt, library, said) for library in libraries]
    errors = _parsed(trt, log, model, said) if model else None
    out.write(json.dumps({"libraries": found, "errors": errors}).encode() + b"\n")
    out.flush()
    os._exit(0)  # exit handlers of somebody else's library can crash after the work is done


def _loaded(trt: Native, library: str, said: list[str]) -> dict[str, object]:
    registry, before, heard = trt.get_plugin_registry(), _creators(trt), len(said)
    try:
        handle = registry.load_library(library)
        words = "; ".join(dict.fromkeys(said[heard:]))
        error = "" if handle is not None else f"TensorRT does not load it{': ' + words if words else ''}"
    except (RuntimeError, TypeError) as refused:
        error = str(refused)
    new = [creator for creator in _creators(trt) if creator not in before]
    if not error and not new:
        error = "it registers no creator that was not there"
    return {"library": Path(library).name, "creators": new, "error": error}


def _creators(trt: Native) -> list[Creator]:
    registry = trt.get_plugin_registry()
    return [(one.name, one.plugin_version, one.plugin_namespace) for one in registry.all_creators]


def _parsed(trt: Native, log: Native, model: str, said: list[str]) -> list[str] | None:
    """The parser's errors; None where there is no builder to give it a network."""
    try:
        network = builder(trt, log, said).create_network(network_flags(trt))
    except EngineMissing:
        return None
    parser = trt.OnnxParser(network, log)
    if parser.parse_from_file(model):
        return []
    return [
        f"{one.node_operator()} {one.node_name()}: {one.desc()}"
        for one in map(parser.get_error, range(parser.num_errors))
    ]


if __name__ == "__main__":
    main()
