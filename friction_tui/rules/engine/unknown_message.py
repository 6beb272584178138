"""What is known about a node whose refusal has a text that no entry of `messages.toml` reads."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator

from friction_tui.model.constants import constant_value
from friction_tui.model.graph import Node
from friction_tui.model.shapes.tensors import PointShapes, dims_text
from friction_tui.rules.context import CheckContext

_NODES = 3
"""Nodes that are described; the locations of the finding name all of them."""
_VALUES = 8
"""Elements up to which a constant operand is written out."""


def reduce_command(context: CheckContext) -> str:
    """The command that finds the smallest failing part of the model under judgement, as it is typed in a shell."""
    return f"friction-tui reduce {shlex.quote(context.recipe.source.path or str(context.model.path))} -o small.onnx"


def unknown_fixes(context: CheckContext) -> tuple[str, ...]:
    """What to do about a message that nobody knows."""
    return (
        f"Find the smallest part that fails, a file to attach to a report: {reduce_command(context)}",
        "Search for the text in the issues of TensorRT, and try another version of it.",
    )


def what_is_known(context: CheckContext, nodes: Iterable[Node]) -> Iterator[str]:
    """A line for each of the first nodes: operator, attributes, what it reads and writes with types and sizes at opt.

    `Resize up: mode=cubic; reads x float32 [1, 3, 8, 8], s float32 [4] = [1, 1, 2, 2]; writes y float32 [1, 3, 16, 16]`
    """
    for node in list(nodes)[:_NODES]:
        known = context.table.opt.inside(node.graph)
        parts = [
            attributes_text(node),
            _tensors("reads", context, node, known, node.proto.input),
            _tensors("writes", context, node, known, node.proto.output),
        ]
        yield f"{node.proto.op_type} {node.name}: " + "; ".join(part for part in parts if part)


def attributes_text(node: Node) -> str:
    """`mode=cubic, axes=[2, 3]`: the attributes that are numbers and texts, "" without any."""
    parts = []
    for attribute in node.proto.attribute:
        if attribute.ints:
            parts.append(f"{attribute.name}={list(attribute.ints)}")
        elif attribute.s:
            parts.append(f"{attribute.name}={attribute.s.decode(errors='replace')}")
        elif attribute.type == attribute.INT:
            parts.append(f"{attribute.name}={attribute.i}")
        elif attribute.type == attribute.FLOAT:
            parts.append(f"{attribute.name}={round(attribute.f, 6)}")
    return ", ".join(parts)


def _tensors(verb: str, context: CheckContext, node: Node, known: PointShapes, names: Iterable[str]) -> str:
    texts = []
    for name in filter(None, names):
        tensor = known.types.get(name)
        dtype, dims = (tensor.dtype or "of unknown type", dims_text(tensor.dims)) if tensor else ("of unknown type", "")
        value = constant_value(context.model, name, _VALUES, node.graph)
        constant = f" = {value.tolist()}" if value is not None else ""
        texts.append(f"{name} {dtype} {dims}{constant}".rstrip())
    return f"{verb} {', '.join(texts)}" if texts else ""
