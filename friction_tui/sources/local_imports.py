"""The user's own modules that a Python file imports, found by reading its syntax: nothing is imported for it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from friction_tui.sources.watch import is_installed, project_root

_MOST = 2000
"""Files followed at most: more is a checkout of a framework, whose parts nobody reads one by one."""


def local_imports(file: Path) -> tuple[Path, ...]:
    """The file and every module of its project that it imports, directly or through another, sorted.

    Imports inside functions count. One that is computed at run time (`importlib.import_module(name)`) is not seen.
    """
    start = file.resolve()
    roots = tuple(dict.fromkeys((_package_root(start), project_root(start))))
    found, waiting = {start}, [start]
    while waiting and len(found) < _MOST:
        at = waiting.pop()
        for imported in _imported(at, _stamp(at), roots):
            if imported not in found:
                found.add(imported)
                waiting.append(imported)
    return tuple(sorted(found))


def _package_root(file: Path) -> Path:
    """The folder that a file's imports start at: its own, or the one its outermost package is in."""
    root = file.parent
    while (root / "__init__.py").is_file():
        root = root.parent
    return root


def _stamp(file: Path) -> tuple[int, int]:
    try:
        stat = file.stat()
    except OSError:
        return (0, 0)
    return (stat.st_mtime_ns, stat.st_size)


@lru_cache(maxsize=4096)
def _imported(file: Path, _saved: tuple[int, int], roots: tuple[Path, ...]) -> tuple[Path, ...]:
    """The project files that one file imports; `_saved` makes a saved file another question."""
    try:
        tree = ast.parse(file.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return ()
    found: dict[Path, None] = {}
    for node in ast.walk(tree):
        for base, parts in _names(node, file):
            for root in roots if base is None else (base,):
                found.update(dict.fromkeys(_files_of(root, parts)))
    return tuple(path for path in found if not is_installed(path))


def _names(node: ast.AST, file: Path) -> Iterator[tuple[Path | None, tuple[str, ...]]]:
    """(folder a relative import starts at, or None; dotted parts) of every module that a statement may import."""
    match node:
        case ast.Import(names=names):
            for alias in names:
                yield None, tuple(alias.name.split("."))
        case ast.ImportFrom(module=module, names=names, level=level):
            base = file.parents[level - 1] if 0 < level <= len(file.parents) else None
            parts = tuple(module.split(".")) if module else ()
            yield base, parts
            for alias in names:
                yield base, (*parts, alias.name)


def _files_of(root: Path, parts: tuple[str, ...]) -> Iterator[Path]:
    """The module's file, and the `__init__.py` of each package on the way to it, where they are."""
    folder = root
    for part in parts:
        module = folder / f"{part}.py"
        folder = folder / part
        if (folder / "__init__.py").is_file():
            yield (folder / "__init__.py").resolve()
        elif module.is_file():
            yield module.resolve()
            return
