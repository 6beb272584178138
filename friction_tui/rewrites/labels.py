"""Class labels as numbers instead of text, class probabilities as a table instead of maps.

TensorRT has no type for text and maps. Which label a number stands for is the order of the list that the model held.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import onnx
from onnx import TensorProto, helper

from friction_tui.model.opened import OpenedModel
from friction_tui.rewrites.base import CannotRewrite, Exactness, Rewriter
from friction_tui.rewrites.graph_editor import GraphEditor
from friction_tui.rewrites.graph_parts import forget_shapes, remove_unused
from friction_tui.rewrites.linear_models import linear_classifier
from friction_tui.rewrites.trees import ML, tree_classifier

_CLASSIFIERS = {
    "TreeEnsembleClassifier": ("classlabels_int64s", tree_classifier),
    "LinearClassifier": ("classlabels_ints", linear_classifier),
}


def number_labels(model: OpenedModel, paths: Sequence[str]) -> onnx.ModelProto:
    """A copy of the model that gives the number of a class where it gave its label.

    Handles the look-up of a label in a list, classifiers with labels of text, and ZipMap. Raises CannotRewrite where
    none is there, or text remains.
    """
    del paths
    proto = onnx.ModelProto()
    proto.CopyFrom(model.proto)
    editor = GraphEditor(proto, model.path.parent)
    texts = {tensor.name for tensor in proto.graph.initializer if tensor.data_type == TensorProto.STRING}
    texts |= {node.output[0] for node in proto.graph.node if _is_text_constant(node)}
    numbers: set[str] = set()
    tables: set[str] = set()
    printed: dict[str, int] = {}
    constant = _constant_texts(proto, texts)
    for output in [value for value in proto.graph.output if value.name in constant]:
        proto.graph.output.remove(output)
    index = 0
    while index < len(proto.graph.node):
        make = _replacement(proto.graph.node[index], editor, texts, numbers, tables, printed)
        before = len(proto.graph.node)
        if make is not None:
            editor.place(proto.graph, index, make)
        index += len(proto.graph.node) - before + 1
    if not (numbers or tables or constant or printed):
        raise CannotRewrite("no label of text and no map is made here")
    for output in proto.graph.output:
        if output.name in numbers:
            output.type.tensor_type.elem_type = TensorProto.INT64
        elif output.name in printed:
            output.type.tensor_type.elem_type = printed[output.name]
        elif output.name in tables:
            output.type.CopyFrom(helper.make_tensor_type_proto(TensorProto.FLOAT, [None, None]))
    forget_shapes(proto)
    remove_unused(proto)
    if any(tensor.data_type == TensorProto.STRING for tensor in proto.graph.initializer):
        raise CannotRewrite("text is read by more than the look-up of a label")
    return proto


def _is_text_constant(node: onnx.NodeProto) -> bool:
    return node.op_type == "Constant" and any(
        attribute.name in ("value_string", "value_strings")
        or (attribute.name == "value" and attribute.t.data_type == TensorProto.STRING)
        for attribute in node.attribute
    )


def _constant_texts(proto: onnx.ModelProto, texts: set[str]) -> set[str]:
    """The outputs of the model that hold the same text each time: the stored lists themselves."""
    same = set(texts)
    for node in proto.graph.node:
        if node.op_type in ("Identity", "Reshape", "Squeeze", "Unsqueeze") and node.input[0] in same:
            same.update(node.output)
    names = {value.name for value in proto.graph.output}
    return names & same if len(names - same) else set()


def _replacement(
    node: onnx.NodeProto,
    editor: GraphEditor,
    texts: set[str],
    numbers: set[str],
    tables: set[str],
    printed: dict[str, int],
) -> Callable[[], None] | None:
    """What adds the nodes in place of one that makes a label or a map, None for any other; notes what it makes."""
    if node.op_type == "Cast" and editor.attribute(node, "to") == TensorProto.STRING and node.input[0] not in numbers:
        printed[node.output[0]] = editor.dtype(node.input[0])
        return lambda: editor.put(helper.make_node("Identity", node.input, node.output, name=node.name))
    chosen = node.op_type in ("Gather", "ArrayFeatureExtractor") and node.input[0] in texts
    if chosen or (node.op_type == "LabelEncoder" and editor.attribute(node, "values_strings")):
        if node.op_type == "Gather" and len(editor.static_dims(node.input[0])) != 1:
            raise CannotRewrite("the labels are not one list")
        position = node.input[1] if chosen else node.input[0]
        rows = node.op_type == "ArrayFeatureExtractor"
        if node.op_type == "LabelEncoder" and editor.dtype(position) == TensorProto.STRING:
            return None
        numbers.add(node.output[0])
        return lambda: _number(editor, position, node.output[0], rows=rows)
    if node.domain == ML and node.op_type in _CLASSIFIERS and editor.attribute(node, "classlabels_strings"):
        numbers.add(node.output[0])
        return lambda: _classifier(node, editor)
    if node.domain == ML and node.op_type == "ZipMap":
        tables.add(node.output[0])
        return lambda: editor.put(helper.make_node("Identity", node.input, node.output, name=node.name))
    if any(name in numbers for name in node.input[:1]) and node.op_type in ("Cast", "Identity", "Reshape", "Squeeze"):
        if node.op_type == "Cast" and editor.attribute(node, "to") != TensorProto.STRING:
            return None
        numbers.add(node.output[0])
        if node.op_type == "Cast":
            return lambda: editor.put(helper.make_node("Identity", node.input, node.output, name=node.name))
    return None


def _number(editor: GraphEditor, position: str, output: str, *, rows: bool) -> None:
    """The position itself as int64; as one row where `rows`, as ArrayFeatureExtractor gives it for a list."""
    if rows:
        position = editor.reshape(position, [1, -1])
    editor.cast(position, TensorProto.INT64, output)


def _classifier(node: onnx.NodeProto, editor: GraphEditor) -> None:
    """The classifier with its labels numbered, as its own rewrite writes it."""
    name, rewriter = _CLASSIFIERS[node.op_type]
    numbered = onnx.NodeProto()
    numbered.CopyFrom(node)
    del numbered.attribute[:]
    numbered.attribute.extend(attribute for attribute in node.attribute if attribute.name != "classlabels_strings")
    count = len(editor.attribute(node, "classlabels_strings"))
    numbered.attribute.append(helper.make_attribute(name, list(range(count))))
    assert rewriter.node is not None
    rewriter.node(numbered, editor)


REWRITES = (
    Rewriter(
        "number-labels",
        "give the number of the class instead of its label, probabilities as a table",
        number_labels,
        Exactness.CHANGES,
        changes="an output that held text holds the position in the list of labels, or the number that was printed, "
        "one that held maps a table; one that held the list itself is left out",
        ops=(
            ("", "Gather"),
            ("", "Cast"),
            (ML, "ArrayFeatureExtractor"),
            (ML, "LabelEncoder"),
            (ML, "TreeEnsembleClassifier"),
            (ML, "LinearClassifier"),
            (ML, "ZipMap"),
        ),
    ),
)
