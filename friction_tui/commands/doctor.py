"""`friction-tui doctor`: the installed stack as a table or JSON, what of it does not fit, a lock, and what changed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import msgspec

from friction_tui.commands.failing import CouldNotRun, write
from friction_tui.stack.installed import Stack, differences, lock_of, read_lock, table
from friction_tui.vocabulary.finding import Severity

_TIMEOUT_S = 120.0


def run(*, as_json: bool, lock: Path | None, diff: Path | None) -> int:
    """Print the stack. The exit status is 1 when something does not fit, or differs from the lock `diff`."""
    stack = _examined()
    if lock is not None:
        write(lock, msgspec.json.format(msgspec.json.encode(lock_of(stack)), indent=2) + b"\n", "the lock")
        click.echo(f"{lock}: {len(stack.items)} parts and {len(stack.packages)} packages locked", err=True)
    if diff is not None:
        return _compared(stack, diff)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(stack), indent=2).decode())
    else:
        click.echo(table(stack))
    return int(any(finding.severity is Severity.ERROR for finding in stack.findings))


def _examined() -> Stack:
    """The stack, found out in a process of its own: it loads native libraries that may crash."""
    command = [sys.executable, "-m", "friction_tui.stack.doctor"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        raise CouldNotRun(f"looking at the stack took longer than {_TIMEOUT_S:.0f} s") from None
    if done.returncode != 0:
        words = done.stderr.decode("utf-8", "replace").strip()
        raise CouldNotRun(f"looking at the stack failed (status {done.returncode}): {words[-600:]}")
    return msgspec.json.decode(done.stdout, type=Stack)


def _compared(stack: Stack, path: Path) -> int:
    """Print what changed since the lock at `path`."""
    try:
        before = read_lock(path.read_bytes())
    except ValueError as error:
        raise click.UsageError(f"{path}: {error}") from None
    changed = differences(before, lock_of(stack))
    click.echo("\n".join(changed) if changed else f"Nothing has changed since {path}.")
    return int(bool(changed))
