"""Models broken field by field: every check has an answer to each, without an error of its own."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from benchmarks.hardening.kills import kills
from benchmarks.hardening.mutations import SAMPLES, mutated, samples
from friction_tui.model.graph_data import graph_data
from friction_tui.model.opened import open_model
from friction_tui.model.shapes.profile import default_profile
from friction_tui.model.shapes.shape_table import ShapeTable
from friction_tui.model.summary import summarize
from friction_tui.rewrites.offering import with_offers
from friction_tui.rules.checks import diagnose
from friction_tui.rules.context import CheckContext
from friction_tui.rules.deduplicate import deduplicate
from friction_tui.vocabulary.recipe import Profile, Recipe, Source

SEEDS = range(1, 121)


def test_the_same_number_is_the_same_model() -> None:
    assert [mutated(seed, samples()) for seed in range(20)] == [mutated(seed, samples()) for seed in range(20)]
    random.seed(1)
    assert len({mutated(seed, samples()) for seed in range(50)}) > 40


@pytest.mark.parametrize("part", range(4))
def test_every_check_has_an_answer(part: int, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    for seed in SEEDS[part::4]:
        path.write_bytes(mutated(seed, samples()))
        model = open_model(path)
        graph_data(model)
        summarize(model)
        profile = default_profile(model, Profile())
        context = CheckContext(model, Recipe(source=Source(str(path)), profile=profile), ShapeTable(model, profile))
        findings = [finding for _, found in diagnose(context) for finding in found]
        merged = deduplicate(findings)
        assert len(merged) <= len(findings)
        assert len(with_offers(model, merged)) == len(merged)


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_nothing(tmp_path: Path) -> None:
    assert kills(3, 7, tmp_path, SAMPLES / "nms.onnx").failed == []
