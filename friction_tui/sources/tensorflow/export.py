"""TensorFlow and Keras to ONNX with tf2onnx: SavedModel directories, .keras, .h5, frozen graphs, TFLite, Python.

Runs in the export process, in an environment of its own if need be: nothing here needs torch.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import onnx.version_converter

from friction_tui.model.opened import from_proto
from friction_tui.sources.channel import Channel
from friction_tui.sources.export_request import Done, Exported, ExportRequest, InputsUsed
from friction_tui.sources.python_code import CannotBuild
from friction_tui.sources.tensorflow import findings as found
from friction_tui.sources.tensorflow import parity
from friction_tui.sources.tensorflow.lines import Lines, record
from friction_tui.vocabulary.finding import Finding
from friction_tui.vocabulary.recipe import Source

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# A conversion needs no GPU, and TensorFlow would take all of its memory.
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"

HIGHEST_OPSET = 18
"""The highest opset tf2onnx 1.17 writes (`tf2onnx.constants`)."""

_PARITY_S = 60.0
"""Seconds that comparing may take at least; as long as the conversion took, when that was longer."""
_GAVE_UP = re.compile(r"Failed to convert node '(?P<node>[^']+)'")

Array = np.ndarray[Any, Any]


@dataclass(frozen=True, slots=True)
class Converted:
    """What tf2onnx made, a way to run the original, its Python lines, and what was chosen without being asked."""

    proto: onnx.ModelProto
    run: Callable[[Mapping[str, Array]], Sequence[Array]]
    lines: Lines
    remarks: tuple[str, ...] = ()
    watch: tuple[Path, ...] = ()


def export(request: ExportRequest, channel: Channel) -> Done:
    """Convert, compare, check. Raises ImportError when TensorFlow or tf2onnx is not installed."""
    import tensorflow as tf
    import tf2onnx

    source = f"tf2onnx {tf2onnx.__version__} (TensorFlow {tf.__version__})"
    path = Path(request.source.path)
    channel.stage("load and convert")
    with _logged(channel) as failed:
        try:
            converted = _convert(request.source, min(request.opset or HIGHEST_OPSET, HIGHEST_OPSET))
        except CannotBuild as error:
            channel.found(found.cannot_build(request.source, error, source))
            return Done(None, channel.elapsed)
        except ImportError:
            raise
        except Exception as error:
            channel.found(found.not_converted(path, error, source))
            return Done(None, channel.elapsed)
    proto = converted.proto
    _name_free_dims(proto)
    findings = [found.remark(text, path, source) for text in converted.remarks]
    if request.opset and request.opset > HIGHEST_OPSET:
        proto, refused = _raised(proto, request.opset, source)
        findings += refused
    record(proto, converted.lines)
    model = from_proto(proto, Path(request.output))
    untranslated = list(found.left_over(model, failed, converted.lines, source))
    channel.found(*findings, *untranslated, *found.layout(model, source))
    _save(proto, request)
    specs = parity.inputs(proto, request.profile, request.source.inputs)
    channel.send(InputsUsed(specs, guessed=not request.source.inputs))
    watch = tuple(str(file) for file in converted.watch)
    done = Done(request.output, channel.elapsed, watch=watch, onnx_nodes=len(proto.graph.node))
    channel.send(Exported(request.output, channel.elapsed, done))
    if request.aftermath and not untranslated:
        channel.stage("parity", max(_PARITY_S, channel.elapsed))
        say = partial(channel.log, "info")
        where = Path(request.output)
        channel.found(*parity.check(proto, where, converted.run, specs, request.profile, source, say))
    return msgspec.structs.replace(done, seconds=channel.elapsed)


def _convert(source: Source, opset: int) -> Converted:
    from tf2onnx import convert

    from friction_tui.sources.tensorflow import handlers as tensorflow_handlers  # noqa: F401 - registers them
    from friction_tui.sources.tensorflow.load import load

    path = Path(source.path)
    if path.suffix.lower() == ".tflite" or _is_tflite(path):
        proto, _ = convert.from_tflite(str(path), opset=opset)
        return Converted(proto, _tflite_run(path, [port.name for port in proto.graph.input]), Lines())
    model = load(source)
    proto, _ = convert.from_graph_def(
        model.graph,
        name=path.name,
        opset=opset,
        input_names=list(model.inputs),
        output_names=list(model.outputs),
        tensors_to_rename={**model.inputs, **model.outputs},
    )
    _in_order(proto.graph.input, list(model.inputs.values()))
    return Converted(proto, model.run, model.lines, model.remarks, model.watch)


def _is_tflite(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        return stream.read(8)[4:] == b"TFL3"


def _in_order(ports: Any, names: Sequence[str]) -> None:
    """Put graph inputs into the order of the model's signature."""
    by_name = {port.name: onnx.ValueInfoProto.FromString(port.SerializeToString()) for port in ports}
    ordered = [by_name.pop(name) for name in names if name in by_name] + list(by_name.values())
    del ports[:]
    ports.extend(ordered)


def _tflite_run(path: Path, names: Sequence[str]) -> Callable[[Mapping[str, Array]], Sequence[Array]]:
    import tensorflow as tf

    interpreter = tf.lite.Interpreter(model_path=str(path))
    details = interpreter.get_input_details()

    def run(feed: Mapping[str, Array]) -> Sequence[Array]:
        values = [feed[name] for name in names]
        for entry, value in zip(details, values, strict=True):
            interpreter.resize_tensor_input(entry["index"], value.shape)
        interpreter.allocate_tensors()
        for entry, value in zip(details, values, strict=True):
            interpreter.set_tensor(entry["index"], value)
        interpreter.invoke()
        return [interpreter.get_tensor(entry["index"]) for entry in interpreter.get_output_details()]

    return run


def _name_free_dims(proto: onnx.ModelProto) -> None:
    """TensorFlow keeps no dimension names: the first free axis of every input is the batch, others `input_axis`.

    An output's free axes get no name: which input's size they follow, if any, is for shape inference to find.
    """
    for port in proto.graph.input:
        for axis, dim in enumerate(port.type.tensor_type.shape.dim):
            if not dim.HasField("dim_value"):
                dim.dim_param = "batch" if axis == 0 else f"{port.name}_{axis}"
    for port in proto.graph.output:
        for dim in port.type.tensor_type.shape.dim:
            if not dim.HasField("dim_value"):
                dim.Clear()


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


@contextmanager
def _logged(channel: Channel) -> Iterator[dict[str, str]]:
    """Hands tf2onnx's log lines on to the channel; gives the nodes it gave up on, with the reason."""
    handler, logger = _ChannelHandler(channel), logging.getLogger("tf2onnx")
    logger.addHandler(handler)
    try:
        yield handler.failed
    finally:
        logger.removeHandler(handler)


class _ChannelHandler(logging.Handler):
    def __init__(self, channel: Channel) -> None:
        super().__init__(logging.WARNING)
        self._channel = channel
        self._said: set[str] = set()
        self.failed: dict[str, str] = {}

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        if text in self._said:  # tf2onnx repeats a warning for every pass over the graph
            return
        self._said.add(text)
        if match := _GAVE_UP.match(text):
            error = record.exc_info[1] if record.exc_info else None
            self.failed[match["node"]] = f"{type(error).__name__}: {str(error).splitlines()[0]}" if str(error) else ""
        self._channel.log(record.levelname.lower().replace("critical", "error"), text)
