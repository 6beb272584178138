"""Any file opens; what it is and where it breaks is said."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from friction_tui.model.graph_data import graph_data
from friction_tui.model.opened import OpenedModel, open_model
from friction_tui.model.shapes.profile import default_profile
from friction_tui.model.shapes.shape_table import ShapeTable
from friction_tui.model.summary import summarize


def chain(nodes: int = 40) -> onnx.ModelProto:
    """x → Relu → Relu → … with a small initializer added in the middle."""
    steps = [helper.make_node("Relu", [f"t{n}"], [f"t{n + 1}"], name=f"relu_{n}") for n in range(nodes)]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        steps,
        "chain",
        [value("t0", TensorProto.FLOAT, ["N", 4])],
        [value(f"t{nodes}", TensorProto.FLOAT, ["N", 4])],
        [helper.make_tensor("w", TensorProto.FLOAT, [4], [1.0, 2.0, 3.0, 4.0])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def opened(tmp_path: Path, content: bytes, name: str = "m.onnx") -> OpenedModel:
    path = tmp_path / name
    path.write_bytes(content)
    return open_model(path)


def use_everything(model: OpenedModel) -> None:
    """Every fact that is asked of a model right after opening it."""
    summarize(model)
    graph_data(model)
    assert model.index.order is not None
    assert isinstance(model.index.cycle, tuple)
    assert ShapeTable(model, default_profile(model)).opt is not None


def _zip() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(zipfile.ZipInfo("archive/data.pkl"), b"x")  # its date is fixed: the bytes name the test
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "kind", "says"),
    [
        (b"", "empty", "0 bytes"),
        (b"\n<!DOCTYPE html><html>404</html>", "html", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 123456\n", "git-lfs", "123,456 bytes"),
        (b"just some notes\n", "text", "just some notes"),
        (_zip(), "zip", "torch.save"),
        (b"\x80\x02}q\x00.", "pickle", "pickle"),
        (b"ftrt" + bytes(60), "engine", "engine"),
        (b"vtrt" + bytes(60), "engine", "engine"),
        (b"\x89HDF\r\n\x1a\n" + bytes(60), "not-protobuf", "Keras"),
        (bytes(range(1, 200)), "not-protobuf", "byte"),
    ],
)
def test_what_is_no_model_is_recognized(tmp_path: Path, content: bytes, kind: str, says: str) -> None:
    model = opened(tmp_path, content)
    assert model.file.kind == kind
    assert says in model.file.error
    assert not model.proto.graph.node
    use_everything(model)


def test_missing_file_and_directory(tmp_path: Path) -> None:
    assert open_model(tmp_path / "gone.onnx").file.kind == "missing"
    assert open_model(tmp_path).file.kind == "directory"


def test_whole_model_is_summarized(tmp_path: Path) -> None:
    model = opened(tmp_path, chain().SerializeToString())
    assert (model.file.kind, model.file.error) == ("onnx", "")
    summary = summarize(model)
    assert (summary.nodes, summary.initializers, summary.weights_bytes) == (40, 1, 16)
    assert summary.inputs[0].dtype == "float32"
    assert [(dim.size, dim.symbol) for dim in summary.inputs[0].dims or ()] == [(None, "N"), (4, "")]


def test_truncated_model_shows_the_nodes_before_the_break(tmp_path: Path) -> None:
    content = chain().SerializeToString()
    cut = content.index(b"relu_30")
    model = opened(tmp_path, content[:cut])
    assert model.file.kind == "truncated"
    assert len(model.index.main) == 30
    offset = int(model.file.error.split("at byte ")[1].split(" ")[0].replace(",", ""))
    assert cut - 60 < offset <= cut
    use_everything(model)


def test_a_damaged_node_in_the_middle_hides_only_itself(tmp_path: Path) -> None:
    content = bytearray(chain().SerializeToString())
    content[content.index(b"relu_20") - 2] = 0xFF  # the tag of the name
    model = opened(tmp_path, bytes(content))
    assert model.file.kind == "not-protobuf"
    assert 20 <= len(model.index.main) < 40
    use_everything(model)


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(0, 1400), flips=st.lists(st.tuples(st.integers(0, 1400), st.integers(0, 255)), max_size=4))
def test_no_damage_makes_opening_raise(
    tmp_path_factory: pytest.TempPathFactory, cut: int, flips: list[tuple[int, int]]
) -> None:
    content = bytearray(chain(12).SerializeToString())
    for location, byte in flips:
        content[location % len(content)] = byte
    use_everything(opened(tmp_path_factory.mktemp("damaged"), bytes(content[: max(cut, 1)])))


def _external(location: str, offset: int = 0, dims: tuple[int, ...] = (4, 4)) -> onnx.ModelProto:
    model = chain(1)
    tensor = model.graph.initializer.add(name="far", data_type=TensorProto.FLOAT, dims=dims)
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    tensor.external_data.add(key="offset", value=str(offset))
    return model


def test_external_data_is_described_and_not_read(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(bytes(64))
    fine = opened(tmp_path, _external("w.bin").SerializeToString())
    assert [(f.missing, f.short, f.escapes, f.needed_bytes) for f in fine.external] == [(False, False, False, 64)]
    assert not fine.proto.graph.initializer[1].raw_data

    short = opened(tmp_path, _external("w.bin", offset=16).SerializeToString())
    assert short.external[0].short
    missing = opened(tmp_path, _external("elsewhere.bin").SerializeToString())
    assert missing.external[0].missing
    assert summarize(missing).external_bytes == 64


def test_external_data_that_leaves_the_folder(tmp_path: Path) -> None:
    home, outside = tmp_path / "home", tmp_path / "outside.bin"
    home.mkdir()
    outside.write_bytes(bytes(64))
    (home / "link.bin").symlink_to(outside)
    (home / "loop.bin").symlink_to(home / "loop.bin")
    (home / "ring").symlink_to(home / "ring")
    for location in (str(outside), "../outside.bin", "link.bin", "loop.bin", "ring/w.bin"):
        assert opened(home, _external(location).SerializeToString()).external[0].escapes, location
    (home / "inner.bin").write_bytes(bytes(64))
    assert not opened(home, _external("./inner.bin").SerializeToString()).external[0].escapes
    below_a_file = opened(home, _external("inner.bin/w.bin").SerializeToString()).external[0]
    assert below_a_file.missing and not below_a_file.escapes


@pytest.mark.parametrize("name", ["then_out", "local_in", "noted"])
def test_a_name_in_a_body_that_is_no_text_is_spelt_out(name: str, tmp_path: Path) -> None:
    text = """<ir_version: 10, opset_import: ["" : 21, "f" : 1]>
    g (float[2] x, bool c) => (float[2] y) <float[2] noted> {
        y = If (c) <then_branch = t () => (float[2] then_out) { a = f.same (x) },
                    else_branch = e () => (float[2] b) { b = Neg (x) }> }
    <domain: "f", opset_import: ["" : 21]> same (local_in) => (o) { o = Relu (x) }"""
    content = onnx.parser.parse_model(text).SerializeToString()
    model = opened(tmp_path, content.replace(name.encode(), b"\xbc" + name[1:].encode()))
    found = [value.name for graph in (model.proto.graph, model.index.graphs["0.then_branch"]) for value in graph.output]
    found += [*model.proto.functions[0].input, *(value.name for value in model.proto.graph.value_info)]
    assert rf"\xbc{name[1:]}" in found
