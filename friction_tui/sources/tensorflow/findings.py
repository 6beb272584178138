"""What goes wrong between TensorFlow and ONNX, in the terms of the Keras model."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import onnx

from friction_tui.kinds import export
from friction_tui.model.graph import Node
from friction_tui.model.opened import OpenedModel
from friction_tui.model.provenance import location_of
from friction_tui.sources.failure import plain
from friction_tui.sources.python_code import CannotBuild
from friction_tui.sources.source_lines import context, of_exception
from friction_tui.sources.tensorflow.lines import Lines
from friction_tui.vocabulary.finding import EngineWords, Finding, Location, LocationKind
from friction_tui.vocabulary.recipe import Source

_NHWC_TO_NCHW, _NCHW_TO_NHWC = [0, 3, 1, 2], [0, 2, 3, 1]
_CALLS = {"PartitionedCall", "StatefulPartitionedCall"}
_PYTHON = {"PyFunc", "PyFuncStateless", "EagerPyFunc"}
_TABLES = ("LookupTable", "HashTable")
_TRANSLATED_STRINGS = {"StringNormalizer", "StringSplit", "StringConcat", "RegexFullMatch", "LabelEncoder"}
"""What ONNX has for strings: beside an operator that it lacks, it is a part of the same preprocessing."""
_UNKNOWN_CLASS = re.compile(
    r"Could not locate class '(?P<a>[^']+)'|Unknown layer: '(?P<b>[^']+)'|'registered_name': '(?P<c>[^']*>[^']+)'"
)
"""How Keras 3.15 says that it lacks a class: for .keras, for .h5, and for one registered under a package."""


def left_over(model: OpenedModel, failed: Mapping[str, str], lines: Lines, source: str) -> Iterator[Finding]:
    """One finding per TensorFlow operator that has no translation, bodies of If and Loop included, with its layers.

    `failed` maps the name of a node that tf2onnx gave up on to its reason; such a node may keep a name ONNX knows.
    """
    known = {schema.name for schema in onnx.defs.get_all_schemas() if schema.domain in ("", "ai.onnx")}
    met: dict[str, list[Node]] = {}
    for node in model.index.nodes:
        op = node.proto.op_type
        if node.name in failed:
            met.setdefault(node.name.rpartition("/")[2], []).append(node)
        elif node.proto.domain in ("", "ai.onnx") and op not in known:
            met.setdefault(op, []).append(node)
    strings = {op: nodes for op, nodes in met.items() if op not in _CALLS and _of_strings(op)}
    if strings:  # the operators of one preprocessing step are one thing to leave out
        beside = [node for node in model.index.nodes if node.proto.op_type in _TRANSLATED_STRINGS]
        nodes = [node for some in strings.values() for node in some]
        layers = ", ".join(dict.fromkeys(layer for node in nodes if (layer := layer_of(node.name, lines))))
        places = tuple(location_of(model, node) for node in (*nodes, *beside))
        yield _untranslated(" and ".join(strings), layers, "", places, source)
    for op, nodes in met.items():
        if op in strings:
            continue
        layers = ", ".join(dict.fromkeys(layer for node in nodes if (layer := layer_of(node.name, lines))))
        why = next((failed[node.name] for node in nodes if node.name in failed), "")
        yield _untranslated(op, layers, why, tuple(location_of(model, node) for node in nodes), source)


def _of_strings(op: str) -> bool:
    return op.startswith(_TABLES) or "String" in op or "Regex" in op


def _untranslated(op: str, layers: str, why: str, locations: tuple[Location, ...], source: str) -> Finding:
    used = f", used in layer {layers}" if layers else ""
    line = next((location.source for location in locations if location.source), None)
    evidence = context(line) if line else ()
    words = (EngineWords(source, f"Tensorflow op [{locations[0].name}: {op}] is not supported"),)
    if op in _CALLS:
        return export.TF_FUNCTION_LEFT.finding(
            op=op,
            cause=f"tf2onnx could not inline a tf.function{used}, often because of a resource or a custom gradient "
            "inside.",
            source=source,
            locations=locations,
            evidence=evidence,
            fixes=(
                "Save again with TensorFlow 2: `model.export(folder)`, or `tf.saved_model.save` of model.call.",
                "Call the layer's own ops instead of the nested tf.function in that layer.",
            ),
            words=words,
        )
    if op in _PYTHON:
        cause = f"{op}{used} calls back into Python (tf.py_function, tf.numpy_function): no model file holds its code."
        fixes: tuple[str, ...] = ("Write that function with TensorFlow operators, or call it outside the model.",)
    elif _of_strings(op):
        works = "work" if " and " in op else "works"
        cause = f"{op}{used} {works} on strings or on a lookup table, which neither ONNX nor TensorRT has for tensors."
        fixes = (
            "Leave the preprocessing out of the exported model: feed it the numbers (indices, lengths) that it gives.",
        )
    else:
        cause = f"tf2onnx has no handler for {op}{used}; it stays in the graph, and nothing that reads ONNX knows it."
        if why:
            cause = f"tf2onnx gave up on {op}{used}, often because a size it needs is not known: {why}."
        fixes = (
            f"Replace what makes {op} there with operators ONNX has.",
            "Move that part before or after the model.",
        )
    return export.MISSING_ONNX_FUNCTION.finding(
        op=f"TensorFlow's {op}" + (f" (layer {layers})" if layers else ""),
        cause=cause,
        source=source,
        locations=locations,
        evidence=evidence,
        fixes=fixes,
        words=words,
    )


def layer_of(node_name: str, lines: Lines) -> str:
    """The Keras layer in a TensorFlow node name: `conv2d` in `StatefulPartitionedCall/model/conv2d/Conv2D`; "" if none.

    Keras puts the model's name first, a name scope of the user's own stands alone.
    """
    parts = [part for part in node_name.split("/") if not re.match(r"(Stateful)?PartitionedCall|__inference", part)]
    return "/".join(lines.layer(part) for part in (parts[1:-1] if len(parts) > 2 else parts[:-1]))


def layout(model: OpenedModel, source: str) -> Iterator[Finding]:
    """Transposes between TensorFlow's channels-last and ONNX's channels-first layout, at the border and inside."""
    at = [
        node
        for node in model.index.nodes
        if node.proto.op_type == "Transpose"
        and any(a.name == "perm" and list(a.ints) in (_NHWC_TO_NCHW, _NCHW_TO_NHWC) for a in node.proto.attribute)
    ]
    if not at:
        return
    border = {port.name for port in (*model.proto.graph.input, *model.proto.graph.output)}
    inside = [node for node in at if not border & {*node.proto.input, *node.proto.output}]
    some = f", {len(inside)} of them inside the model" if inside else ""
    yield export.NHWC_TRANSPOSES.finding(
        transposes=f"{len(at)} transpose{'s' * (len(at) != 1)}",
        where=", inside the model" if len(inside) == len(at) else some,
        cause="TensorFlow works on NHWC, ONNX convolutions on NCHW: tf2onnx puts a Transpose at each change of layout. "
        + ("Those inside copy a whole tensor at every inference." if inside else "At the border each copies a tensor."),
        source=source,
        locations=tuple(location_of(model, node) for node in inside or at),
        fixes=(
            "Reshape, Flatten and layers with an axis change the layout back: keep them behind the convolutions."
            if inside
            else "Converting with tf2onnx's own `--inputs-as-nchw` removes the one at the input.",
        ),
    )


def opset_stays(asked: int, written: int, why: str, source: str) -> Finding:
    """The opset asked for could not be reached."""
    return export.OPSET_DIFFERS.finding(
        asked=asked,
        written=written,
        cause=f"tf2onnx writes opset {written} at most, and the conversion upward failed: {why}",
        source=source,
        locations=(Location(LocationKind.MODEL, f"opset {written}"),),
        fixes=(f"Stay at opset {written} if the target takes it.",),
    )


def cannot_build(source: Source, error: CannotBuild, engine: str) -> Finding:
    """The file holds no model that could be converted, for a reason we know."""
    return _failed(
        Path(source.path),
        f"{Path(source.path).name} could not be converted to ONNX",
        cause=f"{error}.",
        source=engine,
        locations=(Location(LocationKind.FILE, source.path),),
        fixes=("Do that, and press r.",),
    )


def _failed(path: Path, reason: str, **facts: Any) -> Finding:
    """No ONNX model came out: of Python code because it made no model, of a file for a reason of its own."""
    if path.suffix == ".py":
        return export.USER_CODE.finding(outcome="could not be made", reason=reason, **facts)
    return export.UNKNOWN.finding(reason=reason, **facts)


def not_converted(path: Path, error: Exception, source: str) -> Finding:
    """tf2onnx or TensorFlow gave up."""
    said = f"{type(error).__name__}: {plain(str(error)).strip()[:800]}"
    line = of_exception(error)
    custom = _UNKNOWN_CLASS.search(str(error))
    reason, cause = f"{path.name} could not be converted to ONNX", said
    fixes: tuple[str, ...] = (
        "Save the model as a SavedModel with `model.export(folder)` and open the folder.",
        "Call the model once on example data before saving it: then its shapes are known.",
    )
    if path.suffix == ".py":
        reason, fixes = (
            f"the code in {path.name} stopped with {type(error).__name__}",
            ("Mend that line, then press r.",),
        )
    elif custom:
        name = (custom["a"] or custom["b"] or custom["c"]).rpartition(">")[2]
        reason = f"{path.name} uses the class {name}, whose Python code is not in the file"
        cause = f"Keras files hold a layer's settings and weights; the code of {name} has to be imported to make one."
        fixes = (
            f"Open the Python file instead: path/file.py:factory, where factory() returns the model with {name}.",
            "Or save it as a SavedModel, which holds the graph itself: `model.export(folder)`; open the folder.",
        )
    elif "Lambda" in said or "marshal" in said:
        reason = f"{path.name} holds a Lambda layer that cannot be loaded"
        fixes = (
            "A Lambda is Python bytecode of the version it was saved with: replace it by a Layer subclass.",
            "Or export a SavedModel where it was saved: `model.export(folder)`.",
        )
    return _failed(
        path,
        reason,
        cause=cause,
        source=source,
        locations=(Location(LocationKind.FILE, str(path), source=line),),
        evidence=context(line) if line else (),
        fixes=fixes,
        words=(EngineWords(source, said),),
    )


def remark(text: str, path: Path, source: str) -> Finding:
    """Something that was chosen because nobody chose."""
    said, _, how = text.partition(". ")
    return export.GUESSED_INPUTS.finding(
        what="The signature",
        guess=said,
        cause="A SavedModel may hold several functions; one is judged at a time.",
        source=source,
        locations=(Location(LocationKind.FILE, str(path)),),
        fixes=(how,),
    )


def differs(output: str, absolute: float, relative: float, at: str, source: str) -> Finding:
    """The ONNX model computes something else."""
    return _parity(
        f"output {output} differs from TensorFlow's",
        f"Output {output} differs by {absolute:.3g} ({relative:.2%} of its largest value) on random inputs of {at}.",
        Location(LocationKind.OUTPUT, output),
        source,
    )


def shape_differs(output: str, wanted: tuple[int, ...], got: tuple[int, ...], at: str, source: str) -> Finding:
    """An output of another shape."""
    return _parity(
        f"output {output} has another shape than TensorFlow's",
        f"Output {output} is {list(wanted)} in TensorFlow and {list(got)} in ONNX, for inputs of {at}.",
        Location(LocationKind.OUTPUT, output),
        source,
    )


def does_not_run(error: str, at: str, engine: str, source: str) -> Finding:
    """TensorFlow runs it, ONNX does not."""
    return _parity(
        "it does not run where the TensorFlow model does",
        f"{engine} refuses inputs of {at}: {error}",
        Location(LocationKind.MODEL, "converted model"),
        f"{engine} against {source}",
    )


def _parity(problem: str, cause: str, location: Location, source: str) -> Finding:
    return export.PARITY.finding(
        problem=problem,
        cause=cause,
        source=source,
        locations=(location,),
        fixes=(
            "Check for layers that behave differently in training: save the model for inference.",
            "Convert at another opset, and compare layer by layer.",
        ),
    )
