"""A model in ONNX's text form, and the whole verdict on it: parser, rules and merging together."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper, parser

from friction_tui.engines.tensorrt.refusals import refusals
from friction_tui.model.opened import from_proto
from friction_tui.model.shapes.profile import default_profile
from friction_tui.model.shapes.shape_table import ShapeTable
from friction_tui.rules.checks import diagnose
from friction_tui.rules.context import CheckContext
from friction_tui.rules.deduplicate import deduplicate
from friction_tui.vocabulary.finding import Finding, Severity
from friction_tui.vocabulary.recipe import Profile, Range, Recipe, Source

BATCH = {"n": (1, 2, 4)}


class Row(NamedTuple):
    """A model in ONNX's text form without its header, and what must be said: one word of each group of `words`."""

    graph: str
    severity: Severity
    at: str
    words: tuple[str, ...]
    ranges: dict[str, tuple[int, int, int]] = BATCH
    opset: int = 17
    tensors: tuple[tuple[str, np.ndarray], ...] = ()


def floats(*shape: int, value: float = 1.0) -> np.ndarray:
    return np.full(shape, value, np.float32)


def verdict(
    row: Row, folder: Path, *, guessed: bool = False, edit: Callable[[TensorProto], None] = lambda _: None
) -> list[Finding]:
    header = f'<ir_version: 9, opset_import: ["" : {row.opset}]>\n'
    proto: onnx.ModelProto = parser.parse_model(header + row.graph)
    proto.graph.initializer.extend(numpy_helper.from_array(values, name) for name, values in row.tensors)
    for tensor in proto.graph.initializer:
        edit(tensor)
    model = from_proto(proto, folder / "model.onnx")
    chosen = Profile(ranges={key: Range(*sizes) for key, sizes in row.ranges.items()})
    profile = default_profile(model, Profile() if guessed else chosen)
    recipe = Recipe(source=Source(str(model.path)), profile=profile)
    refused = tuple(refusals(model, on_batch=lambda _: None))
    context = CheckContext(model, recipe, ShapeTable(model, profile), refused, "TensorRT-RTX 1.7.1", True)
    return deduplicate([finding for _, found in diagnose(context) for finding in found])
