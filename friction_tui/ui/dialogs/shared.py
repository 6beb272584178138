"""A shared session on the screen: who is there, and what others type to come in."""

from __future__ import annotations

from friction_tui.state.app_state import AppState
from friction_tui.ui.dialogs.text_screen import TextScreen
from friction_tui.ui.look.lines import Line, Span, paragraph
from friction_tui.vocabulary.protocol import Present, Viewer

NAMED = 24
"""Cells for the names in the status line; more people are counted."""


def presence(state: AppState) -> Span:
    """`with bo, eve (watching)`, `recording`; empty for a session that is not shared."""
    if state.recorded:
        return "recording", "note"
    present = state.present
    if present is None:
        return "", "muted"
    others = [_named(viewer) for viewer in present.viewers if viewer.name != present.you]
    if not others:
        return "shared", "muted"
    names = ", ".join(others)
    names = names if len(names) <= NAMED else f"{len(others)} others"
    return f"{'watching' if present.own.watch_only else 'with'} {names}", "note"


def _named(viewer: Viewer) -> str:
    return f"{viewer.name} (watching)" if viewer.watch_only else viewer.name


def page(state: AppState, width: int) -> list[Line]:
    """Who is there, how to join, and what happens when a viewer leaves."""
    present = state.present
    if present is None:
        said = "This session is not shared. `friction-tui share MODEL` opens one that others can join."
        return paragraph(said, width, "muted")
    lines = [line for viewer in present.viewers for line in _viewer(viewer, present, width)]
    lines += [Line(()), *paragraph("To join, in another terminal of this account on this machine:", width)]
    lines += paragraph(f"friction-tui join {present.code}", width, "code", indent=(("  ", "text"),))
    lines += paragraph("To watch only:", width)
    lines += paragraph(f"friction-tui join {present.code} --watch-only", width, "code", indent=(("  ", "text"),))
    about = (
        "Everybody has their own cursor, folds and panels; edits, undo, builds and measurements are shared. The "
        "session ends when the last viewer leaves."
    )
    return [*lines, Line(()), *paragraph(about, width, "muted")]


def _viewer(viewer: Viewer, present: Present, width: int) -> list[Line]:
    about = [*(["you"] if viewer.name == present.you else []), *(["only watching"] if viewer.watch_only else [])]
    return paragraph(", ".join(about), width, "muted", indent=((f"{viewer.name}  ", "strong"),))


def sharing_screen(state: AppState) -> TextScreen:
    """The page on a screen."""
    return TextScreen("Shared session", lambda width: page(state, width))
