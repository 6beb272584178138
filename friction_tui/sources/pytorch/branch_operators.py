"""torch.cond, while_loop, map and scan that cannot be captured: what their branches may not do, in the user's terms."""

from __future__ import annotations

import re

from friction_tui.kinds import export
from friction_tui.sources.failure import Failure, finding
from friction_tui.vocabulary.finding import Finding

_FILE = re.compile(r"torch/_higher_order_ops/(cond|while_loop|map|scan|associative_scan)\.py$")
_UNLIKE = (
    r"expected same [^\"\n]+",
    r"True branch has size .+? and false branch has size [^\n]+?stride \([^)]*\)",
    r"(differ in|pair differ|different|mismatch|must match|same (metadata|structure|shape|dtype|number))[^\n]*",
    r"Expected? [^\n]*(same|match|equal)[^\n]*",
)
"""How the operators say that one branch, or one round of a loop, gives what the other does not."""


def recognise(failure: Failure) -> Finding | None:
    """A failure inside one of these operators; None for any other."""
    inside = next((found.group(1) for file in reversed(failure.frames) if (found := _FILE.search(file))), "")
    if not inside:
        return None
    name = "torch.cond" if inside == "cond" else f"torch's {inside}"
    part = "branch" if inside == "cond" else "body"
    if re.search(r"input mutation|mutat(e|ing)", failure.text):
        return finding(
            failure,
            export.MUTATION,
            f"The functions given to {name} are captured as graphs of their own, and in these nothing that comes from "
            "outside (an operand, a buffer, a parameter) may be mutated.",
            (
                "Give back the new value instead: `return x + 1, counter + 1` for `counter.add_(1)`.",
                "Choose the value and assign it outside, behind the operator.",
            ),
            function=f"A {part} of {name}",
            what="a tensor in place",
            effect="the export does not allow it there",
        )
    if re.search(r"alias(ing)?\b", failure.text):
        return finding(
            failure,
            export.CONTROL_FLOW_OPERATOR,
            f"{name} becomes one node whose outputs are tensors of their own; here a result shares memory with an "
            "operand (aliasing).",
            (
                "Return a copy: `x.clone()` for `x`, `x[:, :4].clone()` for a slice; view, reshape and transpose "
                "need it too.",
                "Both must then have the same shapes and types; when both are cheap `torch.where(condition, a, b)` "
                "is simpler.",
            ),
            operator=name,
            problem=f"a {part} returns its own input, or a view of it",
        )
    unlike = next((found.group(0) for pattern in _UNLIKE if (found := re.search(pattern, failure.text))), "")
    if unlike:
        both = "both branches" if inside == "cond" else "the carried values and what the body returns for them"
        return finding(
            failure,
            export.CONTROL_FLOW_OPERATOR,
            f"{name} becomes one node with one output type, and here they differ: {unlike.strip().rstrip('.')}.",
            (
                f"Make {both} match: pad, expand or cast inside, so that the same number of tensors of the same "
                "shape and dtype comes out. A slice also needs `.contiguous()`, a result that is its own input "
                "`.clone()`.",
                "When both are cheap compute both: `torch.where(condition, a, b)`.",
                "If only one is ever needed in deployment, decide it with a Python bool in the constructor.",
            ),
            operator=name,
            problem=f"{both} must have the same shapes and types",
        )
    said = re.search(r"(?:Got graph break/error:|Explanation:)\s*([^\n]+)", failure.text)
    return finding(
        failure,
        export.CONTROL_FLOW_OPERATOR,
        f"The functions given to {name} must be captured whole, as graphs of their own, and are not: "
        f"{said.group(1).strip() if said else failure.root.splitlines()[0]}",
        (
            "Let these functions take tensors as operands and return tensors, nothing else: no Python values, no "
            "printing, no `.item()`, no branching on values inside.",
            "When both results are cheap compute both: `torch.where(condition, a, b)`.",
        ),
        operator=name,
        problem="it cannot be captured here",
    )
