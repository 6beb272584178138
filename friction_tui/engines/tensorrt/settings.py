"""Setting the builder's options on its configuration, and reading back whether they were taken.

Imports the standard library only, as the processes do that load TensorRT. A setting is `(how, name, value)`, where
`how` is a `friction_tui.vocabulary.recipe.builder_options.How` and `value` what the option was chosen to be.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from friction_tui.engines.tensorrt.capabilities import members
from friction_tui.engines.tensorrt.module import Native

Setting = tuple[str, str, Any]


def apply(trt: Native, config: Native, settings: Iterable[Setting]) -> list[str]:
    """Set them all. Gives a sentence for each that the configuration does not have afterwards.

    TensorRT logs an error for a value that it does not take, and goes on as before.
    """
    refused = []
    for how, name, value in settings:
        try:
            taken = _set(trt, config, how, name, value)
        except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
            refused.append(f"{name or how} = {value} cannot be set: {type(error).__name__}: {error}")
            continue
        if not taken:
            refused.append(f"{name or how} = {value} was not taken by the builder's configuration")
    return refused


def _set(trt: Native, config: Native, how: str, name: str, value: Any) -> bool:
    """Set one, and whether reading it back gives it."""
    match how:
        case "flag" | "cleared":
            flag = members(trt, "BuilderFlag")[name]
            (config.set_flag if value else config.clear_flag)(flag)
            return bool(config.get_flag(flag)) == bool(value)
        case "pool":
            pool = members(trt, "MemoryPoolType")[name]
            config.set_memory_pool_limit(pool, value)
            return bool(config.get_memory_pool_limit(pool) == value)
        case "attribute":
            setattr(config, name, value)
            return bool(getattr(config, name) == value)
        case "enum":
            attribute, _, enum = name.partition(" ")
            member = members(trt, enum)[value.upper()]
            setattr(config, attribute, member)
            return bool(getattr(config, attribute) == member)
        case "tactics":
            sources = members(trt, "TacticSource")
            wanted = sum(1 << int(sources[source]) for source in value)
            return bool(config.set_tactic_sources(wanted)) and config.get_tactic_sources() == wanted
    return True
