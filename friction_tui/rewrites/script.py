"""A Python script that repeats edits on the original model, with onnx and numpy only.

It is derived from what differs between the original and the edited model, not from the code that made the edits. Every
expression it is made of is evaluated here first and compared with what it stands for; what has no plain form is
written as the bytes of its protobuf message.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from google.protobuf.message import Message
from onnx import AttributeProto, helper, numpy_helper

from friction_tui.model.graph_diff import matched, same_attribute, same_tensor, unmoved
from friction_tui.rewrites import script_preamble as preamble

_MARK = "# --- copied from here ---\n"
_LITERAL = 64
"""Elements up to which a tensor's values are written into the script; larger ones lie in the .npz beside it."""
_BYTES = 2000
"""Bytes of a message up to which it is written into the script."""
_PLAIN = frozenset(
    ["bool", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float16", "float32", "float64"]
)


@dataclass(frozen=True, slots=True)
class Script:
    """A script and the arrays it reads from the .npz of the same name beside it, where there are any."""

    text: str
    arrays: dict[str, np.ndarray]

    def write(self, path: Path) -> None:
        """Write both. Raises OSError."""
        path.write_text(self.text, encoding="utf-8")
        if self.arrays:
            np.savez_compressed(path.with_suffix(".npz"), **self.arrays)  # type: ignore[arg-type]


def script_of(before: onnx.ModelProto, after: onnx.ModelProto, name: str, steps: Sequence[str]) -> Script:
    """The script that makes `after` of `before`. `name` is the original's file name, `steps` say what was done."""
    writing = _Writing()
    writing.model(before, after)
    listed = "\n".join(f"{number}. {' '.join(step.split())}" for number, step in enumerate(steps, 1))
    about = f"Repeat on {name} what was done to it:\n\n{listed}\n\nNeeds onnx and numpy."
    about += "\n\n    python THIS_FILE ORIGINAL.onnx FIXED.onnx\n"
    tools = files("friction_tui.rewrites").joinpath("script_preamble.py").read_text(encoding="utf-8").split(_MARK)[1]
    data = 'DATA = np.load(Path(__file__).with_suffix(".npz"))\n\n\n' if writing.arrays else ""
    body = "\n".join(f"    {line}" if line else "" for line in writing.lines)
    text = (
        f'"""{_docstring(about)}"""\n\nfrom __future__ import annotations\n\n{tools}\n\n{data}'
        f"def edit(model: onnx.ModelProto) -> None:\n"
        f'    """All edits, in place."""\n    graph = model.graph\n{body}\n\n\n'
        'if __name__ == "__main__":\n'
        "    if len(sys.argv) != 3:\n"
        '        sys.exit(f"usage: python {sys.argv[0]} ORIGINAL.onnx FIXED.onnx")\n'
        "    original, fixed = Path(sys.argv[1]), Path(sys.argv[2])\n"
        "    model = onnx.load(str(original), load_external_data=False)\n"
        "    edit(model)\n"
        "    save(model, original, fixed)\n"
    )
    return Script(text, writing.arrays)


def _docstring(text: str) -> str:
    shown = "".join(char if char.isprintable() or char == "\n" else repr(char)[1:-1] for char in text)
    return shown.replace("\\", "\\\\").replace('"""', "'''")


@dataclass(slots=True)
class _Writing:
    """The lines of a script in the making."""

    lines: list[str] = field(default_factory=list)
    arrays: dict[str, np.ndarray] = field(default_factory=dict)

    def model(self, before: onnx.ModelProto, after: onnx.ModelProto) -> None:
        """Lines for everything that differs."""
        lists: tuple[tuple[str, Callable[[Any], str], bool], ...] = (
            ("initializer", self._tensor, False),
            ("sparse_initializer", self._message, False),
            ("input", self._value, True),
            ("output", self._value, True),
            ("value_info", self._value, False),
        )
        self._nodes(before.graph.node, after.graph.node)
        for name, write, ordered in lists:
            self._list(f"graph.{name}", getattr(before.graph, name), getattr(after.graph, name), write, ordered)
        self._fields("graph", before.graph, after.graph, {"node", *(name for name, _, _ in lists)})
        self._list("model.opset_import", before.opset_import, after.opset_import, self._opset, ordered=False)
        self._list("model.functions", before.functions, after.functions, self._message, ordered=False)
        self._fields("model", before, after, {"graph", "opset_import", "functions"})

    def _nodes(self, before: Sequence[onnx.NodeProto], after: Sequence[onnx.NodeProto]) -> None:
        pairs, changes = [], []
        for a, b in matched(before, after):
            change = self._change(before[a], after[b])
            if change is not None:  # else it is taken out and put in anew
                pairs.append((a, b))
                changes += [(a, change)] if change else []
        stay, kept = unmoved(pairs), {a for a, _ in pairs}
        keys = _keys(before)
        original = {b: a for a, b in pairs}
        gone = [keys[a] for a in range(len(before)) if a not in kept]
        runs = _runs(len(after), original, stay)
        if not (gone or runs or changes):
            return
        self.lines.append("edits = Edits(graph)")
        self._call("edits.remove", [repr(key) for key in gone])
        for anchor, run in runs:
            place = repr(keys[anchor]) if anchor is not None else "None"
            nodes = [f"edits.node({keys[original[b]]!r})" if b in original else self._node(after[b]) for b in run]
            self._call("edits.insert", [place, *nodes])
        for a, change in changes:
            self._call("edits.change", [repr(keys[a]), *change])
        self.lines.append("edits.finish()")

    def _change(self, before: onnx.NodeProto, after: onnx.NodeProto) -> list[str] | None:
        """The arguments that make one node of the other, [] where they are the same, None where there are none."""
        names = {}
        if list(before.input) != list(after.input):
            names["inputs"] = list(after.input)
        if list(before.output) != list(after.output):
            names["outputs"] = list(after.output)
        name = after.name if before.name != after.name else None
        old, new = ({one.name: one for one in node.attribute} for node in (before, after))
        differing = [key for key in new if key not in old or not same_attribute(old[key], new[key])]
        attributes = {key: new[key] for key in differing} | {key: None for key in old if key not in new}
        made = onnx.NodeProto()
        made.CopyFrom(before)
        preamble.change_node(made, names.get("inputs"), names.get("outputs"), name, attributes)
        if not _same_node(made, after):
            return None
        arguments = [f"{key}={value!r}" for key, value in names.items()]
        arguments += [f"name={name!r}"] if name is not None else []
        if attributes:
            texts = (f"{key!r}: {self._attribute(one) if one is not None else None}" for key, one in attributes.items())
            arguments.append(f"attributes={{{', '.join(texts)}}}")
        return arguments

    def _node(self, one: onnx.NodeProto) -> str:
        metadata = {entry.key: entry.value for entry in one.metadata_props}
        attributes = {attribute.name: attribute for attribute in one.attribute}
        made = preamble.node(one.op_type, one.input, one.output, one.name, attributes, one.domain, metadata)
        if not _same_node(made, one):
            return self._message(one)
        parts = [repr(one.op_type), repr(list(one.input)), repr(list(one.output))]
        parts += [repr(one.name)] if one.name else []
        if attributes:
            texts = ", ".join(f"{name!r}: {self._attribute(value)}" for name, value in attributes.items())
            parts.append(f"attributes={{{texts}}}")
        parts += [f"domain={one.domain!r}"] if one.domain else []
        parts += [f"metadata={metadata!r}"] if metadata else []
        return f"node({', '.join(parts)})"

    def _attribute(self, one: AttributeProto) -> str:
        value: Any = None
        text = ""
        if one.type == AttributeProto.TENSOR:
            value, text = one.t, self._tensor(one.t)
        elif one.type in (AttributeProto.STRING, AttributeProto.STRINGS):
            many = one.type == AttributeProto.STRINGS
            try:
                texts = [text.decode() for text in (one.strings if many else [one.s])]
            except UnicodeDecodeError:
                return self._message(one)
            value = texts if many else texts[0]
        elif one.type in (AttributeProto.INT, AttributeProto.INTS):
            value = list(one.ints) if one.type == AttributeProto.INTS else one.i
        elif one.type in (AttributeProto.FLOAT, AttributeProto.FLOATS):
            value = list(one.floats) if one.type == AttributeProto.FLOATS else one.f
        if value is None or value == [] or one.ref_attr_name or not _finite(value):
            return self._message(one)
        return (
            (text or repr(value)) if same_attribute(helper.make_attribute(one.name, value), one) else self._message(one)
        )

    def _tensor(self, one: onnx.TensorProto) -> str:
        if one.data_location == onnx.TensorProto.EXTERNAL:
            return self._message(one)
        try:
            value = numpy_helper.to_array(one)
        except (ValueError, TypeError, KeyError, AttributeError, RuntimeError):
            return self._message(one)
        dtype = value.dtype.name
        if dtype not in _PLAIN or not same_tensor(numpy_helper.from_array(value, one.name), one):
            return self._message(one)
        if value.size <= _LITERAL and np.all(np.isfinite(value)):
            flat = value.ravel().tolist()
            if np.array(flat, dtype=value.dtype).tobytes() == value.tobytes():
                return f"tensor({one.name!r}, {dtype!r}, {list(value.shape)}, {flat})"
        return f"numpy_helper.from_array(DATA[{self._keep(value)!r}], {one.name!r})"

    def _value(self, one: onnx.ValueInfoProto) -> str:
        if one.type.HasField("tensor_type") and one.type.tensor_type.HasField("shape"):
            kind = one.type.tensor_type
            dims = [
                dim.dim_value if dim.HasField("dim_value") else (dim.dim_param if dim.HasField("dim_param") else None)
                for dim in kind.shape.dim
            ]
            made = helper.make_tensor_value_info(one.name, kind.elem_type, dims)
            if made == one and kind.elem_type:
                data_type = onnx.TensorProto.DataType.Name(kind.elem_type)
                return f"helper.make_tensor_value_info({one.name!r}, onnx.TensorProto.{data_type}, {dims!r})"
        return self._message(one)

    def _opset(self, one: onnx.OperatorSetIdProto) -> str:
        return f"helper.make_opsetid({one.domain!r}, {one.version})"

    def _message(self, one: Message) -> str:
        """A protobuf message as its bytes."""
        content = one.SerializeToString(deterministic=True)
        kind = type(one).__name__
        if len(content) <= _BYTES:
            return f"onnx.{kind}.FromString({content!r})"
        return f"onnx.{kind}.FromString(DATA[{self._keep(np.frombuffer(content, np.uint8))!r}].tobytes())"

    def _keep(self, value: np.ndarray) -> str:
        key = f"t{len(self.arrays)}"
        self.arrays[key] = value
        return key

    def _list(
        self, what: str, before: Sequence[Any], after: Sequence[Any], write: Callable[[Any], str], ordered: bool
    ) -> None:
        """Lines that make one list of the model another."""
        old, new = ([preamble.label(one) for one in items] for items in (before, after))
        known = dict(zip(old, before, strict=True))
        if len(known) < len(old) or len(set(new)) < len(new):
            if not (len(old) == len(new) and all(map(_same, before, after))):
                left = list(range(len(before)))
                parts = []
                for one in after:
                    at = next((position for position in left if _same(before[position], one)), None)
                    left = [position for position in left if position != at]
                    parts.append(repr(at) if at is not None else write(one))
                self._call("arrange", [what, *parts])
            return
        now = set(new)
        gone = [name for name in old if name not in now]
        changed = [
            one for name, one in zip(new, after, strict=True) if name not in known or not _same(known[name], one)
        ]
        if gone and len(gone) == len(old):
            self.lines.append(f"del {what}[:]")
        elif gone:
            self._call("drop", [what, *map(repr, gone)])
        if changed:
            self._call("put", [what, *(self._cast(what, known, one) or write(one) for one in changed)])
        arranged = [name for name in old if name in now] + [name for name in new if name not in known]
        if ordered and arranged != new:
            self._call("arrange", [what, *map(repr, new)])

    def _cast(self, what: str, known: dict[str, Any], one: Any) -> str:
        """A stored tensor that only has another element type, "" for anything else."""
        old = known.get(preamble.label(one))
        if not isinstance(one, onnx.TensorProto) or old is None or old.data_type == one.data_type:
            return ""
        if onnx.TensorProto.EXTERNAL in (old.data_location, one.data_location):
            return ""
        try:
            same = same_tensor(preamble.cast(old, one.data_type), one)
        except (ValueError, TypeError, KeyError):
            return ""
        if not same:
            return ""
        found = f"next(one for one in {what} if one.name == {one.name!r})"
        return f"cast({found}, onnx.TensorProto.{onnx.TensorProto.DataType.Name(one.data_type)})"

    def _fields(self, what: str, before: Message, after: Message, handled: set[str]) -> None:
        """Lines for every other field: one that is plain is set, others are written as bytes."""
        old, new = ({field.name: value for field, value in message.ListFields()} for message in (before, after))
        for name in dict.fromkeys((*old, *new)):
            if name in handled or (name in old and name in new and old[name] == new[name]):
                continue
            self.lines.append(f"{what}.ClearField({name!r})")
            if name not in new:
                continue
            if isinstance(new[name], (int, str)):
                self.lines.append(f"{what}.{name} = {new[name]!r}")
            else:
                alone = type(after)()
                getattr(alone, name).extend(new[name])
                self.lines.append(f"{what}.MergeFrom({self._message(alone)})")

    def _call(self, function: str, arguments: Sequence[str]) -> None:
        """A call, on one line where it fits; nothing without arguments."""
        if not arguments:
            return
        line = f"{function}({', '.join(arguments)})"
        if len(line) <= 112:
            self.lines.append(line)
        else:
            self.lines += [f"{function}(", *(f"    {argument}," for argument in arguments), ")"]


def _runs(count: int, original: dict[int, int], stay: set[int]) -> list[tuple[int | None, list[int]]]:
    """Runs of nodes after the edit that are new or moved, each with the node before the edit it stands behind."""
    runs: list[tuple[int | None, list[int]]] = []
    anchor: int | None = None
    fresh = True
    for b in range(count):
        if original.get(b) in stay:
            anchor, fresh = original[b], True
        elif fresh:
            runs.append((anchor, [b]))
            fresh = False
        else:
            runs[-1][1].append(b)
    return runs


def _keys(nodes: Sequence[onnx.NodeProto]) -> list[str | int]:
    """What each node goes by: its first output where no other node writes it first, else its position."""
    written: dict[str, int] = {}
    for node in nodes:
        first = next(iter(node.output), "")
        written[first] = written.get(first, 0) + 1
    keys: list[str | int] = []
    for position, node in enumerate(nodes):
        first = next(iter(node.output), "")
        keys.append(first if first and written[first] == 1 else position)
    return keys


def _same_node(one: onnx.NodeProto, other: onnx.NodeProto) -> bool:
    """Whether two nodes say the same; the order of attributes means nothing."""
    bare = []
    for node in (one, other):
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        copy.ClearField("attribute")
        for name in ("name", "domain"):
            if not getattr(copy, name):
                copy.ClearField(name)
        bare.append(copy)
    old, new = ({attribute.name: attribute for attribute in node.attribute} for node in (one, other))
    alike = old.keys() == new.keys() and len(one.attribute) == len(other.attribute)
    return bare[0] == bare[1] and alike and all(same_attribute(old[name], new[name]) for name in old)


def _same(one: Any, other: Any) -> bool:
    """Whether two entries of a list of the model are the same; `one` may be None."""
    return same_tensor(one, other) if isinstance(one, onnx.TensorProto) else bool(one == other)


def _finite(value: Any) -> bool:
    """Whether no float of an attribute's value is NaN or infinite, which have no literal."""
    many = value if isinstance(value, list) else [value]
    return all(math.isfinite(one) for one in many if isinstance(one, float))
