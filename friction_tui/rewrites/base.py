"""What a rewrite is: a named, reversible-by-recipe edit of the model at given nodes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import onnx

from friction_tui.model.opened import OpenedModel
from friction_tui.vocabulary.finding import Location


class CannotRewrite(Exception):
    """The rewrite does not fit there; `why` says it in words."""

    def __init__(self, why: str, location: Location | None = None) -> None:
        super().__init__(why)
        self.why, self.location = why, location


@dataclass(frozen=True, slots=True)
class Rewriter:
    """A rewrite by name. `run(model, node paths)` returns an edited copy or raises CannotRewrite."""

    name: str
    title: str
    run: Callable[[OpenedModel, Sequence[str]], onnx.ModelProto]
    keeps_outputs: bool = True
    """Whether the outputs must stay equal on inputs both models accept; checked before it is kept."""
