"""The installed stack as the UI may import it: what is there, what does not fit, a lock of it, and what changed.

`friction_tui.stack.doctor` finds it out, in a process of its own; this module only holds, prints and compares.
"""

from __future__ import annotations

import msgspec

from friction_tui.vocabulary.finding import Finding, Severity

_MARKS = {Severity.ERROR: "✗", Severity.WARNING: "!", Severity.NOTE: "·"}


class Item(msgspec.Struct, frozen=True, omit_defaults=True):
    """One part of the stack. `version` is "" for a part that is not there; `detail` says more in a few words."""

    group: str
    name: str
    version: str = ""
    detail: str = ""


class Stack(msgspec.Struct, frozen=True):
    """A machine's stack. `packages` are all Python distributions with their versions."""

    machine: str
    items: tuple[Item, ...]
    findings: tuple[Finding, ...]
    packages: dict[str, str]


class Lock(msgspec.Struct, frozen=True, kw_only=True):
    """What is written to a lock file: `schema` 1, the parts by name, and all Python distributions."""

    schema: int = 1
    machine: str
    stack: dict[str, str]
    packages: dict[str, str]


def table(stack: Stack) -> str:
    """The stack as text: one line a part, groups apart, then what does not fit together and what to do."""
    lines = [stack.machine]
    width = max((len(item.name) for item in stack.items), default=0)
    group = ""
    for item in stack.items:
        if item.group != group:
            group = item.group
            lines += ["", group]
        lines.append(f"  {item.name:{width}}  {item.version or '–':<16}  {item.detail}".rstrip())
    lines.append("")
    for finding in stack.findings:
        lines.append(f"{_MARKS[finding.severity]} {finding.title}")
        lines.append(f"  {finding.cause}")
        lines += [f"  → {fix.text}" for fix in finding.fixes]
        lines.append("")
    wrong = sum(finding.severity is not Severity.NOTE for finding in stack.findings)
    lines.append(f"{wrong} found that does not fit together." if wrong else "Everything here fits together.")
    return "\n".join(lines)


def lock_of(stack: Stack) -> Lock:
    """The lock of a stack: versions only, nothing that changes from run to run."""
    parts = {f"{item.group}: {item.name}": item.version or "none" for item in stack.items}
    return Lock(machine=stack.machine, stack=parts, packages=dict(sorted(stack.packages.items())))


def differences(before: Lock, after: Lock) -> list[str]:
    """What changed, a line each: `package onnx: 1.16.1 → 1.23.2`. Empty when nothing did."""
    lines = []
    if before.machine != after.machine:
        lines.append(f"machine: {before.machine} → {after.machine}")
    for what, old, new in (("", before.stack, after.stack), ("package ", before.packages, after.packages)):
        for name in sorted(old.keys() | new.keys()):
            left, right = old.get(name, "none"), new.get(name, "none")
            if left != right:
                lines.append(f"{what}{name}: {left} → {right}")
    return lines


def read_lock(text: bytes) -> Lock:
    """A lock from its file. Raises ValueError, in plain words, for any other file."""
    try:
        return msgspec.json.decode(text, type=Lock)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"this is not a lock written by `friction-tui doctor --lock`: {error}") from error
