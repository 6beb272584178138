"""Plug-in libraries that a recipe names: loading one runs its code, so somebody has to agree to exactly its bytes.

The agreement is a SHA-256 in the recipe. friction.toml never holds it: it belongs to one person.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from functools import lru_cache
from pathlib import Path

import msgspec

from friction_tui.vocabulary.recipe import Recipe

OPTION = "plugins"
"""The builder option that names them."""
Libraries = tuple[tuple[str, str], ...]
"""Libraries to load: the path and SHA-256 of each."""


def named(recipe: Recipe) -> tuple[str, ...]:
    """The paths that the recipe names."""
    paths = recipe.builder.get(OPTION, ())
    return paths if isinstance(paths, tuple) else ()


def digest(path: str) -> str:
    """The SHA-256 of a library, in hex. Raises OSError."""
    facts = Path(path).stat()
    if not stat.S_ISREG(facts.st_mode):  # a pipe may never end
        raise OSError(errno.EINVAL, "it is not a regular file", path)
    return _digest(path, facts.st_size, facts.st_mtime_ns)


@lru_cache(maxsize=64)
def _digest(path: str, size: int, changed: int) -> str:  # noqa: ARG001 - another size or time is another file
    with open(os.fspath(path), "rb") as stream:  # noqa: PTH123
        return hashlib.file_digest(stream, "sha256").hexdigest()


def agreed(recipe: Recipe) -> Libraries:
    """The libraries that may be loaded: those that can be read and whose bytes somebody agreed to."""
    found = []
    for path in named(recipe):
        try:
            found.append((path, digest(path)))
        except OSError:
            continue
    return tuple(one for one in found if one[1] in recipe.plugins_agreed)


def not_agreed(recipe: Recipe) -> dict[str, str]:
    """Why libraries that the recipe names are not loaded, by path."""
    found = {}
    for path in named(recipe):
        try:
            if digest(path) not in recipe.plugins_agreed:
                found[path] = "nobody agreed that its code runs"
        except OSError as error:
            found[path] = f"it cannot be read: {error.strerror}"
    return found


def with_agreement(recipe: Recipe) -> Recipe:
    """The recipe with an agreement to the libraries as they are now. Call only when the user said yes."""
    found = []
    for path in named(recipe):
        try:
            found.append(digest(path))
        except OSError:
            continue
    return msgspec.structs.replace(recipe, plugins_agreed=tuple(found))
