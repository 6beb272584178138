"""Kills of the app, of its worker on another machine, of what keeps that, and of the line, at random moments.

The app is the real one, without a terminal: this module is also what runs it. After every kill an edit must be judged
and a job must end; of the edits that were made, a kill of the app may take the one in flight.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING

from benchmarks.hardening.running import MARK, START, Tally, environment, marked

if TYPE_CHECKING:
    from friction_tui.ui.app import FrictionApp

LIMIT_S = 120.0
"""How long an edit or a job may take to come to its end, on a machine that does other things too."""
KEEP_S = 20
WHAT = ("line", "line", "line", "line", "worker", "keeper", "app")
ROUND = 8
"""Kills of one session."""


class App:
    """The app in a process of its own, which does what it is told in lines and answers in lines."""

    def __init__(self, model: Path, folder: Path, mark: str, line: Sequence[str]) -> None:
        here = {**environment(folder, mark), "TERM": "xterm-256color"}
        away = [f"{name}={here[name]}" for name in here if name.startswith("XDG_") or name in (MARK, "PYTHONPATH")]
        worker = [sys.executable, "-P", "-c", START, "worker", "--keep", str(KEEP_S)]
        worker = ["env", *away, *worker]
        command = [*line, shlex.join(worker)] if line else worker
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.hardening.lines", str(model), *command],
            env=here,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            bufsize=1,
        )
        self._answers: SimpleQueue[str] = SimpleQueue()
        Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for answer in self.process.stdout:
            self._answers.put(answer.strip())

    def tell(self, what: str) -> None:
        """Say something without waiting."""
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):
            self.process.stdin.write(f"{what}\n")
            self.process.stdin.flush()

    def ask(self, what: str) -> str:
        """Say something and wait for the answer; "" for none in time."""
        self.tell(what)
        return self.hear()

    def hear(self) -> str:
        """The next answer; "" for none in time."""
        with contextlib.suppress(Empty):
            return self._answers.get(timeout=LIMIT_S)
        return ""

    def end(self) -> None:
        """Kill it."""
        self.process.kill()
        self.process.wait()


def lines(count: int, seed: int, folder: Path, model: Path, line: Sequence[str]) -> Tally:
    """`count` kills. `line` is the command that the worker's is given to, such as `ssh box`; none for a process."""
    tally = Tally("kills of app, worker and line")
    for number in range(seed, seed + -(-count // ROUND)):
        _round(tally, number, folder / str(number), model, line)
    return tally


def _round(tally: Tally, number: int, folder: Path, model: Path, line: Sequence[str]) -> None:
    folder.mkdir(parents=True)
    chance, mark = random.Random(number), f"line-{os.getpid()}-{number}"
    app = App(model, folder, mark, line)
    made = 0
    try:
        if app.ask("judged") != "judged":
            tally.fail(f"{number}: the first verdict did not come")
            return
        for turn in range(ROUND):
            what = chance.choice(WHAT)
            where = f"round {number}, kill {turn} ({what})"
            for _ in range(chance.randint(1, 2)):
                app.ask("saved")  # of two edits made faster than the disk writes, both are in flight
                app.ask("edit")
                made += 1
            if chance.random() < 0.5:
                app.tell("job")
            time.sleep(chance.uniform(0.0, 1.5) * chance.choice((0.01, 1.0)))
            if what == "app":
                app.end()
                app = App(model, folder, mark, line)
            else:
                _kill(what, mark)
            tally.tried += 1
            tally.kinds[what] += 1
            time.sleep(chance.uniform(0.0, 1.0))
            app.ask("edit")
            made += 1
            if app.ask("judged") != "judged":
                tally.fail(f"{where}: no verdict within {LIMIT_S:.0f} s")
                return
            if app.ask("idle") != "idle":
                tally.fail(f"{where}: a job runs for ever")
                return
            kept = int(app.ask("edits") or -1)
            if kept < made - (what == "app"):
                tally.fail(f"{where}: {made} edits were made, {kept} are there")
            made = kept
        app.tell("quit")
        app.process.wait(30)
        deadline = time.monotonic() + KEEP_S + 10  # a worker whose app was killed is kept for a while
        while (left := marked(mark)) and time.monotonic() < deadline:
            time.sleep(0.1)
        if left and not line:
            tally.fail(f"round {number} left {[Path(f'/proc/{pid}/cmdline').read_bytes()[-60:] for pid in left]}")
    except subprocess.TimeoutExpired:
        tally.fail(f"round {number}: the app did not end")
    finally:
        app.end()
        for pid in marked(mark):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _kill(what: str, mark: str) -> None:
    sign = {"worker": b"friction_tui.worker.host", "keeper": b"friction_tui.worker.keeper"}.get(what, b"--keep")
    for pid in marked(mark):
        with contextlib.suppress(OSError):
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            if sign in words and b"benchmarks.hardening.lines" not in words:
                os.kill(pid, signal.SIGKILL)


async def run(model: str, worker: Sequence[str]) -> None:
    """The app on a model, or on the session of it that was saved; it reads what to do from stdin."""
    from friction_tui.ui import sessions
    from friction_tui.ui.app import FrictionApp
    from friction_tui.vocabulary.protocol import JobKind, Reconnect
    from friction_tui.vocabulary.recipe import Range, Recipe, Source

    recipe = Recipe(source=Source(model))
    file, session = sessions.to_resume(recipe) or (None, None)
    app = FrictionApp(recipe, session=session, file=file, worker=worker)
    said: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def listen() -> None:
        for line in sys.stdin:
            loop.call_soon_threadsafe(said.put_nowait, line.strip())
        loop.call_soon_threadsafe(said.put_nowait, "quit")

    Thread(target=listen, daemon=True).start()
    async with app.run_test(size=(120, 40)):
        live = app.live
        while (what := await said.get()) != "quit":
            while what in ("edit", "job", "judged") and (live.state.judged is None or live.state.graph is None):
                await asyncio.sleep(0.05)
            state = live.state
            if what == "edit" and state.recipe is not None and state.history is not None:
                live.edit(state.recipe.with_range("N", Range(1, 2, 3 + len(state.history.past))))
            elif what == "job" and not state.line_lost:
                live.begin(JobKind.MEASURE, runs=1)
            elif what == "judged":
                while live.state.checking or live.state.line_lost:
                    if live.state.worker_lost:  # killed three times within a minute: somebody presses R
                        live.show(replace(live.state, worker_lost=False))
                        live.ask(Reconnect())
                    await asyncio.sleep(0.05)
            elif what == "idle":
                while live.state.running() is not None:
                    await asyncio.sleep(0.05)
            elif what == "saved" and state.history is not None:
                while _on_disk(app) != len(state.history.past):
                    await asyncio.sleep(0.01)
            elif what == "edits":
                what = str(len(state.history.past) if state.history is not None else 0)
            if what != "job":
                print(what, flush=True)
        await app.action_quit()


def _on_disk(app: FrictionApp) -> int:
    """How many edits the session file has."""
    from friction_tui.ui import sessions

    path = app._autosave.path
    with contextlib.suppress(sessions.BrokenSessionError):
        return sessions.load(path).edits if path is not None else 0
    return 0


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], sys.argv[2:]))
    os._exit(0)
