"""Naming a node so that the name still means the same node after an edit or another export.

A path (`12.then_branch.3`) changes as soon as a node is put in front. A reference is the node's first output tensor,
which is written by one node only, and what the node is: `y = Reshape(head/Reshape)`. Where a node has no output, or the
tensor has several writers, `#path` stands for the tensor. A nameless node is described by what it reads:
`y = Add[a, b]`.

The tensor alone and the path alone are references too; they say less of what is meant.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from friction_tui.model.graph import GraphIndex, Node

_PATH = "#"
_WHOLE = re.compile(r"(?P<tensor>.+?) = (?P<what>[A-Za-z_]\w*(\(.*\)|\[.*\]))", re.DOTALL)


def reference(index: GraphIndex, path: str) -> str:
    """The reference of the node at `path`."""
    node = index.by_path.get(path)
    if node is None:
        return f"{_PATH}{path}"
    output = next((name for name in node.outputs if name), "")
    alone = bool(output) and len(index.writers.get(output, ())) == 1
    return f"{output if alone else _PATH + path} = {_described(node)}"


def described(name: str) -> str:
    """What a reference says in words: `Reshape(head/Reshape)`, else `the node that writes y`."""
    whole = _WHOLE.fullmatch(name)
    return whole["what"] if whole else f"the node that writes {name.removeprefix(_PATH)}"


def operator(name: str) -> str:
    """The operator that a reference is about, "" where it does not say."""
    whole = _WHOLE.fullmatch(name)
    return re.split(r"[(\[]", whole["what"], maxsplit=1)[0] if whole else ""


def referenced(index: GraphIndex, nodes: Iterable[str]) -> list[Node | None]:
    """The node that each reference or path names, None for one that is not in the model any more."""
    writers = index.writers
    found: list[Node | None] = []
    for name in nodes:
        whole = _WHOLE.fullmatch(name)
        tensor = whole["tensor"] if whole else name
        written = writers.get(tensor, ())
        node = written[0] if len(written) == 1 else index.by_path.get(tensor.removeprefix(_PATH))
        if node is not None and whole and _described(node) != whole["what"]:
            node = None  # another node stands there now
        found.append(node)
    return found


def _described(node: Node) -> str:
    proto = node.proto
    return f"{proto.op_type}({proto.name})" if proto.name else f"{proto.op_type}[{', '.join(proto.input)}]"
