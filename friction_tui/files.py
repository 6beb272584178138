"""Files of the user's: written whole or not at all, read within bounds, and TOML with errors that name the line."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

_Read = TypeVar("_Read")


LARGEST = 1 << 26
"""Bytes of a text file that a person or this program wrote; settings and baselines are far smaller."""


class BadFile(Exception):
    """A file that does not hold what it should. The text says where in it and what, without the file's name."""


@contextlib.contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` to write to; it takes the place of `path` at the end, or is removed on an error.

    What is not a regular file, such as /dev/stdout, is written to directly. Raises OSError.
    """
    try:
        special = not stat.S_ISREG(path.stat().st_mode)
    except FileNotFoundError:
        special = False
    if special:
        yield path
        return
    target = path.resolve()  # a link stays one
    partial = target.with_name(f".friction-tui-{os.getpid()}.partial")
    try:
        yield partial
        partial.replace(target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def write_whole(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all, and wait until it is on the disk. Raises OSError."""
    with whole(path) as partial, partial.open("wb") as stream:
        stream.write(content)
        stream.flush()
        if stat.S_ISREG(os.fstat(stream.fileno()).st_mode):  # a device has nothing to wait for
            os.fsync(stream.fileno())


def read_whole(path: Path, most: int = LARGEST) -> bytes:
    """The content of a regular file of at most `most` bytes.

    Raises OSError, also for anything else: a pipe may never end, and opening one may wait for ever.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as stream:
        kind = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(kind):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(kind):
            raise OSError(errno.EINVAL, "it is not a regular file; save what it gives as one first", str(path))
        content = stream.read(most + 1)
    if len(content) > most:
        raise OSError(errno.EFBIG, f"it is larger than {most:,} bytes", str(path))
    return content


def read_toml(content: bytes, kind: type[_Read]) -> _Read:
    """The content of a TOML file as `kind`. Raises BadFile."""
    try:
        return msgspec.toml.decode(content, type=kind)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise BadFile(f"line {line}: byte 0x{content[error.start]:02x} is not UTF-8 text") from None
    except RecursionError:
        raise BadFile("its values are nested too deep") from None
    except (msgspec.DecodeError, ValueError, OverflowError) as error:
        raise BadFile(str(error)) from None
