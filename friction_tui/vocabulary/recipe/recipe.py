"""What the user chose: source, shape ranges, opset, precision, target, rewrites.

A recipe is immutable. Every edit makes a new one, undo is the previous one, and source plus recipe
rebuild a whole session, so any process can be killed without losing anything.
"""

from __future__ import annotations

import enum
from typing import Annotated, TypeAlias

import msgspec

Value: TypeAlias = bool | int | str | tuple[str, ...]
"""The value of a builder option. Memory is in bytes."""


class Range(msgspec.Struct, frozen=True, omit_defaults=True):
    """The sizes one dimension may take at run time, in elements: `min` <= `opt` <= `max`.

    With a `step` only min, min + step, min + 2·step and so on are ever fed, which TensorRT does not know of: checks
    look at no other sizes then.
    """

    min: int
    opt: int
    max: int
    step: int = 1

    def at(self, point: str) -> int:
        """The size at `point`: "min", "opt" or "max"."""
        return {"min": self.min, "opt": self.opt, "max": self.max}[point]

    def nearest(self, size: int) -> int:
        """The size of the range that is nearest to `size`, the lower of two; `max` is on the step like all others."""
        last = (self.max - self.min) // self.step
        return self.min + self.step * min(max((size - self.min + (self.step - 1) // 2) // self.step, 0), last)


class Values(msgspec.Struct, frozen=True):
    """The values of an input that TensorRT reads as a shape, flattened, at min, opt and max."""

    min: tuple[int, ...]
    opt: tuple[int, ...]
    max: tuple[int, ...]

    def at(self, point: str) -> tuple[int, ...]:
        """The values at `point`: "min", "opt" or "max"."""
        return {"min": self.min, "opt": self.opt, "max": self.max}[point]


POINTS = ("min", "opt", "max")


class Profile(msgspec.Struct, frozen=True, omit_defaults=True):
    """An optimization profile.

    `ranges` maps a *dim key* to its range: the symbol of a symbolic dimension (`N`), shared by every
    input that uses it, or `input[axis]` for a dimension without a symbol. An `input[axis]` entry wins
    over the symbol, and over a size fixed in the model (TensorRT then refuses it, and a finding says so).
    `values` maps a shape-tensor input to its values. `guessed` lists the keys that were not chosen: the tool
    proposed them, and says so wherever they are shown. `relations` are equations that the sizes satisfy whenever the
    model runs, such as `total = past + seq` (see `friction_tui.vocabulary.recipe.relations`).
    """

    ranges: dict[str, Range] = {}
    values: dict[str, Values] = {}
    guessed: tuple[str, ...] = ()
    relations: tuple[str, ...] = ()


def dim_key(input_name: str, axis: int, dim: int | str) -> str:
    """The key under which a dimension's range is kept. `dim` is its declared size, symbol, or "" for unknown."""
    return dim if isinstance(dim, str) and dim else f"{input_name}[{axis}]"


class SourceKind(enum.StrEnum):
    """What the user's file is. AUTO: not looked at yet; the worker finds out when it opens it."""

    AUTO = "auto"
    ONNX = "onnx"
    PYTORCH = "pytorch"
    EXPORTED_PROGRAM = "pt2"
    TORCHSCRIPT = "torchscript"
    TENSORFLOW = "tensorflow"
    HUGGING_FACE = "hugging-face"
    ENGINE = "engine"


class InputSpec(msgspec.Struct, frozen=True):
    """An example input for an export: `--input name:shape:dtype`."""

    name: str
    shape: tuple[int, ...]
    dtype: str = "float32"


class Source(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where the model comes from.

    `path` is a file or directory, or an importable module for `package.module:factory`; `factory` the
    callable's name. `state_dict` is a checkpoint to load into it. `consent` says that the user agreed to
    run the code in it, for exactly the bytes whose SHA-256 is `consent_hash`.
    """

    path: str
    kind: SourceKind = SourceKind.ONNX
    factory: str = ""
    state_dict: str = ""
    inputs: tuple[InputSpec, ...] = ()
    consent_hash: str = ""


class ExportOptions(msgspec.Struct, frozen=True, omit_defaults=True):
    """How torch.onnx.export or tf2onnx is called."""

    legacy: bool = False
    optimize: bool = True
    external_data: bool = True
    keep_initializers: bool = False
    timeout_s: Annotated[float, msgspec.Meta(gt=0, le=1e9)] = 600.0  # neither inf nor nan
    memory_limit_mb: Annotated[int, msgspec.Meta(ge=0, le=10**9)] = 0


class Precision(enum.StrEnum):
    """Numeric precision. AS_EXPORTED leaves the model's own types.

    FP16 and BF16 are builder flags on TensorRT 10 and edits of the model on TensorRT 11 and RTX. INT8 and FP8
    exist only as TensorRT 10 builder flags.
    """

    AS_EXPORTED = "as-exported"
    FP16 = "fp16"
    BF16 = "bf16"
    INT8 = "int8"
    FP8 = "fp8"


class Rewrite(msgspec.Struct, frozen=True, omit_defaults=True):
    """A fix the user applied: the name of a rewrite in `friction_tui.rewrites`, and where.

    `nodes` name nodes by what they write (see `friction_tui.model.references`), so that they stay the same nodes after
    another edit or export.
    """

    name: str
    nodes: tuple[str, ...] = ()


class Recipe(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Everything the user chose for one model.

    `profile` None means deliberately no profile. `opset` None keeps the model's own. `target` is a
    compute capability such as `SM89`, or "" for every one the installed TensorRT offers by default.
    `keep_float32` names the nodes that stay float32 when `precision` is fp16 or bf16.

    An engine may have several optimization profiles, counted from 0 as TensorRT counts them. `profile` is the one
    that is looked at and edited, the one at `position`; `others` are the rest, in their order.
    """

    source: Source
    profile: Profile | None = Profile()
    opset: int | None = None
    target: str = ""
    precision: Precision = Precision.AS_EXPORTED
    keep_float32: tuple[str, ...] = ()
    rewrites: tuple[Rewrite, ...] = ()
    export: ExportOptions = ExportOptions()
    others: tuple[Profile, ...] = ()
    position: int = 0
    required_opset: int | None = None
    """The opset that the model must have, None for any. Nothing is converted for it: a model of another one fails."""
    opset_why: str = ""
    """Why that opset is required, in the words of the team; "" where nobody said."""
    required_tensorrt: tuple[str, ...] = ()
    """Versions of TensorRT, such as `10.3`, that must take the model beside the one installed here."""
    parse: bool = True
    """Whether to ask TensorRT's parser; turned off for a model that crashed it."""
    builder: dict[str, Value] = {}
    """Options of the builder that were chosen (see `friction_tui.vocabulary.recipe.builder_options`)."""
    plugins_agreed: tuple[str, ...] = ()
    """SHA-256 of the plug-in libraries whose code the user agreed to run (see `friction_tui.plugin_libraries`)."""

    @property
    def profiles(self) -> tuple[Profile, ...]:
        """Every profile in its order; () when there is deliberately none."""
        if self.profile is None:
            return ()
        return (*self.others[: self.position], self.profile, *self.others[self.position :])

    def with_profiles(self, profiles: tuple[Profile, ...], position: int) -> Recipe:
        """The recipe with these profiles, at least one, and the one at `position` to look at."""
        others = profiles[:position] + profiles[position + 1 :]
        return msgspec.structs.replace(self, profile=profiles[position], others=others, position=position)

    def at_profile(self, position: int) -> Recipe:
        """The same recipe, looking at another of its profiles: the one at `position`, counted round."""
        return self.with_profiles(self.profiles, position % len(self.profiles)) if self.profile is not None else self

    def with_range(self, key: str, chosen: Range) -> Recipe:
        """The recipe with one dimension range changed; the range is the user's from now on."""
        profile = self.profile or Profile()
        return msgspec.structs.replace(
            self,
            profile=msgspec.structs.replace(
                profile,
                ranges={**profile.ranges, key: chosen},
                guessed=tuple(k for k in profile.guessed if k != key),
            ),
        )

    def with_relations(self, relations: tuple[str, ...]) -> Recipe:
        """The recipe with these relations in each of its profiles: they hold for the model, whatever is built."""
        profiles = self.profiles or (Profile(),)
        changed = tuple(msgspec.structs.replace(profile, relations=relations) for profile in profiles)
        return self.with_profiles(changed, self.position)

    def with_values(self, input_name: str, chosen: Values) -> Recipe:
        """The recipe with the values of one shape-tensor input changed."""
        profile = self.profile or Profile()
        return msgspec.structs.replace(
            self,
            profile=msgspec.structs.replace(
                profile,
                values={**profile.values, input_name: chosen},
                guessed=tuple(key for key in profile.guessed if key != input_name),
            ),
        )


class History(msgspec.Struct, frozen=True):
    """A recipe with its past and future. Undo and redo return a new history."""

    present: Recipe
    past: tuple[Recipe, ...] = ()
    future: tuple[Recipe, ...] = ()

    def edit(self, recipe: Recipe) -> History:
        """The history after an edit; what had been undone is gone. An edit that changes nothing is none."""
        if recipe == self.present:
            return self
        return History(present=recipe, past=(*self.past, self.present))

    def undo(self) -> History:
        """One step back; unchanged at the beginning."""
        if not self.past:
            return self
        return History(present=self.past[-1], past=self.past[:-1], future=(self.present, *self.future))

    def redo(self) -> History:
        """One step forward; unchanged at the end."""
        if not self.future:
            return self
        return History(present=self.future[0], past=(*self.past, self.present), future=self.future[1:])

    @property
    def steps(self) -> tuple[Recipe, ...]:
        """Every recipe there was, oldest first, those that were undone included."""
        return (*self.past, self.present, *self.future)

    def at(self, step: int) -> History:
        """The history at one of its `steps`; nothing is forgotten."""
        steps = self.steps
        return History(present=steps[step], past=steps[:step], future=steps[step + 1 :])
