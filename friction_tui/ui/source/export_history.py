"""How long exports of a source took, kept between sessions so that a running one has an honest estimate."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from friction_tui.files import write_whole
from friction_tui.locations import state_dir
from friction_tui.state.app_state import PastExport
from friction_tui.vocabulary.recipe import Recipe

KEPT = 20
"""Exports remembered for one source."""


def file_of(recipe: Recipe) -> Path:
    """Where the exports of this source are kept; the same for `net.py:model` before and after it was understood."""
    source = recipe.source
    whole = str(Path(source.path).absolute()) + (f":{source.factory}" if source.factory else "")
    stem = Path(source.path.partition(":")[0]).stem or "model"
    return state_dir() / "exports" / f"{stem}-{hashlib.sha256(whole.encode()).hexdigest()[:8]}.json"


def load(path: Path) -> tuple[PastExport, ...]:
    """The exports kept in a file, oldest first; a missing or damaged file holds none, it is only an estimate."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=tuple[PastExport, ...])
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ()


def add(path: Path, past: PastExport) -> tuple[PastExport, ...]:
    """Remember one more; returns all that are kept. OSError where the state directory cannot be written."""
    kept = (*load(path), past)[-KEPT:]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, msgspec.json.encode(kept))
    return kept
