"""The running session: the newest state, the worker that feeds it, and what edits and jobs send to it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from friction_tui.log import LOG
from friction_tui.sharing.joined import JoinedClient
from friction_tui.sharing.recording import Recorder
from friction_tui.state.app_state import AppState, Notice, NoticeLevel, PastExport, TakenBack
from friction_tui.state.derived import ended_phases, mended_text
from friction_tui.state.dispatch import Message, dispatch
from friction_tui.state.user_actions import (
    SelectItem,
    SetElapsed,
    SetMended,
    SetPastExports,
    SetTakenBack,
    ShowNotice,
    edit_request,
    job_request,
    open_request,
)
from friction_tui.ui.source import export_history
from friction_tui.vocabulary.protocol import (
    EXPORT_JOB,
    Asked,
    CancelJob,
    ConsentNeeded,
    Exported,
    JobEnded,
    JobKind,
    JobProgress,
    Looking,
    Open,
    Opened,
    Request,
    SourceChanged,
    ToViewer,
    Verified,
    WatchSource,
)
from friction_tui.vocabulary.recipe import History, Recipe
from friction_tui.worker.client import Process, WorkerClient

LOG_LEVELS = {
    NoticeLevel.ERROR: logging.ERROR,
    NoticeLevel.WARNING: logging.WARNING,
    NoticeLevel.INFO: logging.INFO,
}
AUTO_BUILD_DELAY = 0.8
"""Seconds without an edit before an automatic build starts."""
TELL_SECONDS = 0.1
"""Seconds until the others of a shared session hear where the cursor is: a key held down says it ten times a second."""
TICK = 0.5
"""Seconds between two looks at the clock while an export runs."""


class Client(Protocol):
    """The other end: a worker of one's own, a shared session's hub, or a recording."""

    async def start(self) -> None:
        """Begin; what is heard arrives on the running loop."""

    async def close(self) -> None:
        """End."""

    def send(self, request: Request) -> None:
        """Ask for something."""


class LiveSession:
    """Owns the state; every change is a message to `dispatch`, and `on_state` is called with the new state.

    `watch` reads the source again, exporting it where it is code, whenever one of its files is saved. `client` makes
    the other end, where it is another than a worker of one's own; `record` writes down what passes.
    """

    def __init__(
        self,
        on_state: Callable[[AppState], None],
        worker: Sequence[str] | None = None,
        *,
        early: Process | None = None,
        ascii_only: bool = False,
        watch: bool = False,
        client: Callable[[Callable[[ToViewer], None]], Client] | None = None,
        record: Recorder | None = None,
    ) -> None:
        self.state = AppState(ascii=ascii_only)
        self._on_state = on_state
        self._client: Client = client(self.hear) if client else WorkerClient(self.hear, worker, early)
        self._record = record
        self._opened_here = True
        """Whether it was this UI that had the model read."""
        self.watch = watch
        self.allow_code = False
        """Whether the code of what is opened first was agreed to on the command line."""
        self._trusted = ("", "")
        """Path and factory of the source whose code may run in this session however often it is edited."""
        self._fixing = 0
        """The run of fixes that was started here and still runs; 0 for none."""
        self._rewritten: Recipe | None = None
        """What the last edit made here that added rewrites: it is taken back if they change the results."""
        self._ticking: asyncio.TimerHandle | None = None
        self._auto_build: asyncio.TimerHandle | None = None
        self._telling: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        """Spawn the worker."""
        await self._client.start()

    async def close(self) -> None:
        """Kill the worker and whatever it runs."""
        for timer in (self._auto_build, self._ticking, self._telling):
            if timer is not None:
                timer.cancel()
        await self._client.close()
        if self._record is not None:
            self._record.close()

    def dispatch(self, message: Message) -> None:
        """Move the state on by one message."""
        self.show(dispatch(self.state, message))
        if isinstance(message, SelectItem) and self.state.present is not None and self._telling is None:
            self._telling = asyncio.get_running_loop().call_later(TELL_SECONDS, self._tell_where)

    def _tell_where(self, *, here: bool = False) -> None:
        self._telling = None
        if isinstance(self._client, JoinedClient):
            self._client.send(Looking(self.state.selected, here))

    def point(self) -> None:
        """Ask the others of a shared session to look where the cursor is."""
        self._tell_where(here=True)
        self.say("the others are asked to look here")

    def show(self, state: AppState) -> None:
        """Take a state that was made elsewhere, such as by a replay."""
        if state is not self.state:
            if state.notice_count > self.state.notice_count and state.notices is not self.state.notices:
                notice = state.notices[-1]
                LOG.log(LOG_LEVELS[notice.level], "%s%s", notice.text, f" ({notice.detail})" if notice.detail else "")
            self.state = state
            self._on_state(state)

    def say(self, text: str, level: NoticeLevel = NoticeLevel.INFO, detail: str = "") -> None:
        """A line for the user."""
        self.dispatch(ShowNotice(Notice(level, text, detail)))

    def hear(self, event: ToViewer) -> None:
        """Take what the worker says, or another viewer of a shared session did."""
        if self._record is not None:
            self._record.heard(event)
            self._look_after_record()
        if isinstance(event, ConsentNeeded) and self.allow_code:
            self.allow_code, self._trusted = False, _named(event.recipe)
        if isinstance(event, ConsentNeeded) and _named(event.recipe) == self._trusted:
            self._read_again(event.recipe)
            return
        if isinstance(event, Asked) and isinstance(event.request, Open):
            self._opened_here = False
        state = dispatch(self.state, event)
        if isinstance(event, Exported) and state.exported is event:
            self.ask(WatchSource(on=True))
        if isinstance(event, Opened) and state.exported is None and not self.state.only_watching:
            self.ask(WatchSource(on=True))
        if isinstance(event, JobEnded) and event.job == EXPORT_JOB and self._opened_here:
            state = _remembered(state)
        self.show(state)
        if isinstance(event, JobEnded) and event.job == self._fixing != 0:
            self._fixing = 0
            self._take_fixes(event)
        if isinstance(event, Verified) and state.verification is event and event.holds is False:
            self._take_back(event)
        if isinstance(event, JobProgress) and event.job == EXPORT_JOB:
            self._tick_from(event.elapsed)
        if isinstance(event, SourceChanged) and event.files and self.watch:
            self.reopen()

    def _take_fixes(self, ended: JobEnded) -> None:
        """What a run of fixes did, as one edit of the recipe it was started on."""
        recipe, mended = self.state.recipe, ended.mended
        job = next((job for job in self.state.jobs if job.number == ended.job), None)
        if mended is None or recipe is None or job is None:
            if ended.cancelled:
                self.say("cancelled: nothing was changed")
            return
        text = mended_text(mended)
        if not mended.steps:
            self.say(text, NoticeLevel.WARNING, "x shows every fix")
            return
        if job.recipe != recipe:
            self.say("the fixes were not applied: the recipe changed while they were tried", NoticeLevel.WARNING, "X")
            return
        steps = tuple(step.rewrite for step in mended.steps)
        self.edit(msgspec.structs.replace(recipe, rewrites=(*recipe.rewrites, *steps)), text)
        self.dispatch(SetMended(text))

    def _take_back(self, failed: Verified) -> None:
        """Undo the rewrites that were just added here, as the results are not the same with them."""
        history, recipe = self.state.history, self.state.recipe
        if history is None or recipe is None or recipe != self._rewritten:
            return
        self._rewritten = None
        before = history.undo().present.rewrites
        what = ", ".join(rewrite.name for rewrite in recipe.rewrites[len(before) :])
        self.move(history.undo())
        self.dispatch(SetTakenBack(TakenBack(recipe, what, failed.text)))
        self.say(f"taken back: {what} {failed.text}", NoticeLevel.ERROR, "K keeps it anyway")

    def insist(self) -> None:
        """Make the edit again that was taken back, and keep it whatever it does to the results."""
        taken, history = self.state.taken_back, self.state.history
        if taken is not None and history is not None:
            redone = history.redo()
            self.move(
                redone if redone.present == taken.recipe else history.edit(taken.recipe), f"kept anyway: {taken.what}"
            )

    def may_change(self) -> bool:
        """Whether anything can be changed here; says why not."""
        if self.state.only_watching:
            self.say(
                f"nothing can be changed: {self.state.only_watching}",
                NoticeLevel.WARNING,
                "y copies the recipe as a command",
            )
        return not self.state.only_watching

    def _look_after_record(self) -> None:
        if self._record is not None and self._record.failed:
            failed, self._record = self._record.failed, None
            self.say(failed, NoticeLevel.WARNING, "what was recorded so far can be replayed")

    def _tick_from(self, elapsed: float) -> None:
        """An export says nothing for seconds on end: the clock goes on by itself until it ends."""
        if self._ticking is not None:
            self._ticking.cancel()
            self._ticking = None
        if self.state.running(JobKind.EXPORT) is not None:
            self._ticking = asyncio.get_running_loop().call_later(TICK, self._tick, elapsed + TICK)

    def _tick(self, elapsed: float) -> None:
        if self.state.running(JobKind.EXPORT) is not None:
            self.dispatch(SetElapsed(EXPORT_JOB, elapsed))
        self._tick_from(elapsed)

    def open(self, opened: Recipe | History) -> None:
        """Open a source, or resume a session with its past; what was open is closed."""
        if not self.may_change():
            return
        for job in self.state.jobs:
            if job.running:
                self.ask(CancelJob(job=job.number))
        self._opened_here = True
        request = open_request(self.state, opened)
        past = export_history.load(export_history.file_of(request.recipe))
        self.ask(request)
        self.dispatch(SetPastExports(past))

    def reopen(self) -> None:
        """Read the same source again, exporting it where it is code."""
        if self.state.recipe is not None:
            self._read_again(self.state.recipe)

    def agree(self, *, remember: bool = False, edited_too: bool = False) -> None:
        """Let the source's code run: this time, these bytes from now on, or whatever is saved in it till the end."""
        asked = self.state.consent
        if asked is not None:
            self._trusted = _named(asked.recipe) if edited_too else ("", "")
            self._read_again(asked.recipe, remember=remember)

    def decline(self) -> None:
        """The source's code may not run: what was open stays."""
        self.ask(CancelJob(job=EXPORT_JOB))

    def _read_again(self, recipe: Recipe, *, remember: bool = False) -> None:
        if not self.may_change():
            return
        self._opened_here = True
        self.ask(Open(revision=self.state.revision + 1, recipe=recipe, remember=remember, again=True, kernels=True))

    def edit(self, recipe: Recipe, what: str = "") -> None:
        """One edit of the recipe."""
        if self.state.history is not None:
            added = self.state.recipe is not None and len(recipe.rewrites) > len(self.state.recipe.rewrites)
            self._rewritten = recipe if added else None
            self.move(self.state.history.edit(recipe), what)

    def move(self, history: History, what: str = "") -> None:
        """Edit, undo or redo, and have the recipe judged; `what` is said of it."""
        request = edit_request(self.state, history)
        if request is None or not self.may_change():
            return
        self.ask(request)
        if what:
            self.say(what)
        if self.state.auto_build:
            self._build_soon()

    def ask(self, request: Request) -> None:
        """Move the state on by a request, and send it."""
        self.dispatch(request)
        if self._record is not None:
            self._record.asked(request)
            self._look_after_record()
        self._client.send(request)

    def begin(self, kind: JobKind, point: str = "opt", runs: int = 0, level: str = "") -> None:
        """Start a job on the present recipe; what a run of fixes does becomes one edit once it ends."""
        if self.state.recipe is None:
            self.say("no model is open", NoticeLevel.WARNING, "open one first")
            return
        if not self.may_change():
            return
        request = job_request(self.state, kind, point, runs, level)
        if kind is JobKind.FIX:
            self._fixing = request.job
        self.ask(request)

    def cancel(self, job: int) -> None:
        """Kill a job."""
        if self.may_change():
            self.ask(CancelJob(job=job))
            if self.state.line_lost:
                self.say("the job is stopped as soon as the connection is back", NoticeLevel.WARNING, "R tries now")

    def _build_soon(self) -> None:
        if self._auto_build is not None:
            self._auto_build.cancel()
        self._auto_build = asyncio.get_running_loop().call_later(AUTO_BUILD_DELAY, self._build_now)

    def _build_now(self) -> None:
        running = self.state.running(JobKind.BUILD)
        if running is not None:
            self.cancel(running.number)
        self.begin(JobKind.BUILD)


def _named(recipe: Recipe) -> tuple[str, str]:
    return recipe.source.path, recipe.source.factory


def _remembered(state: AppState) -> AppState:
    """An export that gave a model is what the next one is measured against."""
    job = next((job for job in state.jobs if job.number == EXPORT_JOB), None)
    if job is None or job.cancelled or job.error:
        return state
    past = PastExport(job.elapsed, ended_phases(job))
    try:
        return dispatch(state, SetPastExports(export_history.add(export_history.file_of(job.recipe), past)))
    except OSError as error:
        return state.with_notice(NoticeLevel.WARNING, f"the time of this export was not saved: {error}")
