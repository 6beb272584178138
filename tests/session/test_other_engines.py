"""Other environments' TensorRT: asked by its own interpreter, never spoken for."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import jsonschema
import msgspec
import pytest
from click.testing import CliRunner

from friction_tui.cli import main
from friction_tui.report.as_json import schema
from friction_tui.report.matrix import matrix
from friction_tui.samples import sample
from friction_tui.verdicts.side_by_side import engine_verdicts, with_others
from friction_tui.vocabulary.finding import Finding, Location, LocationKind, Severity, Tier
from friction_tui.vocabulary.protocol import OtherVerdict


def refusal(source: str, *nodes: str) -> Finding:
    """What one engine's parser refuses."""
    locations = tuple(Location(LocationKind.NODE, f"n{node}", "NonZero", node) for node in nodes)
    return Finding(
        kind="operators/data-dependent",
        severity=Severity.ERROR,
        tier=Tier.PARSER,
        title="NonZero is refused",
        cause="It is.",
        source=f"{source} parser",
        locations=locations,
    )


OWN = [refusal("RTX 3", "1", "2")]
OTHERS = (
    OtherVerdict(python="/a", label="RTX 2", findings=(refusal("RTX 2", "1", "2"),)),
    OtherVerdict(python="/b", label="RTX 1", findings=(refusal("RTX 1", "2", "7"),)),
    OtherVerdict(python="/c", label="RTX 0"),
    OtherVerdict(python="/d", why_not="there is no /d"),
)


def test_each_refusal_says_who_shares_it_and_who_does_not() -> None:
    ours, new = with_others("RTX 3", OWN, OWN, OTHERS)
    assert ours.source == "RTX 3 parser"
    assert ours.also == ("RTX 2 parser",)
    assert ours.evidence == ("accepted by the parser of RTX 0", "RTX 1 refuses 1 of these 2")
    assert new.source == "RTX 1 parser"
    assert new.names == ("n7",)
    assert new.evidence == ("accepted by the parser of RTX 3, RTX 2, RTX 0",)


def test_what_a_rule_added_to_a_refusal_is_no_verdict_of_a_parser() -> None:
    stored = Location(LocationKind.INITIALIZER, "zero_point")
    merged = msgspec.structs.replace(OWN[0], locations=(*OWN[0].locations, stored), also=("rule",))
    (ours, *_) = with_others("RTX 3", OWN, [merged], OTHERS[:1])
    assert ours.also == ("rule", "RTX 2 parser")
    assert ours.evidence == ()


def test_who_was_not_asked_accepts_nothing() -> None:
    shown = list(matrix(engine_verdicts("RTX 3", OWN, OTHERS)))
    assert shown[4] == "5 /d: not asked: there is no /d"
    assert shown[5:] == ["1 2 3 4 5", "✗ ✗ ✓ ✓ ?  NonZero n1", "✗ ✗ ✗ ✓ ?  NonZero n2", "✓ ✓ ✗ ✓ ?  NonZero n7"]


def test_without_a_tensorrt_of_ones_own_the_others_are_asked_all_the_same() -> None:
    table = [refusal("operator table", "1")]
    looked_up, asked = with_others("", table, table, OTHERS[:1])
    assert looked_up.also == ("RTX 2 parser",)
    assert (asked.source, asked.names) == ("RTX 2 parser", ("n2",))


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """An environment with our TensorRT and nothing else: no friction_tui, no onnx, no numpy."""
    bindings = importlib.import_module("tensorrt_rtx_bindings")
    packages = tmp_path / "bare" / "packages"
    packages.mkdir(parents=True)
    installed = Path(bindings.__file__ or "").parents[1]
    for part in installed.glob("tensorrt_rtx*"):
        (packages / part.name).symlink_to(part)
    python = tmp_path / "bare" / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH={packages} exec {Path(sys.executable).resolve()} -S "$@"\n')
    python.chmod(0o755)
    return python


@pytest.mark.slow
def test_a_bare_environment_answers_for_itself(bare: Path, tmp_path: Path) -> None:
    model = sample("detector")
    no_tensorrt = tmp_path / "python"
    no_tensorrt.write_text(f'#!/bin/sh\nexec {Path(sys.executable).resolve()} -S "$@"\n')
    no_tensorrt.chmod(0o755)
    wanted = ["check", str(model), "--format", "json", "--also", str(bare), "--also", str(no_tensorrt)]
    result = CliRunner().invoke(main, wanted)
    document = json.loads(result.stdout)
    jsonschema.validate(document, schema())
    own, same, none = document["models"][0]["verdicts"]
    assert own["python"] == ""
    assert same["python"] == str(bare)
    assert same["engine"] == own["engine"]
    assert same["refused"] == own["refused"]
    assert [location["name"] for location in same["refused"]] == ["post/NonZero"]
    assert none["asked"] is False
    assert "TensorRT is not installed" in none["why_not"]
    assert "refused" not in none


def test_an_environment_that_is_not_there_is_a_mistake() -> None:
    result = CliRunner().invoke(main, ["check", str(sample("detector")), "--also", "/nowhere/bin/python"])
    assert result.exit_code == 2
    assert "there is no /nowhere/bin/python" in result.stderr


def test_a_file_that_came_with_a_model_runs_no_program(tmp_path: Path) -> None:
    from friction_tui.environments import also
    from friction_tui.vocabulary.recipe import Recipe, Source

    (tmp_path / "friction.toml").write_text('also = ["env/bin/python"]\n')
    recipe = Recipe(source=Source(str(tmp_path / "m.onnx")))
    assert also(recipe, (), allow_code=False) == ()
    assert also(recipe, (), allow_code=True) == (str(tmp_path / "env/bin/python"),)
