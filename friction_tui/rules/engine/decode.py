"""Engine messages decoded: what a text of TensorRT, ONNX Runtime or a script for an older release means.

The knowledge is the table `messages.toml`; this file only looks texts up in it.
"""

from __future__ import annotations

import re
import tomllib
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from importlib import resources

from onnx import TensorProto

from friction_tui.kinds import KINDS, engine
from friction_tui.kinds.kind import Kind
from friction_tui.vocabulary.finding import Tier

_NOISE = re.compile(r"Invalid Node - \S+\s*|\[checkMacros\.cpp::catchCudaError.*?(?=\n|$)", re.DOTALL)
"""Parts of a parser error that say nothing: the node's name again, and the missing GPU."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a message means. `names` are the nodes and tensors it mentions, `groups` the details it gives.

    `tier` is the question that the message answers when a builder gives it. `harmless` marks a message that is never
    why something failed: no finding is made of it, and its kind has no meaning.
    """

    kind: Kind
    cause: str
    fixes: tuple[str, ...]
    names: tuple[str, ...]
    groups: dict[str, str]
    tier: Tier = Tier.BUILDER
    harmless: bool = False


@dataclass(frozen=True, slots=True)
class _Entry:
    kind: Kind
    match: re.Pattern[str]
    cause: str
    fixes: tuple[str, ...]
    tier: Tier
    harmless: bool


def _element_type(code: str) -> str:
    """The name of an element type given by its number: 11 is DOUBLE."""
    names: dict[str, str] = {str(number): name for name, number in TensorProto.DataType.items()}
    return names.get(code, f"number {code}")


@cache
def _table() -> tuple[_Entry, ...]:
    text = (resources.files("friction_tui.rules.engine") / "messages.toml").read_text(encoding="utf-8")
    entries = tomllib.loads(text)["message"]
    undeclared = sorted({entry["kind"] for entry in entries if not entry.get("harmless")} - set(KINDS))
    if undeclared:
        raise ValueError(f"messages.toml decodes to kinds that are not declared: {', '.join(undeclared)}")
    return tuple(
        _Entry(
            kind=engine.OTHER if entry.get("harmless") else KINDS[entry["kind"]],
            match=re.compile(entry["match"], re.DOTALL),
            cause=entry["cause"],
            fixes=tuple(entry["fixes"]),
            tier=Tier(entry.get("tier", Tier.BUILDER)),
            harmless=entry.get("harmless", False),
        )
        for entry in entries
    )


def decoded_kinds() -> tuple[Kind, ...]:
    """Every kind that a message of an engine can decode to."""
    return tuple(dict.fromkeys((*(entry.kind for entry in _table() if not entry.harmless), engine.OTHER)))


def decode(text: str) -> Reading:
    """The meaning of one engine message. One that the table does not know is of kind `engine/other`, without fixes."""
    core = _NOISE.sub("", text).strip() or text.strip()
    for entry in _table():
        found = entry.match.search(core)
        if found:
            groups = {key: value for key, value in found.groupdict().items() if value}
            if "code" in groups:
                groups["code"] = _element_type(groups["code"])
            fields = defaultdict(str, groups)
            named = (groups[key].lstrip("(") for key in ("name", "name2", "tensor", "tensor2") if key in groups)
            return Reading(
                kind=entry.kind,
                cause=entry.cause.format_map(fields),
                fixes=tuple(fix.format_map(fields) for fix in entry.fixes),
                names=tuple(dict.fromkeys(named)),
                groups=groups,
                tier=entry.tier,
                harmless=entry.harmless,
            )
    return Reading(engine.OTHER, f"The engine says: {core}", (), (), {})
