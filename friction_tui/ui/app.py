"""The app: starts the worker, keeps the newest state on whatever screen is shown, and leaves the terminal whole."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
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
from friction_tui.log import LOG, start_log
from friction_tui.state.app_state import AppState, NoticeLevel
from friction_tui.ui import panel as said
from friction_tui.ui import sessions
from friction_tui.ui.actions import keymap
from friction_tui.ui.actions.keys_in_turn import KeysInTurn
from friction_tui.ui.actions.palette import Commands
from friction_tui.ui.hangup import take_any_bytes, watch_terminal
from friction_tui.ui.live import LiveSession
from friction_tui.ui.look.ascii import InAscii
from friction_tui.ui.look.pace import slow_line
from friction_tui.ui.look.themes import THEMES, chosen_theme, default_theme
from friction_tui.ui.panel import differs
from friction_tui.ui.workbench import Workbench
from friction_tui.vocabulary.protocol import ConsentNeeded, NetronStarted
from friction_tui.vocabulary.recipe import Recipe, Source, SourceKind
from friction_tui.worker.client import Process

IN_ASCII, NO_COLOUR = InAscii(), NoColor()
FOLLOW_SECONDS = 0.03
STATE_FIELDS = frozenset(field.name for field in dataclasses.fields(AppState)) - {"selected", "dismissed_count"}
TEXTUAL_COMMANDS = frozenset({"Theme", "Screenshot"})
ENDING_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


LiveMaker: TypeAlias = Callable[..., LiveSession]
"""Makes a session; called as `LiveSession` is, with a function that takes new states, `ascii_only` and `watch`."""


class NewState(Message, bubble=False):
    """The state changed. Whoever handles it reads the newest, so one in the queue is enough."""

    def can_replace(self, message: Message) -> bool:
        """A newer one makes an older needless."""
        return isinstance(message, NewState)


class FrictionApp(App[None]):
    """Opens `recipe`, or shows what can be opened. `worker` is another command to start the worker with.

    `live` makes a session that is not with a worker of this app's own alone.
    """

    TITLE = "friction"
    crashed = False
    """Whether it ends because of a fault of its own."""
    CSS_PATH: ClassVar[list[str | PurePath]] = ["app.tcss", "workbench.tcss", "welcome.tcss"]
    COMMANDS = App.COMMANDS | {Commands}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+z", "suspend_process", "Suspend", show=False, id="app.suspend", tooltip="Back to the shell"),
    ]

    def __init__(
        self,
        recipe: Recipe | None = None,
        *,
        session: sessions.SavedSession | None = None,
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
        self.restore = session
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
        self.live.open(self._first)
        return self._workbench()

    def _folder_of_models(self, path: Path) -> Path | None:
        """The folder, if it stands for no model of its own but holds some; what a remote worker sees is not ours."""
        if self._remote or not path.is_dir():
            return None
        from friction_tui.onnx_folder import models_to_choose

        return path if models_to_choose(path) else None

    def _workbench(self) -> Workbench:
        session, self.restore = self.restore, None
        return Workbench(self.live.state, session)

    def on_mount(self) -> None:
        """Handle the signals that would leave the terminal broken; start the worker after the first paint."""
        loop = asyncio.get_running_loop()
        for number in ENDING_SIGNALS:
            loop.add_signal_handler(number, self._end, number)
        self._watch_terminal(loop)
        keys, wrong = keymap.read()
        self.set_keymap(keys)
        if wrong:
            self.live.say(wrong, NoticeLevel.WARNING, 'a line looks like "build.start" = "f5"; ? lists the actions')
        self.call_after_refresh(self.live.start)

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
        self.save_session(quiet=True)
        self.exit(return_code=128 + number)

    async def on_unmount(self) -> None:
        """No process outlives the app."""
        self._keys.stop()
        await self.live.close()

    async def action_quit(self) -> None:
        """Leave; the session is kept."""
        self.save_session(quiet=True)
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
            update = getattr(screen, "update_state", None)
            if update is not None:
                update(self.live.state)
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

    def open_path(self, path: Path) -> None:
        """Open a model, or a saved session."""
        from friction_tui.ui.welcome import Welcome

        folder = self._folder_of_models(path)
        if folder is not None and self.workbench is None:
            self.push_screen(Welcome(folder))
            return
        recipe = self._chosen(path)
        if path.suffix == ".toml":
            try:
                self.restore = sessions.load(path)
            except sessions.BrokenSessionError as error:
                self.notify(str(error), severity="error", markup=False)
                return
            recipe = self.restore.recipe
        self.live.open(recipe)
        if self.workbench is None:
            self.push_screen(self._workbench())  # the first screen was never pushed, so it cannot be switched

    def _chosen(self, path: Path) -> Recipe:
        """The recipe of a model, with what the command line said where it named the folder that the model is in."""
        first = self._first
        if first is not None and path.is_relative_to(first.source.path):
            source = msgspec.structs.replace(first.source, path=str(path))
            return msgspec.structs.replace(first, source=source)
        return Recipe(source=Source(path=str(path), kind=SourceKind.AUTO))

    def save_session(self, *, quiet: bool = False) -> None:
        """Write the session file; a failure is said, never raised."""
        bench, recipe = self.workbench, self.live.state.recipe
        summary = self.live.state.summary
        if bench is None or recipe is None or summary is None:
            return
        if quiet and not summary.nodes and not Path(recipe.source.path).exists():
            return  # a mistyped path is nothing to come back to
        try:
            path = sessions.save(
                sessions.new(recipe, bench.graph.open_folds(), self.live.state.selected, bench.current)
            )
        except OSError as error:
            self.live.say(
                f"the session could not be saved: {error}", NoticeLevel.ERROR, "is the disk full or read-only?"
            )
            return
        if not quiet:
            self.live.say(f"session saved to {path}")

    # ------------------------------------------------------------------------------- what panels say

    def on_edit(self, event: said.Edit) -> None:
        """An edit of the recipe."""
        self.live.edit(event.recipe, event.what)

    def on_ask(self, event: said.Ask) -> None:
        """A question to the worker."""
        self.live.ask(event.request)

    def on_begin(self, event: said.Begin) -> None:
        """A job."""
        self.live.begin(event.kind, event.point, event.runs)

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
) -> int:
    """Run the app until the user leaves; returns the exit status (128 + n after signal n, 2 after a crash).

    `early` is a worker that was spawned while this module was still being imported.
    """
    app = FrictionApp(
        recipe,
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
