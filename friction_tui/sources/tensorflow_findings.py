"""What goes wrong between TensorFlow and ONNX, in the words of the one who wrote the Keras model."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import onnx

from friction_tui.finding import EngineWords, Finding, Fix, Place, PlaceKind, Severity, Tier

_NHWC_TO_NCHW, _NCHW_TO_NHWC = [0, 3, 1, 2], [0, 2, 3, 1]
_CALLS = {"PartitionedCall", "StatefulPartitionedCall"}


def left_over(proto: onnx.ModelProto, source: str) -> Iterator[Finding]:
    """One finding per TensorFlow operator that tf2onnx left in the graph, with the layers that use it."""
    known = {schema.name for schema in onnx.defs.get_all_schemas() if schema.domain in ("", "ai.onnx")}
    met: dict[str, list[onnx.NodeProto]] = {}
    for node in proto.graph.node:
        if node.domain in ("", "ai.onnx") and node.op_type not in known:
            met.setdefault(node.op_type, []).append(node)
    for op, nodes in met.items():
        layers = ", ".join(dict.fromkeys(layer_of(node.name) for node in nodes))
        places = tuple(Place(PlaceKind.NODE, node.name or f"node_of_{node.output[0]}", op) for node in nodes)
        if op in _CALLS:
            yield Finding(
                kind="export/tf-function-left",
                severity=Severity.ERROR,
                tier=Tier.MODEL,
                title=f"A TensorFlow function call ({op}) was not inlined",
                cause=f"Layer {layers} calls a tf.function that tf2onnx could not inline, often because of a resource "
                "or a custom gradient inside.",
                source=source,
                places=places,
                fixes=(
                    Fix(
                        "Save again with TensorFlow 2: `model.export(folder)`, or `tf.saved_model.save` of model.call."
                    ),
                    Fix("Call the layer's own ops instead of the nested tf.function in that layer."),
                ),
            )
            continue
        yield Finding(
            kind="export/missing-onnx-function",
            severity=Severity.ERROR,
            tier=Tier.MODEL,
            title=f"TensorFlow op {op} has no ONNX translation (layer {layers})",
            cause=f"tf2onnx has no handler for {op}, used in layer {layers}; it stays in the graph, unknown to all.",
            source=source,
            places=places,
            fixes=(
                Fix(f"Replace what makes {op} in that layer with Keras operators ONNX has."),
                Fix(f"Give tf2onnx a handler: `custom_ops={{'{op}': 'ai.onnx.contrib'}}`, with a plugin of that name."),
                Fix("Move that part before or after the model."),
            ),
            words=(EngineWords(source, f"Tensorflow op [{nodes[0].name}: {op}] is not supported"),),
        )


def layer_of(node_name: str) -> str:
    """The Keras layer in a TensorFlow node name: `conv2d` in `StatefulPartitionedCall/model/conv2d/Conv2D`."""
    parts = [part for part in node_name.split("/") if not re.match(r"(Stateful)?PartitionedCall|__inference", part)]
    middle = parts[1:-1] if len(parts) > 2 else parts[:-1]
    return "/".join(middle) or node_name


def layout(proto: onnx.ModelProto, source: str) -> Iterator[Finding]:
    """Transposes between TensorFlow's channels-last and ONNX's channels-first layout, beyond one pair at the border."""
    at = [
        node
        for node in proto.graph.node
        if node.op_type == "Transpose"
        and any(a.name == "perm" and list(a.ints) in (_NHWC_TO_NCHW, _NCHW_TO_NHWC) for a in node.attribute)
    ]
    if not at:
        return
    yield Finding(
        kind="export/nhwc-transposes",
        severity=Severity.NOTE,
        tier=Tier.HAZARD,
        title=f"{len(at)} transposes between channels-last and channels-first",
        cause="TensorFlow works on NHWC, ONNX convolutions on NCHW: tf2onnx puts a Transpose at each change of layout.",
        source=source,
        places=tuple(Place(PlaceKind.NODE, node.name or f"node_of_{node.output[0]}", "Transpose") for node in at),
        fixes=(
            Fix("Give the model channels-first input: `inputs_as_nchw` of tf2onnx removes the pair at the border."),
        ),
    )


def opset_stays(asked: int, written: int, why: str, source: str) -> Finding:
    """The opset asked for could not be reached."""
    return Finding(
        kind="export/opset-differs",
        severity=Severity.WARNING,
        tier=Tier.MODEL,
        title=f"Opset {asked} was asked for, the model has opset {written}",
        cause=f"tf2onnx writes opset {written} at most, and the conversion upward failed: {why}",
        source=source,
        places=(Place(PlaceKind.MODEL, f"opset {written}"),),
        fixes=(Fix(f"Stay at opset {written} if the target takes it."),),
    )


def not_converted(path: Path, error: Exception, source: str) -> Finding:
    """tf2onnx or TensorFlow gave up."""
    said = f"{type(error).__name__}: {str(error).strip()[:800]}"
    pickled = "Lambda" in said or "safe_mode" in said
    fixes = (
        (
            Fix(
                "The file holds a Lambda layer, which is pickled Python: replace it by a Layer subclass and save again."
            ),
            Fix("Or load it in a script of your own and save a SavedModel: `model.export(folder)`."),
        )
        if pickled
        else (
            Fix("Save the model as a SavedModel with `model.export(folder)` and open the folder."),
            Fix("Call the model once on example data before saving it: then its shapes are known."),
        )
    )
    return Finding(
        kind="export/unknown",
        severity=Severity.ERROR,
        tier=Tier.MODEL,
        title=f"{path.name} could not be converted to ONNX",
        cause=said,
        source=source,
        places=(Place(PlaceKind.FILE, str(path)),),
        fixes=fixes,
        words=(EngineWords(source, said),),
    )


def differs(output: str, absolute: float, relative: float, source: str) -> Finding:
    """The ONNX model computes something else."""
    return Finding(
        kind="export/parity",
        severity=Severity.ERROR,
        tier=Tier.HAZARD,
        title=f"TensorFlow and ONNX outputs differ: {output}",
        cause=f"Output {output} differs by {absolute:.3g} ({relative:.2%} of its largest value) on a random input.",
        source=source,
        places=(Place(PlaceKind.OUTPUT, output),),
        fixes=(
            Fix("Check for layers that behave differently in training: save the model for inference."),
            Fix("Convert at another opset, and compare layer by layer."),
        ),
    )
