"""The HTML report: what is in it, what must never be, and that a browser shows it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import onnx
import pytest
from click.testing import CliRunner
from onnx import helper, parser

from friction_tui.cli import main
from friction_tui.report import as_html
from friction_tui.report.as_html import Reported
from friction_tui.report.verdict import ModelVerdict
from friction_tui.vocabulary.finding import SourceLine
from friction_tui.vocabulary.protocol import GraphData
from friction_tui.vocabulary.protocol.evidence import (
    Decision,
    ExportEvidence,
    ExportStep,
    OutputDifference,
    ProgramLine,
    StepState,
)
from friction_tui.vocabulary.recipe import Recipe, Source, SourceKind

SECRET = """<ir_version: 10, opset_import: ["" : 21]>
    net (float[secretbatch,8] secretinput, float[4,4] secretweight) => (float[a,b] secretoutput)
    <int64[2] secretshape = {1, 8}> {
    [secretreshape] t = Reshape(secretinput, secretshape)
    [secretdet] d = Det(secretweight)
    secretoutput = Add(t, d) }"""
OWN = """<ir_version: 10, opset_import: ["" : 21, "secretdomain" : 1, "secretfunctions" : 1],
    producer_name: "secretproducer", doc_string: "secretdoc">
    net (float[secretbatch,8] secretinput) => (float[a,b] secretoutput) {
    s = secretdomain.SecretOperator <secretattribute = "secretvalue"> (secretinput)
    secretoutput = secretfunctions.SecretFunction (s) }
    <domain: "secretfunctions", opset_import: ["" : 21]>
    SecretFunction (secretin) => (secretout) { [secretinside] secretout = Det(secretin) }"""
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def written(folder: Path, model: onnx.ModelProto, *options: str) -> Path:
    path, out = folder / "secretmodel.onnx", folder / "report.html"
    onnx.save(model, path)
    result = CliRunner().invoke(main, ["report", str(path), "-o", str(out), *options])
    assert result.exit_code == 0, result.output
    return out


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a model with two errors, one of its names an attack."""
    model = parser.parse_model(SECRET)
    model.graph.node[2].name = "</script><script>alert(1)</script>"
    return written(tmp_path_factory.mktemp("report"), model)


@pytest.fixture(scope="module")
def anonymous(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("anonymous"), parser.parse_model(SECRET), "--anonymise")


def data_of(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return dict(json.loads(found[1]))


def test_findings_graph_shapes_and_how_to_repeat_it(report: Path) -> None:
    data = data_of(report.read_text())
    assert "dynamic/baked-reshape" in {one["kind"] for one in data["findings"]}
    place = data["findings"][0]["places"][0]
    assert place["path"] in data["graph"]["paths"]
    assert data["graph"]["marks"].count("error") == 2
    assert [row[0] for row in data["shapes"]][:1] == ["secretbatch"]
    assert data["reproduce"].startswith("friction-tui check")
    assert data["model"]["name"] == "secretmodel.onnx"


def test_a_name_cannot_end_the_script(report: Path) -> None:
    assert "alert(1)</script>" not in report.read_text()
    assert any("alert(1)" in name for name in data_of(report.read_text())["graph"]["names"])


def test_operators_and_functions_of_the_author_have_numbers(tmp_path: Path) -> None:
    page = written(tmp_path, parser.parse_model(OWN), "--anonymise", "--relation", "secretbatch = 2 * secretother")
    assert "secret" not in page.read_text().lower()
    ops = data_of(page.read_text())["graph"]["ops"]
    assert len([op for op in ops if op.startswith("operator")]) == 2, ops


def test_nothing_the_author_named_is_in_an_anonymous_report(anonymous: Path) -> None:
    assert "secret" not in anonymous.read_text().lower()
    data = data_of(anonymous.read_text())
    assert data["findings"][0]["places"][0]["path"] in data["graph"]["paths"]


def test_weights_are_never_inside_and_a_thousand_nodes_stay_small(tmp_path: Path) -> None:
    weight = helper.make_tensor("w", onnx.TensorProto.FLOAT, [64], [123.456] * 64)
    nodes = [
        helper.make_node("Add", [f"t{at}" if at else "x", "w"], [f"t{at + 1}"], name=f"model/layer.{at // 10}/add{at}")
        for at in range(1000)
    ]
    ports = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["N", 64]) for name in ("x", "t1000")]
    graph = helper.make_graph(nodes, "chain", ports[:1], ports[1:], [weight])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    page = written(tmp_path, model).read_text()
    assert len(page.encode()) < 2_000_000
    assert "123.456" not in page


EVIDENCE = ExportEvidence(
    steps=(ExportStep("captured", StepState.DONE), ExportStep("compared", StepState.FAILED, "they differ")),
    program=(
        ProgramLine("relu = aten.relu.default(x)", "2×4 float32", ("secretreshape",), SourceLine("/a/net.py", 7)),
    ),
    operators=1,
    differences=(OutputDifference("y", "on the example input", 1.0, 0.5, 1e-3, (1,), 1.0, 2.0, (7, *[0] * 8, 1, 0)),),
    decisions=(
        Decision("Eq(u0, 1)", SourceLine("/a/net.py", 9, "forward", "if x.sum() > 0:"), 3, "False", (("x", "8"),)),
    ),
)


def with_evidence(*, anonymise: bool = False) -> str:
    graph = GraphData(
        names=["secretreshape"],
        ops=["Reshape"],
        paths=["0"],
        inputs=[[]],
        scopes=[-1],
        scope_table=[],
        order=[0],
        main=1,
    )
    reported = Reported(
        verdict=ModelVerdict(path="net.py:model"),
        recipe=Recipe(source=Source("net.py", SourceKind.PYTORCH, "model")),
        machine="",
        engines=(),
        graph=graph,
        evidence=EVIDENCE,
    )
    return as_html.report(reported, anonymise=anonymise)


def test_an_export_is_there_with_all_its_evidence() -> None:
    tables = {one["title"]: one for one in data_of(with_evidence())["tables"]}
    assert tables["Export"]["rows"] == [["captured", "done", ""], ["compared", "failed", "they differ"]]
    row = tables["Outputs against PyTorch's"]["rows"][0]
    assert row[:6] == ["y", "on the example input", "1", "0.5", "0.001", "[1]"]
    assert row[-1]["histogram"][0] == ["equal", 7]
    assert tables["What the capture decided"]["rows"][0][1:] == ["False", "3", "net.py:9  if x.sum() > 0:", "x 8"]
    program = tables["Captured program (1 operators)"]["rows"][0]
    assert program[2] == {"nodes": ["secretreshape"]} and program[3] == "net.py:7"
    assert not data_of(with_evidence(anonymise=True))["tables"]


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
@pytest.mark.parametrize("exported", [False, True])
def test_a_browser_shows_it_without_an_error(report: Path, tmp_path: Path, exported: bool) -> None:
    if exported:
        report = tmp_path / "exported.html"
        report.write_text(with_evidence())
    flags = (
        "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
        "--disable-component-update --disable-sync --enable-logging=stderr --virtual-time-budget=2000 --dump-dom"
    )
    assert CHROMIUM is not None
    shown = subprocess.run(
        [CHROMIUM, *flags.split(), f"--user-data-dir={tmp_path / 'profile'}", f"file://{report}"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "CONSOLE" not in shown.stderr
    assert f"<h2>Graph ({1 if exported else 3} nodes)</h2>" in shown.stdout
    assert ("<meter" in shown.stdout) is exported
    assert "<details" in shown.stdout
    assert "how to reproduce" in shown.stdout
