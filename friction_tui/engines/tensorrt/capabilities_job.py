"""What a TensorRT can do, asked in a process of its own: it is imported, and a builder may be created."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace

from friction_tui.engines.base import EngineMissing
from friction_tui.engines.tensorrt import module, native
from friction_tui.engines.tensorrt.capabilities import Capabilities, capabilities
from friction_tui.engines.tensorrt.module import Native
from friction_tui.engines.tensorrt.options import available


def main() -> None:
    """Given the name of a TensorRT, print its capabilities and the builder options it has as JSON.

    A second argument: without a GPU.
    """
    trt = module.load(sys.argv[1])
    known = capabilities(trt)
    known = _with_a_builder(trt, known) if sys.argv[2:] and not known.targets else known
    print(json.dumps({**asdict(known), "options": available(trt)}))


def _with_a_builder(trt: Native, known: Capabilities) -> Capabilities:
    """The same, of an enterprise edition on a machine without a GPU, after a builder was asked for."""
    errors: list[str] = []
    try:
        native.builder(trt, native.logger(trt, lambda _, text: errors.append(text)), errors)
    except EngineMissing:
        return known
    return replace(known, cpu_only=native.is_cpu_only())
