"""The builder's options as text, in friction.toml, in copied commands and in what an edit changed."""

from __future__ import annotations

import itertools
import shlex
from pathlib import Path

import msgspec
import pytest

from friction_tui.friction_toml import RecipeFileError, from_recipe, load, save, with_file
from friction_tui.vocabulary.protocol import OptionHere
from friction_tui.vocabulary.recipe import Recipe, Source, SourceKind, Value
from friction_tui.vocabulary.recipe.builder_options import (
    BY_NAME,
    OPTIONS,
    RTX,
    BuilderOption,
    Takes,
    merged,
    parse_builder,
    refused,
    words_of,
)
from friction_tui.vocabulary.recipe.changes import changes
from friction_tui.vocabulary.recipe.commands import check_command, polygraphy, trtexec
from friction_tui.vocabulary.recipe.text import RecipeTextError

RECIPE = Recipe(source=Source("model.onnx", SourceKind.ONNX))


def another(option: BuilderOption) -> Value:
    """A value of the option that is not its default."""
    match option.takes:
        case Takes.SWITCH:
            return option.default != "yes"
        case Takes.CHOICE:
            return option.choices[-1]
        case Takes.NAMES:
            return ("JIT_CONVOLUTIONS",)
        case Takes.FILES:
            return ("/lib/one.so", "/lib/two.so")
    return max(option.low, 5)


EVERY: dict[str, Value] = {option.name: another(option) for option in OPTIONS}


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_every_option_survives_text_and_file(option: BuilderOption, tmp_path: Path) -> None:
    chosen = {option.name: EVERY[option.name]}
    assert merged({}, parse_builder(words_of(chosen))) == chosen
    (tmp_path / "model.onnx").touch()
    recipe = Recipe(source=Source(str(tmp_path / "model.onnx"), SourceKind.ONNX), builder=chosen)
    path = save(from_recipe(recipe), tmp_path / "friction.toml")
    assert load(path).builder == chosen
    assert with_file(Recipe(source=recipe.source))[0].builder == chosen


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.name)
def test_every_option_says_what_it_does_and_default_is_no_choice(option: BuilderOption) -> None:
    assert option.does.endswith(".")
    assert parse_builder([f"{option.name}=default"]) == {option.name: None}
    assert merged({option.name: EVERY[option.name]}, {option.name: None}) == {}


def test_what_is_typed_is_understood_in_several_spellings() -> None:
    words = ["workspace=1.5GiB", "Tactic-Sources=cublas, jit_convolutions", "sparsity", "tf32=OFF"]
    assert parse_builder(words) == {
        "workspace": 3 << 29,
        "tactic_sources": ("CUBLAS", "JIT_CONVOLUTIONS"),
        "sparsity": True,
        "tf32": False,
    }
    assert parse_builder(["build_memory=8GB", "build_memory=512m"]) == {"build_memory": 512_000_000}
    assert parse_builder(["tactic_sources=none"]) == {"tactic_sources": ()}


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("sparse=yes", "did you mean sparsity?"),
        ("workspace", "needs a value"),
        ("workspace=0", "not 0"),
        ("workspace=many", "an amount of memory"),
        ("optimization_level=6", "0..5"),
        ("optimization_level=-1", "0..5"),
        ("hardware_compatibility=turing", "ampere_plus"),
        ("refit=maybe", "yes or no"),
        ("tactic_sources=", "names separated by commas"),
        ("build_timeout=nan", "1..1000000"),
        ("workspace=٤MiB", "an amount of memory"),
        ("", "known: workspace"),
    ],
)
def test_what_cannot_be_taken_is_refused_with_what_can(word: str, said: str) -> None:
    with pytest.raises(RecipeTextError, match=r"--builder: ") as refusal:
        parse_builder([word])
    assert said in str(refusal.value)


def test_a_value_that_is_the_default_is_no_choice() -> None:
    assert merged({}, {"optimization_level": 3, "tf32": True, "sparsity": False}) == {}
    assert merged({"sparsity": True}, {"sparsity": False}) == {}


def test_a_file_with_a_wrong_option_names_it(tmp_path: Path) -> None:
    file = tmp_path / "friction.toml"
    for text, said in (
        ("[builder]\nworkspace = 0\n", "workspace is"),
        ("[builder]\nrefitting = true\n", "did you mean refit?"),
        ("[builder]\noptimization_level = true\n", "0..5, not yes"),
    ):
        file.write_text(text)
        with pytest.raises(RecipeFileError, match=r"friction\.toml") as refusal:
            load(file)
        assert said in str(refusal.value)


def test_a_copied_command_has_the_words_of_its_tool() -> None:
    recipe = msgspec.structs.replace(RECIPE, builder=EVERY)
    words = shlex.split(trtexec(recipe, ()).replace("\\\n", " "))
    assert {"--memPoolSize=workspace:5B", "--builderOptimizationLevel=5", "--sparsity=enable", "--noTF32"} <= {*words}
    assert {"--refit", "--stripWeights", "--versionCompatible", "--excludeLeanRuntime"} <= {*words}
    assert "--hardwareCompatibilityLevel=sameComputeCapability" in words
    assert "--tacticSources=+JIT_CONVOLUTIONS,-EDGE_MASK_CONVOLUTIONS" in words
    joined = " ".join(shlex.split(polygraphy(recipe, ()).replace("\\\n", " ")))
    assert "--pool-limit workspace:5 --builder-optimization-level 5 --sparse-weights" in joined
    assert "--tactic-sources jit_convolutions" in joined
    assert "--hardware-compatibility-level same_compute_capability" in joined
    large = msgspec.structs.replace(RECIPE, builder={"workspace": 512 << 20})
    assert "--memPoolSize=workspace:512M" in trtexec(large, ())
    assert "--pool-limit workspace:512M" in polygraphy(large, ())


def test_the_check_command_chooses_the_same_again() -> None:
    words = shlex.split(check_command(msgspec.structs.replace(RECIPE, builder=EVERY), ()).replace("\\\n", " "))
    given = [value for flag, value in itertools.pairwise(words) if flag == "--builder"]
    assert merged({}, parse_builder(given)) == EVERY


def test_a_recipe_without_options_makes_the_commands_of_before() -> None:
    assert "workspace" not in trtexec(RECIPE, ()) + polygraphy(RECIPE, ()) + check_command(RECIPE, ())


def test_an_edit_of_an_option_is_said_in_words() -> None:
    after = msgspec.structs.replace(RECIPE, builder={"workspace": 512 << 20, "sparsity": True})
    assert changes(RECIPE, after) == ["workspace default → 512MiB", "sparsity default → yes"]
    assert changes(after, RECIPE) == ["workspace 512MiB → default", "sparsity yes → default"]


def test_what_is_not_offered_is_refused_with_the_nearest() -> None:
    here = {option.name: OptionHere() for option in OPTIONS} | {
        "refit": OptionHere("it cannot", "build again"),
        "tactic_sources": OptionHere(choices=("JIT_CONVOLUTIONS",)),
    }
    assert refused({"workspace": 5, "refit": True}, here) == {"refit": here["refit"]}
    assert "CUDNN" in refused({"tactic_sources": ("CUDNN",)}, here)["tactic_sources"].why_not
    assert refused({"tactic_sources": ()}, here) == {}
    assert "version_compatible" in refused({"exclude_lean_runtime": True}, here)["exclude_lean_runtime"].nearest
    assert refused({"exclude_lean_runtime": True, "version_compatible": True}, here) == {}
    assert refused({"workspace": 5}, {})["workspace"].why_not
    assert refused({"engine_cache": True, "build_timeout": 60}, {}) == {}  # what this program does itself


def test_an_option_that_is_not_offered_says_what_to_do_instead() -> None:
    for option in OPTIONS:
        known = option.known.get(RTX)
        assert known is None or bool(known.why_not) == bool(known.nearest), option.name
    assert BY_NAME["version_compatible"].known[RTX].why_not
