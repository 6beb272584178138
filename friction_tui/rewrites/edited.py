"""The recipe's edits of the model, made in a child process: converters are native code and take their time."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import onnx

from friction_tui.model.opened import OpenedModel, from_proto, open_model
from friction_tui.processes.begin import command
from friction_tui.processes.child import run
from friction_tui.rewrites.apply import RecipeRefused, apply, changes_model
from friction_tui.vocabulary.finding import Location
from friction_tui.vocabulary.recipe import Recipe, Rewrite

PROTOBUF_LIMIT = 2**31 - 1
"""Bytes protobuf can hold in one message; larger models keep their weights in a file beside."""


class Edit(msgspec.Struct, frozen=True):
    """What the child is asked: the model at `path` with the recipe applied, written to `out`."""

    path: str
    recipe: Recipe
    out: str
    weak_types: bool


class EditRefused(msgspec.Struct, frozen=True):
    """The child's answer when a step does not apply."""

    what: str
    why: str
    next_step: str
    location: Location | None = None
    rewrite: Rewrite | None = None
    kept: tuple[str, ...] = ()


def edited(base: OpenedModel, recipe: Recipe, out: Path, *, weak_types: bool, stop: Callable[[], bool]) -> OpenedModel:
    """`base` as the recipe makes it; `base` itself when the recipe changes nothing.

    Raises RecipeRefused when a step does not apply or the converter dies, Stopped when `stop` says so.
    """
    if not changes_model(recipe, weak_types=weak_types):
        return base
    edit = Edit(str(base.path), recipe, str(out), weak_types)
    done = run(command(__name__), msgspec.json.encode(edit), stop=stop)
    if done.code != 0:
        raise RecipeRefused(
            "The model could not be edited", done.last_line, "Undo the last step with u; the model is unchanged."
        )
    if done.out.strip():
        refused = msgspec.json.decode(done.out, type=EditRefused)
        raise RecipeRefused(
            refused.what, refused.why, refused.next_step, refused.location, rewrite=refused.rewrite, kept=refused.kept
        )
    return from_proto(onnx.load(str(out), load_external_data=False), base.path)


def write(proto: onnx.ModelProto, out: Path) -> None:
    """Write a model, weights beside it when they do not fit into one protobuf message."""
    beside = proto.ByteSize() > PROTOBUF_LIMIT - 2**20
    onnx.save(proto, str(out), save_as_external_data=beside, location=f"{out.name}.data" if beside else None)


def main() -> None:
    """In a process of its own: an `Edit` on stdin, the refusal (or nothing) on stdout."""
    from friction_tui.processes.stdio import take_stdout

    channel = take_stdout()
    edit = msgspec.json.decode(sys.stdin.buffer.read(), type=Edit)
    try:
        base = open_model(Path(edit.path))
        if base.file.kind != "onnx":
            why = f"{edit.path} can no longer be read: {base.file.error or base.file.kind}"
            raise RecipeRefused("The model could not be edited", why, "Put the file back, or open another model.")
        model = apply(base, edit.recipe, weak_types=edit.weak_types)
    except RecipeRefused as error:
        refused = EditRefused(error.what, error.why, error.next_step, error.location, error.rewrite, error.kept)
        channel.write(msgspec.json.encode(refused))
    else:
        write(model.proto, Path(edit.out))
    channel.flush()
