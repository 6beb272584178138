"""Pages of text over the workbench: the messages so far, where Netron serves the model, who shares the session."""

from __future__ import annotations

from friction_tui.state.app_state import AppState, NoticeLevel
from friction_tui.ui.dialogs.text_screen import TextScreen
from friction_tui.ui.look.lines import Line, Span, paragraph
from friction_tui.ui.look.roles import PEOPLE
from friction_tui.vocabulary.protocol import NetronStarted, Present, Viewer

ROLES = {NoticeLevel.ERROR: "error", NoticeLevel.WARNING: "warning", NoticeLevel.INFO: "good"}


def _messages_page(state: AppState, width: int) -> list[Line]:
    """Newest first, each with its detail in full."""
    lines: list[Line] = []
    for notice in reversed(state.notices):
        lines.extend(paragraph(notice.text, width, indent=((f"{notice.level:<8}", ROLES[notice.level]),)))
        if notice.detail:
            lines.extend(paragraph(notice.detail, width, "muted", indent=(("        ", "text"),)))
    return lines or paragraph("No message yet.", width, "muted")


def messages_screen(state: AppState) -> TextScreen:
    """The page on a screen."""
    return TextScreen("Messages", lambda width: _messages_page(state, width))


def _netron_page(started: NetronStarted, width: int) -> list[Line]:
    """The address, and the ssh line that brings it closer."""
    lines = [
        *paragraph("Netron draws this model, with your edits in it, for a browser on this machine:", width),
        Line(),
        *paragraph(started.url, width, "link", indent=(("  ", "text"),)),
    ]
    if started.forward:
        lines += [
            Line(),
            *paragraph("From your own machine, run this first and open the same address there:", width),
            Line(),
            *paragraph(started.forward, width, "code", indent=(("  ", "text"),)),
        ]
    return [*lines, Line(), *paragraph("It listens on loopback only and ends with friction-tui.", width, "muted")]


def netron_screen(started: NetronStarted) -> TextScreen:
    """The page on a screen."""
    return TextScreen("Netron", lambda width: _netron_page(started, width))


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
    if state.following:
        return f"following {state.following}", "note"
    names = names if len(names) <= NAMED else f"{len(others)} others"
    return f"{'watching' if present.own.watch_only else 'with'} {names}", "note"


def _named(viewer: Viewer) -> str:
    return f"{viewer.name} (watching)" if viewer.watch_only else viewer.name


def _sharing_page(state: AppState, width: int) -> list[Line]:
    """Who is there, how to join, and what happens when a viewer leaves."""
    present = state.present
    if present is None:
        said = "This session is not shared. `friction-tui share MODEL` opens one that others can join."
        return paragraph(said, width, "muted")
    names = dict(zip(state.graph.paths, state.graph.names, strict=True)) if state.graph is not None else {}
    lines = [
        line
        for viewer in present.viewers
        for line in _viewer(viewer, present, width, names.get(state.looking.get(viewer.name, ""), ""))
    ]
    lines += [Line(()), *paragraph("To join, in another terminal of this account on this machine:", width)]
    lines += paragraph(f"friction-tui join {present.code}", width, "code", indent=(("  ", "text"),))
    lines += paragraph("To watch only:", width)
    lines += paragraph(f"friction-tui join {present.code} --watch-only", width, "code", indent=(("  ", "text"),))
    about = (
        "Everybody has their own cursor, folds and panels; edits, undo, builds and measurements are shared. f follows "
        "somebody's cursor, L asks the others to look where you are. The "
        "session ends when the last viewer leaves."
    )
    return [*lines, Line(()), *paragraph(about, width, "muted")]


def _viewer(viewer: Viewer, present: Present, width: int, at: str) -> list[Line]:
    you = viewer.name == present.you
    about = [*(["you"] if you else []), *(["only watching"] if viewer.watch_only else [])]
    about += [f"at {at}"] if at and not you else []
    role = "strong" if you else PEOPLE[viewer.colour % len(PEOPLE)]
    return paragraph(", ".join(about), width, "muted", indent=((f"{viewer.name}  ", role),))


def sharing_screen(state: AppState) -> TextScreen:
    """The page on a screen."""
    return TextScreen("Shared session", lambda width: _sharing_page(state, width))
