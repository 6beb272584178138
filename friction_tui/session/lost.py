"""Steps of a recipe that a model does not allow: the recipe without them, and where they could be moved."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

import msgspec

from friction_tui.model.opened import OpenedModel
from friction_tui.model.references import operator, reference, referenced
from friction_tui.vocabulary.protocol import LostStep, OtherNode
from friction_tui.vocabulary.recipe import Recipe

OFFERED = 40
"""Nodes that are offered in place of one that is gone."""


def remaining(recipe: Recipe, lost: Sequence[LostStep]) -> Recipe:
    """The recipe without what is lost."""
    if not lost:
        return recipe
    rewrites, kept = [step.rewrite for step in lost], [step.kept for step in lost]
    return msgspec.structs.replace(
        recipe,
        rewrites=tuple(rewrite for rewrite in recipe.rewrites if rewrite not in rewrites),
        keep_float32=tuple(name for name in recipe.keep_float32 if name not in kept),
    )


def with_others(model: OpenedModel, step: LostStep) -> LostStep:
    """The lost step with the nodes of `model` that it could be moved to."""
    if step.kept:
        names = [node.name for node in model.index.nodes]
        near = difflib.get_close_matches(step.kept, names, n=8)
        return msgspec.structs.replace(step, others=tuple(OtherNode(name, name) for name in near))
    rewrite = step.rewrite
    if rewrite is None:
        return step
    found = referenced(model.index, rewrite.nodes)
    gone = next((name for name, node in zip(rewrite.nodes, found, strict=True) if node is None), "")
    from friction_tui.rewrites import REWRITES

    rewriter = REWRITES.get(rewrite.name)
    known = {op for _, op in rewriter.ops} if rewriter is not None else set()
    wanted = {operator(gone)} if operator(gone) else known
    nodes = [node for node in model.index.nodes if gone and node.proto.op_type in wanted and not node.graph][:OFFERED]
    others = tuple(OtherNode(reference(model.index, node.path), f"{node.proto.op_type} {node.name}") for node in nodes)
    return msgspec.structs.replace(step, node=gone, others=others)
