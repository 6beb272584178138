"""Files torch wrote (exported programs, TorchScript, pickles, state dicts) and Hugging Face directories."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch

from friction_tui.sources import consent
from friction_tui.sources.export_request import ExportRequest
from friction_tui.sources.pytorch.torch_version import too_old
from friction_tui.sources.runner import ExportOutcome, run_export
from friction_tui.sources.target import understand
from friction_tui.vocabulary.recipe import InputSpec, Source, SourceKind

pytestmark = pytest.mark.slow

NET = "import torch\nclass Net(torch.nn.Module):\n    def __init__(self):\n        super().__init__()\n"
NET += "        self.fc = torch.nn.Linear(6, 2)\n    def forward(self, x):\n        return self.fc(x).relu()\n"


def _net() -> torch.nn.Module:
    return torch.nn.Sequential(torch.nn.Linear(6, 2), torch.nn.ReLU()).eval()


def _export(source: Source, folder: Path) -> ExportOutcome:
    return run_export(ExportRequest(source=consent.with_consent(source), output=str(folder / "out.onnx")))


def test_an_exported_program(tmp_path: Path) -> None:
    file = tmp_path / "net.pt2"
    dims = ({0: torch.export.Dim("batch", max=8)},)
    torch.export.save(torch.export.export(_net(), (torch.randn(2, 6),), dynamic_shapes=dims), file)
    source = understand(str(file))
    assert source.kind is SourceKind.EXPORTED_PROGRAM
    outcome = _export(source, tmp_path)
    assert outcome.onnx_path is not None, outcome
    assert not outcome.findings


def test_torchscript_goes_through_the_legacy_exporter(tmp_path: Path) -> None:
    file = tmp_path / "net.pt"
    trace: Any = torch.jit.trace
    trace(_net(), torch.randn(2, 6)).save(str(file))
    source = understand(str(file), inputs=[InputSpec("x", (2, 6))])
    assert source.kind is SourceKind.TORCHSCRIPT
    outcome = _export(source, tmp_path)
    assert outcome.onnx_path is not None, (outcome.findings, outcome.last_words)
    assert [finding.kind for finding in outcome.findings] == ["export/legacy-exporter"]
    named = understand(str(file), inputs=[InputSpec("input", (2, 6))])
    assert _export(named, tmp_path).inputs == (InputSpec("input", (2, 6)),), "its parameter's name is in its schema"


def test_a_state_dict_loads_into_its_module_and_alone_says_what_it_needs(tmp_path: Path) -> None:
    code, weights = tmp_path / "net.py", tmp_path / "weights.pt"
    code.write_text(NET + "def model():\n    return Net().eval(), (torch.randn(2, 6),)\n")
    torch.save({"state_dict": {"module.fc.weight": torch.ones(2, 6), "module.fc.bias": torch.zeros(2)}}, weights)
    outcome = _export(understand(f"{code}:model", state_dict=str(weights)), tmp_path)
    assert outcome.onnx_path is not None, outcome.findings
    assert not outcome.findings

    alone = _export(understand(str(weights)), tmp_path)
    assert alone.onnx_path is None
    assert "--state-dict" in alone.findings[0].fixes[0].text

    torch.save({"other.weight": torch.ones(2, 6)}, weights)
    wrong = _export(understand(f"{code}:model", state_dict=str(weights)), tmp_path)
    assert "checkpoint that belongs" in wrong.findings[0].fixes[0].text


def test_safetensors_load_whole_and_in_shards(tmp_path: Path) -> None:
    save: Any = importlib.import_module("safetensors.torch").save_file
    code, index = tmp_path / "net.py", tmp_path / "model.safetensors.index.json"
    code.write_text(NET + "def model():\n    return Net().eval(), (torch.randn(2, 6),)\n")
    parts = {"fc.weight": torch.full((2, 6), 3.0), "fc.bias": torch.zeros(2)}
    save(parts, tmp_path / "whole.safetensors")
    for number, (name, weight) in enumerate(parts.items()):
        save({name: weight}, tmp_path / f"part-{number}.safetensors")
    index.write_text(json.dumps({"weight_map": {name: f"part-{n}.safetensors" for n, name in enumerate(parts)}}))
    for weights in (tmp_path / "whole.safetensors", index):
        outcome = _export(understand(f"{code}:model", state_dict=str(weights)), tmp_path)
        assert outcome.onnx_path is not None, outcome.findings
        stored = [onnx.numpy_helper.to_array(one) for one in onnx.load(outcome.onnx_path).graph.initializer]
        assert any(one.shape == (2, 6) and (one == 3).all() for one in stored)


def test_a_folder_of_diffusers_is_no_folder_of_transformers(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"_class_name": "UNet2DConditionModel", "sample_size": 8}')
    outcome = _export(understand(str(tmp_path)), tmp_path)
    assert "of diffusers" in outcome.findings[0].title
    assert "UNet2DConditionModel.from_pretrained" in outcome.findings[0].fixes[0].text


def test_a_torch_that_is_too_old_is_named_with_what_is_needed() -> None:
    found = too_old("2.8.1+cu126")
    assert found is not None and "torch 2.9 or newer" in found.title and "2.8.1" in found.title
    assert [too_old(version) for version in ("2.9.0", "2.13.0+cpu", "3.0.0a0+git12", "unknown")] == [None] * 4


def test_a_hugging_face_directory_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    absent = "raise ModuleNotFoundError(\"No module named 'transformers'\", name='transformers')\n"
    (tmp_path / "transformers.py").write_text(absent)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    outcome = _export(understand(str(tmp_path)), tmp_path)
    assert outcome.findings[0].kind == "export/not-installed"
    assert "transformers" in outcome.findings[0].fixes[0].text


@pytest.mark.parametrize("kind", ["bert", "gpt2", "llama"])
def test_a_hugging_face_directory_is_exported(kind: str, tmp_path: Path) -> None:
    transformers: Any = importlib.import_module("transformers")
    small = {"vocab_size": 128, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4}
    if kind == "gpt2":
        config = transformers.GPT2Config(vocab_size=128, n_embd=32, n_layer=2, n_head=4, n_positions=64)
        model = transformers.GPT2LMHeadModel(config)
    elif kind == "llama":
        config = transformers.LlamaConfig(**small, intermediate_size=64, num_key_value_heads=2)
        model = transformers.LlamaForCausalLM(config)
    else:
        config = transformers.BertConfig(**small, intermediate_size=64)
        model = transformers.BertForSequenceClassification(config)
    folder = tmp_path / kind
    model.save_pretrained(folder)
    outcome = _export(understand(str(folder)), tmp_path)
    assert outcome.onnx_path is not None, (outcome.findings, outcome.last_words)
    assert not [f for f in outcome.findings if f.severity != "info"], outcome.findings


def test_a_full_pickle_runs_only_as_the_users_code(tmp_path: Path) -> None:
    file = tmp_path / "whole.pt"
    torch.save(_net(), file)
    source = understand(str(file), inputs=[InputSpec("input", (2, 6))])
    assert source.kind is SourceKind.PYTORCH
    refused = run_export(ExportRequest(source=source, output=str(tmp_path / "out.onnx")))
    assert refused.findings[0].kind == "export/no-consent"
    outcome = _export(source, tmp_path)
    assert outcome.onnx_path is not None, outcome.findings
