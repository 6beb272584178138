"""Shapes as people type them: everything printed is read back the same, nothing typed crashes."""

from __future__ import annotations

import shlex
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from friction_tui.options import by_profile
from friction_tui.vocabulary.protocol import Dim, Port
from friction_tui.vocabulary.recipe import (
    POINTS,
    InputSpec,
    Precision,
    Profile,
    Range,
    Recipe,
    Source,
    SourceKind,
    Values,
)
from friction_tui.vocabulary.recipe.commands import (
    check_command,
    polygraphy,
    shapes_arguments,
    torch_export,
    trtexec,
    trtexec_shapes,
)
from friction_tui.vocabulary.recipe.text import (
    RecipeTextError,
    Shapes,
    parse_arguments,
    parse_example,
    parse_profiles,
    parse_range,
    parse_shape_values,
    parse_shapes,
    parse_trtexec,
    parse_values,
    profile_by_axis,
    profile_for,
    range_of,
    shapes_of,
    with_point,
)

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_./: ,-]{0,12}", fullmatch=True).filter(lambda n: n == n.strip())
RANGES = st.lists(st.integers(0, 4096), min_size=3, max_size=3).map(sorted).filter(lambda s: s[2] > 0)
SHAPES = st.lists(RANGES, max_size=5).map(lambda axes: Shapes(*(tuple(a[i] for a in axes) for i in range(3))))
COUNTED = st.integers(1, 4).flatmap(
    lambda n: st.tuples(*[st.lists(st.integers(-9, 999), min_size=n, max_size=n).map(tuple)] * 3)
)
VALUES = COUNTED.map(lambda points: Values(*points))


@settings(max_examples=60)
@given(st.dictionaries(NAMES, SHAPES, max_size=4), st.dictionaries(NAMES, VALUES, max_size=3))
def test_what_is_printed_is_read_back_the_same(shapes: dict[str, Shapes], values: dict[str, Values]) -> None:
    words = shapes_arguments(shapes, values)
    pairs = list(zip(words[::2], words[1::2], strict=True))
    assert parse_shapes(text for flag, text in pairs if flag == "--shapes") == shapes
    assert parse_shape_values(text for flag, text in pairs if flag == "--shape-values") == values
    flags = dict(word[2:].split("=", 1) for word in trtexec_shapes(shapes, {}))
    assert parse_trtexec(flags.get("minShapes", ""), flags.get("optShapes", ""), flags.get("maxShapes", "")) == shapes


@given(st.text(alphabet=st.sampled_from("x:1,.2-[]'\"nk ×abscalr0"), max_size=40) | st.text(max_size=40))
def test_garbage_is_refused_and_never_crashes(text: str) -> None:
    for parse in (
        lambda: parse_shapes([text]),
        lambda: parse_shape_values([text]),
        lambda: parse_trtexec(text, "", text),
        lambda: parse_range(text, "N"),
        lambda: parse_values(text, "k"),
        lambda: parse_example(text),
        lambda: parse_arguments(text),
    ):
        try:
            parse()
        except RecipeTextError as error:
            assert str(error)


@given(RANGES)
def test_a_range_is_read_in_every_way_it_is_written(sizes: list[int]) -> None:
    for separator in ("..", " ", "-", ", ", " · ", "…"):
        assert parse_range(separator.join(map(str, sizes)), "N") == Range(*sizes)
    assert parse_range(str(sizes[2]), "N") == Range(sizes[2], sizes[2], sizes[2])


def test_two_sizes_keep_opt_where_it_is_if_they_can() -> None:
    assert parse_range("320-640", "H", Range(1, 512, 1024)) == Range(320, 512, 640)
    assert parse_range("320-640", "H", Range(1, 64, 1024)) == Range(320, 320, 640)
    assert parse_range("320-640", "H") == Range(320, 640, 640)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("8..4..1", "N: min 8 is above opt 4; the rule is 0 ≤ min ≤ opt ≤ max"),
        ("1..8..4", "N: opt 8 is above max 4"),
        ("0", "N: max is 0"),
        ("", "N: type one size"),
        ("1..2..3..4", "N: 4 sizes"),
        ("1..b..3", "N: 'b' is not a whole number"),
        ("1..4..99999999999", "limit for a whole tensor"),
    ],
)
def test_a_refused_range_says_what_and_the_rule(text: str, said: str) -> None:
    with pytest.raises(RecipeTextError) as refused:
        parse_range(text, "N")
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x:1x3..4x3", "input 'x': 2 shapes"),
        ("x:1x3..4x3x1..8x3", "input 'x': min has 2, opt has 3, max has 2 dimensions"),
        ("x:1x640..1x320..1x320", "input 'x', axis 1: min 640 is above opt 320"),
        ("x", "'x' is not INPUT:SHAPE"),
        ("x:1x-1", "is not a whole number of elements"),
        ("x:1,x:2", "input 'x' is given twice"),
    ],
)
def test_refused_shapes_name_the_input_and_the_rule(text: str, said: str) -> None:
    with pytest.raises(RecipeTextError) as refused:
        parse_shapes([text])
    assert said in str(refused.value)


def test_shapes_take_several_inputs_quotes_brackets_and_scalars() -> None:
    parsed = parse_shapes(["x:1x3..4x3..8x3, y:[1,8]", "'Input:0':2", "in:0:5", "s:scalar"])
    assert parsed["x"] == Shapes((1, 3), (4, 3), (8, 3))
    assert parsed["y"].max == (1, 8)
    assert parsed["Input:0"].min == (2,)
    assert parsed["in:0"].min == (5,)
    assert parsed["s"].opt == ()


def test_example_inputs_for_an_export() -> None:
    assert parse_example("x:1x3x8x8") == InputSpec("x", (1, 3, 8, 8))
    assert parse_example("model.ids:0:1x16:int64") == InputSpec("model.ids:0", (1, 16), "int64")
    with pytest.raises(RecipeTextError, match="'x' is not NAME:SHAPE"):
        parse_example("x")
    with pytest.raises(RecipeTextError, match=r"float31 is not a type; did you mean float32\?"):
        parse_example("x:1x3:float31")
    with pytest.raises(RecipeTextError, match="axis 1 is 0"):
        parse_example("x:1x0")


def test_trtexec_points_left_out_come_from_their_neighbour() -> None:
    assert parse_trtexec(opt_shapes="x:4")["x"] == Shapes((4,), (4,), (4,))
    assert parse_trtexec("x:1", "", "x:8")["x"] == Shapes((1,), (8,), (8,))


INPUTS = (
    Port("image", "float32", (Dim(symbol="N"), Dim(3), Dim(symbol="H"), Dim())),
    Port("mask", "bool", (Dim(symbol="N"), Dim(symbol="H"))),
    Port("size", "int64", (Dim(2),), shape_tensor=True),
)


def test_a_profile_names_shared_symbols_once_and_keeps_contradictions() -> None:
    shapes = parse_shapes(["image:1x3x64x32..4x3x64x32..8x3x128x32", "mask:1x64..2x64..8x128"])
    profile = profile_for(INPUTS, shapes, {})
    assert profile.ranges == {
        "N": Range(1, 4, 8),
        "H": Range(64, 64, 128),
        "image[3]": Range(32, 32, 32),
        "mask[0]": Range(1, 2, 8),
    }
    assert shapes_of(INPUTS[:2], profile) == shapes
    assert range_of(INPUTS[1], 0, profile) == Range(1, 2, 8)


def test_a_profile_takes_trtexec_shapes_of_a_shape_tensor_as_values_and_refuses_strangers() -> None:
    assert profile_for(INPUTS, parse_shapes(["size:32x32"]), {}).values["size"] == Values(*[(32, 32)] * 3)
    with pytest.raises(RecipeTextError, match="no input 'imgae'; its inputs: image, mask, size"):
        profile_for(INPUTS, parse_shapes(["imgae:1"]), {})
    with pytest.raises(RecipeTextError, match="'mask' has 2 dimensions, N × H; 3 were given"):
        profile_for(INPUTS, parse_shapes(["mask:1x2x3"]), {})


def test_a_size_other_than_the_fixed_one_stays_for_a_check_to_name() -> None:
    shapes = parse_shapes(["image:1x4x64x64"])
    assert profile_for(INPUTS, shapes, {}).ranges["image[1]"] == Range(4, 4, 4)
    assert profile_by_axis(shapes, {}).ranges["image[0]"] == Range(1, 1, 1)


RECIPE = Recipe(
    source=Source(path="my models/detector.onnx"),
    profile=Profile(
        ranges={"N": Range(1, 4, 8), "H": Range(64, 64, 128), "image[3]": Range(32, 32, 32)},
        values={"size": Values((1, 1), (2, 2), (3, 3))},
    ),
    opset=18,
)


def test_commands_carry_the_whole_recipe_through_a_shell() -> None:
    words = shlex.split(check_command(RECIPE, INPUTS).replace("\\\n", ""))
    assert words[:3] == ["friction-tui", "check", "my models/detector.onnx"]
    given = [words[at + 1] for at, word in enumerate(words) if word == "--shapes"]
    values = [words[at + 1] for at, word in enumerate(words) if word == "--shape-values"]
    assert profile_for(INPUTS, parse_shapes(given), parse_shape_values(values)) == RECIPE.profile
    assert words[words.index("--opset") + 1] == "18"
    flags = dict(word[2:].split("=", 1) for word in shlex.split(trtexec(RECIPE, INPUTS).replace("\\\n", ""))[1:])
    assert flags["minShapes"] == "image:1x3x64x32,mask:1x64,size:1x1"
    assert flags["saveEngine"] == "my models/detector.engine"
    assert all(f"{point}Shapes" in flags for point in POINTS)


def test_the_torch_call_is_python_with_one_dim_per_symbol() -> None:
    text = torch_export(RECIPE, INPUTS)
    compile(text, "snippet", "exec")
    assert "N = torch.export.Dim('N', max=8)" in text
    assert "H = torch.export.Dim('H', min=64, max=128)" in text
    assert "'image': {0: N, 2: H},  # float32, N × 3 × H × ?" in text


def test_a_pasted_command_gives_its_shapes_whoever_wrote_it() -> None:
    for text in (check_command(RECIPE, INPUTS), trtexec(RECIPE, INPUTS)):
        shapes, values = parse_arguments(text)
        assert profile_for(INPUTS, shapes, values) == RECIPE.profile
    assert parse_arguments("mask:1x64..2x64..8x128")[0]["mask"].opt == (2, 64)
    assert parse_arguments("trtexec --onnx=a=b.onnx --minShapes 'in:0:1'")[0]["in:0"].max == (1,)
    with pytest.raises(RecipeTextError, match="no shapes in 'hello'"):
        parse_arguments("hello")


def test_one_point_changes_only_within_the_rule() -> None:
    assert with_point(Range(1, 4, 8), "max", 16, "N") == Range(1, 4, 16)
    with pytest.raises(RecipeTextError, match="opt 4 is above max 2"):
        with_point(Range(1, 4, 8), "max", 2, "N")


@pytest.mark.slow
def test_torch_takes_the_call_and_keeps_the_ranges(tmp_path: Path) -> None:
    import onnx
    import torch

    class Net(torch.nn.Module):
        def forward(self, image: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            return image * mask[:, None, :, None]

    recipe = Recipe(
        source=Source(path=str(tmp_path / "net.onnx")),
        profile=Profile(ranges={"N": Range(1, 4, 8), "H": Range(64, 96, 128)}),
    )
    inputs = (
        Port("image", "float32", (Dim(symbol="N"), Dim(3), Dim(symbol="H"), Dim(16))),
        Port("mask", "float32", (Dim(symbol="N"), Dim(symbol="H"))),
    )
    example = {"image": torch.ones(2, 3, 64, 16), "mask": torch.ones(2, 64)}
    exec(torch_export(recipe, inputs), {"model": Net().eval(), "example_inputs": example})
    exported = onnx.load(tmp_path / "net.onnx", load_external_data=False)
    dims = [
        [dim.dim_param or dim.dim_value for dim in port.type.tensor_type.shape.dim] for port in exported.graph.input
    ]
    assert dims == [["N", 3, "H", 16], ["N", "H"]]


def test_flags_belong_to_the_profile_named_before_them() -> None:
    words = ["--profile=1", "--shapes", "x:4", "--profile", "0", "--minShapes=x:1", "--maxShapes", "x:2", "--ascii"]
    marked = by_profile(words)
    assert marked[-1] == "--ascii" and not any("--profile" in word for word in marked)
    found = parse_profiles({"--shapes": ["1\x1fx:4"], "--minShapes": ["0\x1fx:1"], "--maxShapes": ["0\x1fx:2"]})
    assert [profile.ranges["x[0]"] for profile in found] == [Range(1, 2, 2), Range(4, 4, 4)]
    assert parse_profiles({}) == ()
    assert parse_profiles({"--shapes": ["x:4"]})[0].ranges == {"x[0]": Range(4, 4, 4)}
    with pytest.raises(RecipeTextError, match="profile big, input 'x', axis 0: min 8 is above opt 4"):
        parse_profiles({"--shapes": ["x:1", "big\x1fx:8..4..1"]})


def test_commands_carry_every_profile() -> None:
    assert RECIPE.profile is not None
    two = RECIPE.with_profiles((RECIPE.profile, RECIPE.profile), 1)
    words = shlex.split(check_command(two, INPUTS).replace("\\\n", ""))
    assert (words.count("--profile"), words[words.index("--profile") + 1]) == (2, "0")
    assert [word for word in shlex.split(trtexec(two, INPUTS)) if word.startswith("--profile")] == [
        "--profile=0",
        "--profile=1",
    ]


def test_commands_carry_the_nodes_that_stay_float32() -> None:
    kept = msgspec.structs.replace(RECIPE, precision=Precision.FP16, keep_float32=("a/Pow", "b c"))
    assert "--layerPrecisions=a/Pow:fp32,b c:fp32" in shlex.split(trtexec(kept, INPUTS).replace("\\\n", ""))
    assert shlex.split(polygraphy(kept, INPUTS).replace("\\\n", ""))[-3:] == [
        "--layer-precisions",
        "a/Pow:float32",
        "b c:float32",
    ]
    assert shlex.split(check_command(kept, INPUTS).replace("\\\n", ""))[-4:] == [
        "--keep-float32",
        "a/Pow",
        "--keep-float32",
        "b c",
    ]


STEPPED = st.tuples(st.integers(0, 512), st.integers(2, 64), st.integers(1, 40), st.integers(0, 40)).map(
    lambda drawn: Range(
        drawn[0], drawn[0] + drawn[1] * min(drawn[3], drawn[2]), drawn[0] + drawn[1] * drawn[2], drawn[1]
    )
)


@given(STEPPED)
def test_a_range_with_a_step_is_read_back_from_a_cell_and_from_a_flag(chosen: Range) -> None:
    typed = f"{chosen.min}..{chosen.opt}..{chosen.max} step {chosen.step}"
    assert parse_range(typed, "H") == chosen
    shapes = {"x": Shapes((1, chosen.min), (1, chosen.opt), (1, chosen.max), (1, chosen.step))}
    flag, text = shapes_arguments(shapes, {})
    assert (flag, parse_shapes([text])) == ("--shapes", shapes)
    assert profile_by_axis(shapes, {}).ranges["x[1]"] == chosen


@given(STEPPED, st.integers(-100, 5000))
def test_the_nearest_size_of_a_range_is_on_its_step(chosen: Range, size: int) -> None:
    nearest = chosen.nearest(size)
    every = range(chosen.min, chosen.max + 1, chosen.step)
    assert nearest in every
    assert abs(nearest - size) == min(abs(other - size) for other in every)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("-3", "N: min -3 is below 0"),
        ("–3", "N: '–3' is not a whole number"),
        ("1..-4..8", "N: min 1 is above opt -4"),
        ("64..510 step 8", "max 510 is not on the step 8, 504 and 512 are; sizes with a step are min, min + step"),
        ("64..70..512 step 8", "opt 70 is not on the step 8"),
        ("64..512 step 0", "step 0 is below 1"),
        ("64..512 step", "one number stands after step"),
        ("64..512 step x", "step: 'x' is not a whole number"),
    ],
)
def test_signs_and_steps_are_refused_with_their_rule(text: str, said: str) -> None:
    with pytest.raises(RecipeTextError) as refused:
        parse_range(text, "N")
    assert said in str(refused.value)


def test_one_step_is_for_the_only_axis_that_varies() -> None:
    assert parse_shapes(["x:1x64..1x128..1x512 step 8"])["x"].step == (1, 8)
    with pytest.raises(RecipeTextError, match="a step for each of the 2 axes is needed, such as step 8x8"):
        parse_shapes(["x:1x64..2x128..8x512 step 8"])


def test_a_copied_command_carries_steps_and_relations() -> None:
    inputs = [
        Port("past", "float32", (Dim(size=1), Dim(symbol="past"))),
        Port("mask", "float32", (Dim(size=1), Dim(symbol="total"))),
    ]
    profile = Profile(ranges={"past": Range(8, 16, 64, 8), "total": Range(9, 17, 65)}, relations=("total = past + 1",))
    command = check_command(Recipe(source=Source("m.onnx"), profile=profile), inputs)
    words = shlex.split(command.replace("\\\n", " "))
    assert "past:1x8..1x16..1x64 step 1x8" in words
    assert words[words.index("--relation") + 1] == "total = past + 1"
    flags = {"--shapes": [w for w in words if ":" in w], "--relation": ["total = past + 1"]}
    (read,) = parse_profiles(flags)
    assert read.ranges["past[1]"] == profile.ranges["past"]
    assert read.relations == profile.relations
    assert "past_steps = torch.export.Dim('past_steps', max=8)\npast = 8 * past_steps" in torch_export(
        Recipe(source=Source("m.onnx"), profile=profile), inputs
    )


def test_a_check_of_code_names_its_factory_and_the_consent_it_needs() -> None:
    recipe = Recipe(source=Source("src/my net.py", SourceKind.PYTORCH, "make"), profile=None)
    words = shlex.split(check_command(recipe, ()).replace("\\\n", ""))
    assert words == ["friction-tui", "check", "src/my net.py:make", "--allow-code", "--no-profile"]
