"""The model a recipe describes: rewrites, then the opset, then the precision, applied to the opened model.

A rewrite that fits only after one of the later edits is made after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import onnx
from onnx import inliner
from onnx.external_data_helper import load_external_data_for_model

from friction_tui.model.opened import OpenedModel, from_proto
from friction_tui.model.opset import OpsetRefused, convert, opset_of
from friction_tui.model.references import described, referenced
from friction_tui.rewrites.base import CannotRewrite
from friction_tui.rewrites.half import HALVES, in_half
from friction_tui.vocabulary.finding import Location, LocationKind
from friction_tui.vocabulary.recipe import Recipe, Rewrite

BFLOAT16_SINCE = 13
"""The opset from which on Cast takes bfloat16: https://onnx.ai/onnx/operators/onnx__Cast.html"""


class UnknownRewrite(Exception):
    """No rewrite has this name."""


class RecipeRefused(Exception):
    """A step of the recipe cannot be applied to this model. The texts are for the person at the terminal.

    `rewrite` is the rewrite, `kept` are the names of nodes to be kept in float32 that are the reason.
    """

    def __init__(
        self,
        what: str,
        why: str,
        next_step: str,
        location: Location | None = None,
        *,
        rewrite: Rewrite | None = None,
        kept: tuple[str, ...] = (),
    ) -> None:
        super().__init__(f"{what}: {why}")
        self.what, self.why, self.next_step, self.location = what, why, next_step, location
        self.rewrite, self.kept = rewrite, kept


def edits_types(recipe: Recipe, *, weak_types: bool = False) -> bool:
    """Whether the recipe's precision is an edit of the model.

    `weak_types`: it may be a builder flag instead (TensorRT 10), with which nothing can be kept in float32 for sure.
    """
    return recipe.precision.value in HALVES and not (weak_types and not recipe.keep_float32)


def changes_model(recipe: Recipe, *, weak_types: bool = False) -> bool:
    """Whether the recipe edits the model at all. `weak_types`: precision is a builder flag (TensorRT 10)."""
    return bool(recipe.rewrites or recipe.opset is not None or edits_types(recipe, weak_types=weak_types))


def apply(model: OpenedModel, recipe: Recipe, *, weak_types: bool = False) -> OpenedModel:
    """The edited model; `model` itself is left as it was. Raises RecipeRefused naming node and reason."""
    if not changes_model(recipe, weak_types=weak_types):
        return model
    proto = onnx.ModelProto()
    proto.CopyFrom(model.proto)
    proto, left, why = _as_far_as_they_fit(proto, model.path, recipe.rewrites)
    if recipe.opset is not None and recipe.opset != model.index.opsets.get("", 0):
        proto = _converted(proto, recipe.opset)
        proto, left, why = _as_far_as_they_fit(proto, model.path, left)
    if edits_types(recipe, weak_types=weak_types):
        proto = _half(proto, model, recipe)
        proto, left, why = _as_far_as_they_fit(proto, model.path, left)
    if why is not None:
        raise why
    return from_proto(proto, model.path)


def _as_far_as_they_fit(
    proto: onnx.ModelProto, path: Path, rewrites: Sequence[Rewrite]
) -> tuple[onnx.ModelProto, Sequence[Rewrite], RecipeRefused | None]:
    """The rewrites one after another up to the first that does not apply; those that are left, and why.

    One that was chosen when opset or precision were other already may name a node that only the converted model has,
    or need the newer opset: it, and what follows it, is tried again after each of these edits.
    """
    for done, rewrite in enumerate(rewrites):
        try:
            proto = rewritten(from_proto(proto, path), rewrite)
        except UnknownRewrite:
            raise RecipeRefused(
                f"Rewrite {rewrite.name!r} is unknown",
                "this version of friction-tui has no such rewrite",
                "Remove it.",
                rewrite=rewrite,
            ) from None
        except CannotRewrite as error:
            why = RecipeRefused(
                f"Rewrite {rewrite.name} does not apply",
                error.why,
                "Undo it with u.",
                error.location,
                rewrite=rewrite,
            )
            return proto, rewrites[done:], why
    return proto, (), None


def rewritten(model: OpenedModel, rewrite: Rewrite) -> onnx.ModelProto:
    """An edited copy. Raises UnknownRewrite; CannotRewrite where a node is gone or the rewrite does not fit it."""
    from friction_tui.rewrites import REWRITES

    rewriter = REWRITES.get(rewrite.name)
    if rewriter is None:
        raise UnknownRewrite(rewrite.name)
    paths = []
    for name, node in zip(rewrite.nodes, referenced(model.index, rewrite.nodes), strict=True):
        if node is None:
            raise CannotRewrite(f"{described(name)} is not in the model any more")
        paths.append(node.path)
    return rewriter.run(model, paths)


def with_weights(proto: onnx.ModelProto, path: Path) -> onnx.ModelProto:
    """The model with its external data in it and its local functions inlined, as an edit of types needs it.

    `proto` itself is changed. Raises OSError or ValueError when the data cannot be read.
    """
    load_external_data_for_model(proto, str(path.parent))
    return inliner.inline_local_functions(proto) if proto.functions else proto


def _converted(proto: onnx.ModelProto, opset: int) -> onnx.ModelProto:
    try:
        return convert(proto, opset)
    except OpsetRefused as error:
        location = Location(LocationKind.NODE, error.node_name, op=error.op, node=error.node_path)
        raise RecipeRefused(
            f"The model does not convert to opset {opset}",
            f"{error.op} {error.node_name}: {error.message}" if error.op else error.message,
            "Choose a nearer opset, or export again at that opset; the model is unchanged.",
            location if error.node_name else None,
        ) from None


def _half(proto: onnx.ModelProto, model: OpenedModel, recipe: Recipe) -> onnx.ModelProto:
    """Weights and activations in half, inputs and outputs as they were; `model` is the one before any edit."""
    precision, half = recipe.precision.value, HALVES[recipe.precision.value]
    if half == onnx.TensorProto.BFLOAT16 and opset_of(proto) < BFLOAT16_SINCE:
        raise RecipeRefused(
            "The model cannot be made bf16",
            f"it is at opset {opset_of(proto)}, and Cast takes bfloat16 since opset {BFLOAT16_SINCE}",
            "Choose a newer opset with o, or fp16.",
        )
    try:
        whole = from_proto(with_weights(proto, model.path), model.path)
    except (OSError, ValueError) as error:
        raise RecipeRefused(
            f"The model cannot be made {precision}",
            f"its weights cannot be read: {error}",
            "Put the external data back.",
        ) from None
    known = {node.name for opened in (model, whole) for node in opened.index.nodes}
    unknown = [name for name in recipe.keep_float32 if name not in known]
    if unknown:
        raise RecipeRefused(
            "A node that should stay float32 is not in the model",
            f"there is no {', '.join(unknown[:3])}" + (f" and {len(unknown) - 3} more" if len(unknown) > 3 else ""),
            "Correct keep_float32 in friction.toml, or search again: friction-tui precision.",
            kept=tuple(unknown),
        )
    return in_half(whole, half, frozenset(recipe.keep_float32))
