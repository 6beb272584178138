"""Which shared libraries a native file needs and which of them are not there: what `ldd` says, without running it.

`ldd` executes the loader of the file it looks at and is missing in slim images. The dynamic section says the
same: ELF-64, https://refspecs.linuxfoundation.org/elf/gabi4+/ch5.dynamic.html
"""

from __future__ import annotations

import os
import struct
import sysconfig
from functools import lru_cache
from pathlib import Path

from friction_tui.processes.child import run

_DT_NEEDED, _DT_STRTAB, _DT_RPATH, _DT_RUNPATH = 1, 5, 15, 29
_PT_LOAD, _PT_DYNAMIC = 1, 2
_SYSTEM_FOLDERS = ("/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib64", "/usr/lib64", "/lib", "/usr/lib")


def missing_libraries(path: Path) -> tuple[str, ...]:
    """Names of the libraries `path` needs and the loader would not find; () too for what is no ELF file."""
    needed, run_paths = needed_libraries(path)
    folders = [Path(entry.replace("$ORIGIN", str(path.parent))) for entry in run_paths]
    folders += [Path(entry) for entry in os.environ.get("LD_LIBRARY_PATH", "").split(":") if entry]
    folders += [Path(entry) for entry in _SYSTEM_FOLDERS]
    return tuple(name for name in needed if not any((f / name).exists() for f in folders) and name not in _cache())


def wheel_libraries(name: str) -> Path | None:
    """Where an NVIDIA wheel of this environment keeps a library, None if none has it.

    The loader does not look there by itself: whoever wants it must load it first (onnxruntime.preload_dlls()).
    """
    home = Path(sysconfig.get_path("purelib"))
    return next((found for pattern in ("nvidia/*/lib", "*_libs") for found in home.glob(f"{pattern}/{name}")), None)


def needed_libraries(path: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(DT_NEEDED names, RPATH and RUNPATH entries) of an ELF-64 little-endian file; empty for any other file."""
    try:
        with path.open("rb") as stream:
            head = stream.read(64)
            if head[:6] != b"\x7fELF\x02\x01":
                return (), ()
            offset, size, count = struct.unpack_from("<Q", head, 32)[0], *struct.unpack_from("<HH", head, 54)
            stream.seek(offset)
            table = stream.read(size * count)
            segments = [struct.unpack_from("<IIQQQQ", table, at) for at in range(0, len(table), size)]
            dynamic = next((s for s in segments if s[0] == _PT_DYNAMIC), None)
            if dynamic is None:
                return (), ()
            stream.seek(dynamic[2])
            entries = list(struct.iter_unpack("<QQ", stream.read(dynamic[5])))
            strings = dict(entries).get(_DT_STRTAB, 0)
            base = next(
                (s[2] + strings - s[3] for s in segments if s[0] == _PT_LOAD and s[3] <= strings < s[3] + s[5]), None
            )
            if base is None:
                return (), ()

            def text(at: int) -> str:
                stream.seek(base + at)
                return stream.read(4096).split(b"\0", 1)[0].decode(errors="replace")

            needed = tuple(text(value) for tag, value in entries if tag == _DT_NEEDED)
            paths = [text(value) for tag, value in entries if tag in (_DT_RPATH, _DT_RUNPATH)]
            return needed, tuple(entry for joined in paths for entry in joined.split(":") if entry)
    except (OSError, struct.error, ValueError):
        return (), ()


@lru_cache(maxsize=1)
def _cache() -> frozenset[str]:
    """What the loader's own cache knows."""
    for tool in ("/sbin/ldconfig", "/usr/sbin/ldconfig"):
        try:
            printed = run([tool, "-p"], limit_s=10).out.decode(errors="replace")
        except OSError:
            continue
        return frozenset(line.split()[0] for line in printed.splitlines()[1:] if line.strip())
    return frozenset()
