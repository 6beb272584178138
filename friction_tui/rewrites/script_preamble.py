"""What a script that repeats edits needs: it is copied into the script, which must run without this package.

Imports onnx, numpy and the standard library only.
"""

from __future__ import annotations

# --- copied from here ---
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper


def node(
    op: str,
    inputs: Sequence[str],
    outputs: Sequence[str],
    name: str = "",
    attributes: Mapping[str, Any] | None = None,
    domain: str = "",
    metadata: Mapping[str, str] | None = None,
) -> onnx.NodeProto:
    """A node to add."""
    made = helper.make_node(op, inputs, outputs, name=name or None, domain=domain or None)
    set_attributes(made, attributes or {})
    set_metadata(made, metadata or {})
    return made


def set_attributes(one: onnx.NodeProto, attributes: Mapping[str, Any]) -> None:
    """Give a node attributes, in place of those of the same name; None takes one away."""
    for name, value in attributes.items():
        drop(one.attribute, *(name for attribute in one.attribute if attribute.name == name))
        if value is not None:
            ready = isinstance(value, onnx.AttributeProto)
            one.attribute.append(value if ready else helper.make_attribute(name, value))


def set_metadata(one: onnx.NodeProto, metadata: Mapping[str, str]) -> None:
    """Give a node its metadata."""
    if metadata:
        del one.metadata_props[:]
        for key, value in metadata.items():
            one.metadata_props.add(key=key, value=value)


def tensor(name: str, dtype: str, dims: Sequence[int], values: Sequence[Any]) -> onnx.TensorProto:
    """A small stored tensor, its values written out."""
    return numpy_helper.from_array(np.array(values, dtype=dtype).reshape(dims), name)


def cast(stored: onnx.TensorProto, data_type: int) -> onnx.TensorProto:
    """A stored tensor in another element type."""
    dtype = helper.tensor_dtype_to_np_dtype(data_type)
    return numpy_helper.from_array(numpy_helper.to_array(stored).astype(dtype), stored.name)


def label(item: Any) -> str:
    """What an entry of a list of the model goes by."""
    if isinstance(item, onnx.OperatorSetIdProto):
        return str(item.domain)
    if isinstance(item, onnx.SparseTensorProto):
        return str(item.values.name)
    if isinstance(item, onnx.StringStringEntryProto):
        return str(item.key)
    if isinstance(item, onnx.FunctionProto):
        return f"{item.domain}:{item.name}:{item.overload}"
    return str(item.name)


def drop(items: Any, *names: str) -> None:
    """Take entries out of a list of the model."""
    gone = set(names)
    for position in reversed(range(len(items))):
        if label(items[position]) in gone:
            del items[position]


def put(items: Any, *entries: Any) -> None:
    """Put entries in the place of those that go by the same name, else at the end."""
    place = {label(item): position for position, item in enumerate(items)}
    for entry in entries:
        if label(entry) in place:
            items[place[label(entry)]].CopyFrom(entry)
        else:
            items.append(entry)


def arrange(items: Any, *entries: Any) -> None:
    """Make a list of the model these entries: names or positions of those it has, or new ones."""
    known: dict[Any, Any] = dict(enumerate(items))
    known.update({label(item): item for item in items})
    arranged = [known[entry] if isinstance(entry, (int, str)) else entry for entry in entries]
    del items[:]
    items.extend(arranged)


class Edits:
    """Edits of a graph's nodes. A node goes by its first output, or by its position before any edit."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._graph = graph
        self._nodes = list(graph.node)
        self._own = {id(one) for one in self._nodes}
        self._writers = {one.output[0]: one for one in reversed(self._nodes) if one.output and one.output[0]}
        self._gone: set[int] = set()
        self._after: dict[int, list[onnx.NodeProto]] = {}

    def node(self, key: str | int) -> onnx.NodeProto:
        """A node of the original."""
        found: onnx.NodeProto | None = self._nodes[key] if isinstance(key, int) else self._writers.get(key)
        if found is None:
            sys.exit(f"no node writes {key!r}: these edits are for another version of the model")
        return found

    def remove(self, *keys: str | int) -> None:
        """Take nodes out."""
        self._gone.update(id(self.node(key)) for key in keys)

    def change(
        self,
        key: str | int,
        *,
        inputs: Sequence[str] | None = None,
        outputs: Sequence[str] | None = None,
        name: str | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> None:
        """Change what is given of a node, and leave the rest."""
        change_node(self.node(key), inputs, outputs, name, attributes)

    def insert(self, after: str | int | None, *nodes: onnx.NodeProto) -> None:
        """Put nodes behind one of the original, or at the front (None). One of the original moves there."""
        self._gone.update(id(one) for one in nodes if id(one) in self._own)
        self._after.setdefault(id(self.node(after)) if after is not None else 0, []).extend(nodes)

    def finish(self) -> None:
        """Write the nodes back."""
        order: list[onnx.NodeProto] = list(self._after.get(0, ()))
        for one in self._nodes:
            order += [] if id(one) in self._gone else [one]
            order += self._after.get(id(one), ())
        del self._graph.node[:]
        self._graph.node.extend(order)


def change_node(
    one: onnx.NodeProto,
    inputs: Sequence[str] | None,
    outputs: Sequence[str] | None,
    name: str | None,
    attributes: Mapping[str, Any] | None,
) -> None:
    """Change what is not None."""
    for field, names in (("input", inputs), ("output", outputs)):
        if names is not None:
            one.ClearField(field)
            getattr(one, field).extend(names)
    if name is not None:
        one.name = name
    set_attributes(one, attributes or {})


def stored_tensors(graph: onnx.GraphProto) -> Iterable[onnx.TensorProto]:
    """Every stored tensor of a graph, bodies included."""
    yield from graph.initializer
    for one in graph.node:
        for attribute in one.attribute:
            yield from (attribute.t, *attribute.tensors)
            for body in (attribute.g, *attribute.graphs):
                yield from stored_tensors(body)


def save(model: onnx.ModelProto, source: Path, target: Path) -> None:
    """Write the model; files that hold weights of the original come along."""
    external = [one for one in stored_tensors(model.graph) if one.data_location == onnx.TensorProto.EXTERNAL]
    for location in {entry.value for one in external for entry in one.external_data if entry.key == "location"}:
        original, copy = source.parent / location, target.parent / location
        if original.is_file() and original.resolve() != copy.resolve():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(original, copy)
    beside = model.ByteSize() > 2**31 - 2**20
    onnx.save(model, str(target), save_as_external_data=beside, location=f"{target.name}.data" if beside else None)
