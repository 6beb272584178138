"""Where each item is shown: its module path, after three corrections that make the drawing read like the source.

* Families of graph inputs and outputs (`past_key_values.0.key` …) and a body's outer values are shown with
  the module that uses them; other inputs and outputs stay at the top, where one looks for them.
* A node that reads stored values only and was given no module (a weight that an exporter passes on by an Identity)
  is shown with the nodes that use it.
* A module shared by many callers (one activation used in every layer) is shown where it is called, as `(act)`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from friction_tui.vocabulary.protocol import Body, GraphData

Path = tuple[str, ...]

INPUT, OUTPUT, OUTER = "Input", "Output", "<outer>"
PSEUDO = frozenset((INPUT, OUTPUT, OUTER))
MAX_DEPTH = 32
"""Module paths deeper than this are cut: indentation has long stopped to be readable."""
_FAMILY = 3
"""So many inputs whose names differ only in their numbers are a family."""


def spans(graph: GraphData) -> list[tuple[int, int]]:
    """Item ranges of the main graph and of each body, in order; together they cover all items once."""
    cuts = sorted({0, graph.main, len(graph.ops), *(b.first for b in graph.bodies), *(b.last for b in graph.bodies)})
    return [(first, last) for first, last in pairwise(cuts) if last > first]


def readers_of(graph: GraphData) -> list[list[int]]:
    """For each item, the items that read its value, in file order."""
    readers: list[list[int]] = [[] for _ in graph.ops]
    for item, inputs in enumerate(graph.inputs):
        for source in inputs:
            readers[source].append(item)
    return readers


def number_free(name: str) -> str:
    """The name with every number replaced, so that `layers.3` and `layers.12` are the same."""
    return _NUMBER.sub("#", name)


_NUMBER = re.compile(r"\d+")


def shared(a: Path, b: Path) -> int:
    """How many leading modules two paths have in common."""
    if a is b:
        return len(a)
    length = 0
    for one, other in zip(a, b, strict=False):
        if one != other:
            break
        length += 1
    return length


def display_scopes(graph: GraphData, readers: Sequence[Sequence[int]]) -> list[Path]:
    """The module path under which each item is shown."""
    table = [tuple(path[:MAX_DEPTH]) for path in graph.scope_table]
    paths = [table[scope] if 0 <= scope < len(table) else () for scope in graph.scopes]
    _adopt(graph, readers, paths)
    for body in graph.bodies:
        _adopt_ports(graph, body, paths)
    _rehome(graph, readers, paths)
    return paths


def _adopt(graph: GraphData, readers: Sequence[Sequence[int]], paths: list[Path]) -> None:
    ports = [item for item, op in enumerate(graph.ops) if op in PSEUDO]
    sizes: dict[str, int] = {}
    for item in ports:
        family = number_free(graph.names[item])
        sizes[family] = sizes.get(family, 0) + 1
    for item in ports:
        op, name = graph.ops[item], graph.names[item]
        family = number_free(name)
        if op != OUTER and (family == name or sizes[family] < _FAMILY):
            continue
        neighbours = graph.inputs[item] if op == OUTPUT else readers[item]
        if neighbours and not paths[item]:
            paths[item] = _common([paths[other] for other in neighbours])
    for item, op in enumerate(graph.ops):
        if op not in PSEUDO and not paths[item] and not graph.inputs[item] and readers[item]:
            paths[item] = _common([paths[reader] for reader in readers[item]])


def _adopt_ports(graph: GraphData, body: Body, paths: list[Path]) -> None:
    """Show all of a body under the module its nodes share, which its label then names."""
    items = range(body.first, body.last)
    nodes = [paths[item] for item in items if graph.ops[item] not in PSEUDO]
    home = _common(nodes) if nodes else ()
    for item in items:
        if graph.ops[item] in PSEUDO and shared(paths[item], home) < len(home):
            paths[item] = home


def _common(paths: Sequence[Path]) -> Path:
    first = paths[0]
    length = min(shared(first, path) for path in paths)
    return first if length == len(first) else first[:length]


def _rehome(graph: GraphData, readers: Sequence[Sequence[int]], paths: list[Path]) -> None:
    """Move an item into the module that holds all its readers and one of its sources, if deeper than its own.

    Moving an item may free those of the same module that it reads, so these are looked at again.
    """
    inputs = graph.inputs
    moved: set[int] = set()
    called = _called_twice(readers, graph.scopes)
    work = [item for item, scope in enumerate(graph.scopes) if scope in called]
    while work:
        item = work.pop()
        own = paths[item]
        if item in moved or not own or not readers[item] or not inputs[item]:
            continue
        around = _around(readers[item], paths, own)
        outside = shared(around, own)
        if outside in (len(around), len(own)):
            continue
        home = max([shared(around, paths[source]) for source in inputs[item]])
        if home > outside:
            paths[item] = (*around[:home], f"({own[-1]})")
            moved.add(item)
            work.extend(source for source in inputs[item] if paths[source] == own)


def _around(readers: Sequence[int], paths: Sequence[Path], own: Path) -> Path:
    """The module that holds all readers; looks no further once it holds `own` as well."""
    around = paths[readers[0]]
    for reader in readers:
        length = shared(around, paths[reader])
        if length < len(around):
            around = around[:length]
        if around == own[:length]:
            break
    return around


def _called_twice(readers: Sequence[Sequence[int]], scopes: Sequence[int]) -> set[int]:
    """Scopes whose values are read in more than one other scope."""
    once: dict[int, int] = {}
    twice: set[int] = set()
    for reading, scope in zip(readers, scopes, strict=True):
        for reader in reading:
            there = scopes[reader]
            if there != scope and once.setdefault(scope, there) != there:
                twice.add(scope)
    return twice
