"""The export process: nothing without consent, and it can be limited, timed out, crashed and cancelled."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import msgspec
import pytest

from friction_tui.sources import consent
from friction_tui.sources.export_request import ExportRequest, Stage
from friction_tui.sources.runner import run_export
from friction_tui.vocabulary.recipe import ExportOptions, Source, SourceKind
from tests.sources.exporting import export_code


def test_nothing_runs_without_consent_and_a_changed_file_needs_a_new_one(tmp_path: Path) -> None:
    trace = tmp_path / "ran"
    file = tmp_path / "user_model.py"
    file.write_text(f"open({str(trace)!r}, 'w')\n")
    source = Source(str(file), SourceKind.PYTORCH, "model")
    refused = run_export(ExportRequest(source=source, output=str(tmp_path / "m.onnx")))
    assert [finding.kind for finding in refused.findings] == ["export/no-consent"]

    agreed = consent.with_consent(source)
    file.write_text(f"# changed\nopen({str(trace)!r}, 'w')\n")
    stale = run_export(ExportRequest(source=agreed, output=str(tmp_path / "m.onnx")))
    assert "changed since you agreed" in stale.findings[0].cause
    assert not trace.exists()


def test_a_source_that_is_not_there_is_said_to_be_missing(tmp_path: Path) -> None:
    source = Source("no_such_package.models", SourceKind.PYTORCH, "make")
    outcome = run_export(ExportRequest(source=source, output=str(tmp_path / "m.onnx")))
    assert outcome.findings[0].kind == "export/not-found"


@pytest.mark.slow
def test_a_timeout_ends_it_and_names_the_stage(tmp_path: Path) -> None:
    code = "import time\ntime.sleep(600)\n"
    outcome = export_code(tmp_path, code, options=ExportOptions(timeout_s=20))
    late = outcome.findings[0]
    assert late.kind == "export/timeout"
    assert outcome.seconds < 60
    assert late.line is not None
    assert late.line.line == 2
    assert "working on line 2 of user_model.py: `time.sleep(600)`" in late.cause
    assert not [file for file in tmp_path.iterdir() if file.suffix in (".lines", ".stack")]


@pytest.mark.slow
def test_cancelling_takes_less_than_half_a_second_and_leaves_no_finding(tmp_path: Path) -> None:
    file = tmp_path / "user_model.py"
    file.write_text("import time\ntime.sleep(60)\n")
    source = consent.with_consent(Source(str(file), SourceKind.PYTORCH, "model"))
    loading = threading.Event()
    asked: list[float] = []

    def stop() -> bool:
        if loading.is_set() and not asked:
            asked.append(time.monotonic())
        return bool(asked)

    def heed(event: object) -> None:
        if isinstance(event, Stage) and event.name == "load the model":
            loading.set()

    outcome = run_export(ExportRequest(source=source, output=str(tmp_path / "m.onnx")), on_event=heed, stop=stop)
    assert outcome.cancelled
    assert not outcome.findings
    assert time.monotonic() - asked[0] < 30, "it waited for the whole minute of the import"


@pytest.mark.slow
def test_the_memory_limit_holds(tmp_path: Path) -> None:
    code = """
    import torch
    def model():
        return torch.nn.Linear(60000, 20000), (torch.randn(1, 60000),)
    """
    outcome = export_code(tmp_path, _dedent(code), options=ExportOptions(memory_limit_mb=2000))
    found = outcome.findings[0]
    assert found.kind == "export/out-of-memory"
    assert "2 GB" in found.cause
    assert found.line is not None
    assert found.line.line == 3


@pytest.mark.slow
def test_a_crash_of_native_code_is_a_finding_with_its_last_words(tmp_path: Path) -> None:
    code = "import os, sys\nsys.stderr.write('native trouble')\nsys.stderr.flush()\nos.abort()\n"
    outcome = export_code(tmp_path, code)
    assert outcome.findings[0].kind == "export/crashed"
    assert "SIGABRT" in outcome.findings[0].cause
    assert "native trouble" in outcome.findings[0].words[0].text


@pytest.mark.slow
def test_a_small_model_is_exported_without_a_finding(tmp_path: Path) -> None:
    code = "import torch\ndef model():\n    return torch.nn.Linear(4, 2).eval(), (torch.randn(2, 4),)\n"
    outcome = export_code(tmp_path, code)
    assert outcome.onnx_path is not None
    assert not outcome.findings


@pytest.mark.slow
def test_project_modules_are_watched_and_prints_do_not_break_the_protocol(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("")
    (tmp_path / "layers.py").write_text("import torch\nclass Net(torch.nn.Linear):\n    pass\n")
    code = "import os\nimport torch\nfrom layers import Net\nprint('hello')\nos.write(1, b'raw bytes\\n')\n"
    code += "def model():\n    return Net(4, 2).eval(), (torch.randn(2, 4),)\n"
    outcome = export_code(tmp_path, code)
    assert outcome.onnx_path is not None
    assert {file.name for file in outcome.watch} == {"layers.py", "user_model.py"}
    assert "raw bytes" in outcome.last_words


def test_a_request_survives_the_wire() -> None:
    request = ExportRequest(source=Source("m.py", SourceKind.PYTORCH, "model"), output="m.onnx", opset=20)
    assert msgspec.json.decode(msgspec.json.encode(request), type=ExportRequest) == request


def _dedent(code: str) -> str:
    import textwrap

    return textwrap.dedent(code)
