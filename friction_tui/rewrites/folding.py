"""Nodes whose values depend on no input, worked out once and stored."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.external_data_helper import load_external_data_for_model

from friction_tui.model.graph import Node
from friction_tui.model.opened import OpenedModel
from friction_tui.rewrites.base import CannotRewrite, Rewriter
from friction_tui.rewrites.editing import chosen, copy_of, fresh_name
from friction_tui.rewrites.graph_parts import graphs_of, remove_unused
from friction_tui.rewrites.running import TimeLimit, original

RANDOM = frozenset(
    {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}
)
"""Operators that give something else each time."""
_LARGEST = 1 << 26
"""Bytes of values that are stored: more makes the file grow out of proportion."""
_LIMIT_S = 10.0
"""Seconds that working them out may take."""


def constant_nodes(model: OpenedModel, paths: Iterable[str]) -> list[Node]:
    """Those of the nodes at `paths`, of the main graph, that are computed from stored values only."""
    index, wanted = model.index, set(paths)
    known = set(index.initializers) - {value.name for value in index.inputs}
    found = []
    for number in index.sorted_in(""):
        node = index.main[number]
        if all(name in known for name in index.reads(node)) and not _random(model, node):
            known.update(node.outputs)
            if node.path in wanted:
                found.append(node)
    return found


def fold(model: OpenedModel, paths: Sequence[str]) -> onnx.ModelProto:
    """The outputs of those nodes at `paths` that depend on no input as initializers, computed by ONNX Runtime.

    Raises CannotRewrite where none is constant, nothing runs them, or their values are too large.
    """
    found = chosen(model, paths)
    nodes = constant_nodes(model, [node.path for node in found])
    if not nodes:
        raise CannotRewrite("it depends on an input")
    values = _values(model, nodes, _behind(nodes, model))
    proto = copy_of(model)
    outputs = {value.name for value in proto.graph.output}
    for node in sorted(nodes, key=lambda one: -one.index):
        identities = []
        for name in filter(None, node.outputs):
            if name not in values:
                continue
            # An output of the model is written by a node: not every engine takes an initializer as one.
            stored = fresh_name(proto, f"{name}_value") if name in outputs else name
            proto.graph.initializer.append(numpy_helper.from_array(values[name], stored))
            if stored != name:
                identities.append(onnx.helper.make_node("Identity", [stored], [name], name=f"{node.name}_value"))
        after = list(proto.graph.node[node.index + 1 :])
        del proto.graph.node[node.index :]
        proto.graph.node.extend([*identities, *after])
    remove_unused(proto)
    return proto


def _behind(nodes: Iterable[Node], model: OpenedModel) -> list[Node]:
    """The nodes and all that they are computed from, in order."""
    index = model.index
    found: set[str] = set()
    pending = list(nodes)
    while pending:
        node = pending.pop()
        if node.path not in found:
            found.add(node.path)
            writers = (index.producer.get(name) for name in index.reads(node))
            pending.extend(writer for writer in writers if writer is not None)
    return [node for number in index.sorted_in("") if (node := index.main[number]).path in found]


def _random(model: OpenedModel, node: Node) -> bool:
    """Whether the node, or what is in its bodies or in the function that it calls, gives something else each time."""
    function = model.index.function_of(node.proto)
    called = [one.proto for one in model.index.nodes_in[function]] if function is not None else []
    bodies = (body for attribute in node.proto.attribute for body in (attribute.g, *attribute.graphs))
    inside = (one for body in bodies for graph in graphs_of(body) for one in graph.node)
    return any(one.op_type in RANDOM for one in (node.proto, *called, *inside))


def _values(model: OpenedModel, nodes: Sequence[Node], behind: Sequence[Node]) -> dict[str, np.ndarray]:
    """The outputs of `nodes` that something reads."""
    read = {name for node in model.index.nodes for name in node.inputs} | {v.name for v in model.proto.graph.output}
    wanted = [name for node in nodes for name in node.outputs if name and name in read]
    alone = onnx.ModelProto(ir_version=model.proto.ir_version)
    alone.opset_import.extend(model.proto.opset_import)
    alone.functions.extend(model.proto.functions)
    alone.graph.name = "constants"
    alone.graph.node.extend(node.proto for node in behind)
    names = {name for node in behind for name in model.index.reads(node)}
    alone.graph.initializer.extend(one for one in model.proto.graph.initializer if one.name in names)
    alone.graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted)
    try:
        load_external_data_for_model(alone, str(model.path.parent))
    except (OSError, ValueError) as error:
        raise CannotRewrite(f"the weights cannot be read: {error}") from None
    limit = TimeLimit(_LIMIT_S)
    run, _, why = original(alone, limit)
    with limit.watched():
        given = run({}) if run is not None else None
    if given is None:
        raise CannotRewrite(f"nothing works it out: {why or 'it does not run'}")
    if sum(value.nbytes for value in given) > _LARGEST:
        raise CannotRewrite(f"its value takes more than {_LARGEST >> 20} MiB")
    return dict(zip(wanted, given, strict=True))


FOLD = Rewriter("fold-constant", "work out what depends on no input, and store it", fold, general=True)
REWRITES = (FOLD,)
