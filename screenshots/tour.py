"""Records a tour of the real app as an asciinema cast: `make tour`. Nothing in it is made up.

The app runs in a pseudo-terminal on a copy of a sample model. Each step waits until the screen says what is to be
pressed next; long waits (an engine that is built) are shortened in the recording, which the cast's title says.
asciicast v2: https://docs.asciinema.org/manual/asciicast/v2/
"""

from __future__ import annotations

import codecs
import fcntl
import json
import os
import pty
import select
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
import time
from dataclasses import dataclass
from pathlib import Path

from friction_tui.samples import DEMO, sample

CAST = Path(__file__).parent / "tour.cast"
COLUMNS, ROWS = 110, 32
LONGEST_PAUSE = 2.0
"""Seconds that nothing happens in the recording, at most."""
LOOK = 1.6
"""Seconds to look at the screen before a key."""
PATIENCE = 240.0


@dataclass(frozen=True)
class Step:
    """Press `key` once `when` was drawn since the key before, and nothing more is drawn."""

    when: str
    key: str


STEPS = (
    Step("X", "n"),
    Step("1 of 2 here", "\r"),
    Step("Who says", "\x1b"),
    Step("fix all", "X"),
    Step("no error remains", "x"),
    Step("apply", "\r"),
    Step("no error remains", "b"),
    Step("built in", "m"),
    Step("p50", "1"),
    Step("", "S"),
    Step("writes a new file", "\r"),
    Step("wrote", "q"),
)


def record(folder: Path) -> list[tuple[float, str]]:
    """What the terminal was sent, with the seconds at which it came."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    home = {name: str(folder / name.lower()) for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME")}
    never = ("COLUMNS", "LINES", "NO_COLOR", "SSH_TTY", "TMUX")
    kept = {name: value for name, value in os.environ.items() if name not in never}
    app = subprocess.Popen(
        ["setsid", "--ctty", sys.executable, "-m", "friction_tui", f"{DEMO}.onnx"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=folder,
        env={**kept, **home, "TERM": "xterm-256color", "COLORTERM": "truecolor"},
    )
    os.close(theirs)
    started, heard, new = time.monotonic(), [], ""
    decoder = codecs.getincrementaldecoder("utf-8")()
    steps = list(STEPS)
    quiet = time.monotonic()
    try:
        while app.poll() is None:
            if select.select([ours], [], [], 0.05)[0]:
                try:
                    text = decoder.decode(os.read(ours, 65536))
                except OSError:
                    break
                heard.append((time.monotonic() - started, text))
                new += text
                quiet = time.monotonic()
            elif steps and steps[0].when in new and time.monotonic() - quiet > LOOK:
                step, new, quiet = steps.pop(0), "", time.monotonic()
                os.write(ours, step.key.encode())
            if time.monotonic() - quiet > PATIENCE:
                raise SystemExit(f"the screen never said {steps[0].when!r}; the last was {new[-400:]!r}")
    finally:
        app.kill()
        os.close(ours)
    if steps:
        raise SystemExit(f"the app ended before {steps[0].when!r}")
    return heard


def cast(heard: list[tuple[float, str]]) -> str:
    """The recording as an asciicast, long pauses shortened."""
    header = {
        "version": 2,
        "width": COLUMNS,
        "height": ROWS,
        "idle_time_limit": LONGEST_PAUSE,
        "title": "friction-tui: refused, fixed, built, measured, saved (pauses shortened)",
        "env": {"TERM": "xterm-256color"},
    }
    lines, at, before = [json.dumps(header)], 0.0, 0.0
    for when, text in heard:
        at += min(when - before, LONGEST_PAUSE)
        before = when
        lines.append(json.dumps([round(at, 3), "o", text], ensure_ascii=False))
    return "\n".join(lines) + "\n"


def main() -> None:
    """Record, and write the cast beside this file."""
    demo = sample(DEMO)
    assert demo is not None
    with tempfile.TemporaryDirectory() as folder:
        for file in demo.parent.glob(f"{demo.stem}.*"):
            shutil.copy(file, folder)
        made = cast(record(Path(folder)))
    CAST.write_text(made, encoding="utf-8")
    print(f"screenshots/{CAST.name}: {len(made.encode()):,} bytes")


if __name__ == "__main__":
    main()
