"""What the app survives in a real terminal, with its real worker, and how it leaves."""

import contextlib
import signal
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import numpy as np
import onnx
import psutil
import pytest
from onnx import TensorProto, helper, numpy_helper

from friction_tui.ui import sessions
from friction_tui.ui.graph.search_bar import AFTERWARDS
from tests.ui.terminal import Terminal

pytestmark = pytest.mark.slow
OpenTerminal = Callable[..., Terminal]


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A tower of layers whose engine takes seconds to build."""
    width, layers, draw = 256, 24, np.random.default_rng(0)
    nodes, weights = [], []
    for at in range(layers):
        name = f"layers.{at}/w"
        weights.append(numpy_helper.from_array(draw.standard_normal((width, width)).astype(np.float32), name))
        nodes.append(helper.make_node("MatMul", [f"h{at}", name], [f"m{at}"], name=f"layers.{at}/matmul"))
        nodes.append(helper.make_node("Softmax", [f"m{at}"], [f"h{at + 1}"], name=f"layers.{at}/softmax"))
    ports = [helper.make_tensor_value_info(p, TensorProto.FLOAT, ["N", width]) for p in ("h0", f"h{layers}")]
    graph = helper.make_graph(nodes, "tower", ports[:1], ports[1:], weights)
    path = tmp_path / "tower.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.fixture
def open_terminal(model: Path, tmp_path: Path) -> Iterator[OpenTerminal]:
    """The app on the model, judged. Whatever is left of it afterwards is killed."""
    opened: list[Terminal] = []

    def run(*arguments: str, controlling: bool = True, until: str = "checked ") -> Terminal:
        terminal = Terminal([*arguments] or [str(model)], tmp_path / "home", controlling=controlling)
        opened.append(terminal)
        terminal.seen(until)
        return terminal

    yield run
    for terminal in opened:
        terminal.process.kill()
        terminal.process.wait()


def family(terminal: Terminal) -> list[psutil.Process]:
    found: list[psutil.Process] = psutil.Process(terminal.process.pid).children(recursive=True)
    return found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_signals_leave_the_terminal_whole_and_the_session_saved(
    open_terminal: OpenTerminal, tmp_path: Path, number: signal.Signals
) -> None:
    terminal = open_terminal()
    started = family(terminal)
    terminal.process.send_signal(number)
    assert terminal.process.wait(10) == 128 + number
    terminal.seen("\x1b[?1049l", limit=2)
    assert termios.tcgetattr(terminal.theirs) == terminal.before
    assert list((tmp_path / "home").rglob("sessions/tower-*.toml"))
    assert not psutil.wait_procs(started, timeout=5)[1], "its worker outlived it"


@pytest.mark.parametrize("controlling", [True, False], ids=["hangup", "no signal comes"])
def test_a_closed_window_ends_it(open_terminal: OpenTerminal, controlling: bool) -> None:
    terminal = open_terminal(controlling=controlling)
    started = family(terminal)
    terminal.close()
    assert terminal.process.wait(10) == 128 + signal.SIGHUP
    assert not psutil.wait_procs(started, timeout=5)[1], "its worker outlived it"


def test_keys_and_resizing_during_a_build(open_terminal: OpenTerminal) -> None:
    terminal = open_terminal()
    terminal.press("1b")
    terminal.press(("jjjjkkkk  nn" * 17)[:200], every=0.005)
    terminal.resize(5, 20)
    terminal.press("123456", every=0.02)
    terminal.resize(30, 120)
    before = len(terminal.heard)
    terminal.press("1/")
    terminal.seen("ame or operator", before)
    before = len(terminal.heard)
    terminal.press("softmax", every=0.05)
    terminal.seen("of 24", before)
    terminal.press("\r")
    terminal.seen(AFTERWARDS, before)
    terminal.press("q")
    assert terminal.process.wait(10) == 0


def test_escape_stops_a_build(open_terminal: OpenTerminal) -> None:
    terminal = open_terminal()
    before = len(terminal.heard)
    terminal.press("4b", every=0.1)
    terminal.seen("cancel build", before)
    before = len(terminal.heard)
    terminal.press("\x1b")
    terminal.seen("cancelled after", before)
    terminal.press("q")
    assert terminal.process.wait(10) == 0


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("e6\re7\r", "N opt 6 → 7"),
        ("3\r6\r\r2\r", "N opt 6 → 2"),
        ("3+++", "N opt 6 → 7"),
        ("2/softmax", "1 of 24"),
    ],
)
def test_what_is_typed_in_one_burst_goes_where_the_keys_before_it_led(
    open_terminal: OpenTerminal, typed: str, said: str
) -> None:
    terminal = open_terminal()
    before = len(terminal.heard)
    terminal.press(typed)
    terminal.seen(said, before)


def test_a_killed_worker_is_replaced_and_a_deleted_model_is_said(open_terminal: OpenTerminal, model: Path) -> None:
    terminal = open_terminal()
    before = len(terminal.heard)
    worker = next(child for child in family(terminal) if "friction_tui.worker.host" in " ".join(child.cmdline()))
    terminal.press("b")
    terminal.seen("Build #1", before)  # it runs: the worker is not killed before it has heard of it
    worker.kill()
    terminal.seen("the worker died and was restarted", before)
    terminal.seen("rechecking", before)
    since = len(terminal.heard)
    terminal.seen("checked ", since)
    terminal.seen("kernels", since)  # the builder has answered as well: no further verdict takes the message's place
    before = len(terminal.heard)
    model.unlink()
    terminal.seen("moved or deleted: ", before)  # the watch has said it: its message does not take the others' place
    for key in "bm":
        before = len(terminal.heard)
        terminal.press(key)
        terminal.seen("moved or deleted after it was opened", before)


def test_a_model_that_changes_on_disk_is_said_and_opened_again(open_terminal: OpenTerminal, model: Path) -> None:
    terminal = open_terminal()
    changed = onnx.load(model)
    changed.graph.node.append(helper.make_node("Identity", ["h24"], ["more"], name="more"))
    time.sleep(1)  # the watch has looked once
    before = len(terminal.heard)
    onnx.save(changed, model)
    terminal.seen("changed on disk", before, limit=10)
    terminal.press("r")
    terminal.seen("1 node added (Identity more)", before, limit=10)
    before = len(terminal.heard)
    model.unlink()
    terminal.seen("moved or deleted: ", before, limit=10)


def saved(tmp_path: Path, edits: int) -> Path:
    """The only session of the model, once it holds so many edits."""
    while True:
        for file in (tmp_path / "home").rglob("sessions/tower-*.toml"):
            with contextlib.suppress(sessions.BrokenSessionError):  # its name is taken before it is written
                if sessions.load(file).edits == edits:
                    return file
        time.sleep(0.01)


def test_a_killed_app_loses_no_edit_and_says_so(open_terminal: OpenTerminal, model: Path, tmp_path: Path) -> None:
    killed = open_terminal()
    before = len(killed.heard)
    killed.press("3++")
    killed.seen("N opt 5 → 6", before)
    file = saved(tmp_path, 2)
    started = family(killed)
    killed.process.kill()
    killed.process.wait()
    assert not psutil.wait_procs(started, timeout=5)[1], "its worker outlived it"
    after = open_terminal(until="unsaved edits.")
    before = len(after.heard)
    after.press("\r")
    after.seen("checked ", before)
    assert sessions.load(file).edits == 2
    before = len(after.heard)
    after.press("u")
    after.seen("undone: N opt 6 → 5", before)
    after.press("q")
    assert after.process.wait(10) == 0
    assert (sessions.load(file).edits, sessions.load(file).running) == (1, False)


def test_sessions_are_resumed_from_the_command_line(open_terminal: OpenTerminal, model: Path, tmp_path: Path) -> None:
    first = open_terminal()
    first.press("3+")
    file = saved(tmp_path, 1)
    first.press("q")
    assert first.process.wait(10) == 0
    for arguments in (("resume",), ("resume", str(model)), (str(file),)):
        again = open_terminal(*arguments)
        before = len(again.heard)
        again.press("u")
        again.seen("undone: N opt 5 → 4", before)
        again.process.send_signal(signal.SIGINT)
        assert again.process.wait(10) == 128 + signal.SIGINT
        saved_again = sessions.load(file)
        assert (saved_again.edits, len(saved_again.future)) == (0, 1)
        sessions.save(
            msgspec.structs.replace(
                saved_again,
                recipe=saved_again.future[0].recipe,
                past=(sessions.Step(saved_again.recipe),),
                future=(),
            ),
            file,
        )


def test_two_at_once_keep_a_session_each(open_terminal: OpenTerminal, tmp_path: Path) -> None:
    first, second = open_terminal(), open_terminal()
    for terminal in (first, second):
        before = len(terminal.heard)
        terminal.press("3+")
        terminal.seen("N opt 4 → 5", before)
    for terminal in (first, second):
        terminal.press("q")
        assert terminal.process.wait(10) == 0
    files = list((tmp_path / "home").rglob("sessions/tower-*.toml"))
    assert [sessions.load(file).edits for file in files] == [1, 1]
