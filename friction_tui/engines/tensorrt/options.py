"""The builder's options on one TensorRT: which its API has, which are offered here and why not, how they are set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from friction_tui.engines.tensorrt import settings
from friction_tui.engines.tensorrt.capabilities import members
from friction_tui.engines.tensorrt.module import Native
from friction_tui.vocabulary.protocol import OptionHere
from friction_tui.vocabulary.recipe import Value
from friction_tui.vocabulary.recipe.builder_options import BY_NAME, OPTIONS, BuilderOption, How, Known


def available(trt: Native) -> dict[str, tuple[str, ...]]:
    """The options that the API of `trt` has, each with the names that it takes."""
    found = {}
    for option in OPTIONS:
        setting, config = option.setting, trt.IBuilderConfig
        if setting.how in (How.FLAG, How.CLEARED):
            there = setting.name in members(trt, "BuilderFlag")
        elif setting.how is How.POOL:
            there = setting.name in members(trt, "MemoryPoolType")
        elif setting.how in (How.ATTRIBUTE, How.ENUM):
            there = hasattr(config, setting.name)
        elif setting.how is How.TACTICS:
            there = hasattr(config, "set_tactic_sources")
        elif setting.how is How.LIBRARIES:
            there = hasattr(trt.IPluginRegistry, "load_library")
        else:
            there = setting.how is How.OURS or hasattr(config, "create_timing_cache")
        if there:
            found[option.name] = tuple(members(trt, setting.enum))
    return found


def offered(name: str, label: str, has: Mapping[str, Sequence[str]], *, gpu: bool) -> dict[str, OptionHere]:
    """Every option as it is offered by the engine called `name`, whose API `has` these; `gpu`: there is one here."""
    return {option.name: _offered(option, name, label, has, gpu=gpu) for option in OPTIONS}


def _offered(
    option: BuilderOption, name: str, label: str, has: Mapping[str, Sequence[str]], *, gpu: bool
) -> OptionHere:
    known = option.known.get(name, Known())
    if option.name not in has:
        return OptionHere(why_not=f"{label} has no such option", nearest=known.nearest)
    choices = tuple(has[option.name])
    if option.choices:
        there = {choice.upper() for choice in choices}
        choices = tuple(choice for choice in option.choices if choice.upper() in there)
    if known.why_not and not (known.without_gpu and gpu):
        return OptionHere(known.why_not, known.nearest, choices)
    return OptionHere(choices=choices, remark=known.remark)


def settings_of(chosen: Mapping[str, Value]) -> list[settings.Setting]:
    """How the chosen options are set, as `settings.apply` takes it; what this program does itself is left out."""
    found = []
    for name, value in chosen.items():
        setting = BY_NAME[name].setting
        if setting.how not in (How.OURS, How.TIMING_CACHE, How.LIBRARIES):
            what = f"{setting.name} {setting.enum}" if setting.how is How.ENUM else setting.name
            found.append((setting.how.value, what, value))
    return found
