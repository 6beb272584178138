"""Two people on one model: each sees where the other is, follows, points, and reads who edited what."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from friction_tui.samples import sample
from friction_tui.sharing.joined import start_hub, wait_for
from friction_tui.sharing.session_code import SessionCode
from friction_tui.state.app_state import AppState
from friction_tui.state.derived import author_of
from friction_tui.state.dispatch import dispatch
from friction_tui.state.user_actions import SelectItem, SetFollowing
from friction_tui.vocabulary.protocol import Looks, Reconnect
from friction_tui.worker.client import Process
from tests.sharing.test_shared_session import ann, hub, own_places
from tests.sharing.viewers import ViewerSession, is_judged, joined, recipe_of
from tests.ui.terminal import Terminal

__all__ = ["ann", "hub", "own_places"]
pytestmark = pytest.mark.slow


async def test_cursors_names_and_colours_reach_the_others_and_go_with_them(
    hub: tuple[Process, SessionCode], ann: ViewerSession
) -> None:
    bo = await joined(hub[1], "bo", watch_only=True)
    ann.dispatch(SelectItem("n:1"))
    await bo.until(lambda state: state.looking.get("ann") == "n:1")
    bo.dispatch(SelectItem("n:0"))
    await ann.until(lambda state: state.looking.get("bo") == "n:0")
    (viewer,) = ann.state.others_at["n:0"]
    assert viewer.name == "bo"
    assert ann.state.present is not None
    assert len({one.colour for one in ann.state.present.viewers}) == 2
    eve = await joined(hub[1], "eve")
    assert eve.state.looking == {"ann": "n:1", "bo": "n:0"}, "who comes later sees them at once"
    await bo.close()
    await ann.until(lambda state: "bo" not in state.looking and "n:0" not in state.others_at)
    await eve.close()


async def test_pointing_reaches_all_and_says_how_to_go_there(
    hub: tuple[Process, SessionCode], ann: ViewerSession
) -> None:
    bo = await joined(hub[1], "bo")
    ann.dispatch(SelectItem("n:1"))
    ann.point()
    await bo.until(lambda state: state.pointed == (1, "ann"))
    assert bo.state.unread is not None
    assert bo.state.unread.text == "ann: look here"
    assert ann.state.pointed == (0, ""), "who points is not asked to look"
    await bo.close()


async def test_the_journal_knows_whose_edit_it_was(hub: tuple[Process, SessionCode], ann: ViewerSession) -> None:
    bo = await joined(hub[1], "bo")
    bo.edit_range("N", 6)
    await ann.until(lambda state: len(state.authors) == 1)
    ann.edit_range("N", 7)
    await bo.until(lambda state: len(state.authors) == 2)
    assert ann.state.history is not None
    first, second, third = ann.state.history.steps
    for viewer in (ann, bo, await joined(hub[1], "eve")):
        assert author_of(viewer.state, first, second) == "bo"
        assert author_of(viewer.state, second, third) == "ann"
    await bo.close()


async def test_two_edits_at_the_same_moment_are_one_kept_and_one_refused_with_the_reason(
    hub: tuple[Process, SessionCode], ann: ViewerSession
) -> None:
    bo = await joined(hub[1], "bo")
    ann.edit_range("N", 5)
    bo.edit_range("N", 6)  # before either has heard of the other
    for viewer in (ann, bo):
        await viewer.until(lambda state: len(state.authors) == 1 and len(state.notices) > 0)
    (edit,) = ann.state.authors
    loser = bo if edit.by == "ann" else ann
    await loser.until(lambda state: any("somebody else changed the session first" in n.text for n in state.notices))
    assert ann.state.recipe == bo.state.recipe == edit.after
    await bo.close()


def test_ones_own_cursor_ends_following_and_the_others_does_not() -> None:
    state = dispatch(dispatch(AppState(), SetFollowing("ann")), Looks("ann", "n:3"))
    assert dispatch(state, SelectItem("n:3", by_user=False)).following == "ann"
    assert dispatch(state, SelectItem("n:4")).following == ""


@pytest.fixture
def terminals() -> Iterator[list[Terminal]]:
    opened: list[Terminal] = []
    yield opened
    for terminal in opened:
        terminal.process.kill()
        terminal.process.wait()
        terminal.close()


def test_two_real_apps_one_following_the_other(tmp_path: Path, terminals: list[Terminal]) -> None:
    path = sample("detector")
    first = Terminal(["share", str(path), "--name", "ann"], tmp_path)
    terminals.append(first)
    first.seen("join ")
    found = re.search(rb"join ([a-z0-9]+-[a-z0-9]+)", first.heard)
    assert found is not None
    first.seen("NonZero")
    second = Terminal(["join", found[1].decode(), "--name", "bo"], tmp_path)
    terminals.append(second)
    second.seen("NonZero")
    first.seen("with bo")
    first.press("jj")
    second.seen("▸ann")
    second.press("f")
    second.seen("following ann")
    mark = len(second.heard)
    first.press("n")
    first.press("L")
    second.seen("▸ann", since=mark)
    second.press("i")
    second.seen("post/NonZero", since=mark)
    mark = len(first.heard)
    first.seen("▸bo", since=0)
    second.press("q")
    first.seen("bo left", since=mark)
    assert second.process.wait(timeout=20) == 0
    first.press("q")
    assert first.process.wait(timeout=20) == 0


async def test_a_shared_session_with_a_worker_elsewhere_survives_its_line(tmp_path: Path) -> None:
    worker = [sys.executable, "-m", "friction_tui", "worker", "--keep", "10"]
    process, code = start_hub(worker, watch_only=False)
    wait_for(process)
    viewer = await joined(code, "ann")
    viewer.open(recipe_of("baked_batch"))
    await viewer.until(is_judged)
    assert viewer.state.line is not None
    assert viewer.state.line.up
    for one in psutil.Process(process.pid).children():
        if "--keep" in one.cmdline():
            one.kill()
    await viewer.until(lambda state: state.line_lost)
    viewer.ask(Reconnect())
    await viewer.until(lambda state: not state.line_lost)
    viewer.edit_range("N", 9)
    await viewer.until(is_judged)
    await viewer.close()
    process.wait(20)
