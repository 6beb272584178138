"""The child processes of the worker that are not jobs: short, killable, spoken to through files and JSON lines."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Sequence


class Stopped(Exception):
    """The child was killed because nobody waits for its answer any more."""


def run_module(
    module: str, request: bytes, *, stop: Callable[[], bool], poll_s: float = 0.05
) -> tuple[int, bytes, str]:
    """Run `python -m module` with `request` on stdin until it ends; returns (status, stdout, stderr's tail).

    `stop` is asked every `poll_s` seconds; when it says yes the child is killed and Stopped raised.
    """
    return run_command([sys.executable, "-m", module], request, stop=stop, poll_s=poll_s)


def run_command(
    command: Sequence[str], request: bytes, *, stop: Callable[[], bool], poll_s: float = 0.05
) -> tuple[int, bytes, str]:
    """Like `run_module`, for any command."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    answer: list[tuple[bytes, bytes]] = []
    talk = threading.Thread(target=lambda: answer.append(process.communicate(request)), daemon=True)
    talk.start()
    while talk.is_alive():
        talk.join(poll_s)
        if talk.is_alive() and stop():
            process.kill()
            talk.join()
            raise Stopped
    out, err = answer[0]
    return process.returncode, out, err.decode(errors="replace")[-4000:]
