"""Saved sessions: the recipe with its edits, and where the user was looking. TOML that a person can read and edit.

Every session has a file of its own, so that no session replaces another; of one source the last `KEPT` that were edited
are kept, and the last that was not.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TypeAlias

import msgspec

from friction_tui.files import BadFile, read_toml, read_whole, write_whole
from friction_tui.locations import sessions_dir
from friction_tui.processes import locks
from friction_tui.vocabulary.recipe import History, Profile, Recipe

FORMAT = 2
RECENT = 8
KEPT = 10
"""Edited sessions that are kept of one source."""
SUFFIX = ".session.toml"


class Step(msgspec.Struct, frozen=True, omit_defaults=True):
    """A recipe before or after the present one."""

    recipe: Recipe
    no_profile: bool = False
    """The recipe deliberately has no profile. TOML knows no null, so `recipe` cannot say it."""


class SavedSession(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a session file holds. `saved` in seconds since the epoch; `open_folds` are graph scopes shown open."""

    format: int
    saved: float
    recipe: Recipe
    open_folds: tuple[str, ...] = ()
    cursor: str = ""
    """Path of the graph item under the cursor."""
    nodes: dict[str, str] = {}
    """`Op name` of the item at each path of `cursor` and `open_folds`: what is found again after another export."""
    panel: str = ""
    verdict: str = ""
    """What was known of the recipe when this was written, in words; empty where it was still being judged."""
    no_profile: bool = False
    """As that of a `Step`."""
    running: bool = False
    """Whether the app had not ended when this was written."""
    unsaved: int = 0
    """Edits since the user last saved, or since the session began."""
    past: tuple[Step, ...] = ()
    future: tuple[Step, ...] = ()
    outcomes: tuple[str, ...] = ()
    """What the edit that leads to each step but the first came to, in words; empty where it was not judged."""

    @property
    def edits(self) -> int:
        """Edits that can be undone."""
        return len(self.past)

    @property
    def history(self) -> History:
        """The recipe with its past and future."""
        return History(
            self.recipe, tuple(step.recipe for step in self.past), tuple(step.recipe for step in self.future)
        )


Found: TypeAlias = tuple[Path, SavedSession]
"""A session and the file it was read from."""


class BrokenSessionError(Exception):
    """A session file that cannot be read: which, why, and what to do."""


def stem_of(recipe: Recipe) -> str:
    """How the session files of this source begin: its name, and a hash of its full path to tell namesakes apart.

    The same for `net.py:model` before and after it was understood.
    """
    source = recipe.source
    full = str(Path(source.path).absolute()) + (f":{source.factory}" if source.factory else "")
    stem = Path(source.path.partition(":")[0]).stem or "model"
    return f"{stem}-{hashlib.sha256(full.encode(errors='surrogateescape')).hexdigest()[:8]}"


def is_session(path: Path) -> bool:
    """Whether this is to be opened as a session and not as a model."""
    return path.suffix == ".toml"


def save(session: SavedSession, path: Path | None = None) -> Path:
    """Write a session, whole or not at all, and wait until it is on the disk; returns where."""
    path = path or free_file(session.recipe)
    path.parent.mkdir(parents=True, exist_ok=True)
    now = _plain(Step(session.recipe))
    session = msgspec.structs.replace(
        session,
        recipe=now.recipe,
        no_profile=now.no_profile,
        past=tuple(map(_plain, session.past)),
        future=tuple(map(_plain, session.future)),
    )
    write_whole(path, msgspec.toml.encode(session))
    return path


def load(path: Path) -> SavedSession:
    """Read a session file. BrokenSessionError says what is wrong with one that is none."""
    try:
        session = read_toml(read_whole(path), SavedSession)
    except (OSError, BadFile) as error:
        raise BrokenSessionError(
            f"{path} is not a session file: {error}. Delete it, or open the model itself."
        ) from error
    if session.format > FORMAT:
        raise BrokenSessionError(
            f"{path} was written by a newer friction-tui (format {session.format}). Upgrade to open it."
        )
    now = _whole(Step(session.recipe, session.no_profile))
    return msgspec.structs.replace(
        session,
        recipe=now.recipe,
        no_profile=False,
        past=tuple(map(_whole, session.past)),
        future=tuple(map(_whole, session.future)),
    )


def _plain(step: Step) -> Step:
    """As TOML can say it."""
    if step.recipe.profile is not None:
        return step
    return Step(msgspec.structs.replace(step.recipe, profile=Profile()), no_profile=True)


def _whole(step: Step) -> Step:
    """As it was, but for agreements to load plug-in libraries: a file may come from somebody else."""
    recipe = msgspec.structs.replace(step.recipe, plugins_agreed=())
    return Step(msgspec.structs.replace(recipe, profile=None) if step.no_profile else recipe)


def lock_file(path: Path) -> Path:
    """What is locked while an app writes the session at `path`."""
    return path.with_name(f".{path.name.removesuffix('.toml')}.lock")


def free_file(recipe: Recipe) -> Path:
    """Where a new session of this source is kept."""
    stem = stem_of(recipe)
    taken = [0, *(_number(path, stem) for path in sessions_dir().glob(f"{stem}-*{SUFFIX}"))]
    return sessions_dir() / f"{stem}-{max(taken) + 1:03}{SUFFIX}"


def _number(path: Path, stem: str) -> int:
    number = path.name.removeprefix(f"{stem}-").removesuffix(SUFFIX)
    return int(number) if number.isdecimal() else 0


def recent() -> list[Found]:
    """The sessions saved last, the last of each source, newest first; files that cannot be read are left out."""
    found: dict[str, Found] = {}
    for path, session in _newest_first("*.toml"):
        known = found.setdefault(stem_of(session.recipe), (path, session))
        if session.past and not known[1].past:
            found[stem_of(session.recipe)] = (path, session)
    return list(found.values())[:RECENT]


def of_source(recipe: Recipe) -> list[Found]:
    """The edited sessions of a source that no running app has open, newest first."""
    return [
        (path, session)
        for path, session in _newest_first(f"{stem_of(recipe)}*.toml")
        if session.past and not locks.held(lock_file(path))
    ]


def to_resume(recipe: Recipe | None) -> Found | None:
    """The session that was saved last: of one source, or of all; an edited one if there is any."""
    pattern = f"{stem_of(recipe)}*.toml" if recipe is not None else "*.toml"
    free = [(path, session) for path, session in _newest_first(pattern) if not locks.held(lock_file(path))]
    return next((found for found in free if found[1].past), next(iter(free), None))


def _newest_first(pattern: str) -> list[Found]:
    return sorted(_readable(pattern), key=lambda item: (item[1].saved, item[0].name), reverse=True)


def _readable(pattern: str) -> Iterator[Found]:
    for path in sessions_dir().glob(pattern):
        with contextlib.suppress(BrokenSessionError):
            yield path, load(path)


def forget_oldest(recipe: Recipe) -> None:
    """Remove what is more of a source than is kept; never what a running app has open."""
    found = _newest_first(f"{stem_of(recipe)}*.toml")
    edited = [path for path, session in found if session.past or session.future]
    unedited = [path for path, session in found if not (session.past or session.future)]
    for path in (one for one in (*edited[KEPT:], *unedited[1:]) if not locks.held(lock_file(one))):
        for file in (path, lock_file(path)):
            with contextlib.suppress(OSError):
                file.unlink(missing_ok=True)


def new(recipe: Recipe, open_folds: tuple[str, ...], cursor: str, panel: str) -> SavedSession:
    """A session as of now. Its source is found again from any directory."""
    return SavedSession(
        format=FORMAT, saved=time.time(), recipe=found_again(recipe), open_folds=open_folds, cursor=cursor, panel=panel
    )


def found_again(recipe: Recipe) -> Recipe:
    """The recipe with the full path of its source, if that is a file."""
    path = Path(recipe.source.path)
    if not path.exists():
        return recipe
    return msgspec.structs.replace(recipe, source=msgspec.structs.replace(recipe.source, path=str(path.absolute())))


def ago(seconds: float) -> str:
    """`just now`, `5 minutes ago`, `1 day ago`."""
    if seconds < 60:
        return "just now"
    size, unit = next(item for item in ((86400, "day"), (3600, "hour"), (60, "minute")) if seconds >= item[0])
    count = int(seconds // size)
    return f"{count} {unit}{'s' if count != 1 else ''} ago"


def edits_text(count: int) -> str:
    """`3 edits`, `1 edit`, `no edits`."""
    return f"{count or 'no'} edit{'s' if count != 1 else ''}"
