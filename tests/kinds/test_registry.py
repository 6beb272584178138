"""The registry is whole: every kind is declared once, is emitted by a rule, and names only what exists."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import friction_tui
from friction_tui.kinds import FAMILIES, KINDS, explain, nearest
from friction_tui.kinds.examples import Shown
from friction_tui.kinds.kind import Kind
from friction_tui.rewrites import REWRITES
from friction_tui.rules.checks import CHECKS
from friction_tui.rules.deduplicate import ANY
from friction_tui.rules.engine.decode import decoded_kinds

SOURCE = Path(friction_tui.__file__).parent
CONSTANTS = {id(value): name for module in FAMILIES for name, value in vars(module).items() if isinstance(value, Kind)}


@cache
def _trees() -> dict[str, ast.Module]:
    files = [file for file in SOURCE.rglob("*.py") if SOURCE / "kinds" not in file.parents]
    return {str(file.relative_to(SOURCE)): ast.parse(file.read_text(encoding="utf-8")) for file in files}


def _calls() -> Iterator[tuple[str, ast.Call, ast.Attribute]]:
    """Every call of a kind's `finding`: `(file, call, KIND.finding)`."""
    for file, tree in _trees().items():
        for part in ast.walk(tree):
            if isinstance(part, ast.Call) and isinstance(part.func, ast.Attribute) and part.func.attr == "finding":
                yield file, part, part.func


@pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))
def test_a_kind_has_its_page_and_its_examples(kind: Kind) -> None:
    for text in (kind.summary, kind.title, kind.cause, kind.evidence, kind.example, kind.fix):
        assert text.strip()
    assert kind.severities
    assert kind.tiers
    assert kind.shows != Shown("")
    assert kind.quiet != Shown("")
    page = explain(kind.id)
    assert page is not None
    assert page.startswith(f"# {kind.summary}\n")


@pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))
def test_a_kind_refers_only_to_what_exists(kind: Kind) -> None:
    assert set(kind.rewrites) <= set(REWRITES)
    related = {*kind.explains, *kind.moot_under, *kind.moot_beside, *kind.moot_with} - {ANY}
    assert related <= set(KINDS)


def test_every_kind_is_used_by_name_outside_of_its_declaration() -> None:
    used = {part.attr for tree in _trees().values() for part in ast.walk(tree) if isinstance(part, ast.Attribute)}
    used |= {part.id for tree in _trees().values() for part in ast.walk(tree) if isinstance(part, ast.Name)}
    decoded = set(decoded_kinds())
    assert [kind.id for kind in KINDS.values() if CONSTANTS[id(kind)] not in used and kind not in decoded] == []


def test_findings_are_made_by_kinds_only() -> None:
    made = [
        f"{file}:{part.lineno}"
        for file, tree in _trees().items()
        for part in ast.walk(tree)
        if isinstance(part, ast.Call) and isinstance(part.func, ast.Name) and part.func.id == "Finding"
    ]
    assert made == []


def test_every_call_fills_the_title_of_its_kind() -> None:
    by_constant: dict[str, list[Kind]] = {}
    for kind in KINDS.values():
        by_constant.setdefault(CONSTANTS[id(kind)], []).append(kind)
    for file, call, func in _calls():
        constant = getattr(func.value, "attr", getattr(func.value, "id", ""))
        given = {keyword.arg for keyword in call.keywords}
        if constant in by_constant and None not in given:
            fields = [kind.fields for kind in by_constant[constant]]
            assert any(fields_of <= given for fields_of in fields), f"{file}:{call.lineno} {constant} needs {fields}"


def test_every_check_declares_what_it_emits_and_every_rewrite_mends_a_kind() -> None:
    assert all(check.kinds for check in CHECKS)
    offered = {name for kind in KINDS.values() for name in kind.rewrites}
    assert set(REWRITES) - offered == set()


def test_a_family_lists_its_kinds_and_an_unknown_name_has_no_page() -> None:
    listed = explain("file")
    assert listed is not None
    assert "file/html" in listed
    assert explain("no/such-kind") is None
    assert nearest("dynamic/bakedreshape") == "dynamic/baked-reshape"
