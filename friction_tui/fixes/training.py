"""Training mode left on."""

from __future__ import annotations

from collections.abc import Sequence

import onnx

from friction_tui.fixes.base import CannotRewrite, Rewriter
from friction_tui.fixes.editing import bypass, copy_of
from friction_tui.model.opened import OpenedModel


def eval_mode(model: OpenedModel, paths: Sequence[str]) -> onnx.ModelProto:
    """BatchNormalization uses its stored statistics, Dropout hands through: what model.eval() would have exported.

    The statistics stay those of the file; `paths` is not needed, the flags decide.
    """
    del paths
    proto = copy_of(model)
    changed = 0
    for index in reversed(range(len(proto.graph.node))):
        node = proto.graph.node[index]
        if node.op_type == "BatchNormalization" and _flag(node, "training_mode"):
            _clear(node, "training_mode")
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


def _flag(node: onnx.NodeProto, name: str) -> bool:
    return any(attribute.name == name and attribute.i for attribute in node.attribute)


def _clear(node: onnx.NodeProto, name: str) -> None:
    kept = [attribute for attribute in node.attribute if attribute.name != name]
    del node.attribute[:]
    node.attribute.extend(kept)


EVAL_MODE = Rewriter("eval-mode", "leave training mode", eval_mode, keeps_outputs=False)
