"""Every kind has a page with the same four parts, and every family can be listed."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import friction_tui
from friction_tui.kinds import explain, kinds


@pytest.mark.parametrize("kind", kinds())
def test_a_page_says_cause_evidence_example_and_fix(kind: str) -> None:
    page = explain(kind)
    assert page is not None
    assert kinds()[kind]
    for part in ("**Cause.**", "**Evidence.**", "**Example.**", "**Fix.**"):
        assert part in page, f"{kind} lacks {part}"


def test_a_family_lists_its_kinds_and_a_stranger_is_none() -> None:
    listed = explain("file")
    assert listed is not None
    assert "file/html" in listed
    assert explain("no/such-kind") is None


SOURCE = Path(friction_tui.__file__).parent
PREFIXES = {"export/data-dependent", "export/dim", "export/missing"}
"""Beginnings that kinds are compared with."""


def _written() -> tuple[set[str], set[str], set[str]]:
    """Of the package's source: ids of kinds, what is put before a name (`types/unsupported-`), and all words."""
    families = {name.partition("/")[0] for name in kinds()}
    begins, whole = re.compile(rf"({'|'.join(families)})/[a-z0-9-]*"), re.compile(r"[a-z0-9-]+/[a-z0-9-]*[a-z0-9]")
    ids, prefixes, words = set(), set(), set()
    for file in SOURCE.rglob("*.py"):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        joined = [part for part in ast.walk(tree) if isinstance(part, ast.JoinedStr)]
        inside = {id(piece) for part in joined for piece in part.values}
        prefixes |= {
            str(piece.value)
            for part in joined
            if isinstance(piece := part.values[0], ast.Constant) and begins.fullmatch(str(piece.value))
        }
        for part in ast.walk(tree):
            if isinstance(part, ast.Constant) and isinstance(part.value, str) and id(part) not in inside:
                words.add(part.value)
                if begins.fullmatch(part.value) and whole.fullmatch(part.value):
                    ids.add(part.value)
    for file in SOURCE.rglob("*.toml"):
        for row in _rows(tomllib.loads(file.read_text(encoding="utf-8"))):
            texts = {key: word for key, word in row.items() if isinstance(word, str)}
            ids |= {texts["kind"]} if "kind" in texts else set()
            words |= set(texts.values())
    return ids, prefixes, words


def _rows(table: object) -> Iterator[dict[str, object]]:
    """Every table in a TOML document, at any depth."""
    if isinstance(table, dict):
        yield table
    for value in table.values() if isinstance(table, dict) else table if isinstance(table, list) else ():
        yield from _rows(value)


def test_every_kind_that_can_be_reported_has_a_page() -> None:
    ids, prefixes, _ = _written()
    assert ids - set(kinds()) - PREFIXES == set()
    assert {prefix for prefix in prefixes if not any(kind.startswith(prefix) for kind in kinds())} == set()


def test_every_page_is_of_a_kind_that_can_be_reported() -> None:
    ids, prefixes, words = _written()
    joined = {prefix + word for prefix in prefixes for word in words}
    assert set(kinds()) - ids - joined == set()
