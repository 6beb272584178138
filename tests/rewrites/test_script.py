"""A script of an edit gives the same model, without this package."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper, parser

from friction_tui.model.graph_diff import model_diff
from friction_tui.model.opened import OpenedModel, open_model
from friction_tui.rewrites import REWRITES
from friction_tui.rewrites.script import script_of
from friction_tui.samples import sample
from tests.rewrites.mended import path_of, ran, random_feeds

PACKAGES = next(path for path in sys.path if path.endswith("site-packages"))
ALONE = """
import sys
sys.path.append(sys.argv.pop(1))
try:
    import friction_tui
except ImportError:
    pass
else:
    sys.exit("friction_tui can be imported")
import runpy
runpy.run_path(sys.argv.pop(1), run_name="__main__")
"""
"""Without site, so that no .pth file of an editable install brings the package back."""


def repeated(before: onnx.ModelProto, after: onnx.ModelProto, folder: Path) -> onnx.ModelProto:
    """What the script makes of the original in a process that cannot import this package."""
    script, original, fixed = folder / "edits.py", folder / "original.onnx", folder / "fixed.onnx"
    if not original.exists():
        onnx.save(before, str(original))
    script_of(before, after, original.name, ['a step\nwith "quotes" \\ and \x1b']).write(script)
    command = [sys.executable, "-S", "-I", "-c", ALONE, PACKAGES, str(script)]
    run = subprocess.run([*command, str(original), str(fixed)], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return onnx.load(str(fixed), load_external_data=False)


def assert_repeats(before: onnx.ModelProto, after: onnx.ModelProto, folder: Path) -> str:
    """Assert that it gives the same model, and return its text."""
    made = repeated(before, after, folder)
    assert not model_diff(before, after).empty
    assert model_diff(after, made).empty
    assert [one.SerializeToString() for one in after.graph.value_info] == [
        one.SerializeToString() for one in made.graph.value_info
    ]
    assert [one.output[:] for one in after.graph.node] == [one.output[:] for one in made.graph.node]
    return (folder / "edits.py").read_text()


def opened_sample(name: str) -> OpenedModel:
    file = sample(name)
    assert file is not None
    return open_model(file)


@pytest.mark.parametrize(
    ("name", "rewrite", "op"),
    [
        ("baked_batch", "reshape-minus-one", "Reshape"),
        ("boolean_mask", "nonzero-mask", "NonZero"),
        ("training_mode", "eval-mode", ""),
        ("wrong_types", "float64-in-float32", ""),
    ],
)
def test_what_a_rewrite_did_is_repeated(name: str, rewrite: str, op: str, tmp_path: Path) -> None:
    model = opened_sample(name)
    after = REWRITES[rewrite].run(model, [path_of(model, op)] if op else [])
    text = assert_repeats(model.proto, after, tmp_path)
    assert "friction_tui" not in text
    made = onnx.load(str(tmp_path / "fixed.onnx"))
    feeds = random_feeds(after, None, 1, 0, (1, 2))
    for expected, found in zip(ran(after, feeds), ran(made, feeds), strict=True):
        np.testing.assert_array_equal(expected, found)


def base() -> onnx.ModelProto:
    model = parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 17]>
        g (float[N,4] x, bool c) => (float[N,4] y) <float[4] w = {1, 2, 3, 4}> {
            a = Relu(x)
            b = Add(a, w)
            s = Softmax<axis=1>(b)
            y = If(c) <then_branch = t () => (float[N,4] p) { p = Exp(s) },
                       else_branch = e () => (float[N,4] q) { q = Neg(s) }>
        }"""
    )
    model.graph.initializer.append(numpy_helper.from_array(np.linspace(0, 1, 4000, dtype=np.float32), "unused"))
    return model


def reorder(model: onnx.ModelProto) -> None:
    nodes = list(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend([nodes[3], nodes[0], nodes[2], nodes[1]])


def change_body(model: onnx.ModelProto) -> None:
    model.graph.node[3].attribute[0].g.node[0].op_type = "Tanh"


def change_ports(model: onnx.ModelProto) -> None:
    model.graph.input.insert(0, helper.make_tensor_value_info("first", TensorProto.FLOAT16, [None, "M", 3]))
    model.graph.input[1].type.tensor_type.shape.dim[0].dim_value = 2
    model.graph.output.append(helper.make_tensor_value_info("b", TensorProto.FLOAT, ["N", 4]))


def odd_values(model: onnx.ModelProto) -> None:
    values: dict[str, Any] = {
        "nan": np.array([np.nan, np.inf, -0.0], np.float32),
        "double": np.array(0.1, np.float64),
        "flags": np.array([[True, False]]),
        "text": np.array([b"a", b"\xff"], object),
        "half": np.array([1.5, 2.5], ml_dtypes.bfloat16),
        "large": np.arange(5000, dtype=np.int64).reshape(50, 100),
        "empty": np.zeros((0, 3), np.float32),
    }
    for name, value in values.items():
        model.graph.initializer.append(numpy_helper.from_array(value, name))
    model.graph.initializer.append(helper.make_tensor("four", TensorProto.INT4, [3], [1, -2, 3]))


def odd_attributes(model: onnx.ModelProto) -> None:
    node = helper.make_node("Odd", ["x", "", "w"], ["odd"], name='quote"', domain="my.domain")
    for name, value in (("i", -5), ("f", 0.1), ("s", "text"), ("is", [1, 2]), ("fs", [0.5, 1.0]), ("ss", ["a", "b"])):
        node.attribute.append(helper.make_attribute(name, value))
    node.attribute.append(helper.make_attribute("inf", float("inf")))
    node.attribute.append(helper.make_attribute("raw", b"\xff\x00"))
    node.attribute.append(helper.make_attribute("none", [], attr_type=onnx.AttributeProto.INTS))
    node.attribute.append(helper.make_attribute("t", numpy_helper.from_array(np.arange(3), "k")))
    node.metadata_props.add(key="where", value="model.py:3")
    model.graph.node.insert(1, node)
    model.opset_import.append(helper.make_opsetid("my.domain", 1))


def drop_and_retype(model: onnx.ModelProto) -> None:
    del model.graph.initializer[1]
    half = numpy_helper.to_array(model.graph.initializer[0]).astype(np.float16)
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(half, "w"))
    model.graph.node[2].attribute[0].i = -1
    model.graph.node[1].name = "renamed"
    model.opset_import[0].version = 18
    model.ir_version = 9
    model.producer_name = "someone"
    model.metadata_props.add(key="k", value="v")
    model.graph.value_info.append(helper.make_tensor_value_info("a", TensorProto.FLOAT, ["N", 4]))


def add_function(model: onnx.ModelProto) -> None:
    node = helper.make_node("Neg", ["i"], ["o"])
    model.functions.append(helper.make_function("local", "F", ["i"], ["o"], [node], [helper.make_opsetid("", 17)]))


EDITS: tuple[Callable[[onnx.ModelProto], None], ...] = (
    reorder,
    change_body,
    change_ports,
    odd_values,
    odd_attributes,
    drop_and_retype,
    add_function,
)


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.__name__)
def test_every_kind_of_edit_is_repeated_and_undone(edit: Callable[[onnx.ModelProto], None], tmp_path: Path) -> None:
    before = base()
    after = base()
    edit(after)
    assert_repeats(before, after, tmp_path)
    (tmp_path / "back").mkdir()
    assert_repeats(after, before, tmp_path / "back")


def test_two_initializers_and_two_writers_of_one_name_are_told_apart_by_position(tmp_path: Path) -> None:
    before = base()
    before.graph.initializer.append(numpy_helper.from_array(np.zeros(4, np.float32), "w"))
    before.graph.node.append(helper.make_node("Exp", ["x"], ["a"]))
    after = base()
    assert_repeats(before, after, tmp_path)


def test_weights_in_external_files_come_along(tmp_path: Path) -> None:
    before = base()
    onnx.save(before, str(tmp_path / "original.onnx"), save_as_external_data=True, location="w.data", size_threshold=64)
    before = onnx.load(str(tmp_path / "original.onnx"), load_external_data=False)
    after = onnx.ModelProto()
    after.CopyFrom(before)
    after.graph.node[2].attribute[0].i = -1
    assert_repeats(before, after, tmp_path)
    assert onnx.load(str(tmp_path / "fixed.onnx")).graph.initializer[1].raw_data


def test_another_model_is_refused(tmp_path: Path) -> None:
    before, after = base(), base()
    after.graph.node[2].attribute[0].i = -1
    other = parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17]> g (float[4] x) => (float[4] y) { y = Relu(x) }'
    )
    onnx.save(other, str(tmp_path / "original.onnx"))
    with pytest.raises(AssertionError, match="for another version of the model"):
        repeated(before, after, tmp_path)
