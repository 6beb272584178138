"""Training mode left on."""

from __future__ import annotations

from collections.abc import Sequence

import onnx

from friction_tui.model.opened import OpenedModel
from friction_tui.rewrites.base import CannotRewrite, Exactness, Rewriter
from friction_tui.rewrites.editing import bypass, copy_of

FLAGLESS = 7
"""The opset from which on no `is_test` flag says what the number of outputs does (ONNX, BatchNormalization)."""


def eval_mode(model: OpenedModel, paths: Sequence[str]) -> onnx.ModelProto:
    """BatchNormalization uses its stored statistics, Dropout hands through: what model.eval() would have exported.

    The statistics stay those of the file; `paths` is not needed, the nodes say it: by `training_mode` from opset 14
    on, by the outputs behind the first before that, by `is_test` below 7.
    """
    del paths
    proto = copy_of(model)
    opset = model.index.opsets.get("", FLAGLESS)
    changed = 0
    for index in reversed(range(len(proto.graph.node))):
        node = proto.graph.node[index]
        if node.op_type == "BatchNormalization" and _trains(node, opset):
            _clear(node, "training_mode", "is_test")
            if opset < FLAGLESS:
                node.attribute.append(onnx.helper.make_attribute("is_test", 1))
            del node.output[1:]
            changed += 1
        elif node.op_type == "Dropout":
            bypass(proto, index)
            changed += 1
    if not changed:
        raise CannotRewrite("nothing in the main graph is in training mode any more")
    written = {name for node in proto.graph.node for name in node.output}
    for output in list(proto.graph.output):
        if output.name not in written:
            proto.graph.output.remove(output)
    return proto


def _trains(node: onnx.NodeProto, opset: int) -> bool:
    flags = {attribute.name: attribute.i for attribute in node.attribute}
    return (
        flags.get("is_test", 0) == 0 if opset < FLAGLESS else bool(flags.get("training_mode")) or len(node.output) > 1
    )


def _clear(node: onnx.NodeProto, *names: str) -> None:
    kept = [attribute for attribute in node.attribute if attribute.name not in names]
    del node.attribute[:]
    node.attribute.extend(kept)


EVAL_MODE = Rewriter(
    "eval-mode",
    "leave training mode",
    eval_mode,
    Exactness.CHANGES,
    changes="nothing is dropped at random, and batch normalization uses its stored statistics",
)
REWRITES = (EVAL_MODE,)
