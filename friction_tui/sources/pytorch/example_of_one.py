"""An example of size 1 on an axis that is asked to vary: 1 broadcasts, and code and exporter take it for a constant.

torch.export gives sizes of 0 and 1 a special meaning (its documentation on the "0/1 specialization problem"), so an
example of 2 is exported in its place.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from friction_tui.kinds.export import EXAMPLE_OF_ONE
from friction_tui.sources.failure import location_of
from friction_tui.sources.pytorch.dynamic_shapes import AskedDim
from friction_tui.sources.pytorch.other_inputs import draw
from friction_tui.sources.pytorch.outputs import run
from friction_tui.sources.pytorch.user_code import Built
from friction_tui.vocabulary.finding import Finding, Location, LocationKind, SourceLine


def dimensions(asked: Sequence[AskedDim]) -> tuple[AskedDim, ...]:
    """The dimensions whose example has size 1 and that are asked to be more."""
    return tuple(dim for dim in asked if dim.example == 1 and (dim.max is None or dim.max > 1))


def with_two(built: Built, ones: Sequence[AskedDim]) -> Built | None:
    """The same with an example of size 2 there; None when the model does not run on it, or cannot be given it."""
    bound = built.bound
    if len(bound) != len(built.args) + len(built.kwargs):  # *args: which value belongs where is not known
        return None
    inputs = draw(bound, dict.fromkeys(ones, 2)).inputs
    kwargs = {name: inputs[name] for name in built.kwargs}
    args = tuple(value for name, value in inputs.items() if name not in kwargs)
    try:
        run(built.module, args, kwargs)
    except Exception:
        return None  # another input may have to grow with it: the export says more than this
    return dataclasses.replace(built, args=args, kwargs=kwargs)


def finding(ones: Sequence[AskedDim], source: str, made_at: SourceLine | None) -> Finding:
    """That it was exported with 2, and why."""
    keys = " and ".join(dict.fromkeys(dim.key for dim in ones))
    names = dict.fromkeys(dim.input for dim in ones)
    return EXAMPLE_OF_ONE.finding(
        dimensions=keys,
        cause=(
            f"The example input has size 1 on {keys}, and {', '.join(f'{d.key} is asked for {d.span}' for d in ones)}. "
            "A size of 1 broadcasts, and torch.export may take it for a constant: an export with it can come out with "
            "that size fixed. An example of size 2 was exported in its place."
        ),
        source=source,
        locations=(*((location_of(made_at),) if made_at else ()), *(Location(LocationKind.INPUT, n) for n in names)),
        fixes=(f"Give an example of size 2 or more on {keys}, here and where you export the model yourself.",),
    )
