"""What the screen shows first: a model's graph, read and laid out before the rooms that judge it are imported."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from friction_tui.drawing.order import with_order
from friction_tui.model.graph_data import graph_data
from friction_tui.model.opened import OpenedModel, open_model
from friction_tui.vocabulary.protocol import GraphData


@dataclass(frozen=True, slots=True)
class FirstLook:
    """A model that was opened ahead. Without `graph` it is not to be shown.

    `shown_for` is the revision whose `GraphReady` was sent, None for none yet.
    """

    model: OpenedModel
    graph: GraphData | None
    shown_for: int | None = None


def first_look(path: Path, *, drawn: bool = True) -> FirstLook | None:
    """Read the model at `path`, and lay its graph out where it is to be drawn.

    None for what is not a whole ONNX file, which needs more words.
    """
    model = open_model(path)
    if model.file.kind != "onnx":
        return None
    return FirstLook(model, with_order(graph_data(model)) if drawn else None)
