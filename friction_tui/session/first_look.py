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
    """A model that was opened ahead. `shown_for` is the revision whose `GraphReady` was sent, None for none yet."""

    model: OpenedModel
    graph: GraphData
    shown_for: int | None = None


def first_look(path: Path) -> FirstLook | None:
    """Read the model at `path` and lay its graph out; None for what is no whole ONNX file, which needs more words."""
    model = open_model(path)
    return FirstLook(model, with_order(graph_data(model))) if model.file.kind == "onnx" else None
