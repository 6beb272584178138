"""A worker that tells the story of one large graph and then says nothing: `python -m benchmarks.told [nodes]`."""

from __future__ import annotations

import sys

import msgspec

from benchmarks.tui import RECIPE, findings, large_graph, summary
from friction_tui.vocabulary.protocol import Event, GraphReady, Judged, Opened


def main() -> None:
    """Say it, then wait until nobody listens."""
    nodes = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000
    story: list[Event] = [
        Opened(revision=1, summary=summary(nodes), recipe=RECIPE),
        GraphReady(revision=1, graph=large_graph(nodes)),
        Judged(revision=1, findings=findings(nodes), seconds=0.1),
    ]
    for event in story:
        sys.stdout.write(msgspec.json.encode(event).decode() + "\n")
        sys.stdout.flush()
    sys.stdin.read()


if __name__ == "__main__":
    main()
