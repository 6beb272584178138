"""Saved sessions: the recipe, and where the user was looking. TOML that a person can read and edit."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import msgspec

from friction_tui.files import BadFile, read_toml, write_whole
from friction_tui.locations import sessions_dir
from friction_tui.vocabulary.recipe import Profile, Recipe

FORMAT = 1
RECENT = 8


class SavedSession(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a session file holds. `saved` in seconds since the epoch; `open_folds` are graph scopes shown open."""

    format: int
    saved: float
    recipe: Recipe
    open_folds: tuple[str, ...] = ()
    cursor: str = ""
    """Path of the graph item under the cursor."""
    panel: str = ""
    no_profile: bool = False
    """The recipe deliberately has no profile. TOML knows no null, so `recipe` cannot say it."""


class BrokenSessionError(Exception):
    """A session file that cannot be read: which, why, and what to do."""


def session_file(recipe: Recipe) -> Path:
    """Where the session of this source is kept: its name, and a hash of its full path to tell namesakes apart."""
    full = str(Path(recipe.source.path).absolute()) + recipe.source.factory
    stem = Path(recipe.source.path).stem or "model"
    return sessions_dir() / f"{stem}-{hashlib.sha256(full.encode()).hexdigest()[:8]}.toml"


def save(session: SavedSession, path: Path | None = None) -> Path:
    """Write a session, whole or not at all; returns where."""
    path = path or session_file(session.recipe)
    path.parent.mkdir(parents=True, exist_ok=True)
    if session.recipe.profile is None:
        recipe = msgspec.structs.replace(session.recipe, profile=Profile())
        session = msgspec.structs.replace(session, recipe=recipe, no_profile=True)
    write_whole(path, msgspec.toml.encode(session))
    return path


def load(path: Path) -> SavedSession:
    """Read a session file. BrokenSessionError says what is wrong with one that is none."""
    try:
        session = read_toml(path.read_bytes(), SavedSession)
    except (OSError, BadFile) as error:
        raise BrokenSessionError(
            f"{path} is not a session file: {error}. Delete it, or open the model itself."
        ) from error
    if session.format > FORMAT:
        raise BrokenSessionError(
            f"{path} was written by a newer friction-tui (format {session.format}). Upgrade to open it."
        )
    if session.no_profile:
        return msgspec.structs.replace(session, recipe=msgspec.structs.replace(session.recipe, profile=None))
    return session


def recent() -> list[tuple[Path, SavedSession]]:
    """The sessions saved last, newest first; files that cannot be read are left out."""
    found: list[tuple[Path, SavedSession]] = []
    for path in sessions_dir().glob("*.toml"):
        try:
            found.append((path, load(path)))
        except BrokenSessionError:
            continue
    found.sort(key=lambda item: item[1].saved, reverse=True)
    return found[:RECENT]


def new(recipe: Recipe, open_folds: tuple[str, ...], cursor: str, panel: str) -> SavedSession:
    """A session as of now. Its source is found again from any directory."""
    path = Path(recipe.source.path)
    if path.exists():
        source = msgspec.structs.replace(recipe.source, path=str(path.absolute()))
        recipe = msgspec.structs.replace(recipe, source=source)
    return SavedSession(
        format=FORMAT, saved=time.time(), recipe=recipe, open_folds=open_folds, cursor=cursor, panel=panel
    )
