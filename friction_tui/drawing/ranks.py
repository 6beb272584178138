"""The order in which items come when everything is open: for search, and for the next problem."""

from __future__ import annotations

from array import array

from friction_tui.vocabulary.protocol import GraphData


def display_ranks(graph: GraphData) -> array[int]:
    """The rank of each item: a body's items come right after the first node they belong to."""
    ranks = array("i", [-1]) * len(graph.order)
    rank = 0
    entered: set[int] = set()
    work = [iter(graph.order[: graph.main])]
    while work:
        for item in work[-1]:
            ranks[item] = rank
            rank += 1
            bodies = [body for body in graph.owners.get(item, ()) if body not in entered]
            if bodies:
                entered.update(bodies)
                inside = (graph.order[graph.bodies[body].first : graph.bodies[body].last] for body in bodies)
                work.append(iter([each for items in inside for each in items]))
                break
        else:
            work.pop()
    for item in graph.order:
        if ranks[item] < 0:
            ranks[item] = rank
            rank += 1
    return ranks
