"""How the state moves on by whatever is heard: the worker, other viewers of a shared session, a recording.

The face, the hub of a shared session and a replay all use this, so all of them come to the same state.
"""

from __future__ import annotations

from dataclasses import replace

import msgspec

from friction_tui.state.app_state import AppState, Notice, not_read, noticed, opened, reopened, with_job
from friction_tui.state.outcome import ended_notice, judged_notice, proved_notice
from friction_tui.state.reduce import reduce
from friction_tui.vocabulary.protocol import (
    EXPORT_JOB,
    Apply,
    Asked,
    CancelJob,
    Ended,
    JobEnded,
    Judged,
    Open,
    Present,
    Proved,
    Request,
    Snapshot,
    StartJob,
    Step,
    ToViewer,
    TurnedAway,
)
from friction_tui.vocabulary.recipe import History
from friction_tui.vocabulary.recipe.changes import changes

OWN = frozenset(
    {"notices", "told", "read", "selected", "problem", "ascii", "auto_build", "netron", "sources", "recorded"}
)
"""Fields of the state that belong to one face and are not taken from another's."""

MESSAGES = frozenset({"notices", "told"})
NOT_AGREED = ("the source was not opened", "its code may not run", "r asks again")

_ENCODER = msgspec.json.Encoder()


def after(state: AppState, heard: ToViewer) -> AppState:
    """The state after one message."""
    match heard:
        case Asked():
            return _noticed(followed(state, heard), _said(state, heard))
        case Present():
            return _noticed(replace(state, present=heard), Notice("info", heard.said) if heard.said else None)
        case Snapshot():
            return _noticed(synced(state, heard), Notice("warning", heard.why) if heard.why else None)
        case Ended() | TurnedAway():
            return _ended(state, heard.why)
    moved = reduce(state, heard)
    if isinstance(heard, Judged) and moved.judged is heard and state.judged is not None:
        # After a worker's death nobody asked for it to be read again: what died stays said.
        asked = state.recipe == state.accepted and not state.reopening
        return _noticed(moved, judged_notice(moved, same_recipe=asked))
    if isinstance(heard, Proved) and moved.proof is heard:
        return _noticed(moved, proved_notice(heard, moved.change))
    if isinstance(heard, JobEnded):
        return _noticed(moved, ended_notice(moved, heard))
    return moved


def followed(state: AppState, asked: Asked) -> AppState:
    """The state after a request, as it is on the screen of who sent it."""
    request = asked.request
    match request:
        case Open(again=True):
            return replace(reopened(state, request.recipe), revision=request.revision)
        case Open():
            return replace(opened(state, request.recipe), revision=request.revision)
        case Apply() if state.history is not None:
            history = stepped(state.history, request)
            return replace(state, history=history, revision=request.revision, details={})
        case CancelJob() if request.job == EXPORT_JOB and state.consent is not None:
            return not_read(state, *NOT_AGREED)
        case StartJob() if asked.recipe is not None or state.recipe is not None:
            recipe = asked.recipe or state.recipe
            assert recipe is not None
            return with_job(state, request.job, request.kind, recipe)
    return state


def stepped(history: History, request: Apply) -> History:
    """The history after an edit of somebody else's."""
    match request.step:
        case Step.UNDO:
            return history.undo()
        case Step.REDO:
            return history.redo()
    return history.edit(request.recipe)


def step_of(before: History, now: History) -> Step:
    """Which of the three led from one history to the next."""
    if now == before.undo():
        return Step.UNDO
    return Step.REDO if now == before.redo() else Step.EDIT


def snapshot(state: AppState, number: int, why: str = "") -> Snapshot:
    """What brings another face to this state."""
    return Snapshot(number=number, state=msgspec.Raw(_ENCODER.encode(state)), why=why)


def synced(state: AppState, given: Snapshot) -> AppState:
    """The state of a snapshot, with what belongs to this face kept. The first one brings the messages so far."""
    other = msgspec.json.decode(given.state, type=AppState)
    return adopted(state, other) if state.told else replace(adopted(state, other, OWN - MESSAGES), read=other.told)


def adopted(state: AppState, other: AppState, own: frozenset[str] = OWN) -> AppState:
    """Another face's state, with the fields `own` of this one's."""
    return replace(other, **{name: getattr(state, name) for name in own})


def _ended(state: AppState, why: str) -> AppState:
    jobs = tuple(replace(job, running=False, error="the session ended") if job.running else job for job in state.jobs)
    state = replace(state, worker_lost=True, present=None, jobs=jobs)
    return noticed(state, "error", f"the shared session is over: {why}", "w saves it; friction-tui FILE goes on alone")


def _said(state: AppState, asked: Asked) -> Notice | None:
    """What to tell of a request that somebody else sent: who, and what it changes."""
    what = _what(state, asked.request)
    return Notice("info", f"{asked.by}: {what}" if asked.by else what) if what else None


def _what(state: AppState, request: Request) -> str:
    match request:
        case Open(again=True):
            return "reads the model again"
        case Open():
            return f"opens {request.recipe.source.path}"
        case Apply() if state.recipe is not None:
            said = ", ".join(changes(state.recipe, request.recipe))
            return {Step.UNDO: f"undid: {said}", Step.REDO: f"redid: {said}"}.get(request.step, said)
        case StartJob():
            return f"starts a {request.kind}"
        case CancelJob():
            return "stops the export" if request.job == EXPORT_JOB else f"stops job {request.job}"
    return ""


def _noticed(state: AppState, notice: Notice | None) -> AppState:
    return noticed(state, notice.level, notice.text, notice.detail) if notice is not None else state
