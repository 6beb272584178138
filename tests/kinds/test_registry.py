"""The registry is whole: every kind is declared once, is emitted by a rule, and names only what exists.

Each check returns what is wrong; `test_registry_breaks.py` breaks each once.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest

import friction_tui
from friction_tui.kinds import KINDS, explain, nearest
from friction_tui.kinds.examples import Shown
from friction_tui.kinds.kind import Kind
from friction_tui.rewrites import REWRITES
from friction_tui.rewrites.base import Rewriter
from friction_tui.rules.checks import CHECKS
from friction_tui.rules.deduplicate import ANY
from friction_tui.rules.engine.decode import decoded_kinds

SOURCE = Path(friction_tui.__file__).parent
PACKAGE = "friction_tui.kinds"

Trees = Mapping[str, ast.Module]
"""The product's modules by their path."""


@cache
def product() -> Trees:
    """Every module of the product but the declarations of kinds."""
    files = [file for file in SOURCE.rglob("*.py") if SOURCE / "kinds" not in file.parents]
    return {str(file.relative_to(SOURCE)): ast.parse(file.read_text(encoding="utf-8")) for file in files}


@cache
def tabled() -> frozenset[str]:
    """The ids that tables of the product emit: messages of engines, and what replaces an operator."""
    tables = [file for file in SOURCE.rglob("*.toml") if file.name != "messages.toml"]
    texts = [file.read_text(encoding="utf-8") for file in tables]
    ids = [name for text in texts for name in re.findall(r'"([a-z]+/[a-z0-9-]+)"', text)]
    return frozenset((*ids, *(kind.id for kind in decoded_kinds())))


def blank_parts(kind: Kind) -> list[str]:
    """The parts of the declaration and its page that say nothing."""
    parts = ("summary", "title", "cause", "evidence", "example", "fix")
    blank = [name for name in parts if not getattr(kind, name).strip()]
    return blank + [name for name in ("severities", "tiers") if not getattr(kind, name)]


def missing_examples(kind: Kind) -> list[str]:
    """Which of its two examples a kind does not have."""
    return [name for name in ("shows", "quiet") if getattr(kind, name) == Shown("")]


def unknown_names(kind: Kind) -> set[str]:
    """The rewrites and kinds that a declaration names and that do not exist."""
    related = {*kind.explains, *kind.moot_under, *kind.moot_beside, *kind.moot_with} - {ANY}
    return (related - set(KINDS)) | (set(kind.rewrites) - set(REWRITES))


def not_emitted(kinds: Iterable[Kind], trees: Trees, tables: Iterable[str]) -> list[str]:
    """The kinds that no module makes findings of: none names them except to list what a check emits or to compare."""
    emitted = {kind.id for tree in trees.values() for kind in _emitted(tree)} | set(tables)
    return [kind.id for kind in kinds if kind.id not in emitted]


def made_by_hand(trees: Trees) -> list[str]:
    """Where a finding is made without its kind."""
    return [
        f"{file}:{part.lineno}"
        for file, tree in trees.items()
        for part in ast.walk(tree)
        if isinstance(part, ast.Call) and isinstance(part.func, ast.Name) and part.func.id == "Finding"
    ]


def unfilled_titles(trees: Trees) -> list[str]:
    """Calls of a kind's `finding` that do not fill its title, with the fields that are missing."""
    return [
        f"{file}:{call.lineno} {kind.id} needs {', '.join(sorted(missing))}"
        for file, tree in trees.items()
        for call, kind in _calls(tree)
        if (missing := kind.fields - {keyword.arg for keyword in call.keywords})
        and all(keyword.arg for keyword in call.keywords)
    ]


def never_offered(rewriters: Iterable[Rewriter], kinds: Iterable[Kind]) -> list[str]:
    """Rewrites that no kind names, that are not for any operator, and that are not tried at every refusal."""
    named = {name for kind in kinds for name in kind.rewrites}
    return [one.name for one in rewriters if one.name not in named and not one.ops and not one.general]


def _resolver(tree: ast.Module) -> Callable[[ast.expr], object]:
    """What a module's names stand for, as far as they come from the declarations of kinds."""
    names: dict[str, object] = {}
    for part in ast.walk(tree):
        if isinstance(part, ast.ImportFrom) and f"{part.module}.".startswith(f"{PACKAGE}."):
            source = import_module(part.module or "")
            names |= {alias.asname or alias.name: getattr(source, alias.name) for alias in part.names}

    def resolve(expression: ast.expr) -> object:
        if isinstance(expression, ast.Name):
            return names.get(expression.id)
        if isinstance(expression, ast.Attribute):
            owner = resolve(expression.value)
            return getattr(owner, expression.attr, None) if isinstance(owner, ModuleType) else None
        return None

    return resolve


def _emitted(tree: ast.Module) -> Iterator[Kind]:
    resolve = _resolver(tree)
    waiting: list[ast.AST] = [tree]
    while waiting:
        part = waiting.pop()
        if isinstance(part, ast.Attribute) and part.attr == "id":
            continue  # compared with
        if isinstance(part, ast.Call) and isinstance(part.func, ast.Name) and part.func.id == "Check":
            continue  # listed
        found = resolve(part) if isinstance(part, ast.Name | ast.Attribute) else None
        if isinstance(found, Kind):
            yield found
        waiting.extend(ast.iter_child_nodes(part))


def _calls(tree: ast.Module) -> Iterator[tuple[ast.Call, Kind]]:
    """Every call of a kind's `finding` in which the kind is named."""
    resolve = _resolver(tree)
    for part in ast.walk(tree):
        if isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute) and part.func.attr == "finding":
            kind = resolve(part.func.value)
            if isinstance(kind, Kind):
                yield part, kind


@pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))
def test_a_kind_has_its_page_and_its_examples(kind: Kind) -> None:
    assert blank_parts(kind) == []
    assert missing_examples(kind) == []
    page = explain(kind.id)
    assert page is not None
    assert page.startswith(f"# {kind.summary}\n")


@pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))
def test_a_kind_refers_only_to_what_exists(kind: Kind) -> None:
    assert unknown_names(kind) == set()


def test_every_kind_is_emitted() -> None:
    assert not_emitted(KINDS.values(), product(), tabled()) == []


def test_findings_are_made_by_kinds_only() -> None:
    assert made_by_hand(product()) == []


def test_every_call_fills_the_title_of_its_kind() -> None:
    assert unfilled_titles(product()) == []


def test_every_check_declares_what_it_emits() -> None:
    assert [check.name for check in CHECKS if not check.kinds] == []


def test_every_rewrite_can_be_offered() -> None:
    assert never_offered(REWRITES.values(), KINDS.values()) == []


def test_a_family_lists_its_kinds_and_an_unknown_name_has_no_page() -> None:
    listed = explain("file")
    assert listed is not None
    assert "file/html" in listed
    assert explain("no/such-kind") is None
    assert nearest("dynamic/bakedreshape") == "dynamic/baked-reshape"
