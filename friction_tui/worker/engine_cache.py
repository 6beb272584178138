"""Engines that were built before, by the content of all that makes them, and why there is none for a build.

A key is a digest of the model's bytes (weights in files beside it included), what it is built for, the engine's version
and, where an engine is built for the GPU it finds, that GPU. The engine's own digest is kept too: a damaged file is
built again.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from friction_tui.engines.base import Terms
from friction_tui.engines.nvidia import gpus
from friction_tui.files import whole, write_whole
from friction_tui.locations import cache_dir
from friction_tui.model.opened import OpenedModel
from friction_tui.vocabulary.protocol import BuildResult, EngineInfo
from friction_tui.vocabulary.recipe.builder_options import affecting_engine, checked, differences
from friction_tui.vocabulary.units import seconds_text

FORMAT = 1
"""Changes when the same key would stand for another engine."""
KEPT_BYTES = 20 * 10**9
"""Bytes of engines that are kept; those not used for longest go first."""
_NAMES = {
    "model": "the model's bytes",
    "plug-ins": "the plug-in libraries",
    "profiles": "the shape ranges",
    "typed": "how types are chosen",
}
"""What a part of the key is called when it differs; the others have their own name and their values shown."""

Parts = dict[str, Any]


class Kept(msgspec.Struct, frozen=True):
    """What is kept beside an engine: the parts of its key, where the model lay, the engine's digest, its build."""

    parts: dict[str, Any]
    path: str
    digest: str
    built: float
    result: BuildResult


def parts_of(base: OpenedModel, model: OpenedModel, terms: Terms, engine: EngineInfo) -> Parts:
    """All that makes the engine, as JSON. Reads the model's files whole. Raises OSError."""
    digest = hashlib.sha256()
    if model is base:
        _add(digest, base.path)
    else:
        digest.update(model.proto.SerializeToString(deterministic=True))
    for file in sorted({external.path for external in model.external}):
        _add(digest, Path(file))
    return {
        "format": FORMAT,
        "model": digest.hexdigest(),
        "profiles": [[dict(one.shapes), dict(one.values)] for one in terms.profiles],
        "target": terms.target,
        "precision": terms.precision,
        "typed": terms.typed,
        "options": affecting_engine(terms.options),
        "plug-ins": [digest for _, digest in terms.libraries],
        "engine": f"{engine.name} {engine.version}",
        "GPU": "" if engine.targets else ", ".join(gpus()),
    }


class EngineCache:
    """The engines kept in a folder. One that cannot be read or written is as good as empty."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or cache_dir() / "engines"

    def take(self, parts: Parts, plan: Path, path: Path) -> tuple[BuildResult | None, str]:
        """The build of an engine with these parts, its engine copied to `plan`; else None. And a sentence about it.

        `path` is where the model lies: of the engines that differ, those of the same model are compared first.
        """
        key = _key(parts)
        kept = self._read(self._folder / f"{key}.json")
        if kept is None:
            return None, self._why_not(parts, path)
        file = self._folder / f"{key}.plan"
        try:
            if _digest(file) != kept.digest:
                return None, "engine cache: the engine that is kept is damaged, so it is built again"
            shutil.copyfile(file, plan)
            file.touch()
        except OSError as error:
            return (
                None,
                f"engine cache: the engine that is kept cannot be read ({error.strerror}), so it is built again",
            )
        reused = f"built {_when(kept.built)} in {seconds_text(kept.result.seconds)}"
        result = msgspec.structs.replace(kept.result, engine_path=str(plan), reused=reused)
        return result, f"engine cache: taken, {reused}"

    def keep(self, parts: Parts, plan: Path, path: Path, result: BuildResult) -> str:
        """Keep the engine of a build that succeeded; a sentence about it."""
        key = _key(parts)
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with whole(self._folder / f"{key}.plan") as partial:
                shutil.copyfile(plan, partial)
            kept = Kept(parts, str(path.absolute()), _digest(plan), time.time(), result)
            write_whole(self._folder / f"{key}.json", msgspec.json.encode(kept))
            self._make_room()
        except OSError as error:
            return f"engine cache: the engine was not kept: {error.strerror or error}"
        return "engine cache: the engine is kept"

    def _why_not(self, parts: Parts, path: Path) -> str:
        """Which parts differ from the nearest engine that is kept: one of this model's path before others."""
        others = [kept for kept in map(self._read, self._folder.glob("*.json")) if kept is not None]
        here = str(path.absolute())
        same = [kept for kept in others if kept.path == here or kept.parts.get("model") == parts["model"]]
        if not same:
            return "engine cache: no engine of this model is kept yet"
        nearest = min(same, key=lambda kept: (len(list(_differing(kept.parts, parts))), -kept.built))
        differing = ", ".join(_differing(nearest.parts, parts))
        return f"engine cache: none fits; against the engine built {_when(nearest.built)} differ: {differing}"

    def _read(self, file: Path) -> Kept | None:
        try:
            return msgspec.json.decode(file.read_bytes(), type=Kept)
        except (OSError, msgspec.MsgspecError):
            return None

    def _make_room(self) -> None:
        plans = sorted(self._folder.glob("*.plan"), key=lambda file: -file.stat().st_mtime)
        total = 0
        for number, file in enumerate(plans):
            total += file.stat().st_size
            if number and total > KEPT_BYTES:
                file.unlink(missing_ok=True)
                file.with_suffix(".json").unlink(missing_ok=True)


def _differing(old: Mapping[str, Any], new: Parts) -> Iterator[str]:
    for name, value in new.items():
        before = old.get(name)
        if before == json.loads(json.dumps(value)):
            continue
        if name == "options":
            with contextlib.suppress(ValueError):
                yield from differences(checked(before or {}), value)
        elif name in _NAMES:
            yield _NAMES[name]
        else:
            yield f"{name} {before or 'default'} → {value or 'default'}"


def _key(parts: Parts) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:40]


def _digest(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _add(digest: Any, file: Path) -> None:
    """Add a file's content, with its length, so that two files are not taken for one. Raises OSError."""
    if not file.is_file():
        raise OSError(errno.EINVAL, "it is not a regular file", str(file))
    with file.open("rb") as stream:
        digest.update(file.stat().st_size.to_bytes(8, "little"))
        while chunk := stream.read(1 << 22):
            digest.update(chunk)


def _when(moment: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(moment))
