"""A worker over a real sshd on loopback, with keys and a port of its own: cut there, and come back to."""

from __future__ import annotations

import asyncio
import contextlib
import random
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from friction_tui.vocabulary.protocol import Apply, JobEnded, JobKind, Judged, Open, Opened, StartJob, WorkerDied
from friction_tui.vocabulary.recipe import Range
from friction_tui.worker.client import WorkerClient
from tests.worker.test_client import Ear, recipe_of
from tests.worker.test_remote import heard, own_places

__all__ = ["own_places"]
SSHD = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (SSHD and shutil.which("ssh")), reason="no sshd and ssh on this machine"),
]
CONFIG = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host
AuthorizedKeysFile {folder}/key.pub
PidFile none
UsePAM no
PasswordAuthentication no
StrictModes no
"""


class Box:
    """The sshd. `line` is the command that leads to a worker there."""

    def __init__(self, folder: Path, home: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        for name in ("host", "key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
        (folder / "config").write_text(CONFIG.format(port=self._port, folder=folder))
        self._command = [str(SSHD), "-D", "-f", str(folder / "config")]
        options = {"UserKnownHostsFile": "/dev/null", "StrictHostKeyChecking": "no", "LogLevel": "ERROR"}
        ssh = ["ssh", "-F", "/dev/null", "-p", str(self._port), "-i", str(folder / "key"), "127.0.0.1"]
        ssh[1:1] = [f"-o{name}={value}" for name, value in options.items()]
        places = [f"XDG_{name}_HOME={home / name.lower()}" for name in ("STATE", "CACHE")]
        worker = [sys.executable, "-P", "-m", "friction_tui", "worker", "--keep", "30"]
        root = str(Path(__file__).parents[2])
        self.line = [*ssh, shlex.join(["env", *places, f"PYTHONPATH={root}", *worker])]
        self.start()

    def start(self) -> None:
        """Let people in."""
        self._sshd = subprocess.Popen(self._command, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline and self._sshd.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._port), 1):
                return
            time.sleep(0.05)
        pytest.skip("sshd does not start as this user")

    def cut(self) -> None:
        """Every line there is, without a word; who comes next is let in."""
        for one in psutil.Process(self._sshd.pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if one.name() == "sshd" or "sshd-session" in one.name():
                    one.kill()

    def stop(self) -> None:
        """Let nobody in."""
        self.cut()
        self._sshd.kill()
        self._sshd.wait()


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    box = Box(tmp_path, tmp_path)
    yield box
    box.stop()


async def test_cut_at_random_moments_nothing_is_lost_and_nothing_hangs(box: Box) -> None:
    ear, chance = Ear(), random.Random(3)
    client = WorkerClient(ear, box.line)
    await client.start()
    recipe = recipe_of("baked_batch")
    client.send(Open(revision=1, recipe=recipe))
    opened = (await ear.wait_for(Opened))[0]
    assert isinstance(opened, Opened)
    cuts = 6
    for revision in range(2, cuts + 2):
        edited = opened.recipe.with_range("N", Range(1, 2, revision + 2))
        client.send(Apply(revision=revision, recipe=edited))
        client.send(StartJob(job=revision, kind=JobKind.MEASURE, runs=1))
        await asyncio.sleep(chance.random() * 1.5)
        box.cut()
    await heard(ear, lambda event: isinstance(event, Judged) and event.complete and event.revision == cuts + 1)
    await ear.wait_for(JobEnded, cuts)
    ended = sorted(event.job for event in ear.events if isinstance(event, JobEnded))
    assert ended == list(range(2, cuts + 2)), "every job ends once"
    assert not [event for event in ear.events if isinstance(event, WorkerDied)]
    await client.close()


async def test_a_result_waits_while_nobody_is_let_in(box: Box) -> None:
    ear = Ear()
    client = WorkerClient(ear, box.line)
    await client.start()
    client.send(Open(revision=1, recipe=recipe_of("healthy_cnn")))
    await ear.wait_for(Judged)
    client.send(StartJob(job=1, kind=JobKind.BUILD))
    await asyncio.sleep(1.0)
    box.stop()
    await asyncio.sleep(3.0)
    box.start()
    (ended,) = await ear.wait_for(JobEnded)
    assert isinstance(ended, JobEnded)
    assert ended.build is not None
    assert ended.build.ok
    await client.close()
