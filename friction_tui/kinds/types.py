"""Element types.

What TensorRT does with each type was measured with one-node models: float64 is narrowed without an error; int16, uint16
and wider unsigned integers, strings, complex and some 8-bit floats are refused even where nothing reads them; uint8 is
taken only at the border.
"""

from functools import partial

from friction_tui.kinds.examples import But, ModelText, Weights
from friction_tui.kinds.kind import Kind
from friction_tui.vocabulary.finding import Severity, Tier

TypesKind = partial(
    Kind,
    matters=frozenset({"element type"}),
    moot_under=("weights/size-mismatch",),
)
"""What the kinds of this family have in common, unless they say otherwise."""

MISMATCH = TypesKind(
    id="types/mismatch",
    summary="Inputs of different types",
    title="{what} mixes {first} and {second}",
    severities=(Severity.ERROR, Severity.WARNING),
    tiers=(Tier.MODEL, Tier.PARSER, Tier.BUILDER),
    cause="""The operator wants one type for several inputs and gets two; ONNX converts nothing by itself.""",
    evidence="""Both tensors with their types.""",
    example="""`Add(float32, int64)` after a Cast was lost in an edit; If branches that return float32 and int64.""",
    fix="""Insert a Cast, or make the constant in the right type.""",
    shows=ModelText("g (float[n,4] x, int64[n,4] k) => (float[n,4] y) { [add] y = Add (x, k) }"),
    quiet=ModelText("g (float[n,4] x, int64[n,4] k) => (float[n,4] y) { f = Cast <to = 1> (k) [add] y = Add (x, f) }"),
    rewrites=("cast-to-widest",),
)

NOT_ALLOWED = TypesKind(
    id="types/not-allowed",
    summary="A type the operator does not take",
    title="{op} does not take {dtype} as {input}",
    tiers=(Tier.MODEL,),
    cause="""ONNX's schema at this opset does not list the type for that input.""",
    evidence="""The tensor, its type, and the ones allowed.""",
    example="""`Gather` with float32 indices, `Relu` on int32 below opset 14.""",
    fix="""Cast, or convert to an opset that takes it.""",
    shows=ModelText("g (float[n,4] x, float[1] i) => (float[1,4] y) { [look] y = Gather (x, i) }"),
    quiet=But("x, float[", "x, int64["),
    moot_under=("types/mismatch",),
    rewrites=("cast-to-allowed",),
)

FALSE_DECLARATION = TypesKind(
    id="types/false-declaration",
    summary="A declared type that is not the real one",
    title="{what} {tensor} is not of its declared type",
    tiers=(Tier.MODEL,),
    cause="""An output or a recorded tensor is declared with another type than its node makes. ONNX Runtime refuses the
model.""",
    evidence="""Both types and the node.""",
    example="""`to=FLOAT16` was changed and the output's declaration was not.""",
    fix="""Correct the declaration, or add a Cast.""",
    shows=ModelText("g (float[n,4] x) => (float16[n,4] y) { y = Relu (x) }"),
    quiet=ModelText("g (float[n,4] x) => (float16[n,4] y) { h = Relu (x) y = Cast <to = 10> (h) }"),
    rewrites=("cast-to-declared",),
)

UNSUPPORTED_INPUT = TypesKind(
    id="types/unsupported-input",
    summary="An input of a type TensorRT does not have",
    title="Input {name} is {dtype}",
    severities=(Severity.ERROR, Severity.WARNING),
    tiers=(Tier.PARSER, Tier.BUILDER),
    cause="""TensorRT says `Failed to convert ONNX date type to TensorRT data type`, without node or type.""",
    evidence="""The input, its type, the first node that reads it.""",
    example="""An int16 audio input, a string input of a scikit-learn pipeline.""",
    fix="""Declare another type and cast outside, or move that part out of the engine.""",
    shows=ModelText("g (int16[n,4] x) => (float[n,4] y) { y = Cast <to = 1> (x) }"),
    quiet=But("g (int16", "g (int32"),
    matters=frozenset({"element type", "undeclared type"}),
    moot_beside=("export/missing-onnx-function",),
    rewrites=(
        "remove-unread-inputs",
        "wider-border",
    ),
)

UNSUPPORTED_OUTPUT = TypesKind(
    id="types/unsupported-output",
    summary="An output of a type TensorRT does not have",
    title="Output {name} is {dtype}",
    tiers=(Tier.PARSER,),
    cause="""As for inputs, TensorRT says `Failed to convert ONNX date type to TensorRT data type`, without node or
type.""",
    evidence="""The output and its type.""",
    example="""String labels of a classifier.""",
    fix="""Return integer ids and look the label up outside.""",
    shows=ModelText("g (float[n,4] x) => (int16[n,4] y) { y = Cast <to = 5> (x) }"),
    quiet=ModelText("g (float[n,4] x) => (int32[n,4] y) { y = Cast <to = 6> (x) }"),
    rewrites=("wider-border", "number-labels"),
)

UNSUPPORTED_INITIALIZER = TypesKind(
    id="types/unsupported-initializer",
    summary="A stored tensor of a type TensorRT does not have",
    title="{what} {name} is {dtype}",
    tiers=(Tier.PARSER,),
    cause="""
TensorRT imports every initializer, unused ones too, and says `Failed to import initializer` with node -1.
""",
    evidence="""The initializer, its type, who reads it.""",
    example="""Class names (strings), uint16 tables.""",
    fix="""Remove it, or store it in another type.""",
    shows=ModelText(
        "g (int64[n] i) => (float[n] y) { r = Gather (table, i) y = Cast <to = 1> (r) }",
        weights=(Weights("table", (4,), dtype="uint16"),),
    ),
    quiet=But(weights=(Weights("table", (4,), dtype="int32"),)),
    moot_beside=("export/missing-onnx-function",),
    rewrites=(
        "remove-unread",
        "narrow-integers",
        "quantization-in-float",
        "integer-kernels-in-float",
        "wider-border",
        "number-labels",
    ),
)

UNSUPPORTED_CAST = TypesKind(
    id="types/unsupported-cast",
    summary="A Cast to a type TensorRT does not have",
    title="Cast to {dtype}",
    severities=(Severity.ERROR, Severity.WARNING),
    tiers=(Tier.PARSER, Tier.BUILDER),
    cause="""`Unsupported data type for the Cast operator!`""",
    evidence="""The Casts and the type.""",
    example="""`Cast(to=INT16)` for a wrap-around.""",
    fix="""Cast to int32 or float32 instead.""",
    shows=ModelText("g (float[n,4] x) => (float[n,4] y) { [wrap] h = Cast <to = 5> (x) y = Cast <to = 1> (h) }"),
    quiet=But("Cast <to = 5", "Cast <to = 6"),
    rewrites=("narrow-integers", "quantization-in-float", "integer-kernels-in-float", "wider-border"),
)

NOT_A_TENSOR = TypesKind(
    id="types/not-a-tensor",
    summary="An input or output that is not a tensor",
    title="{place} {name} is {type}, not a tensor",
    tiers=(Tier.PARSER,),
    cause="""Sequences, maps and optionals do not exist in TensorRT.""",
    evidence="""The input or output and what it is.""",
    example="""ZipMap's list of dictionaries.""",
    fix="""One tensor per element; ZipMap off.""",
    shows=ModelText("g (float[n,4] x) => (seq(float[n,4]) y) { y = SequenceConstruct (x) }"),
    quiet=ModelText("g (float[n,4] x) => (float[n,4] y) { y = Identity (x) }"),
    rewrites=("number-labels",),
)

FLOAT64 = TypesKind(
    id="types/float64",
    summary="float64 is narrowed to float32",
    title="float64 (double) is narrowed to float32: {name}",
    severities=(Severity.WARNING,),
    tiers=(Tier.HAZARD,),
    cause="""TensorRT has no float64. Inputs, weights and results become float32 without an error: bindings have half
the bytes the model says, and 29 bits of precision are gone.""",
    evidence="""Inputs, constants, nodes and outputs of the type.""",
    example="""`torch.from_numpy(np.array(...))`: numpy's default leaked into the export.""",
    fix="""Export in float32, or put a Cast at the border.""",
    shows=ModelText("g (double[n,4] x) => (double[n,4] y) { y = Relu (x) }"),
    quiet=ModelText("g (float[n,4] x) => (float[n,4] y) { d = Cast <to = 11> (x) y = Cast <to = 1> (d) }"),
    rewrites=("float64-in-float32",),
)

UINT8_INSIDE = TypesKind(
    id="types/uint8-inside",
    summary="uint8 inside the network",
    title="uint8 inside the network: {tensor}",
    tiers=(Tier.PARSER,),
    cause="""TensorRT takes uint8 from an input into a Cast and from a Cast into an output, nowhere else.""",
    evidence="""The tensor and the first node that works with it.""",
    example="""A TensorFlow image input that is transposed before it is cast.""",
    fix="""Cast directly behind the input.""",
    shows=ModelText("g (uint8[n,4] pixels) => (float[4,n] y) { t = Transpose (pixels) y = Cast <to = 1> (t) }"),
    quiet=ModelText("g (uint8[n,4] pixels) => (float[4,n] y) { f = Cast <to = 1> (pixels) y = Transpose (f) }"),
    moot_under=("operators/integer-quantized",),
    rewrites=("narrow-integers", "quantization-in-float", "integer-kernels-in-float", "wider-border"),
)

QUANTIZED_CONSTANT = TypesKind(
    id="types/quantized-constant",
    summary="A quantized constant that is not dequantized",
    title="{dtype} constant {name} is read by {op}",
    severities=(Severity.ERROR, Severity.WARNING),
    tiers=(Tier.BUILDER, Tier.PARSER),
    cause="""int8, int4 and fp8 constants may only stand in front of a DequantizeLinear. The parser accepts it, the
builder says `Quantized constant is only allowed before DQ`.""",
    evidence="""The constant and the node that reads it.""",
    example="""An int8 embedding table read by Gather, int8 weights behind a Reshape.""",
    fix="""Dequantize first, or store int32.""",
    shows=ModelText(
        "g (int64[n] i) => (float[n,4] y) { r = Gather (table, i) y = Cast <to = 1> (r) }",
        weights=(Weights("table", (8, 4), dtype="int8"),),
    ),
    quiet=ModelText(
        "g (int64[n] i) => (float[n,4] y) { f = DequantizeLinear (table, scale) y = Gather (f, i) }",
        weights=(Weights("table", (8, 4), dtype="int8"), Weights("scale", (), (0.1,))),
    ),
    moot_under=("operators/integer-quantized",),
    rewrites=("narrow-integers", "quantization-in-float", "integer-kernels-in-float", "wider-border"),
)

BFLOAT16 = TypesKind(
    id="types/bfloat16",
    summary="bfloat16 needs Ampere or newer",
    title="bfloat16 needs an Ampere GPU or newer",
    severities=(Severity.NOTE, Severity.WARNING),
    tiers=(Tier.HAZARD,),
    cause="""Turing (SM75) has no bfloat16.""",
    evidence="""How many tensors, and the target.""",
    example="""A model trained in bf16 for a T4.""",
    fix="""float16 or float32 for older GPUs.""",
    shows=ModelText("g (bfloat16[n,4] x) => (bfloat16[n,4] y) { y = Relu (x) }", target="SM75"),
    quiet=ModelText("g (float16[n,4] x) => (float16[n,4] y) { y = Relu (x) }", target="SM75"),
    rewrites=("bfloat16-in-float32",),
)

LOSSY_CAST = Kind(
    id="types/lossy-cast",
    summary="Fractions that a detour through integers cuts off",
    title="Cast {node} cuts off fractions in the middle of the network",
    severities=(Severity.WARNING,),
    tiers=(Tier.HAZARD,),
    cause="""A Cast makes floats whole numbers, and all that reads the result makes it floating again. What lay behind
the point is gone, in every runtime. Casts of sizes and positions, and behind Floor or Round, are not reported.""",
    evidence="""Both Casts.""",
    example="""`x.long().float()` left from a debugging session.""",
    fix="""Remove both Casts, or write Floor, Trunc or Round if that is meant.""",
    shows=ModelText("""g (float[n,8] x) => (float[n,8] y) {
        a = Sigmoid (x) i = Cast <to = 7> (a) f = Cast <to = 1> (i) y = Add (f, x) }"""),
    quiet=ModelText("""g (float[n,8] x) => (float[n,8] y) {
        a = Sigmoid (x) r = Round (a) i = Cast <to = 7> (r) f = Cast <to = 1> (i) y = Add (f, x) }"""),
)
