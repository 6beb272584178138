"""The opset planner: what converting gains and loses, tried for real."""

from __future__ import annotations

from pathlib import Path

from onnx import parser as onnx_text

from friction_tui.engines.engine import Parses
from friction_tui.engines.tensorrt.engine import TensorRT
from friction_tui.model.opened import OpenedModel, from_proto
from friction_tui.rewrites.opset_plan import plans
from friction_tui.vocabulary.protocol import OpsetPlan

PARSER = TensorRT()


def opened(opset: int, text: str) -> OpenedModel:
    proto = onnx_text.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}, "own" : 1]>\n{text}')
    return from_proto(proto, Path("model.onnx"))


def planned(model: OpenedModel, parser: Parses | None = PARSER, **sizes: tuple[int, ...]) -> dict[int, OpsetPlan]:
    return {
        plan.opset: plan
        for plan in plans(model, [(dict(sizes), {})] if sizes else [], parser, "TensorRT parser" if parser else "")
    }


def test_attributes_that_become_inputs_and_a_missing_adapter() -> None:
    model = opened(17, "g (float[N,4] x) => (float[N,1] y) { a = Relu(x)  y = ReduceMean <axes = [1]> (a) }")
    found = planned(model, x=(2, 4))
    assert list(found)[:2] == [18, 16]  # the nearest first
    assert (found[18].inputs, found[18].became, found[18].holds) == (("axes of ReduceMean ×1",), (), True)
    assert "verified on 5 inputs" in found[18].verification
    assert (found[18].refused, found[18].lost, found[18].source) == (0, (), "TensorRT parser")
    assert found[13].adapter == "Relu 14 → 13"
    assert (found[13].op, found[13].node) == ("Relu", "0")


def test_operators_that_come_and_go_and_what_becomes_standard() -> None:
    text = """g (float[1,1,2,2] x) => (float[1,1,4,4] y) <float[4] s = {1, 1, 2, 2}> {
        a = own.Gelu(x)  y = Upsample <mode = "nearest"> (a, s) }"""
    found = planned(opened(9, text), parser=None)
    assert found[10].became == ("Upsample ×1 → Resize ×1",)
    assert (found[19].standard, found[20].standard) == ((), ("Gelu",))
    assert (found[10].source, found[10].holds) == ("", None)


def test_nodes_tensorrt_takes_in_one_opset_only() -> None:
    found = planned(opened(17, "g (float[N,4] x) => (float[N,4] y) { a = own.Gone(x)  y = Relu(a) }"))
    assert found[18].refused == 1
    assert (found[18].lost, found[18].gained) == ((), ())


def test_what_is_being_tried_is_told_before_its_plan() -> None:
    heard: list[str] = []
    model = opened(17, "g (float[N,4] x) => (float[N,4] y) { y = Relu(x) }")
    tried = plans(model, [], None, "", heard.append)
    first = next(tried)
    count = int(heard[0].rsplit(" ", 1)[1])
    assert heard == [f"{first.opset} · 1 of {count}"]
    assert len([first, *tried]) == count and heard[-1].endswith(f" · {count} of {count}")
