"""What an engine is: it says what it can do here, and does it.

An engine is a module with a class that fits `Engine`, and one entry in `friction_tui.engines.found.ENGINES`. What it
can do is data (`EngineInfo`), which crosses the process boundary; nothing asks for an engine by its name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from friction_tui.vocabulary.protocol import EngineInfo

if TYPE_CHECKING:
    from friction_tui.engines.base import Refusal
    from friction_tui.engines.tensorrt.question import BuilderQuestion
    from friction_tui.model.opened import OpenedModel


class Engine(Protocol):
    """An engine, whether it is installed or not. Nothing of it is imported before it is asked something."""

    def found(self) -> tuple[EngineInfo, ...]:
        """What is installed of it here and what that can do, the edition to prefer first; () when nothing is."""

    def prestart(self) -> None:
        """Begin starting the processes in which it answers, if it is installed. Returns at once."""


@runtime_checkable
class Parses(Engine, Protocol):
    """An engine that says which nodes of a model it cannot read (`EngineInfo.can_parse`)."""

    def refusals(
        self,
        model: OpenedModel,
        *,
        on_batch: Callable[[Sequence[Refusal]], None] = lambda _: None,
        stop: Callable[[], bool] = lambda: False,
    ) -> list[Refusal]:
        """Every node that it refuses. `on_batch` is called with what is new, as it is found.

        Raises EngineMissing and EngineCrashed.
        """


@runtime_checkable
class Builds(Engine, Protocol):
    """An engine that makes a plan of a model, and can be asked whether it would (`EngineInfo.can_build`)."""

    def question(self, model: OpenedModel) -> BuilderQuestion:
        """The model, ready to be asked about under different terms."""
