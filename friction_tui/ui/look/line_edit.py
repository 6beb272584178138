"""A line of text being typed inside a panel: a value that keys turn into another value."""

from __future__ import annotations

from dataclasses import dataclass, replace

from friction_tui.ui.look.lines import Span


@dataclass(frozen=True, slots=True)
class LineEdit:
    """The text and where the caret is, in characters from its start. `fresh`: the first key replaces the text."""

    text: str = ""
    at: int = 0
    fresh: bool = False

    def pressed(self, key: str, character: str | None) -> LineEdit | None:
        """The line after a key; None for a key that edits nothing."""
        start = LineEdit() if self.fresh else self
        match key:
            case "left":
                return replace(self, at=max(self.at - 1, 0), fresh=False)
            case "right":
                return replace(self, at=min(self.at + 1, len(self.text)), fresh=False)
            case "home":
                return replace(self, at=0, fresh=False)
            case "end":
                return replace(self, at=len(self.text), fresh=False)
            case "backspace" | "ctrl+h":
                return LineEdit(start.text[: max(start.at - 1, 0)] + start.text[start.at :], max(start.at - 1, 0))
            case "delete":
                return LineEdit(start.text[: start.at] + start.text[start.at + 1 :], start.at)
            case "ctrl+u":
                return LineEdit()
        if character and character.isprintable():
            return start.inserted(character)
        return None

    def inserted(self, text: str) -> LineEdit:
        """The line with `text` typed or pasted at the caret."""
        start = LineEdit() if self.fresh else self
        flat = " ".join(text.split("\n")).strip() if "\n" in text else text
        return LineEdit(start.text[: start.at] + flat + start.text[start.at :], start.at + len(flat))

    def spans(self, role: str = "strong", *, ascii_only: bool = False) -> list[Span]:
        """The line with its caret, one cell wider than the text; all of it marked while the first key replaces it."""
        caret: Span = ("_" if ascii_only else "▏", "key")
        if self.fresh and self.text:
            return [(self.text, "cursor"), (" ", role)]
        if self.at == len(self.text):
            return [(self.text, role), caret]
        under = self.text[self.at].replace(" ", "_")
        return [(self.text[: self.at], role), (under, "cursor"), (self.text[self.at + 1 :] + " ", role)]
