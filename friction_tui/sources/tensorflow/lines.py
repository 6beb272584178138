"""Which line of the user's Python made an operation: TensorFlow keeps the stack of every operation it traces."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import onnx

from friction_tui.model.provenance import STACK_TRACE
from friction_tui.sources.source_lines import of_stack_text
from friction_tui.vocabulary.finding import SourceLine

_MADE = re.compile(r"__\d+$")
"""What tf2onnx appends to the name of the operation it made a node for."""
_CALLS = re.compile(r"^((Stateful)?PartitionedCall(_\d+)?/)+")
"""What inlining a function puts before the names of its operations."""


@dataclass(frozen=True, slots=True)
class Lines:
    """Python lines of a graph.

    `operations` maps an operation's name to the user's frames, outermost first; `layers` the name of every Keras layer
    to the line that constructed it, None when that is not known.
    """

    operations: Mapping[str, tuple[SourceLine, ...]] = field(default_factory=dict)
    layers: Mapping[str, SourceLine | None] = field(default_factory=dict)

    def of(self, node_name: str) -> tuple[SourceLine, ...]:
        """The frames behind an ONNX node: those of its operation, else where its layer was made, () if unknown."""
        name = _CALLS.sub("", _MADE.sub("", node_name))
        # tf2onnx appends `_loop` to the name of the operation that it made a Loop of
        if frames := self.operations.get(name) or self.operations.get(name.removesuffix("_loop")):
            return frames
        for part in reversed(name.split("/")):
            if line := self.layers.get(self.layer(part)):
                return (line,)
        return ()

    def layer(self, scope: str) -> str:
        """The layer behind a name scope: Keras appends _1 when it calls a layer for the second time."""
        bare = re.sub(r"_\d+$", "", scope)
        return bare if scope not in self.layers and bare in self.layers else scope


def of_function(concrete: Any, layers: Mapping[str, SourceLine | None]) -> Lines:
    """The lines of a function traced in this process."""
    stacks = {
        op.name: _text((f.filename, f.lineno, f.name) for f in op.traceback or ()) for op in _operations(concrete)
    }
    return Lines(_users(stacks), layers)


def of_saved_model(folder: Path) -> Lines:
    """The lines of a SavedModel that was saved with `SaveOptions(save_debug_info=True)`; none of any other."""
    from tensorflow.core.framework.graph_debug_info_pb2 import GraphDebugInfo

    file = folder / "debug" / "saved_model_debug_info.pb"
    if not file.is_file():
        return Lines()
    info = GraphDebugInfo.FromString(file.read_bytes())
    stacks = {}
    for name, number in info.name_to_trace_id.items():
        frames = [info.frames_by_id[frame] for frame in info.traces_by_id[number].frame_id]
        # An operation is called `name@function` there; its frames come outermost first.
        stacks[name.partition("@")[0]] = _text((info.files[f.file_index], f.line, f.func) for f in frames)
    return Lines(_users(stacks))


def _operations(concrete: Any) -> Iterator[Any]:
    """The operations of a function and of the functions it calls."""
    yield from concrete.graph.get_operations()
    for function in concrete.graph._functions.values():
        if hasattr(function, "graph"):
            yield from function.graph.get_operations()


def _text(frames: Iterable[tuple[str, int, str]]) -> str:
    return "\n".join(f'File "{file}", line {line}, in {function}' for file, line, function in frames)


def _users(stacks: Mapping[str, str]) -> dict[str, tuple[SourceLine, ...]]:
    return {name: frames for name, text in stacks.items() if (frames := of_stack_text(text))}


def record(proto: onnx.ModelProto, lines: Lines) -> None:
    """Write the lines into the nodes, so that every verdict about one of them names its line."""
    for node in proto.graph.node:
        if frames := lines.of(node.name):
            text = "\n".join(f'File "{f.file}", line {f.line}, in {f.function}\n    {f.code}' for f in frames)
            node.metadata_props.add(key=STACK_TRACE, value=text)
