"""Shapes as people type them: `--shapes "x:1x3x224x224..4x3x224x224..8x3x224x224"`, trtexec's flags, `1..4..8`.

Text becomes a `Profile`, or a refusal that names the input and the rule it breaks. Nothing heavy is imported:
the command line and the editor share this module. How a profile is printed again is in `recipe.commands`.
"""

from __future__ import annotations

import difflib
import math
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from friction_tui.vocabulary.protocol import Port
from friction_tui.vocabulary.recipe import POINTS, InputSpec, Profile, Range, Values, dim_key
from friction_tui.vocabulary.recipe.relations import RelationError, parse_relation

LARGEST = 2**31 - 1
"""TensorRT's documented limit for the elements of one tensor, so no dimension is larger."""
RULE = "0 ≤ min ≤ opt ≤ max, and max at least 1"
"""What `IOptimizationProfile` accepts; an all-empty range would build an engine for nothing."""
STEP_RULE = "sizes with a step are min, min + step, min + 2·step and so on up to max"
TRTEXEC_FLAGS = ("--minShapes", "--optShapes", "--maxShapes")
SHAPE_FLAGS = ("--shapes", "--shape-values", *TRTEXEC_FLAGS, "--relation")
EXAMPLE_TYPES = (
    *("float32", "float16", "bfloat16", "float64"),
    *("int64", "int32", "int16", "int8", "uint8", "bool", "complex64"),
)
"""The types an example input of an export can have, by torch's names."""
PROFILE_MARK = "\x1f"
"""Between the name of a profile and the value of a shape flag that belongs to it."""
SCALAR = "scalar"
"""How trtexec writes the shape of an input of rank 0."""

_RANGE_SEPARATOR = re.compile(r"\s*(?:\.\.+|…|(?<=[0-9])\s*[-–]|:|,|;|·|/|\s)\s*")
"""A dash separates only where a size stands before it: `-3` is below 0, not 3."""
_STEP = re.compile(r"\s*\b(?:step|by)\b\s*", re.IGNORECASE)


class RecipeTextError(ValueError):
    """A text that is not a shape, range or profile; the message is for the person who typed it."""


class ProfileRuleError(RecipeTextError):
    """A text that is understood, and describes a profile which TensorRT does not take."""


@dataclass(frozen=True, slots=True)
class Shapes:
    """The shape of one input at min, opt and max, in elements."""

    min: tuple[int, ...]
    opt: tuple[int, ...]
    max: tuple[int, ...]
    step: tuple[int, ...] = ()
    """The step of each axis; () for 1 everywhere."""

    @property
    def ranges(self) -> tuple[Range, ...]:
        """The range of each axis."""
        steps = self.step or (1,) * len(self.min)
        return tuple(Range(*sizes) for sizes in zip(self.min, self.opt, self.max, steps, strict=True))

    def at(self, point: str) -> tuple[int, ...]:
        """The shape at `point`: "min", "opt" or "max"."""
        return {"min": self.min, "opt": self.opt, "max": self.max}[point]


def checked(low: int, opt: int, high: int, what: str, step: int = 1) -> Range:
    """A range that keeps the rule; ProfileRuleError says by which of its numbers `what` breaks it."""
    if low < 0:
        raise ProfileRuleError(f"{what}: min {low} is below 0; the rule is {RULE}")
    if low > opt:
        raise ProfileRuleError(f"{what}: min {low} is above opt {opt}; the rule is {RULE}")
    if opt > high:
        raise ProfileRuleError(f"{what}: opt {opt} is above max {high}; the rule is {RULE}")
    if high < 1:
        raise ProfileRuleError(f"{what}: max is 0, so every tensor would be empty; the rule is {RULE}")
    if high > LARGEST:
        raise ProfileRuleError(f"{what}: max {high} is above {LARGEST}, TensorRT's limit for a whole tensor")
    if step < 1:
        raise ProfileRuleError(f"{what}: step {step} is below 1; {STEP_RULE}")
    for point, size in (("opt", opt), ("max", high)):
        if (size - low) % step:
            below = size - (size - low) % step
            raise ProfileRuleError(
                f"{what}: {point} {size} is not on the step {step}, {below} and {below + step} are; {STEP_RULE}"
            )
    return Range(low, opt, high, step if low < high else 1)


def parse_range(text: str, what: str, current: Range | None = None) -> Range:
    """A typed range: `8` for all three, `1..4..8` (also with spaces, dashes or commas), `320-640` for min and max.

    With two sizes opt stays the one of `current`, moved into the new range where it has to be; without `current`
    it is max. `64..512 step 8` has a step; without one a range has the step 1. Raises RecipeTextError with `what` and
    the rule.
    """
    text, step = _without_step(text, what)
    words = [word for word in _RANGE_SEPARATOR.split(text.strip()) if word]
    if not words:
        raise RecipeTextError(f"{what}: type one size, min..max, or min..opt..max")
    sizes = [_size(word, what) for word in words]
    if len(sizes) == 1:
        return checked(sizes[0], sizes[0], sizes[0], what, step)
    if len(sizes) == 2:
        low, high = sizes
        if low > high:
            raise ProfileRuleError(f"{what}: min {low} is above max {high}; the rule is {RULE}")
        checked(low, low, high, what, step)
        return checked(low, Range(low, low, high, step).nearest(current.opt if current else high), high, what, step)
    if len(sizes) == 3:
        return checked(sizes[0], sizes[1], sizes[2], what, step)
    raise RecipeTextError(f"{what}: {len(sizes)} sizes in {text.strip()!r}; a range has one, two or three")


def with_point(current: Range, point: str, size: int, what: str) -> Range:
    """The range with one of its three sizes changed, if the rule still holds."""
    sizes = {name: current.at(name) for name in POINTS} | {point: size}
    return checked(sizes["min"], sizes["opt"], sizes["max"], what, current.step)


def with_step(current: Range, step: int, what: str) -> Range:
    """The range with another step; opt moves to the nearest size on it, min and max have to be on it."""
    if step < 1:
        raise ProfileRuleError(f"{what}: step {step} is below 1; {STEP_RULE}")
    checked(current.min, current.max, current.max, what, step)
    opt = Range(current.min, current.opt, current.max, step).nearest(current.opt)
    return checked(current.min, opt, current.max, what, step)


def parse_values(text: str, what: str) -> tuple[int, ...]:
    """The values of a shape-tensor input at one point: `4,4`, `4 4` or trtexec's `4x4`. They may be negative."""
    words = [word for word in re.split(r"[\s,x×]+", text.strip().strip("[]()")) if word]
    if not words:
        raise RecipeTextError(f"{what}: no values; type them with commas, such as 4,4")
    return tuple(_whole(word, what, signed=True) for word in words)


def parse_shapes(texts: Iterable[str]) -> dict[str, Shapes]:
    """`name:shape` or `name:min..opt..max`, several separated by commas or given one by one.

    A shape is `1x3x224x224`, `[1,3,224,224]` or `scalar`. A name with a colon or comma in it may be quoted. A range may
    end in a step for each axis, `x:1x3x64..1x3x128..1x3x512 step 1x1x8`, or in one for the only axis that varies.
    """
    found: dict[str, Shapes] = {}
    for text in texts:
        for name, rest in _entries(text, "--shapes"):
            sizes, *steps = _STEP.split(rest)
            points = [_shape(point, name) for point in sizes.split("..")]
            if len(points) not in (1, 3):
                raise RecipeTextError(
                    f"--shapes, input {name!r}: {len(points)} shapes; give one for all three, or min..opt..max"
                )
            low, opt, high = points * 3 if len(points) == 1 else points
            step = _steps(name, steps, low, high)
            _add(found, name, _consistent(name, low, opt, high, step), "--shapes")
    return found


def parse_trtexec(min_shapes: str = "", opt_shapes: str = "", max_shapes: str = "") -> dict[str, Shapes]:
    """The flags `--minShapes`, `--optShapes` and `--maxShapes` as trtexec takes them.

    A point left out is taken from its neighbour: opt from max, else from min; min and max from opt.
    """
    flags = {"min": ("--minShapes", min_shapes), "opt": ("--optShapes", opt_shapes), "max": ("--maxShapes", max_shapes)}
    given: dict[str, dict[str, tuple[int, ...]]] = {}
    for point, (flag, text) in flags.items():
        for name, rest in _entries(text, flag):
            if point in given.setdefault(name, {}):
                raise RecipeTextError(f"{flag}: input {name!r} is given twice")
            given[name][point] = _shape(rest, name)
    found: dict[str, Shapes] = {}
    for name, at in given.items():
        opt = at.get("opt", at.get("max", at.get("min", ())))
        found[name] = _consistent(name, at.get("min", opt), opt, at.get("max", opt))
    return found


def parse_shape_values(texts: Iterable[str]) -> dict[str, Values]:
    """`name:values` or `name:min..opt..max`, values separated by commas: `k:1,2..4,4..8,8`."""
    found: dict[str, Values] = {}
    for text in texts:
        for name, rest in _value_entries(text):
            points = [parse_values(point, f"--shape-values, input {name!r}") for point in rest.split("..")]
            if len(points) not in (1, 3):
                raise RecipeTextError(f"--shape-values, input {name!r}: give one list for all three, or min..opt..max")
            if len({len(point) for point in points}) > 1:
                counts = ", ".join(str(len(point)) for point in points)
                raise ProfileRuleError(f"--shape-values, input {name!r}: {counts} values; the counts must be equal")
            _add(found, name, Values(*(points * 3 if len(points) == 1 else points)), "--shape-values")
    return found


def parse_profiles(given: Mapping[str, Sequence[str]]) -> tuple[Profile, ...]:
    """The profiles that shape flags describe, each flag with its values; () when there are none.

    A value that begins with a name and `PROFILE_MARK` belongs to that profile, any other to profile 0, as trtexec has
    it. Profiles called by numbers are in their order, others in that of their first mention.
    """
    by_profile: dict[str, dict[str, list[str]]] = {}
    for flag, values in given.items():
        for value in values:
            name, mark, text = value.rpartition(PROFILE_MARK)
            by_profile.setdefault(name if mark else "0", {}).setdefault(flag, []).append(text)
    names = sorted(by_profile, key=int) if all(name.isdecimal() for name in by_profile) else list(by_profile)
    profiles = [_profile_of(by_profile[name], f"profile {name}, " if len(names) > 1 else "") for name in names]
    relations = tuple(dict.fromkeys(relation for profile in profiles for relation in profile.relations))
    return tuple(msgspec.structs.replace(profile, relations=relations) for profile in profiles)


def _profile_of(given: Mapping[str, Sequence[str]], where: str) -> Profile:
    try:
        trtexec = parse_trtexec(*(",".join(given.get(flag, ())) for flag in TRTEXEC_FLAGS))
        shapes = {**trtexec, **parse_shapes(given.get("--shapes", ()))}
        profile = profile_by_axis(shapes, parse_shape_values(given.get("--shape-values", ())))
        return msgspec.structs.replace(profile, relations=parse_relations(given.get("--relation", ())))
    except RecipeTextError as error:
        raise type(error)(f"{where}{error}") from error


def parse_arguments(text: str) -> tuple[dict[str, Shapes], dict[str, Values]]:
    """Shapes and values from a piece of a command line: friction-tui's flags, trtexec's, or bare `x:1x3..8x3`.

    Other arguments are skipped, so that a whole command can be given. Raises RecipeTextError when nothing is a shape.
    """
    try:
        words = shlex.split(text.replace("\\\n", " "))
    except ValueError as error:
        raise RecipeTextError(f"{text.strip()[:60]!r} is not a command line: {error}") from error
    given: dict[str, list[str]] = {}
    flag = ""
    for word in words:
        name, equals, value = word.partition("=")
        if name in SHAPE_FLAGS and not equals:
            flag = name
        elif name in SHAPE_FLAGS or flag:
            given.setdefault(name if equals and name in SHAPE_FLAGS else flag, []).append(value if equals else word)
            flag = ""
        elif re.search(r":[\d\[]", word) and not word.startswith("-"):
            given.setdefault("--shapes", []).append(word)
    if not given:
        raise RecipeTextError(f"no shapes in {text.strip()[:60]!r}; the flags are {', '.join(SHAPE_FLAGS)}")
    trtexec = [",".join(given.get(name, ())) for name in TRTEXEC_FLAGS]
    shapes = parse_trtexec(*trtexec) | parse_shapes(given.get("--shapes", ()))
    return shapes, parse_shape_values(given.get("--shape-values", ()))


def parse_example(text: str) -> InputSpec:
    """An example input for an export: `name:1x3x224x224` or `name:1x16:int64`; float32 where no type is given."""
    name, colon, rest = text.rpartition(":")
    dtype = "float32"
    if colon and not re.match(r"\s*(\d|\[|scalar)", rest):
        dtype, (name, colon, rest) = rest.strip(), name.rpartition(":")
    if not colon or not name.strip() or not dtype.isidentifier():
        raise RecipeTextError(
            f"--input: {text.strip()[:60]!r} is not NAME:SHAPE or NAME:SHAPE:DTYPE, such as x:1x3:float16"
        )
    if dtype not in EXAMPLE_TYPES:
        near = difflib.get_close_matches(dtype.lower(), EXAMPLE_TYPES, n=1)
        meant = f"did you mean {near[0]}? " if near else ""
        raise RecipeTextError(
            f"--input {name.strip()}: {dtype} is not a type; {meant}known: {', '.join(EXAMPLE_TYPES)}"
        )
    shape = _shape(rest, _unquoted(name))
    if 0 in shape:
        raise RecipeTextError(f"--input {name.strip()}: axis {shape.index(0)} is 0; an example needs at least 1 there")
    return InputSpec(_unquoted(name), shape, dtype)


def profile_by_axis(shapes: Mapping[str, Shapes], values: Mapping[str, Values]) -> Profile:
    """A profile before the model is known: every dimension under its `input[axis]` key."""
    ranges = {f"{name}[{axis}]": chosen for name, given in shapes.items() for axis, chosen in enumerate(given.ranges)}
    return Profile(ranges=ranges, values=dict(values))


def profile_for(inputs: Sequence[Port], shapes: Mapping[str, Shapes], values: Mapping[str, Values]) -> Profile:
    """A profile for a model with these inputs: symbols named once, sizes fixed in the model left out.

    A size that contradicts the model, or a symbol's range at another input, stays under its `input[axis]` key for a
    check to name. Shapes given for a shape-tensor input are its values, as trtexec reads them.
    """
    ports = {port.name: port for port in inputs}
    ranges: dict[str, Range] = {}
    chosen = dict(values)
    for name, given in shapes.items():
        port = _port(ports, name)
        held = math.prod(dim.size or 0 for dim in port.dims or ())
        if port.shape_tensor and len(given.min) == held:  # its values, as trtexec writes them
            chosen.setdefault(name, Values(given.min, given.opt, given.max))
            continue
        if port.dims is not None and len(port.dims) != len(given.min):
            raise RecipeTextError(
                f"input {name!r} has {len(port.dims)} dimensions, {dims_text(port)}; {len(given.min)} were given"
            )
        for axis, wanted in enumerate(given.ranges):
            dim = port.dims[axis] if port.dims is not None else None
            if dim is not None and dim.size is not None and wanted == Range(dim.size, dim.size, dim.size):
                continue
            fixed = dim is not None and dim.size is not None
            key = f"{name}[{axis}]" if fixed else dim_key(name, axis, dim.symbol if dim else "")
            if ranges.setdefault(key, wanted) != wanted:
                ranges[f"{name}[{axis}]"] = wanted
    for name in values:
        _port(ports, name)
    return Profile(ranges=ranges, values=chosen)


def shapes_of(inputs: Sequence[Port], profile: Profile) -> dict[str, Shapes]:
    """Each input's shapes under a profile, the inverse of `profile_for`; inputs with a size unknown are left out."""
    found: dict[str, Shapes] = {}
    for port in inputs:
        if port.dims is None:
            continue
        ranges = [range_of(port, axis, profile) for axis in range(len(port.dims))]
        known = [chosen for chosen in ranges if chosen is not None]
        if len(known) == len(ranges):
            steps = tuple(chosen.step for chosen in known)
            low, opt, high = (tuple(chosen.at(point) for chosen in known) for point in POINTS)
            found[port.name] = Shapes(low, opt, high, steps if set(steps) - {1} else ())
    return found


def range_of(port: Port, axis: int, profile: Profile) -> Range | None:
    """The range of one dimension: its own entry, else its fixed size, else its symbol's; None where none was chosen."""
    if port.dims is None:
        return None
    own = profile.ranges.get(f"{port.name}[{axis}]")
    dim = port.dims[axis]
    if own is not None:
        return own
    if dim.size is not None:
        return Range(dim.size, dim.size, dim.size)
    return profile.ranges.get(dim_key(port.name, axis, dim.symbol))


def dims_text(port: Port) -> str:
    """An input's declared shape: `N × 3 × ?`."""
    if port.dims is None:
        return "of unknown rank"
    return " × ".join(dim.symbol or ("?" if dim.size is None else str(dim.size)) for dim in port.dims) or SCALAR


def parse_relations(texts: Iterable[str]) -> tuple[str, ...]:
    """Relations between sizes (see `recipe.relations`), as they are kept: each once, in its normal form."""
    try:
        return tuple(dict.fromkeys(str(parse_relation(text)) for text in texts))
    except RelationError as error:
        raise RecipeTextError(f"--relation: {error}") from error


def _without_step(text: str, what: str) -> tuple[str, int]:
    """The text of a range before its step, and the step."""
    rest, *steps = _STEP.split(text)
    if not steps:
        return text, 1
    if len(steps) > 1 or not steps[0].strip():
        raise RecipeTextError(f"{what}: one number stands after step, such as 64..512 step 8")
    return rest, _whole(steps[0].strip(), f"{what}, step")


def _steps(name: str, given: Sequence[str], low: tuple[int, ...], high: tuple[int, ...]) -> tuple[int, ...]:
    """A step for each axis; one number is for the only axis that varies."""
    if not given:
        return ()
    step = _shape(given[0], name) if len(given) == 1 and given[0].strip() else ()
    varying = [axis for axis, (least, most) in enumerate(zip(low, high, strict=False)) if least != most]
    if len(step) == 1 and len(varying) == 1:
        return tuple(step[0] if axis == varying[0] else 1 for axis in range(len(low)))
    if len(step) != len(low):
        raise RecipeTextError(
            f"--shapes, input {name!r}: a step for each of the {len(low)} axes is needed, such as step "
            f"{'x'.join('8' if axis in varying else '1' for axis in range(len(low))) or '1'}"
        )
    return step


def _size(word: str, what: str) -> int:
    """A size of a range; one below 0 is understood, and refused by the rule."""
    return _whole(word, what, signed=True)


def _whole(word: str, what: str, *, signed: bool = False) -> int:
    if not re.fullmatch(r"-?[0-9]+" if signed else r"[0-9]+", word, re.ASCII) or len(word) > 20:
        kind = "a whole number" if signed else "a whole number of elements"
        raise RecipeTextError(f"{what}: {word[:40]!r} is not {kind}")
    return int(word)


def _shape(text: str, name: str) -> tuple[int, ...]:
    text = text.strip()
    if text == SCALAR:
        return ()
    words = re.split(r"\s*[x×X,]\s*", text.strip("[]() "))
    return tuple(_whole(word.strip(), f"input {name!r}, shape {text!r}") for word in words)


def _consistent(
    name: str, low: tuple[int, ...], opt: tuple[int, ...], high: tuple[int, ...], step: tuple[int, ...] = ()
) -> Shapes:
    ranks = [len(low), len(opt), len(high)]
    if len(set(ranks)) > 1:
        counts = ", ".join(f"{point} has {rank}" for point, rank in zip(POINTS, ranks, strict=True))
        raise ProfileRuleError(f"input {name!r}: {counts} dimensions; an input has as many at every point")
    steps = step or (1,) * len(low)
    for axis, (least, likely, most, by) in enumerate(zip(low, opt, high, steps, strict=True)):
        checked(least, likely, most, f"input {name!r}, axis {axis}", by)
    return Shapes(low, opt, high, step)


def _entries(text: str, flag: str) -> list[tuple[str, str]]:
    """`name:rest` pairs, one a part; the name ends at the last colon."""
    entries: list[tuple[str, str]] = []
    for part in _parts(text):
        name, colon, rest = part.rpartition(":")
        if not colon or not name.strip():
            raise RecipeTextError(f"{flag}: {part.strip()[:60]!r} is not INPUT:SHAPE, such as x:1x3x224x224")
        entries.append((_unquoted(name), rest))
    return entries


def _value_entries(text: str) -> list[tuple[str, str]]:
    """`name:rest` pairs; a comma starts another input only where a name and a colon follow."""
    entries: list[tuple[str, str]] = []
    for part in _parts(text):
        name, colon, rest = part.rpartition(":")
        if colon and name.strip():
            entries.append((_unquoted(name), rest))
        elif entries and not colon:
            entries[-1] = (entries[-1][0], f"{entries[-1][1]},{rest}")
        else:
            raise RecipeTextError(f"--shape-values: {part.strip()[:60]!r} is not INPUT:VALUES, such as k:1,2..4,4..8,8")
    return entries


def _parts(text: str) -> list[str]:
    """`text` split at commas outside quotes and brackets."""
    return re.findall(r"(?:'[^']*'|\"[^\"]*\"|\[[^\]]*\]|[^,])+", text)


def _unquoted(name: str) -> str:
    name = name.strip()
    quoted = len(name) > 2 and name[0] == name[-1] and name[0] in "'\""
    return name[1:-1] if quoted else name


def _add(found: dict[str, Shapes] | dict[str, Values], name: str, given: Shapes | Values, flag: str) -> None:
    if name in found:
        raise RecipeTextError(f"{flag}: input {name!r} is given twice")
    found[name] = given  # type: ignore[assignment]


def _port(ports: Mapping[str, Port], name: str) -> Port:
    if name not in ports:
        known = ", ".join(ports) or "none"
        raise RecipeTextError(f"the model has no input {name!r}; its inputs: {known}")
    return ports[name]
