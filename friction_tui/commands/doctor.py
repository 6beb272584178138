"""`friction-tui doctor`: the installed stack as a table or JSON, what of it does not fit, a lock, and what changed."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec

from friction_tui.commands.failing import CouldNotRun, write
from friction_tui.files import read_whole
from friction_tui.processes.begin import command
from friction_tui.processes.child import run as run_child
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
    done = run_child(command("friction_tui.stack.doctor"), limit_s=_TIMEOUT_S)
    if done.code is None:
        raise CouldNotRun(f"looking at the stack took longer than {_TIMEOUT_S:.0f} s")
    if done.code != 0:
        raise CouldNotRun(f"looking at the stack failed: the process {done.how}: {done.tail[-600:]}")
    return msgspec.json.decode(done.out, type=Stack)


def _compared(stack: Stack, path: Path) -> int:
    """Print what changed since the lock at `path`."""
    try:
        before = read_lock(read_whole(path))
    except ValueError as error:
        raise click.UsageError(f"{path}: {error}") from None
    changed = differences(before, lock_of(stack))
    click.echo("\n".join(changed) if changed else f"Nothing has changed since {path}.")
    return int(bool(changed))
