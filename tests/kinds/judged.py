"""The whole verdict on an example of a kind: what the product says of it, parser, rules and deduplication together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ml_dtypes
import msgspec
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, parser

from friction_tui.engines.tensorrt.refusals import refusals
from friction_tui.kinds.examples import Built, Example, FileBytes, Message, ModelText, Stack, Weights
from friction_tui.model.opened import OpenedModel, from_proto, open_model
from friction_tui.model.shapes.profile import default_profile
from friction_tui.model.shapes.shape_table import ShapeTable
from friction_tui.rules.checks import diagnose
from friction_tui.rules.context import CheckContext
from friction_tui.rules.deduplicate import deduplicate
from friction_tui.rules.engine.builder import message_findings
from friction_tui.stack.rules import Facts
from friction_tui.stack.rules import judge as judge_stack
from friction_tui.vocabulary.finding import Finding
from friction_tui.vocabulary.recipe import Profile, Recipe, Source


def findings_of(example: Example, folder: Path) -> list[Finding]:
    """What is found; the model of an example is written to `folder`."""
    match example:
        case ModelText() | Built():
            around = example.around if isinstance(example, Built) else example
            return _model(model_of_example(example, folder), around)
        case FileBytes():
            for name, content in {example.name: example.content, **example.beside}.items():
                (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
            return _model(open_model(folder / example.name), ModelText("", ranges={}))
        case Message():
            empty = from_proto(onnx.ModelProto(), folder / "model.onnx")
            context = CheckContext(empty, Recipe(source=Source("m")), ShapeTable(empty, Profile()))
            return list(message_findings(context, [example.text], "TensorRT-RTX 1.7.1 builder"))
        case Stack():
            return list(judge_stack(msgspec.convert(example.facts, Facts)))
    raise TypeError(f"{type(example).__name__} is shown by a test of its own")


def model_of_example(example: ModelText | Built, folder: Path) -> OpenedModel:
    """The model of an example; what lies beside it is written to `folder`."""
    if isinstance(example, ModelText):
        return from_proto(_parsed(example), folder / "model.onnx")
    namespace: dict[str, Any] = {
        "np": np,
        "onnx": onnx,
        "helper": helper,
        "numpy_helper": numpy_helper,
        "TensorProto": TensorProto,
        "Path": Path,
        "folder": folder,
    }
    exec(example.source, namespace)
    return from_proto(namespace["model"](), folder / "model.onnx")


def _parsed(example: ModelText) -> onnx.ModelProto:
    header = f'<ir_version: {example.ir_version}, opset_import: ["" : {example.opset}]>\n'
    proto = parser.parse_model(example.graph if example.graph.lstrip().startswith("<") else header + example.graph)
    proto.graph.initializer.extend(map(_tensor, example.weights))
    return proto


def _tensor(weights: Weights) -> TensorProto:
    named = getattr(ml_dtypes, weights.dtype, None)
    values = np.resize(np.asarray(weights.values, np.float64), weights.shape)
    return numpy_helper.from_array(values.astype(named or weights.dtype), weights.name)


def _model(model: OpenedModel, around: ModelText) -> list[Finding]:
    profile = default_profile(model, Profile() if around.guessed else around.profile)
    recipe = Recipe(source=Source(str(model.path)), profile=profile, precision=around.precision, target=around.target)
    refused = tuple(refusals(model, on_batch=lambda _: None)) if around.parsed and model.file.kind == "onnx" else None
    context = CheckContext(model, recipe, ShapeTable(model, profile), refused, "TensorRT-RTX 1.7.1", True)
    return deduplicate([finding for _, found in diagnose(context) for finding in found])
