"""Running `friction-tui` where nothing of the user's is touched, and judging how it ended."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

MARK = "FRICTION_HARDENING"
"""An environment variable that every process started for the campaign carries: what is left behind is found by it."""
START = "from friction_tui.cli import main; main()"


@dataclass(slots=True)
class Tally:
    """Attempts of one class, and what failed, each with the way to try it again."""

    name: str
    tried: int = 0
    failed: list[str] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    """How often each outcome was seen."""

    def fail(self, what: str) -> None:
        """Keep a failure and print it."""
        told = what.encode("utf-8", "backslashreplace").decode()
        self.failed.append(told)
        print(f"  FAILED {self.name}: {told}", flush=True)

    def __str__(self) -> str:
        """One line of the table."""
        seen = ", ".join(f"{count} {kind}" for kind, count in sorted(self.kinds.items()))
        return f"{self.name:<34} tried {self.tried:>6}   failed {len(self.failed):>3}   {seen}"


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended. `code` is None when it had to be ended."""

    code: int | None
    out: bytes
    errors: str

    def fault(self, allowed: Sequence[int] = (0, 1, 2)) -> str:
        """What breaks the contract: a hang, an exit status outside of `allowed`, a traceback; "" for nothing."""
        if self.code is None:
            return "did not end in time"
        if self.code not in allowed:
            return f"exit status {self.code}: {self.errors[-300:]}"
        return f"a traceback: {self.errors[-300:]}" if "Traceback (most recent call last)" in self.errors else ""


def environment(home: Path, mark: str = "") -> dict[str, str]:
    """The environment of a command whose settings, sessions and caches lie in `home`."""
    places = {f"XDG_{name}_HOME": str(home / name.lower()) for name in ("CONFIG", "STATE", "DATA", "CACHE")}
    package = str(Path(__file__).parents[2])
    return {**os.environ, **places, "HOME": str(home), "PYTHONPATH": package, "CI": "1", MARK: mark}


def command(*arguments: str) -> list[str]:
    """The command line of friction-tui with `arguments`."""
    return [sys.executable, "-P", "-c", START, *arguments]


def run(
    arguments: Sequence[str],
    home: Path,
    *,
    cwd: Path | None = None,
    limit_s: float,
    variables: Mapping[str, str] = MappingProxyType({}),
) -> Ended:
    """Run it to its end; `variables` are added to the environment."""
    try:
        done = subprocess.run(
            command(*arguments),
            env={**environment(home), **variables},
            cwd=cwd or home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=limit_s,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        return Ended(None, late.stdout or b"", (late.stderr or b"").decode(errors="replace"))
    return Ended(done.returncode, done.stdout, done.stderr.decode(errors="replace"))


def marked(mark: str) -> list[int]:
    """The processes that carry `mark` and are not this one."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        try:
            alive = (entry / "stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
            if alive and wanted in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:  # it ended meanwhile
            continue
    return found
