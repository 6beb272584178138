"""What the tables beside this file say about operators: who takes them, what stands in the way, what to use instead."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from friction_tui.kinds import KINDS, operators
from friction_tui.kinds.kind import Kind


@dataclass(frozen=True, slots=True)
class Advice:
    """About an operator TensorRT does not take. `why` is a clause, "" when not known."""

    kind: Kind
    why: str
    instead: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Support:
    """Which operators TensorRT takes according to the table. `since` is by operator."""

    enterprise: str
    rtx: str
    taken: frozenset[str]
    refused: frozenset[str]
    rtx_refuses: frozenset[str]
    since: dict[str, str]


@cache
def _read(name: str) -> dict[str, Any]:
    return tomllib.loads((resources.files("friction_tui.rules.operators") / name).read_text(encoding="utf-8"))


@cache
def support() -> Support:
    """The operator table."""
    table = _read("operator_support.toml")
    return Support(
        enterprise=table["enterprise"],
        rtx=table["rtx"],
        taken=frozenset(table["taken"]),
        refused=frozenset(table["refused"]),
        rtx_refuses=frozenset(table["rtx_refuses"]),
        since=table["since"],
    )


@cache
def advice(op: str) -> Advice:
    """What to say about an operator that is not taken; a general answer for one the table does not list."""
    table = _read("replacements.toml")
    entry = table["ops"].get(op, {})
    kind = KINDS[entry["kind"]] if "kind" in entry else operators.UNSUPPORTED
    general = table["kinds"].get(kind.id, {})
    instead = entry.get("instead") or general.get("instead")
    return Advice(
        kind=kind,
        why=entry.get("why") or general.get("why", ""),
        instead=tuple(instead or (f"Replace {op} by other operators, move it outside the model, or write a plugin.",)),
    )


def extra_output_advice(op: str) -> str:
    """What to do about an operator whose additional outputs are not computed; "" when only the message knows."""
    known: str = _read("replacements.toml")["extra-output"].get(op, "")
    return known


def onnx_name_of_aten(op: str) -> str:
    """What ONNX calls an ATen operator, such as `GridSample (opset 16)`; "" when not known."""
    name: str = _read("replacements.toml")["aten"].get(op.removeprefix("aten::").removeprefix("_").lower(), "")
    return name


@cache
def tensorflow_names() -> frozenset[str]:
    """TensorFlow operators that are not ONNX operators."""
    return frozenset(_read("replacements.toml")["tensorflow"]["names"])
