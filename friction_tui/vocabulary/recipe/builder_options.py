"""The options of the builder: what each does, which engine honours it, how it is set, and its words in other tools.

`OPTIONS` is the only place that knows them. The command line, friction.toml, the app's dialog, copied commands, the
documentation and the adapter of each engine are made from it. `friction_tui.engines.tensorrt.options` sets them.

What is said of TensorRT-RTX was tried with 1.7.1.116 on a machine without a GPU: models with convolutions, matrix
products and attention, each built with and without the option; compared were whether it builds, the size of the plan,
the layers of the engine inspector, planned memory, and the log. What is said of the enterprise edition is its
documented API: https://docs.nvidia.com/deeplearning/tensorrt/latest/_static/python-api/infer/Core/BuilderConfig.html.
"""

from __future__ import annotations

import difflib
import enum
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from friction_tui.vocabulary.protocol import OptionHere
from friction_tui.vocabulary.recipe import Value
from friction_tui.vocabulary.recipe.text import RecipeTextError

ENTERPRISE, RTX = "TensorRT", "TensorRT-RTX"
"""The engines, as `EngineInfo.name` has them."""
DEFAULT = "default"
"""The word that leaves an option to the engine, also where friction.toml chose otherwise."""
_TIMING_FILE = "timing.cache"
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
_SIZE = re.compile(r"(\d{1,15}(?:\.\d+)?)\s*([kmg]?)(i?)b?", re.IGNORECASE | re.ASCII)
_DECIMAL = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}
_SWITCH = {"yes": True, "no": False, "true": True, "false": False, "on": True, "off": False}
_HARDWARE_OF_TRTEXEC: dict[str, str] = {
    "none": "none",
    "ampere_plus": "ampere+",
    "same_compute_capability": "sameComputeCapability",
}
LARGEST = (1 << 63) - 1


class Takes(enum.Enum):
    """What kind of value an option takes."""

    SWITCH = "yes or no"
    WHOLE = "a whole number"
    SIZE = "an amount of memory, such as 512MiB"
    CHOICE = "one of its choices"
    NAMES = "names separated by commas, or none"
    FILES = "files separated by commas"


class How(enum.StrEnum):
    """How an option is set on a builder's configuration; `Setting.name` is what."""

    FLAG = "flag"
    """A BuilderFlag."""
    CLEARED = "cleared"
    """A BuilderFlag that is on by default."""
    ATTRIBUTE = "attribute"
    """An attribute of IBuilderConfig."""
    ENUM = "enum"
    """An attribute of IBuilderConfig whose values are the members of an enum."""
    POOL = "pool"
    """The limit of a MemoryPoolType."""
    TACTICS = "tactics"
    """`set_tactic_sources`, a bit for each TacticSource."""
    TIMING_CACHE = "timing cache"
    """`create_timing_cache` and `set_timing_cache`."""
    LIBRARIES = "libraries"
    """`load_library` of the registry of plug-ins, in the processes of TensorRT only."""
    OURS = "ours"
    """Not at all: this program does it, whatever the engine."""


@dataclass(frozen=True, slots=True)
class Setting:
    """How an option is set: `name` is the flag, attribute or pool, `enum` where the members of its value are."""

    how: How
    name: str = ""
    enum: str = ""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of an option on one engine beside its being there.

    `why_not` says why it is not offered, "" where it is, and `nearest` what to do instead. `without_gpu`: that holds on
    a machine without a GPU only. `remark` is what to know where it is offered.
    """

    why_not: str = ""
    nearest: str = ""
    without_gpu: bool = False
    remark: str = ""


@dataclass(frozen=True, slots=True)
class BuilderOption:
    """One option. `does` is a sentence; `low` and `high` bound a whole number.

    `trtexec` and `polygraphy` make the words for a value, none where the tool has no such option. `needs` is another
    option that must be chosen with it. `affects_engine`: another value can make another engine.
    """

    name: str
    takes: Takes
    does: str
    setting: Setting
    default: str = "no"
    choices: tuple[str, ...] = ()
    low: int = 0
    high: int = LARGEST
    trtexec: Callable[[Value], list[str]] = lambda _: []
    polygraphy: Callable[[Value], list[str]] = lambda _: []
    needs: str = ""
    affects_engine: bool = True
    known: Mapping[str, Known] = field(default_factory=dict)

    @property
    def values(self) -> str:
        """What may be chosen, in words: `0..5`, `yes or no`."""
        if self.takes is Takes.WHOLE:
            return f"{self.low}..{self.high}" if self.high < LARGEST else f"{self.low} or more"
        return " or ".join(self.choices) if self.choices else self.takes.value


def _words(*words: str) -> Callable[[Value], list[str]]:
    return lambda value: [word.format(option_text(value)) for word in words]


def _if(wanted: Value, *words: str) -> Callable[[Value], list[str]]:
    """The words for one value only; any other is the tool's default."""
    return lambda value: list(words) if value == wanted else []


_COMPILES_REFIT_ON_A_GPU = Known(
    why_not="without a GPU its build of a model with weights ends with a CUDA error (graph_jit.cpp:278), tried with "
    "1.7.1.116",
    nearest="build where there is a GPU, or build with the weights: a new build takes seconds",
    without_gpu=True,
)
_NO_LEAN_RUNTIME = Known(
    why_not="it asks for libnvinfer_lean.so.1, which this edition does not have (tried with 1.7.1.116)",
    nearest="build again with the version that runs the engine",
)
_TAKEN_WITHOUT_EFFECT = Known(
    remark="taken by 1.7.1.116; no effect on plan, layers or planned memory was seen, kernels are made at run time"
)

OPTIONS: tuple[BuilderOption, ...] = (
    BuilderOption(
        name="workspace",
        takes=Takes.SIZE,
        does="The most scratch memory that one layer may use on the GPU; kernels that need more are not chosen.",
        setting=Setting(How.POOL, "WORKSPACE"),
        default="all of the GPU's memory",
        low=1,
        trtexec=lambda value: [f"--memPoolSize=workspace:{_binary(value, plain='B')}"],
        polygraphy=lambda value: ["--pool-limit", f"workspace:{_binary(value)}"],
        known={RTX: Known(remark="honoured: below what a layer needs the build is refused")},
    ),
    BuilderOption(
        name="optimization_level",
        takes=Takes.WHOLE,
        does="How long to look for faster kernels: 0 builds fastest, 5 looks longest.",
        setting=Setting(How.ATTRIBUTE, "builder_optimization_level"),
        default="3",
        high=5,
        trtexec=_words("--builderOptimizationLevel={}"),
        polygraphy=_words("--builder-optimization-level", "{}"),
        known={RTX: Known(remark="honoured: its log says which fusions the levels 0 to 2 leave out")},
    ),
    BuilderOption(
        name="sparsity",
        takes=Takes.SWITCH,
        does="Uses kernels for weights that are 2:4 sparse (two of four are 0) where they are faster.",
        setting=Setting(How.FLAG, "SPARSE_WEIGHTS"),
        trtexec=_if(True, "--sparsity=enable"),
        polygraphy=_if(True, "--sparse-weights"),
        known={RTX: _TAKEN_WITHOUT_EFFECT},
    ),
    BuilderOption(
        name="tf32",
        takes=Takes.SWITCH,
        does="Lets float32 layers multiply with 10-bit mantissas (TF32).",
        setting=Setting(How.CLEARED, "TF32"),
        default="yes",
        trtexec=_if(False, "--noTF32"),
        known={RTX: _TAKEN_WITHOUT_EFFECT},
    ),
    BuilderOption(
        name="refit",
        takes=Takes.SWITCH,
        does="Makes an engine whose weights can be replaced without a build.",
        setting=Setting(How.FLAG, "REFIT"),
        trtexec=_if(True, "--refit"),
        polygraphy=_if(True, "--refittable"),
        known={
            RTX: _COMPILES_REFIT_ON_A_GPU,
            ENTERPRISE: Known(remark="11.3 documents that a bias of a matrix product can be lost with it"),
        },
    ),
    BuilderOption(
        name="strip_weights",
        takes=Takes.SWITCH,
        does="Leaves the weights out of the engine file; they are put in from the ONNX file before it runs.",
        setting=Setting(How.FLAG, "STRIP_PLAN"),
        trtexec=_if(True, "--stripWeights"),
        polygraphy=_if(True, "--strip-plan"),
        known={RTX: _COMPILES_REFIT_ON_A_GPU},
    ),
    BuilderOption(
        name="weight_streaming",
        takes=Takes.SWITCH,
        does="Makes an engine that can keep part of its weights in the host's memory. Needs a strongly typed network.",
        setting=Setting(How.FLAG, "WEIGHT_STREAMING"),
        trtexec=_if(True, "--allowWeightStreaming"),
        polygraphy=_if(True, "--weight-streaming"),
        known={RTX: _TAKEN_WITHOUT_EFFECT},
    ),
    BuilderOption(
        name="version_compatible",
        takes=Takes.SWITCH,
        does="Makes an engine that later TensorRT versions of the same major number can run.",
        setting=Setting(How.FLAG, "VERSION_COMPATIBLE"),
        trtexec=_if(True, "--versionCompatible"),
        polygraphy=_if(True, "--version-compatible"),
        known={RTX: _NO_LEAN_RUNTIME},
    ),
    BuilderOption(
        name="exclude_lean_runtime",
        takes=Takes.SWITCH,
        does="Leaves the lean runtime out of a version compatible engine; whoever runs it brings one.",
        setting=Setting(How.FLAG, "EXCLUDE_LEAN_RUNTIME"),
        needs="version_compatible",
        trtexec=_if(True, "--excludeLeanRuntime"),
        polygraphy=_if(True, "--exclude-lean-runtime"),
        known={RTX: _NO_LEAN_RUNTIME},
    ),
    BuilderOption(
        name="hardware_compatibility",
        takes=Takes.CHOICE,
        does="Makes an engine that other GPUs can run too: from Ampere on, or those of the same compute capability.",
        setting=Setting(How.ENUM, "hardware_compatibility_level", "HardwareCompatibilityLevel"),
        default="none",
        choices=("none", "ampere_plus", "same_compute_capability"),
        trtexec=lambda value: [f"--hardwareCompatibilityLevel={_HARDWARE_OF_TRTEXEC[str(value)]}"],
        polygraphy=lambda value: [] if value == "none" else ["--hardware-compatibility-level", str(value)],
        known={
            RTX: Known(
                why_not="its engines run on every target they are built for; 1.7.1.116 takes the level, and nothing of "
                "the engine changes",
                nearest="choose no target (SM80, SM86, SM89 and SM120 then share one engine), or one target",
            )
        },
    ),
    BuilderOption(
        name="tactic_sources",
        takes=Takes.NAMES,
        does="Which libraries of kernels may be used.",
        setting=Setting(How.TACTICS, enum="TacticSource"),
        default="all that the engine has on by default",
        trtexec=lambda value: [f"--tacticSources={_signed_tactics(value)}"],
        polygraphy=lambda value: ["--tactic-sources", *map(str.lower, _names(value))],
        known={RTX: _TAKEN_WITHOUT_EFFECT},
    ),
    BuilderOption(
        name="aux_streams",
        takes=Takes.WHOLE,
        does="How many more CUDA streams the engine may run layers on; 0 needs the least memory.",
        setting=Setting(How.ATTRIBUTE, "max_aux_streams"),
        default="as many as TensorRT thinks worth while",
        high=64,
        trtexec=_words("--maxAuxStreams={}"),
        polygraphy=_words("--max-aux-streams", "{}"),
        known={RTX: Known(remark="honoured: its log says whether there is a use for more streams")},
    ),
    BuilderOption(
        name="plugins",
        takes=Takes.FILES,
        does="Loads plug-in libraries before the model is parsed. That runs their code, so you are asked first.",
        setting=Setting(How.LIBRARIES),
        default="none",
        trtexec=lambda value: [f"--dynamicPlugins={path}" for path in _names(value)],
        polygraphy=lambda value: ["--plugins", *_names(value)],
        known={RTX: Known(remark="honoured by 1.7.1.116: the parser finds the creators of a library that is loaded")},
    ),
    BuilderOption(
        name="timing_cache",
        takes=Takes.SWITCH,
        does="Keeps the measured times of kernels on this machine, so that the next build need not measure them again.",
        setting=Setting(How.TIMING_CACHE),
        affects_engine=False,
        trtexec=_if(True, f"--timingCacheFile={_TIMING_FILE}"),
        polygraphy=_if(True, "--load-timing-cache", _TIMING_FILE, "--save-timing-cache", _TIMING_FILE),
        known={
            RTX: Known(
                why_not="it times no kernels: its timing cache is documented to do nothing since 1.2",
                nearest="engine_cache, which keeps the whole engine",
            )
        },
    ),
    BuilderOption(
        name="engine_cache",
        takes=Takes.SWITCH,
        does="Keeps engines on this machine, and takes one again when model, recipe, engine and GPU are the same.",
        setting=Setting(How.OURS),
        affects_engine=False,
    ),
    BuilderOption(
        name="build_timeout",
        takes=Takes.WHOLE,
        does="Ends a build that takes longer, in seconds.",
        setting=Setting(How.OURS),
        default="12 hours",
        low=1,
        high=10**6,
        affects_engine=False,
    ),
    BuilderOption(
        name="build_memory",
        takes=Takes.SIZE,
        does="Ends a build that uses more of this machine's memory.",
        setting=Setting(How.OURS),
        default="90% of the machine's",
        low=1 << 20,
        affects_engine=False,
    ),
)
"""Every option, in the order in which they are listed."""

BY_NAME: dict[str, BuilderOption] = {option.name: option for option in OPTIONS}
_ON_BY_DEFAULT = ("EDGE_MASK_CONVOLUTIONS", "JIT_CONVOLUTIONS")
"""Tactic sources that every TensorRT since 10 has on by default; trtexec is told what differs from that."""


def parse_builder(words: Iterable[str], flag: str = "--builder") -> dict[str, Value | None]:
    """What words such as `workspace=512MiB` or `sparsity` choose; None for an option that is to be the default.

    Raises RecipeTextError with the word and what it may be.
    """
    chosen: dict[str, Value | None] = {}
    for word in words:
        name, equals, text = word.strip().partition("=")
        option = _option(name.strip(), flag)
        if not equals and option.takes is not Takes.SWITCH:
            raise RecipeTextError(f"{flag}: {option.name} needs a value: {option.values}")
        chosen[option.name] = parse_value(option, text.strip() if equals else "yes", flag)
    return chosen


def parse_value(option: BuilderOption, text: str, flag: str = "--builder") -> Value | None:
    """The value that a text stands for, None for the default. Raises RecipeTextError."""
    if text.lower() == DEFAULT:
        return None
    said = f"{flag + ': ' if flag else ''}{option.name} is {option.values}, not {text or 'nothing'}"
    match option.takes:
        case Takes.SWITCH if text.lower() in _SWITCH:
            return _SWITCH[text.lower()]
        case Takes.WHOLE if re.fullmatch(r"[0-9]{1,18}", text, re.ASCII):
            return _within(option, int(text), said)
        case Takes.SIZE if (found := _SIZE.fullmatch(text)) and found[1]:
            unit = found[2].upper()
            factor = (_UNITS if found[3] else _DECIMAL)[unit]
            return _within(option, int(float(found[1]) * factor), said)
        case Takes.CHOICE if text.lower() in option.choices:
            return text.lower()
        case Takes.NAMES:
            names = tuple(part.strip().upper() for part in text.split(",") if part.strip())
            if names and all(re.fullmatch(r"[A-Z][A-Z0-9_]*", name) for name in names):
                return () if names == ("NONE",) else names
        case Takes.FILES:
            files = tuple(part.strip() for part in text.split(",") if part.strip())
            if files and "\0" not in text:
                return None if files == ("none",) else files
    raise RecipeTextError(said)


def checked(given: Mapping[str, object], flag: str = "--builder") -> dict[str, Value]:
    """Values as they stand in a file, each of them what its option takes; memory may be text or bytes.

    Raises RecipeTextError.
    """
    chosen: dict[str, Value | None] = {}
    for name, value in given.items():
        option = _option(name, flag)
        text = option_text(value) if isinstance(value, bool | int | str | tuple | list) else str(value)
        chosen[name] = parse_value(option, text, flag)
    return {name: value for name, value in chosen.items() if value is not None}


def merged(agreed: Mapping[str, Value], chosen: Mapping[str, Value | None]) -> dict[str, Value]:
    """What a command line `chosen` makes of what was `agreed`, in the order of `OPTIONS`, without what is default."""
    both = {**agreed, **chosen}
    found = ((option, both[option.name]) for option in OPTIONS if option.name in both)
    return {option.name: value for option, value in found if value is not None and option_text(value) != option.default}


def placed(chosen: Mapping[str, Value | None], folder: Path) -> dict[str, Value | None]:
    """The same with files that are relative to `folder` made absolute."""
    found = dict(chosen)
    for name, value in chosen.items():
        if BY_NAME[name].takes is Takes.FILES and isinstance(value, tuple):
            found[name] = tuple(os.path.normpath(folder / path) for path in value)
    return found


def option_text(value: Value | list[str]) -> str:
    """A value in one word, as `parse_value` reads it: `yes`, `4`, `CUBLAS,CUDNN`."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple | list):
        return ",".join(value) or "none"
    return str(value)


def written(option: BuilderOption, value: Value) -> str:
    """A value as people write it: memory with its unit, `512MiB`."""
    if option.takes is Takes.SIZE and isinstance(value, int):
        return _binary(value, plain="B", tail="iB")
    return option_text(value)


def words_of(chosen: Mapping[str, Value]) -> list[str]:
    """Each option as `--builder` takes it."""
    return [f"{option.name}={written(option, chosen[option.name])}" for option in OPTIONS if option.name in chosen]


def tool_words(chosen: Mapping[str, Value], tool: str) -> list[list[str]]:
    """The words of `trtexec` or `polygraphy`, those of one option together."""
    made = (getattr(option, tool)(chosen[option.name]) for option in OPTIONS if option.name in chosen)
    return [words for words in made if words]


def affecting_engine(chosen: Mapping[str, Value]) -> dict[str, Value]:
    """The options that can make another engine."""
    return {name: value for name, value in chosen.items() if BY_NAME[name].affects_engine}


def differences(before: Mapping[str, Value], after: Mapping[str, Value]) -> list[str]:
    """What differs in a few words each: `workspace default → 512MiB`."""
    said = []
    for option in OPTIONS:
        old, new = (
            written(option, chosen[option.name]) if option.name in chosen else DEFAULT for chosen in (before, after)
        )
        said += [f"{option.name} {old} → {new}"] if old != new else []
    return said


def values_here(option: BuilderOption, here: OptionHere | None) -> str:
    """What may be chosen on an engine, in words, with the names that it has."""
    return (
        f"{option.values}: {', '.join(here.choices)}" if here and here.choices and not option.choices else option.values
    )


def refused(chosen: Mapping[str, Value], here: Mapping[str, OptionHere]) -> dict[str, OptionHere]:
    """The chosen options that are not offered, or not with that value, each with the reason."""
    found = {}
    for name, value in chosen.items():
        option = BY_NAME[name]
        unknown = "" if option.setting.how is How.OURS else "this engine does not have it"
        one = here.get(name, OptionHere(why_not=unknown))
        values = value if isinstance(value, tuple) else (option_text(value),)
        stray = [text for text in values if one.choices and text.upper() not in {c.upper() for c in one.choices}]
        if one.why_not:
            found[name] = one
        elif stray:
            offers = ", ".join(one.choices)
            found[name] = OptionHere(f"it has no {', '.join(stray)}", f"choose of {offers}", one.choices)
        elif option.needs and not chosen.get(option.needs):
            found[name] = OptionHere(f"it has a meaning only with {option.needs}", f"choose {option.needs} too")
    return found


def _option(name: str, flag: str) -> BuilderOption:
    option = BY_NAME.get(name.lower().replace("-", "_"))
    if option is None:
        near = difflib.get_close_matches(name, BY_NAME, n=1)
        meant = f"did you mean {near[0]}? " if near else ""
        raise RecipeTextError(f"{flag}: {name or 'nothing'} is not an option; {meant}known: {', '.join(BY_NAME)}")
    return option


def _within(option: BuilderOption, value: int, said: str) -> int:
    if not option.low <= value <= option.high:
        raise RecipeTextError(said)
    return value


def _binary(value: Value, *, plain: str = "", tail: str = "") -> str:
    """Bytes in the largest unit of 1024 that leaves nothing over: `512M`; `plain` stands after bytes."""
    count = int(value) if isinstance(value, int) else 0
    for unit, factor in reversed(_UNITS.items()):
        if unit and count and count % factor == 0:
            return f"{count // factor}{unit}{tail}"
    return f"{count}{plain}"


def _names(value: Value) -> tuple[str, ...]:
    return value if isinstance(value, tuple) else (str(value),)


def _signed_tactics(value: Value) -> str:
    """What differs from trtexec's default: `+CUBLAS,-JIT_CONVOLUTIONS`."""
    names = _names(value)
    added = [f"+{name}" for name in names]
    return ",".join([*added, *(f"-{name}" for name in _ON_BY_DEFAULT if name not in names)])
