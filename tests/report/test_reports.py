"""One verdict, six formats, each readable by the tools it is for."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import jsonschema
import msgspec
import pytest

from friction_tui.commands.checking import exit_code, fail_on
from friction_tui.kinds import KINDS, explain
from friction_tui.report import as_github, as_json, as_junit, as_markdown, as_sarif, text
from friction_tui.report.verdict import ModelVerdict, fingerprint
from friction_tui.vocabulary.finding import (
    EngineWords,
    Finding,
    Fix,
    Location,
    LocationKind,
    Severity,
    SourceLine,
    Tier,
)
from friction_tui.vocabulary.recipe import Range

LINE = SourceLine("src/model.py", 88, "Head.forward", "x = x.view(1, 256)")
BAKED = Finding(
    kind="dynamic/baked-reshape",
    severity=Severity.ERROR,
    tier=Tier.SHAPES,
    title="Reshape head/Reshape breaks for every batch but 1",
    cause="The target shape [1, 256] is a constant, the input is N × 256 (N = 1..8): 50% of the sizes, fail.",
    source="rule",
    locations=(Location(LocationKind.NODE, "head/Reshape", op="Reshape", node="12", source=LINE),),
    evidence=("at N=4 the input has 1024 elements, the target 256",),
    fixes=(Fix("x.flatten(1) in model.py:88, then r"), Fix("restrict N to 1")),
    words=(EngineWords("TensorRT-RTX 1.7.1 builder", "kOPT values for profile 0 violate shape constraints"),),
    also=("ONNX Runtime 1.32.0 CPU",),
)
HAZARD = Finding(
    kind="types/float64",
    severity=Severity.WARNING,
    tier=Tier.HAZARD,
    title="A name with \x07 bell & <angle>",
    cause="Control characters happen.",
    source="rule",
    locations=(Location(LocationKind.TENSOR, "卷积\x07"),),
)
FIXABLE = Finding(
    kind="dynamic/baked-reshape",
    severity=Severity.ERROR,
    tier=Tier.PARSER,
    title="NonZero is refused",
    cause="It is not imported.",
    source="TensorRT-RTX 1.7.1 parser",
    locations=(Location(LocationKind.NODE, "nz", op="NonZero", node="3"),),
    fixes=(
        Fix("Use a mask.", rewrite="nonzero-mask", nodes=("nz_out",), exactness="equal up to rounding"),
        Fix(
            "Cast it.",
            rewrite="cast-to-widest",
            nodes=("x",),
            exactness="changes results",
            changes="inputs are float32",
        ),
        Fix("Restrict N.", ranges={"x.0": Range(1, 4, 8)}),
        Fix("Raise the opset.", opset=21),
        Fix("Write it otherwise."),
    ),
)
VERDICTS = [
    ModelVerdict("models/a b.onnx", (BAKED, HAZARD), 0.14, ("opset 17",), guessed=("N 1..4..8",)),
    ModelVerdict("broken.onnx", failure="the worker died"),
    ModelVerdict("fine.onnx", seconds=0.1),
]


def test_json_keeps_its_published_schema() -> None:
    document = json.loads(as_json.report(VERDICTS))
    jsonschema.validate(document, as_json.schema())
    finding = document["models"][0]["findings"][0]
    assert finding["level"] == "error"
    assert finding["nodes"] == ["head/Reshape"]
    assert "[1, 256]" in finding["text"]
    assert "1024 elements" in finding["text"]
    assert finding["fix"].startswith("x.flatten(1)")
    assert document["models"][1]["failure"] == "the worker died"


def test_json_rates_each_fix_as_ruff_and_rustc_do() -> None:
    document = json.loads(as_json.report([ModelVerdict("m.onnx", (FIXABLE,))]))
    jsonschema.validate(document, as_json.schema())
    finding = document["models"][0]["findings"][0]
    assert [detail["text"] for detail in finding["fix_details"]] == finding["fixes"]
    assert [(detail["applicability"], detail["suggestion_applicability"]) for detail in finding["fix_details"]] == [
        ("safe", "MachineApplicable"),
        ("unsafe", "MaybeIncorrect"),
        ("unsafe", "MaybeIncorrect"),
        ("unsafe", "MaybeIncorrect"),
        ("display", "Unspecified"),
    ]
    mask, cast, ranges, opset, _ = finding["fix_details"]
    assert (mask["rewrite"], mask["nodes"], mask["exactness"]) == ("nonzero-mask", ["nz_out"], "equal up to rounding")
    assert cast["changes"] == "inputs are float32"
    assert (ranges["ranges"], opset["opset"]) == ({"x.0": [1, 4, 8]}, 21)


SARIF_FIX: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["artifactChanges"],
    "properties": {
        "description": {"type": "object", "required": ["text"]},
        "properties": {"type": "object"},
        "artifactChanges": {
            "type": "array",
            "minItems": 1,
            "uniqueItems": True,
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["artifactLocation", "replacements"],
                "properties": {
                    "artifactLocation": {"type": "object", "properties": {"uri": {"type": "string"}}},
                    "properties": {"type": "object"},
                    "replacements": {
                        "type": "array",
                        "minItems": 1,
                        "items": {
                            "type": "object",
                            "additionalProperties": False,
                            "required": ["deletedRegion"],
                            "properties": {
                                "deletedRegion": {
                                    "type": "object",
                                    "properties": {
                                        "byteOffset": {"type": "integer", "minimum": -1},
                                        "byteLength": {"type": "integer", "minimum": 0},
                                    },
                                },
                                "insertedContent": {"type": "object"},
                                "properties": {"type": "object"},
                            },
                        },
                    },
                },
            },
        },
    },
}
"""`fix`, `artifactChange` and `replacement` of https://json.schemastore.org/sarif-2.1.0.json."""


def test_sarif_has_a_fix_for_each_rewrite_and_says_how_to_apply_it() -> None:
    run = json.loads(as_sarif.report([ModelVerdict("models/a b.onnx", (FIXABLE, HAZARD))]))["runs"][0]
    result, other = run["results"]
    assert "fixes" not in other
    for fix in result["fixes"]:
        jsonschema.validate(fix, SARIF_FIX)
    mask, cast = result["fixes"]
    assert mask["properties"]["applicability"] == "safe"
    assert mask["artifactChanges"][0]["artifactLocation"]["uri"] == "models/a%20b.onnx"
    told = "friction-tui fix 'models/a b.onnx' --only dynamic/baked-reshape --safe -o FIXED.onnx"
    assert mask["properties"]["command"] == told
    assert "--safe" not in cast["properties"]["command"]


def test_sarif_has_the_edit_of_the_users_own_line_first() -> None:
    place = msgspec.structs.replace(FIXABLE.locations[0], source=LINE)
    by_hand, mask = FIXABLE.fixes[-1], FIXABLE.fixes[0]
    found = msgspec.structs.replace(FIXABLE, locations=(place,), fixes=(by_hand, mask))
    result = json.loads(as_sarif.report([ModelVerdict("src/net.py:make", (found,))]))["runs"][0]["results"][0]
    for fix in result["fixes"]:
        jsonschema.validate(fix, SARIF_FIX)
    edit, rewrite = result["fixes"]
    assert edit["description"]["text"] == "Write it otherwise."
    assert edit["properties"]["applicability"] == "display"
    (change,) = edit["artifactChanges"]
    assert change["artifactLocation"]["uri"] == "src/model.py"
    assert change["replacements"] == [{"deletedRegion": {"startLine": 88, "startColumn": 1, "endColumn": 1}}]
    assert rewrite["properties"]["rewrite"] == "nonzero-mask"
    assert rewrite["artifactChanges"][0]["artifactLocation"]["uri"] == "src/net.py", "a file, without the factory"


def test_the_schema_knows_every_kind_and_no_other() -> None:
    kind = as_json.schema()["$defs"]["finding"]["properties"]["kind"]
    assert kind["enum"] == list(KINDS)
    assert all(re.fullmatch(kind["pattern"], one) for one in KINDS)
    document = json.loads(as_json.report(VERDICTS).replace("types/float64", "types/float46"))
    with pytest.raises(jsonschema.ValidationError, match="types/float46"):
        jsonschema.validate(document, as_json.schema())


def test_sarif_points_at_the_python_line() -> None:
    document = json.loads(as_sarif.report(VERDICTS))
    run = document["runs"][0]
    first, second = run["results"]
    assert first["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": "src/model.py"},
        "region": {"startLine": 88, "snippet": {"text": "x = x.view(1, 256)"}},
    }
    assert second["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == "models/a%20b.onnx"
    assert run["tool"]["driver"]["rules"][first["ruleIndex"]]["id"] == "dynamic/baked-reshape"
    assert run["invocations"][0]["executionSuccessful"] is False


def test_sarif_has_a_rule_for_every_kind() -> None:
    found = tuple(msgspec.structs.replace(HAZARD, kind=kind) for kind in KINDS)
    document = json.loads(as_sarif.report([ModelVerdict("m.onnx", found)]))
    rules = {rule["id"]: rule for rule in document["runs"][0]["tool"]["driver"]["rules"]}
    assert set(rules) == set(KINDS)
    assert all(rules[kind]["help"]["markdown"] == explain(kind) for kind in KINDS)
    assert rules["types/float64"]["defaultConfiguration"] == {
        "level": as_sarif.LEVEL[KINDS["types/float64"].severities[0]]
    }


def test_a_finding_is_the_same_tomorrow_wherever_the_checkout_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    known = fingerprint("encoder/model.onnx", BAKED)
    assert known == fingerprint(
        str(tmp_path / "encoder" / "model.onnx"), msgspec.structs.replace(BAKED, title="in new words")
    )
    assert known != fingerprint("decoder/model.onnx", BAKED), "two models of one name are two"


def test_junit_loads_in_a_parser_and_counts() -> None:
    root = ET.fromstring(as_junit.report(VERDICTS, fail_on("error")))
    suites = {suite.get("name"): suite for suite in root}
    assert suites["models/a b.onnx"].get("failures") == "1"
    assert len(suites["models/a b.onnx"]) == 2
    assert suites["broken.onnx"].get("errors") == "1"
    assert [root.get(count) for count in ("tests", "failures", "errors")] == ["4", "1", "1"]
    assert suites["fine.onnx"].find("testcase") is not None


def test_github_annotations_are_one_line_each() -> None:
    lines = as_github.report(VERDICTS).splitlines()
    assert len(lines) == 3
    annotation = next(line for line in lines if "dynamic/baked-reshape" in line)
    assert annotation.startswith("::error file=src/model.py,line=88,title=")
    assert "50%25 of the sizes" in annotation


def test_markdown_folds_the_engines_words_away() -> None:
    page = as_markdown.report(VERDICTS)
    assert "<details>" in page
    assert "kOPT values" in page
    assert "could not be judged" in page.lower()


@pytest.mark.parametrize("width", [60, 80, 120])
def test_the_text_report_fits_its_width(width: int) -> None:
    lines = text.report(VERDICTS, width=width).splitlines()
    assert max(len(line) for line in lines if line.startswith("    ")) <= width
    report = "\n".join(lines)
    for word in ("✗ error", "1 error, 1 warning", "src/model.py:88", "rule · ONNX Runtime 1.32.0 CPU", "guessed"):
        assert word in report
    assert "3 models: 1 with errors, 1 could not be judged" in report


@pytest.mark.parametrize("form", ["text", "colour", "markdown", "github"])
def test_a_name_in_the_model_cannot_speak_to_the_terminal(form: str) -> None:
    evil = "a\x1b]0;title\x07\x1b[2J\r`<b>"
    where = (Location(LocationKind.NODE, evil, op=evil),)
    finding = Finding(
        kind="types/float64",
        severity=Severity.ERROR,
        tier=Tier.HAZARD,
        title=evil,
        cause=f"{evil}\n{evil}",
        source=evil,
        locations=where,
        fixes=(Fix(evil),),
        words=(EngineWords("parser", evil),),
    )
    verdicts = [ModelVerdict(evil, (finding,), about=(evil,), guessed=(evil,)), ModelVerdict(evil, failure=evil)]
    said = {
        "text": lambda: text.report(verdicts),
        "colour": lambda: re.sub(r"\x1b\[[\d;]*m", "", text.report(verdicts, paint=text.ansi)),
        "markdown": lambda: as_markdown.report(verdicts),
        "github": lambda: as_github.report(verdicts),
    }[form]()
    assert all(char.isprintable() or char == "\n" for char in said)
    assert "\\x1b]0;title" in said.replace("\\\\", "\\")


def test_a_backtick_in_a_name_does_not_end_its_code_span() -> None:
    finding = msgspec.structs.replace(HAZARD, locations=(Location(LocationKind.TENSOR, "x`y"),))
    assert "- `` tensor x`y ``" in as_markdown.report([ModelVerdict("m.onnx", (finding,))])


def test_a_question_without_an_answer_is_never_green() -> None:
    silent = ModelVerdict(
        path="m.onnx",
        builder="the builder gave no answer within 60 s",
        unanswered=("builder: the builder gave no answer within 60 s",),
        unchecked=("builder: the builder gave no answer within 60 s",),
    )
    assert exit_code([silent], frozenset()) == 2
    for report in (
        text.report([silent]),
        as_markdown.report([silent]),
        as_github.report([silent]),
        as_sarif.report([silent]),
        as_json.report([silent]),
    ):
        assert "✓" not in report
        assert "the builder gave no answer within 60 s" in report
    assert '<error message="builder: the builder gave no answer' in as_junit.report([silent], frozenset())
    asked = ModelVerdict(path="m.onnx", builder="shapes and layers: taken; kernels: not compiled", asked_builder=True)
    assert exit_code([asked], frozenset()) == 0
    said = text.report([asked])
    assert "✓ shapes and layers, ? kernels: no friction found" in said
    assert "✓ no friction found" not in said
    compiled = ModelVerdict(path="m.onnx", builder="kernels: compiled", asked_builder=True, kernels=True)
    assert "✓ no friction found · kernels: compiled" in text.report([compiled])
