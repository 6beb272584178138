"""The model a recipe describes: rewrites, then the opset, then the precision, applied to the opened model."""

from __future__ import annotations

from pathlib import Path

import onnx

from friction_tui.finding import Place, PlaceKind
from friction_tui.fixes.base import CannotRewrite
from friction_tui.model.opened import OpenedModel, from_proto
from friction_tui.model.opset import OpsetRefused, convert
from friction_tui.recipe import Precision, Recipe


class RecipeRefused(Exception):
    """A step of the recipe cannot be applied to this model. The texts are for the person at the terminal."""

    def __init__(self, what: str, why: str, next_step: str, place: Place | None = None) -> None:
        super().__init__(f"{what}: {why}")
        self.what, self.why, self.next_step, self.place = what, why, next_step, place


def changes_model(recipe: Recipe, *, weak_types: bool = False) -> bool:
    """Whether the recipe edits the model at all. `weak_types`: precision is a builder flag (TensorRT 10)."""
    edits_types = recipe.precision is Precision.FP16 and not weak_types
    return bool(recipe.rewrites or recipe.opset is not None or edits_types)


def apply(model: OpenedModel, recipe: Recipe, *, weak_types: bool = False) -> OpenedModel:
    """The edited model; `model` itself is left as it was. Raises RecipeRefused naming node and reason."""
    if not changes_model(recipe, weak_types=weak_types):
        return model
    proto = onnx.ModelProto()
    proto.CopyFrom(model.proto)
    for rewrite in recipe.rewrites:
        from friction_tui.fixes import REWRITES

        try:
            proto = REWRITES[rewrite.name].run(from_proto(proto, model.path), rewrite.nodes)
        except KeyError:
            raise RecipeRefused(
                f"Rewrite {rewrite.name!r} is unknown", "this version of friction-tui has no such rewrite", "Remove it."
            ) from None
        except CannotRewrite as error:
            raise RecipeRefused(
                f"Rewrite {rewrite.name} does not apply", error.why, "Undo it with u.", error.place
            ) from None
    if recipe.opset is not None and recipe.opset != model.index.opsets.get("", 0):
        proto = _converted(proto, recipe.opset)
    if recipe.precision is Precision.FP16 and not weak_types:
        proto = _half(proto, model.path)
    return from_proto(proto, model.path)


def _converted(proto: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    try:
        return convert(proto, opset)
    except OpsetRefused as error:
        place = Place(PlaceKind.NODE, error.node_name, op=error.op, node=error.node_path)
        raise RecipeRefused(
            f"The model does not convert to opset {opset}",
            f"{error.op} {error.node_name}: {error.message}" if error.op else error.message,
            "Choose a nearer opset, or export again at that opset; the model is unchanged.",
            place if error.node_name else None,
        ) from None


def _half(proto: onnx.ModelProto, path: Path) -> onnx.ModelProto:
    """Weights and activations as float16, inputs and outputs as they were.

    ONNX Runtime's own converter; it needs the weights, so external data are read here.
    """
    from onnx.external_data_helper import load_external_data_for_model
    from onnxruntime.transformers.float16 import convert_float_to_float16

    try:
        load_external_data_for_model(proto, str(path.parent))
    except (OSError, ValueError) as error:
        raise RecipeRefused(
            "The model cannot be made float16", f"its weights cannot be read: {error}", "Put the external data back."
        ) from None
    half: onnx.ModelProto = convert_float_to_float16(proto, keep_io_types=True, disable_shape_infer=True)
    return _sorted(half, path)


def _sorted(proto: onnx.ModelProto, path: Path) -> onnx.ModelProto:
    """The converter appends its Casts of the inputs behind all other nodes; ONNX wants writers before readers."""
    index = from_proto(proto, path).index
    nodes = [onnx.NodeProto.FromString(index.by_path[at].proto.SerializeToString()) for at in index.order]
    if len(nodes) == len(proto.graph.node):
        del proto.graph.node[:]
        proto.graph.node.extend(nodes)
    return proto
