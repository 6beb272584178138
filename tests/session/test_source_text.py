"""Python beside the nodes it made, and nothing but the project's own Python."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from onnx import parser

from friction_tui.model.opened import open_model
from friction_tui.samples import sample
from friction_tui.session.source_text import source_text
from friction_tui.vocabulary.recipe import Source

MODEL = '<ir_version: 8, opset_import: ["" : 17]> g (float[2] x) => (float[2] y) { a = Relu(x) y = Exp(a) }'


def _traced(folder: Path, *files: str) -> Path:
    """A model whose first node says it comes from these files, the outermost call first."""
    model = parser.parse_model(MODEL)
    trace = "".join(f'File "{file}", line {at + 1}, in forward\n    x = f(x)\n' for at, file in enumerate(files))
    model.graph.node[0].metadata_props.append(
        onnx.StringStringEntryProto(key="pkg.torch.onnx.stack_trace", value=trace)
    )
    path = folder / "model.onnx"
    onnx.save(model, str(path))
    return path


def test_each_line_of_an_exported_model_has_its_nodes() -> None:
    path = sample("torch_classifier")
    assert path is not None
    model = open_model(path)
    answer = source_text("", model, Source(str(path)), ())
    lines = answer.text.splitlines()
    view = next(at for at, line in enumerate(lines, start=1) if "x.view(1, 1024)" in line)
    (reshape,) = answer.nodes[view]
    assert model.index.by_path[reshape].proto.op_type == "Reshape"
    assert Path(answer.file).name == "torch_classifier.py" and answer.files == (answer.file,)
    assert "sample_models/torch_classifier.py" in answer.names


def test_a_call_knows_what_it_led_to(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text("outer\n")
    (tmp_path / "block.py").write_text("\ninner\n")
    path = _traced(tmp_path, str(tmp_path / "net.py"), str(tmp_path / "block.py"))
    inner = source_text("", open_model(path), Source(str(path)), ())
    outer = source_text("net.py", open_model(path), Source(str(path)), ())
    assert (Path(inner.file).name, inner.nodes, inner.callers) == ("block.py", {2: ["0"]}, {})
    assert (outer.nodes, outer.callers) == ({}, {1: ["0"]})


@pytest.mark.parametrize("name", ["../secret.py", "secret.txt", ".venv/lib/site-packages/x.py", "link.py"])
def test_a_model_cannot_ask_for_other_files(tmp_path: Path, name: str) -> None:
    project = tmp_path / "project"
    (project / ".venv/lib/site-packages").mkdir(parents=True)
    for file in ("../secret.py", "secret.txt", ".venv/lib/site-packages/x.py"):
        (project / file).write_text("secret")
    (project / "link.py").symlink_to(tmp_path / "secret.py")
    path = _traced(project, name)
    for asked in (name, str(project / name), ""):
        answer = source_text(asked, open_model(path), Source(str(path)), ())
        assert answer.error and not answer.text and not answer.files


def test_the_source_of_a_failed_export_is_shown_without_nodes(tmp_path: Path) -> None:
    net = tmp_path / "net.py"
    net.write_text("def model():\n    return 1 / 0\n")
    answer = source_text("", None, Source(f"{net}", factory="model"), (net,))
    assert (answer.text, answer.nodes) == (net.read_text(), {})
