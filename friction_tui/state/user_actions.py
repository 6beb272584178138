"""The state after what the user does: a request to the worker, or something that concerns this screen only.

A request moves the state the same way whether this user made it or another viewer of a shared session.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TypeAlias

import msgspec

from friction_tui.state.app_state import AppState, Author, Job, Notice, NoticeLevel, Outcome, PastExport, TakenBack
from friction_tui.vocabulary.finding import Finding
from friction_tui.vocabulary.protocol import (
    EXPORT_JOB,
    Apply,
    CancelJob,
    EditStep,
    JobKind,
    Open,
    Refused,
    Request,
    StartJob,
)
from friction_tui.vocabulary.recipe import History, Recipe, Rewrite


@dataclass(frozen=True, slots=True)
class SelectItem:
    """The graph's cursor is on the item of this path. `by_user` is False when a graph drawn anew put it there."""

    path: str
    by_user: bool = True


@dataclass(frozen=True, slots=True)
class ChooseProblem:
    """From now on this finding is the one that is explained and fixed."""

    finding: Finding


@dataclass(frozen=True, slots=True)
class ShowNotice:
    """A line for the user."""

    notice: Notice


@dataclass(frozen=True, slots=True)
class DismissNotice:
    """The newest notice was read."""


@dataclass(frozen=True, slots=True)
class SetAutoBuild:
    """Whether every edit starts a build."""

    on: bool


@dataclass(frozen=True, slots=True)
class SetKeys:
    """Keys of the user's own by action, comma separated."""

    keys: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class SetAscii:
    """Whether to draw with ASCII characters only."""

    on: bool


@dataclass(frozen=True, slots=True)
class SetElapsed:
    """A job that reports nothing for a while has run for so many seconds."""

    job: int
    seconds: float


@dataclass(frozen=True, slots=True)
class SetPastExports:
    """How long exports of this source took before, oldest first."""

    past: tuple[PastExport, ...]


@dataclass(frozen=True, slots=True)
class ShowPreview:
    """The nodes that this rewrite would change are marked in the graph; None: no more."""

    rewrite: Rewrite | None


@dataclass(frozen=True, slots=True)
class SetMended:
    """What the run of fixes came to that the present recipe is from."""

    text: str


@dataclass(frozen=True, slots=True)
class SetOutcomes:
    """What the edits of a session that is resumed came to, as far as it was known when that was saved."""

    outcomes: tuple[Outcome, ...]


@dataclass(frozen=True, slots=True)
class SetFollowing:
    """Whose cursor this screen's follows from now on, "" for nobody's."""

    name: str


@dataclass(frozen=True, slots=True)
class SetTakenBack:
    """The last edit was undone because the results changed."""

    taken: TakenBack


ScreenAction: TypeAlias = (
    SelectItem
    | ChooseProblem
    | ShowNotice
    | DismissNotice
    | SetAutoBuild
    | SetAscii
    | SetKeys
    | SetElapsed
    | SetPastExports
    | ShowPreview
    | SetMended
    | SetTakenBack
    | SetFollowing
    | SetOutcomes
)


def after_screen_action(state: AppState, action: ScreenAction) -> AppState:
    """The state after something that neither the worker nor another viewer hears of."""
    match action:
        case SelectItem():
            state = replace(state, selected=action.path, following="" if action.by_user else state.following)
            read = action.by_user and state.unread is not None and state.unread.level is NoticeLevel.INFO
            return replace(state, dismissed_count=state.notice_count) if read else state
        case ChooseProblem():
            if action.finding == state.problem:
                return state
            read = state.unread is not None and state.unread.level is NoticeLevel.INFO
            state = replace(state, dismissed_count=state.notice_count) if read else state
            return replace(state, problem=action.finding)
        case ShowNotice():
            return state.with_notice(action.notice.level, action.notice.text, action.notice.detail)
        case DismissNotice():
            return replace(state, dismissed_count=state.notice_count)
        case SetOutcomes():
            return replace(state, outcomes=action.outcomes)
        case SetAutoBuild():
            return replace(state, auto_build=action.on)
        case SetKeys():
            return replace(state, keys=action.keys)
        case SetAscii():
            return replace(state, ascii=action.on)
        case SetElapsed():
            jobs = (
                replace(j, elapsed=action.seconds) if j.number == action.job and j.running else j for j in state.jobs
            )
            return replace(state, jobs=tuple(jobs))
        case SetPastExports():
            return replace(state, past_exports=action.past)
        case ShowPreview():
            return replace(state, previewed=action.rewrite)
        case SetMended():
            return replace(state, mended=(state.revision, action.text))
        case SetTakenBack():
            return replace(state, taken_back=action.taken)
        case SetFollowing():
            return replace(state, following=action.name)


def after_request(state: AppState, request: Request, recipe: Recipe | None = None, by: str = "") -> AppState:
    """The state after a request to the worker; most only ask something and change nothing.

    `recipe` is what a job was started on, where that is not the present one; `by` is who asked, in a session that is
    shared, where that is not who sits here.
    """
    match request:
        case Open(again=True):
            return _reopened(state, request)
        case Open():
            return _opened(state, request)
        case Apply() if state.history is not None:
            return replace(
                state,
                history=_stepped(state.history, request),
                authors=_with_author(state, request, by),
                revision=request.revision,
                details={},
                taken_back=None,
                previews={},
                previewed=None,
            )
        case CancelJob() if request.job == EXPORT_JOB and state.consent is not None:
            return with_source_kept(
                state, "the source was not opened", "you did not allow its code to run", "r asks again"
            )
        case StartJob() if (started_on := recipe or state.recipe) is not None:
            nth = 1 + sum(job.kind is request.kind for job in state.jobs)
            return replace(state, jobs=(*state.jobs, Job(request.job, request.kind, started_on, nth)))
    return state


def next_job(state: AppState) -> int:
    """The number of the next job that is started here."""
    return max((job.number for job in state.jobs), default=EXPORT_JOB) + 1


def edit_request(state: AppState, history: History) -> Apply | None:
    """The request that moves the recipe to `history`; None when that changes nothing."""
    before = state.history
    if before is None or history.present == before.present:
        return None
    revision, at = state.revision + 1, len(history.past)
    other = EditStep.REDO if history == before.redo() else EditStep.EDIT
    step = EditStep.UNDO if history == before.undo() else other
    if step is EditStep.EDIT and history.steps == before.steps:
        return Apply(revision, history.present, EditStep.JUMP, at)
    return Apply(revision=revision, recipe=history.present, step=step)


def open_request(state: AppState, opened: Recipe | History) -> Open:
    """The request that opens another source, or resumes a session with its past."""
    history = History(opened) if isinstance(opened, Recipe) else opened
    past, future = history.past, history.future
    return Open(revision=state.revision + 1, recipe=history.present, past=past, future=future, kernels=True)


def job_request(state: AppState, kind: JobKind, point: str = "opt", runs: int = 0, level: str = "") -> StartJob:
    """The request that starts a job on the present recipe."""
    return StartJob(job=next_job(state), kind=kind, point=point, runs=runs, level=level)


def taken_back(state: AppState) -> AppState | None:
    """The last edit undone without a trace, as the worker kept what it judged last; None where nothing was judged."""
    history, accepted = state.history, state.accepted
    if history is None or accepted is None or state.judged is None:
        return None
    past, future = history.past, history.future
    if accepted in (*past[:-1], *future[1:]):  # after a jump
        history = history.at(history.steps.index(accepted))
        past, future = history.past, history.future
    past = past[:-1] if past and past[-1] == accepted else past
    future = future[1:] if future and future[0] == accepted else future
    judged, verification = msgspec.structs.replace(state.judged, revision=state.revision), state.verification
    if verification is not None and verification.revision == state.judged.revision:
        verification = msgspec.structs.replace(verification, revision=state.revision)
    return replace(state, history=History(accepted, past, future), judged=judged, verification=verification)


def with_source_kept(state: AppState, what: str, why: str, again: str) -> AppState:
    """The source was not read after all, as the user wished: what was open stays."""
    state = replace(state, consent=None).with_notice(NoticeLevel.WARNING, f"{what}: {why}", again)
    return taken_back(state) or replace(state, refused=Refused(what, why, f"{again}."))


def _opened(state: AppState, request: Open) -> AppState:
    """Another source is opened: everything about the older one goes; the machine and the notices stay."""
    return AppState(
        history=History(request.recipe, request.past, request.future),
        revision=request.revision,
        hello=state.hello,
        line=state.line,
        gpu=state.gpu,
        notices=state.notices,
        notice_count=state.notice_count,
        dismissed_count=state.dismissed_count,
        ascii=state.ascii,
        keys=state.keys,
        present=state.present,
        following=state.following,
    )


def _reopened(state: AppState, request: Open) -> AppState:
    """The same source is read again, with consent or without: what was open stays until the new model is there.

    The newest notice, such as that the source was not read, is dismissed.
    """
    history = state.history
    if history is not None:
        history = msgspec.structs.replace(history, present=request.recipe)
    return replace(
        state,
        history=history,
        revision=request.revision,
        details={},
        consent=None,
        refused=None,
        dismissed_count=state.notice_count,
    )


def _with_author(state: AppState, request: Apply, by: str) -> tuple[Author, ...]:
    by = by or (state.present.you if state.present is not None else "")
    if not by or request.step is not EditStep.EDIT or state.recipe is None:
        return state.authors
    return (*state.authors, Author(state.recipe, request.recipe, by))


def _stepped(history: History, request: Apply) -> History:
    match request.step:
        case EditStep.UNDO:
            return history.undo()
        case EditStep.REDO:
            return history.redo()
        case EditStep.JUMP if request.at < len(history.steps):
            return history.at(request.at)
    return history.edit(request.recipe)
