"""Operators TensorRT does not take: where they come from, in bodies too, and reported once for many."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import TensorProto, helper
from onnx.parser import parse_model

from friction_tui.engines.base import NEEDS_GPU, Refusal
from friction_tui.engines.tensorrt.refusals import refusals
from friction_tui.model.opened import OpenedModel, from_proto
from friction_tui.model.shapes.shape_table import ShapeTable
from friction_tui.rules.context import CheckContext
from friction_tui.rules.operators.builder_limits import check as builder_limits
from friction_tui.rules.operators.operators import check
from friction_tui.rules.operators.partitions import partitions
from friction_tui.vocabulary.finding import Finding, Severity, Tier
from friction_tui.vocabulary.recipe import Profile, Recipe, Source

Asked = Callable[..., list[Finding]]
FLOAT = TensorProto.FLOAT


@pytest.fixture
def asked(tmp_path: Path) -> Asked:
    """What the check makes of the real parser's refusals (`parser=False`: of the operator table)."""

    def run(proto: onnx.ModelProto, *, parser: bool = True) -> list[Finding]:
        model = from_proto(proto, tmp_path / "model.onnx")
        refused = tuple(refusals(model, on_batch=lambda _: None)) if parser else None
        recipe = Recipe(source=Source(str(model.path)))
        context = CheckContext(model, recipe, ShapeTable(model, Profile()), refused, "TensorRT-RTX 1.7.1", True)
        return list(check(context if parser else replace(context, engine="")))

    return run


def one_node(op: str, domain: str = "", producer: str = "", **attributes: Any) -> onnx.ModelProto:
    node = helper.make_node(op, ["x"], ["y"], name="n", domain=domain, **attributes)
    x, y = (helper.make_tensor_value_info(n, FLOAT, [2, 3, 3]) for n in "xy")
    imports = [helper.make_opsetid("", 17), *([helper.make_opsetid(domain, 1)] if domain else [])]
    graph = helper.make_graph([node], "g", [x], [y])
    return helper.make_model(graph, opset_imports=imports, ir_version=8, producer_name=producer)


@pytest.mark.parametrize(
    ("model", "kind", "words"),
    [
        (one_node("Det"), "operators/unsupported", "not supported"),
        (one_node("Unique"), "operators/data-dependent", "data-dependent"),
        (one_node("LeakyReLU"), "operators/misspelt", "LeakyRelu"),
        (one_node("grid_sampler"), "operators/aten", "GridSample (opset 16)"),
        (one_node("ATen", "org.pytorch.aten", operator="cdist"), "operators/aten", "PyTorch"),
        (one_node("StatefulPartitionedCall", producer="tf2onnx"), "operators/tensorflow", "tf2onnx"),
        (one_node("FastGelu", "com.microsoft"), "operators/ort-optimised", "ONNX Runtime"),
        (one_node("BatchedNMS_TRT"), "operators/plugin", "plugin"),
        (one_node("RoIAlignRotated", "mmdeploy"), "operators/plugin", "mmdeploy"),
        (one_node("Scaler", "ai.onnx.ml"), "operators/classical-ml", "ai.onnx.ml"),
        (one_node("FluxCapacitor"), "operators/unknown", "unknown in every opset"),
    ],
)
def test_an_operator_is_traced_to_where_it_comes_from(
    model: onnx.ModelProto, kind: str, words: str, asked: Asked, said: Callable[[Iterable[Finding]], str]
) -> None:
    for parser in (True, False):
        (finding,) = asked(model, parser=parser)
        assert (finding.kind, finding.severity) == (kind, Severity.ERROR)
        assert finding.names == ("n",)
        assert words in said([finding])
        assert finding.source.startswith("TensorRT-RTX" if parser else "operator table")


def test_a_node_in_a_body_is_named_and_a_nameless_one_gets_the_parsers_name(asked: Asked) -> None:
    (finding,) = asked(
        onnx.parser.parse_model("""<ir_version: 8, opset_import: ["" : 17]>
        g (float[2,3,3] x, bool c) => (float[2] y) {
            y = If (c) <
                then_branch = t () => (float[2] a) { a = Det (x) },
                else_branch = e () => (float[2] b) { b = ReduceMax <axes = [1, 2], keepdims = 0> (x) }>
        }""")
    )
    assert finding.names == ("node_of_a",)
    assert finding.node_paths == ("0.then_branch.0",)


def test_thirty_nodes_refused_for_one_reason_are_one_finding(asked: Asked) -> None:
    nodes = [helper.make_node("BitwiseNot", [f"t{n}"], [f"t{n + 1}"], name=f"n{n}") for n in range(30)]
    ends = [helper.make_tensor_value_info(name, TensorProto.INT32, [4]) for name in ("t0", "t30")]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:])
    found = asked(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8))
    (finding,) = [one for one in found if one.severity is Severity.ERROR]
    assert len(finding.locations) == 30
    assert "27 more" in finding.cause


def test_nodes_behind_others_that_are_refused_for_the_same_reason_are_in_their_finding(asked: Asked) -> None:
    model = parse_model(
        """<ir_version: 8, opset_import: ["" : 17]>
        g (float[4] x, int64[4] i) => (float[4] y) {
            a = ScatterElements <axis = 0, reduction = "add"> (x, i, x)
            b = Relu (a)
            y = ScatterElements <axis = 0, reduction = "add"> (b, i, x)
        }"""
    )
    (finding,) = asked(model)
    assert (len(finding.node_paths), finding.provisional) == (2, False)


def test_an_attribute_is_refused_and_shown(asked: Asked, said: Callable[[Iterable[Finding]], str]) -> None:
    (finding,) = asked(one_node("LpPool", kernel_shape=[2], p=3))
    assert finding.kind == "operators/attribute"
    assert "p=3" in finding.evidence[0]


def test_what_rtx_refuses_only_when_it_builds_is_known_before(asked: Asked) -> None:
    boxes = [
        helper.make_tensor_value_info("b", FLOAT, [1, 10, 4]),
        helper.make_tensor_value_info("s", FLOAT, [1, 2, 10]),
    ]
    node = helper.make_node("NonMaxSuppression", ["b", "s"], ["y"], name="nms")
    out = helper.make_tensor_value_info("y", TensorProto.INT64, None)
    graph = helper.make_graph([node], "g", boxes, [out])
    (finding,) = asked(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8))
    assert finding.kind == "operators/data-dependent"
    assert "enterprise edition" in finding.cause


@pytest.mark.parametrize(("fill", "wrong"), [("[]", False), ("[1]", False), ("[2,3]", True)])
def test_the_fill_value_of_a_pad_is_one_number(fill: str, wrong: bool, tmp_path: Path) -> None:
    model = from_proto(
        parse_model(
            f"""<ir_version: 8, opset_import: ["" : 17]>
            g (float[2,3] x, float{fill if fill != "[]" else ""} f) => (float[4,5] y) <int64[4] p = {{1, 1, 1, 1}}> {{
                y = Pad (x, p, f)
            }}"""
        ),
        tmp_path / "model.onnx",
    )
    recipe = Recipe(source=Source(str(model.path)))
    context = CheckContext(model, recipe, ShapeTable(model, Profile()), (), "TensorRT-RTX 1.7.1", True)
    assert [finding.kind for finding in builder_limits(context)] == ["operators/no-implementation"] * wrong


@pytest.mark.parametrize(("shape", "wrong"), [("8,4,1", True), ("2,4,1,1", True), ("8,4,2", False), ("8,1,1", False)])
def test_an_instance_norm_of_single_elements_has_no_kernel(shape: str, wrong: bool, tmp_path: Path) -> None:
    model = from_proto(
        parse_model(
            f"""<ir_version: 8, opset_import: ["" : 17]>
            g (float[{shape}] x, float[c] s, float[c] b) => (float[{shape}] y) {{
                y = InstanceNormalization (x, s, b)
            }}"""
        ),
        tmp_path / "model.onnx",
    )
    recipe = Recipe(source=Source(str(model.path)))
    context = CheckContext(model, recipe, ShapeTable(model, Profile()), (), "TensorRT-RTX 1.7.1", True)
    assert [finding.kind for finding in builder_limits(context)] == ["operators/no-implementation"] * wrong


@pytest.mark.parametrize(("shape", "wrong"), [("", True), ("[1]", False)])
def test_a_random_number_like_a_scalar_has_no_kernel(shape: str, wrong: bool, tmp_path: Path) -> None:
    model = from_proto(
        parse_model(
            f"""<ir_version: 8, opset_import: ["" : 17]>
            g (float{shape} x) => (float{shape} y) {{
                y = RandomUniformLike (x)
            }}"""
        ),
        tmp_path / "model.onnx",
    )
    recipe = Recipe(source=Source(str(model.path)))
    context = CheckContext(model, recipe, ShapeTable(model, Profile()), (), "TensorRT-RTX 1.7.1", True)
    assert [finding.kind for finding in builder_limits(context)] == ["operators/no-implementation"] * wrong


def test_what_only_a_gpu_can_tell_is_a_note(tmp_path: Path) -> None:
    model = from_proto(one_node("RoiAlign"), tmp_path / "model.onnx")
    refusal = Refusal("0", "n", "RoiAlign", NEEDS_GPU, "plugin not registered", "", "", "static", False, ())
    recipe = Recipe(source=Source(str(model.path)))
    context = CheckContext(model, recipe, ShapeTable(model, Profile()), (refusal,), "TensorRT-RTX 1.7.1", True)
    (finding,) = check(context)
    assert (finding.kind, finding.severity, finding.tier) == ("operators/needs-gpu", Severity.NOTE, Tier.UNKNOWN)
    assert finding.names == ("n",)
    refused = replace(refusal, code="UNSUPPORTED_NODE", text="false")
    assert [one.kind for one in check(replace(context, refusals=(refused,)))] == ["operators/unsupported"]


def test_a_foreign_operator_with_an_onnx_name_is_a_hazard(asked: Asked) -> None:
    (finding,) = asked(one_node("Relu", "my.domain"))
    assert (finding.kind, finding.severity) == ("operators/domain-ignored", Severity.WARNING)


def branching() -> OpenedModel:
    """a -> bad -> c, and a -> d -> c: c may not join a, because a path leaves them through `bad`."""
    nodes = [
        helper.make_node("Relu", ["x"], ["a"], name="a"),
        helper.make_node("Det", ["a"], ["b"], name="bad"),
        helper.make_node("Relu", ["a"], ["d"], name="d"),
        helper.make_node("Add", ["b", "d"], ["c"], name="c"),
    ]
    ends = [helper.make_tensor_value_info(name, FLOAT, None) for name in "xc"]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:])
    return from_proto(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), Path("m.onnx"))


def test_partitions_never_leave_and_come_back() -> None:
    parts = {part.paths: part for part in partitions(branching(), {"1"})}
    assert set(parts) == {("0", "2"), ("3",)}
    assert parts["0", "2"].outputs == ("a", "d")
    assert parts[("3",)].inputs == ("b", "d")
