"""Real exports, a process each: every failing program gets its kind, line and fix; healthy models get nothing."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import onnx
import pytest

from friction_tui.kinds import KINDS
from friction_tui.kinds.examples import TorchModule
from friction_tui.vocabulary.finding import Severity
from friction_tui.vocabulary.recipe import ExportOptions, InputSpec
from tests.sources.exporting import export_code, export_file

HERE = Path(__file__).parent
FAILURES: dict[str, dict[str, Any]] = tomllib.loads((HERE / "torch_failures.toml").read_text(encoding="utf-8"))
DEPLOYED = HERE.parents[2] / "benchmarks" / "torch_models.py"
SAMPLES = HERE.parents[2] / "sample_models" / "pytorch"

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", FAILURES)
def test_a_failing_program_is_explained_at_its_line(name: str, tmp_path: Path) -> None:
    case = FAILURES[name]
    if "code" in case:
        code, marked = case["code"].lstrip("\n"), "# <- here"
        ranges = {key: (low, high) for key, (low, high) in case.get("ranges", {}).items()}
        outcome = export_code(tmp_path, code, ranges=ranges)
    else:
        shown = KINDS[case["kind"]].shows
        assert isinstance(shown, TorchModule)
        code, marked = shown.source.lstrip("\n"), case.get("line", "# <- here")
        ranges = {key: (low, high) for key, (low, _, high) in shown.ranges.items()}
        outcome = export_code(tmp_path, code, ranges=ranges, opset=shown.opset, factory="create")

    told = [finding for finding in outcome.findings if finding.kind == case["kind"]]
    assert told, [(finding.kind, finding.title) for finding in outcome.findings]
    first = told[0]
    guilty = [number for number, line in enumerate(code.splitlines(), 1) if marked in line]
    if guilty:
        assert first.line is not None
        assert (Path(first.line.file).name, first.line.line) == ("user_model.py", guilty[0])
    said = f"{first.title} {first.cause} {' '.join(first.evidence)}".lower()
    assert all(word.lower() in said for word in case["says"]), said
    fixes = " ".join(fix.text for fix in first.fixes).lower()
    assert any(word.lower() in fixes for word in case["fixes"]), fixes
    assert not {finding.kind for finding in outcome.findings} & set(case.get("never", ()))
    everything = " ".join(finding.title for finding in outcome.findings)
    assert all(word in everything for word in case.get("also", ()))


@pytest.mark.parametrize(
    ("name", "ranges"),
    [
        ("resnet", {"image[0]": (1, 8), "image[2]": (32, 128), "image[3]": (32, 128)}),
        ("unet", {"image[0]": (1, 8), "image[2]": (32, 128), "image[3]": (32, 128)}),
        ("lstm", {"tokens[0]": (1, 8)}),
        ("bert", {"tokens[0]": (1, 8), "mask[0]": (1, 8), "tokens[1]": (2, 32), "mask[1]": (2, 32)}),
        ("gpt", {"ids[0]": (1, 8), "ids[1]": (2, 32)}),
        ("llama", {"ids[0]": (1, 8), "ids[1]": (2, 32)}),
    ],
)
def test_a_healthy_model_exports_without_a_word(name: str, ranges: dict[str, tuple[int, int]], tmp_path: Path) -> None:
    outcome = export_file(DEPLOYED, factory=name, ranges=ranges, output=tmp_path / f"{name}.onnx")
    loud = [f for f in outcome.findings if f.severity is not Severity.NOTE]
    assert outcome.onnx_path is not None
    assert not loud, [(f.kind, f.title, f.cause) for f in loud]
    model = onnx.load(outcome.onnx_path)
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param
    assert all("pkg.torch.onnx.stack_trace" in {e.key for e in n.metadata_props} for n in model.graph.node[:3])


def test_the_samples_are_what_they_say(tmp_path: Path) -> None:
    broken = export_file(SAMPLES / "gated_branch.py", output=tmp_path / "a.onnx")
    assert broken.onnx_path is None
    assert broken.findings[0].kind == "export/data-dependent-control-flow"
    assert "torch.where(x.mean() > 0, x," in broken.findings[0].fixes[0].text

    healthy = export_file(SAMPLES / "residual_cnn.py", output=tmp_path / "b.onnx")
    assert healthy.onnx_path is not None
    assert not healthy.findings
    assert healthy.export_nodes > healthy.onnx_nodes > 0
    assert [name for name, _ in healthy.stages][-1] == "parity"


def test_the_legacy_exporter_is_labelled_and_its_frozen_branch_found(tmp_path: Path) -> None:
    code = FAILURES["if_in_submodule"]["code"]
    outcome = export_code(tmp_path, code, options=ExportOptions(legacy=True))
    kinds = {finding.kind: finding for finding in outcome.findings}
    assert outcome.onnx_path is not None
    assert "legacy" in kinds["export/legacy-exporter"].source
    frozen = kinds["export/traced-constant"].line
    assert frozen is not None
    assert frozen.line == 5


def test_inputs_are_taken_from_the_command_line_or_guessed(tmp_path: Path) -> None:
    code = "import torch\ndef model():\n    return torch.nn.Sequential(torch.nn.Linear(6, 2)).eval()\n"
    guessed = export_code(tmp_path, code)
    assert guessed.inputs_guessed
    assert guessed.inputs == (InputSpec("input", (2, 6), "float32"),)
    assert [finding.kind for finding in guessed.findings] == ["export/guessed-inputs"]

    given = export_code(tmp_path, code, inputs=(InputSpec("input", (5, 6)),))
    assert not given.inputs_guessed
    assert given.inputs[0].shape == (5, 6)
    assert not given.findings
