"""The state after what others of a shared session do, and the snapshots that bring one screen to another's state."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from friction_tui.state.app_state import AppState, NoticeLevel
from friction_tui.state.user_actions import after_request
from friction_tui.vocabulary.protocol import (
    EXPORT_JOB,
    Apply,
    Asked,
    CancelJob,
    EditStep,
    Ended,
    Looks,
    Open,
    Present,
    Request,
    Snapshot,
    StartJob,
    TurnedAway,
)
from friction_tui.vocabulary.recipe.changes import changes

NOTICE_FIELDS = frozenset({"notices", "notice_count"})
OWN_FIELDS = NOTICE_FIELDS | {
    "dismissed_count",
    "selected",
    "problem",
    "ascii",
    "auto_build",
    "netron",
    "sources",
    "recorded",
    "following",
}
"""Fields of the state that belong to one screen and are not taken from another's."""

_ENCODER = msgspec.json.Encoder()


def after_viewer_message(state: AppState, message: Asked | Looks | Present | Snapshot | Ended | TurnedAway) -> AppState:
    """The state after one message of the hub of a shared session, with a notice of what it says."""
    match message:
        case Asked():
            what = _what(state, message.request)
            state = after_request(state, message.request, message.recipe, message.by)
            return _with_info(state, f"{message.by}: {what}" if message.by and what else what)
        case Present():
            here = {viewer.name for viewer in message.viewers}
            looking = {name: path for name, path in state.looking.items() if name in here}
            following = state.following if state.following in here else ""
            return _with_info(replace(state, present=message, looking=looking, following=following), message.said)
        case Looks():
            return _looks(state, message)
        case Snapshot():
            state = _synced(state, message)
            return state.with_notice(NoticeLevel.WARNING, message.why) if message.why else state
        case Ended() | TurnedAway():
            return _ended(state, message.why)


def snapshot(state: AppState, number: int, why: str = "") -> Snapshot:
    """What brings another screen to this state."""
    return Snapshot(number=number, state=msgspec.Raw(_ENCODER.encode(state)), why=why)


def adopted(state: AppState, other: AppState, own: frozenset[str] = OWN_FIELDS) -> AppState:
    """Another screen's state, with the fields `own` of this one's."""
    return replace(other, **{name: getattr(state, name) for name in own})


def _synced(state: AppState, given: Snapshot) -> AppState:
    """The state of a snapshot, with what belongs to this screen kept. The first one brings the messages so far."""
    other = msgspec.json.decode(given.state, type=AppState)
    if state.notice_count:
        return adopted(state, other)
    return replace(adopted(state, other, OWN_FIELDS - NOTICE_FIELDS), dismissed_count=other.notice_count)


def _looks(state: AppState, message: Looks) -> AppState:
    state = replace(state, looking={**state.looking, message.by: message.path})
    if not message.here:
        return state
    state = replace(state, pointed=(state.pointed[0] + 1, message.by))
    if state.following == message.by:
        return state
    return state.with_notice(NoticeLevel.INFO, f"{message.by}: look here", f"f goes there and follows {message.by}")


def _ended(state: AppState, why: str) -> AppState:
    jobs = tuple(replace(job, running=False, error="the session ended") if job.running else job for job in state.jobs)
    state = replace(state, worker_lost=True, present=None, jobs=jobs)
    text, detail = f"the shared session is over: {why}", "w saves it; `friction-tui FILE` continues without the others"
    return state.with_notice(NoticeLevel.ERROR, text, detail)


def _what(state: AppState, request: Request) -> str:
    """What a request changes, in words; "" for one that only asks."""
    match request:
        case Open(again=True):
            return "reads the model again"
        case Open():
            return f"opens {request.recipe.source.path}"
        case Apply() if state.recipe is not None:
            said = ", ".join(changes(state.recipe, request.recipe))
            return {
                EditStep.UNDO: f"undid: {said}",
                EditStep.REDO: f"redid: {said}",
                EditStep.JUMP: f"went to: {said}",
            }.get(request.step, said)
        case StartJob():
            return f"starts a {request.kind}"
        case CancelJob():
            return "stops the export" if request.job == EXPORT_JOB else f"stops job {request.job}"
    return ""


def _with_info(state: AppState, text: str) -> AppState:
    return state.with_notice(NoticeLevel.INFO, text) if text else state
