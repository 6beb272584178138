"""Files that terminals have sent to this machine: private, found by their content, bounded in size.

A parcel lies in a folder that is called by its key. Its bytes come in their order, so that a transfer that was cut goes
on where it ended; it is used once all of them were read back and have the hash that its key says.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from friction_tui.locations import cache_dir
from friction_tui.processes import locks, private
from friction_tui.vocabulary.protocol.line import Offer, Offered, Part, layout

MOST = 32 << 30
"""Bytes that all parcels together may take; the ones used longest ago go first."""
MOST_PARTS = 10_000
_DONE, _WHOLE = ".done", ".whole"
_BLOCK = 1 << 20


class Store:
    """The parcels of this account. What this process uses is locked: no other one removes it."""

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder or cache_dir() / "sent"
        self._offers: dict[str, Offer] = {}
        self._locks: dict[str, int] = {}
        self._done: dict[str, int] = {}

    def take(self, offer: Offer) -> Offered:
        """A terminal offers a parcel: how much of it is there."""
        why = _wrong(offer)
        if why:
            return Offered(key=offer.key, why_not=why)
        try:
            folder = private.made(private.made(self._folder) / offer.key)
            whole = (folder / _WHOLE).exists()
            if offer.key not in self._locks:
                lock = locks.take(folder / ".lock", shared=whole)
                if lock is None:
                    return Offered(key=offer.key, why_not="another session of yours receives it", busy=True)
                self._locks[offer.key] = lock
            self._offers[offer.key] = offer
            os.utime(folder)
            if whole:
                return Offered(key=offer.key, done=offer.length, path=str(_place(folder, offer.parts[0])))
            self._make_room(offer)
            with contextlib.suppress(OSError, ValueError):
                self._done[offer.key] = min(int((folder / _DONE).read_text()), offer.length)
        except (OSError, private.NotPrivate) as error:
            return Offered(key=offer.key, why_not=str(error))
        return Offered(key=offer.key, done=self._done.setdefault(offer.key, 0))

    def length(self, key: str) -> int:
        """Bytes of a parcel that was offered."""
        return self._offers[key].length

    def put(self, key: str, offset: int, content: bytes) -> Offered:
        """Write a piece that begins where the one before ended; any other changes nothing."""
        offer, done = self._offers.get(key), self._done.get(key, 0)
        if offer is None or offset + len(content) > offer.length:
            return Offered(key=key, why_not="it was not offered")
        if offset != done:
            return Offered(key=key, done=done)
        folder = self._folder / key
        try:
            for part, at, start, size in _spans(offer.parts, offset, len(content)):
                place = _place(folder, part)
                place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                descriptor = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
                try:
                    os.pwrite(descriptor, content[start : start + size], at)
                finally:
                    os.close(descriptor)
            self._done[key] = done + len(content)
            (folder / _DONE).write_text(str(self._done[key]))
        except OSError as error:
            return Offered(key=key, done=done, why_not=str(error))
        return Offered(key=key, done=self._done[key])

    def whole(self, key: str) -> Offered:
        """Read a parcel back that has come to its end, and let it be used if it is what was offered."""
        offer, folder = self._offers[key], self._folder / key
        digest = hashlib.sha256()
        try:
            for part in offer.parts:
                place = _place(folder, part)
                place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                with place.open("ab") as file:
                    file.truncate(part.size)
                with place.open("rb") as file:
                    for at, length in part.segments:
                        for block in _blocks(file.fileno(), at, length):
                            digest.update(block)
            digest.update(layout(offer.parts))
            if digest.hexdigest() != key:
                shutil.rmtree(folder, ignore_errors=True)
                self._forget(key)
                return Offered(key=key, why_not="what came is not what was sent; it is sent again on the next attempt")
            (folder / _WHOLE).touch()
            (folder / _DONE).unlink(missing_ok=True)
            locks.share(self._locks[key])  # from now on it is only read
        except OSError as error:
            return Offered(key=key, why_not=str(error))
        return Offered(key=key, done=offer.length, path=str(_place(folder, offer.parts[0])))

    def pause(self) -> None:
        """Nobody sends any more: let others receive what is not whole."""
        for key in list(self._locks):
            if not (self._folder / key / _WHOLE).exists():
                self._forget(key)

    def close(self) -> None:
        """Let others have what this process used."""
        for key in list(self._locks):
            self._forget(key)

    def _forget(self, key: str) -> None:
        self._offers.pop(key, None)
        self._done.pop(key, None)
        lock = self._locks.pop(key, None)
        if lock is not None:
            os.close(lock)

    def _make_room(self, offer: Offer) -> None:
        """Remove what was used longest ago until the parcel fits. Raises OSError when it cannot."""
        if offer.length > MOST:
            raise OSError(f"it has {offer.length:,} bytes, and at most {MOST:,} are kept")
        others = sorted((p for p in self._folder.iterdir() if p.name != offer.key), key=lambda p: p.stat().st_mtime)
        taken = {place: _disk_usage(place) for place in others}
        free = shutil.disk_usage(self._folder).free
        for place in others:
            if sum(taken.values()) + offer.length <= MOST and free > offer.length:
                break
            with contextlib.suppress(OSError):
                lock = locks.take(place / ".lock")
                if lock is None:
                    continue
                shutil.rmtree(place, ignore_errors=True)
                os.close(lock)
                free += taken.pop(place)
        if free <= offer.length:
            raise OSError(f"there are {free:,} bytes free on the disk, and it has {offer.length:,}")


def _wrong(offer: Offer) -> str:
    """Why a parcel is not one, "" when it is: its names stay in its folder, its segments in its files."""
    if len(offer.key) != 64 or not set(offer.key) <= set("0123456789abcdef"):
        return "its key is none"
    if not offer.parts or len(offer.parts) > MOST_PARTS:
        return "it has no file, or too many"
    for part in offer.parts:
        name = PurePosixPath(part.name)
        if name.is_absolute() or not name.parts or ".." in name.parts or name.parts[0].startswith("."):
            return f"the name {part.name!r} would not stay in its folder"
        end = 0
        for at, length in part.segments:
            if at < end or length < 0 or at + length > part.size:
                return f"the segments of {part.name} are none"
            end = at + length
    return ""


def _place(folder: Path, part: Part) -> Path:
    return folder / "files" / part.name


def _spans(parts: tuple[Part, ...], offset: int, size: int) -> Iterator[tuple[Part, int, int, int]]:
    """Where a piece of the stream goes: (part, offset in its file, offset in the piece, bytes)."""
    stream = 0
    for part in parts:
        for at, length in part.segments:
            first, last = max(offset, stream), min(offset + size, stream + length)
            if first < last:
                yield part, at + first - stream, first - offset, last - first
            stream += length


def _blocks(descriptor: int, at: int, length: int) -> Iterator[bytes]:
    end = at + length
    while at < end:
        block = os.pread(descriptor, min(_BLOCK, end - at), at)
        if not block:
            return
        at += len(block)
        yield block


def _disk_usage(folder: Path) -> int:
    return sum(file.lstat().st_blocks * 512 for file in folder.rglob("*") if file.is_file())


def key_of(offer_parts: tuple[Part, ...], folder: Path) -> str:
    """The key of files that lie in `folder`. Raises OSError where one cannot be read or is shorter than it was."""
    digest = hashlib.sha256()
    for part in offer_parts:
        with (folder / part.name).open("rb") as file:
            for at, length in part.segments:
                read = 0
                for block in _blocks(file.fileno(), at, length):
                    digest.update(block)
                    read += len(block)
                if read != length:
                    raise OSError(f"{part.name} has become shorter")
    digest.update(layout(offer_parts))
    return digest.hexdigest()


def read_span(parts: tuple[Part, ...], folder: Path, offset: int, size: int) -> bytes:
    """A piece of the stream of files that lie in `folder`. Raises OSError."""
    pieces = []
    for part, at, _, length in _spans(parts, offset, size):
        with (folder / part.name).open("rb") as file:
            pieces.append(os.pread(file.fileno(), length, at))
    return b"".join(pieces)
