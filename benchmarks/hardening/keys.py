"""Random keys in the app, in a real pseudo-terminal: it takes them all, and ends when it is asked to."""

from __future__ import annotations

import fcntl
import os
import pty
import random
import select
import signal
import struct
import subprocess
import termios
import time
from pathlib import Path

from benchmarks.hardening.running import Tally, command, environment

PER_APP = 250
"""Keys for one app, which is then ended."""
ENDS_WITHIN_S = 30.0
QUIET_S = 0.5
"""Nothing drawn for so long: the keys before have been taken."""
_KEYS = (
    *(chr(code) for code in range(32, 127)),
    *("\r", "\t", "\x1b", "\x7f", " ", "\x1b[A", "\x1b[B", "\x1b[C", "\x1b[D", "\x1b[5~", "\x1b[6~", "\x1b[H"),
    *("\x1b[F", "\x1bOP", "\x1bOQ", "\x1b[15~", "\x1b[Z", "\x01", "\x02", "\x05", "\x06", "\x0b", "\x0e", "\x0f"),
    *(
        "\x10",
        "\x12",
        "\x13",
        "\x15",
        "\x18",
        "\x1b[<0;40;12M",
        "\x1b[<0;40;12m",
        "\x1b[<64;50;10M",
        "ü",
        "漢",
        "\U0001f600",
    ),
    *("j", "k", "h", "l", "\r", "\x1b") * 3,
)
"""Printable keys, movements, function keys, the mouse; not Ctrl+C, Ctrl+Q and Ctrl+Z, which end or stop it."""


def keys(count: int, seed: int, folder: Path, model: Path) -> Tally:
    """Press `count` random keys."""
    tally = Tally("random keys")
    folder.mkdir(parents=True, exist_ok=True)
    while tally.tried < count:
        _app(seed, folder, model, tally)
        seed += 1
    return tally


def _app(seed: int, folder: Path, model: Path, tally: Tally) -> None:
    chance = random.Random(seed)
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", chance.randint(10, 50), chance.randint(30, 160), 0, 0))
    app = subprocess.Popen(
        ["setsid", "--ctty", *command(str(model))],
        env={**environment(folder), "TERM": "xterm-256color"},
        cwd=folder,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    heard = _quiet(ours, QUIET_S * 4, app)
    pressed = 0
    while pressed < PER_APP and app.poll() is None:
        burst = [chance.choice(_KEYS) for _ in range(chance.choice((1, 1, 5, 20)))]
        os.write(ours, "".join(burst).encode())
        pressed += len(burst)
        _resume(app, tally)
        heard = (heard + _quiet(ours, chance.choice((0.02, 0.1)), app))[-20_000:]
    tally.tried += pressed
    deadline = time.monotonic() + ENDS_WITHIN_S
    while app.poll() is None and time.monotonic() < deadline:
        _resume(app, tally)
        os.write(ours, b"\x1b\x1b\x11")  # out of a dialog, Ctrl+Q
        heard = (heard + _quiet(ours, QUIET_S, app))[-20_000:]
    if app.poll() is None:
        tally.fail(f"app {seed} did not end within {ENDS_WITHIN_S:.0f} s after {pressed} keys: {heard[-300:]!r}")
        app.send_signal(signal.SIGABRT)  # its log of crashes then says where every thread is
        app.wait()
        for log in folder.rglob("*crash*"):
            print(log.read_text(errors="replace")[-6000:], flush=True)
    elif app.returncode != 0 or b"Traceback" in heard:
        tally.fail(f"app {seed} ended with status {app.returncode}: {heard[-600:]!r}")
    app.wait()
    tally.kinds["apps"] += 1
    os.close(ours)
    os.close(theirs)


def _resume(app: subprocess.Popen[bytes], tally: Tally) -> None:
    """Do what a shell does with `fg`: the palette can suspend the app."""
    try:
        stopped = Path(f"/proc/{app.pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"
    except OSError:
        return
    if stopped:
        tally.kinds["suspended and resumed"] += 1
        os.killpg(app.pid, signal.SIGCONT)


def _quiet(terminal: int, quiet_s: float, app: subprocess.Popen[bytes]) -> bytes:
    """What is drawn until nothing comes for `quiet_s` seconds."""
    heard = b""
    while app.poll() is None and select.select([terminal], [], [], quiet_s)[0]:
        heard += os.read(terminal, 65536)
        if len(heard) > 1_000_000:  # a spinner never stops
            break
    return heard
