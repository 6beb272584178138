"""The result of a search for nodes that must stay float32, as plain text."""

from __future__ import annotations

from collections.abc import Iterator

from friction_tui.vocabulary.protocol import KeptNode, PrecisionResult
from friction_tui.vocabulary.units import size_text

CAVEAT = "TensorRT's own kernels may round differently: build, and compare the engine's outputs on a GPU"


def summary(found: PrecisionResult) -> Iterator[str]:
    """What was found, on what, and by whom; one line each."""
    where = f"{found.nodes} nodes in {found.precision}"
    if not found.kept:
        yield f"nothing has to stay float32: with all {where} the outputs are off by {error_text(found.error)}"
    elif len(found.kept) == found.nodes:
        yield f"nothing can be half: with any of the {found.nodes} nodes in {found.precision} the error is too large"
        yield f"all {where}: {error_text(found.error_in_half)}, where {found.tolerance:g} was asked for"
        if not found.minimal:
            yield "the time was up before the search: another set might do"
    else:
        nodes = f"{len(found.kept)} node{'s' if len(found.kept) != 1 else ''}"
        yield f"{nodes} of {found.nodes} must stay float32 for an error below {found.tolerance:g}"
        yield f"all {where}: {error_text(found.error_in_half)}; with these kept: {error_text(found.error)}"
        held = sum(node.weight_bytes for node in found.kept)
        casts = f"{abs(found.casts)} {'fewer' if found.casts < 0 else 'more'} Casts"
        yield f"cost: {casts}, {size_text(held)} more of weights"
        if not found.minimal:
            yield "the time was up before the search: fewer might do"
    yield f"inputs: {found.inputs}"
    runs = f"{found.runs} run{'s' if found.runs != 1 else ''}"
    yield f"measured by {found.source}, {runs} in {found.seconds:.1f} s"
    yield CAVEAT


def table(found: PrecisionResult) -> Iterator[str]:
    """A line a node, with the errors at its output; nothing where no node is kept."""
    if not found.kept:
        return
    width = max(len(node.name) for node in found.kept)
    op = max(len(node.op) for node in found.kept)
    yield ""
    yield f"{'node':<{width}}  {'':<{op}}  {'in ' + found.precision:>10}  {'kept':>10}  {'weights':>10}"
    for node in found.kept:
        before, after, held = cells(node)
        yield f"{node.name:<{width}}  {node.op:<{op}}  {before:>10}  {after:>10}  {held:>10}"


def cells(node: KeptNode) -> tuple[str, str, str]:
    """Error in half, error when kept, and what its weights take more."""
    return (
        error_text(node.before),
        error_text(node.after),
        f"+{size_text(node.weight_bytes)}" if node.weight_bytes else "",
    )


def error_text(error: float | None) -> str:
    """A relative error in three digits."""
    return "NaN or Inf" if error is None else f"{error:.3g}"
