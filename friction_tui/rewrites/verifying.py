"""Verifying a recipe's rewrites in a child process: both models run, which takes time and native code."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec
import onnx

from friction_tui.model.opened import OpenedModel, open_model
from friction_tui.model.shapes.point_shapes import input_sizes
from friction_tui.processes.begin import command
from friction_tui.processes.child import run
from friction_tui.rewrites.apply import RecipeRefused, apply
from friction_tui.rewrites.verification import Verification, not_run, verify
from friction_tui.vocabulary.recipe import POINTS, Profile, Range, Recipe

LARGEST = 1 << 30
"""Bytes of weights up to which both models are loaded and run; above, that takes too much memory."""
TOO_LARGE = "the weights are larger than 1 GiB; compare the two models yourself"

Point = tuple[dict[str, tuple[int, ...]], dict[str, tuple[int, ...]]]


class Question(msgspec.Struct, frozen=True):
    """What the child is asked: whether `recipe`'s rewrites keep the results of the model at `path`."""

    path: str
    recipe: Recipe


LIMIT_S = 300.0
"""Seconds for the whole: rewriting again and loading both models, which nothing can stop, and running them."""


def verification_of(base: OpenedModel, recipe: Recipe, stop: Callable[[], bool]) -> Verification | None:
    """The verification of the recipe's rewrites; None when it has no rewrites. Raises Stopped when `stop` says so."""
    if not recipe.rewrites:
        return None
    weights = sum(tensor.ByteSize() for tensor in base.proto.graph.initializer)
    weights += sum(file.size_on_disk or 0 for file in {file.path: file for file in base.external}.values())
    if weights > LARGEST:
        return not_run(TOO_LARGE)
    question = msgspec.json.encode(Question(str(base.path), recipe))
    done = run(command(__name__), question, stop=stop, limit_s=LIMIT_S)
    if done.code is None:
        return not_run(f"rewriting and running both models takes longer than {LIMIT_S:g} s")
    if done.code != 0:
        return not_run(done.last_line)
    return msgspec.json.decode(done.out, type=Verification)


def main() -> None:
    """In a process of its own: a `Question` on stdin, a `Verification` on stdout."""
    from onnx.external_data_helper import load_external_data_for_model

    from friction_tui.processes.stdio import take_stdout

    channel = take_stdout()
    question = msgspec.json.decode(sys.stdin.buffer.read(), type=Question)
    base = open_model(Path(question.path))
    pair = [onnx.ModelProto(), onnx.ModelProto()]
    for proto, model in zip(pair, _without_and_with(base, question.recipe), strict=True):
        proto.CopyFrom(model.proto)
        load_external_data_for_model(proto, str(base.path.parent))
    changes = changes_of(rewrite.name for rewrite in question.recipe.rewrites)
    found = verify(pair[0], pair[1], points_of(base, question.recipe), changes=changes)
    channel.write(msgspec.json.encode(found))
    channel.flush()


def _without_and_with(base: OpenedModel, recipe: Recipe) -> tuple[OpenedModel, OpenedModel]:
    """The model without and with the rewrites, and with no other edit where they fit without.

    Else with the opset, then the precision, of the recipe too, in both models: it is the rewrites that are compared.
    """
    rewrites, opset, asked = recipe.rewrites, recipe.opset, recipe.precision
    alone = Recipe(source=recipe.source)
    converted = msgspec.structs.replace(alone, opset=opset)
    in_half = msgspec.structs.replace(converted, precision=asked, keep_float32=recipe.keep_float32)
    for others in (alone, converted):
        with contextlib.suppress(RecipeRefused):
            rewritten = apply(base, msgspec.structs.replace(others, rewrites=rewrites))
            return apply(base, others), rewritten
    return apply(base, in_half), apply(base, msgspec.structs.replace(in_half, rewrites=rewrites))


def changes_of(names: Iterable[str]) -> str:
    """What rewrites of these names change on purpose, "" where they keep the results."""
    from friction_tui.rewrites import REWRITES

    changing = [rewriter for name in names if not (rewriter := REWRITES[name]).keeps_outputs]
    return "; ".join(dict.fromkeys(rewriter.changes or rewriter.title for rewriter in changing))


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
