"""A plug-in's skeleton declares what the node has, and TensorRT's registry takes it."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper

from friction_tui.cli import main
from friction_tui.model.opened import OpenedModel
from friction_tui.model.shapes.profile import default_profile
from friction_tui.model.shapes.shape_table import ShapeTable
from friction_tui.rewrites.plugin_cpp import cpp_text
from friction_tui.rewrites.plugin_facts import Field, NoPlugin, PluginFacts, Size, find_node, plugin_facts
from friction_tui.rewrites.plugin_python import python_text
from friction_tui.vocabulary.recipe import Profile
from tests.rewrites.mended import model_of

API = json.loads((Path(__file__).parents[1] / "engines" / "tensorrt_api.json").read_text())
USE = """
import importlib.util, json, sys
import numpy as np
try:
    import tensorrt as trt
except ImportError:
    import tensorrt_rtx as trt
spec = importlib.util.spec_from_file_location("plugin", sys.argv[1])
plugin = importlib.util.module_from_spec(spec)
sys.modules["plugin"] = plugin
spec.loader.exec_module(plugin)
creator = trt.get_plugin_registry().get_creator(plugin.NAME, plugin.VERSION, plugin.NAMESPACE)
seven = np.array([7], np.int32)
mine = trt.PluginFieldCollection([trt.PluginField("axis", seven, trt.PluginFieldType.INT32)])
made = plugin.CREATOR.create_plugin("n", mine, trt.TensorRTPhase.BUILD)
copy = made.clone()
print(json.dumps({
    "creator": creator is not None,
    "name": [made.plugin_name, made.plugin_version, made.num_outputs],
    "fields": {name: value.tolist() for name, value in copy.fields.items()},
    "stored": [[field.name, field.size] for field in made.get_fields_to_serialize()],
    "types": [str(one) for one in made.get_output_data_types([])],
    "is_plugin": isinstance(made, trt.IPluginV3),
}))
"""


def weird() -> OpenedModel:
    model = model_of(
        """<ir_version: 8, opset_import: ["" : 17, "my.ops" : 1]>
        g (float[N,16] x, int64[N] k) => (float16[N,16] y, float[N,8] z) {
            r = Relu(x)
            y, z = my.ops.Weird<axis=1, alpha=0.5, mode="bilinear", sizes=[2,3]>(r, k)
        }"""
    )
    model.proto.graph.node[1].name = "odd"
    return model


def facts_of(model: OpenedModel, wanted: str) -> PluginFacts:
    return plugin_facts(find_node(model, wanted), ShapeTable(model, default_profile(model, Profile())))


def test_tensors_sizes_and_attributes_are_read_from_the_node() -> None:
    facts = facts_of(weird(), "y")
    assert (facts.name, facts.renamed) == ("Weird", False)
    assert [(one.name, one.dtype, one.shape) for one in facts.inputs] == [
        ("r", "FLOAT", "1..8 × 16"),
        ("k", "INT64", "1..8"),
    ]
    assert [one.dtype for one in facts.outputs] == ["HALF", "FLOAT"]
    assert facts.outputs[0].sizes == (Size(axis=(0, 0)), Size(axis=(0, 1)))
    assert facts.outputs[1].sizes == (Size(axis=(0, 0)), Size(constant=8))
    assert facts.fields == (
        Field("axis", "INT32", (1,)),
        Field("alpha", "FLOAT32", (0.5,)),
        Field("mode", "CHAR", "bilinear"),
        Field("sizes", "INT32", (2, 3)),
    )


def test_what_the_model_does_not_tell_is_left_open() -> None:
    model = model_of("g (float[N] x) => (float[K] y) { y = Unique(x) }")
    facts = facts_of(model, "Unique_0")
    assert (facts.name, facts.renamed) == ("UniquePlugin", True)
    assert facts.outputs[0].sizes == (Size(),)
    assert "# not known from the model: axis 0 of y" in python_text(facts)


def test_what_no_plugin_can_have_is_said() -> None:
    model = model_of("g (float[N] x) => (double[N] y) { y = Cast<to=11>(x) }")
    with pytest.raises(NoPlugin, match="y is float64"):
        facts_of(model, "y")
    with pytest.raises(NoPlugin, match="there is no node z"):
        facts_of(model, "z")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    onnx.save(weird().proto, str(tmp_path / "weird.onnx"))
    done = CliRunner().invoke(main, ["plugin", str(tmp_path / "weird.onnx"), "odd", "-o", str(tmp_path / "plugin")])
    assert done.exit_code == 0, done.output
    assert "plug-in Weird" in done.output
    return tmp_path / "plugin"


def test_the_registry_takes_the_python_plugin(folder: Path) -> None:
    pytest.importorskip("tensorrt_rtx", reason="registers with the RTX edition, which is part of the cpu extra")
    command = [sys.executable, "-I", "-c", USE, str(folder / "plugin.py")]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    said = json.loads(run.stdout)
    assert said == {
        "creator": True,
        "name": ["Weird", "1", 2],
        "fields": {"axis": [7], "alpha": [0.5], "mode": list(b"bilinear"), "sizes": [2, 3]},
        "stored": [["axis", 1], ["alpha", 1], ["mode", 8], ["sizes", 2]],
        "types": ["DataType.HALF", "DataType.FLOAT"],
        "is_plugin": True,
    }


@pytest.mark.parametrize("version", ["tensorrt_cu13_bindings 10.16", "tensorrt_cu13_bindings 11.4"])
def test_every_name_it_takes_from_tensorrt_exists(version: str, folder: Path) -> None:
    known = next(api for key, api in API.items() if key.startswith(version))["module"]
    tree = ast.parse((folder / "plugin.py").read_text())
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "trt"
    }
    assert {"IPluginV3", "IPluginCreatorV3One", "DimsExprs", "get_plugin_registry"} <= used
    assert used <= set(known)


def test_the_cpp_plugin_compiles_where_the_headers_are(folder: Path) -> None:
    """Set CPLUS_INCLUDE_PATH to the folders of NvInfer.h and cuda_runtime_api.h where they are not installed."""
    compiler = shutil.which("g++")
    if compiler is None:
        pytest.skip("there is no g++")
    preprocess = [compiler, "-E", "-x", "c++", "-"]
    include = subprocess.run(preprocess, input=b"#include <NvInfer.h>", capture_output=True, check=False)
    if include.returncode:
        pytest.skip("TensorRT's headers are not on the include path")
    command = [
        compiler,
        "-std=c++17",
        "-Werror",
        "-Wno-deprecated-declarations",
        "-fsyntax-only",
        str(folder / "plugin.cpp"),
    ]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def test_nodes_of_onnx_take_the_plugins_name(tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx", reason="registers with the RTX edition, which is part of the cpu extra")
    model = model_of("g (float[N] x) => (float[K] y) { r = Relu(x) y = Unique(r) }")
    (tmp_path / "plugin.py").write_text(python_text(facts_of(model, "y")))
    onnx.save(model.proto, str(tmp_path / "m.onnx"))
    command = [sys.executable, "-I", *(str(tmp_path / name) for name in ("plugin.py", "m.onnx", "renamed.onnx"))]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    renamed = onnx.load(str(tmp_path / "renamed.onnx"))
    assert [(node.domain, node.op_type) for node in renamed.graph.node] == [
        ("", "Relu"),
        ("trt.plugins", "UniquePlugin"),
    ]


def test_names_of_the_model_cannot_break_out_of_the_text() -> None:
    model = weird()
    node = model.proto.graph.node[1]
    evil = 'a"""\n\x1b\\'
    node.output[0] = evil
    node.attribute.append(helper.make_attribute(evil, "x"))
    node.attribute.append(helper.make_attribute("inf", float("inf")))
    model.proto.graph.output[0].name = evil
    from friction_tui.model.opened import from_proto

    facts = facts_of(from_proto(model.proto, model.path), "odd")
    tree = ast.parse(python_text(facts))
    assert {one.name for one in tree.body if isinstance(one, ast.ClassDef)} == {"Weird", "Creator"}
    lines = cpp_text(facts).splitlines()
    assert not any(line.endswith("\\") for line in lines)
    assert any("\\012" in line and "emplace_back" in line for line in lines)


def test_an_attribute_that_no_field_holds_is_named(tmp_path: Path) -> None:
    model = weird()
    stored = helper.make_tensor("t", TensorProto.FLOAT, [2], np.zeros(2, np.float32))
    model.proto.graph.node[1].attribute.append(helper.make_attribute("table", stored))
    onnx.save(model.proto, str(tmp_path / "weird.onnx"))
    done = CliRunner().invoke(main, ["plugin", str(tmp_path / "weird.onnx"), "odd", "-o", str(tmp_path / "out")])
    assert "the attribute table, which no plug-in field can hold" in done.output
    assert "add_library(Weird SHARED plugin.cpp)" in (tmp_path / "out" / "CMakeLists.txt").read_text()
    missing = CliRunner().invoke(main, ["plugin", str(tmp_path / "weird.onnx"), "nowhere", "-o", str(tmp_path)])
    assert (missing.exit_code, "there is no node nowhere" in missing.output) == (2, True)
