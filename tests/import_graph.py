"""The graph of imports between the modules of the package, read from the source without importing anything."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import friction_tui

PACKAGE = Path(friction_tui.__file__).parent


def modules() -> dict[str, Path]:
    """Dotted name to file of every module; a package is named as such, without `__init__`."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def import_graph() -> dict[str, set[str]]:
    """Every module to those of the package that it imports, at its top or inside a function.

    Imports for type checking only are left out: they do not happen when the program runs.
    """
    known = modules()
    return {name: set(_imported(ast.parse(path.read_text("utf-8")), known)) - {name} for name, path in known.items()}


def _imported(tree: ast.AST, known: dict[str, Path]) -> Iterator[str]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for other in node.orelse:
                yield from _imported(other, known)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inside = f"{node.module}.{alias.name}"
                if inside in known:
                    yield inside
                elif node.module in known:
                    yield node.module
        else:
            yield from _imported(node, known)


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """Groups of more than one module that can each be reached from every other of the group (Tarjan 1972)."""
    index: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(name: str) -> None:
        index[name] = lowest[name] = len(index)
        stack.append(name)
        for other in sorted(graph.get(name, ())):
            if other not in index:
                visit(other)
                lowest[name] = min(lowest[name], lowest[other])
            elif other in stack:
                lowest[name] = min(lowest[name], index[other])
        if lowest[name] == index[name]:
            group = stack[stack.index(name) :]
            del stack[stack.index(name) :]
            if len(group) > 1:
                found.append(sorted(group))

    for name in graph:
        if name not in index:
            visit(name)
    return found


def of_packages(graph: dict[str, set[str]]) -> dict[str, set[str]]:
    """The same graph between the top-level packages and modules of the program."""
    packages: dict[str, set[str]] = {}
    for name, imported in graph.items():
        top = _top(name)
        packages.setdefault(top, set()).update(_top(other) for other in imported if _top(other) != top)
    return packages


def _top(name: str) -> str:
    return ".".join(name.split(".")[:2])
