"""Leave to run code that comes with a model.

A Python file, a pickle, a TorchScript archive or a SavedModel is a program. It runs only after the user said yes,
and the yes holds for exactly these bytes: it is kept as a SHA-256 in the user's state directory.
"""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path

import msgspec
import platformdirs

from friction_tui.sources.local_imports import local_imports
from friction_tui.vocabulary.recipe import Source, SourceKind

_CODELESS = {SourceKind.ONNX, SourceKind.ENGINE, SourceKind.HUGGING_FACE}
"""Kinds that are data. A Hugging Face directory is opened without its own code and with `weights_only` loading."""


class _Store(msgspec.Struct):
    """What the consent file holds: SHA-256 to the path it was given for, which is for people to read."""

    agreed: dict[str, str] = {}


def needs_consent(source: Source) -> bool:
    """Whether opening this source runs code that came with it."""
    return source.kind not in _CODELESS


def code_files(source: Source) -> tuple[Path, ...]:
    """The files whose bytes the consent is for, the named one first; empty when there is no such file or module.

    Of Python code these are the file and what it imports from its own project.
    """
    path = Path(source.path)
    if path.is_dir():
        return tuple(sorted(p for p in path.rglob("*") if p.is_file()))
    file = path if path.is_file() else module_file(source.path)
    if file is None:
        return ()
    if file.suffix != ".py":
        return (file,)
    others = (other for other in local_imports(file) if other != file.resolve())
    return (file, *(other if file.is_absolute() else Path(os.path.relpath(other)) for other in others))


def fingerprint(source: Source) -> str:
    """SHA-256, in hex, of the source's files (contents and relative names) and its factory; "" when there are none.

    The factory is part of it: leave to call one function of a file is not leave to call another.
    """
    files = code_files(source)
    if not files:
        return ""
    digest = hashlib.sha256(source.factory.encode())
    root = Path(source.path) if Path(source.path).is_dir() else files[0].resolve().parent
    for file in files:
        name = os.path.relpath(file.resolve(), root.resolve())
        with file.open("rb") as stream:
            digest.update(f"\0{name}\0".encode() + hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()


def is_given(source: Source) -> bool:
    """Whether the source itself carries consent for the bytes that are on disk now."""
    return not needs_consent(source) or (bool(source.consent_hash) and source.consent_hash == fingerprint(source))


def remembered(source: Source, store: Path | None = None) -> bool:
    """Whether the user agreed to these bytes before, on this machine."""
    digest = fingerprint(source)
    return bool(digest) and digest in _read(store or consent_file()).agreed


def with_consent(source: Source) -> Source:
    """The source with consent for the bytes that are on disk now. Call only when the user said yes."""
    return msgspec.structs.replace(source, consent_hash=fingerprint(source))


def remember(source: Source, store: Path | None = None) -> None:
    """Keep the user's yes for these bytes. The file is readable and writable by the user only."""
    file = store or consent_file()
    known = _read(file)
    known.agreed[fingerprint(source)] = str(Path(source.path).absolute()) if Path(source.path).exists() else source.path
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_suffix(f".{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(msgspec.json.format(msgspec.json.encode(known)))
    fresh.replace(file)


def consent_file() -> Path:
    """Where consent is kept between sessions."""
    return platformdirs.user_state_path("friction-tui") / "consent.json"


def module_file(name: str) -> Path | None:
    """The file of an importable module, found by walking the Python path: importlib would run its parents."""
    relative = Path(*name.split("."))
    for entry in (str(Path.cwd()), *sys.path):
        for candidate in (Path(entry) / relative.with_suffix(".py"), Path(entry) / relative / "__init__.py"):
            if candidate.is_file():
                return candidate
    return None


def _read(file: Path) -> _Store:
    """The store; an unreadable or damaged file counts as no consent at all."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=_Store)
    except (OSError, msgspec.DecodeError):
        return _Store()
