"""The worker's death is noticed, told, and mended; its end leaves nothing running."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import psutil
import pytest

from friction_tui.samples import sample
from friction_tui.vocabulary.protocol import Event, GraphReady, Hello, Judged, Open, Opened, WorkerDied
from friction_tui.vocabulary.recipe import Recipe, Source
from friction_tui.worker.client import WorkerClient, spawn


class Ear:
    """Keeps what was heard and lets a test wait for it."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._new = asyncio.Event()

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        self._new.set()

    async def wait_for(self, kind: type, count: int = 1) -> list[Event]:
        async with asyncio.timeout(60):
            while len(found := [event for event in self.events if isinstance(event, kind)]) < count:
                self._new.clear()
                await self._new.wait()
        return found


def recipe_of(name: str) -> Recipe:
    path = sample(name)
    assert path is not None
    return Recipe(source=Source(str(path)))


@pytest.mark.parametrize("ahead", ["detector", "healthy_cnn"])
async def test_a_graph_read_ahead_is_shown_before_anything_else_and_once(ahead: str) -> None:
    """What is opened then is what counts: another model than the one read ahead is read as ever."""
    ear = Ear()
    client = WorkerClient(ear, early=spawn(first=recipe_of(ahead).source.path))
    client.send(Open(revision=1, recipe=recipe_of("detector")))
    await client.start()
    await ear.wait_for(Judged)
    await client.close()
    (shown,) = (event for event in ear.events if isinstance(event, GraphReady))
    assert "NonZero" in shown.graph.ops
    assert (ear.events.index(shown) == 0) == (ahead == "detector")
    judged = next(event for event in ear.events if isinstance(event, Judged))
    assert "operators/data-dependent" in {finding.kind for finding in judged.findings}


@pytest.mark.parametrize("content", [None, b"<!DOCTYPE html>", b""])
async def test_what_cannot_be_read_ahead_is_opened_as_ever(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "broken.onnx"
    if content is not None:
        path.write_bytes(content)
    ear = Ear()
    client = WorkerClient(ear, early=spawn(first=str(path)))
    client.send(Open(revision=1, recipe=Recipe(source=Source(str(path)))))
    await client.start()
    (judged,) = await ear.wait_for(Judged)
    await client.close()
    assert isinstance(judged, Judged)
    assert judged.findings[0].kind.startswith("file/")


async def test_a_killed_worker_comes_back_with_the_model() -> None:
    ear = Ear()
    client = WorkerClient(ear)
    client.send(Open(revision=1, recipe=recipe_of("healthy_cnn")))
    await client.start()
    await ear.wait_for(Judged)
    assert client.pid is not None
    os.kill(client.pid, signal.SIGKILL)
    (death,) = await ear.wait_for(WorkerDied)
    assert isinstance(death, WorkerDied)
    assert death.restarted
    assert "SIGKILL" in death.why
    await ear.wait_for(Judged, 2)
    assert len(await ear.wait_for(Opened, 2)) == 2
    await client.close()


async def test_closing_leaves_no_process_and_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    ear = Ear()
    client = WorkerClient(ear)
    await client.start()
    client.send(Open(revision=1, recipe=recipe_of("detector")))
    await ear.wait_for(Hello)
    await ear.wait_for(Judged)
    assert client.pid is not None
    family = [psutil.Process(client.pid), *psutil.Process(client.pid).children(recursive=True)]
    await client.close()
    _, alive = psutil.wait_procs(family, timeout=3)
    assert alive == []
    assert list(tmp_path.glob("friction_tui-*")) == []
