"""What every engine is asked for and answers with: a refused node, what a builder says, a crash.

Imported by the parser's process too, in environments that have TensorRT and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from friction_tui.processes.ended import ChildDied

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import numpy.typing as npt
    import onnx

    from friction_tui.engines.profiles import ResolvedProfile
    from friction_tui.model.graph import Node
    from friction_tui.vocabulary.recipe import Value

Array: TypeAlias = "npt.NDArray[np.generic]"

Stage = Literal["static", "dynamic", "input", "initializer", "model"]
"""When a refusal was found.

`static`: the operator, domain or an attribute is not taken, whatever the shapes. `dynamic`: refused while
the node was imported, from its shapes, types or constants. `input`, `initializer`: a tensor whose type is
not taken. `model`: the graph as a whole.
"""

Outcome = Literal["taken", "refused", "crashed", "timeout", "memory"]
"""What came of a question to a builder."""

DRY_LIMIT_S = 60.0
"""How long a dry build may take. The slowest seen: 12 s for 11,000 nodes."""

LOCATING_S = 20.0
"""How long the place of a failure that names no node is looked for."""

NEEDS_GPU = "NEEDS_GPU"
"""`Refusal.code` of a node that could not be judged because no GPU is present. It is not a refusal."""

PARSER_CRASHED = "PARSER_CRASHED"
"""`Refusal.code` of a node that kills the parser's process."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """One thing the parser does not take, with the parser's own reason.

    `path` is the node's path (`12`, `12.then_branch.3`, `@domain:name.3`), "" when it is not a node. `name` is
    the node's exact name, `node_of_<first output>` for a nameless one. `code` is the parser's error code, such as
    `UNSUPPORTED_NODE`, or `NEEDS_GPU` or `PARSER_CRASHED`. `text` is its description, verbatim; `func` the
    parser's function that gave it. `tensor` names the input, initializer or graph output at fault. `provisional`
    marks a verdict behind an earlier refusal, given on assumed shapes. `log` holds the error lines logged
    meanwhile, in order.
    """

    path: str
    name: str
    op: str
    code: str
    text: str
    func: str
    tensor: str
    stage: Stage
    provisional: bool
    log: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Said:
    """A message of the builder, verbatim, and the paths of the nodes that it names."""

    text: str
    nodes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class BuilderAnswer:
    """What the builder says of a model.

    `refusals` are its errors, `cannot_run` warnings that the engine fails somewhere in its profile. `how` says in words
    how a build ended that gave no answer, `tail` is the end of what it wrote then. `located` are the paths of nodes
    that were found by building parts, where no message names one: of those that fail in this way without the rest, or
    the one with which the failure begins, which `alone` tells. `dry` tells that kernels were not tried. `plan` is the
    size of the engine and `activation` the planned memory, in bytes, of a build to the end.
    """

    verdict: Outcome
    label: str
    seconds: float
    dry: bool
    refusals: tuple[Said, ...] = ()
    cannot_run: tuple[Said, ...] = ()
    how: str = ""
    tail: str = ""
    located: tuple[str, ...] = ()
    alone: bool = False
    plan: int | None = None
    activation: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Probed:
    """What the builder says of forms at risk, each built to the end.

    How many it takes, and of how many that is not known; its answers on those that it refuses or dies of.
    """

    taken: int = 0
    unknown: int = 0
    failing: tuple[BuilderAnswer, ...] = ()

    @property
    def forms(self) -> int:
        """How many there are."""
        return self.taken + self.unknown + len(self.failing)


@dataclass(frozen=True, slots=True)
class Terms:
    """What a model is to be built for.

    No `profiles` means deliberately none. `target` is one of `EngineInfo.targets`, "" for the default, `precision` a
    `Precision` of the recipe. `typed`: the model's own types count, whatever the edition. `options` are those of the
    builder that were chosen, `libraries` the plug-in libraries to load (path and SHA-256).
    """

    profiles: tuple[ResolvedProfile, ...] = ()
    target: str = ""
    precision: str = "as-exported"
    typed: bool = False
    options: Mapping[str, Value] = field(default_factory=dict)
    libraries: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """What the engine of another environment refuses, and which one it is: its label and operator table."""

    refusals: tuple[Refusal, ...]
    label: str
    operator_table: str


@dataclass(frozen=True, slots=True)
class Reduced:
    """The smallest failing part found: its nodes, as they are in the model, and the part as a model of its own.

    `answer` is the builder's on it, `builds` how many were tried. `complete` tells that every smaller part was tried;
    else the time ran out before.
    """

    nodes: tuple[Node, ...]
    proto: onnx.ModelProto
    answer: BuilderAnswer
    builds: int
    complete: bool


@dataclass(frozen=True, slots=True)
class NodeError:
    """A node of the main graph that a runtime refuses to load; `path` as in GraphData."""

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class Opinion:
    """What loading a model says, "" for nothing, and `nodes`: every node that is refused on its own, too.

    `checker` is what `onnx.checker` says of the model, "" for nothing.
    """

    error: str
    nodes: tuple[NodeError, ...] = ()
    checker: str = ""


@dataclass(frozen=True, slots=True)
class Ran:
    """What running the model once came to: why it failed, "" where it ran, and the outputs with NaN or Inf in them.

    `fed` is False for a model with an input that cannot be made up, which says nothing of it.
    """

    error: str = ""
    not_finite: tuple[str, ...] = ()
    fed: bool = True


class NothingToReduce(Exception):
    """The model neither is refused nor crashes."""


class CannotReduce(Exception):
    """The whole model fails, and no part of it could be cut out that fails in the same way."""


class EngineMissing(Exception):
    """The engine asked for is not installed, or cannot be loaded. The text says which and how to get it."""


class EngineCrashed(ChildDied):
    """A process in which an engine ran died, or was ended because it did not answer."""
