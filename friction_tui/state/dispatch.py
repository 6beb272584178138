"""The one way from a state to the next: whatever happens is a message, and `dispatch` is given all of them.

The UI, the hub of a shared session and a replay all use this, so all of them come to the same state.
"""

from __future__ import annotations

from typing import TypeAlias

from friction_tui.state.app_state import AppState
from friction_tui.state.user_actions import ScreenAction, after_request, after_screen_action
from friction_tui.state.viewer_messages import after_viewer_message
from friction_tui.state.worker_events import after_event
from friction_tui.vocabulary.protocol import Asked, Ended, Looks, Present, Request, Snapshot, ToViewer, TurnedAway

Message: TypeAlias = ScreenAction | Request | ToViewer
"""What the user does on this screen, what the user asks of the worker, what the worker or another viewer says."""


def dispatch(state: AppState, message: Message) -> AppState:
    """The state after one message."""
    if isinstance(message, ScreenAction):
        return after_screen_action(state, message)
    if isinstance(message, Request):
        return after_request(state, message)
    if isinstance(message, Asked | Looks | Present | Snapshot | Ended | TurnedAway):
        return after_viewer_message(state, message)
    return after_event(state, message)
