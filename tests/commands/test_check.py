"""`friction-tui check` as CI calls it: what it prints, where, and with which exit status."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import onnx
import pytest
from click.testing import CliRunner, Result
from onnx import TensorProto, helper

from friction_tui.cli import main
from friction_tui.report.as_json import schema


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
    assert document["models"][0]["builder"] == {
        "answered": True,
        "note": "shapes and layers: taken; kernels: not tried",
    }


def test_what_was_not_tried_is_said(tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx", reason="builds without a GPU with the RTX edition only")
    done = _check(_model(tmp_path / "m.onnx", sizes=(2, 4)))
    assert "shapes and layers: taken; kernels: not tried" in done.output


def test_a_target_that_is_not_offered_is_an_error_with_those_that_are(tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx", reason="the RTX edition is told its target")
    done = _check(_model(tmp_path / "m.onnx", sizes=(2, 4)), "--target", "SM999")
    assert done.exit_code == 1, done.output
    assert "does not build for SM999" in done.output
    assert "SM75" in done.output
    assert "SM121" in done.output


def test_a_target_that_is_offered_is_taken(tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx", reason="the RTX edition is told its target")
    done = _check(_model(tmp_path / "m.onnx", sizes=(2, 4)), "--target", "SM89", "--precision", "fp16")
    assert done.exit_code == 0, done.output
    assert "kernels for SM89: compiled" in done.output


def test_a_precision_that_is_not_offered_is_an_error(tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx", reason="TensorRT 10 takes int8 as a flag")
    done = _check(_model(tmp_path / "m.onnx", sizes=(2, 4)), "--precision", "int8")
    assert done.exit_code == 1, done.output
    assert "does not take int8 as a flag" in done.output
