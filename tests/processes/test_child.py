"""Children: how they end is said, what they say is kept, and they end with their parent whatever they compute."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from friction_tui.processes import begin
from friction_tui.processes.child import Child, Stopped, run
from friction_tui.processes.ended import ChildDied, how_it_ended
from friction_tui.processes.server import Server
from friction_tui.samples import sample

ROOT = str(Path(begin.PACKAGE).parent)
BOUND_S = 20.0
"""How long a test waits for a process to end. What is promised is 2 s; the test machine may be busy."""

ECHO = """
import re
import sys
for line in sys.stdin:
    if "die" in line: sys.exit("terminate called after throwing an instance of 'std::bad_alloc'")
    print(line.strip()[::-1] if "silent" not in line else "", end="" if "silent" in line else "\\n", flush=True)
"""

PARENT = """
import sys, threading
sys.path.insert(0, sys.argv[1])
from friction_tui.processes.begin import command
from friction_tui.processes.child import Child
started = []
starter = threading.Thread(target=lambda: started.append(Child(command(*sys.argv[2:]))))
starter.start()
starter.join()
child = started[0]
print(child.pid, child.stdout.readline().decode().strip(), flush=True)
threading.Event().wait()
"""


OF_SCRIPT = """
import sys, threading
sys.path.insert(0, {root!r})
from friction_tui.processes.begin import script
from friction_tui.processes.child import Child
child = Child({call})
print(child.pid, child.stdout.readline().decode().strip(), flush=True)
threading.Event().wait()
"""


def run_in_parent(call: str) -> subprocess.Popen[bytes]:
    """A process that starts what `call` gives the command of, and prints its pid and its first line."""
    code = OF_SCRIPT.format(root=ROOT, call=call)
    return subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)


@pytest.fixture
def busy(monkeypatch: pytest.MonkeyPatch) -> str:
    """The module whose `main` keeps a child busy, and which it finds."""
    monkeypatch.setenv("PYTHONPATH", ROOT)
    return "tests.processes.busy"


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


@pytest.mark.parametrize(
    ("code", "how"),
    [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", "was killed by SIGSEGV"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "as Linux does when memory runs out"),
        (
            "import sys; print('std::bad_alloc', file=sys.stderr); sys.exit(3)",
            "ran out of memory and exited with status 3",
        ),
        ("raise MemoryError", "ran out of memory and exited with status 1"),
        ("raise SystemExit(7)", "exited with status 7"),
        ("pass", "ended without an answer"),
    ],
)
def test_an_end_is_described_in_one_sentence(code: str, how: str) -> None:
    assert how in run(python(code)).how


def test_an_unknown_signal_has_its_number() -> None:
    assert how_it_ended(-200) == "was killed by signal 200"
    assert how_it_ended(None) == "did not answer in time and was ended"


def test_a_request_and_an_answer_larger_than_a_pipe() -> None:
    request = bytes(range(256)) * 8000
    done = run(python("import sys; data = sys.stdin.buffer.read(); sys.stdout.buffer.write(data[::-1])"), request)
    assert done.out == request[::-1]
    assert done.code == 0


def test_only_the_end_of_stderr_is_kept() -> None:
    done = run(python("import sys; sys.stderr.write('x' * 100_000 + 'the last'); sys.exit(1)"))
    assert done.tail.endswith("the last")
    assert len(done.tail) <= 4000


def test_a_child_that_is_silent_is_ended_and_one_nobody_waits_for_too() -> None:
    sleep = python("import time; time.sleep(1000)")
    assert run(sleep, limit_s=0.1).code is None
    with pytest.raises(Stopped):
        run(sleep, stop=lambda: True)


def test_a_server_answers_dies_and_is_replaced() -> None:
    server = Server("The echo", lambda: python(ECHO), limit_s=BOUND_S)
    try:
        assert server.ask("abc") == b'"cba"\n'
        first = server.pid
        with pytest.raises(ChildDied, match="The echo ran out of memory and exited with status 1"):
            server.ask("die")
        assert server.ask("abc") == b'"cba"\n'
        assert server.pid != first
        with pytest.raises(Stopped):
            server.ask("abc", stop=lambda: True)
        server.limit_s = 0.2
        with pytest.raises(ChildDied, match="did not answer in time"):
            server.ask("silent")
    finally:
        server.close()


def test_a_server_that_does_not_read_is_not_waited_for() -> None:
    """A pipe holds 64 kB: to write more is to wait for its reader."""
    server = Server("The deaf", lambda: python("import time; time.sleep(1000)"), limit_s=0.2)
    try:
        with pytest.raises(ChildDied, match="did not answer in time"):
            server.ask("abc", bytes(1 << 20))
        with pytest.raises(Stopped):
            server.ask("abc", bytes(1 << 20), stop=lambda: True)
    finally:
        server.close()


def test_a_script_sees_nothing_of_ours_and_ends_with_its_parent(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text("import sys\nprint(sys.argv[1:], __name__, 'friction_tui' in sys.modules, flush=True)\ninput()\n")
    parent = run_in_parent(f"script(__import__('pathlib').Path({str(script)!r}), 'a')")
    assert parent.stdout is not None
    pid, said = parent.stdout.readline().decode().split(maxsplit=1)
    assert said.strip() == "['a'] __main__ False"
    parent.kill()
    parent.wait()
    psutil.wait_procs([psutil.Process(int(pid))] if psutil.pid_exists(int(pid)) else [], BOUND_S)
    assert not psutil.pid_exists(int(pid)) or psutil.Process(int(pid)).status() == psutil.STATUS_ZOMBIE


def test_memory_is_limited(busy: str) -> None:
    limit = 512 << 20
    child = Child(begin.command(busy, "memory", memory=limit))
    assert list(child.lines()) == [b"memory\n"]
    assert child.how == "ran out of memory and exited with status 1"


@pytest.mark.parametrize("doing", ["idle", "native", "python"])
def test_a_child_ends_with_its_parent_whatever_it_computes(busy: str, doing: str) -> None:
    """The thread that started the child is over long before its parent is killed: that must not end the child."""
    parent = Child([sys.executable, "-c", PARENT, ROOT, busy, doing])
    pid, said = parent.stdout.readline().split()
    assert said.decode() == doing
    child = psutil.Process(int(pid))
    assert child.is_running()
    parent.kill()
    _, alive = psutil.wait_procs([child], timeout=BOUND_S)
    assert alive == []


def test_a_child_ends_with_a_parent_that_did_not_start_it_itself(busy: str, tmp_path: Path) -> None:
    """An interpreter may be a shell script that starts the real one without exec."""
    script = tmp_path / "python"
    script.write_text(f'#!/bin/sh\n"{sys.executable}" "$@"\n')
    script.chmod(0o755)
    grandparent = Child(python("import time; time.sleep(1000)"))
    run_it = begin.command(busy, "idle", python=str(script), parent=grandparent.pid)
    child = Child(run_it)
    assert child.stdout.readline() == b"idle\n"
    grandparent.close()
    assert child.wait(BOUND_S) is not None


APP = """
import asyncio, os, sys
sys.path.insert(0, sys.argv[1])
import psutil
from friction_tui.vocabulary.protocol import JobKind, JobProgress, Judged, Open, StartJob
from friction_tui.vocabulary.recipe import Recipe, Source
from friction_tui.worker.client import WorkerClient

def heard(event):
    if isinstance(event, Judged):
        client.send(StartJob(job=1, kind=JobKind.BUILD))
    if isinstance(event, JobProgress):
        print(*(child.pid for child in psutil.Process().children(recursive=True)), flush=True)

async def main():
    await client.start()
    client.send(Open(revision=1, recipe=Recipe(source=Source(sys.argv[2]))))
    await asyncio.Event().wait()

client = WorkerClient(heard)
asyncio.run(main())
"""


def test_worker_job_parser_and_onnxruntime_end_with_the_app() -> None:
    model = sample("detector")
    assert model is not None
    app = Child([sys.executable, "-c", APP, ROOT, str(model)])
    family = [psutil.Process(int(pid)) for pid in app.stdout.readline().split()]
    assert len(family) >= 3
    app.kill()
    _, alive = psutil.wait_procs(family, timeout=BOUND_S)
    assert alive == []


def test_children_of_many_threads_at_once() -> None:
    done: list[bytes] = []

    def one(number: int) -> None:
        done.append(run(python(f"print({number})")).out)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == [f"{number}\n".encode() for number in range(8)]


def test_children_are_started_in_one_place() -> None:
    """What starts a process elsewhere would start it with the current directory on its path, and leave it behind.

    The build server forks itself: a fork starts no interpreter, and is ended by its own server.
    """
    starts = re.compile(
        r"^\s*(import|from) (subprocess|multiprocessing)|os\.(fork|exec|posix_spawn|spawn|system|popen)", re.M
    )
    folder = Path(begin.PACKAGE)
    found = {str(file.relative_to(folder)) for file in folder.rglob("*.py") if starts.search(file.read_text())}
    assert found == {"processes/child.py", "engines/tensorrt/build_server.py"}
