"""One worker, several viewers: they agree, nobody waits for anybody, and whoever goes is not missed."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import msgspec
import psutil
import pytest

from friction_tui.sharing.joined import CannotJoin, join, start_hub, wait_for
from friction_tui.sharing.session_code import BadSessionCode, SessionCode, new_code, read_code
from friction_tui.sharing.viewer import QUEUE_BYTES, ViewerConnection
from friction_tui.vocabulary.protocol import PROTOCOL, Apply, JobKind, Join
from friction_tui.vocabulary.recipe import Range, Recipe
from friction_tui.worker.client import Process
from tests.sharing.viewers import ViewerSession, is_judged, joined, recipe_of, shared_part

pytestmark = pytest.mark.slow
"""Each test starts a hub, a worker and TensorRT's parser."""


@pytest.fixture(autouse=True)
def own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    with tempfile.TemporaryDirectory() as short:  # pytest's own is too long for a socket
        monkeypatch.setenv("XDG_RUNTIME_DIR", short)
        yield


@pytest.fixture
def hub() -> Iterator[tuple[Process, SessionCode]]:
    process, code = start_hub(None, watch_only=False)
    wait_for(process)
    yield process, code
    process.kill()
    process.wait()


@pytest.fixture
async def ann(hub: tuple[Process, SessionCode]) -> AsyncIterator[ViewerSession]:
    """The one who shares, with a model open and judged."""
    viewer = await joined(hub[1], "ann")
    viewer.open(recipe_of("baked_batch"))
    await viewer.until(is_judged)
    yield viewer
    await viewer.close()


async def agree(one: ViewerSession, other: ViewerSession) -> None:
    """Both come to the same state."""
    async with asyncio.timeout(30):
        while shared_part(one.state) != shared_part(other.state):
            await asyncio.sleep(0.05)


async def test_a_late_viewer_sees_everything_and_undo_is_shared(
    hub: tuple[Process, SessionCode], ann: ViewerSession
) -> None:
    ann.edit_range("N", 4)
    await ann.until(is_judged)
    bo = await joined(hub[1], "ann")
    assert shared_part(bo.state) == shared_part(ann.state)
    assert bo.state.present is not None
    assert bo.state.present.you == "ann 2"
    assert bo.state.history is not None
    bo.move(bo.state.history.undo(), "undone")
    await bo.until(is_judged)
    await ann.until(lambda state: state.revision == bo.state.revision and is_judged(state))
    await agree(ann, bo)
    assert ann.state.history is not None
    assert not ann.state.history.past
    assert any(notice.text == "ann 2: undid: N max 4 → 8" for notice in ann.state.notices)
    await bo.close()


async def test_of_two_edits_at_once_one_is_made_and_the_other_is_told(
    hub: tuple[Process, SessionCode], ann: ViewerSession
) -> None:
    bo = await joined(hub[1], "bo")
    for largest in (4, 5):  # the second is made on the first, which may not be granted
        for viewer in (ann, bo):
            viewer.edit_range("N", largest + (10 if viewer is bo else 0))
    loser = await first_told("changed the session first", ann, bo)
    await agree(ann, bo)
    assert ann.state.recipe is not None
    assert ann.state.recipe.profile is not None
    assert ann.state.recipe.profile.ranges["N"] == Range(1, 1, 15 if loser is ann else 5)
    loser.edit_range("N", 6)
    await loser.until(is_judged)
    await agree(ann, bo)
    assert loser.state.recipe is not None
    assert loser.state.recipe.profile is not None
    assert loser.state.recipe.profile.ranges["N"] == Range(1, 1, 6)
    await bo.close()


async def first_told(words: str, *viewers: ViewerSession) -> ViewerSession:
    """The first of them that is told something."""
    async with asyncio.timeout(30):
        while True:
            for viewer in viewers:
                if any(words in notice.text for notice in viewer.state.notices):
                    return viewer
            await asyncio.sleep(0.02)


async def test_a_build_of_one_is_seen_by_all_and_survives_who_started_it(
    hub: tuple[Process, SessionCode], ann: ViewerSession
) -> None:
    bo = await joined(hub[1], "bo")
    ann.begin(JobKind.BUILD)
    await bo.until(lambda state: state.running(JobKind.BUILD))
    await ann.close()
    await bo.until(lambda state: state.builds)
    assert any(notice.text == "ann left" for notice in bo.state.notices)
    await bo.close()


async def test_who_only_watches_changes_nothing(hub: tuple[Process, SessionCode], ann: ViewerSession) -> None:
    eve = await joined(hub[1], "eve", watch_only=True)
    before = ann.state.revision
    eve.edit_range("N", 4)
    assert "only watching" in eve.state.notices[-1].text
    assert ann.state.recipe is not None
    eve.ask(Apply(revision=before + 1, recipe=Recipe(source=ann.state.recipe.source)))  # a viewer that does not care
    await eve.until(lambda state: any("nothing was changed" in notice.text for notice in state.notices))
    assert ann.state.revision == before
    await eve.close()


async def test_it_ends_with_its_last_viewer(hub: tuple[Process, SessionCode], ann: ViewerSession) -> None:
    process, code = hub
    family = psutil.Process(process.pid).children(recursive=True)
    assert family
    await ann.close()
    await asyncio.to_thread(process.wait, 20)
    assert not code.socket.exists()
    assert not psutil.wait_procs(family, timeout=10)[1]


async def test_a_worker_that_dies_is_replaced_for_all(hub: tuple[Process, SessionCode], ann: ViewerSession) -> None:
    bo = await joined(hub[1], "bo")
    (worker,) = psutil.Process(hub[0].pid).children()
    worker.kill()
    for viewer in (ann, bo):
        await viewer.until(lambda state: any("died and was restarted" in notice.text for notice in state.notices))
        await viewer.until(is_judged)
    await agree(ann, bo)
    await bo.close()


async def test_a_hub_that_dies_is_told(hub: tuple[Process, SessionCode], ann: ViewerSession) -> None:
    os.kill(hub[0].pid, signal.SIGKILL)
    state = await ann.until(lambda state: state.worker_lost)
    assert "shared session is over" in state.notices[-1].text


async def test_a_viewer_that_reads_nothing_keeps_nobody_waiting_and_is_sent_the_state_later() -> None:
    ours, theirs = socket.socketpair()
    _, writer = await asyncio.open_unix_connection(sock=ours)
    made: list[int] = []

    def snapshot(viewer: ViewerConnection, number: int, why: str) -> bytes:
        made.append(number)
        return f"snapshot {number}\n".encode()

    viewer = ViewerConnection("slow", writer, snapshot, watch_only=False)
    line = b"x" * (1 << 20) + b"\n"
    for _ in range(3 * QUEUE_BYTES // len(line)):
        viewer.send(line)
        await asyncio.sleep(0)
    assert not viewer.in_step
    assert viewer._queued <= QUEUE_BYTES
    got = bytearray()
    theirs.setblocking(False)
    async with asyncio.timeout(20):
        while b"snapshot 1\n" not in got:
            got += await asyncio.get_running_loop().sock_recv(theirs, 1 << 20)
    assert made == [1]
    assert len(got) < QUEUE_BYTES
    viewer.send(b"news\n")
    async with asyncio.timeout(20):
        while b"news\n" not in got:
            got += await asyncio.get_running_loop().sock_recv(theirs, 1 << 20)
    viewer.leave()
    theirs.close()


async def test_the_way_in_is_narrow(hub: tuple[Process, SessionCode], ann: ViewerSession, tmp_path: Path) -> None:
    code = hub[1]
    assert code.socket.parent.stat().st_mode & 0o077 == 0
    assert code.token not in " ".join(psutil.Process(hub[0].pid).cmdline())
    with pytest.raises(CannotJoin, match="code is wrong"):
        await asyncio.to_thread(join, SessionCode(code.socket, "2" * 16), "eve")
    other = Join(token=code.token, name="old", protocol=PROTOCOL + 1, version="9.9")
    assert b"install the same version" in await asyncio.to_thread(_say, code, msgspec.json.encode(other) + b"\n")
    assert await asyncio.to_thread(_say, code, b'{"type":"open"}\n') == b""
    assert read_code(str(code)) == code
    assert read_code(f"{code.socket.parent}/{code.socket.stem}-{code.token}") == code
    with pytest.raises(BadSessionCode, match="not the code of a shared session"):
        read_code("what?")
    with pytest.raises(BadSessionCode, match="no shared session"):
        read_code("2222-3333")
    code.socket.parent.chmod(0o755)
    with pytest.raises(BadSessionCode, match="open to others"):
        new_code()
    with pytest.raises(BadSessionCode, match="open to others"):
        read_code(str(code))
    code.socket.parent.chmod(0o700)


def _say(code: SessionCode, line: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(10)
        link.connect(str(code.socket))
        link.sendall(line)
        return link.makefile("rb").readline()
