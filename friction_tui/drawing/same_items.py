"""Which item of another graph of the same model is the same one: its path says only where it stood.

An edit or another export puts nodes in between, and every path behind them means another node. A node is the same by
its operator and name (a nameless one is named after its first output); where several share these, by what is around it.
"""

from __future__ import annotations

from collections.abc import Iterable

from friction_tui.vocabulary.protocol import GraphData

Around = tuple[tuple[str, ...], tuple[str, ...]]


def label(graph: GraphData, item: int) -> str:
    """`Reshape head/Reshape`."""
    return f"{graph.ops[item]} {graph.names[item]}"


def labels(graph: GraphData, paths: Iterable[str]) -> dict[str, str]:
    """The labels of the items at `paths`, by path."""
    wanted = dict.fromkeys(paths)
    return {path: label(graph, item) for item, path in enumerate(graph.paths) if path in wanted}


def named(graph: GraphData, known: dict[str, str]) -> dict[str, str]:
    """For each path with its label where the item with this label is now; those that are not there are left out."""
    wanted = set(known.values())
    places: dict[str, list[str]] = {}
    for item, path in enumerate(graph.paths):
        text = label(graph, item)
        if text in wanted:
            places.setdefault(text, []).append(path)
    found: dict[str, str] = {}
    for path, text in known.items():
        here = places.get(text, [])
        if path in here or len(here) == 1:
            found[path] = path if path in here else here[0]
    return found


def same_items(before: GraphData, after: GraphData, paths: Iterable[str]) -> dict[str, str]:
    """For each of `paths` of `before` the path of the same item in `after`; those that are gone are left out."""
    wanted = dict.fromkeys(paths)
    items = {path: item for item, path in enumerate(before.paths) if path in wanted}
    names = {label(before, item) for item in items.values()}
    candidates: dict[str, list[int]] = {}
    for item in range(len(after.paths)):
        text = label(after, item)
        if text in names:
            candidates.setdefault(text, []).append(item)
    found: dict[str, str] = {}
    for path, item in items.items():
        here = candidates.get(label(before, item), [])
        if len(here) > 1:
            around = _around(before, item)
            alike = [one for one in here if _around(after, one) == around]
            here = alike or here
        if len(here) == 1:
            found[path] = after.paths[here[0]]
        elif any(after.paths[one] == path for one in here):
            found[path] = path
    return found


def _around(graph: GraphData, item: int) -> Around:
    """What it reads, and what reads it."""
    readers = (reader for reader, read in enumerate(graph.inputs) if item in read)
    return tuple(label(graph, one) for one in graph.inputs[item]), tuple(label(graph, one) for one in readers)
