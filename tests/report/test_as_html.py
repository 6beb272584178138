"""The HTML report: what is in it, what must never be, and that a browser shows it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import onnx
import pytest
from click.testing import CliRunner
from onnx import helper, parser

from friction_tui.cli import main
from friction_tui.report import as_html
from friction_tui.report.as_html import Reported
from friction_tui.report.verdict import ModelVerdict
from friction_tui.vocabulary.finding import Finding, Fix, Location, LocationKind, Severity, SourceLine, Tier
from friction_tui.vocabulary.protocol import GraphData
from friction_tui.vocabulary.protocol.evidence import (
    Decision,
    ExportEvidence,
    ExportStep,
    OutputDifference,
    ProgramLine,
    StepState,
)
from friction_tui.vocabulary.recipe import Profile, Range, Recipe, Source, SourceKind

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


def test_a_kind_that_nobody_declared_keeps_its_words_to_itself() -> None:
    """A session of another version may hold a kind that this one does not know."""
    found = Finding(
        kind="later/kind",
        severity=Severity.ERROR,
        tier=Tier.MODEL,
        title="secrettitle",
        cause="secretcause",
        source="rule",
        locations=(Location(LocationKind.NODE, "secretnode", "Add", node="0"),),
        evidence=("secretevidence",),
        fixes=(Fix("secretfix"),),
    )
    reported = Reported(
        verdict=ModelVerdict(path="m.onnx", findings=(found,)),
        recipe=Recipe(source=Source("m.onnx", SourceKind.ONNX)),
        machine="",
        engines=(),
    )
    assert "secretcause" in as_html.report(reported)
    page = as_html.report(reported, anonymise=True)
    assert "secret" not in page and data_of(page)["findings"][0]["kind"] == "later/kind"


@pytest.mark.parametrize("anonymise", [False, True])
@pytest.mark.parametrize(
    ("verdict", "level"),
    [
        (ModelVerdict("m.onnx", kernels=True), "good"),
        (ModelVerdict("m.onnx"), "note"),
        (ModelVerdict("m.onnx", kernels=True, guessed=("N 1..4..8",)), "note"),
        (ModelVerdict("m.onnx", kernels=True, unanswered=("builder: it crashed",)), "warning"),
    ],
)
def test_only_a_verdict_without_an_open_question_is_green(verdict: ModelVerdict, level: str, anonymise: bool) -> None:
    profile = Profile(ranges={"N": Range(1, 4, 8)}, guessed=("N",) if verdict.guessed else ())
    recipe = Recipe(source=Source("m.onnx", SourceKind.ONNX), profile=profile)
    page = as_html.report(Reported(verdict=verdict, recipe=recipe, machine="", engines=()), anonymise=anonymise)
    assert data_of(page)["model"]["level"] == level


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
    program = tables["Captured program (operators: 1)"]["rows"][0]
    assert program[2] == {"nodes": ["secretreshape"]} and program[3] == "net.py:7"
    assert not data_of(with_evidence(anonymise=True))["tables"]


def dom_of(page: Path, folder: Path, *, dark: bool = False) -> str:
    """The page as headless Chromium has it after its scripts ran. Nothing may be written to the console."""
    assert CHROMIUM is not None
    flags = (
        "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
        "--disable-component-update --disable-sync --enable-logging=stderr --virtual-time-budget=2000 --dump-dom "
        f"--blink-settings=preferredColorScheme={0 if dark else 1}"
    )
    shown = subprocess.run(
        [CHROMIUM, *flags.split(), f"--user-data-dir={folder / 'profile'}", f"file://{page}"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert "CONSOLE" not in shown.stderr
    return shown.stdout


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
@pytest.mark.parametrize("exported", [False, True])
def test_a_browser_shows_it_without_an_error(report: Path, tmp_path: Path, exported: bool) -> None:
    if exported:
        report = tmp_path / "exported.html"
        report.write_text(with_evidence())
    shown = dom_of(report, tmp_path)
    assert f"<h2>Graph (nodes: {1 if exported else 3})</h2>" in shown
    assert ("<meter" in shown) is exported
    assert "<details" in shown
    assert "how to reproduce" in shown


PRESSED = """<script>
const box = document.getElementById("graph"), said = {};
const press = (key) => {
  box.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
  return document.getElementById("node").textContent;
};
said.first = press("Home");
said.next = press("ArrowDown");
said.problem = press("n");
said.last = press("End");
press("/");
said.searching = document.activeElement.type;
document.activeElement.value = "secretdet";
document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", bubbles: true }));
said.found = document.getElementById("node").textContent;
said.focused = document.activeElement.id;
said.ground = getComputedStyle(document.body).backgroundColor;
document.body.setAttribute("said", encodeURIComponent(JSON.stringify(said)));
</script></body>"""


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
@pytest.mark.parametrize("dark", [False, True])
def test_its_graph_is_walked_by_keys_in_light_and_dark(tmp_path: Path, dark: bool) -> None:
    page = written(tmp_path, parser.parse_model(SECRET))
    page.write_text(page.read_text().replace("</body>", PRESSED))
    found = re.search(r'said="([^"]*)"', dom_of(page, tmp_path, dark=dark))
    assert found is not None, "the script came to its end"
    said = json.loads(unquote(found[1]))
    assert said["first"].startswith("Input secretinput") and said["next"] != said["first"]
    assert said["problem"].split()[1] in ("secretreshape", "secretdet")
    assert said["last"].startswith("Output secretoutput")
    assert said["searching"] == "search"
    assert said["found"].startswith("Det secretdet") and said["focused"] == "graph"
    lightness = sum(map(int, re.findall(r"\d+", said["ground"])[:3]))
    assert (lightness < 200) is dark


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
def test_ten_thousand_nodes_are_drawn_and_searched(tmp_path: Path) -> None:
    graph = GraphData(
        names=[f"n{at}" for at in range(10_000)],
        ops=["Relu"] * 10_000,
        paths=[str(at) for at in range(10_000)],
        inputs=[[at - 1] if at else [] for at in range(10_000)],
        scopes=[at // 10 for at in range(10_000)],
        scope_table=[("model", f"layer.{at}") for at in range(1000)],
        order=list(range(10_000)),
        main=10_000,
    )
    reported = Reported(
        verdict=ModelVerdict(path="m.onnx"),
        recipe=Recipe(source=Source("m.onnx", SourceKind.ONNX)),
        machine="",
        engines=(),
        graph=graph,
    )
    page = tmp_path / "large.html"
    text = as_html.report(reported)
    assert len(text.encode()) < 2_000_000
    page.write_text(text.replace("</body>", PRESSED.replace("secretdet", "n9999")))
    found = re.search(r'said="([^"]*)"', dom_of(page, tmp_path))
    assert found is not None, "the script came to its end"
    assert json.loads(unquote(found[1]))["found"].startswith("Relu n9999")
