"""friction.toml: whatever is written is read back, whatever is broken is refused by name."""

from __future__ import annotations

import datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from friction_tui.friction_toml import Allowed, RecipeFileError, from_recipe, load, of_model, save
from friction_tui.kinds import KINDS
from friction_tui.vocabulary.recipe import (
    InputSpec,
    Precision,
    Profile,
    Range,
    Recipe,
    Rewrite,
    Source,
    SourceKind,
    Values,
)

KIND = "older/int64-range"
KEYS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=1, max_size=12)
RANGES = st.lists(st.integers(0, 9999), min_size=3, max_size=3).map(sorted).filter(lambda s: s[2] > 0)
RECIPES = st.builds(
    Recipe,
    source=st.builds(
        Source,
        path=st.just("/models/a.onnx"),
        kind=st.sampled_from(SourceKind),
        inputs=st.lists(st.builds(InputSpec, name=KEYS, shape=st.just((1, 3)))).map(tuple),
    ),
    profile=st.none()
    | st.builds(
        Profile,
        ranges=st.dictionaries(KEYS, RANGES.map(lambda s: Range(*s)), max_size=3),
        values=st.dictionaries(KEYS, st.just(Values((1,), (2,), (-1,))), max_size=2),
        guessed=st.lists(KEYS, max_size=2).map(tuple),
    ),
    opset=st.none() | st.integers(1, 30),
    others=st.lists(st.just(Profile(ranges={"N": Range(1, 2, 3)}, guessed=("N",))), max_size=2).map(tuple),
    target=st.sampled_from(["", "SM89"]),
    precision=st.sampled_from(Precision),
    keep_float32=st.lists(KEYS, max_size=2).map(tuple),
    rewrites=st.lists(st.builds(Rewrite, name=KEYS, nodes=st.lists(KEYS).map(tuple)), max_size=2).map(tuple),
    parse=st.booleans(),
)


@settings(max_examples=40)
@given(recipe=RECIPES)
def test_a_recipe_is_read_back_the_same(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("recipe") / "friction.toml"
    if recipe.profile is None:
        recipe = msgspec.structs.replace(recipe, others=())
    assert load(save(from_recipe(recipe), path)).recipe() == recipe
    assert load(save(from_recipe(recipe.at_profile(1)), path)).recipe() == recipe


def test_steps_and_relations_are_kept_for_every_profile(tmp_path: Path) -> None:
    relations = ("total = past + seq",)
    first = Profile(ranges={"past": Range(8, 16, 64, 8)}, relations=relations)
    second = Profile(ranges={"past": Range(0, 1, 8)}, relations=relations)
    recipe = Recipe(source=Source("/models/a.onnx"), profile=first, others=(second,))
    path = save(from_recipe(recipe), tmp_path / "friction.toml")
    text = path.read_text(encoding="utf-8")
    assert text.count("total = past + seq") == 1
    assert text.count("step = 8") == text.count("step") == 1
    assert load(path).recipe() == recipe
    path.write_text(text.replace("total = past + seq", "total = past seq"), encoding="utf-8")
    with pytest.raises(RecipeFileError, match=r"relations: .*'seq' needs \+ or - before it"):
        load(path)
    path.write_text(text.replace("max = 64", "max = 63"), encoding="utf-8")
    with pytest.raises(RecipeFileError, match=r"profile\.past: max 63 is not on the step 8"):
        load(path)


def test_the_file_is_short_portable_and_gives_no_leave_to_run_code(tmp_path: Path) -> None:
    source = Source(path=str(tmp_path / "net" / "m.py"), kind=SourceKind.PYTORCH, consent_hash="abc")
    recipe = Recipe(source=source, profile=Profile(ranges={"N": Range(1, 4, 8)}))
    path = save(from_recipe(recipe), tmp_path / "friction.toml")
    assert path.read_text() == (
        '[source]\npath = "net/m.py"\nkind = "pytorch"\n\n[profile.N]\nmin = 1\nopt = 4\nmax = 8\n'
    )
    path.write_text(path.read_text().replace('"pytorch"', '"pytorch"\nconsent_hash = "abc"'))
    assert load(path).recipe().source == msgspec.structs.replace(source, consent_hash="")


def test_a_module_stays_a_module(tmp_path: Path) -> None:
    source = Source(path="nets.detector", kind=SourceKind.PYTORCH, factory="build")
    assert load(save(from_recipe(Recipe(source=source)), tmp_path / "friction.toml")).source == source


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[profile.N]\nmin = 8\nopt = 4\nmax = 1\n", "profile.N: min 8 is above opt 4; the rule is"),
        ("[values.k]\nmin = [1]\nopt = [1, 2]\nmax = [1]\n", "values.k has different counts"),
        ("opst = 17\n", "unknown field `opst`"),
        ('[profile.N]\nmin = "1"\nopt = 4\nmax = 8\n', r"$.profile"),
        ("opset = \n", "friction.toml"),
        ("opset = " + "[" * 20000, "friction.toml"),
        ("\udcff", "friction.toml"),
        (
            '[[allow]]\nkind = "types/float64"\n\n[[allow]]\nwhy = "old"\nkind = "dynamic/bakedreshape"\n',
            "friction.toml:6: there is no kind dynamic/bakedreshape; did you mean dynamic/baked-reshape?",
        ),
        ('allow = [{ kind = "x/y" }]\n', "friction.toml: there is no kind x/y (friction-tui explain lists them)"),
    ],
)
def test_a_broken_file_is_refused_with_place_and_rule(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "friction.toml"
    path.write_text(text, errors="surrogateescape")
    with pytest.raises(RecipeFileError) as refused:
        load(path)
    assert said in str(refused.value)


def test_an_agreement_ends_on_its_day_and_covers_only_what_it_names(tmp_path: Path) -> None:
    path = tmp_path / "friction.toml"
    path.write_text(f'[[allow]]\nkind = "{KIND}"\nnames = ["x", "y"]\nuntil = 2027-01-31\nwhy = "known"\n')
    allowed = load(path).allow[0]
    last, after = datetime.date(2027, 1, 31), datetime.date(2027, 2, 1)
    assert allowed.holds(last)
    assert not allowed.holds(after)
    assert Allowed(KIND).holds(after)
    assert allowed.covers(KIND, ("x",))
    assert not allowed.covers(KIND, ("x", "z"))
    assert not allowed.covers("types/float64", ("x",))
    assert Allowed(KIND).covers(KIND, ())


def test_a_model_has_the_file_that_names_it_and_shares_the_one_that_names_none(tmp_path: Path) -> None:
    shared, own, model = tmp_path / "friction.toml", tmp_path / "m.friction.toml", tmp_path / "m.onnx"
    assert of_model(model) == (shared, None)
    shared.write_text('opset = 17\nopset_why = "the device"\n[[allow]]\nkind = "older/int64-range"\n')
    path, held = of_model(model)
    assert path == own and held is not None and held.opset == 17
    again = load(save(from_recipe(Recipe(source=Source(path=str(model)), opset=17), held), path))
    assert (again.opset_why, [allowed.kind for allowed in again.allow]) == ("the device", [KIND])
    assert of_model(model) == (own, again), "its own comes first"
    own.unlink()
    shared.write_text('[source]\npath = "other.onnx"\n')
    assert of_model(model) == (own, None), "another model's file is left alone"
    shared.write_text('[source]\npath = "m.onnx"\n')
    assert of_model(model)[0] == shared


def test_the_example_in_the_documentation_is_a_recipe_file(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "ci.md").read_text(encoding="utf-8")
    path = tmp_path / "friction.toml"
    path.write_text(page.split("```toml\n")[1].split("```")[0])
    held = load(path)
    assert (held.required_opset, held.recipe().at_profile(0).profile) == (17, held.recipe().profile)
    assert held.recipe().required_tensorrt == held.required_tensorrt == ("10.3",)
    assert held.allow[0].kind in KINDS
