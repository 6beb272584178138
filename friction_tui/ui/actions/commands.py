"""What the actions do: plain functions on the workbench, each a few lines. Which keys call them: registry.py."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from friction_tui.state.app_state import NoticeLevel
from friction_tui.state.user_actions import DismissNotice, SetAscii, SetAutoBuild, SetFollowing
from friction_tui.ui.panel import Ask, Begin, Cancel, Say, Searched
from friction_tui.vocabulary.finding import Finding
from friction_tui.vocabulary.protocol import JobKind, Reconnect, StartNetron
from friction_tui.vocabulary.recipe import History
from friction_tui.vocabulary.recipe.changes import changes

if TYPE_CHECKING:
    from friction_tui.ui.graph.around import Picture
    from friction_tui.ui.workbench import Workbench


def show(panel: str) -> Callable[[Workbench], None]:
    """A command that brings one panel to the front."""

    def command(bench: Workbench) -> None:
        bench.show_panel(panel)

    return command


def zoom(bench: Workbench) -> None:
    """The current panel takes the whole screen, or gives it back."""
    bench.zoomed = not bench.zoomed
    bench.lay_out()


def next_problem(bench: Workbench) -> None:
    """To the next finding in the list, and in the graph to where it is."""
    _step_problem(bench, 1)


def previous_problem(bench: Workbench) -> None:
    """To the finding before."""
    _step_problem(bench, -1)


def _step_problem(bench: Workbench, step: int) -> None:
    """Problems as they are listed; a finding met in many nodes is left after its last node."""
    state = bench.state
    listed = bench.problems.listed()
    stops: list[tuple[Finding, str]] = [(f, path) for f in listed for path in (f.node_paths or ("",))]
    if not stops:
        bench.post_message(
            Say(f"no problem matches “{bench.problems.filter}”", NoticeLevel.INFO, "Esc shows all again")
        )
        return
    here = next((i for i, stop in enumerate(stops) if stop == (state.problem, state.selected)), None)
    if here is None:
        here = next((i for i, (f, _) in enumerate(stops) if f == state.problem), None)
        here = (-1 if step > 0 else 0) if here is None or state.problem is None else here - (step > 0)
    finding, path = stops[(here + step) % len(stops)]
    bench.choose(finding)
    if path:
        bench.graph.reveal(path)
    else:  # about the whole model: only the list can show it
        bench.show_panel("problems")


def explain(bench: Workbench) -> None:
    """Open the Why page of the chosen problem."""
    state = bench.state
    finding = state.problem or next(iter(state.findings), None)
    if finding is not None:
        bench.choose(finding, explain=True)


def around(bench: Workbench) -> None:
    """Draw what is around the selected node."""
    from friction_tui.ui.graph.around import Around

    _picture(bench, Around)


def whole_graph(bench: Workbench) -> None:
    """Draw the groups of the whole graph."""
    from friction_tui.ui.graph.around import Map

    _picture(bench, Map)


def _picture(bench: Workbench, kind: type[Picture]) -> None:
    from friction_tui.ui.graph.around import AroundScreen

    outline = bench.graph.outline
    if outline is not None and len(outline):
        picture = kind(outline, outline.item(bench.graph.cursor), ascii_only=bench.state.ascii)
        bench.app.push_screen(AroundScreen(bench, picture))


async def search(bench: Workbench) -> None:
    """Open the search line for the panel that is looked at, for the graph where that cannot be searched."""
    await bench.open_search(bench.current if isinstance(bench.panel(bench.current), Searched) else "graph")


async def filter_problems(bench: Workbench) -> None:
    """Open the search line for the problem list."""
    bench.show_panel("problems")
    await bench.open_search("problems")


def undo(bench: Workbench) -> None:
    """One edit back."""
    state = bench.state
    if state.history is not None:
        _move(bench, "undone", state.history.undo())


def redo(bench: Workbench) -> None:
    """One edit forward."""
    state = bench.state
    if state.history is not None:
        _move(bench, "redone", state.history.redo())


def _move(bench: Workbench, what: str, history: History) -> None:
    """Along the history, saying what that changes."""
    state = bench.state
    before = state.recipe
    said = ", ".join(changes(before, history.present)) if before is not None else ""
    bench.friction.live.move(history, f"{what}: {said}" if said else what)


def build(bench: Workbench) -> None:
    """Start a build, and show it."""
    bench.show_panel("build", focus=False)
    bench.post_message(Begin(JobKind.BUILD))


def measure(bench: Workbench) -> None:
    """Start a measurement at opt, and show it."""
    bench.show_panel("latency", focus=False)
    bench.post_message(Begin(JobKind.MEASURE))


def export(bench: Workbench) -> None:
    """Read the source again, exporting it where it is code."""
    bench.friction.live.reopen()


def toggle_auto_build(bench: Workbench) -> None:
    """Rebuild after each edit from now on, or no more."""
    on = not bench.state.auto_build
    said = "every edit now rebuilds the engine" if on else "edits no longer rebuild the engine; b builds"
    bench.friction.live.dispatch(SetAutoBuild(on))
    bench.friction.live.say(said)


def cancel_job(bench: Workbench) -> None:
    """Kill the newest running job."""
    job = bench.state.running()
    if job is not None:
        bench.post_message(Cancel(job.number))


def netron(bench: Workbench) -> None:
    """Serve the model in Netron; the app shows the address as soon as it is known."""
    bench.post_message(Ask(StartNetron()))


def save(bench: Workbench) -> None:
    """Write the session file."""
    bench.friction.save_session()


def open_other(bench: Workbench) -> None:
    """What else can be opened."""
    bench.friction.show_models()


def messages(bench: Workbench) -> None:
    """Show every message of this session."""
    from friction_tui.ui.dialogs.pages import messages_screen

    bench.app.push_screen(messages_screen(bench.state))


def reconnect(bench: Workbench) -> None:
    """Try now to reach the worker, or start one that was given up."""
    bench.post_message(Ask(Reconnect()))
    bench.post_message(Say("trying to reach the worker …"))


def who(bench: Workbench) -> None:
    """Show who shares this session, and how others come in."""
    from friction_tui.ui.dialogs.pages import sharing_screen

    bench.app.push_screen(sharing_screen(bench.state))


def follow(bench: Workbench) -> None:
    """Follow who pointed last, else the next of the others; after the last of them nobody."""
    state = bench.state
    present = state.present
    others = [one.name for one in present.viewers if one.name != present.you] if present is not None else []
    pointed = state.pointed[1]
    if state.following in others:
        name = next(iter(others[others.index(state.following) + 1 :]), "")
    else:
        name = pointed if pointed in others else next(iter(others), "")
    bench.friction.live.dispatch(SetFollowing(name))
    said = f"following {name}" if name else "following nobody"
    bench.friction.live.say(said, NoticeLevel.INFO, "f goes on to the next, your own cursor ends it" if name else "")


def point(bench: Workbench) -> None:
    """Ask the others to look where the cursor is."""
    if not bench.state.selected:
        bench.friction.live.say("put the cursor on a node first", NoticeLevel.WARNING)
        return
    bench.friction.live.point()


def toggle_ascii(bench: Workbench) -> None:
    """Draw with ASCII only, or with box characters again."""
    bench.friction.live.dispatch(SetAscii(not bench.state.ascii))


def toggle_light(bench: Workbench) -> None:
    """The other of our two themes."""
    bench.app.theme = "friction-dark" if bench.app.theme == "friction-light" else "friction-light"


def show_help(bench: Workbench) -> None:
    """Every key."""
    bench.show_help()


def back(bench: Workbench) -> None:
    """Escape: the nearest thing that can be ended, one at a time."""
    if bench.close_search():
        return
    if bench.problems.filter:
        bench.problems.set_filter("")
    elif bench.state.running():
        cancel_job(bench)
    elif bench.zoomed:
        zoom(bench)
    elif bench.leave_page():
        return
    elif bench.state.unread:
        bench.friction.live.dispatch(DismissNotice())
    else:
        bench.show_panel("graph")


def suspend(bench: Workbench) -> None:
    """Back to the shell."""
    bench.app.action_suspend_process()


async def leave(bench: Workbench) -> None:
    """Save and quit."""
    await bench.app.action_quit()
