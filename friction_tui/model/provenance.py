"""Where a node comes from: the module it belongs to and the user's line of Python that made it.

torch.onnx.export (dynamo) records both in `metadata_props`; other exporters put the module path into the
node's name, separated by `/`.
"""

from __future__ import annotations

import re

import onnx

from friction_tui.model.graph import Node
from friction_tui.model.opened import OpenedModel
from friction_tui.vocabulary.finding import Location, LocationKind, SourceLine

STACK_TRACE = "friction_tui.stack_trace"
"""Where friction_tui's own exports keep a node's stack, for exporters that record none."""
_TORCH_STACK_TRACE = "pkg.torch.onnx.stack_trace"
_NAME_SCOPES = "pkg.torch.onnx.name_scopes"
_NO_MODULE = "_empty_nn_module_stack_from_metadata_hook"
"""What belongs to no module is given it by torch/_export/passes/_node_metadata_hook.py"""
_FRAME = re.compile(r'^\s*File "(?P<file>.*)", line (?P<line>\d+)(?:, in (?P<function>.*))?$')
_LIBRARY = re.compile(r"/(?:site|dist)-packages/|/lib/python3\.\d+/|<(?:frozen|string|eval)|^torch/fx/")
"""Files that belong to an installed library, not to the user."""
_TORCH = re.compile(
    r"/(?:site|dist)-packages/torch/|/lib/python3\.\d+/(?!site-packages|dist-packages)|<(?:frozen|string|eval)|^torch/fx/"
)


def location_of(model: OpenedModel, node: Node) -> Location:  # noqa: ARG001 - the model is part of the agreed signature
    """The node as a place to point at, with its line of Python when the exporter recorded one."""
    return Location(
        kind=LocationKind.NODE,
        name=node.name,
        op=node.proto.op_type,
        node=node.path,
        source=source_line(node.proto),
    )


def source_line(node: onnx.NodeProto) -> SourceLine | None:
    """The innermost recorded frame in the user's own code, else in a model library's."""
    trace = _stack(node)
    return line_of_trace(trace) if trace else None


def line_of_trace(trace: str) -> SourceLine | None:
    """The innermost frame of a Python stack trace that is not in an installed library; else the innermost but torch's.

    A line of torch itself is nothing anybody would change, and a report that points at it leads astray.
    """
    frames = _frames(trace)
    own = [frame for frame in frames if not _LIBRARY.search(frame.file)]
    best = own or [frame for frame in frames if not _TORCH.search(frame.file)]
    return best[-1] if best else None


def own_frames(node: onnx.NodeProto) -> tuple[SourceLine, ...]:
    """The lines of the user's own code that led to a node, the outermost call first."""
    return tuple(frame for frame in _frames(_stack(node)) if not _LIBRARY.search(frame.file))


def _stack(node: onnx.NodeProto) -> str:
    return _prop(node, _TORCH_STACK_TRACE) or _prop(node, STACK_TRACE)


def _frames(trace: str) -> list[SourceLine]:
    frames: list[SourceLine] = []
    for line in trace.splitlines():
        match = _FRAME.match(line)
        if match:
            frames.append(SourceLine(match["file"], int(match["line"]), match["function"] or ""))
        elif frames and not frames[-1].code and line.strip():
            last = frames[-1]
            frames[-1] = SourceLine(last.file, last.line, last.function, line.strip())
    return frames


def scope_of(node: Node) -> tuple[str, ...]:
    """The module path: from torch's `name_scopes`, else from the node's name up to its last `/`."""
    scopes = _prop(node.proto, _NAME_SCOPES)
    if scopes:
        return _relative(scopes)
    return tuple(part for part in node.proto.name.split("/")[:-1] if part)


def _relative(scopes: str) -> tuple[str, ...]:
    """`['', 'model', 'model.layers.0', 'linear']` as ("model", "layers.0"): the last entry names the operation.

    Where torch knows no module it writes the name of a hook of its own, which stands for none.
    """
    names = scopes.strip("[]").split(", ")
    path: list[str] = []
    outer = ""
    for quoted in names[:-1]:
        name = quoted.strip("'\"")
        if not name or name == outer or name.endswith(_NO_MODULE):
            continue
        path.append(name.removeprefix(f"{outer}.") if outer else name)
        outer = name
    return tuple(path)


def _prop(node: onnx.NodeProto, key: str) -> str:
    value = next((entry.value for entry in node.metadata_props if entry.key == key), "")
    return value if isinstance(value, str) else ""  # protobuf gives bytes for what is not UTF-8
