"""Relations between sizes: what is typed is read back the same, solved rightly, and refused with a reason."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from friction_tui.vocabulary.recipe import Profile, Range
from friction_tui.vocabulary.recipe.relations import (
    Relation,
    RelationError,
    completed,
    parse_relation,
    with_related,
)

KEYS = st.sampled_from(["total", "past", "seq", "x[0]", "past + seq", "T1", "audio-length", "p2o.DynamicDimension.0"])
FACTORS = st.integers(-9, 9).filter(bool)


@st.composite
def relations(draw: st.DrawFn) -> Relation:
    names = draw(st.lists(KEYS, min_size=2, max_size=4, unique=True))
    terms = tuple((name, draw(FACTORS)) for name in names[1:])
    return Relation(names[0], terms, draw(st.integers(-99, 99)))


@given(relations())
def test_a_relation_is_read_back_as_it_is_written(relation: Relation) -> None:
    back = parse_relation(str(relation))
    assert (back.key, dict(back.terms), back.constant) == (relation.key, dict(relation.terms), relation.constant)
    assert str(back) == str(parse_relation(str(back)))


@given(relations(), st.lists(st.integers(0, 10_000), min_size=4, max_size=4))
def test_an_equation_solved_for_another_size_is_the_same_equation(relation: Relation, numbers: list[int]) -> None:
    sizes = dict(zip((name for name, _ in relation.terms), numbers, strict=False))
    right = relation.size(sizes)
    assert right is not None
    whole = {**sizes, relation.key: right}
    assert relation.holds(whole)
    assert relation.holds({**whole, relation.key: right + 1}) is False
    for name, factor in relation.terms:
        solved = relation.solved_for(name)
        assert (solved is None) == (abs(factor) != 1)
        if solved is not None:
            assert solved.holds(whole)
            assert completed({key: whole[key] for key in whole if key != name}, [relation]) == whole


@given(st.text(alphabet=st.sampled_from("ab=+-*2 '\"[]0·"), max_size=24) | st.text(max_size=24))
def test_garbage_is_refused_and_never_crashes(text: str) -> None:
    try:
        relation = parse_relation(text)
    except RelationError as error:
        assert str(error)
    else:
        assert relation.terms


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("past + seq", "one size stands before the equals sign"),
        ("total = past seq", "'seq' needs + or - before it"),
        ("total = total + 1", "total is on both sides"),
        ("total = 4", "relates no sizes"),
        ("total = past +", "a size or a number is missing"),
        ("total = 3 * 4", "a size or a number is missing after"),
        ("total = past - past", "relates no sizes"),
        ("", "is not a relation"),
    ],
)
def test_a_refused_relation_says_why(text: str, said: str) -> None:
    with pytest.raises(RelationError) as refused:
        parse_relation(text)
    assert said in str(refused.value)


def test_ranges_that_follow_are_those_of_the_parts() -> None:
    profile = Profile(ranges={"past": Range(0, 32, 64), "seq": Range(1, 4, 8)})
    chain = [parse_relation("mask = total + 1"), parse_relation("total = past + seq")]
    assert with_related(profile, chain) == {"total": Range(1, 36, 72), "mask": Range(2, 37, 73)}
    falling = with_related(Profile(ranges={"a": Range(1, 2, 3), "b": Range(2, 6, 9)}), [parse_relation("left = a - b")])
    assert falling == {"left": Range(0, 0, 0)}
