"""The real command in a pseudo-terminal: what a user's keys, signals and closed windows do to it."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path
from typing import Any


class Terminal:
    """`friction-tui` with `arguments`, in a terminal of its own; a controlling one, unless not `controlling`."""

    def __init__(self, arguments: list[str], home: Path, *, controlling: bool = True) -> None:
        self.ours, self.theirs = pty.openpty()
        self.resize(30, 120)
        self.before: list[Any] = termios.tcgetattr(self.theirs)
        self.heard = b""
        # pytest-xdist names a size of its own in these, which would win over the terminal's.
        inherited = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
        environment = {**inherited, "TERM": "xterm-256color", "XDG_STATE_HOME": str(home)}
        take_terminal = ["setsid", "--ctty"] if controlling else ["setsid"]  # replaces itself by the command
        self.process = subprocess.Popen(
            [*take_terminal, sys.executable, "-m", "friction_tui", *arguments],
            stdin=self.theirs,
            stdout=self.theirs,
            stderr=self.theirs,
            env=environment,
        )
        self._open = True
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        while self._open:
            try:
                if select.select([self.ours], [], [], 0.05)[0]:
                    self.heard += os.read(self.ours, 65536)
            except OSError:
                return

    def resize(self, rows: int, columns: int) -> None:
        """Make it another size."""
        fcntl.ioctl(self.theirs, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def press(self, keys: str, every: float = 0.0) -> None:
        """Type, with a pause between the keys if wanted."""
        for key in keys if every else [keys]:
            os.write(self.ours, key.encode())
            time.sleep(every)

    def seen(self, text: str, since: int = 0, limit: float = 40.0) -> float:
        """Seconds until `text` has been drawn after the first `since` bytes."""
        started = time.monotonic()
        while text.encode() not in self.heard[since:]:
            assert time.monotonic() - started < limit, f"{text!r} was not drawn; the last was {self.heard[-500:]!r}"
            time.sleep(0.005)
        return time.monotonic() - started

    def close(self) -> None:
        """The window is closed. Nobody may be reading from it then: a read that waits keeps it open."""
        self._open = False
        self._listener.join()
        os.close(self.theirs)
        os.close(self.ours)
