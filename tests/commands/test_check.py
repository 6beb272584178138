"""`friction-tui check` as CI calls it: what it prints, where, and with which exit status."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import jsonschema
import onnx
import pytest
from click.testing import CliRunner, Result
from onnx import TensorProto, helper

from friction_tui.cli import main
from friction_tui.commands.progress import Progress
from friction_tui.report import as_json, as_markdown, text
from friction_tui.report.answered import verdict_of
from friction_tui.report.as_json import schema
from friction_tui.verdicts.answer import Answer
from friction_tui.vocabulary.finding import Finding, Severity, Tier
from friction_tui.vocabulary.protocol import EXPORT_JOB, CheckState, Findings, JobKind, JobProgress, Phase
from friction_tui.vocabulary.recipe import Recipe, Source


def _model(path: Path, op: str = "Relu", sizes: tuple[int | str, ...] = ("N", 4)) -> Path:
    shape = list(sizes)
    graph = helper.make_graph(
        [helper.make_node(op, ["x"], ["y"], name="only")],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def _check(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["check", *map(str, arguments)])


def test_a_healthy_model_passes(tmp_path: Path) -> None:
    done = _check(_model(tmp_path / "fine.onnx"), "--shapes", "x:1x4..2x4..8x4")
    assert done.exit_code == 0, done.output
    assert "no friction found" in done.output


def test_a_refused_model_fails_and_the_json_keeps_its_schema(tmp_path: Path) -> None:
    done = _check(_model(tmp_path / "det.onnx", "Det", (4, 4)), "--format", "json")
    assert done.exit_code == 1, done.output
    document = json.loads(done.stdout)
    jsonschema.validate(document, schema())
    (model,) = document["models"]
    error = next(finding for finding in model["findings"] if finding["level"] == "error")
    assert error["nodes"] == ["only"]
    assert "Det" in error["text"]


def test_a_folder_is_searched_and_fail_on_decides(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    _model(tmp_path / "fine.onnx")
    _model(tmp_path / "deep" / "det.onnx", "Det", (4, 4))
    done = _check(tmp_path, "--fail-on", "never", "--format", "json")
    assert done.exit_code == 0, done.output
    assert {Path(model["path"]).name for model in json.loads(done.stdout)["models"]} == {"fine.onnx", "det.onnx"}


def test_a_baseline_silences_what_is_known(tmp_path: Path) -> None:
    model, baseline = _model(tmp_path / "det.onnx", "Det", (4, 4)), tmp_path / "known.json"
    assert _check(model, "--write-baseline", baseline).exit_code == 1
    assert _check(model, "--baseline", baseline).exit_code == 0
    _model(model, "NonZero", (4, 4))
    assert _check(model, "--baseline", baseline).exit_code == 1, "what is new counts"


def test_a_baseline_that_names_no_kind_is_refused_with_the_nearest(tmp_path: Path) -> None:
    model, baseline = _model(tmp_path / "det.onnx", "Det", (4, 4)), tmp_path / "known.json"
    _check(model, "--write-baseline", baseline)
    baseline.write_text(baseline.read_text().replace('"operators/', '"operator/'))
    done = _check(model, "--baseline", baseline)
    assert done.exit_code == 2
    assert "there is no kind operator/" in done.output
    assert "did you mean operators/" in done.output


def test_an_allow_is_applied_reported_when_unused_and_refused_when_it_names_no_kind(tmp_path: Path) -> None:
    model, agreed = _model(tmp_path / "det.onnx", "Det", (4, 4)), tmp_path / "friction.toml"
    (error,) = json.loads(_check(model, "--format", "json").stdout)["models"][0]["findings"]
    agreed.write_text(f'[[allow]]\nkind = "{error["kind"]}"\n\n[[allow]]\nkind = "types/float64"\nnames = ["w"]\n')
    done = _check(model)
    assert done.exit_code == 0, done.output
    assert "1 allowed by friction.toml" in done.output
    assert "types/float64 at w is allowed and was found in no model checked" in done.output
    assert f"{error['kind']} is allowed and was" not in done.output

    agreed.write_text('[[allow]]\nkind = "types/float46"\n')
    refused = _check(model)
    assert refused.exit_code == 2
    assert "friction.toml:2: there is no kind types/float46; did you mean types/float64?" in refused.output


def test_an_allow_that_another_model_needs_is_used(tmp_path: Path) -> None:
    models = [_model(tmp_path / "det.onnx", "Det", (4, 4)), _model(tmp_path / "fine.onnx", "Relu", (4, 4))]
    (error,) = json.loads(_check(models[0], "--format", "json").stdout)["models"][0]["findings"]
    (tmp_path / "friction.toml").write_text(f'[[allow]]\nkind = "{error["kind"]}"\n')
    assert "found in no model" not in _check(*models).output
    assert "found in no model" in _check(models[1]).output


def test_a_report_goes_into_a_file(tmp_path: Path) -> None:
    report = tmp_path / "report.sarif"
    done = _check(_model(tmp_path / "fine.onnx"), "--format", "sarif", "--output", report)
    assert (done.exit_code, done.stdout) == (0, "")
    assert json.loads(report.read_text())["version"] == "2.1.0"


@pytest.mark.parametrize("flag", ["--output", "--write-baseline"])
def test_a_file_that_cannot_be_written_is_said(tmp_path: Path, flag: str) -> None:
    done = _check(_model(tmp_path / "fine.onnx"), flag, tmp_path / "nowhere" / "file")
    assert done.exit_code == 2
    assert "was not written to" in done.output
    assert "No such file" in done.output


def test_a_model_that_is_not_there_is_no_verdict(tmp_path: Path) -> None:
    done = _check(tmp_path / "gone.onnx", "--fail-on", "never")
    assert done.exit_code == 2
    assert "There is no file" in done.output
    nothing = _check(str(tmp_path / "*.onnx"))
    assert nothing.exit_code == 2
    assert "nothing matches" in nothing.output


def test_sizes_out_of_order_are_a_finding_and_no_sizes_at_all_a_wrong_command(tmp_path: Path) -> None:
    model = _model(tmp_path / "fine.onnx")
    disorder = _check(model, "--shapes", "x:8x4..4x4..2x4")
    assert disorder.exit_code == 1
    assert "profile/invalid" in disorder.output
    assert "min 8 is above opt 4" in disorder.output
    nonsense = _check(model, "--shapes", "x:axb")
    assert nonsense.exit_code == 2
    assert "'a' is not a whole number" in nonsense.output


def _attention_of_one_tensor(path: Path) -> Path:
    """An Attention whose query and key are one tensor: TensorRT-RTX 1.7.1 parses it, and its builder dies of it."""
    shape = [1, 8, 16, 64]
    graph = helper.make_graph(
        [
            helper.make_node("Relu", ["x"], ["s"], name="scaled"),
            helper.make_node("Attention", ["s", "s", "x"], ["y"], name="both"),
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT16, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT16, shape)],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=10), path)
    return path


@pytest.mark.parametrize("form", ["text", "json", "sarif", "junit", "markdown", "github"])
def test_a_build_that_crashes_is_an_error_in_every_format(tmp_path: Path, form: str) -> None:
    pytest.importorskip("tensorrt_rtx", reason="the crash is one of TensorRT-RTX 1.7.1")
    done = _check(_attention_of_one_tensor(tmp_path / "m.onnx"), "--build", "--format", form)
    assert done.exit_code == 2, done.output
    assert "engine/builder-crashed" in done.output
    assert "builder crashed" in done.output
    assert "SIGSEGV" in done.output
    assert "both" in done.output


def test_a_build_that_succeeds_says_so(tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx", reason="builds without a GPU with the RTX edition only")
    model = _model(tmp_path / "m.onnx", sizes=(2, 4))
    done = _check(model, "--build")
    assert done.exit_code == 0, done.output
    assert "built by TensorRT-RTX" in done.output
    assert "activation memory planned" in done.output
    document = json.loads(_check(model, "--build", "--format", "json").stdout)
    jsonschema.validate(document, schema())
    built = document["models"][0]["build"]
    assert built["ok"]
    assert built["bytes"] > 0
    builder = document["models"][0]["builder"]
    assert (builder["answered"], builder["kernels"]) == (True, True)
    assert builder["note"].startswith("shapes and layers: taken; kernels: compiled before (")


def test_what_was_not_tried_is_said(tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx", reason="builds without a GPU with the RTX edition only")
    done = _check(_model(tmp_path / "m.onnx", sizes=(2, 4)))
    assert "✓ shapes and layers, ? kernels: no friction found · kernels: not compiled" in done.output


def test_a_target_that_is_not_offered_is_an_error_with_those_that_are(tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx", reason="the RTX edition is told its target")
    done = _check(_model(tmp_path / "m.onnx", sizes=(2, 4)), "--target", "SM999")
    assert done.exit_code == 1, done.output
    assert "does not build for SM999  engine/target" in done.output
    assert "SM75" in done.output
    assert "SM121" in done.output


def test_a_target_that_is_offered_is_taken(tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx", reason="the RTX edition is told its target")
    done = _check(_model(tmp_path / "m.onnx", sizes=(2, 4)), "--target", "SM89", "--precision", "fp16")
    assert done.exit_code == 0, done.output
    assert "kernels for SM89: compiled" in done.output
    assert "engine/target" not in done.output
    assert "engine/precision-flag" not in done.output


def _requires(folder: Path, *lines: str) -> Path:
    (folder / "friction.toml").write_text("\n".join(lines) + "\n")
    return _model(folder / "m.onnx", sizes=(2, 4))


def test_a_required_opset_is_verified_and_not_converted(tmp_path: Path) -> None:
    model = _requires(tmp_path, "required_opset = 15", 'opset_why = "the device has no newer runtime"')
    done = _check(model, "--format", "json")
    assert done.exit_code == 1, done.output
    (judged,) = json.loads(done.stdout)["models"]
    (found,) = (one for one in judged["findings"] if one["kind"] == "versions/opset-required")
    assert "requires opset 15: the device has no newer runtime. The model has 17" in found["cause"]
    assert judged["judged"]["opset"] == 17
    converted = _check(model, "--opset", "15", "--format", "json")
    assert converted.exit_code == 0, converted.output
    assert json.loads(converted.stdout)["models"][0]["judged"]["opset"] == 15


def test_a_required_opset_that_the_model_has_is_quiet(tmp_path: Path) -> None:
    done = _check(_requires(tmp_path, "required_opset = 17"))
    assert done.exit_code == 0, done.output
    assert "versions/opset-required" not in done.output


def test_the_json_says_what_was_judged_and_by_whom(tmp_path: Path) -> None:
    done = _check(_model(tmp_path / "m.onnx"), "--shapes", "x:1x4..2x4..8x4", "--precision", "fp16", "--format", "json")
    (model,) = json.loads(done.stdout)["models"]
    jsonschema.validate(json.loads(done.stdout), schema())
    said = model["judged"]
    assert (said["opset"], said["target"], said["precision"]) == (17, "", "fp16")
    assert said["profiles"] == [{"ranges": {"N": [1, 2, 8]}, "values": {}}]
    assert any(one.startswith("ONNX Runtime") for one in said["engines"]), said


def test_a_precision_that_is_not_offered_is_an_error(tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx", reason="TensorRT 10 takes int8 as a flag")
    done = _check(_model(tmp_path / "m.onnx", sizes=(2, 4)), "--precision", "int8")
    assert done.exit_code == 1, done.output
    assert "does not take int8 as a flag  engine/precision-flag" in done.output


def test_a_file_name_that_is_not_unicode_is_answered(tmp_path: Path) -> None:
    name = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9.onnx")
    _model(tmp_path / "fine.onnx").rename(name)
    done = _check(name, _model(tmp_path / "other.onnx"), "--format", "json")
    assert done.exit_code == 2, done.output
    broken, other = json.loads(done.stdout)["models"]
    assert broken["path"].endswith("caf\\udce9.onnx")
    assert "Rename the file" in broken["failure"]
    assert "failure" not in other
    assert CliRunner().invoke(main, ["graph", name]).exit_code == 2


def test_only_regular_files_are_read(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.onnx"
    os.mkfifo(pipe)
    for model in (pipe, Path("/dev/zero")):
        done = _check(model)
        assert done.exit_code == 2, done.output
        assert "is not a regular file" in " ".join(done.output.split())
    assert CliRunner().invoke(main, ["graph", str(pipe)]).exit_code == 2


@pytest.mark.parametrize("number", ["inf", "nan", "-1", "0"])
def test_a_time_limit_that_is_none_is_an_error_of_the_file(tmp_path: Path, number: str) -> None:
    model = _model(tmp_path / "fine.onnx")
    (tmp_path / "friction.toml").write_text(f"[export]\ntimeout_s = {number}\n")
    done = _check(model)
    assert done.exit_code == 2
    assert "timeout_s" in done.output and "friction.toml" in done.output


@pytest.mark.slow
def test_a_model_that_takes_too_long_is_ended_and_the_next_one_judged(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text("import threading\nthreading.Event().wait()\n\ndef model(): ...\n")
    fine = _model(tmp_path / "fine.onnx")
    arguments = ("--timeout", "20", "--jobs", "1", "--allow-code", "--format", "json")
    done = _check(f"{tmp_path / 'slow.py'}:model", fine, *arguments)
    assert done.exit_code == 2, done.output
    slow, other = json.loads(done.stdout)["models"]
    assert "longer than 20 s" in slow["failure"]
    assert "failure" not in other


def test_what_was_found_until_then_is_reported() -> None:
    recipe = Recipe(source=Source("m.onnx"))
    finding = Finding(kind="file/html", severity=Severity.ERROR, tier=Tier.MODEL, title="t", cause="c", source="rule")
    answer = Answer(recipe)
    answer.take(Findings(1, "file", CheckState.DONE, [finding], 0.1, source="rule"))
    answer.late = 60.0
    verdict = verdict_of(answer)
    assert verdict.findings == (finding,)
    assert "60 s" in verdict.failure
    for report in (text.report([verdict]), as_markdown.report([verdict]), as_json.report([verdict])):
        assert "60 s" in report and "file/html" in report


def test_a_model_that_kills_onnx_is_judged_without_it(tmp_path: Path) -> None:
    """onnx's inference of RegexFullMatch follows a null pointer when the input has no type."""
    node = helper.make_node("RegexFullMatch", ["nothing"], ["y"], pattern="a", name="only")
    graph = helper.make_graph([node], "g", [], [helper.make_tensor_value_info("y", TensorProto.BOOL, [2])])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.save(model, tmp_path / "regex.onnx")
    done = _check(tmp_path / "regex.onnx", _model(tmp_path / "fine.onnx"), "--format", "json")
    assert done.exit_code == 2, done.output  # what onnx would have inferred is a question without an answer
    killer, fine = json.loads(done.stdout)["models"]
    assert "structure/undefined-input" in {finding["kind"] for finding in killer["findings"]}
    assert any("SIGSEGV" in line for line in killer["unchecked"])
    assert "failure" not in killer and not fine["unchecked"]


@pytest.mark.parametrize(
    ("command", "name"), [("check", ""), ("check", " "), ("graph", ""), ("build", ""), ("fix", ""), ("open", " ")]
)
def test_an_empty_name_is_an_error_and_not_this_folder(command: str, name: str) -> None:
    done = CliRunner().invoke(main, [command, name])
    assert done.exit_code == 2 and "is empty" in done.output


def test_a_rewrite_of_a_node_that_is_gone_is_not_left_out_in_silence(tmp_path: Path) -> None:
    model, agreed = _model(tmp_path / "m.onnx"), tmp_path / "friction.toml"
    agreed.write_text('[[rewrites]]\nname = "eval-mode"\nnodes = ["y = Relu(other)"]\n')
    done = _check(model)
    assert done.exit_code == 2
    assert "eval-mode does not apply any more: Relu(other) is not in the model any more" in done.output


def test_a_module_that_is_not_on_the_path_is_said_to_be_missing_and_nothing_is_asked(tmp_path: Path) -> None:
    done = _check("no_such_package.models:create", "--allow-code", "--timeout", "60")
    assert done.exit_code == 2
    assert "no module on the Python path has this name (searched: " in " ".join(done.output.split())


def test_the_stages_of_an_export_are_lines_on_stderr_where_nobody_looks_at_a_terminal() -> None:
    stream = io.StringIO()
    with Progress(stream, 1, terminal=False) as progress:
        progress.begin(0, "net.py:make")
        for stage in ("capture", "capture", "translate to ONNX"):
            phases = (Phase("start", 0.1), Phase(stage, None))
            progress.hear(0, "net.py:make", JobProgress(EXPORT_JOB, JobKind.EXPORT, phases, (), 0.2))
        progress.over(0)
    lines = [line.partition(" (after ")[0] for line in stream.getvalue().splitlines()]
    assert lines == ["net.py:make: capture", "net.py:make: translate to ONNX"]
