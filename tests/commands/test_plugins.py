"""Plug-in libraries as a builder option: loaded by parser and builder after somebody agreed, and by nothing before."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnx
import onnx.parser
import pytest
from click.testing import CliRunner

from friction_tui.cli import main
from friction_tui.friction_toml import from_recipe, load, save
from friction_tui.plugin_libraries import agreed, not_agreed, with_agreement
from friction_tui.vocabulary.recipe import Recipe, Source, SourceKind
from tests.engines.plugin_library import compiled

pytest.importorskip("tensorrt_rtx", reason="loads it into the RTX edition, which is part of the cpu extra, not of gpu")


@pytest.fixture
def library(tmp_path: Path) -> Path:
    mark = tmp_path / "ran"
    before = f'#include <cstdio>\n__attribute__((constructor)) void ran() {{ fclose(fopen("{mark}", "w")); }}'
    made = compiled(tmp_path, "Rotated", before)
    if made is None:
        pytest.skip("there is no C++ compiler here")
    return made


@pytest.fixture
def model(tmp_path: Path) -> Path:
    text = '<ir_version: 8, opset_import: ["" : 17, "my" : 1]> g (float[2] x) => (float[2] y) { y = my.Rotated (x) }'
    path = tmp_path / "net.onnx"
    onnx.save(onnx.parser.parse_model(text), path)
    return path


def checked(*words: str | Path) -> dict[str, Any]:
    done = CliRunner().invoke(main, ["check", *map(str, words), "--format", "json"])
    assert done.exit_code == 1, done.output
    found: dict[str, Any] = json.loads(done.output)["models"][0]
    return found


def test_a_library_is_loaded_only_after_somebody_agreed(library: Path, model: Path, tmp_path: Path) -> None:
    (tmp_path / "friction.toml").write_text(f'[builder]\nplugins = ["{library.name}"]\n')  # came with the model
    findings = {one["kind"]: one for one in checked(model)["findings"]}
    assert "nobody agreed" in findings["engine/plugin-library"]["cause"]
    assert "operators/plugin" in findings
    assert not (tmp_path / "ran").exists()


def test_a_library_that_was_agreed_to_is_loaded_by_parser_and_builder(
    library: Path, model: Path, tmp_path: Path
) -> None:
    findings = checked(model, "--builder", f"plugins={library}", "--allow-code")["findings"]
    kinds = {one["kind"] for one in findings}
    assert not {"engine/plugin-library", "operators/plugin"} & kinds
    assert any("ould not create the plugin" in json.dumps(one) for one in findings)  # its creator makes none
    assert (tmp_path / "ran").exists()
    (tmp_path / "ran").unlink()
    built = CliRunner().invoke(main, ["build", str(model), "--builder", f"plugins={library}", "--allow-code"])
    assert built.exit_code == 1
    assert "ould not create the plugin" in built.output
    assert (tmp_path / "ran").exists()


def test_a_library_that_tensorrt_does_not_take_is_said_where_the_parser_is_not_asked(
    model: Path, tmp_path: Path
) -> None:
    text = tmp_path / "text.so"
    text.write_text("text")
    done = CliRunner().invoke(main, ["check", str(model), "--builder", f"plugins={text}", "--allow-code"])
    assert done.exit_code == 1, done.output  # the operator is refused by the table, and the parser was not asked
    assert "is not loaded" in done.output


def test_a_file_that_is_not_there_is_an_error(model: Path) -> None:
    findings = checked(model, "--builder", "plugins=gone.so", "--allow-code")["findings"]
    (finding,) = [one for one in findings if one["kind"] == "engine/plugin-library"]
    assert "cannot be read" in finding["cause"]


def test_an_agreement_is_for_exactly_these_bytes_and_is_not_written_down(tmp_path: Path) -> None:
    library = tmp_path / "libone.so"
    library.write_bytes(b"one")
    source = Source(str(tmp_path / "m.onnx"), SourceKind.ONNX)
    recipe = Recipe(source=source, builder={"plugins": (str(library),)})
    assert agreed(recipe) == ()
    recipe = with_agreement(recipe)
    assert [path for path, _ in agreed(recipe)] == [str(library)]
    library.write_bytes(b"two2")
    assert agreed(recipe) == ()
    assert not_agreed(recipe) == {str(library): "nobody agreed that its code runs"}
    path = save(from_recipe(recipe), tmp_path / "friction.toml")
    assert '"libone.so"' in path.read_text()
    assert "agreed" not in path.read_text()
    assert load(path).builder == recipe.builder
    assert load(path).recipe().plugins_agreed == ()
