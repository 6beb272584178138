"""Runs a project's code as it was agreed to: the very bytes that were hashed, and no other file of the project.

Python reads a module again when it imports it, and prefers a compiled copy that nobody looked at. So the loaders of the
export process take a project's code from memory. Code that the project imports though it is not part of what was agreed
to is not run but noted. What agreed code reads as text and executes by itself is a part of what was agreed to.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import io
import linecache
import marshal
import os
import shutil
import sys
import sysconfig
import tempfile
from importlib.machinery import ExtensionFileLoader, SourceFileLoader, SourcelessFileLoader
from pathlib import Path
from types import CodeType, FrameType, ModuleType
from typing import Any
from zipimport import zipimporter

from friction_tui.sources.watch import is_installed, is_own, project_root

_CODE = (".py", ".pyc", ".so", ".zip", ".egg", ".whl")
_GENERATED = "__autograph_generated_file"
"""How the files are called that TensorFlow writes to the temporary directory, and imports, while it traces."""


class NotAgreed(BaseException):
    """The project's code imports a file that was not agreed to. Not an Exception: no handler of that code stops it."""


class Agreed:
    """What was agreed to, held where nobody can change it: code in memory, other files in a folder of our own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._code: dict[Path, bytes] = {}
        self._copies: dict[Path, Path] = {}
        self._roots: set[Path] = set()
        self._installed: frozenset[str] = frozenset()
        self._packages: frozenset[Path] = frozenset()
        self._generated_before: frozenset[Path] = frozenset()
        self._refused: dict[Path, bool] = {}

    def take(self, file: Path, inside: Path | None = None) -> bytes:
        """Hold a file; returns its SHA-256. `inside` is the directory that is the model, when it is one."""
        if file.suffix in _CODE:
            data = self._code[file.resolve()] = file.read_bytes()
            return hashlib.sha256(data).digest()
        copy = self._folder / (file.relative_to(inside.parent) if inside else file.name)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, copy)
        self._copies[file.absolute()] = copy
        if inside is not None:
            self._copies[inside.absolute()] = self._folder / inside.name
        with copy.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").digest()

    def place(self, path: Path) -> Path:
        """Where to load a file or directory from that is not Python code."""
        return self._copies.get(path.absolute(), path)

    def close(self) -> None:
        """Remove the copies."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def refused(self, *, failed: bool) -> tuple[Path, ...]:
        """The files that have to be agreed to as well.

        That an installed package looks for a module that is not its own counts only when the export `failed`: packages
        try out what there is.
        """
        return tuple(sorted(file for file, by_project in self._refused.items() if by_project or failed))

    def enforce(self) -> None:
        """From here on the import system gives a project's code from memory, or not at all."""
        self._installed = frozenset(sys.path)
        packages = (*filter(lambda entry: is_installed(Path(entry)), sys.path), sysconfig.get_path("stdlib"))
        self._packages = frozenset(Path(entry).resolve() for entry in packages)
        self._generated_before = frozenset(Path(tempfile.gettempdir()).glob(f"{_GENERATED}*"))
        self._roots = {project_root(file) for file in self._code} | {file.parent for file in self._code}
        for file, data in self._code.items():  # torch compiles, and findings quote, what linecache has
            lines = data.decode(errors="replace").splitlines(keepends=True)
            linecache.cache[str(file)] = (len(data), None, lines, str(file))
        of_source, of_compiled = SourceFileLoader.get_code, SourcelessFileLoader.get_code
        extension, open_code = ExtensionFileLoader.create_module, io.open_code
        in_archive, load_from_archive = zipimporter.get_code, zipimporter.load_module

        def source_code(loader: SourceFileLoader, name: str) -> CodeType | None:
            path = loader.get_filename(name)
            data = self._bytes(path)
            return of_source(loader, name) if data is None else loader.source_to_code(data, path)

        def compiled_code(loader: SourcelessFileLoader, name: str) -> CodeType | None:
            data = self._bytes(loader.get_filename(name))
            if data is None:
                return of_compiled(loader, name)
            if data[:4] != importlib.util.MAGIC_NUMBER:
                raise ImportError(f"{loader.path} was compiled by another Python", name=name, path=loader.path)
            code: CodeType = marshal.loads(data[16:])
            return code

        def native_module(loader: ExtensionFileLoader, spec: Any) -> Any:
            self._unchanged(loader.path)
            return extension(loader, spec)

        def archive_code(archive: zipimporter, name: str) -> CodeType:
            self._unchanged(archive.archive)
            return in_archive(archive, name)

        def archive_module(archive: zipimporter, name: str) -> ModuleType:
            self._unchanged(archive.archive)
            return load_from_archive(archive, name)

        def opened(path: str) -> Any:
            data = self._bytes(path)
            return open_code(path) if data is None else io.BytesIO(data)

        for owner, attribute, function in (
            (SourceFileLoader, "get_code", source_code),
            (SourcelessFileLoader, "get_code", compiled_code),
            (ExtensionFileLoader, "create_module", native_module),
            (zipimporter, "get_code", archive_code),
            (zipimporter, "load_module", archive_module),
            (io, "open_code", opened),
        ):
            setattr(owner, attribute, function)

    def _unchanged(self, name: str) -> None:
        """Check a file that only Python itself can load: it may run if it was agreed to and is the same still.

        Raises what `_bytes` raises, and ImportError for another content.
        """
        data = self._bytes(name)
        if data is not None and Path(name).read_bytes() != data:
            raise ImportError(f"{name} was changed meanwhile", path=name)

    def _bytes(self, name: str) -> bytes | None:
        """The bytes to run for a file of the project, None for one that is none of it.

        Raises NotAgreed, or ImportError where an installed package asks, for a file that was not agreed to.
        """
        if not self._guards(name):
            return None
        path = Path(name).resolve()
        if path in self._code:
            return self._code[path]
        by_project = self._by_project()
        self._refused[path] = by_project or self._refused.get(path, False)
        if by_project:
            raise NotAgreed(str(path))
        raise ImportError(f"{path} was not agreed to", path=str(path))

    def _guards(self, name: str) -> bool:
        """Whether a file belongs to the project, or to a folder that its code added to the path.

        A link in the project belongs to it wherever it leads, and so does a folder of it that is called like one for
        installed packages.
        """
        path = Path(os.path.abspath(name))  # noqa: PTH100  (resolve follows links)
        led_to = path.resolve()
        if is_own(path):
            return False
        if led_to in self._code:
            return True
        if path.name.startswith(_GENERATED) and path.parent == Path(tempfile.gettempdir()):
            return path in self._generated_before
        if any(led_to.is_relative_to(packages) for packages in self._packages):
            return False
        if any(place.is_relative_to(root) for place in (path, led_to) for root in self._roots):
            return True
        added = {Path(entry).resolve() for entry in sys.path if entry not in self._installed}
        return not is_installed(led_to) and any(led_to.is_relative_to(root) for root in added)

    def _by_project(self) -> bool:
        """Whether the project's code asks for the import that is going on."""
        own = (__file__, importlib.__file__)
        frame: FrameType | None = sys._getframe(1)
        while frame is not None and (frame.f_code.co_filename.startswith("<frozen") or frame.f_code.co_filename in own):
            frame = frame.f_back
        return frame is not None and self._guards(frame.f_code.co_filename)


_HELD: list[Agreed] = []


def enforce(agreed: Agreed) -> None:
    """Let this process run what was agreed to only, as `Agreed.enforce` says."""
    _HELD[:] = [agreed]
    agreed.enforce()


def place(path: Path) -> Path:
    """Where to load the model's file or directory from: the copy that was hashed, where there is one."""
    return _HELD[0].place(path) if _HELD else path
