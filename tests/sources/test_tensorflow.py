"""Keras and TensorFlow models through tf2onnx, in the TensorFlow environment (`FRICTION_TENSORFLOW_PYTHON`)."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
import venv
from pathlib import Path

import onnx
import pytest

from friction_tui.finding import Severity
from friction_tui.sources import consent
from friction_tui.sources.export_request import ExportRequest
from friction_tui.sources.runner import TENSORFLOW_PYTHON, ExportOutcome, run_export
from friction_tui.sources.target import understand

PYTHON = os.environ.get(TENSORFLOW_PYTHON, sys.executable)
MISSING = TENSORFLOW_PYTHON not in os.environ and importlib.util.find_spec("tensorflow") is None

MAKE = """
import keras, tensorflow as tf
cnn = keras.Sequential([
    keras.Input((16, 16, 3)), keras.layers.Conv2D(4, 3, padding="same", activation="relu"),
    keras.layers.BatchNormalization(), keras.layers.MaxPooling2D(), keras.layers.Flatten(), keras.layers.Dense(5),
])
cnn.save("cnn.keras"), cnn.save("cnn.h5"), cnn.export("cnn_saved")
open("cnn.tflite", "wb").write(tf.lite.TFLiteConverter.from_keras_model(cnn).convert())
keras.Sequential([keras.Input((None, 8)), keras.layers.LSTM(16), keras.layers.Dense(4)]).save("lstm.keras")
keras.Sequential([keras.Input((4,)), keras.layers.Lambda(lambda x: x * 2)]).save("lambda.keras")
class Odd(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None, 8], tf.float32, name="x")])
    def __call__(self, x):
        with tf.name_scope("odd_layer"):
            return {"y": tf.math.lgamma(x)}
odd = Odd()
tf.saved_model.save(odd, "odd_saved", signatures={"serving_default": odd.__call__})
"""


def _export(path: Path, opset: int | None = None) -> ExportOutcome:
    source = consent.with_consent(understand(str(path)))
    output = path.with_name(f"{path.name}.onnx")
    return run_export(ExportRequest(source=source, output=str(output), opset=opset))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tensorflow")
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}
    subprocess.run([PYTHON, "-c", MAKE], cwd=folder, check=True, capture_output=True, env=environment)
    return folder


@pytest.mark.skipif(not MISSING, reason="TensorFlow is installed")
def test_without_tensorflow_it_says_what_to_install(tmp_path: Path) -> None:
    file = tmp_path / "net.keras"
    file.write_bytes(b"PK\x03\x04")
    told = _export(file).findings
    assert told[0].kind == "export/not-installed"
    assert "friction-tui[tensorflow]" in told[0].fixes[0].text


def test_an_environment_that_cannot_be_used_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "net.keras"
    file.write_bytes(b"PK\x03\x04")
    monkeypatch.setenv(TENSORFLOW_PYTHON, str(tmp_path / "gone" / "python"))
    told = _export(file).findings
    assert [finding.kind for finding in told] == ["export/not-installed"]
    assert str(tmp_path / "gone") in told[0].title

    empty = tmp_path / "empty"
    venv.create(empty)
    monkeypatch.setenv(TENSORFLOW_PYTHON, str(empty / "bin" / "python"))
    told = _export(file).findings
    assert "lacks msgspec" in told[0].title
    assert "friction-tui[tensorflow]" in told[0].fixes[0].text


@pytest.mark.slow
@pytest.mark.tensorflow
@pytest.mark.skipif(MISSING, reason="needs the TensorFlow environment")
class TestConversions:
    @pytest.mark.parametrize("name", ["cnn.keras", "cnn.h5", "cnn_saved", "cnn.tflite", "lstm.keras"])
    def test_a_keras_model_is_converted_and_agrees(self, name: str, models: Path) -> None:
        outcome = _export(models / name)
        assert outcome.onnx_path is not None, (outcome.findings, outcome.last_words)
        assert not [f for f in outcome.findings if f.severity is not Severity.NOTE], outcome.findings
        assert [stage for stage, _ in outcome.stages][-1] == "parity"
        model = onnx.load(outcome.onnx_path)
        assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"

    def test_the_opset_is_raised_beyond_what_tf2onnx_writes(self, models: Path) -> None:
        outcome = _export(models / "cnn.keras", opset=20)
        assert outcome.onnx_path is not None
        assert onnx.load(outcome.onnx_path).opset_import[0].version == 20

    def test_an_op_without_translation_is_named_with_its_layer(self, models: Path) -> None:
        told = [f for f in _export(models / "odd_saved").findings if f.severity is Severity.ERROR]
        assert [f.kind for f in told] == ["export/missing-onnx-function"]
        assert "Lgamma" in told[0].title
        assert "odd_layer" in told[0].title

    def test_a_lambda_layer_is_refused_with_the_way_out(self, models: Path) -> None:
        told = _export(models / "lambda.keras").findings
        assert "Lambda" in told[0].fixes[0].text
