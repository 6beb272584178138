"""The widest range of a dimension in which the shapes of the whole model work, found by following them.

As a program, for `friction-tui ranges`: a question as JSON on stdin, why there is no answer and the answers on stdout.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from friction_tui.model.opened import OpenedModel, open_model
from friction_tui.model.shapes.profile import default_profile
from friction_tui.rules.shapes.dimensions import Assignment, Dimensions
from friction_tui.vocabulary.protocol import WidestFound
from friction_tui.vocabulary.recipe import Profile, Range

LARGEST = 65_536
"""No larger size is tried; what works up to here mostly works beyond, and memory is the limit then."""
STEPS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24, 28, 32, 48, 56, 64, 96, 112, 128, 160, 192, 224, 256, 512)
"""Strides of networks; the first on which everything near opt works is taken."""
_NEAR = (1, -1, 2, -2, 3, -3, 5)
"""How many steps from opt are tried to tell a stride. 2 and 3 tell a divisor from a size that works by chance."""
_SAMPLES = 12
"""Sizes inside a range that are tried once its ends are known."""


class Question(msgspec.Struct, frozen=True):
    """The model at `path`, and the profile whose opt sizes the other dimensions keep."""

    path: str
    profile: Profile | None


def widest_ranges(model: OpenedModel, profile: Profile) -> list[WidestFound]:
    """For each free dimension that follows from no other, the others at their opt sizes."""
    dimensions = Dimensions(model, profile)
    left = {relation.key for relation in dimensions.relations}
    return [widest(dimensions, key) for key in dimensions.all if key not in left]


def widest(dimensions: Dimensions, key: str) -> WidestFound:
    """The widest range around the opt size of one dimension, with a step where only multiples work."""
    base = dimensions.at("opt")
    opt = base[key]
    known: dict[int, bool] = {}

    def works(size: int) -> bool:
        if size not in known:
            known[size] = 0 < size <= LARGEST and _works(dimensions, {**base, key: size})
        return known[size]

    if not works(opt):
        return WidestFound(key, None, f"shapes do not work at opt {opt}; a working size is needed to start from")
    for step in STEPS:
        if all(works(opt + step * count) for count in _NEAR if opt + step * count > 0):
            break
    else:
        # Near opt only larger or smaller sizes may work: an end of what works is close.
        step = next((s for s in STEPS if works(opt + s) and works(opt + 2 * s)), 0) or next(
            (s for s in STEPS if works(opt - s) and works(opt - 2 * s)), 0
        )
    if not step:
        return WidestFound(key, Range(opt, opt, opt), "no other size works while the others stay")
    low, high = _end(works, opt, -step), _end(works, opt, step)
    # What fails inside a range ends it: a table of positions can have gaps that the search jumped over.
    for number in range(1, _SAMPLES):
        for inside in (opt + (high - opt) * number // _SAMPLES, opt - (opt - low) * number // _SAMPLES):
            size = inside - (inside - opt) % step
            if not works(size):
                low, high = (max(low, size + step), high) if size < opt else (low, min(high, size - step))
    beyond = high + step > LARGEST
    note = f"{LARGEST} is the largest size that was tried" if beyond else f"{high + step} fails"
    below = f", {low - step} fails" if low - step > 0 else ""
    return WidestFound(key, Range(low, opt, high, step if low < high else 1), note + below)


def _end(works: Callable[[int], bool], opt: int, step: int) -> int:
    """The last size from `opt` on in steps that works, by doubling the distance and halving it again."""
    count, reach = 0, 1
    while works(opt + step * reach):
        count, reach = reach, 2 * reach
    while reach - count > 1:
        middle = (count + reach) // 2
        count, reach = (middle, reach) if works(opt + step * middle) else (count, middle)
    return opt + step * count


def _works(dimensions: Dimensions, assignment: Assignment) -> bool:
    return not dimensions.shapes(assignment).failures


def main() -> None:
    """In a process of its own: a `Question` on stdin, why there is no answer and a list of `WidestFound` on stdout."""
    from friction_tui.processes.stdio import take_stdout

    channel = take_stdout()
    question = msgspec.json.decode(sys.stdin.buffer.read(), type=Question)
    model = open_model(Path(question.path))
    whole = model.file.kind == "onnx"
    found = widest_ranges(model, default_profile(model, question.profile or Profile())) if whole else []
    channel.write(msgspec.json.encode((model.file.error, found)))
    channel.flush()


if __name__ == "__main__":
    main()
