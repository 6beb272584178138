"""What an engine is: it says what it can do here, and does it.

An engine is a module with a class that fits `Engine`, and one entry in `friction_tui.engines.found.ENGINES`. What it
can do is data (`EngineInfo`), which crosses the process boundary, and the protocols below that it fits; nothing asks
for an engine by its name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from friction_tui.engines.base import DRY_LIMIT_S, LOCATING_S
from friction_tui.vocabulary.protocol import EngineInfo

if TYPE_CHECKING:
    from pathlib import Path

    from friction_tui.engines.base import Array, BuilderAnswer, Elsewhere, Opinion, Probed, Ran, Reduced, Refusal, Terms
    from friction_tui.model.opened import OpenedModel
    from friction_tui.model.shapes.shape_table import ShapeTable
    from friction_tui.plugin_libraries import Libraries
    from friction_tui.vocabulary.protocol import BuildResult


class Engine(Protocol):
    """An engine, whether it is installed or not. Nothing of it is imported before it is asked something."""

    @property
    def names(self) -> tuple[str, ...]:
        """The `EngineInfo.name` of each of its editions."""

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
        libraries: Libraries = (),
    ) -> list[Refusal]:
        """Every node that it refuses. `on_batch` is called with what is new, as it is found.

        `libraries` of plug-ins are loaded before, in a process that loads no others.

        Raises EngineMissing and EngineCrashed.
        """


@runtime_checkable
class ParsesElsewhere(Engine, Protocol):
    """An engine that can be asked in another Python environment, where it may be of another version."""

    def refusals_in(self, python: str, model: OpenedModel, *, stop: Callable[[], bool] = lambda: False) -> Elsewhere:
        """What the engine of the environment with the interpreter `python` refuses.

        Raises EngineMissing and EngineCrashed.
        """


class Question(Protocol):
    """One model to ask a builder about under different terms; it is prepared once."""

    def ask(
        self,
        terms: Terms,
        *,
        dry: bool = True,
        limit_s: float = DRY_LIMIT_S,
        locating_s: float = LOCATING_S,
        stop: Callable[[], bool] = lambda: False,
        table: ShapeTable | None = None,
        background: bool = False,
    ) -> BuilderAnswer:
        """What the builder says; `dry` without compiling kernels.

        Where it names no node, its place is looked for during `locating_s` seconds, with the sizes of `table` in more
        ways. `background`: in a process of low priority, which no other question waits for. Raises EngineMissing,
        EngineCrashed and Stopped.
        """

    def remembered(self, terms: Terms) -> BuilderAnswer | None:
        """What the builder said when this model was built to the end before; None when it was not."""

    def built(self, terms: Terms, result: BuildResult) -> None:
        """Keep that a build of this model to the end succeeded."""

    def at_risk(
        self,
        terms: Terms,
        table: ShapeTable,
        *,
        stop: Callable[[], bool] = lambda: False,
    ) -> Probed:
        """What the builder says of nodes that only compiling decides about, each form of them alone.

        Raises what `ask` raises.
        """


class Progress(Protocol):
    """Who listens to a build. May be called from several threads."""

    def begin(self, phase: str) -> None:
        """A phase starts: `parse`, `graph`, `compile`, `serialize`."""

    def end(self, phase: str) -> None:
        """It is over."""

    def log(self, level: str, text: str) -> None:
        """A log line; `level` as in `friction_tui.vocabulary.protocol.LogLine`."""


@runtime_checkable
class Builds(Engine, Protocol):
    """An engine that makes a plan of a model, and can be asked whether it would (`EngineInfo.can_build`)."""

    def question(self, model: OpenedModel) -> Question:
        """The model, ready to be asked about under different terms."""

    def build(
        self,
        model: Path | bytes,
        terms: Terms,
        plan: Path,
        progress: Progress,
        *,
        origin: Path | None = None,
    ) -> BuildResult:
        """Build a plan and write it to `plan`; a refused model is a result with findings, not an error.

        `model` is a file, or a serialised model whose external data lies beside `origin`. Raises EngineMissing without
        an edition that builds here.
        """

    def reduced(
        self, model: OpenedModel, table: ShapeTable, terms: Terms, say: Callable[[str], None], *, whole_s: float = 0.0
    ) -> Reduced:
        """The smallest part of `model` that fails as the whole does; sizes are those of `table`.

        A build of the whole that takes longer than `whole_s` seconds hangs; 0 is the engine's own limit. Raises
        NothingToReduce, CannotReduce, and what `Question.ask` raises.
        """


class LoadedPlan(Protocol):
    """A plan that is ready to run. `source` names what runs it, `load_ms` is the time that loading it took."""

    @property
    def source(self) -> str:
        """What its times are signed with."""

    @property
    def load_ms(self) -> float:
        """Milliseconds that loading took."""

    def run(self) -> None:
        """Run once and wait for the end."""

    def results(self) -> Mapping[str, Array]:
        """The outputs of the last run; those of a type numpy lacks are left out."""


@runtime_checkable
class Runs(Engine, Protocol):
    """An engine that runs the plans it builds (`EngineInfo.can_run`)."""

    def loaded(
        self, plan: Path, inputs: Mapping[str, Array], *, profile: int = 0
    ) -> AbstractContextManager[LoadedPlan]:
        """The plan with `inputs` in place, for its profile number `profile`; all is given back at the end.

        Raises EngineMissing when nothing can run here, and the engine's own errors with the reason.
        """


@runtime_checkable
class Opines(Engine, Protocol):
    """An engine that models are not made for, and that says whether it would load one."""

    def labels(self) -> tuple[str, str]:
        """What its own verdicts are signed with, and those of the checker beside it. Raises EngineMissing."""

    def prestart_opinion(self) -> None:
        """Begin starting the process that gives the opinion, if it is installed. Returns at once."""

    def run_once(
        self, model: OpenedModel, sizes: dict[str, tuple[int, ...]], values: dict[str, tuple[int, ...]]
    ) -> Ran | None:
        """What running the file of an unedited model once comes to; None where it cannot be run in time.

        `sizes` are those of the inputs, `values` of the inputs that are read as shapes.
        """

    def opinion(self, model: OpenedModel) -> Opinion:
        """What it says of the model.

        Raises EngineMissing, EngineCrashed, and Stopped when another model is asked about meanwhile.
        """
