"""Verifying a recipe's rewrites in a child process: both models run, which takes time and native code."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import onnx

from friction_tui.model.opened import OpenedModel, open_model
from friction_tui.model.shapes.point_shapes import input_sizes
from friction_tui.processes.begin import command
from friction_tui.processes.child import run
from friction_tui.vocabulary.recipe import POINTS, Profile, Range, Recipe

if TYPE_CHECKING:
    from friction_tui.rewrites.verification import Verification

LARGEST = 1 << 30
"""Bytes of weights up to which both models are loaded and run; above, that takes too much memory."""

Point = tuple[dict[str, tuple[int, ...]], dict[str, tuple[int, ...]]]


class Question(msgspec.Struct, frozen=True):
    """What the child is asked: whether `recipe`'s rewrites keep the results of the model at `path`."""

    path: str
    recipe: Recipe


LIMIT_S = 1800.0
"""Seconds that running both models may take; a graph can be made to run without end."""


def verification_of(base: OpenedModel, recipe: Recipe, stop: Callable[[], bool]) -> Verification | None:
    """The verification of the recipe's rewrites; None when it has no rewrites. Raises Stopped when `stop` says so."""
    names = [rewrite.name for rewrite in recipe.rewrites]
    if not names:
        return None
    from friction_tui.rewrites import REWRITES
    from friction_tui.rewrites.verification import Verification

    changing = [name for name in names if not REWRITES[name].keeps_outputs]
    if changing:
        return Verification(0, 0, 0, 0.0, "", f"{', '.join(changing)} changes the results on purpose")
    weights = sum(tensor.ByteSize() for tensor in base.proto.graph.initializer)
    weights += sum(file.size_on_disk or 0 for file in {file.path: file for file in base.external}.values())
    if weights > LARGEST:
        return Verification(0, 0, 0, 0.0, "", "the weights are larger than 1 GiB; compare the two models yourself")
    question = msgspec.json.encode(Question(str(base.path), recipe))
    done = run(command(__name__), question, stop=stop, limit_s=LIMIT_S)
    if done.code != 0:
        return Verification(0, 0, 0, 0.0, "", done.last_line)
    return msgspec.json.decode(done.out, type=Verification)


def main() -> None:
    """In a process of its own: a `Question` on stdin, a `Verification` on stdout."""
    from onnx.external_data_helper import load_external_data_for_model

    from friction_tui.processes.stdio import take_stdout
    from friction_tui.rewrites.apply import apply
    from friction_tui.rewrites.verification import verify

    channel = take_stdout()
    question = msgspec.json.decode(sys.stdin.buffer.read(), type=Question)
    base = open_model(Path(question.path))
    only_rewrites = Recipe(source=question.recipe.source, rewrites=question.recipe.rewrites)
    after = onnx.ModelProto()
    after.CopyFrom(apply(base, only_rewrites).proto)
    for proto in (base.proto, after):
        load_external_data_for_model(proto, str(base.path.parent))
    channel.write(msgspec.json.encode(verify(base.proto, after, points_of(base, question.recipe))))
    channel.flush()


def points_of(base: OpenedModel, recipe: Recipe) -> list[Point]:
    """The sizes and values at min, opt and max, and one short of max, where odd sizes show; each different one once."""
    points: list[Point] = []
    profile = recipe.profile
    odd = {
        key: Range(r.max - 1, r.max - 1, r.max - 1)
        for key, r in (profile.ranges if profile else {}).items()
        if r.max - 1 > r.min
    }
    for point, chosen in (*((point, profile) for point in POINTS), ("opt", _with_ranges(profile, odd))):
        values = chosen.values.items() if chosen else ()
        here = (input_sizes(base, chosen, point), {name: given.at(point) for name, given in values})
        if here not in points and len(here[0]) == len(base.index.inputs):
            points.append(here)
    return points


def _with_ranges(profile: Profile | None, ranges: dict[str, Range]) -> Profile | None:
    return msgspec.structs.replace(profile, ranges={**profile.ranges, **ranges}) if profile else None
