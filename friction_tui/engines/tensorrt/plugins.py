"""Loading plug-in libraries into TensorRT's registry. Imports the standard library only.

Whoever calls it was told that the user agreed: loading a library runs its code.
"""

from __future__ import annotations

from collections.abc import Iterable

from friction_tui.engines.tensorrt.module import Native


def load(trt: Native, paths: Iterable[str]) -> list[str]:
    """Register the creators of all libraries with TensorRT; a sentence for each that is not loaded."""
    refused = []
    for path in paths:
        try:
            handle = trt.get_plugin_registry().load_library(path)
        except (RuntimeError, TypeError) as error:
            refused.append(f"the plug-in library {path} is not loaded: {error}")
            continue
        if handle is None:
            refused.append(f"the plug-in library {path} is not loaded: TensorRT does not take it")
    return refused
