"""Where Netron serves the present model, and how a browser on another machine gets there."""

from __future__ import annotations

from friction_tui.ui.dialogs.text_screen import TextScreen
from friction_tui.ui.look.lines import Line, paragraph
from friction_tui.vocabulary.protocol import NetronStarted


def page(started: NetronStarted, width: int) -> list[Line]:
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
    return TextScreen("Netron", lambda width: page(started, width))
