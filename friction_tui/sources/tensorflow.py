"""TensorFlow and Keras to ONNX with tf2onnx: SavedModel directories, .keras, .h5, frozen graphs, TFLite.

Runs in the export process, in an environment of its own if need be: nothing here needs torch.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.version_converter

from friction_tui.finding import Finding
from friction_tui.recipe import InputSpec, Profile, dim_key
from friction_tui.sources import tensorflow_findings as found
from friction_tui.sources.channel import Channel
from friction_tui.sources.export_request import Done, Exported, ExportRequest, InputsUsed

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# A conversion needs no GPU, and TensorFlow would take all of its memory.
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"

HIGHEST_OPSET = 18
"""The highest opset tf2onnx 1.17 writes (`tf2onnx.constants`)."""

_BATCH, _FREE = 2, 32
"""Sizes for unknown dimensions of a test input: the first axis, and any other."""

Run = Callable[[Mapping[str, np.ndarray[Any, Any]]], Sequence[np.ndarray[Any, Any]]]


@dataclass(frozen=True, slots=True)
class Converted:
    """What tf2onnx made, and a way to run the original: None for a frozen graph, which has no callable."""

    proto: onnx.ModelProto
    run: Run | None


def export(request: ExportRequest, channel: Channel) -> Done:
    """Convert, compare, check. Raises ImportError when TensorFlow or tf2onnx is not installed."""
    import tensorflow as tf
    import tf2onnx

    source = f"tf2onnx {tf2onnx.__version__} (TensorFlow {tf.__version__})"
    path, opset = Path(request.source.path), min(request.opset or HIGHEST_OPSET, HIGHEST_OPSET)
    channel.stage("load and convert")
    with _heard(channel):
        try:
            converted = _convert(path, opset)
        except Exception as error:
            channel.found(found.not_converted(path, error, source))
            return Done(None, channel.elapsed)
    findings = list(found.left_over(converted.proto, source))
    proto = converted.proto
    _name_free_dims(proto)
    if request.opset and request.opset > HIGHEST_OPSET:
        proto, refused = _raised(proto, request.opset, source)
        findings += refused
    findings += found.layout(proto, source)
    channel.found(*findings)
    _save(proto, request)
    channel.send(InputsUsed(_specs(proto, request.profile), guessed=not request.source.inputs))
    channel.send(Exported(request.output, channel.elapsed))
    if (
        request.aftermath
        and converted.run is not None
        and not any(f.kind.startswith("export/missing") for f in findings)
    ):
        channel.stage("parity")
        try:
            channel.found(*_parity(proto, converted.run, request, source))
        except Exception as error:
            channel.log("warning", f"parity could not be checked: {type(error).__name__}: {error}")
    return Done(request.output, channel.elapsed, onnx_nodes=len(proto.graph.node))


def _convert(path: Path, opset: int) -> Converted:
    import tensorflow as tf
    from tf2onnx import convert

    if path.is_dir():
        return _saved_model(path, opset)
    match path.suffix.lower():
        case ".keras" | ".h5" | ".hdf5":
            import keras

            # safe_mode refuses Lambda layers, which are pickled Python.
            model = keras.models.load_model(path, compile=False, safe_mode=True)
            signature = [tf.TensorSpec(t.shape, t.dtype, name=t.name.partition(":")[0]) for t in model.inputs]

            def infer(*tensors: Any) -> Any:
                return model(list(tensors) if len(tensors) > 1 else tensors[0], training=False)

            # tf2onnx.convert.from_keras looks outputs up by names that Keras 3 no longer gives (KeyError).
            proto, _ = convert.from_function(tf.function(infer), input_signature=signature, opset=opset)
            return Converted(proto, lambda feed: _arrays(infer(*(feed[spec.name] for spec in signature))))
        case ".tflite":
            proto, _ = convert.from_tflite(str(path), opset=opset)
            return Converted(proto, _tflite_run(path))
    graph = tf.compat.v1.GraphDef.FromString(path.read_bytes())
    inputs = [f"{node.name}:0" for node in graph.node if node.op == "Placeholder"]
    read = {name.partition(":")[0].lstrip("^") for node in graph.node for name in node.input}
    outputs = [f"{n.name}:0" for n in graph.node if n.name not in read and n.op not in {"Const", "NoOp", "Placeholder"}]
    proto, _ = convert.from_graph_def(graph, input_names=inputs, output_names=outputs, opset=opset)
    return Converted(proto, None)


def _saved_model(path: Path, opset: int) -> Converted:
    """A SavedModel through its serving signature, or its only one."""
    import tensorflow as tf
    from tf2onnx import convert

    loaded = tf.saved_model.load(str(path))
    signatures = dict(loaded.signatures)
    name = "serving_default" if "serving_default" in signatures else next(iter(signatures), "")
    if not name:
        raise ValueError("the SavedModel has no signature; save it with signatures={'serving_default': model.call}")
    concrete = signatures[name]
    specs = concrete.structured_input_signature[1]

    def serve(*tensors: Any) -> Any:
        return concrete(**dict(zip(specs, tensors, strict=True)))

    signature = [tf.TensorSpec(spec.shape, spec.dtype, name=key) for key, spec in specs.items()]
    proto, _ = convert.from_function(tf.function(serve), input_signature=signature, opset=opset)
    return Converted(proto, lambda feed: _arrays(concrete(**{key: tf.constant(feed[key]) for key in specs})))


def _tflite_run(path: Path) -> Run:
    import tensorflow as tf

    interpreter = tf.lite.Interpreter(model_path=str(path))
    details = interpreter.get_input_details()

    def run(feed: Mapping[str, np.ndarray[Any, Any]]) -> Sequence[np.ndarray[Any, Any]]:
        for entry, value in zip(details, feed.values(), strict=True):
            interpreter.resize_tensor_input(entry["index"], value.shape)
        interpreter.allocate_tensors()
        for entry, value in zip(details, feed.values(), strict=True):
            interpreter.set_tensor(entry["index"], value)
        interpreter.invoke()
        return [interpreter.get_tensor(entry["index"]) for entry in interpreter.get_output_details()]

    return run


def _arrays(result: Any) -> list[np.ndarray[Any, Any]]:
    import tensorflow as tf

    return [np.asarray(value) for value in tf.nest.flatten(result)]


def _name_free_dims(proto: onnx.ModelProto) -> None:
    """TensorFlow keeps no dimension names: the first free axis of every input is the batch, others `input_axis`."""
    renamed: dict[str, str] = {}
    for port in proto.graph.input:
        for axis, dim in enumerate(port.type.tensor_type.shape.dim):
            if not dim.HasField("dim_value"):
                symbol = "batch" if axis == 0 else f"{port.name}_{axis}"
                renamed[dim.dim_param] = symbol
                dim.dim_param = symbol
    for port in proto.graph.output:
        for axis, dim in enumerate(port.type.tensor_type.shape.dim):
            if not dim.HasField("dim_value") and (dim.dim_param in renamed or axis == 0):
                dim.dim_param = renamed.get(dim.dim_param, "batch")


def _raised(proto: onnx.ModelProto, opset: int, source: str) -> tuple[onnx.ModelProto, list[Finding]]:
    """The model at a higher opset than tf2onnx writes; unchanged, with the reason, when the conversion fails."""
    try:
        return onnx.version_converter.convert_version(proto, opset), []
    except (RuntimeError, ValueError) as error:
        return proto, [found.opset_stays(opset, HIGHEST_OPSET, str(error).splitlines()[0], source)]


def _save(proto: onnx.ModelProto, request: ExportRequest) -> None:
    output = Path(request.output)
    external = request.options.external_data and proto.ByteSize() > 100 * 2**20
    onnx.save(proto, output, save_as_external_data=external, location=f"{output.name}.data" if external else None)


def _specs(proto: onnx.ModelProto, profile: Profile | None) -> tuple[InputSpec, ...]:
    """Test inputs at the profile's opt sizes where it has them."""
    ranges = profile.ranges if profile else {}
    weights = {tensor.name for tensor in proto.graph.initializer}
    specs = []
    for port in proto.graph.input:
        if port.name in weights:
            continue
        shape = []
        for axis, dim in enumerate(port.type.tensor_type.shape.dim):
            chosen = ranges.get(dim_key(port.name, axis, "")) or ranges.get(dim.dim_param)
            free = chosen.opt if chosen else (_BATCH if axis == 0 else _FREE)
            shape.append(dim.dim_value if dim.HasField("dim_value") else free)
        dtype = onnx.helper.tensor_dtype_to_np_dtype(port.type.tensor_type.elem_type).name
        specs.append(InputSpec(port.name, tuple(shape), dtype))
    return tuple(specs)


def _parity(proto: onnx.ModelProto, run: Run, request: ExportRequest, source: str) -> Iterator[Finding]:
    """Outputs on random inputs, by ONNX Runtime when it is in this environment, else by ONNX's own evaluator."""
    generator = np.random.default_rng(0)
    feed = {
        spec.name: generator.standard_normal(spec.shape).astype(spec.dtype)
        if spec.dtype.startswith("float")
        else generator.integers(0, 2, spec.shape).astype(spec.dtype)
        for spec in _specs(proto, request.profile)
    }
    expected = run(feed)
    engine, got = _onnx_outputs(proto, feed)
    for port, want, have in zip(proto.graph.output, expected, got, strict=False):
        scale = max(float(np.abs(want).max(initial=0.0)), 1e-3)
        gap = np.inf
        if want.shape == have.shape:
            gap = float(np.abs(want.astype(np.float64) - have.astype(np.float64)).max(initial=0.0))
        if gap > 1e-3 * scale:
            yield found.differs(port.name, gap, gap / scale, f"{engine} against {source}")


def _onnx_outputs(proto: onnx.ModelProto, feed: Mapping[str, Any]) -> tuple[str, Sequence[Any]]:
    try:
        import onnxruntime
    except ImportError:
        from onnx.reference import ReferenceEvaluator

        outputs: Any = ReferenceEvaluator(proto).run(None, dict(feed))
        return f"ONNX {onnx.__version__} reference", outputs
    session = onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"])
    return f"ONNX Runtime {onnxruntime.__version__} CPU", session.run(None, dict(feed))


@contextmanager
def _heard(channel: Channel) -> Iterator[None]:
    """Hands tf2onnx's log lines on to the channel."""
    handler, logger = _ChannelHandler(channel), logging.getLogger("tf2onnx")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


class _ChannelHandler(logging.Handler):
    def __init__(self, channel: Channel) -> None:
        super().__init__(logging.WARNING)
        self._channel = channel

    def emit(self, record: logging.LogRecord) -> None:
        self._channel.log(record.levelname.lower().replace("critical", "error"), record.getMessage())
