"""The order of rows: `with_order(graph)` fills `GraphData.order`.

Hierarchical and demand-driven. At each scope the graph of its parts is walked depth first from its sinks,
deepest operand first, so that a value lives as few rows as possible and an input comes just before its first
use. Where parts read each other in a circle they are split, never mis-ordered. The order of the file is tried
too and kept when values live shorter in it and its scopes are no more broken up. Nothing recurses: depth of
nesting and length of chains are the model's choice, not ours.

The returned graph's `scopes` are those under which items are shown (see `friction_tui.drawing.scopes`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import pairwise

import msgspec

from friction_tui.drawing.scopes import INPUT, OUTER, OUTPUT, PSEUDO, Path, display_scopes, readers_of, spans
from friction_tui.vocabulary.protocol import GraphData

_Part = tuple[list[int], int]
"""Items that are placed together, and how many leading modules they share; -1 for a single item on its own."""


def with_order(graph: GraphData) -> GraphData:
    """The graph with `order` filled for the main graph and every body, and scopes as they are shown.

    Linear in items and edges for each level of scopes: about 10 µs an item. Never raises: items on a cycle
    stay in file order among themselves.
    """
    readers = readers_of(graph)
    paths = display_scopes(graph, readers)
    table: dict[Path, int] = {}
    scopes = [table.setdefault(path, len(table)) for path in paths]
    order: list[int] = []
    for first, last in spans(graph):
        inputs = _without_cycles(graph.inputs, first, last)
        best = _by_scope(range(first, last), paths, inputs, graph.ops)
        filed = _by_file(first, last, inputs, readers, graph.ops)
        if (
            filed
            and _breaks(filed, scopes) <= _breaks(best, scopes)
            and _lifetime(filed, readers) < _lifetime(best, readers)
        ):
            best = filed
        order += best
    return msgspec.structs.replace(graph, order=order, scopes=scopes, scope_table=list(table))


def _without_cycles(inputs: Sequence[list[int]], first: int, last: int) -> Sequence[list[int]]:
    """The inputs without the edges that close a cycle; the same object when there is none."""
    if all(not inputs[item] or max(inputs[item]) < item for item in range(first, last)):
        return inputs
    local = [[source - first for source in sources] for sources in inputs[first:last]]
    component, count = components(local)
    if count == last - first and all(item not in sources for item, sources in enumerate(local)):
        return inputs
    kept = list(inputs)
    for item, sources in enumerate(local):
        kept[first + item] = [
            first + source for source in sources if source < item or component[source] != component[item]
        ]
    return kept


def components(targets: Sequence[Sequence[int]]) -> tuple[list[int], int]:
    """Strongly connected components (Tarjan, 1972): each vertex's component number, and how many there are.

    A component is numbered after every component it points to.
    """
    size = len(targets)
    index = [0] * size
    low = [0] * size
    component = [-1] * size
    path: list[int] = []
    found = 0
    clock = 0
    for root in range(size):
        if index[root]:
            continue
        clock += 1
        index[root] = low[root] = clock
        path.append(root)
        work = [(root, iter(targets[root]))]
        while work:
            vertex, rest = work[-1]
            for target in rest:
                if not index[target]:
                    clock += 1
                    index[target] = low[target] = clock
                    path.append(target)
                    work.append((target, iter(targets[target])))
                    break
                if component[target] < 0 and index[target] < low[vertex]:
                    low[vertex] = index[target]
            else:
                work.pop()
                if work and low[vertex] < low[work[-1][0]]:
                    low[work[-1][0]] = low[vertex]
                if low[vertex] == index[vertex]:
                    while True:
                        member = path.pop()
                        component[member] = found
                        if member == vertex:
                            break
                    found += 1
    return component, found


def _by_scope(
    items: Iterable[int], paths: Sequence[Path], inputs: Sequence[list[int]], ops: Sequence[str]
) -> list[int]:
    order: list[int] = []
    part_of = [0] * len(ops)
    level = [-1] * len(ops)
    clock = 0
    stack: list[_Part] = [(list(items), 0)]
    while stack:
        members, depth = stack.pop()
        if _is_chain(members, depth, paths, inputs):
            order += members
            continue
        parts = _partition(members, depth, paths)
        if len(parts) == 1:
            stack.append(parts[0])
            continue
        while True:
            clock += 1
            for number, (ours, _) in enumerate(parts):
                for item in ours:
                    part_of[item] = number
                    level[item] = clock
            sources: list[list[int]] = []
            sorted_already = True
            for number, (ours, _) in enumerate(parts):
                if len(ours) == 1:
                    read = [part_of[source] for source in inputs[ours[0]] if level[source] == clock]
                else:
                    every = {part_of[source] for item in ours for source in inputs[item] if level[source] == clock}
                    every.discard(number)
                    read = list(every)
                sources.append(read)
                if read and max(read) > number:
                    sorted_already = False
            if sorted_already:
                component = list(range(len(parts)))
                break
            component, count = components(sources)
            if count == len(parts):
                break
            parts = _split(parts, component, count, paths, inputs)
        stack.extend([parts[number] for number in reversed(_on_demand(parts, sources, component, ops))])
    return order


def _is_chain(members: list[int], depth: int, paths: Sequence[Path], inputs: Sequence[list[int]]) -> bool:
    """Whether the members, as they come, lie in no deeper scope and each reads the one before and no other."""
    if len(members) == 1:
        return True
    if any(len(paths[item]) > depth for item in members):
        return False
    inside = set(members)
    return inside.isdisjoint(inputs[members[0]]) and all(
        previous in inputs[item] and len(inside.intersection(inputs[item])) == 1 for previous, item in pairwise(members)
    )


def _partition(members: Iterable[int], depth: int, paths: Sequence[Path]) -> list[_Part]:
    """One part for each child scope at `depth`, one for each item that lies in none."""
    parts: list[_Part] = []
    number: dict[str, int] = {}
    for item in members:
        path = paths[item]
        if len(path) <= depth:
            parts.append(([item], -1))
            continue
        known = number.get(path[depth])
        if known is None:
            number[path[depth]] = len(parts)
            parts.append(([item], depth + 1))
        else:
            parts[known][0].append(item)
    return parts


def _split(
    parts: list[_Part], component: list[int], count: int, paths: Sequence[Path], inputs: Sequence[list[int]]
) -> list[_Part]:
    """Break up parts that read each other in a circle: into unconnected pieces, else into their child scopes.

    When scopes have to be dissolved the largest of a circle is kept for another round: dissolving the small
    ones is often enough.
    """
    circles: list[list[int]] = [[] for _ in range(count)]
    for number, own in enumerate(component):
        circles[own].append(number)
    sizes = [len(circle) for circle in circles]
    kept = set()
    for circle in circles:
        scoped = [number for number in circle if parts[number][1] >= 0]
        if len(scoped) > 1:
            kept.add(max(scoped, key=lambda number: len(parts[number][0])))
    pieces: list[_Part] = []
    for number, (members, depth) in enumerate(parts):
        if sizes[component[number]] == 1 or depth < 0:
            pieces.append((members, depth))
        else:
            pieces.extend((piece, depth) for piece in _connected(members, inputs))
    if len(pieces) > len(parts):
        return pieces
    pieces = []
    for number, (members, depth) in enumerate(parts):
        if sizes[component[number]] == 1 or depth < 0 or number in kept:
            pieces.append((members, depth))
        else:
            pieces.extend(_partition(members, depth, paths))
    return pieces


def _connected(members: list[int], inputs: Sequence[list[int]]) -> list[list[int]]:
    """The connected parts of the members, each in the members' order."""
    leader = {item: item for item in members}

    def find(item: int) -> int:
        while leader[item] != item:
            leader[item] = item = leader[leader[item]]
        return item

    for item in members:
        for source in inputs[item]:
            if source in leader:
                leader[find(source)] = find(item)
    pieces: dict[int, list[int]] = {}
    for item in members:
        pieces.setdefault(find(item), []).append(item)
    return list(pieces.values())


def _on_demand(parts: list[_Part], sources: list[list[int]], component: list[int], ops: Sequence[str]) -> list[int]:
    """Part numbers so that each follows what it reads: depth first from the sinks, deepest operand first."""
    size = len(parts)
    depth = [0] * size
    read = bytearray(size)
    sources_first = [0] * size
    for number, location in enumerate(component):
        sources_first[location] = number
    for number in sources_first:
        deepest = 0
        for source in sources[number]:
            read[source] = 1
            reach = depth[source] + len(parts[source][0])
            if reach > deepest:  # noqa: PLR1730 (max() costs a third of this loop)
                deepest = reach
        depth[number] = deepest
    outputs: dict[int, list[int]] = {}
    sinks = []
    unused = []
    for number in range(size):
        if read[number]:
            continue
        members = parts[number][0]
        if len(members) == 1 and ops[members[0]] == OUTPUT and len(sources[number]) == 1:
            outputs.setdefault(sources[number][0], []).append(number)
        elif len(members) == 1 and ops[members[0]] in PSEUDO and not sources[number]:
            unused.append(number)
        else:
            sinks.append(number)
    sinks += [number for numbers in outputs.values() for number in numbers]
    for operands in sources:
        if len(operands) > 1:
            operands.sort(key=depth.__getitem__, reverse=True)
    order = unused
    done = bytearray(size)
    for sink in sorted(sinks, key=depth.__getitem__, reverse=True):
        stack = [] if done[sink] else [(sink, iter(sources[sink]))]
        while stack:
            number, rest = stack[-1]
            for source in rest:
                if not done[source]:
                    stack.append((source, iter(sources[source])))
                    break
            else:
                stack.pop()
                if not done[number]:
                    done[number] = 1
                    order.append(number)
                    for output in outputs.get(number, ()):
                        done[output] = 1
                        order.append(output)
    return order


def _by_file(
    first: int,
    last: int,
    inputs: Sequence[list[int]],
    readers: Sequence[Sequence[int]],
    ops: Sequence[str],
) -> list[int]:
    """The file's order, inputs just before their first reader, outputs just after their value.

    Empty when the file is not in an order in which values come before their readers.
    """
    moved = {item for item in range(first, last) if ops[item] in (INPUT, OUTER) and readers[item]}
    outputs: dict[int, list[int]] = {}
    for item in range(first, last):
        if ops[item] == OUTPUT and len(inputs[item]) == 1:
            outputs.setdefault(inputs[item][0], []).append(item)
            moved.add(item)
    order: list[int] = []
    done = bytearray(last)
    for item in range(first, last):
        if item in moved:
            continue
        for source in inputs[item]:
            if not done[source]:
                if ops[source] not in (INPUT, OUTER):
                    return []
                order += _placed(source, outputs, done)
        order += _placed(item, outputs, done)
    for item in sorted(moved):
        if not done[item]:
            order += _placed(item, outputs, done)
    return order


def _placed(item: int, outputs: dict[int, list[int]], done: bytearray) -> list[int]:
    placed = [item, *outputs.get(item, ())]
    for each in placed:
        done[each] = 1
    return placed


def _lifetime(order: list[int], readers: Sequence[Sequence[int]]) -> int:
    """Over how many rows values live, summed."""
    row = {item: number for number, item in enumerate(order)}
    return sum(max([row[reader] for reader in readers[item]], default=at) - at for item, at in row.items())


def _breaks(order: list[int], scopes: Sequence[int]) -> int:
    """How often the scope changes from one row to the next."""
    return sum([scopes[one] != scopes[other] for one, other in pairwise(order)])
