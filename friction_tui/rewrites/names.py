"""Operators under a name that ONNX does not know."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

import onnx

from friction_tui.model.opened import OpenedModel
from friction_tui.rewrites.base import CannotRewrite, Exactness, Rewriter
from friction_tui.rewrites.editing import chosen, copy_of


def rename_op(model: OpenedModel, paths: Sequence[str]) -> onnx.ModelProto:
    """Give an operator the ONNX name it was meant to have: `grid_sampler` is `GridSample`, `Relu6` stays unknown.

    Raises CannotRewrite when no operator of the model's opset is close enough to be meant.
    """
    proto = copy_of(model)
    opset = model.index.opsets.get("", 1)
    for node in chosen(model, paths):
        meant = meant_name(node.proto.op_type, opset)
        if meant is None:
            raise CannotRewrite(f"no operator of opset {opset} is close to {node.proto.op_type!r}")
        proto.graph.node[node.index].op_type = meant
        proto.graph.node[node.index].domain = ""
    return proto


def meant_name(op: str, opset: int) -> str | None:
    """The operator of that opset whose name differs only in case, underscores or a letter or two; None if none."""
    known = {}
    for schema in onnx.defs.get_all_schemas_with_history():
        if schema.domain == "" and schema.since_version <= opset:
            known[_plain(schema.name)] = schema.name
    plain = _plain(op)
    if plain.endswith("norm"):
        plain += "alization"
    if plain in known:
        return known[plain]
    near = difflib.get_close_matches(plain, known, n=1, cutoff=0.86)
    return known[near[0]] if near else None


def _plain(name: str) -> str:
    return name.replace("_", "").lower()


RENAME_OP = Rewriter("rename-op", "give the operator its ONNX name", rename_op, Exactness.CHANGES)
REWRITES = (RENAME_OP,)
