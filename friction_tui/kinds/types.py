"""Element types.

What TensorRT does with each type was measured with one-node models: float64 is narrowed in silence; int16, uint16 and
wider unsigned integers, strings, complex and some 8-bit floats are refused even where nothing reads them; uint8 lives
only at the border.
"""

from friction_tui.kinds.examples import Shown
from friction_tui.kinds.kind import Kind
from friction_tui.vocabulary.finding import Severity, Tier

MISMATCH = Kind(
    id="types/mismatch",
    summary="Inputs of different types",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""The operator wants one type for several inputs and gets two; ONNX converts nothing by itself.""",
    evidence="""Both tensors with their types.""",
    example="""`Add(float32, int64)` after a Cast was lost in an edit; If branches that return float32 and int64.""",
    fix="""Insert a Cast, or make the constant in the right type.""",
    shows=Shown(""),
    quiet=Shown(""),
    matters=frozenset({"element type"}),
    moot_under=("weights/size-mismatch",),
)

NOT_ALLOWED = Kind(
    id="types/not-allowed",
    summary="A type the operator does not take",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""ONNX's schema at this opset does not list the type for that input.""",
    evidence="""The tensor, its type, and the ones allowed.""",
    example="""`Gather` with float32 indices, `Relu` on int32 below opset 14.""",
    fix="""Cast, or convert to an opset that takes it.""",
    shows=Shown(""),
    quiet=Shown(""),
    matters=frozenset({"element type"}),
    moot_under=("types/mismatch",),
)

FALSE_DECLARATION = Kind(
    id="types/false-declaration",
    summary="A declared type that is not the real one",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""An output or a recorded tensor is declared with another type than its node makes. ONNX Runtime refuses the
model.""",
    evidence="""Both types and the node.""",
    example="""`to=FLOAT16` was changed and the output's declaration was not.""",
    fix="""Correct the declaration, or add a Cast.""",
    shows=Shown(""),
    quiet=Shown(""),
    matters=frozenset({"element type"}),
    moot_under=("weights/size-mismatch",),
)

UNSUPPORTED_INPUT = Kind(
    id="types/unsupported-input",
    summary="An input of a type TensorRT does not have",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""TensorRT says `Failed to convert ONNX date type to TensorRT data type`, without node or type.""",
    evidence="""The input, its type, the first node that reads it.""",
    example="""An int16 audio input, a string input of a scikit-learn pipeline.""",
    fix="""Declare another type and cast outside, or move that part out of the engine.""",
    shows=Shown(""),
    quiet=Shown(""),
    matters=frozenset({"element type", "undeclared type"}),
    moot_under=("weights/size-mismatch",),
)

UNSUPPORTED_OUTPUT = Kind(
    id="types/unsupported-output",
    summary="An output of a type TensorRT does not have",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""As for inputs.""",
    evidence="""The output and its type.""",
    example="""String labels of a classifier.""",
    fix="""Return integer ids and look the label up outside.""",
    shows=Shown(""),
    quiet=Shown(""),
    matters=frozenset({"element type"}),
    moot_under=("weights/size-mismatch",),
)

UNSUPPORTED_INITIALIZER = Kind(
    id="types/unsupported-initializer",
    summary="A stored tensor of a type TensorRT does not have",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""
TensorRT imports every initializer, unused ones too, and says `Failed to import initializer` with node -1.
""",
    evidence="""The initializer, its type, who reads it.""",
    example="""Class names (strings), uint16 tables.""",
    fix="""Remove it, or store it in another type.""",
    shows=Shown(""),
    quiet=Shown(""),
    matters=frozenset({"element type"}),
    moot_under=("weights/size-mismatch",),
)

UNSUPPORTED_CAST = Kind(
    id="types/unsupported-cast",
    summary="A Cast to a type TensorRT does not have",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""`Unsupported data type for the Cast operator!`""",
    evidence="""The Casts and the type.""",
    example="""`Cast(to=INT16)` for a wrap-around.""",
    fix="""Cast to int32 or float32 instead.""",
    shows=Shown(""),
    quiet=Shown(""),
    matters=frozenset({"element type"}),
    moot_under=("weights/size-mismatch",),
)

NOT_A_TENSOR = Kind(
    id="types/not-a-tensor",
    summary="An input or output that is no tensor",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""Sequences, maps and optionals do not exist in TensorRT.""",
    evidence="""The input or output and what it is.""",
    example="""ZipMap's list of dictionaries.""",
    fix="""One tensor per element; ZipMap off.""",
    shows=Shown(""),
    quiet=Shown(""),
    matters=frozenset({"element type"}),
    moot_under=("weights/size-mismatch",),
)

FLOAT64 = Kind(
    id="types/float64",
    summary="float64 is narrowed to float32",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""TensorRT has no float64. Inputs, weights and results become float32 without an error: bindings have half
the bytes the model says, and 29 bits of precision are gone.""",
    evidence="""Inputs, constants, nodes and outputs of the type.""",
    example="""`torch.from_numpy(np.array(...))`: numpy's default leaked into the export.""",
    fix="""Export in float32, or put a Cast at the border.""",
    shows=Shown(""),
    quiet=Shown(""),
    matters=frozenset({"element type"}),
    moot_under=("weights/size-mismatch",),
)

UINT8_INSIDE = Kind(
    id="types/uint8-inside",
    summary="uint8 inside the network",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""TensorRT takes uint8 from an input into a Cast and from a Cast into an output, nowhere else.""",
    evidence="""The tensor and the first node that works with it.""",
    example="""A TensorFlow image input that is transposed before it is cast.""",
    fix="""Cast directly behind the input.""",
    shows=Shown(""),
    quiet=Shown(""),
    matters=frozenset({"element type"}),
    moot_under=("operators/integer-quantized",),
)

QUANTIZED_CONSTANT = Kind(
    id="types/quantized-constant",
    summary="A quantized constant that is not dequantized",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""int8, int4 and fp8 constants may only stand in front of a DequantizeLinear. The parser accepts it, the
builder says `Quantized constant is only allowed before DQ`.""",
    evidence="""The constant and the node that reads it.""",
    example="""An int8 embedding table read by Gather, int8 weights behind a Reshape.""",
    fix="""Dequantize first, or store int32.""",
    shows=Shown(""),
    quiet=Shown(""),
    matters=frozenset({"element type"}),
    moot_under=("operators/integer-quantized",),
)

BFLOAT16 = Kind(
    id="types/bfloat16",
    summary="bfloat16 needs Ampere or newer",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""Turing (SM75) has no bfloat16.""",
    evidence="""How many tensors, and the target.""",
    example="""A model trained in bf16 for a T4.""",
    fix="""float16 or float32 for older GPUs.""",
    shows=Shown(""),
    quiet=Shown(""),
    matters=frozenset({"element type"}),
    moot_under=("weights/size-mismatch",),
)
