"""Stored values.

Every tensor in the file and beside it is read once, up to a limit, small ones first.
"""

from functools import partial

from friction_tui.kinds.examples import Built, But, ModelText, Weights
from friction_tui.kinds.kind import Kind
from friction_tui.vocabulary.finding import Severity, Tier

_DENSE = "g (float[n,4] x) => (float[n,4] y) { y = MatMul (x, w) }"
_NORM = "g (float[n,2,4] x) => (float[n,2,4] y) { y = BatchNormalization (x, s, s, s, var) }"

WeightsKind = partial(
    Kind,
    tiers=(Tier.HAZARD,),
    matters=frozenset({"stored data"}),
)
"""What the kinds of this family have in common, unless they say otherwise."""

SIZE_MISMATCH = WeightsKind(
    id="weights/size-mismatch",
    summary="The data does not match the dims",
    title="The data of {name} {problem}",
    tiers=(Tier.MODEL,),
    cause="""dims and type need another number of bytes than `raw_data` (or the typed field) has. TensorRT says `Failed
to import initializer`.""",
    evidence="""Dims, bytes needed, bytes there.""",
    example="""dims 64 × 64 over 100 bytes.""",
    fix="""Re-export: the file is corrupt. In scripts use `numpy_helper.from_array`.""",
    shows=Built("""
def model():
    proto = onnx.parser.parse_model(
        '<ir_version: 9, opset_import: ["" : 17]> g (float[n,4] x) => (float[n,4] y) { y = MatMul (x, w) }'
    )
    proto.graph.initializer.add(name="w", data_type=TensorProto.FLOAT, dims=[4, 4], raw_data=bytes(60))
    return proto
"""),
    quiet=But("=bytes(60", "=bytes(64"),
    explains=("engine/initializer",),
)

NAN = WeightsKind(
    id="weights/nan",
    summary="NaN in a weight",
    title="NaN in {name}",
    cause="""The training diverged, or the file was damaged. Every output that depends on it is NaN, in every engine,
without an error.""",
    evidence="""How many, in which tensor, who reads it.""",
    example="""A checkpoint saved after the loss became NaN.""",
    fix="""Go back to an earlier checkpoint.""",
    shows=ModelText(_DENSE, weights=(Weights("w", (4, 4), (0.5, float("nan"))),)),
    quiet=ModelText(_DENSE, weights=(Weights("w", (4, 4), (0.5, 0.25)),)),
)

INF = WeightsKind(
    id="weights/inf",
    summary="Inf in a weight",
    title="Inf in {name}",
    cause="""As for NaN: every output that depends on it is Inf or NaN, in every engine, without an error. Bounds and
attention masks (a lone -Inf, a mask of 0 and -Inf) are not reported.""",
    evidence="""How many, in which tensor, who reads it.""",
    example="""+Inf in a bias.""",
    fix="""An earlier checkpoint; clamp a bound to a finite value.""",
    shows=ModelText(_DENSE, weights=(Weights("w", (4, 4), (0.5, float("inf"))),)),
    quiet=ModelText(
        "g (float[n,4] x) => (float[n,4] y) { y = Add (x, mask) }",
        weights=(Weights("mask", (4,), (0.0, float("-inf"))),),
    ),
)

FP16_UNDERFLOW = WeightsKind(
    id="weights/fp16-underflow",
    summary="Weights too small for float16",
    title="{name} underflows in fp16",
    severities=(Severity.WARNING,),
    cause="""All values of the tensor lie below float16's smallest normal number, 6.1e-5: in float16 they lose most
digits or become 0, and the layer is gone. TensorRT only logs `Detected subnormal FP16 values`.""",
    evidence="""The largest magnitude of each tensor.""",
    example="""A head whose weights are about 1e-8 because the loss was scaled.""",
    fix="""Keep the layer in fp32, use bf16, or rescale weights and output.""",
    shows=ModelText(_DENSE, weights=(Weights("w", (4, 4), (1e-8, -3e-8)),)),
    quiet=ModelText(_DENSE, weights=(Weights("w", (4, 4), (1e-8, 0.5)),)),
)

FP16_OVERFLOW = WeightsKind(
    id="weights/fp16-overflow",
    summary="Weights too large for float16",
    title="{name} overflows in fp16",
    severities=(Severity.WARNING,),
    cause="""Beyond 65504 a value is Inf in float16.""",
    evidence="""The largest magnitude of each tensor.""",
    example="""Weights that absorbed a normalization by 1e6.""",
    fix="""fp32 or bf16 for the layer, or rescale.""",
    shows=ModelText(_DENSE, weights=(Weights("w", (4, 4), (0.5, 1e6)),)),
    quiet=ModelText(_DENSE, weights=(Weights("w", (4, 4), (0.5, 6e4)),)),
)

GENERATED_CONSTANT = WeightsKind(
    id="weights/generated-constant",
    summary="A big constant of a single value",
    title="{size} of a single value",
    severities=(Severity.NOTE,),
    cause="""A constant folder expanded a scalar. It costs file size and memory, not correctness.""",
    evidence="""The tensors and their bytes.""",
    example="""A 64 MiB mask of zeros.""",
    fix="""Keep Expand or ConstantOfShape unfolded.""",
    shows=ModelText(
        "g (float[512,1024] x) => (float[512,1024] y) { h = Add (x, a) y = Mul (h, b) }",
        weights=(Weights("a", (512, 1024)), Weights("b", (1,), (0.5,))),
    ),
    quiet=But(weights=(Weights("a", (512, 1024), (1.0, 0.5)), Weights("b", (1,), (0.5,)))),
)

DUPLICATED = WeightsKind(
    id="weights/duplicated",
    summary="Weights stored twice",
    title="{size} of weights stored twice",
    severities=(Severity.NOTE,),
    cause="""Equal tensors under several names, often tied weights that the export copied.""",
    evidence="""The tensors and the bytes wasted.""",
    example="""Embedding and output head of a language model.""",
    fix="""Let them share one initializer.""",
    shows=ModelText(
        "g (float[512,1024] x) => (float[512,1024] y) { h = Add (x, a) y = Mul (h, b) }",
        weights=(Weights("a", (512, 1024), (1.0, 0.5)), Weights("b", (512, 1024), (1.0, 0.5))),
    ),
    quiet=But(weights=(Weights("a", (512, 1024), (1.0, 0.5)), Weights("b", (512, 1024), (0.5, 1.0)))),
)

NOT_READ = WeightsKind(
    id="weights/not-read",
    summary="Tensors that were not looked into",
    title="{count} large tensors were not looked into",
    severities=(Severity.NOTE,),
    tiers=(Tier.UNCHECKED,),
    cause="""The check has a limit of bytes; the largest tensors lie beyond.""",
    evidence="""Which ones, and their bytes.""",
    example="""A language model with 2 GiB of weights.""",
    fix="""Inspect the tensor on its own.""",
    shows=Built(
        """
def model():
    proto = onnx.parser.parse_model(
        '<ir_version: 9, opset_import: ["" : 17]> g (float[n,1000] x) => (float[n,m] y) { y = MatMul (x, w) }'
    )
    weight = proto.graph.initializer.add(name="w", data_type=TensorProto.FLOAT, dims=[1000, 130000])
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="w.data")
    with (folder / "w.data").open("wb") as file:
        file.truncate(1000 * 130000 * 4)
    return proto
""",
        ModelText("", parsed=False),
    ),
    quiet=But(", 130000]", ", 1000]", "* 130000 *", "* 1000 *"),
)

NEGATIVE_VARIANCE = WeightsKind(
    id="weights/negative-variance",
    summary="A batch norm with a negative variance",
    title="A negative variance in {tensor}",
    cause="""The layer divides by the root of its running variance. Below zero that is NaN, in every engine, without an
error.""",
    evidence="""How many channels, the first of them, the layer.""",
    example="""A script that swapped running mean and variance.""",
    fix="""Store the right statistics; an intact checkpoint.""",
    shows=ModelText(_NORM, weights=(Weights("s", (2,)), Weights("var", (2,), (0.5, -1.0)))),
    quiet=ModelText(_NORM, weights=(Weights("s", (2,)), Weights("var", (2,), (0.5, 0.0)))),
)

NEGATIVE_ROOT = WeightsKind(
    id="weights/negative-root",
    summary="The root or logarithm of a negative constant",
    title="{op} {node} of a negative constant",
    cause="""Sqrt or Log takes a constant with negative numbers in it: the result there is NaN, in every engine, without
an error.""",
    evidence="""How many negative values, in which constant, who takes the root.""",
    example="""`torch.log(self.class_prior)`, where a script stored the logarithms already.""",
    fix="""Clamp the values to a small positive number, or store what was meant.""",
    shows=ModelText(
        "g (float[n,4] x) => (float[n,4] y) { p = Log (prior) y = Add (x, p) }",
        weights=(Weights("prior", (4,), (0.5, -0.5)),),
    ),
    quiet=But(weights=(Weights("prior", (4,), (0.5, 0.0)),)),
)

ZERO_DIVISOR = WeightsKind(
    id="weights/zero-divisor",
    summary="A division by a stored zero",
    title="A division by zero in {node}",
    cause="""
The divisor is a constant with zeros in it: the result there is Inf or NaN, in every engine, without an error.
""",
    evidence="""How many zeros, in which constant, who divides.""",
    example="""Normalization by a standard deviation that is 0 for a feature that never varied.""",
    fix="""Add an epsilon, or replace the zeros by 1.""",
    shows=ModelText(
        "g (float[n,4] x) => (float[n,4] y) { y = Div (x, std) }", weights=(Weights("std", (4,), (0.5, 0.0)),)
    ),
    quiet=But(weights=(Weights("std", (4,), (0.5, 1.0)),)),
)
