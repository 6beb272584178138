"""What differs between two recipes is said shortly and completely."""

import msgspec

from friction_tui.vocabulary.recipe import Precision, Profile, Range, Recipe, Rewrite, Source, Values
from friction_tui.vocabulary.recipe.changes import changes

BEFORE = Recipe(
    source=Source("m.onnx"), profile=Profile(ranges={"N": Range(1, 4, 8)}, values={"k": Values((1,), (2,), (3,))})
)


def test_one_point_is_named_several_are_shown_whole() -> None:
    assert changes(BEFORE, BEFORE.with_range("N", Range(1, 4, 16))) == ["N max 8 → 16"]
    assert changes(BEFORE, BEFORE.with_range("N", Range(2, 2, 2))) == ["N 1..4..8 → 2"]
    assert changes(BEFORE, BEFORE.with_range("H", Range(1, 2, 3))) == ["H not set → 1..2..3"]
    assert changes(BEFORE, BEFORE.with_values("k", Values((1,), (5,), (3,)))) == ["k opt 2 → 5"]


def test_everything_a_build_depends_on_is_compared() -> None:
    after = msgspec.structs.replace(
        BEFORE, profile=None, opset=18, target="SM89", precision=Precision.FP16, rewrites=(Rewrite("fold", ("1",)),)
    )
    assert changes(BEFORE, after) == [
        "no profile",
        "N 1..4..8 → not set",
        "k 1..2..3 → not set",
        "opset as exported → 18",
        "target default → SM89",
        "precision as-exported → fp16",
        "+ fold",
    ]
    assert changes(after, BEFORE)[-1] == "- fold"
    moved = msgspec.structs.replace(after, rewrites=(Rewrite("fold", ("2",)),))
    assert changes(after, moved) == ["fold moved to another node"]
    assert changes(BEFORE, BEFORE) == []


def test_where_there_are_several_profiles_each_change_says_in_which() -> None:
    two = BEFORE.with_profiles((*BEFORE.profiles, Profile(ranges={"N": Range(16, 16, 32)})), 1)
    assert changes(BEFORE, two) == ["1 → 2 profiles"]
    assert changes(two, two.with_range("N", Range(16, 16, 64))) == ["profile 1: N max 32 → 64"]
    assert changes(two, two.at_profile(0)) == ["profile 0"]
    assert two.at_profile(2) == two.at_profile(0)
    assert two.at_profile(0).profiles == two.profiles
