"""Leave to run code that comes with a model.

A Python file, a pickle, a TorchScript archive or a SavedModel is a program. It runs only after the user said yes,
and the yes holds for exactly these bytes at this place: it is kept as a SHA-256 in the user's state directory.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec
import platformdirs

from friction_tui.sources.local_imports import local_imports
from friction_tui.vocabulary.recipe import Source, SourceKind

_CODELESS = {SourceKind.ONNX, SourceKind.ENGINE, SourceKind.HUGGING_FACE}
"""Kinds that are data. A Hugging Face directory is opened without its own code and with `weights_only` loading."""


class _Store(msgspec.Struct):
    """What the consent file holds: SHA-256 to the path it was given for, which is for people to read.

    `imported` are the files that turned out to be imported when a source ran, by its path.
    """

    agreed: dict[str, str] = {}
    imported: dict[str, list[str]] = {}


_IMPORTED: dict[str, set[Path]] = {}
"""The same, found out in this process: the consent file may not be writable."""


def needs_consent(source: Source) -> bool:
    """Whether opening this source runs code that came with it."""
    return source.kind not in _CODELESS


def code_files(source: Source) -> tuple[Path, ...]:
    """The files whose bytes the consent is for, the named one first; empty when there is no such file or module.

    Of Python code these are the file, what it imports from its own project, and what it was seen to import.
    """
    path = Path(source.path)
    found = set(imported(source))
    if path.is_dir():
        return (*sorted(p for p in path.rglob("*") if p.is_file()), *(_beside(other, path) for other in sorted(found)))
    file = path if path.is_file() else module_file(source.path)
    if file is None:
        return ()
    for code in (file, *_packages_of(file), *imported(source)):
        found |= {code.resolve(), *local_imports(code)} if code.suffix == ".py" else set()
    return (file, *(_beside(other, file) for other in sorted(found - {file.resolve()})))


def _packages_of(file: Path) -> list[Path]:
    """The `__init__.py` of every package that the file lies in: Python runs them before the file."""
    found, folder = [], file.resolve().parent
    while (folder / "__init__.py").is_file():
        found.append(folder / "__init__.py")
        folder = folder.parent
    return found


def _beside(file: Path, first: Path) -> Path:
    """The path as the user wrote the first one: relative or absolute."""
    return file if first.is_absolute() else Path(os.path.relpath(file))


def imported(source: Source, store: Path | None = None) -> tuple[Path, ...]:
    """The files that were seen to be imported when the source ran, beyond those that its code names."""
    known = _read(store or consent_file()).imported.get(_key(source), [])
    found = {*map(Path, known), *_IMPORTED.get(_key(source), ())}
    return tuple(sorted(file for file in found if file.is_file()))


def also_imports(source: Source, files: Iterable[Path], store: Path | None = None) -> None:
    """Note files that the source imports, for this session and the next ones: its consent is for them too."""
    also_seen(source, map(str, files))
    known = _read(store or consent_file())
    known.imported[_key(source)] = [str(file) for file in imported(source, store)]
    with contextlib.suppress(OSError):  # then it is asked again in the next session
        _write(known, store or consent_file())


def also_seen(source: Source, files: Iterable[str]) -> None:
    """Note files that the source imports, for this process."""
    _IMPORTED.setdefault(_key(source), set()).update(map(Path, files))


def _key(source: Source) -> str:
    return str(Path(source.path).resolve()) if Path(source.path).exists() else source.path


def sha256_of(file: Path) -> bytes:
    """The SHA-256 of a file."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").digest()


def fingerprint(source: Source, read: Callable[[Path], bytes] = sha256_of) -> str:
    """SHA-256, in hex, of the source's files (contents and places) and its factory; "" when there are none.

    The factory is part of it: leave to call one function of a file is not leave to call another. `read` gives the
    SHA-256 of one file.
    """
    files = code_files(source)
    if not files:
        return ""
    digest = hashlib.sha256(source.factory.encode())
    for file in files:
        digest.update(b"\0" + os.fsencode(file.resolve()) + b"\0" + read(file))
    return digest.hexdigest()


def is_given(source: Source, read: Callable[[Path], bytes] = sha256_of) -> bool:
    """Whether the source itself carries consent for the bytes that are on disk now; `read` as for `fingerprint`."""
    return not needs_consent(source) or (bool(source.consent_hash) and source.consent_hash == fingerprint(source, read))


def remembered(source: Source, store: Path | None = None) -> bool:
    """Whether the user agreed to these bytes before, on this machine."""
    digest = fingerprint(source)
    return bool(digest) and digest in _read(store or consent_file()).agreed


def with_consent(source: Source) -> Source:
    """The source with consent for the bytes that are on disk now. Call only when the user said yes."""
    return msgspec.structs.replace(source, consent_hash=fingerprint(source))


def remember(source: Source, store: Path | None = None) -> None:
    """Keep the user's yes for these bytes."""
    file = store or consent_file()
    known = _read(file)
    known.agreed[fingerprint(source)] = str(Path(source.path).absolute()) if Path(source.path).exists() else source.path
    _write(known, file)


def _write(known: _Store, file: Path) -> None:
    """Replace the store. It is readable and writable by the user only."""
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_suffix(f".{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(msgspec.json.format(msgspec.json.encode(known)))
    fresh.replace(file)


def consent_file() -> Path:
    """Where consent is kept between sessions."""
    return platformdirs.user_state_path("friction-tui") / "consent.json"


def not_found(source: Source) -> tuple[str, str, str]:
    """What is not there, why, and what to do, for a source whose code no file holds."""
    first, _, rest = source.path.partition(".")
    packages = module_file(first) if rest else None
    why = f"{first} is at {packages}, and has no {rest}" if packages else "no module on the Python path has this name"
    searched = ", ".join(str(entry) for entry in dict.fromkeys(_searched()) if entry.is_dir())
    return (
        f"{source.path}:{source.factory}" if source.factory else source.path,
        f"{why} (searched: {searched})",
        "Check the name, start friction-tui in the project's folder, or name the file: path/to/model.py:factory.",
    )


def _searched() -> Iterable[Path]:
    return (Path.cwd(), *map(Path, filter(None, sys.path)))


def module_file(name: str) -> Path | None:
    """The file of an importable module, found by walking the Python path: importlib would run its parents."""
    relative = Path(*name.split("."))
    for entry in _searched():
        for candidate in (entry / relative.with_suffix(".py"), entry / relative / "__init__.py"):
            if candidate.is_file():
                return candidate
    return None


def _read(file: Path) -> _Store:
    """The store; an unreadable or damaged file counts as no consent at all."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=_Store)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _Store()
