"""`friction-tui creators`: a compiled library is loaded in another process, with consent, and matched with a model."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnx.parser
import pytest
from click.testing import CliRunner, Result

from friction_tui.cli import main
from tests.engines.plugin_library import compiled

pytest.importorskip("tensorrt_rtx", reason="loads it into the RTX edition, which is part of the cpu extra, not of gpu")


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["creators", *map(str, arguments)])


@pytest.fixture
def library(tmp_path: Path) -> Path:
    made = compiled(tmp_path, "Rotated")
    if made is None:
        pytest.skip("there is no C++ compiler here")
    return made


def model(folder: Path, *operators: str) -> Path:
    tensors = [f"t{number}" for number in range(len(operators))] + ["y"]
    body = "  ".join(
        f"{after} = my.{op} ({before})"
        for op, before, after in zip(operators, ["x", *tensors[1:]], tensors[1:], strict=False)
    )
    text = f'<ir_version: 8, opset_import: ["" : 17, "my" : 1]> g (float[2] x) => (float[2] y) {{ {body} }}'
    path = folder / "net.onnx"
    onnx.save(onnx.parser.parse_model(text), path)
    return path


def test_nothing_is_loaded_before_somebody_agreed(tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    before = f'#include <cstdio>\n__attribute__((constructor)) void ran() {{ fclose(fopen("{mark}", "w")); }}'
    made = compiled(tmp_path, "Marked", before)
    if made is None:
        pytest.skip("there is no C++ compiler here")
    done = run(made)
    assert done.exit_code == 2
    assert "--allow-code" in done.output
    assert not mark.exists()
    assert run(made, "--allow-code").exit_code == 0
    assert mark.exists()


def test_creators_are_listed_with_what_they_implement(library: Path, tmp_path: Path) -> None:
    done = run(library, "--allow-code")
    assert done.exit_code == 0
    assert "Rotated version 1 namespace none" in done.output
    with_model = run(library, "--allow-code", "--model", model(tmp_path, "Rotated"))
    assert "implements 1 refused node" in with_model.output
    assert with_model.exit_code == 1  # its creator makes no plug-in, which the parser says
    assert "Could not create the plugin" in with_model.output


def test_an_operator_without_a_creator_is_named(library: Path, tmp_path: Path) -> None:
    done = run(library, "--allow-code", "--model", model(tmp_path, "Rotated", "Other"))
    assert done.exit_code == 1
    assert "no creator for Other" in done.output


def test_what_cannot_be_loaded_says_why_and_a_crash_costs_only_the_child(tmp_path: Path) -> None:
    text = tmp_path / "not_a_library.so"
    text.write_text("text")
    done = run(text, "--allow-code")
    assert done.exit_code == 2
    assert "does not load it" in done.output
    assert run(tmp_path / "gone.so", "--allow-code").exit_code == 2
    made = compiled(tmp_path, "Crashing", "#include <cstdlib>\n__attribute__((constructor)) void die() { abort(); }")
    if made is not None:
        crashed = run(made, "--allow-code")
        assert crashed.exit_code == 2
        assert "SIGABRT" in crashed.output
