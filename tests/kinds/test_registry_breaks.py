"""The checks of the registry fail for what they are there to find: each thing is broken once, on a copy in memory."""

from __future__ import annotations

import ast
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from onnx import parser

from friction_tui import kinds
from friction_tui.kinds import KINDS, file, structure
from friction_tui.kinds.examples import But, Shown
from friction_tui.kinds.kind import Kind
from friction_tui.model.opened import from_proto
from friction_tui.model.shapes.shape_table import ShapeTable
from friction_tui.rewrites import REWRITES
from friction_tui.rules.check import Check, UndeclaredKind
from friction_tui.rules.context import CheckContext
from friction_tui.rules.engine import decode
from friction_tui.rules.structure import graph_structure
from friction_tui.vocabulary.recipe import Profile, Recipe, Source
from tests.kinds import test_examples, test_registry

CYCLE = structure.CYCLE
INVENTED = replace(CYCLE, id="structure/invented")


def parsed(source: str) -> dict[str, ast.Module]:
    return {"rules/invented.py": ast.parse(source)}


@pytest.mark.parametrize(
    ("broken", "part"),
    [
        (replace(CYCLE, fix=" "), "fix"),
        (replace(CYCLE, summary=""), "summary"),
        (replace(CYCLE, severities=()), "severities"),
    ],
)
def test_a_page_without_a_part_is_found(broken: Kind, part: str) -> None:
    assert test_registry.blank_parts(CYCLE) == []
    assert test_registry.blank_parts(broken) == [part]


def test_a_missing_example_is_found() -> None:
    assert test_registry.missing_examples(CYCLE) == []
    assert test_registry.missing_examples(replace(CYCLE, quiet=Shown(""))) == ["quiet"]


def test_an_example_that_does_not_show_its_kind_is_found(tmp_path: Path) -> None:
    assert not isinstance(CYCLE.quiet, But)
    with pytest.raises(AssertionError):
        test_examples.test_a_kind_is_shown_by_its_example(CYCLE, CYCLE.quiet, tmp_path)
    with pytest.raises(AssertionError):
        test_examples.test_a_kind_is_not_said_of_what_is_close_and_sound(CYCLE, CYCLE.shows, tmp_path)


def test_an_example_of_a_kind_that_nothing_emits_is_found(tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        test_examples.test_a_kind_is_shown_by_its_example(INVENTED, INVENTED.shows, tmp_path)


@pytest.mark.parametrize(
    "test", ["::test_that_is_not_there", "::test_a_cycle_is_described_in_the_direction_data_flows"]
)
def test_an_example_that_names_a_test_which_does_not_show_the_kind_is_found(test: str, tmp_path: Path) -> None:
    example = Shown(f"tests/rules/structure/test_graph_structure.py::{test}")
    with pytest.raises(AssertionError):
        test_examples.test_a_kind_is_shown_by_its_example(INVENTED, example, tmp_path)


def test_an_unknown_rewrite_is_found() -> None:
    assert test_registry.unknown_names(CYCLE) == set()
    assert test_registry.unknown_names(replace(CYCLE, rewrites=("no-such-rewrite",))) == {"no-such-rewrite"}


@pytest.mark.parametrize(
    "broken",
    [
        replace(CYCLE, explains=("structure/cycle", "structure/invented")),
        replace(CYCLE, moot_under=("structure/invented",)),
        replace(CYCLE, moot_beside=("*", "structure/invented")),
        replace(CYCLE, moot_with=("structure/invented",)),
    ],
)
def test_a_relation_to_an_unknown_kind_is_found(broken: Kind) -> None:
    assert test_registry.unknown_names(broken) == {"structure/invented"}


def test_a_kind_and_page_that_nothing_emits_is_found() -> None:
    found = test_registry.not_emitted([CYCLE, INVENTED], test_registry.product(), test_registry.tabled())
    assert found == ["structure/invented"]


@pytest.mark.parametrize(
    ("source", "emitted"),
    [
        ("yield structure.SHADOWED_NAME.finding(tensor=name)", True),
        ("TABLE = {1: structure.SHADOWED_NAME}", True),
        ("CHECK = Check('name', 'what', check, (structure.SHADOWED_NAME,))", False),
        ("same = found.kind == structure.SHADOWED_NAME.id", False),
        ("yield other.SHADOWED_NAME.finding(tensor=name)", False),
    ],
)
def test_a_kind_that_is_only_listed_or_compared_with_is_not_emitted(source: str, emitted: bool) -> None:
    trees = parsed(f"from friction_tui.kinds import structure\n{source}")
    assert test_registry.not_emitted([structure.SHADOWED_NAME], trees, ()) == (
        [] if emitted else ["structure/shadowed-name"]
    )


def test_a_finding_made_without_its_kind_is_found() -> None:
    assert test_registry.made_by_hand(parsed("found = Finding(kind='structure/cycle')")) == ["rules/invented.py:1"]


def test_a_title_that_is_not_filled_is_found() -> None:
    trees = parsed("from friction_tui.kinds import file as kinds\nkinds.ENGINE.finding(engine='TensorRT', cause='')")
    assert test_registry.unfilled_titles(trees) == ["rules/invented.py:2 file/engine needs verdict"]


def test_a_rewrite_that_nothing_offers_is_found() -> None:
    idle = replace(next(iter(REWRITES.values())), name="idle", ops=(), general=False)
    assert test_registry.never_offered([idle], KINDS.values()) == ["idle"]
    assert test_registry.never_offered([idle], [replace(CYCLE, rewrites=("idle",))]) == []


def test_a_message_that_decodes_to_an_unknown_kind_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "messages.toml").write_text(
        '[[message]]\nkind = "structure/invented"\nmatch = "a"\ncause = "b"\nfixes = ["c"]\n'
    )
    monkeypatch.setattr(decode, "resources", SimpleNamespace(files=lambda package: tmp_path))
    decode._table.cache_clear()
    try:
        with pytest.raises(ValueError, match="not declared: structure/invented"):
            decode.decode("a message")
    finally:
        decode._table.cache_clear()


def test_a_kind_that_is_declared_twice_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kinds, "FAMILIES", (file, file))
    with pytest.raises(ValueError, match="file/missing is declared twice"):
        kinds._declared()


def test_a_check_that_emits_a_kind_it_does_not_declare_is_stopped(tmp_path: Path) -> None:
    proto = parser.parse_model(
        '<ir_version: 9, opset_import: ["" : 17]> g (float[2] x) => (float[2] y) { z = Add (x, y) y = Relu (z) }'
    )
    model = from_proto(proto, tmp_path / "model.onnx")
    context = CheckContext(model, Recipe(source=Source("m")), ShapeTable(model, Profile()))
    narrow = Check("structure", "what ONNX asks of a graph", graph_structure.check, (structure.UNSORTED,))
    with pytest.raises(UndeclaredKind, match="structure/cycle"):
        list(narrow(context))
