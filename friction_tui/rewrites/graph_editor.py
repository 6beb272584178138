"""Editing a graph node by node: what is known of a tensor, and making the nodes that stand for another.

A node rewrite is a function `(node, graph)` that adds nodes with the node's own outputs through a `GraphEditor`; it
raises CannotRewrite, before it adds anything that stays, where it does not apply. `replaced` runs it at given nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from friction_tui.model import onnx_native
from friction_tui.model.file.external import element_bits
from friction_tui.model.light_copy import light_copy
from friction_tui.model.onnx_native import NativeRefused, NotAnswered
from friction_tui.model.opened import OpenedModel, from_proto
from friction_tui.model.shapes.point_shapes import input_sizes, shapes_at
from friction_tui.model.shapes.profile import free_dims
from friction_tui.model.shapes.tensors import UNKNOWN, PointShapes
from friction_tui.rewrites.base import CannotRewrite, Exactness, NodeRewrite, RewriteFault, Rewriter
from friction_tui.rewrites.graph_parts import forget_shapes, graph_at, graphs_of, inline_functions
from friction_tui.rewrites.stand_ins import stand_in
from friction_tui.vocabulary.recipe import Profile, Range

Array = npt.NDArray[Any]
Dims = list[int | str | None]
_SMALL = 1 << 16
"""Bytes of an initializer up to which its values are kept for shape inference."""


_SIZES = (4, 32)
"""Free sizes are followed at multiples of these: small for tables of positions, then divisible by most strides."""
Ends = tuple[dict[tuple[int | None, int | None], str], PointShapes, PointShapes]
"""Free sizes by the two numbers that stand for each, and all shapes with the first and with the second."""
_OPSET_OF_FOREIGN = 17
"""The opset of ONNX's operators that are put into a model which has none of its own and imports no opset for them."""


class GraphEditor:
    """A model that is edited: facts about its tensors, and new nodes in place of old ones.

    `proto` is changed. Facts are those of the model at the last `refresh`: `refresh` again after an edit whose results
    the next edit asks about. New nodes are collected until `replaced` puts them where the old node stood.
    """

    def __init__(self, proto: onnx.ModelProto, folder: Path) -> None:
        self.proto, self.folder = proto, folder
        if not any(entry.domain in ("", "ai.onnx") for entry in proto.opset_import) and _is_foreign(proto):
            proto.opset_import.append(helper.make_opsetid("", _OPSET_OF_FOREIGN))
        self.opset = next((entry.version for entry in proto.opset_import if entry.domain in ("", "ai.onnx")), 1)
        self._names = _every_name(proto)
        self._new: list[onnx.NodeProto] = []
        self._scope = ""
        self._count = 0
        self.refresh()

    def refresh(self) -> None:
        """Infer types and shapes again, and index constants and writers, bodies included."""
        self._ends: list[Ends] | None = None
        self._initializers: dict[str, TensorProto] = {}
        self._writers: dict[str, onnx.NodeProto] = {}
        self._readers: dict[str, int] = {}
        self._reading: dict[str, list[onnx.NodeProto]] = {}
        self._types: dict[str, onnx.TypeProto.Tensor] = {}
        for graph in graphs_of(_inferred(self.proto).graph):
            for value in (*graph.value_info, *graph.output, *graph.input):
                if value.type.HasField("tensor_type"):
                    self._types[value.name] = value.type.tensor_type
        for value in self.proto.graph.input:
            if value.type.HasField("tensor_type"):
                self._types[value.name] = value.type.tensor_type
        for graph in graphs_of(self.proto.graph):
            self._initializers.update((tensor.name, tensor) for tensor in graph.initializer)
            for node in graph.node:
                self._writers.update((name, node) for name in node.output if name)
                for name in node.input:
                    self._readers[name] = self._readers.get(name, 0) + 1
                    self._reading.setdefault(name, []).append(node)
            for value in graph.output:
                self._readers[value.name] = self._readers.get(value.name, 0) + 1

    # ------------------------------------------------------------------------------------------------- facts

    def attribute(self, node: onnx.NodeProto, name: str, default: Any = None) -> Any:
        """The value of an attribute, text decoded; `default` where it is absent."""
        for attribute in node.attribute:
            if attribute.name == name:
                value = helper.get_attribute_value(attribute)
                return value.decode() if isinstance(value, bytes) else value
        return default

    def input(self, node: onnx.NodeProto, position: int) -> str:
        """The name of an input, "" where it is left out."""
        return node.input[position] if position < len(node.input) else ""

    def output(self, node: onnx.NodeProto, position: int) -> str:
        """The name of an output, "" where it is left out."""
        return node.output[position] if position < len(node.output) else ""

    def writer(self, name: str) -> onnx.NodeProto | None:
        """The node that computes a tensor, None for an input or initializer."""
        return self._writers.get(name)

    def readers(self, name: str) -> int:
        """How many inputs of nodes and outputs of graphs read a tensor."""
        return self._readers.get(name, 0)

    def reading(self, name: str) -> list[onnx.NodeProto]:
        """The nodes that read a tensor, bodies included."""
        return self._reading.get(name, [])

    def constant(self, name: str) -> Array | None:
        """The value of an initializer, a Constant or an Identity of one; None where it is computed or "".

        Values in external files are read. Raises CannotRewrite where they are missing.
        """
        tensor = self._initializers.get(name)
        if tensor is not None:
            try:
                return numpy_helper.to_array(tensor, str(self.folder))
            except (OSError, ValueError, onnx.checker.ValidationError) as error:
                raise CannotRewrite(f"the values of {name} cannot be read: {error}") from None
        writer = self._writers.get(name)
        if writer is None:
            return None
        if writer.op_type == "Identity":
            return self.constant(writer.input[0])
        if writer.op_type != "Constant" or not writer.attribute:
            return None
        attribute = writer.attribute[0]
        if attribute.name == "value":
            return numpy_helper.to_array(attribute.t)
        types: dict[str, type] = {
            "value_int": np.int64,
            "value_ints": np.int64,
            "value_float": np.float32,
            "value_floats": np.float32,
        }
        if attribute.name in types:
            return np.array(helper.get_attribute_value(attribute), types[attribute.name])
        return None

    def require_constant(self, name: str, what: str) -> Array:
        """Like `constant`; raises CannotRewrite saying that `what` must be constant."""
        value = self.constant(name)
        if value is None:
            raise CannotRewrite(f"{what} is computed at run time, not constant")
        return value

    def ints(self, node: onnx.NodeProto, name: str, position: int, default: Sequence[int] | None) -> list[int] | None:
        """Integers that are an attribute in older opsets and a constant input in newer ones (axes, pads, split).

        `default` where neither is given. Raises CannotRewrite where the input is computed.
        """
        if any(attribute.name == name for attribute in node.attribute):
            return [int(value) for value in np.atleast_1d(self.attribute(node, name))]
        given = self.input(node, position)
        if not given:
            return list(default) if default is not None else None
        return [int(value) for value in self.require_constant(given, f"{name} of {node.op_type}").reshape(-1)]

    def dims(self, name: str) -> Dims | None:
        """Sizes of a tensor: a number, a symbol, or None for each axis; None where the rank is not known."""
        if name in self._initializers:
            return list(self._initializers[name].dims)
        known = self._types.get(name)
        if known is None or not known.HasField("shape"):
            value = self.constant(name) if name in self._writers else None
            return list(value.shape) if value is not None else self._followed(name)
        return [dim.dim_value if dim.HasField("dim_value") else (dim.dim_param or None) for dim in known.shape.dim]

    def ends(self) -> list[Ends]:
        """All shapes at two sizes of every free dimension, small ones and larger ones; of the main graph."""
        if self._ends is None:
            model = from_proto(light_copy(self.proto, _without_values), self.folder / "model.onnx")
            self._ends = [_ends(model, size) for size in _SIZES]
        return self._ends

    def _followed(self, name: str) -> Dims | None:
        """Sizes as our own shapes have them, which follow more computed targets than ONNX does.

        A size that is the same whatever the free sizes of the inputs are is a number.
        """
        for free, low, high in self.ends():
            small, large = low.types.get(name, UNKNOWN).dims, high.types.get(name, UNKNOWN).dims
            if small is not None and large is not None and len(small) == len(large):
                return [a if a == b else free.get((a, b)) for a, b in zip(small, large, strict=True)]
        return None

    def static_dims(self, name: str) -> list[int]:
        """Sizes that are all numbers. Raises CannotRewrite where one is not."""
        sizes = self.dims(name)
        if sizes is None or not all(isinstance(size, int) for size in sizes):
            raise CannotRewrite(f"the shape of {name} is not fixed")
        return [size for size in sizes if isinstance(size, int)]

    def static_dim(self, name: str, axis: int) -> int:
        """One size that is a number. Raises CannotRewrite where it is not."""
        sizes = self.dims(name)
        size = sizes[axis] if sizes is not None and -len(sizes) <= axis < len(sizes) else None
        if not isinstance(size, int):
            raise CannotRewrite(f"the size of {name} at axis {axis} is not fixed")
        return size

    def rank(self, name: str) -> int:
        """The number of axes. Raises CannotRewrite where it is not known."""
        sizes = self.dims(name)
        if sizes is None:
            raise CannotRewrite(f"the rank of {name} is not known")
        return len(sizes)

    def dtype(self, name: str) -> int:
        """The element type as a TensorProto number. Raises CannotRewrite where it is not known."""
        if name in self._initializers:
            return self._initializers[name].data_type
        known = self._types.get(name)
        if known is None or not known.elem_type:
            value = self.constant(name) if name in self._writers else None
            if value is None:
                raise CannotRewrite(f"the element type of {name} is not known")
            return helper.np_dtype_to_tensor_dtype(value.dtype)
        return known.elem_type

    def numpy_dtype(self, name: str) -> np.dtype[Any]:
        """The element type as NumPy has it."""
        return np.dtype(helper.tensor_dtype_to_np_dtype(self.dtype(name)))

    # ------------------------------------------------------------------------------------------------ making

    def fresh(self, wish: str) -> str:
        """A name that nothing has yet, like `wish`."""
        name = wish
        while name in self._names:
            self._count += 1
            name = f"{wish}_{self._count}"
        self._names.add(name)
        return name

    def const(self, value: npt.ArrayLike, dtype: Any = None, name: str = "constant") -> str:
        """A new initializer; integers are int64 unless `dtype` says otherwise."""
        array = np.asarray(value, dtype)
        if dtype is None and array.dtype.kind == "i":
            array = array.astype(np.int64)
        tensor = numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), self.fresh(name))
        return self.add_initializer(tensor)

    def add_initializer(self, tensor: TensorProto) -> str:
        """Add an initializer as it is, its name fresh; gives the name."""
        self.proto.graph.initializer.append(tensor)
        self._initializers[tensor.name] = tensor
        return tensor.name

    def op(
        self, op: str, inputs: Sequence[str], outputs: str | Sequence[str] = "", *, domain: str = "", **attributes: Any
    ) -> str:
        """A new node with one output, named by `outputs` or freshly; gives its first output's name.

        Attributes that are None are left out. Nodes with several outputs take their names in `outputs`.
        """
        names = [outputs] if isinstance(outputs, str) else list(outputs)
        names = [name or self.fresh(f"{self._scope}/{op}_output") for name in names]
        given = {key: value for key, value in attributes.items() if value is not None}
        node_name = self.fresh(f"{self._scope}/{op}")
        self._new.append(helper.make_node(op, list(inputs), names, name=node_name, domain=domain, **given))
        return names[0]

    def put(self, node: onnx.NodeProto) -> None:
        """A node made elsewhere, as it is; its name and outputs must be new."""
        self._new.append(node)

    def ops(self, op: str, inputs: Sequence[str], count: int, **attributes: Any) -> list[str]:
        """A new node with `count` outputs; gives their names."""
        names = [self.fresh(f"{self._scope}/{op}_output") for _ in range(count)]
        self.op(op, inputs, names, **attributes)
        return names

    def reduce(self, op: str, tensor: str, axes: Sequence[int], keep: bool = True, output: str = "") -> str:
        """ReduceSum, ReduceMax … over `axes`, as this opset writes it."""
        if self.opset >= (13 if op == "ReduceSum" else 18):
            return self.op(op, [tensor, self.const(np.array(axes, np.int64))], output, keepdims=int(keep))
        return self.op(op, [tensor], output, axes=list(axes), keepdims=int(keep))

    def unsqueeze(self, tensor: str, axes: Sequence[int], output: str = "") -> str:
        """Unsqueeze as this opset writes it."""
        return self._with_axes("Unsqueeze", tensor, axes, output)

    def squeeze(self, tensor: str, axes: Sequence[int], output: str = "") -> str:
        """Squeeze as this opset writes it."""
        return self._with_axes("Squeeze", tensor, axes, output)

    def _with_axes(self, op: str, tensor: str, axes: Sequence[int], output: str) -> str:
        if self.opset >= 13:
            return self.op(op, [tensor, self.const(np.array(axes, np.int64))], output)
        return self.op(op, [tensor], output, axes=list(axes))

    def slice(self, tensor: str, start: int | str, end: int | str, axis: int, output: str = "", step: int = 1) -> str:
        """Slice of one axis; bounds are numbers or one-element int64 tensors."""
        bounds = [bound if isinstance(bound, str) else self.const([bound]) for bound in (start, end)]
        return self.op("Slice", [tensor, *bounds, self.const([axis]), self.const([step])], output)

    def split(self, tensor: str, sizes: Sequence[int], axis: int, outputs: Sequence[str] = ()) -> list[str]:
        """Split into parts of `sizes`; gives their names."""
        names = [*outputs, *(self.fresh(f"{self._scope}/Split_output") for _ in sizes[len(outputs) :])]
        if self.opset >= 13:
            self.op("Split", [tensor, self.const(np.array(sizes, np.int64))], names, axis=axis)
        else:
            self.op("Split", [tensor], names, axis=axis, split=list(sizes))
        return names

    def cast(self, tensor: str, dtype: int, output: str = "") -> str:
        """Cast to a TensorProto type."""
        return self.op("Cast", [tensor], output, to=dtype)

    def reshape(self, tensor: str, shape: Sequence[int] | str, output: str = "") -> str:
        """Reshape to numbers or to an int64 tensor."""
        target = shape if isinstance(shape, str) else self.const(np.array(shape, np.int64))
        return self.op("Reshape", [tensor, target], output)

    def shape(self, tensor: str) -> str:
        """The sizes of a tensor as int64."""
        return self.op("Shape", [tensor])

    def size(self, tensor: str, axis: int) -> str:
        """One size as a one-element int64 tensor: a constant where it is fixed."""
        sizes = self.dims(tensor)
        if sizes is not None and isinstance(known := sizes[axis], int):
            return self.const([known])
        return self.op("Gather", [self.shape(tensor), self.const([axis])], axis=0)

    def concat(self, tensors: Sequence[str], axis: int = 0, output: str = "") -> str:
        """Concat."""
        return self.op("Concat", tensors, output, axis=axis)

    def arange(self, count: str) -> str:
        """0, 1, … below the value of a one-element int64 tensor."""
        return self.op("Range", [self.const(0), self.squeeze(count, [0]), self.const(1)])

    # ------------------------------------------------------------------------------------------------ placing

    def misfit(self, graph: onnx.GraphProto, index: int, rewrite: NodeRewrite) -> CannotRewrite | None:
        """Why `rewrite` does not apply to node `index` of `graph`, None where it does. Nothing is changed."""
        node, kept = graph.node[index], len(self.proto.graph.initializer)
        self._new, self._scope = [], node.name or node.op_type
        try:
            rewrite(node, self)
        except CannotRewrite as error:
            return error
        except Exception as error:
            return RewriteFault(error)
        finally:
            del self.proto.graph.initializer[kept:]
            self._new = []
        return None

    def place(self, graph: onnx.GraphProto, index: int, make: Callable[[], None]) -> None:
        """Put the nodes that `make` adds in place of node `index` of `graph`. Raises what `make` raises, unchanged."""
        node = graph.node[index]
        self._new, self._scope = [], node.name or node.op_type
        kept = len(self.proto.graph.initializer)
        try:
            make()
        except BaseException:
            del self.proto.graph.initializer[kept:]
            self._new = []
            raise
        after = list(graph.node[index + 1 :])
        origin = node.metadata_props
        for new in self._new:
            if not new.metadata_props:  # what comes from a body has its own
                new.metadata_props.extend(
                    origin
                )  # the exporter's record of the Python line stays with what replaces it
            if not new.doc_string:
                new.doc_string = node.doc_string
        del graph.node[index:]
        graph.node.extend(self._new)
        graph.node.extend(after)
        self._new = []

    def rebuild(self, graph: onnx.GraphProto, rewrite: Callable[[onnx.NodeProto], bool]) -> None:
        """Offer every node of `graph` in order to `rewrite`.

        It gives True where the nodes that it adds stand for the node, False where they stand before it. Raises what
        `rewrite` raises; the graph is then as it was.
        """
        made: list[onnx.NodeProto] = []
        for node in graph.node:
            self._new, self._scope = [], node.name or node.op_type
            replaced = rewrite(node)
            for new in self._new:
                new.metadata_props.extend(node.metadata_props)
                new.doc_string = new.doc_string or node.doc_string
            made.extend(self._new)
            if not replaced:
                made.append(node)
        self._new = []
        del graph.node[:]
        graph.node.extend(made)


def node_rewrite(
    name: str,
    title: str,
    *ops: tuple[str, str],
    exactness: Exactness = Exactness.EXACT,
    changes: str = "",
) -> Callable[[NodeRewrite], Rewriter]:
    """Make a rewrite of a function that replaces one node; `ops` are the (domain, operator) pairs it knows."""

    def make(rewrite: NodeRewrite) -> Rewriter:
        return Rewriter(
            name=name,
            title=title,
            run=lambda model, paths: replaced(model, paths, rewrite),
            exactness=exactness,
            changes=changes,
            ops=ops,
            node=rewrite,
        )

    return make


def replaced(model: OpenedModel, paths: Iterable[str], rewrite: NodeRewrite) -> onnx.ModelProto:
    """A copy of the model with `rewrite` applied at each path, bodies included. Raises CannotRewrite at a misfit.

    Where a node is in a local function, the functions are put in place of their calls first; then every node of its
    operator that the rewrite fits is replaced.
    """
    nodes = []
    for path in dict.fromkeys(paths):
        node = model.index.by_path.get(path)
        if node is None:
            raise CannotRewrite(f"node {path} is not in the model any more")
        nodes.append(node)
    if not nodes:
        raise CannotRewrite("no node was named")
    if any(node.graph.startswith("@") for node in nodes):
        ops = {(node.proto.domain, node.proto.op_type) for node in nodes}
        return _replaced_in_functions(model, ops, rewrite)
    proto = onnx.ModelProto()
    proto.CopyFrom(model.proto)
    editor = GraphEditor(proto, model.path.parent)
    # From the back, so that indices before it stay, and bodies before the node they belong to.
    for node in sorted(nodes, key=lambda one: _order(one.path), reverse=True):
        graph = graph_at(proto, node.graph)
        target = graph.node[node.index]
        editor.place(graph, node.index, lambda target=target: rewrite(target, editor))  # type: ignore[misc]
    forget_shapes(proto)
    return proto


def _replaced_in_functions(model: OpenedModel, ops: set[tuple[str, str]], rewrite: NodeRewrite) -> onnx.ModelProto:
    inlined = from_proto(inline_functions(model, []), model.path)
    editor = GraphEditor(inlined.proto, model.path.parent)
    found = [node for node in inlined.index.nodes if (node.proto.domain, node.proto.op_type) in ops]
    why = [editor.misfit(graph_at(inlined.proto, node.graph), node.index, rewrite) for node in found]
    fitting = [node.path for node, misfit in zip(found, why, strict=True) if not misfit]
    if not fitting:
        raise next(filter(None, why), CannotRewrite("the function is not called"))
    return replaced(inlined, fitting, rewrite)


def _order(path: str) -> tuple[tuple[int, str], ...]:
    return tuple((int(part), "") if part.isdecimal() else (-1, part) for part in path.split("."))


def _is_foreign(proto: onnx.ModelProto) -> bool:
    """Whether all operators of a model are of other domains, as in a tree ensemble alone."""
    return all(node.domain not in ("", "ai.onnx") for graph in graphs_of(proto.graph) for node in graph.node)


def _every_name(proto: onnx.ModelProto) -> set[str]:
    names: set[str] = set()
    for graph in graphs_of(proto.graph):
        names.update(value.name for value in (*graph.input, *graph.output, *graph.value_info))
        names.update(tensor.name for tensor in graph.initializer)
        for node in graph.node:
            names.update((node.name, *node.input, *node.output))
    return names


def _ends(model: OpenedModel, size: int) -> Ends:
    keys = list(free_dims(model))
    ranges = {
        key: Range(size * number, size * number, size * (number + len(keys)))
        for number, key in enumerate(keys, start=1)
    }
    low, high = (shapes_at(model, input_sizes(model, Profile(ranges), point)) for point in ("min", "max"))
    return {(one.min, one.max): key for key, one in ranges.items()}, low, high


def _inferred(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The model with inferred types, without its large weights; the model itself where inference fails."""
    light = light_copy(proto, _without_values)
    stand_in(light)
    try:
        return onnx_native.infer_shapes(light, data_prop=True)
    except (NativeRefused, NotAnswered):
        return proto  # what is declared is then all that is known


def _without_values(tensor: TensorProto) -> TensorProto:
    bits = element_bits(tensor.data_type) or 8
    if tensor.data_location != TensorProto.EXTERNAL and np.prod(tensor.dims, dtype=np.int64) * bits // 8 <= _SMALL:
        return tensor
    return TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
