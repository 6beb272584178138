"""SARIF and JUnit as programs read them that were written by others: of every report of the sample models."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from friction_tui.cli import main
from friction_tui.report import as_junit, as_sarif
from friction_tui.report.verdict import ModelVerdict
from friction_tui.samples import folders
from friction_tui.vocabulary.finding import Severity
from tests.report.test_reports import FIXABLE, VERDICTS

pytestmark = [pytest.mark.slow, pytest.mark.network]
READERS = ("pydantic-sarif==0.1.1", "junitparser==5.0.3")
"""Classes generated from the SARIF 2.1.0 schema of OASIS, which take nothing that the schema does not name (MIT); a
reader of JUnit's XML that CI systems use (Apache-2.0)."""
READ_SARIF = "import sys; from pydantic_sarif.model import *; import pydantic_sarif.model as m\n" + (
    "root = m.StaticAnalysisResultsFormatSarifVersion210JsonSchema.model_validate_json(sys.stdin.read())\n"
    "print(sum(len(run.results or []) for run in root.runs))"
)
READ_JUNIT = (
    "import sys, junitparser as j; root = j.JUnitXml.fromstring(sys.stdin.read().encode())\n"
    "results = [one for suite in root for case in suite for one in case.result]\n"
    "print(len(list(root)), root.failures, root.errors, len(results))"
)


@pytest.fixture(scope="module")
def readers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the readers were installed into."""
    folder = tmp_path_factory.mktemp("readers")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--retries=1", "--target", str(folder), *READERS]
    done = subprocess.run(pip, capture_output=True, text=True, check=False, timeout=240)
    if done.returncode:
        pytest.skip(f"pip cannot download the readers: {done.stderr[-200:]}")
    return folder


def read(script: str, text: str, readers: Path) -> list[int]:
    """The numbers that a reader prints of a report."""
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(readers)!r})\n{script}"],
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return [int(word) for word in done.stdout.split()]


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What `check` writes of the sample models."""
    folder = tmp_path_factory.mktemp("reports")
    written = {}
    for form in ("sarif", "junit", "json"):
        options = ["--format", form, "--output", str(folder / form)]
        CliRunner().invoke(main, ["check", str(folders()[0]), *options])
        written[form] = (folder / form).read_text(encoding="utf-8")
    return written


def test_sarif_is_what_the_public_schema_allows(readers: Path, reports: dict[str, str]) -> None:
    found = sum(len(model["findings"]) for model in json.loads(reports["json"])["models"])
    assert read(READ_SARIF, reports["sarif"], readers) == [found]
    assert read(READ_SARIF, as_sarif.report([*VERDICTS, ModelVerdict("x.onnx", (FIXABLE,))]), readers) == [3]
    spoiled = json.loads(reports["sarif"])
    spoiled["runs"][0]["results"][0]["unheardOf"] = 1
    with pytest.raises(AssertionError, match="unheardOf"):
        read(READ_SARIF, json.dumps(spoiled), readers)


def test_a_reader_of_junit_counts_what_was_written(readers: Path, reports: dict[str, str]) -> None:
    suites, failures, errors, results = read(READ_JUNIT, reports["junit"], readers)
    models = json.loads(reports["json"])["models"]
    assert (suites, errors, results) == (len(models), 0, failures) and failures > 0
    read(READ_JUNIT, as_junit.report(VERDICTS, frozenset([Severity.ERROR])), readers)
