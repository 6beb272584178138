"""Every refused node with its reason, and nothing else: checked against the real parser, model by model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.backend.test.case.node import collect_testcases

from friction_tui.engines.base import NEEDS_GPU, PARSER_CRASHED, Refusal
from friction_tui.engines.tensorrt.parser import Parser
from friction_tui.engines.tensorrt.refusals import refusals
from friction_tui.model.opened import OpenedModel, from_proto, open_model

pytest.importorskip("tensorrt_rtx", reason="asks the RTX parser, which is part of the cpu extra, not of gpu")


@pytest.fixture(scope="module")
def parser() -> Iterator[Parser]:
    parser = Parser("tensorrt_rtx")
    yield parser
    parser.close()


def model(graph: str, functions: str = "", opset: int = 17) -> OpenedModel:
    header = f'<ir_version: 8, opset_import: ["" : {opset}, "my" : 1]>'
    return from_proto(onnx.parser.parse_model(f"{header} {graph} {functions}"), Path("model.onnx"))


def ask(parser: Parser, asked: OpenedModel) -> list[Refusal]:
    batches: list[tuple[Refusal, ...]] = []
    found = refusals(asked, on_batch=lambda batch: batches.append(tuple(batch)), parser=parser)
    assert [one for batch in batches for one in batch] == found
    return found


def locations(found: list[Refusal]) -> dict[str, str]:
    return {one.path or one.tensor: one.stage for one in found}


def test_a_model_that_parses_has_none(parser: Parser) -> None:
    assert ask(parser, model("g (float[N,3] x) => (float[N,3] y) { y = Relu(x) }")) == []


def test_static_ones_come_first_in_one_batch(parser: Parser) -> None:
    asked = model(
        """g (float[2,3] x) => (float[2,3] y) {
            a = MatMul(x, x)  b = Foo(x)  y = Relu(x)  c = my.Bar(y)  d = NonZero(y) }"""
    )
    batches: list[dict[str, str]] = []
    refusals(asked, on_batch=lambda batch: batches.append(locations(list(batch))), parser=parser)
    assert batches[0] == {"1": "static", "3": "static"}
    assert batches[1:] == [{"0": "dynamic"}, {"4": "dynamic"}]


def test_what_follows_a_refused_node_is_provisional(parser: Parser) -> None:
    asked = model(
        """g (float[2,3] x) => (float[2,3] z) {
            a = MatMul(x, x)  y = Relu(x)  b = NonZero(a)  c = NonZero(y)  z = Relu(y) }"""
    )
    asked.proto.graph.value_info.append(helper.make_tensor_value_info("a", TensorProto.FLOAT, [2, 2]))
    found = {one.path: one.provisional for one in ask(parser, asked)}
    assert found == {"0": False, "2": True, "3": False}


def test_nothing_is_said_where_nothing_is_known(parser: Parser) -> None:
    """Behind an operator of unknown output type there is nothing to judge the next one on."""
    asked = model("g (float[2,3] x) => (float[a,b] y) { a = my.Unheard(x)  y = NonZero(a) }")
    assert locations(ask(parser, asked)) == {"0": "static"}


def test_inputs_and_initializers_of_types_it_does_not_take(parser: Parser) -> None:
    asked = model(
        """g (int16[2] i, uint64[2] u, float[2] x) => (float[2] y)
            <int16[2] w = {1, 2}, string[1] s = {"a"}> { y = Relu(x) }"""
    )
    found = ask(parser, asked)
    assert locations(found) == {"i": "input", "u": "input", "w": "initializer", "s": "initializer"}
    assert any("datatype (5)" in line for one in found for line in one.log)


def test_bodies_and_the_branch_that_is_never_taken(parser: Parser) -> None:
    branches = """<
        then_branch = t () => (float[2] o) { o = Relu(x) },
        else_branch = e () => (float[2] p) { f = Foo(x)  n = NonZero(x)  p = Relu(x) }>"""
    taken = model(f"g (float[2] x, bool c) => (float[2] y) {{ y = If (c) {branches} }}")
    assert locations(ask(parser, taken)) == {"0.else_branch.0": "static", "0.else_branch.1": "dynamic"}
    never = model(f"g (float[2] x) => (float[2] y) <bool c = {{1}}> {{ y = If (c) {branches} }}")
    assert ask(parser, never) == []


def test_every_refused_node_of_a_loop_body(parser: Parser) -> None:
    asked = model(
        """g (float[2,3] x) => (float[2,3] y) <int64 m = {2}, bool c = {1}> {
            y = Loop (m, c, x) <body = b (int64 i, bool k, float[2,3] xi) => (bool o, float[2,3] xo) {
                o = Identity(k)  n = NonZero(xi)  q = MatMul(xi, xi)  xo = Relu(xi) }> }"""
    )
    assert list(locations(ask(parser, asked))) == ["0.body.1", "0.body.2"]


def test_local_functions_named_once_for_all_calls(parser: Parser) -> None:
    functions = """
        <domain: "my", opset_import: ["" : 17, "my" : 1]> outer (a) => (b) { c = Relu(a)  b = my.inner(c) }
        <domain: "my", opset_import: ["" : 17]> inner (a) => (b) { n = NonZero(a)  b = Foo(a) }"""
    asked = model("g (float[2] x) => (float[2] y) { z = my.outer(x)  y = my.outer(x) }", functions)
    found = ask(parser, asked)
    assert locations(found) == {"@my:inner.1": "static", "@my:inner.0": "dynamic"}
    assert {one.name for one in found} == {"node_of_n", "node_of_b"}


def test_names_and_texts_are_the_models_own(parser: Parser) -> None:
    asked = model("g (float[2,3] x) => (float[2,3] y) { y = MatMul(x, x) }")
    asked.proto.graph.node[0].name = "attention/scores"
    (found,) = ask(parser, asked)
    assert (found.name, found.op, found.func) == ("attention/scores", "MatMul", "parseNode")
    assert "attention/scores: last dimension of input0 = 3" in found.text
    assert "‹" not in found.text + "".join(found.log)


def test_without_a_gpu_roialign_is_unknown_not_refused(parser: Parser) -> None:
    asked = model(
        """g (float[1,1,9,9] x, float[2,4] r, int64[2] b) => (float[a,b] y, float[c,d] z) {
            y = RoiAlign <output_height = 2, output_width = 2> (x, r, b)  z = MatMul(r, r) }"""
    )
    found = {one.op: one.code for one in ask(parser, asked)}
    assert found == {"RoiAlign": NEEDS_GPU, "MatMul": "INVALID_NODE"}


def test_errors_of_the_whole_graph(parser: Parser) -> None:
    cycle = model("g (float[2] x) => (float[2] y) { a = Add(x, b)  b = Relu(a)  y = Relu(x)  n = NonZero(x) }")
    found = ask(parser, cycle)
    assert [(one.stage, one.path) for one in found] == [("model", ""), ("dynamic", "3")]
    assert "topologically" in found[0].text
    (missing,) = ask(parser, model("g (float[2] x) => (float[2] nowhere) { y = Relu(x) }"))
    assert (missing.stage, missing.tensor) == ("model", "nowhere")
    (outputs,) = ask(parser, model("g (float[2] x) => () { y = Relu(x) }"))
    assert outputs.stage == "model"


def test_an_error_that_names_no_node_is_traced_to_it(parser: Parser) -> None:
    asked = model(
        """g (float[1,5] x, int64[1,2] i, float[1,2] u) => (float[1,5] y) {
            a = Relu(x)  b = ScatterElements <axis = 1, reduction = "min"> (a, i, u)  y = Sigmoid(a) }""",
        opset=18,
    )
    assert parser.parse(asked.proto.SerializeToString()).errors[0].node == -1
    assert locations(ask(parser, asked)) == {"1": "dynamic"}


def test_shape_arithmetic_survives_the_cuts(parser: Parser) -> None:
    """After a refused node only the rest is parsed; a Reshape there still gets its constants and static dims."""
    asked = model(
        """g (float[N,4,6] x) => (float[a,b] y) <int64[1] zero = {0}, int64[1] rest = {-1}> {
            a = Relu(x)  bad = MatMul(a, a)
            s = Shape(a)  n = Gather(s, zero)  t = Concat <axis = 0> (n, rest)
            r = Reshape(a, t)  bad2 = NonZero(a)  y = MatMul(r, w) }"""
    )
    asked.proto.graph.initializer.append(numpy_helper.from_array(np.ones((24, 5), np.float32), "w"))
    assert locations(ask(parser, asked)) == {"1": "dynamic", "6": "dynamic"}


def test_unsorted_files_keep_their_numbers(parser: Parser) -> None:
    asked = model("g (float[2,3] x) => (float[2,3] y) { y = Relu(a)  n = NonZero(a)  a = Sigmoid(x)  f = Foo(y) }")
    assert locations(ask(parser, asked)) == {"3": "static", "1": "dynamic"}


def test_weights_are_not_needed(parser: Parser, tmp_path: Path) -> None:
    weights = numpy_helper.from_array(np.ones((256, 256), np.float32), "w")
    asked = model("g (float[N,256] x) => (float[N,256] y, float[a,b] z) { y = MatMul(x, w)  z = NonZero(y) }")
    asked.proto.graph.initializer.append(weights)
    path = tmp_path / "model.onnx"
    onnx.save(asked.proto, path, save_as_external_data=True, size_threshold=0, location="weights.bin")
    assert locations(ask(parser, open_model(path))) == {"1": "dynamic"}
    (tmp_path / "weights.bin").unlink()
    assert locations(ask(parser, open_model(path))) == {"1": "dynamic"}


def test_many_nodes_refused_for_one_reason(parser: Parser) -> None:
    nodes = " ".join(f"n{i} = NonZero(x)  r{i} = Relu(x)" for i in range(100))
    found = ask(parser, model(f"g (float[2,3] x) => (float[2,3] y) {{ {nodes} y = Relu(x) }}"))
    assert len(found) == 100
    assert {one.op for one in found} == {"NonZero"}


def test_stopped_early(parser: Parser) -> None:
    asked = model("g (float[2,3] x) => (float[2,3] y) { a = Foo(x)  b = NonZero(x)  y = Relu(x) }")
    found = refusals(asked, on_batch=lambda batch: None, stop=lambda: True, parser=parser)
    assert locations(found) == {"0": "static"}


@pytest.mark.parametrize("content", [b"", b"<!DOCTYPE html>", b"\x08\x08\x3a\x05\x0a", b"\x00" * 64])
def test_files_that_are_no_models(parser: Parser, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    assert ask(parser, open_model(path)) == []


def test_half_a_node_is_no_reason_to_fail(parser: Parser) -> None:
    """The RTX 1.7.1 parser dies of a node without outputs, and throws for a missing attribute."""
    proto = onnx.ModelProto(ir_version=8)
    proto.graph.input.append(helper.make_tensor_value_info("x", TensorProto.FLOAT, [2]))
    proto.graph.node.add(op_type="Relu", input=["x"])
    proto.graph.node.add(op_type="Einsum", input=["x"], output=["e"])
    proto.graph.node.add(op_type="Foo", input=["x"], output=["f"])
    proto.graph.node.add(op_type="NonZero", input=["x"], output=["n"])
    proto.graph.output.append(helper.make_tensor_value_info("n", TensorProto.INT64, None))
    found = {one.path: one.code for one in ask(parser, from_proto(proto, Path("model.onnx")))}
    assert found.pop("0") == PARSER_CRASHED
    assert found == {"1": "INTERNAL_ERROR", "2": "INVALID_NODE", "3": "UNSUPPORTED_NODE"}


def test_two_inputs_of_one_name(parser: Parser) -> None:
    asked = model("g (float[3] x, float[3] y) => (float[3] z) { z = Relu(x)  n = NonZero(x) }")
    asked.proto.graph.input[1].name = "x"
    found = ask(parser, asked)
    assert [one.stage for one in found] == ["model", "dynamic"]
    assert "duplicate tensor name: x" in found[0].text


def agree(parser: Parser, cases: list[tuple[str, onnx.ModelProto]]) -> None:
    """The whole parse fails exactly where there are refusals, and each error it gives is among them."""
    for name, proto in cases:
        whole = parser.parse(proto.SerializeToString())
        found = ask(parser, from_proto(proto, Path("model.onnx")))
        assert whole.ok == (not found), name
        assert {error.desc for error in whole.errors} <= {one.text for one in found}, name


def test_agrees_with_the_whole_parse_on_onnx_model_tests(parser: Parser) -> None:
    files = sorted(Path(onnx.__file__).parent.glob("backend/test/data/*/*/model.onnx"))
    assert files
    agree(parser, [(str(file), onnx.load(file)) for file in files])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_agrees_with_the_whole_parse_on_onnx_node_tests(parser: Parser) -> None:
    agree(parser, [(case.name, case.model) for case in collect_testcases(None) if case.model is not None])
