"""Every message of this session on one page."""

from __future__ import annotations

from friction_tui.state.app_state import AppState, NoticeLevel
from friction_tui.ui.dialogs.text_screen import TextScreen
from friction_tui.ui.look.lines import Line, paragraph

ROLES = {NoticeLevel.ERROR: "error", NoticeLevel.WARNING: "warning", NoticeLevel.INFO: "good"}


def page(state: AppState, width: int) -> list[Line]:
    """Newest first, each with its detail in full."""
    lines: list[Line] = []
    for notice in reversed(state.notices):
        lines.extend(paragraph(notice.text, width, indent=((f"{notice.level:<8}", ROLES[notice.level]),)))
        if notice.detail:
            lines.extend(paragraph(notice.detail, width, "muted", indent=(("        ", "text"),)))
    return lines or paragraph("No message yet.", width, "muted")


def messages_screen(state: AppState) -> TextScreen:
    """The page on a screen."""
    return TextScreen("Messages", lambda width: page(state, width))
