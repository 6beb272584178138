"""What every engine answers with: a refused node, a crash, a range of sizes for one input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from friction_tui.processes.ended import ChildDied

Stage = Literal["static", "dynamic", "input", "initializer", "model"]
"""When a refusal was found.

`static`: the operator, domain or an attribute is not taken, whatever the shapes. `dynamic`: refused while
the node was imported, from its shapes, types or constants. `input`, `initializer`: a tensor whose type is
not taken. `model`: the graph as a whole.
"""

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


class EngineMissing(Exception):
    """The engine asked for is not installed, or cannot be loaded. The text says which and how to get it."""


class EngineCrashed(ChildDied):
    """A process in which an engine ran died, or was ended because it did not answer."""
