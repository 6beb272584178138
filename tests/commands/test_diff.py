"""`friction-tui diff`: a model before and after its fixes, in each form, and the exit status of each answer."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path

import onnx
import pytest
from click.testing import CliRunner, Result
from onnx import parser

from friction_tui.cli import main

SOUND = """<ir_version: 10, opset_import: ["" : 18]>
    net (float[2,3,8,8] x, float[4,3,3,3] w) => (float[2,4,6,6] y) { c = Conv (x, w)  y = Relu (c) }"""
REFUSED = """<ir_version: 10, opset_import: ["" : 18]>
    net (float[2,3,8,8] x, float[4,3,3,3] w) => (float[2,4,6,6] y)
    { c = Conv (x, w)  i = Cast <to = 2> (c)  k = Constant <value = uint8 {3}> ()
      m = BitwiseAnd (i, k)  y = Cast <to = 1> (m) }"""


@pytest.fixture
def pair(tmp_path: Path) -> tuple[str, str]:
    for name, text in (("sound", SOUND), ("<refused>", REFUSED)):
        onnx.save(parser.parse_model(text), tmp_path / f"{name}.onnx")
    return str(tmp_path / "sound.onnx"), str(tmp_path / "<refused>.onnx")


def ran(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["diff", *arguments])


def test_a_new_error_is_status_1_and_a_gone_one_0(pair: tuple[str, str]) -> None:
    sound, refused = pair
    worse, better = ran(sound, refused), ran(refused, sound)
    assert (worse.exit_code, better.exit_code) == (1, 0), worse.output
    assert "+ error BitwiseAnd is not supported (operators/bitwise)" in worse.output
    assert "- error BitwiseAnd is not supported (operators/bitwise)" in better.output
    assert "+ BitwiseAnd node_of_m: i, k → m" in worse.output
    assert ran(sound, sound).output.splitlines()[-1] == "nothing differs"


def test_json_has_both_verdicts_and_the_nodes(pair: tuple[str, str]) -> None:
    told = json.loads(ran(*pair, "--format", "json").output)
    assert {one["kind"] for one in told["findings"]["new"]} >= {"operators/bitwise"}
    assert told["findings"]["gone"] == []
    (graph,) = told["nodes"]["graphs"]
    assert [node["op"] for node in graph["removed"]] == ["Relu"]
    assert told["before"]["path"] == pair[0]


def test_html_escapes_names_and_runs_no_script(pair: tuple[str, str], tmp_path: Path) -> None:
    page = tmp_path / "diff.html"
    assert ran(*pair, "--format", "html", "--output", str(page)).exit_code == 1

    tags: list[str] = []

    class Tags(HTMLParser):
        def handle_starttag(self, tag: str, attrs: object) -> None:
            tags.append(tag)

    Tags().feed(page.read_text())
    assert "div" in tags
    assert not {"refused", "script"} & set(tags)


def test_builds_are_compared_and_a_missing_file_is_status_2(pair: tuple[str, str], tmp_path: Path) -> None:
    built = ran(pair[0], pair[0], "--build")
    assert built.exit_code == 0, built.output
    assert "activation memory" in built.output
    missing = ran(pair[0], str(tmp_path / "missing.onnx"))
    assert missing.exit_code == 2
    assert "there is no graph of" in missing.output
    assert ran(pair[0], "").exit_code == 2
