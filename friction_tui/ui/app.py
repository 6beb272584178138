"""The app: starts the worker, keeps the newest state on whatever screen is shown, and leaves the terminal whole."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path, PurePath
from typing import Any, ClassVar, TypeAlias

import msgspec
from rich.console import RenderableType
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.events import Event, Key, Paste
from textual.filter import LineFilter, NoColor
from textual.message import Message
from textual.screen import Screen
from textual.timer import Timer

from friction_tui.ending import FAILED
from friction_tui.friction_toml import RecipeFileError, with_file
from friction_tui.log import LOG, start_log
from friction_tui.state.app_state import AppState, NoticeLevel, Outcome
from friction_tui.state.derived import outcome_text, verdict_text
from friction_tui.state.user_actions import SetKeys, SetOutcomes
from friction_tui.ui import panel as said
from friction_tui.ui import sessions
from friction_tui.ui.actions import keymap
from friction_tui.ui.actions.keys_in_turn import KeysInTurn
from friction_tui.ui.actions.palette import Commands
from friction_tui.ui.autosave import Autosave, edits_between, session_of
from friction_tui.ui.hangup import take_any_bytes, watch_terminal
from friction_tui.ui.live import LiveSession
from friction_tui.ui.look.ascii import InAscii
from friction_tui.ui.look.pace import slow_line
from friction_tui.ui.look.themes import THEMES, chosen_theme, default_theme
from friction_tui.ui.panel import differs
from friction_tui.ui.screens import StateScreen
from friction_tui.ui.workbench import Workbench
from friction_tui.vocabulary.protocol import ConsentNeeded, NetronStarted
from friction_tui.vocabulary.recipe import History, Recipe, Source, SourceKind
from friction_tui.worker.client import Process

IN_ASCII, NO_COLOUR = InAscii(), NoColor()
FOLLOW_SECONDS = 0.03
STATE_FIELDS = frozenset(field.name for field in dataclasses.fields(AppState)) - {"selected", "dismissed_count"}
TEXTUAL_COMMANDS = frozenset({"Theme", "Screenshot"})
ENDING_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)


LiveMaker: TypeAlias = Callable[..., LiveSession]
"""Makes a session; called as `LiveSession` is, with a function that takes new states, `ascii_only` and `watch`."""


class NewState(Message, bubble=False):
    """The state changed. Whoever handles it reads the newest, so one in the queue is enough."""

    def can_replace(self, message: Message) -> bool:
        """A newer one makes an older needless."""
        return isinstance(message, NewState)


class FrictionApp(App[None]):
    """Opens `recipe`, or shows what can be opened. `worker` is another command to start the worker with.

    `session` is one to resume, `file` where it was saved. `live` makes a session that is not with a worker of this
    app's own alone.
    """

    TITLE = "friction"
    crashed = False
    """Whether it ends because of a fault of its own."""
    CSS_PATH: ClassVar[list[str | PurePath]] = ["app.tcss", "workbench.tcss", "welcome.tcss"]
    COMMANDS = {Commands}  # noqa: RUF012 - as Textual declares it
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+z", "suspend_process", "Suspend", show=False, id="app.suspend", tooltip="Back to the shell"),
    ]

    def __init__(
        self,
        recipe: Recipe | None = None,
        *,
        session: sessions.SavedSession | None = None,
        file: Path | None = None,
        worker: Sequence[str] | None = None,
        early: Process | None = None,
        ascii_only: bool = False,
        theme: str = "",
        watch: bool = False,
        allow_code: bool = False,
        live: LiveMaker | None = None,
    ) -> None:
        wanted = chosen_theme(theme, os.environ)  # before Textual takes NO_COLOR out of the environment
        super().__init__()
        self._keys = KeysInTurn(self, super().on_event)
        self._first = session.recipe if session else recipe
        self._remote = worker is not None or live is not None
        self._resumed = (file, session) if session else None
        self._offered: tuple[sessions.Found, ...] = ()
        self._autosave, self._autosave_of = Autosave(self._not_saved), ""
        self._loop_here: asyncio.AbstractEventLoop | None = None
        self._saved: History | None = None
        """The edits that the user has saved."""
        self._written: History | None = None
        """The edits that were written last."""
        self._shown = AppState()
        self._follow: Timer | None = None
        self._asked: ConsentNeeded | None = None
        self._netron: NetronStarted | None = None
        ours = partial(LiveSession, worker=worker, early=early)
        self.live = (live or ours)(self._state_changed, ascii_only=ascii_only, watch=watch)
        self.live.allow_code = allow_code
        for known in THEMES:
            self.register_theme(known)
        self._set_theme(wanted)
        if slow_line():
            self.animation_level = "none"

    def _set_theme(self, theme: str) -> None:
        """Take a theme; one that does not exist leaves the usual one and says so."""
        if theme in self.available_themes:
            self.theme = theme
            return
        self.theme = default_theme(os.environ)
        self.live.state = self.live.state.with_notice(
            NoticeLevel.WARNING, f"there is no theme {theme}", "dark, light, ansi, or ^p Theme lists them"
        )

    @property
    def workbench(self) -> Workbench | None:
        """The workbench, None while no model is open."""
        return next((screen for screen in self.screen_stack if isinstance(screen, Workbench)), None)

    def get_default_screen(self) -> Screen[None]:
        """The workbench at once if there is something to open: the first paint does not wait for the worker."""
        folder = self._folder_of_models(Path(self._first.source.path)) if self._first is not None else None
        if self._first is None or folder is not None:
            from friction_tui.ui.welcome import Welcome

            return Welcome(folder)
        if self._resumed is not None:
            return self._workbench(self._start_on(self._first, *self._resumed))
        self._offered = tuple(sessions.of_source(self._first))
        if not self._offered:
            self._start_on(self._first)
        return self._workbench()

    def _folder_of_models(self, path: Path) -> Path | None:
        """The folder, if it stands for no model of its own but holds some; what a remote worker sees is not ours."""
        if self._remote or not path.is_dir():
            return None
        from friction_tui.onnx_folder import models_to_choose

        return path if models_to_choose(path) else None

    def _workbench(self, session: sessions.SavedSession | None = None) -> Workbench:
        return Workbench(self.live.state, session)

    def on_mount(self) -> None:
        """Handle the signals that would leave the terminal broken; start the worker after the first paint."""
        loop = self._loop_here = asyncio.get_running_loop()
        for number in ENDING_SIGNALS:
            loop.add_signal_handler(number, self._end, number)
        self._watch_terminal(loop)
        keys, wrong = keymap.read()
        self.set_keymap(keys)
        self.live.dispatch(SetKeys(keys))
        if wrong:
            self.live.say(wrong, NoticeLevel.WARNING, 'a line looks like "build.start" = "f5"; ? lists the actions')
        self.call_after_refresh(self.live.start)
        if self._offered and self._first is not None:
            self._offer(self._first, self._offered)

    async def on_event(self, event: Event) -> None:
        """Keys wait for each other; everything else is handled as it comes."""
        if isinstance(event, Key | Paste) and not event.is_forwarded:
            self._keys.take(event)
        else:
            await super().on_event(event)

    def get_line_filters(self) -> Sequence[LineFilter]:
        """What every line goes through last: no colour where none is wanted, ASCII where nothing else is."""
        # Textual would turn the terminal's own colours into shades of grey: black on black.
        filters = [NO_COLOUR] if self.no_color and self.native_ansi_color else [*super().get_line_filters()]
        return [*filters, IN_ASCII] if self.live.state.ascii else filters

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """Of Textual's own commands the ones that ours do not cover."""
        return (command for command in super().get_system_commands(screen) if command.title in TEXTUAL_COMMANDS)

    def _watch_terminal(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._driver is not None and not self.is_headless and not self.is_web:
            gone = partial(loop.call_soon_threadsafe, self._end, signal.SIGHUP)
            watch_terminal(sys.__stdin__.fileno() if sys.__stdin__ else 0, gone)

    def panic(self, *renderables: RenderableType) -> None:
        """Leave with a message about a fault; the exit status says that it is one."""
        self.crashed = True
        super().panic(*renderables)

    def _handle_exception(self, error: Exception) -> None:
        LOG.critical("the app crashed", exc_info=error)
        super()._handle_exception(error)

    def _end(self, number: signal.Signals) -> None:
        if self._exit:  # a terminal that goes says so twice
            return
        LOG.warning("ended by %s", signal.Signals(number).name)
        self._leave_session()
        self.exit(return_code=128 + number)

    async def on_unmount(self) -> None:
        """No process outlives the app."""
        self._keys.stop()
        await self.live.close()

    def action_keys_here(self) -> None:
        """The keys that work on the screen that is shown."""
        from friction_tui.ui.actions.help import KEYS_TITLE, here_screen
        from friction_tui.ui.dialogs.text_screen import TextScreen

        if not (isinstance(self.screen, TextScreen) and self.screen.headed == KEYS_TITLE):
            self.push_screen(here_screen(self.screen, self.live.state.keys))

    async def action_quit(self) -> None:
        """Leave; the session is kept."""
        self._leave_session()
        self.exit()

    def action_help_quit(self) -> None:
        """Ctrl+C: which key leaves, where every other message is."""
        if self.workbench is None:
            super().action_help_quit()
        else:
            self.live.say(
                "Ctrl+C does nothing here", NoticeLevel.INFO, "q saves the session and leaves, Esc stops what runs"
            )

    # ------------------------------------------------------------------------------------------- state

    def _state_changed(self, state: AppState) -> None:
        """The rest of the screen follows the cursor once it rests: a key held down draws two rows, not six bars."""
        self._save_edit(state)
        if differs(self._shown, state, STATE_FIELDS):
            self.post_message(NewState())
        elif self._follow is None:
            self._follow = self.set_timer(FOLLOW_SECONDS, self.on_new_state)

    def on_new_state(self) -> None:
        """Hand the newest state to every screen that shows it; show what was waited for, ask what has to be asked."""
        redraw = self._shown.ascii != self.live.state.ascii
        self._shown = self.live.state
        if redraw:
            self.refresh_css(animate=False)
        if self._follow is not None:
            self._follow.stop()
            self._follow = None
        for screen in self.screen_stack:
            if isinstance(screen, StateScreen):
                screen.update_state(self.live.state)
        netron = self.live.state.netron
        if netron is not None and netron is not self._netron:
            from friction_tui.ui.dialogs.pages import netron_screen

            self._netron = netron
            self.push_screen(netron_screen(netron))
        asked = self.live.state.consent
        if asked is not None and asked is not self._asked:
            from friction_tui.ui.dialogs.consent import ConsentScreen

            self._asked = asked
            self.push_screen(ConsentScreen(asked), self._answered)

    def _answered(self, answer: str | None) -> None:
        if answer in ("once", "session", "always"):
            self.live.agree(remember=answer == "always", edited_too=answer == "session")
        else:
            self.live.decline()

    # ---------------------------------------------------------------------------------------- opening

    def open_path(self, path: Path) -> None:
        """Open a model, a saved session, or a folder to choose a model from."""
        folder = self._folder_of_models(path)
        if folder is not None:
            from friction_tui.ui.welcome import Welcome

            self.push_screen(Welcome(folder))
            return
        try:
            if sessions.is_session(path):
                self._open(*self._of_file(path))
                return
            recipe = self._chosen(path)
        except (sessions.BrokenSessionError, RecipeFileError) as error:
            self.notify(str(error), severity="error", markup=False)
            return
        offered = sessions.of_source(recipe)
        if offered:
            self._offer(recipe, offered)
        else:
            self._open(recipe)

    def show_models(self) -> None:
        """What else can be opened, over what is open."""
        from friction_tui.ui.welcome import Welcome

        named = Path(self._first.source.path) if self._first is not None else None
        self.push_screen(Welcome(self._folder_of_models(named) if named is not None else None))

    def _chosen(self, path: Path) -> Recipe:
        """The recipe of a model: what the command line said if it named the folder around it, and friction.toml."""
        recipe = Recipe(source=Source(path=str(path), kind=SourceKind.AUTO))
        first = self._first
        if first is not None and Path(first.source.path).is_dir() and path.is_relative_to(first.source.path):
            recipe = msgspec.structs.replace(first, source=msgspec.structs.replace(first.source, path=str(path)))
        return with_file(recipe)[0]

    def _of_file(self, path: Path) -> tuple[Recipe, Path, sessions.SavedSession]:
        session = sessions.load(path)
        return session.recipe, path, session

    def _offer(self, recipe: Recipe, offered: Sequence[sessions.Found]) -> None:
        """Ask whether to go on with a saved session of a source, or to start afresh."""
        from friction_tui.ui.dialogs.saved_sessions import AFRESH, SavedSessions

        def answered(answer: object) -> None:
            found = next((found for found in offered if found[0] == answer), None)
            if found is not None:
                self._open(found[1].recipe, *found)
            elif answer == AFRESH:
                self._open(recipe)
            elif self.live.state.recipe is None and isinstance(self.screen, Workbench):
                self.exit()

        self.push_screen(SavedSessions(recipe, offered, self.live.state), answered)

    def _open(self, recipe: Recipe, file: Path | None = None, session: sessions.SavedSession | None = None) -> None:
        """Close what is open, its session saved, and open a model, resuming `session` if given."""
        self._leave_session()
        session = self._start_on(recipe, file, session)
        bench = self.workbench
        if bench is None:
            self.push_screen(self._workbench(session))  # the first screen was never pushed, so it cannot be switched
            return
        while self.screen is not bench:
            self.pop_screen()
        bench.opened(session)

    def _start_on(
        self, recipe: Recipe, file: Path | None = None, session: sessions.SavedSession | None = None
    ) -> sessions.SavedSession | None:
        """Ask for a model, and have its edits written from now on."""
        history = session.history if session is not None else History(recipe)
        self._autosave, self._autosave_of = Autosave(self._not_saved, file), ""
        self._saved = history if session is not None and not session.unsaved else None
        self._written = history
        self.live.open(history)
        if session is not None:
            steps = zip(history.steps, history.steps[1:], session.outcomes, strict=False)
            self.live.dispatch(SetOutcomes(tuple(Outcome(a, b, text) for a, b, text in steps if text)))
        return session

    # ---------------------------------------------------------------------------------------- saving

    def save_session(self) -> None:
        """Write the session file because the user asked for it; a failure is said, never raised."""
        history = self.live.state.history
        try:
            path = self._file_of(history).write(self._session(history, running=True, saved=True)) if history else None
        except OSError as error:
            self._not_saved(str(error))
            return
        self._saved = history
        self.live.say(f"session saved to {path}")

    def _session(self, history: History, *, running: bool, saved: bool) -> sessions.SavedSession:
        bench, state = self.workbench, self.live.state
        graph = bench.graph if bench is not None and bench.is_mounted else None
        folds = graph.open_folds() if graph is not None else ()
        session = session_of(
            history,
            folds=folds,
            cursor=state.selected,
            panel=bench.current if bench is not None else "",
            running=running,
        )
        return msgspec.structs.replace(
            session,
            unsaved=0 if saved else edits_between(self._saved, history),
            nodes=graph.labels(*folds, state.selected) if graph is not None else {},
            verdict=verdict_text(state) if state.history == history else "",
            outcomes=tuple(outcome_text(state, a, b) for a, b in pairwise(history.steps)),
        )

    def _save_edit(self, state: AppState) -> None:
        """After every edit, so that whatever ends this process takes at most the edit in flight along."""
        now, last = state.history, self._written
        if now is None or state.recorded or last is None or (now.past, now.future) == (last.past, last.future):
            return
        self._file_of(now).put(self._session(now, running=True, saved=False))
        self._written = now

    def _file_of(self, history: History) -> Autosave:
        """What writes this session; a new one if another viewer has opened another model meanwhile."""
        stem = sessions.stem_of(history.present)
        if self._autosave_of not in ("", stem):
            if self._written is not None:
                self._autosave.put(self._session(self._written, running=False, saved=True))
            self._autosave.close()
            self._autosave, self._saved = Autosave(self._not_saved), None
        self._autosave_of = stem
        return self._autosave

    def _leave_session(self) -> None:
        """Write the session a last time; that of a mistyped path is nothing to come back to."""
        state = self.live.state
        recipe, summary, history = state.recipe, state.summary, state.history
        edited = history is not None and bool(history.past or history.future)
        nothing = summary is None or (not summary.nodes and recipe and not Path(recipe.source.path).exists())
        if history is not None and not state.recorded and (edited or not nothing):
            try:
                self._file_of(history).write(self._session(history, running=False, saved=True))
            except OSError as error:
                self._not_saved(str(error))
        self._autosave.close()
        self._written = None

    def _not_saved(self, why: str) -> None:
        """Said once for each reason; it comes from the thread that writes."""
        said = partial(
            self.live.say, f"the session could not be saved: {why}", NoticeLevel.ERROR, "is the disk full or read-only?"
        )
        if self._loop_here is None or self._thread_id == threading.get_ident():
            said()
        else:
            self._loop_here.call_soon_threadsafe(said)

    # ------------------------------------------------------------------------------- what panels say

    def on_edit(self, event: said.Edit) -> None:
        """An edit of the recipe."""
        self.live.edit(event.recipe, event.what)

    def on_ask(self, event: said.Ask) -> None:
        """A question to the worker."""
        self.live.ask(event.request)

    def on_begin(self, event: said.Begin) -> None:
        """A job."""
        self.live.begin(event.kind, event.point, event.runs, event.level)

    def on_cancel(self, event: said.Cancel) -> None:
        """No job."""
        self.live.cancel(event.job)

    def on_say(self, event: said.Say) -> None:
        """A line for the user."""
        self.live.say(event.text, event.level, event.detail)


def run_app(
    recipe: Recipe | None = None,
    *,
    ascii_only: bool = False,
    theme: str = "",
    watch: bool = False,
    allow_code: bool = False,
    worker: Sequence[str] | None = None,
    early: Process | None = None,
    session: Path | None = None,
) -> int:
    """Run the app until the user leaves; returns the exit status (128 + n after signal n, 2 after a crash).

    `session` is the file of one to resume, `early` a worker that was spawned while this module was still being
    imported.
    """
    app = FrictionApp(
        recipe,
        session=sessions.load(session) if session is not None else None,
        file=session,
        worker=worker,
        early=early,
        ascii_only=ascii_only,
        theme=theme,
        watch=watch,
        allow_code=allow_code,
    )
    return run(app)


def run(app: FrictionApp) -> int:
    """Run an app until the user leaves; returns as `run_app` does."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        print("friction-tui: there is no terminal to draw on; `friction-tui check` prints a report", file=sys.stderr)
        return 2
    unlogged = start_log()
    if unlogged:
        app.live.state = app.live.state.with_notice(
            NoticeLevel.WARNING, f"there is no log: {unlogged}", "friction-tui locate"
        )
    take_any_bytes()
    app.run()
    return FAILED if app.crashed else app.return_code or 0
