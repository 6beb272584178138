"""A worker at the other end of a line: a cut line loses nothing, whenever it is cut, and nothing stays behind.

The line is a process of this machine, which needs no ssh; `tests/worker/test_over_ssh.py` takes a real one.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest

from friction_tui.processes.child import run
from friction_tui.vocabulary.protocol import (
    PROTOCOL,
    Apply,
    BuildResult,
    CancelJob,
    Event,
    Hello,
    Inspect,
    JobEnded,
    JobKind,
    JobProgress,
    Judged,
    LineChanged,
    Open,
    Opened,
    Reconnect,
    StartJob,
    WorkerDied,
)
from friction_tui.vocabulary.protocol.line import Attach, written
from friction_tui.vocabulary.recipe import Range
from friction_tui.worker.client import WorkerClient
from tests.worker.test_client import Ear, recipe_of

WORKER = [sys.executable, "-m", "friction_tui", "worker", "--keep", "20"]


@pytest.fixture(autouse=True)
def own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def relays() -> list[psutil.Process]:
    """The lines there are."""
    return [one for one in psutil.Process().children() if "worker" in one.cmdline() and "--keep" in one.cmdline()]


def keepers(mark: str) -> list[psutil.Process]:
    """The keepers that these tests started, and what they run."""
    found = []
    for one in psutil.process_iter():
        try:
            if one.environ().get("XDG_STATE_HOME") == mark and one.pid != os.getpid() and one not in relays():
                found.append(one)
        except psutil.Error:
            continue
    return found


def cut() -> None:
    """The line, as a network does it: without a word."""
    for one in relays():
        one.kill()


@pytest.fixture
async def line() -> AsyncIterator[tuple[WorkerClient, Ear]]:
    ear = Ear()
    client = WorkerClient(ear, WORKER)
    await client.start()
    yield client, ear
    await client.close()


async def heard(ear: Ear, what: Callable[[Event], bool]) -> Event:
    """Wait for an event of which something is true."""
    async with asyncio.timeout(90):
        while True:
            found = next((event for event in ear.events if what(event)), None)
            if found is not None:
                return found
            await asyncio.sleep(0.02)


async def test_a_cut_line_comes_back_to_the_same_worker(line: tuple[WorkerClient, Ear]) -> None:
    client, ear = line
    client.send(Open(revision=1, recipe=recipe_of("healthy_cnn")))
    await ear.wait_for(Judged)
    cut()
    await heard(ear, lambda event: isinstance(event, LineChanged) and not event.up)
    client.send(Inspect("n:0"))
    await ear.wait_for(LineChanged, 3)
    ups = [event.up for event in ear.events if isinstance(event, LineChanged)]
    assert ups == [True, False, True]
    assert not [event for event in ear.events if isinstance(event, WorkerDied)]
    assert len([event for event in ear.events if isinstance(event, Hello)]) == 1


async def test_a_job_that_ended_while_nobody_was_there_has_its_result(line: tuple[WorkerClient, Ear]) -> None:
    client, ear = line
    client.send(Open(revision=1, recipe=recipe_of("healthy_cnn")))
    await ear.wait_for(Judged)
    client.send(StartJob(job=1, kind=JobKind.BUILD))
    await ear.wait_for(JobProgress)
    cut()
    (ended,) = await ear.wait_for(JobEnded)
    assert isinstance(ended, JobEnded)
    assert isinstance(ended.build, BuildResult)
    assert ended.build.ok


@pytest.mark.slow
async def test_cut_at_random_moments_every_edit_is_answered_once_and_in_order(line: tuple[WorkerClient, Ear]) -> None:
    client, ear = line
    chance = random.Random(7)
    recipe = recipe_of("baked_batch")
    client.send(Open(revision=1, recipe=recipe))
    opened = (await ear.wait_for(Opened))[0]
    assert isinstance(opened, Opened)
    revision = 1
    for _ in range(8):
        revision += 1
        recipe = opened.recipe.with_range("N", Range(1, 2, revision + 2))
        client.send(Apply(revision=revision, recipe=recipe))
        client.send(StartJob(job=revision, kind=JobKind.MEASURE, runs=1))
        client.send(CancelJob(job=revision))
        await asyncio.sleep(chance.random() * 0.6)
        cut()
        await asyncio.sleep(chance.random() * 0.6)
    await heard(ear, lambda event: isinstance(event, Judged) and event.complete and event.revision == revision)
    await ear.wait_for(JobEnded, 8)
    ended = [event.job for event in ear.events if isinstance(event, JobEnded)]
    assert sorted(ended) == list(range(2, revision + 1))
    revisions = [event.revision for event in ear.events if isinstance(event, Judged)]
    assert revisions == sorted(revisions)
    assert not [event for event in ear.events if isinstance(event, WorkerDied)]


async def test_a_worker_that_dies_there_is_started_again_with_the_model(
    line: tuple[WorkerClient, Ear], tmp_path: Path
) -> None:
    client, ear = line
    client.send(Open(revision=1, recipe=recipe_of("healthy_cnn")))
    (hello,) = await ear.wait_for(Hello)
    await ear.wait_for(Judged)
    assert isinstance(hello, Hello)
    os.kill(hello.pid, signal.SIGKILL)
    (death,) = await ear.wait_for(WorkerDied)
    assert isinstance(death, WorkerDied)
    assert "SIGKILL" in death.why
    await ear.wait_for(Opened, 2)
    await ear.wait_for(Judged, 2)
    await client.close()
    _, alive = psutil.wait_procs(keepers(str(tmp_path / "state")), timeout=5)
    assert alive == []


async def test_nothing_stays_behind_when_the_app_leaves_or_does_not_come_back(
    tmp_path: Path,
) -> None:
    for leaves in (True, False):
        ear = Ear()
        client = WorkerClient(ear, [*WORKER[:-1], "2"])
        await client.start()
        client.send(Open(revision=1, recipe=recipe_of("detector")))
        await ear.wait_for(Judged)
        assert keepers(str(tmp_path / "state"))
        if leaves:
            await client.close()
        else:
            assert client._process is not None
            client._process.kill()  # hangs up without a word, as the end of this process would
        _, alive = psutil.wait_procs(keepers(str(tmp_path / "state")), timeout=8)
        assert alive == []


@pytest.mark.parametrize(
    ("says", "why"),
    [
        (
            "import sys; print('Last login: Monday'); sys.exit('bash: command not found')",
            "command not found",
        ),
        (
            "import sys; sys.stdin.readline(); "
            'print(\'{"type":"hello","version":"0.0.9","pid":1,"machine":"box","engines":[]}\', flush=True); '
            "sys.stdin.read()",
            "0.0.9 is installed there",
        ),
    ],
)
async def test_why_there_is_no_connection_is_told_and_can_be_tried_again(says: str, why: str) -> None:
    ear = Ear()
    client = WorkerClient(ear, [sys.executable, "-c", says])
    await client.start()
    (down,) = await ear.wait_for(LineChanged)
    assert isinstance(down, LineChanged)
    assert not down.up
    assert why in down.why
    client.send(Reconnect())
    await ear.wait_for(LineChanged, 2)
    await client.close()


@pytest.mark.parametrize(
    ("said", "answer"),
    [
        (b'{"type":"open"}', b"an older one, which speak differently: install the same version"),
        (
            written(Attach(session="abcd", token="x", protocol=99, version="9.9.9", new=True)),
            b"the terminal has 9.9.9, which speak differently: install the same version",
        ),
        (
            written(Attach(session="../../x", token="x", protocol=PROTOCOL, version="1", new=True)),
            b"the name of the session is none",
        ),
        (written(Attach(session="abcd", token="x", protocol=PROTOCOL, version="1")), b"nobody came back to it in time"),
    ],
)
def test_a_terminal_that_cannot_be_served_is_told_why(said: bytes, answer: bytes) -> None:
    done = run(WORKER, said.rstrip(b"\n") + b"\n", limit_s=60)
    assert answer in done.out
    assert done.code == 2
