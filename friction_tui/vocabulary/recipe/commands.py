"""A recipe as a command of another tool: trtexec, polygraphy, torch.onnx.export, and friction-tui itself.

The inverse of `recipe.text`. Every command is meant to be pasted into a POSIX shell, or into Python.
"""

from __future__ import annotations

import keyword
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import PurePath

from friction_tui.vocabulary.protocol import Port
from friction_tui.vocabulary.recipe import POINTS, Precision, Profile, Recipe, Values
from friction_tui.vocabulary.recipe.builder_options import tool_words, words_of
from friction_tui.vocabulary.recipe.text import SCALAR, Shapes, dims_text, shapes_of

HALVES = (Precision.FP16, Precision.BF16)
"""The precisions in which nodes can be kept in float32."""
_PLAIN_NAME = re.compile(r"[^\s'\",:\[\]]+")


def shape_text(shape: Sequence[int]) -> str:
    """`1x3x224x224`, or `scalar` for rank 0."""
    return "x".join(str(size) for size in shape) or SCALAR


def shapes_arguments(shapes: Mapping[str, Shapes], values: Mapping[str, Values]) -> list[str]:
    """`--shapes` and `--shape-values` as friction-tui takes them, one of each an input; not quoted for a shell."""
    words: list[str] = []
    for name, given in shapes.items():
        points = [shape_text(given.at(point)) for point in POINTS]
        step = f" step {shape_text(given.step)}" if given.step else ""
        words += ["--shapes", f"{_named(name)}:{_collapsed(points)}{step}"]
    for name, chosen in values.items():
        points = [",".join(str(value) for value in chosen.at(point)) for point in POINTS]
        words += ["--shape-values", f"{_named(name)}:{_collapsed(points)}"]
    return words


def trtexec_shapes(shapes: Mapping[str, Shapes], values: Mapping[str, Values]) -> list[str]:
    """`--minShapes=…`, `--optShapes=…`, `--maxShapes=…`; trtexec writes the values of a shape tensor as a shape."""
    if not shapes and not values:
        return []
    flags = []
    for point in POINTS:
        entries = [f"{_named(name)}:{shape_text(given.at(point))}" for name, given in shapes.items()]
        entries += [f"{_named(name)}:{shape_text(given.at(point))}" for name, given in values.items()]
        flags.append(f"--{point}Shapes={','.join(entries)}")
    return flags


def trtexec(recipe: Recipe, inputs: Sequence[Port]) -> str:
    """The trtexec call that builds this recipe."""
    model = PurePath(recipe.source.path)
    words = [f"--onnx={model}"]
    for number, (shapes, values) in enumerate(_profiles(recipe, inputs)):
        words += [f"--profile={number}"] if recipe.others else []
        words += trtexec_shapes(shapes, values)
    words += [f"--{recipe.precision.value}"] if recipe.precision is not Precision.AS_EXPORTED else []
    if recipe.precision in HALVES and recipe.keep_float32:
        kept = ",".join(f"{name}:fp32" for name in recipe.keep_float32)
        words += ["--precisionConstraints=obey", f"--layerPrecisions={kept}"]
    words += [word for one in tool_words(recipe.builder, "trtexec") for word in one]
    words.append(f"--saveEngine={model.with_suffix('.engine')}")
    return _shell("trtexec", words)


def polygraphy(recipe: Recipe, inputs: Sequence[Port]) -> str:
    """The polygraphy call that builds this recipe and compares its outputs with ONNX Runtime's."""
    words = [shlex.quote(recipe.source.path), "--trt", "--onnxrt"]
    for shapes, values in _profiles(recipe, inputs):
        for point in POINTS:
            entries = [f"{name}:[{_commas(given.at(point))}]" for name, given in (shapes | values).items()]
            quoted = " ".join([f"--trt-{point}-shapes", *(shlex.quote(entry) for entry in entries)])
            words += [quoted] if entries else []
    words += [f"--{recipe.precision.value}"] if recipe.precision is not Precision.AS_EXPORTED else []
    if recipe.precision in HALVES and recipe.keep_float32:
        kept = " ".join(shlex.quote(f"{name}:float32") for name in recipe.keep_float32)
        words += ["--precision-constraints obey", f"--layer-precisions {kept}"]
    words += [" ".join(map(shlex.quote, one)) for one in tool_words(recipe.builder, "polygraphy")]
    return _shell("polygraphy run", words, quoted=True)


def check_command(recipe: Recipe, inputs: Sequence[Port]) -> str:
    """The same verdicts without a terminal, for a CI job."""
    code = f":{recipe.source.factory}" if recipe.source.factory else ""
    words = [shlex.quote(f"{recipe.source.path}{code}")]
    words += ["--allow-code"] if code else []
    if recipe.profile is None:
        words.append("--no-profile")
    else:
        for number, profile in enumerate(recipe.profiles):
            words += [f"--profile {number}"] if recipe.others else []
            pairs = iter(shapes_arguments(*_shapes_and_values(profile, inputs)))
            words += [f"{flag} {shlex.quote(value)}" for flag, value in zip(pairs, pairs, strict=True)]
            words += [f"--relation {shlex.quote(relation)}" for relation in profile.relations]
    words += [f"--opset {recipe.opset}"] if recipe.opset is not None else []
    words += [f"--target {recipe.target}"] if recipe.target else []
    words += [f"--precision {recipe.precision.value}"] if recipe.precision is not Precision.AS_EXPORTED else []
    words += [f"--keep-float32 {shlex.quote(name)}" for name in recipe.keep_float32]
    words += [f"--builder {shlex.quote(word)}" for word in words_of(recipe.builder)]
    return _shell("friction-tui check", words, quoted=True)


def torch_export(recipe: Recipe, inputs: Sequence[Port]) -> str:
    """A torch.onnx.export call whose dynamic dimensions have the profile's ranges.

    torch.export decides for itself about the sizes 0 and 1, so a min of 0 or 1 is not written; a dimension that keeps
    one size is left static.
    """
    dims: dict[str, str] = {}
    entries = []
    for port in inputs:
        named = []
        for axis in _free_axes(port):
            name, declared = _torch_dim(port, axis, recipe.profile)
            if declared:
                dims[name] = declared
                named.append(f"{axis}: {name}")
        entries.append(f"    {port.name!r}: {{{', '.join(named)}}},  # {port.dtype}, {dims_text(port)}")
    file = str(PurePath(recipe.source.path).with_suffix(".onnx"))
    options = ["kwargs=example_inputs", "dynamo=True", "dynamic_shapes=dynamic_shapes"]
    options += [f"opset_version={recipe.opset}"] if recipe.opset is not None else []
    head = ["import torch", "", *dims.values(), "# keys: the names of forward's own arguments", "dynamic_shapes = {"]
    return "\n".join([*head, *entries, "}", f"torch.onnx.export(model, (), {file!r}, {', '.join(options)})"])


def _profiles(recipe: Recipe, inputs: Sequence[Port]) -> list[tuple[dict[str, Shapes], dict[str, Values]]]:
    """Each profile as shapes and values."""
    return [_shapes_and_values(profile, inputs) for profile in recipe.profiles]


def _shapes_and_values(profile: Profile, inputs: Sequence[Port]) -> tuple[dict[str, Shapes], dict[str, Values]]:
    """Shapes and values of the inputs that need them: a dimension is free, or a size other than its own was chosen."""
    chosen = {key.rpartition("[")[0] for key in profile.ranges}
    free = [port for port in inputs if not port.shape_tensor and (_free_axes(port) or port.name in chosen)]
    return shapes_of(free, profile), dict(profile.values)


def _torch_dim(port: Port, axis: int, profile: Profile | None) -> tuple[str, str]:
    """The Python name of a dimension and the line that declares it, "" for one that keeps a single size."""
    symbol = port.dims[axis].symbol if port.dims else ""
    own = profile.ranges.get(f"{port.name}[{axis}]") if profile else None
    name = _identifier(f"{port.name}_{axis}" if own or not symbol else symbol)
    chosen = own or (profile.ranges.get(symbol) if profile else None)
    if chosen is None:
        return name, f"{name} = torch.export.Dim({name!r})"
    if chosen.min == chosen.max:
        return name, ""
    if chosen.step > 1 and chosen.min % chosen.step == 0:  # torch.export takes a multiple of another dimension
        counted, least, most = f"{name}_steps", chosen.min // chosen.step, chosen.max // chosen.step
        low = f"min={least}, " if least > 1 else ""
        declared = f"{counted} = torch.export.Dim({counted!r}, {low}max={most})"
        return name, f"{declared}\n{name} = {chosen.step} * {counted}"
    low = f"min={chosen.min}, " if chosen.min > 1 else ""
    return name, f"{name} = torch.export.Dim({name!r}, {low}max={chosen.max})"


def _identifier(text: str) -> str:
    name = re.sub(r"\W", "_", text, flags=re.ASCII)
    return f"dim_{name}" if not name.isidentifier() or keyword.iskeyword(name) else name


def _free_axes(port: Port) -> list[int]:
    return [axis for axis, dim in enumerate(port.dims or ()) if dim.size is None]


def _named(name: str) -> str:
    return name if _PLAIN_NAME.fullmatch(name) else f"'{name}'"


def _collapsed(points: Sequence[str]) -> str:
    return points[0] if len(set(points)) == 1 else "..".join(points)


def _commas(sizes: Sequence[int]) -> str:
    return ",".join(str(size) for size in sizes)


def _shell(program: str, words: Sequence[str], *, quoted: bool = False) -> str:
    """One argument a line, so that a long command can be read and edited."""
    return " \\\n  ".join([program, *(word if quoted else shlex.quote(word) for word in words)])
