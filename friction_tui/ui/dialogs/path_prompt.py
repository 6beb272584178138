"""Asks for the file to write: an engine, a command. Says before Enter what writing there would do."""

from __future__ import annotations

import os
from pathlib import Path

from friction_tui.ui.dialogs.text_prompt import TextPrompt


def verdict(text: str) -> tuple[bool, str]:
    """Whether a file can be written there, and what that would mean, in words."""
    if not text.strip():
        return False, "type a path; Esc leaves without saving"
    path = Path(text).expanduser()
    if path.is_dir():
        return False, f"{path} is a directory: add a file name"
    if not path.parent.is_dir():
        return False, f"the directory {path.parent} does not exist"
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        return False, f"{path if path.exists() else path.parent} is not writable for you"
    if path.exists():
        return True, f"Enter replaces the {path.stat().st_size:,} bytes that are there"
    return True, "Enter writes a new file"


class PathPrompt(TextPrompt[Path]):
    """Dismissed with the path, or None."""

    def __init__(self, question: str, proposed: Path) -> None:
        super().__init__(question, str(proposed), _read)


def _read(text: str) -> tuple[Path | None, str]:
    good, said = verdict(text)
    return Path(text).expanduser() if good else None, said
