"""onnx's own C++ neither takes the process along that asks it, nor runs without end, nor takes all memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import onnx
import pytest
from onnx import helper

from friction_tui.model import onnx_native
from friction_tui.model.onnx_native import NativeRefused, NotAnswered
from friction_tui.model.opened import open_model
from friction_tui.model.shapes.point_shapes import shapes_at
from friction_tui.model.shapes.steps import not_inferred
from tests.hardening.hostile import calling, crashing, doubling, model

Save = Callable[[onnx.ModelProto], Path]


@pytest.fixture
def saved(tmp_path: Path) -> Save:
    """Write a model to a file."""

    def save(proto: onnx.ModelProto) -> Path:
        path = tmp_path / "m.onnx"
        path.write_bytes(proto.SerializeToString())
        return path

    return save


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hang is one after a second as well."""
    monkeypatch.setattr(onnx_native, "LIMIT_S", 1.0)


def test_an_answer_is_that_of_the_package() -> None:
    plain = model([helper.make_node("Relu", ["x"], ["y"])], "y", ["N", 4])
    ours, theirs = onnx_native.infer_shapes(plain, data_prop=True), onnx.shape_inference.infer_shapes(plain)
    assert ours.graph.output == theirs.graph.output


def test_an_error_keeps_its_name_and_its_text() -> None:
    with pytest.raises(NativeRefused, match="required but missing") as refused:
        onnx_native.check_model(model([helper.make_node("Nonsense", ["x"], ["y"])], "y", ["N"]))
    assert refused.value.name == "ValidationError"


def test_a_crash_is_no_answer_and_the_next_question_has_one() -> None:
    with pytest.raises(NotAnswered, match="SIGSEGV"):
        onnx_native.infer_shapes(crashing())
    assert onnx_native.infer_shapes(model([helper.make_node("Relu", ["x"], ["y"])], "y", [2])).graph.output


def test_no_end_is_no_answer() -> None:
    with pytest.raises(NotAnswered, match="took longer than"):
        onnx_native.infer_shapes(calling(40, 2))


def test_memory_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_native, "LIMIT_S", 60.0)
    monkeypatch.setattr(onnx_native, "MEMORY", 256 << 20)
    onnx_native.close()  # the next one has the new limit
    try:
        with pytest.raises(NotAnswered, match="memory"):
            onnx_native.infer_shapes(doubling(40), data_prop=True)
    finally:
        onnx_native.close()


@pytest.mark.parametrize("build", [crashing, lambda: calling(40, 2)], ids=["crash", "hang"])
def test_shapes_go_on_and_say_what_is_missing(build: Callable[[], onnx.ModelProto], saved: Save) -> None:
    opened = open_model(saved(build()))
    shapes_at(opened, {"x": (2, 4)})
    assert any("onnx's shape inference" in why for why in not_inferred(opened))


def test_thousands_of_functions_in_each_other_end(saved: Save) -> None:
    opened = open_model(saved(calling(2000, 1)))
    found = shapes_at(opened, {"x": (2, 4)})
    assert "y" in found.types
    assert any("too many calls in calls" in why for why in not_inferred(opened))


def test_functions_that_are_followed_say_nothing(saved: Save) -> None:
    opened = open_model(saved(calling(5, 2)))
    assert shapes_at(opened, {"x": (2, 4)}).types["y"].dims == (2, 4)
    assert not_inferred(opened) == ()
