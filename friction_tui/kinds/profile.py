"""Optimization profiles.

TensorRT builds an engine for ranges of sizes: min, opt and max for every dynamic dimension of every input.
"""

from functools import partial

from friction_tui.kinds.examples import But, Message, ModelText, Shown
from friction_tui.kinds.kind import Kind
from friction_tui.vocabulary.finding import Severity, Tier
from friction_tui.vocabulary.recipe import Values

ProfileKind = partial(
    Kind,
    tiers=(Tier.SHAPES,),
    reads_sizes=True,
    matters=frozenset({"sizes"}),
)
"""What the kinds of this family have in common, unless they say otherwise."""

MISSING = ProfileKind(
    id="profile/missing",
    summary="Dynamic inputs and no optimization profile",
    title="No optimization profile for {inputs}",
    cause="""The model has dynamic dimensions and no ranges were given.""",
    evidence="""
The inputs. The builder says `Network has dynamic or shape inputs, but no optimization profile has been defined`.
""",
    example="""`trtexec --onnx=model.onnx` for an input `[N, 3, 224, 224]`.""",
    fix="""`--minShapes=x:1x3x224x224 --optShapes=x:4x3x224x224 --maxShapes=x:8x3x224x224`.""",
    shows=Message("Dynamic input tensor images is missing dimensions in profile 0"),
    quiet=ModelText("g (float[n,4] x) => (float[n,4] y) { y = Relu (x) }"),
)

MISSING_RANGE = ProfileKind(
    id="profile/missing-range",
    summary="An input without a range",
    title="No range was chosen for {input}",
    severities=(Severity.ERROR, Severity.WARNING),
    cause="""
Ranges were given for some inputs and not for this one. The tool goes on with a guess; TensorRT refuses.
""",
    evidence="""The input, and the guess.""",
    example="""Shapes for `input_ids` and none for `attention_mask`.""",
    fix="""Give min, opt and max for it.""",
    shows=ModelText("g (float[n,4] x, float[4,m] z) => (float[n,m] y) { y = MatMul (x, z) }"),
    quiet=But(ranges={"n": (1, 2, 4), "m": (1, 2, 4)}),
)

UNORDERED = ProfileKind(
    id="profile/unordered",
    summary="min, opt and max out of order",
    title="The range of {dimension} is out of order",
    severities=(Severity.ERROR, Severity.WARNING),
    cause="""
min <= opt <= max does not hold. TensorRT refuses the profile; a second invalid profile it drops silently.
""",
    evidence="""The three sizes.""",
    example="""min 4, opt 2, max 8.""",
    fix="""Put them in order (the tool does).""",
    shows=ModelText("g (float[n,4] x) => (float[n,4] y) { y = Relu (x) }", ranges={"n": (4, 2, 8)}),
    quiet=But(ranges={"n": (2, 4, 8)}),
)

NEGATIVE = ProfileKind(
    id="profile/negative",
    summary="A negative size",
    title="A negative size for {dimension}",
    cause="""-1 was given as a size. TensorRT then says that the profile is *missing dimensions*.""",
    evidence="""The range.""",
    example="""`--minShapes=x:-1x4`.""",
    fix="""A positive size.""",
    shows=ModelText("g (float[n,4] x) => (float[n,4] y) { y = Relu (x) }", ranges={"n": (-1, 2, 8)}),
    quiet=But(ranges={"n": (1, 2, 8)}),
)

ZERO_LENGTH = ProfileKind(
    id="profile/zero-length",
    summary="A size may be 0",
    title="{dimension} may be 0: an empty tensor",
    severities=(Severity.NOTE, Severity.ERROR, Severity.WARNING),
    cause="""Not a fault for TensorRT 10 and later, which build and run empty tensors; TensorRT 8 refuses them.""",
    evidence="""The range.""",
    example="""`past_key_values` of length 0 in the first decode step.""",
    fix="""For TensorRT 8: min 1 and a separate prefill model.""",
    shows=ModelText("g (float[n,4] x) => (float[n,4] y) { y = Relu (x) }", ranges={"n": (0, 2, 8)}),
    quiet=But(ranges={"n": (1, 2, 8)}),
)

RANK = ProfileKind(
    id="profile/rank",
    summary="A shape with too few dimensions",
    title="The profile gives {input} {given} dimensions, the model {rank}",
    cause="""A dimension was left out of the shape, so every size after it stands at the wrong axis.""",
    evidence="""
The dimensions of the input and those given. The builder says `has 4 dimensions but profile 0 has 3`.
""",
    example="""`--shapes images:3x640x640` for an input of batch, channels, height and width.""",
    fix="""Give all dimensions, the batch included.""",
    shows=ModelText(
        "g (float[n,3,h,w] images) => (float[n,3,h,w] y) { y = Relu (images) }",
        ranges={"images[0]": (3, 3, 3), "images[1]": (640, 640, 640), "images[2]": (640, 640, 640)},
    ),
    quiet=But(ranges={"n": (1, 1, 1), "h": (640, 640, 640), "w": (640, 640, 640)}),
)

STATIC_SIZE = ProfileKind(
    id="profile/static-size",
    summary="A range for a size that is fixed",
    title="{input} has the fixed size {size} on {axes}",
    severities=(Severity.ERROR, Severity.WARNING),
    cause="""The model fixes the dimension and the profile asks for others.""",
    evidence="""
The fixed size and the range. The builder says `has static dimensions that don't match kMIN dimensions`.
""",
    example="""Batch 1..8 for a model exported with batch 4.""",
    fix="""Keep the size that the model is made for; where nothing in it needs that size, re-export with the axis
dynamic.""",
    shows=ModelText("g (float[4,3] x) => (float[4,3] y) { y = Relu (x) }", ranges={"x[0]": (1, 4, 8)}),
    quiet=But(ranges={"x[0]": (4, 4, 4)}),
)

SAME_SYMBOL = ProfileKind(
    id="profile/same-symbol",
    summary="One symbol, different ranges",
    title="Inputs that share the symbol {symbol} have different ranges",
    severities=(Severity.ERROR, Severity.WARNING),
    cause="""
Inputs that share a symbol must have equal sizes at run time, and the profile gives them different ranges. If
they differ at opt, the build fails: `Dimensions with name batch must be equal`.
""",
    evidence="""The ranges by input.""",
    example="""`ids [batch, 128]` with opt 2 and `mask [batch, 128]` with opt 3.""",
    fix="""The same range for both, or different symbols.""",
    shows=ModelText(
        "g (float[n,4] a, float[n,4] b) => (float[n,4] y) { y = Add (a, b) }",
        ranges={"a[0]": (1, 2, 4), "b[0]": (1, 3, 4)},
    ),
    quiet=But(ranges={"a[0]": (1, 2, 4), "b[0]": (1, 2, 4)}),
    rewrites=("separate-symbols",),
)

SHAPE_VALUES = ProfileKind(
    id="profile/shape-values",
    summary="A shape tensor without values",
    title="{input} is a shape tensor and has no values",
    severities=(Severity.ERROR, Severity.WARNING),
    cause="""An integer input decides the shape of other tensors. TensorRT needs its *values* at min, opt and max.""",
    evidence="""The input, and where it ends up. The builder says `missing values for shape input tensor`.""",
    example="""An input `target` that feeds Reshape.""",
    fix="""`set_shape_input`, or make it a constant or compute it from x.shape.""",
    shows=ModelText("g (float[n,4] x, int64[2] target) => (float[a,b] y) { [view] y = Reshape (x, target) }"),
    quiet=But(values={"target": Values((1, 4), (2, 4), (4, 4))}),
)

VALUES_UNORDERED = ProfileKind(
    id="profile/values-unordered",
    summary="Values of a shape tensor that fall from min to max",
    title="The values of {input} are out of order",
    cause="""TensorRT wants min <= opt <= max for every entry of a shape tensor's values, as for every dimension.""",
    evidence="""The entry and its three values.""",
    example="""`[2, 12]`, `[4, 6]`, `[4, 6]` for the target of a reshape: its second entry falls from 12 to 6.""",
    fix="""Values that do not fall; several profiles where one entry grows as another shrinks.""",
    shows=ModelText(
        "g (float[3,8] x, int64[2] target) => (float[a,b] y) { [view] y = Reshape (x, target) }",
        ranges={},
        values={"target": Values((2, 12), (4, 6), (4, 6))},
    ),
    quiet=But(values={"target": Values((4, 6), (4, 6), (4, 6))}),
)

UNKNOWN_KEY = ProfileKind(
    id="profile/unknown-key",
    summary="A range for something the model does not have",
    title="The profile has a range for {key}, and {mismatch}",
    cause="""A misspelt input, axis or symbol.""",
    evidence="""The key, and the model's inputs.""",
    example="""`--shapes image:1x3x224x224` for an input called `images`.""",
    fix="""Correct the name.""",
    shows=ModelText(
        "g (float[n,4] x) => (float[n,4] y) { y = Relu (x) }", ranges={"n": (1, 2, 4), "image[0]": (1, 1, 1)}
    ),
    quiet=But(ranges={"n": (1, 2, 4), "x[1]": (4, 4, 4)}),
)

INVALID = ProfileKind(
    id="profile/invalid",
    summary="The sizes that were given are not a valid profile",
    title="The optimization profile is not valid",
    cause="""
The ranges or values on the command line, or in friction.toml, break a rule that holds for every model: min ≤ opt
≤ max, no negative sizes, as many values at the three points. The model was not opened.
""",
    evidence="""The input or symbol, and the three sizes or values.""",
    example="""`--shapes "x:8x3..4x3..16x3"`: the optimum 4 is below the minimum 8.""",
    fix="""Put min, opt and max of every dimension in rising order.""",
    shows=Shown(
        "tests/commands/test_check.py::test_sizes_out_of_order_are_a_finding_and_no_sizes_at_all_a_wrong_command"
    ),
    quiet=Shown("tests/commands/test_check.py::test_a_healthy_model_passes"),
)

RELATION = Kind(
    id="profile/relation",
    summary="Sizes that break a relation",
    title="The ranges break {relation}",
    severities=(Severity.ERROR, Severity.WARNING),
    tiers=(Tier.SHAPES,),
    cause="""
A relation between sizes was declared, or the model has a dimension that is called by a sum, and the profile's sizes do
not satisfy it at min, opt or max. Where no sizes of the ranges satisfy it, nothing can be run at all (an error).
""",
    evidence="""The relation, and what both sides come to at the three points.""",
    example="""`total = past + seq` with past 64, seq 1 and total 64 at max.""",
    fix="""The range that follows from the others (the tool sets it), or drop the relation.""",
    shows=ModelText(
        """g (float[1,p] past, float[1,s] seq, float[1,"p + s"] mask) => (float[1,t] y) {
            all = Concat <axis = 1> (past, seq) y = Add (all, mask) }""",
        ranges={"p": (1, 2, 4), "s": (1, 1, 1), "p + s": (2, 2, 4)},
    ),
    quiet=ModelText(
        """g (float[1,p] past, float[1,s] seq, float[1,"p + s"] mask) => (float[1,t] y) {
            all = Concat <axis = 1> (past, seq) y = Add (all, mask) }""",
        ranges={"p": (1, 2, 4), "s": (1, 1, 1), "p + s": (2, 3, 5)},
    ),
    reads_sizes=True,
    matters=frozenset({"sizes"}),
)
