"""What is said of tf2onnx's graphs, on graphs as tf2onnx writes them; none of this needs TensorFlow."""

from __future__ import annotations

from pathlib import Path

from onnx import parser

from friction_tui.kinds.types import UNSUPPORTED_INPUT
from friction_tui.model.opened import OpenedModel, from_proto
from friction_tui.rules.deduplicate import deduplicate
from friction_tui.sources.failure import plain
from friction_tui.sources.python_code import CannotBuild
from friction_tui.sources.tensorflow import findings
from friction_tui.sources.tensorflow.lines import Lines
from friction_tui.vocabulary.finding import Location, LocationKind, SourceLine
from friction_tui.vocabulary.recipe import Source, SourceKind

NCHW = "Transpose<perm = [0, 3, 1, 2]>"


def _graph(body: str, *names: str) -> OpenedModel:
    """A graph whose nodes are called `names`, in their order."""
    header = '<ir_version: 9, opset_import: ["" : 17]>\ng (float[2,8,8,3] x, float[4,3,3,3] w) => (float y)'
    proto = parser.parse_model(f"{header} {{ {body} }}")
    for node, name in zip(proto.graph.node, names, strict=False):
        node.name = name
    return from_proto(proto, Path("model.onnx"))


def test_a_call_that_was_not_inlined_is_named_with_its_layer() -> None:
    model = _graph("y = StatefulPartitionedCall(x, w)", "net/block/call/StatefulPartitionedCall")
    (found,) = findings.left_over(model, {}, Lines(), "tf2onnx")
    assert found.kind == "export/tf-function-left"
    assert found.title == "A TensorFlow function call (StatefulPartitionedCall) was not inlined"
    assert "used in layer block" in found.cause
    assert found.node_paths == ("0",)


def test_an_operator_that_tf2onnx_gave_up_on_is_named_with_its_reason() -> None:
    model = _graph("y = Conv(x, w)", "net/block/Conv2D")
    (found,) = findings.left_over(model, {"net/block/Conv2D": "ValueError: rank"}, Lines(), "tf2onnx")
    assert found.kind == "export/missing-onnx-function"
    assert found.title == "TensorFlow's Conv2D (layer block) has no ONNX function"
    assert "ValueError: rank" in found.cause


def test_operators_on_strings_are_one_thing_to_leave_out() -> None:
    text = """<ir_version: 9, opset_import: ["" : 17]>
    g (string[n] s) => (int64[n] y, float[n] z) {
        a = StringNormalizer(s) b = StringSplitV2(a) y = StringLength(b) c = LookupTableFindV2(b) z = Lgamma(c) }"""
    model = from_proto(parser.parse_model(text), Path("model.onnx"))
    strings, other = findings.left_over(model, {}, Lines(), "tf2onnx")
    assert "StringSplitV2 and StringLength and LookupTableFindV2" in strings.title
    assert set(strings.node_paths) == {"0", "1", "2", "3"}, "what ONNX has for strings is a part of it"
    assert "Lgamma" in other.title
    wrong = UNSUPPORTED_INPUT.finding(
        name="s",
        dtype="string",
        cause="",
        locations=(Location(LocationKind.INPUT, "s"), Location(LocationKind.NODE, "", node="0")),
        fixes=(),
    )
    assert deduplicate([wrong, strings, other]) == [strings, other]


def test_a_loop_gets_the_line_of_the_operation_it_was_made_of() -> None:
    line = SourceLine("net.py", 7, "call", "while tf.reduce_sum(x) < 9:")
    lines = Lines({"while": (line,)})
    assert lines.of("StatefulPartitionedCall/while_loop") == (line,)
    assert lines.of("StatefulPartitionedCall/other_loop") == ()


def test_what_keras_colours_for_a_terminal_is_read_without_it() -> None:
    error = ValueError("\x1b[1mException encountered when calling Bad.call().\x1b[0m")
    found = findings.not_converted(Path("net.py"), error, "tf2onnx")
    assert found.cause == "ValueError: Exception encountered when calling Bad.call()."
    assert plain("\x1b]8;;http://x\x07link\x1b]8;;\x07 \x1b[31;1mred\x1b[K [x]") == "link red [x]"


def test_operators_that_onnx_knows_are_not_reported() -> None:
    model = _graph("z = Conv(x, w) y = Relu(z)", "net/block/Conv2D", "net/relu/Relu")
    assert not list(findings.left_over(model, {}, Lines(), "tf2onnx"))
    assert not list(findings.layout(model, "tf2onnx"))


def test_transposes_between_layouts_are_counted() -> None:
    body = f"a = {NCHW}(x) b = Conv(a, w) c = {NCHW}(b) y = Relu(c)"
    (found,) = findings.layout(_graph(body, "border", "conv", "inner"), "tf2onnx")
    assert found.kind == "export/nhwc-transposes"
    assert found.title == "2 transposes between channels-last and channels-first, 1 of them inside the model"
    assert found.names == ("inner",)
    (border,) = findings.layout(_graph(f"a = {NCHW}(x) y = Conv(a, w)"), "tf2onnx")
    assert border.title == "1 transpose between channels-last and channels-first"
    assert "--inputs-as-nchw" in border.fixes[0].text


def test_a_file_that_cannot_be_converted_is_an_export_failure_and_code_is_the_users() -> None:
    error = CannotBuild("Freeze it first")
    file = findings.cannot_build(Source("net.pb", SourceKind.TENSORFLOW), error, "tf2onnx")
    assert (file.kind, file.title) == ("export/unknown", "The export failed: net.pb could not be converted to ONNX")
    code = findings.not_converted(Path("net.py"), ValueError("bad width"), "tf2onnx")
    assert code.kind == "export/user-code"
    assert code.title == "The model could not be made: the code in net.py stopped with ValueError"


def test_outputs_that_differ_or_do_not_come_are_one_kind() -> None:
    differs = findings.differs("y", 0.5, 0.1, "x 2x8", "ONNX Runtime against tf2onnx")
    fails = findings.does_not_run("RuntimeError: no", "x 2x8", "ONNX Runtime", "tf2onnx")
    assert {differs.kind, fails.kind} == {"export/parity"}
    assert differs.title == "The ONNX model computes something else: output y differs from TensorFlow's"
