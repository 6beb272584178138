"""What a rewrite is: a named edit of the model at given nodes, and how exact its result is."""

from __future__ import annotations

import enum
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import onnx

from friction_tui.model.opened import OpenedModel
from friction_tui.vocabulary.finding import Location


class CannotRewrite(Exception):
    """The rewrite does not fit there; `why` says it in words."""

    def __init__(self, why: str, location: Location | None = None) -> None:
        super().__init__(why)
        self.why, self.location = why, location


class NeedsOpset(CannotRewrite):
    """The rewrite needs operators of a newer opset than the model's; it may fit once the model is converted."""

    def __init__(self, opset: int, what: str = "the replacement") -> None:
        super().__init__(f"{what} needs opset {opset}; convert first with o")
        self.opset = opset


class RewriteFault(CannotRewrite):
    """The rewrite's own code failed, as it may on a model that no engine reads: the other rewrites are tried still."""

    def __init__(self, error: Exception) -> None:
        at = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(at.filename).name}:{at.lineno}"
        super().__init__(f"a fault of friction-tui, not of your model: {type(error).__name__}: {error} ({where})")


class Exactness(enum.StrEnum):
    """How the results of the rewritten model compare with those of the original, where that runs."""

    EXACT = "exact"
    ROUNDING = "equal up to rounding"
    CHANGES = "changes results"


if TYPE_CHECKING:
    from friction_tui.rewrites.graph_editor import GraphEditor

NodeRewrite = Callable[[onnx.NodeProto, "GraphEditor"], None]
"""Adds the nodes that stand for a node, with its own output names; raises CannotRewrite where it does not apply."""


@dataclass(frozen=True, slots=True)
class Rewriter:
    """A rewrite by name.

    `title` is shown: what it does, as an instruction. `run(model, node paths)` returns an edited copy or raises
    CannotRewrite. `changes` says how results or the interface change, for CHANGES.

    `ops` are the (domain, operator) pairs it applies to: it is offered where such a node is refused, and where a kind
    names it (`Kind.rewrites`); () for one that is not about single nodes. `node` replaces one node, where `run` does.
    """

    name: str
    title: str
    run: Callable[[OpenedModel, Sequence[str]], onnx.ModelProto]
    exactness: Exactness = Exactness.EXACT
    changes: str = ""
    ops: tuple[tuple[str, str], ...] = ()
    node: NodeRewrite | None = None
    general: bool = False
    """Whether it is worth a try at any refusal, after those that know the operator."""
    prepares: bool = False
    """Whether it mends nothing by itself and only makes another rewrite fit; offered where it does."""

    @property
    def keeps_outputs(self) -> bool:
        """Whether the outputs must stay equal on inputs that both models accept."""
        return self.exactness is not Exactness.CHANGES
