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

from friction_tui.sources import consent
from friction_tui.sources.export_request import ExportEvent, ExportRequest, Log
from friction_tui.sources.runner import TENSORFLOW_PYTHON, ExportOutcome, run_export
from friction_tui.sources.target import understand
from friction_tui.vocabulary.finding import Finding, Severity
from friction_tui.vocabulary.recipe import InputSpec

PYTHON = os.environ.get(TENSORFLOW_PYTHON, sys.executable)
MISSING = TENSORFLOW_PYTHON not in os.environ and importlib.util.find_spec("tensorflow") is None

CODE = """
import keras, tensorflow as tf
from keras import layers

class LogGamma(layers.Layer):
    def call(self, x):
        y = x * 2.0
        return tf.math.lgamma(y)

def model():
    return keras.Sequential([keras.Input((8,), name="x"), LogGamma(name="log_gamma"), layers.Dense(4)])

def lookup():
    return keras.Sequential([
        keras.Input((1,), dtype="int64", name="id"),
        layers.IntegerLookup(vocabulary=[10, 20]),
    ])
"""

MAKE = """
import keras, tensorflow as tf
from keras import layers
from odd_net import LogGamma, model

cnn = keras.Sequential([
    keras.Input((16, 16, 3)), layers.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.0, 2.0, 3.0]),
    layers.Conv2D(4, 3, padding="same", activation="relu"), layers.BatchNormalization(), layers.MaxPooling2D(),
    layers.Flatten(), layers.Dense(5), layers.Lambda(lambda x: x * 2),
])
cnn.save("cnn.keras"), cnn.save("cnn.h5"), cnn.export("cnn_saved")
plain = keras.Sequential([keras.Input((16, 16, 3)), *cnn.layers[:-1]])
open("cnn.tflite", "wb").write(tf.lite.TFLiteConverter.from_keras_model(plain).convert())
converter = tf.lite.TFLiteConverter.from_keras_model(plain)
converter.optimizations = [tf.lite.Optimize.DEFAULT]
open("quantized.tflite", "wb").write(converter.convert())
keras.Sequential([keras.Input((None, 8)), layers.LSTM(16), layers.Dense(4, activation="gelu")]).save("lstm.keras")
model().save("custom.keras"), model().export("custom_saved")

tf1 = tf.compat.v1
with tf1.Graph().as_default() as graph:
    x = tf1.placeholder(tf.float32, [None, 4], name="x")
    tf.nn.softmax(tf.matmul(x, tf.ones([4, 3])), name="probabilities")
    open("frozen.pb", "wb").write(graph.as_graph_def().SerializeToString())
    tf1.get_variable("weights", [4, 3], use_resource=False)
    open("unfrozen.pb", "wb").write(graph.as_graph_def().SerializeToString())

rows = tf.TensorSpec([None, 8], tf.float32, name="x")
class Odd(tf.Module):
    @tf.function(input_signature=[rows])
    def branch(self, x):
        return {"y": tf.math.lgamma(x) if tf.reduce_sum(x) > 0 else x}

    @tf.function(input_signature=[rows])
    def double(self, x):
        return {"x": x * 2}

    @tf.function(input_signature=[tf.TensorSpec(None, tf.float32, name="x")])
    def any_rank(self, x):
        return {"y": tf.nn.relu(x)}
odd = Odd()
options = tf.saved_model.SaveOptions(save_debug_info=True)
tf.saved_model.save(odd, "branch", signatures=odd.branch)
tf.saved_model.save(odd, "several", signatures={"twice": odd.double, "branch": odd.branch})
tf.saved_model.save(odd, "any_rank", signatures=odd.any_rank)
net = model()
traced = tf.function(net, input_signature=[rows])
holder = tf.Module()
holder.net, holder.call = net, traced
tf.saved_model.save(holder, "with_lines", signatures=traced, options=options)
"""


def _export(named: Path | str, opset: int | None = None, *, inputs: tuple[InputSpec, ...] = ()) -> ExportOutcome:
    source = consent.with_consent(understand(str(named), inputs=inputs))
    output = Path(f"{named}.onnx".replace(":", "."))
    return run_export(ExportRequest(source=source, output=str(output), opset=opset), on_event=HEARD.append)


HEARD: list[ExportEvent] = []
"""What the exports of this file said while they worked."""


def _errors(outcome: ExportOutcome) -> list[Finding]:
    return [finding for finding in outcome.findings if finding.severity is Severity.ERROR]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tensorflow")
    (folder / "odd_net.py").write_text(CODE)
    (folder / "make.py").write_text(MAKE)  # a file: tf.function reads the source of what it traces
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}
    made = subprocess.run([PYTHON, "make.py"], check=False, cwd=folder, capture_output=True, text=True, env=environment)
    assert made.returncode == 0, made.stderr[-3000:]
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
    assert "needs msgspec" in told[0].title
    assert "friction-tui[tensorflow]" in told[0].fixes[0].text


@pytest.mark.slow
@pytest.mark.tensorflow
@pytest.mark.skipif(MISSING, reason="needs the TensorFlow environment")
class TestConversions:
    @pytest.mark.parametrize(
        "name",
        [
            "cnn.keras",
            "cnn.h5",
            "cnn_saved",
            "cnn.tflite",
            "quantized.tflite",
            "lstm.keras",
            "frozen.pb",
            "several:twice",
        ],
    )
    def test_a_healthy_model_is_converted_and_agrees_at_several_sizes(self, name: str, models: Path) -> None:
        HEARD.clear()
        outcome = _export(f"{models}/{name}")
        assert outcome.onnx_path is not None, (outcome.findings, outcome.last_words)
        assert not [f for f in outcome.findings if f.severity is not Severity.NOTE], outcome.findings
        agreed = [event.text for event in HEARD if isinstance(event, Log) and event.text.startswith("parity: equal")]
        assert len(agreed) == 2, HEARD
        (port,) = onnx.load(outcome.onnx_path).graph.input
        assert port.type.tensor_type.shape.dim[0].dim_param == "batch"

    def test_the_opset_is_raised_beyond_what_tf2onnx_writes(self, models: Path) -> None:
        outcome = _export(models / "cnn.keras", opset=20)
        assert outcome.onnx_path is not None
        assert onnx.load(outcome.onnx_path).opset_import[0].version == 20

    def test_an_op_without_translation_is_named_with_layer_and_line(self, models: Path) -> None:
        outcome = _export(f"{models}/odd_net.py:model")
        (told,) = _errors(outcome)
        assert told.kind == "export/missing-onnx-function"
        assert told.title == "TensorFlow's Lgamma (layer log_gamma) has no ONNX function"
        assert told.line is not None
        assert (Path(told.line.file).name, told.line.line) == ("odd_net.py", 8)
        assert told.node_paths
        assert [file.name for file in outcome.watch] == ["odd_net.py"]

    def test_a_layer_of_kerass_own_is_found_where_it_was_made(self, models: Path) -> None:
        (told,) = _errors(_export(f"{models}/odd_net.py:lookup"))
        assert "lookup table" in told.cause
        assert told.line is not None
        assert told.line.code == "layers.IntegerLookup(vocabulary=[10, 20]),"

    def test_a_saved_model_names_layer_and_body_and_the_line_if_it_was_saved(self, models: Path) -> None:
        (without,) = _errors(_export(models / "custom_saved"))
        assert "layer log_gamma" in without.title
        assert without.line is None
        (with_line,) = _errors(_export(models / "with_lines"))
        assert with_line.line is not None
        assert with_line.line.line == 8
        (inside,) = _errors(_export(models / "branch"))
        assert "then_branch" in inside.node_paths[0]

    def test_what_is_missing_is_said_with_the_way_out(self, models: Path) -> None:
        (custom,) = _export(models / "custom.keras").findings
        assert "the class LogGamma" in custom.title
        assert "path/file.py:factory" in custom.fixes[0].text
        (variables,) = _export(models / "unfrozen.pb").findings
        assert "not frozen: 1 variables (weights)" in variables.cause
        (rank,) = _export(models / "any_rank").findings
        assert "--input x:1x8:float32" in rank.cause

    def test_choices_are_the_users(self, models: Path) -> None:
        assert _export(models / "any_rank", inputs=(InputSpec("x", (2, 8)),)).findings == ()
        titles = [finding.title for finding in _export(models / "several").findings]
        assert "The signature was guessed: several has no serving_default: signature branch is shown" in titles
        assert "it has" in _export(f"{models}/several:gone").findings[0].cause
