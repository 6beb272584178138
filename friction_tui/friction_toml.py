"""`friction.toml`: a recipe and the team's agreements about a model, in a file that lives beside it.

    opset = 18                      # convert the model to it
    required_opset = 18             # or: a model of another opset is an error
    opset_why = "the runtime on the device takes no newer one"
    required_tensorrt = ["10.3"]    # what these versions are known to refuse is an error
    target = "SM89"
    precision = "fp16"
    keep_float32 = ["norm/Pow", "norm/ReduceMean"]    # names of nodes

    [source]
    path = "detector.onnx"          # relative to this file

    [profile.N]
    min = 1
    opt = 4
    max = 8

    [builder]                       # options of the builder, as `friction-tui options` lists them
    workspace = "512MiB"
    optimization_level = 4

    [[more_profiles]]               # one for every further optimization profile
    ranges.N = { min = 16, opt = 16, max = 32 }

    [[allow]]
    kind = "older/int64-range"
    until = 2027-01-31
    why = "token ids fit 32 bits"

`friction.toml` applies to every model in its folder, or to the one it names; `detector.friction.toml` to detector.onnx
alone, and then only it counts. Every table may be left out. Consent to run the code in a model is never written here:
it belongs to one person.
"""

from __future__ import annotations

import datetime
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import msgspec

from friction_tui.files import BadFile, read_toml, read_whole, write_whole
from friction_tui.kinds import KINDS, unknown
from friction_tui.onnx_folder import models_to_choose
from friction_tui.vocabulary.recipe import (
    ExportOptions,
    Precision,
    Profile,
    Range,
    Recipe,
    Rewrite,
    Source,
    SourceKind,
    Value,
    Values,
)
from friction_tui.vocabulary.recipe.builder_options import BY_NAME, Takes, merged, placed, written
from friction_tui.vocabulary.recipe.builder_options import checked as checked_options
from friction_tui.vocabulary.recipe.text import RecipeTextError, checked, parse_relations

FILE_NAME = "friction.toml"


class RecipeFileError(Exception):
    """A recipe file that cannot be used: which, where in it, and the rule."""


class Allowed(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A finding the team lives with. `names` are nodes or tensors, none meaning all; `until` is its last day."""

    kind: str
    names: tuple[str, ...] = ()
    until: datetime.date | None = None
    why: str = ""

    def __str__(self) -> str:
        """The kind, with the names it is limited to."""
        return self.kind + (f" at {', '.join(self.names)}" if self.names else "")

    def covers(self, kind: str, names: tuple[str, ...]) -> bool:
        """Whether it is about a finding of this kind, all of whose locations are `names`."""
        return kind == self.kind and (not self.names or (bool(names) and set(names) <= set(self.names)))

    def holds(self, today: datetime.date) -> bool:
        """Whether it has not run out."""
        return self.until is None or today <= self.until


class RecipeFile(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What the file says. `profile` maps dim keys to ranges, `values` shape-tensor inputs to their values.

    These are the first optimization profile, number 0; `more_profiles` are those behind it.
    """

    source: Source | None = None
    opset: int | None = None
    required_opset: int | None = None
    opset_why: str = ""
    required_tensorrt: tuple[Annotated[str, msgspec.Meta(pattern=r"^\d+(\.\d+){1,3}$")], ...] = ()
    target: str = ""
    precision: Precision = Precision.AS_EXPORTED
    keep_float32: tuple[str, ...] = ()
    no_profile: bool = False
    guessed: tuple[str, ...] = ()
    relations: tuple[str, ...] = ()
    """Equations between sizes, such as `total = past + seq`; they hold in every profile."""
    parse: bool = True
    builder: dict[str, Value] = {}
    """Options of the builder; an amount of memory is a text such as `512MiB`, or bytes."""
    profile: dict[str, Range] = {}
    values: dict[str, Values] = {}
    more_profiles: tuple[Profile, ...] = ()
    rewrites: tuple[Rewrite, ...] = ()
    export: ExportOptions | None = None
    allow: tuple[Allowed, ...] = ()
    also: tuple[str, ...] = ()
    """Interpreters of other environments whose TensorRT is asked too, beside this file if relative."""

    def recipe(self, source: Source | None = None) -> Recipe:
        """The recipe it holds, for `source` if given, else for its own."""
        source = source or self.source
        if source is None:
            raise RecipeFileError(f"{FILE_NAME} names no model: add [source] with a path, or name the model yourself.")
        profile = Profile(self.profile, self.values, self.guessed, self.relations)
        more = tuple(msgspec.structs.replace(one, relations=self.relations) for one in self.more_profiles)
        return Recipe(
            source=source,
            profile=None if self.no_profile else profile,
            opset=self.opset,
            required_opset=self.required_opset,
            opset_why=self.opset_why if self.required_opset is not None else "",
            required_tensorrt=self.required_tensorrt,
            target=self.target,
            precision=self.precision,
            keep_float32=self.keep_float32,
            others=() if self.no_profile else more,
            rewrites=self.rewrites,
            export=self.export or ExportOptions(),
            parse=self.parse,
            builder=self.builder,
        )


def from_recipe(recipe: Recipe, older: RecipeFile | None = None) -> RecipeFile:
    """The file that holds a recipe, with what the team agreed on in an `older` one."""
    profile, *more = recipe.profiles or (Profile(),)
    agreed = older or RecipeFile()
    return RecipeFile(
        source=msgspec.structs.replace(recipe.source, consent_hash=""),
        opset=recipe.opset,
        required_opset=recipe.required_opset,
        required_tensorrt=recipe.required_tensorrt,
        opset_why=recipe.opset_why or (agreed.opset_why if recipe.opset == agreed.opset else ""),
        target=recipe.target,
        precision=recipe.precision,
        keep_float32=recipe.keep_float32,
        no_profile=recipe.profile is None,
        guessed=profile.guessed,
        relations=profile.relations,
        parse=recipe.parse,
        builder={name: _as_written(name, value) for name, value in recipe.builder.items()},
        profile=profile.ranges,
        values=profile.values,
        more_profiles=tuple(msgspec.structs.replace(one, relations=()) for one in more),
        rewrites=recipe.rewrites,
        export=None if recipe.export == ExportOptions() else recipe.export,
        allow=agreed.allow,
        also=agreed.also,
    )


def _near(name: str, value: Value, folder: Path) -> Value:
    """Files as they are seen from the folder."""
    files = BY_NAME[name].takes is Takes.FILES and isinstance(value, tuple)
    return tuple(os.path.relpath(path, folder) for path in value) if files and isinstance(value, tuple) else value


def _as_written(name: str, value: Value) -> Value:
    """Switches and numbers are TOML's own, memory is a text with its unit."""
    return value if isinstance(value, bool | tuple) else _text_or_number(written(BY_NAME[name], value))


def _text_or_number(text: str) -> Value:
    return int(text) if text.isdecimal() else text


def text(held: RecipeFile) -> str:
    """What the file holds, as it is written."""
    return msgspec.toml.encode(held).decode()


def save(held: RecipeFile, path: Path) -> Path:
    """Write the file, whole or not at all; the model's path becomes relative to it. Returns where."""
    folder = path.absolute().parent
    folder.mkdir(parents=True, exist_ok=True)
    if held.source is not None and not _is_module(held.source):
        near = os.path.relpath(Path(held.source.path).absolute(), folder)
        held = msgspec.structs.replace(held, source=msgspec.structs.replace(held.source, path=near))
    held = msgspec.structs.replace(held, builder={n: _near(n, value, folder) for n, value in held.builder.items()})
    write_whole(path, msgspec.toml.encode(held))
    return path


def load(path: Path) -> RecipeFile:
    """Read the file; the model's path becomes absolute. RecipeFileError names the place and the rule it breaks."""
    try:
        text = read_whole(path)
        held = read_toml(text, RecipeFile)
    except OSError as error:
        raise RecipeFileError(f"{path} cannot be read: {error.strerror or error}.") from error
    except BadFile as error:  # it came with a model: anything is in it
        raise RecipeFileError(f"{path}: {error}. Correct it there, or delete the file to start afresh.") from error
    for allowed, where in zip(held.allow, _allow_lines(text.decode()), strict=False):
        if allowed.kind not in KINDS:
            raise RecipeFileError(f"{path}{where}: {unknown(allowed.kind)}")
    try:
        held = msgspec.structs.replace(held, relations=parse_relations(held.relations))
    except RecipeTextError as error:
        raise RecipeFileError(f"{path}: relations: {str(error).removeprefix('--relation: ')}.") from error
    try:
        options = placed(checked_options(held.builder, "builder"), path.absolute().parent)
        held = msgspec.structs.replace(held, builder=merged({}, options))
    except RecipeTextError as error:
        raise RecipeFileError(f"{path}: {error}.") from error
    _check(path, "profile", "values", Profile(held.profile, held.values))
    for number, profile in enumerate(held.more_profiles):
        _check(path, f"more_profiles[{number}].ranges", f"more_profiles[{number}].values", profile)
    if held.source is None:
        return held
    full = os.path.normpath(path.absolute().parent / held.source.path)
    where = held.source.path if _is_module(held.source) else full
    return msgspec.structs.replace(held, source=msgspec.structs.replace(held.source, path=where, consent_hash=""))


def _allow_lines(text: str) -> Iterator[str]:
    """`:7`, the line of the kind of each `[[allow]]` table in order, then "" for tables written in another way."""
    inside = False
    for number, line in enumerate(text.splitlines(), 1):
        if line.lstrip().startswith("["):
            inside = re.match(r"\s*\[\[\s*allow\s*\]\]", line) is not None
        elif inside and re.match(r"\s*kind\s*=", line):
            yield f":{number}"
    while True:
        yield ""


def _check(path: Path, ranges: str, values: str, profile: Profile) -> None:
    """Raise RecipeFileError for a range that breaks the rule; `ranges` and `values` are what its tables are called."""
    for key, chosen in profile.ranges.items():
        try:
            checked(chosen.min, chosen.opt, chosen.max, f"{ranges}.{key}", chosen.step)
        except RecipeTextError as error:
            raise RecipeFileError(f"{path}: {error}.") from error
    for name, given in profile.values.items():
        if len({len(given.min), len(given.opt), len(given.max)}) > 1:
            raise RecipeFileError(f"{path}: {values}.{name} has different counts at min, opt and max.")


def of_model(model: Path) -> tuple[Path, RecipeFile | None]:
    """Where the recipe of `model` is written, and what is agreed on it already, None where nothing is.

    A `friction.toml` that names another model, or none, is left alone: the model gets a file of its own beside it.
    Raises RecipeFileError for a file that cannot be used.
    """
    folder = model if model.is_dir() else model.parent
    shared, own = folder / FILE_NAME, folder / f"{model.stem}.{FILE_NAME}"
    if own.is_file():
        return own, load(own)
    if not shared.is_file():
        return shared, None
    held = load(shared)
    if held.source is None:
        return own, held
    return (shared, held) if Path(held.source.path).absolute() == model.absolute() else (own, None)


def with_file(recipe: Recipe) -> tuple[Recipe, RecipeFile]:
    """The recipe completed from the file beside its model, and that file, an empty one where there is none.

    A folder that several models can be chosen from has no recipe of its own: each of the models has. What `recipe`
    chose already wins. Every way to open a model ends here. Raises RecipeFileError.
    """
    path = Path(recipe.source.path)
    _, held = of_model(path) if not (path.is_dir() and models_to_choose(path)) else (path, None)
    if held is None:
        return msgspec.structs.replace(recipe, builder=merged({}, recipe.builder)), RecipeFile()
    agreed = held.recipe(recipe.source)
    chosen = msgspec.structs.replace(
        recipe,
        opset=recipe.opset or agreed.opset,
        required_opset=recipe.required_opset or agreed.required_opset,
        opset_why=recipe.opset_why or agreed.opset_why,
        required_tensorrt=recipe.required_tensorrt or agreed.required_tensorrt,
        target=recipe.target or agreed.target,
        precision=agreed.precision if recipe.precision is Precision.AS_EXPORTED else recipe.precision,
        keep_float32=recipe.keep_float32 or agreed.keep_float32,
        profile=_ranges(recipe.profile, agreed.profile),
        others=recipe.others or (agreed.others if recipe.profile is not None else ()),
        rewrites=recipe.rewrites or agreed.rewrites,
        export=agreed.export if recipe.export == ExportOptions() else recipe.export,
        builder=merged(agreed.builder, recipe.builder),
        plugins_agreed=recipe.plugins_agreed,
    )
    return chosen, held


def _ranges(chosen: Profile | None, agreed: Profile | None) -> Profile | None:
    if chosen is None or agreed is None:
        return chosen if chosen is None or chosen.ranges or chosen.values else None
    return Profile(
        ranges={**agreed.ranges, **chosen.ranges},
        values={**agreed.values, **chosen.values},
        relations=tuple(dict.fromkeys((*agreed.relations, *chosen.relations))),
    )


def _is_module(source: Source) -> bool:
    """Whether the path is an importable module, which has no folder."""
    return (
        bool(source.factory)
        and source.kind is SourceKind.PYTORCH
        and "/" not in source.path
        and not source.path.endswith(".py")
    )
