"""Stored values.

Every tensor in the file and beside it is read once, up to a limit, small ones first.
"""

from friction_tui.kinds.examples import Shown
from friction_tui.kinds.kind import Kind
from friction_tui.vocabulary.finding import Severity, Tier

SIZE_MISMATCH = Kind(
    id="weights/size-mismatch",
    summary="The data does not match the dims",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""dims and type need another number of bytes than `raw_data` (or the typed field) has. TensorRT says `Failed
to import initializer`.""",
    evidence="""Dims, bytes needed, bytes there.""",
    example="""dims 64 × 64 over 100 bytes.""",
    fix="""Re-export: the file is corrupt. In scripts use `numpy_helper.from_array`.""",
    shows=Shown(""),
    quiet=Shown(""),
    matters=frozenset({"stored data"}),
    explains=("engine/initializer",),
)

NAN = Kind(
    id="weights/nan",
    summary="NaN in a weight",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""The training diverged, or the file was damaged. Every output that depends on it is NaN, in every engine,
without an error.""",
    evidence="""How many, in which tensor, who reads it.""",
    example="""A checkpoint saved after the loss became NaN.""",
    fix="""Go back to an earlier checkpoint.""",
    shows=Shown(""),
    quiet=Shown(""),
    matters=frozenset({"stored data"}),
)

INF = Kind(
    id="weights/inf",
    summary="Inf in a weight",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""As NaN. Bounds and attention masks (a lone -Inf, a mask of 0 and -Inf) are not meant.""",
    evidence="""How many, in which tensor, who reads it.""",
    example="""+Inf in a bias.""",
    fix="""An earlier checkpoint; clamp a bound to a finite value.""",
    shows=Shown(""),
    quiet=Shown(""),
    matters=frozenset({"stored data"}),
)

FP16_UNDERFLOW = Kind(
    id="weights/fp16-underflow",
    summary="Weights too small for float16",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""All values of the tensor lie below float16's smallest normal number, 6.1e-5: in float16 they lose most
digits or become 0, and the layer is gone. TensorRT only logs `Detected subnormal FP16 values`.""",
    evidence="""The largest magnitude of each tensor.""",
    example="""A head whose weights are about 1e-8 because the loss was scaled.""",
    fix="""Keep the layer in fp32, use bf16, or rescale weights and output.""",
    shows=Shown(""),
    quiet=Shown(""),
    matters=frozenset({"stored data"}),
)

FP16_OVERFLOW = Kind(
    id="weights/fp16-overflow",
    summary="Weights too large for float16",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""Beyond 65504 a value is Inf in float16.""",
    evidence="""The largest magnitude of each tensor.""",
    example="""Weights that absorbed a normalization by 1e6.""",
    fix="""fp32 or bf16 for the layer, or rescale.""",
    shows=Shown(""),
    quiet=Shown(""),
    matters=frozenset({"stored data"}),
)

GENERATED_CONSTANT = Kind(
    id="weights/generated-constant",
    summary="A big constant of a single value",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""A constant folder expanded a scalar. It costs file size and memory, not correctness.""",
    evidence="""The tensors and their bytes.""",
    example="""A 64 MiB mask of zeros.""",
    fix="""Keep Expand or ConstantOfShape unfolded.""",
    shows=Shown(""),
    quiet=Shown(""),
    matters=frozenset({"stored data"}),
)

DUPLICATED = Kind(
    id="weights/duplicated",
    summary="Weights stored twice",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""Equal tensors under several names, often tied weights that the export copied.""",
    evidence="""The tensors and the bytes wasted.""",
    example="""Embedding and output head of a language model.""",
    fix="""Let them share one initializer.""",
    shows=Shown(""),
    quiet=Shown(""),
    matters=frozenset({"stored data"}),
)

NOT_READ = Kind(
    id="weights/not-read",
    summary="Tensors that were not looked into",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""The check has a limit of bytes; the largest tensors lie beyond.""",
    evidence="""Which ones, and their bytes.""",
    example="""A language model with 2 GiB of weights.""",
    fix="""Inspect the tensor on its own.""",
    shows=Shown(""),
    quiet=Shown(""),
    matters=frozenset({"stored data"}),
)

NEGATIVE_VARIANCE = Kind(
    id="weights/negative-variance",
    summary="A batch norm with a negative variance",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""The layer divides by the root of its running variance. Below zero that is NaN, in every engine, without an
error.""",
    evidence="""How many channels, the first of them, the layer.""",
    example="""A script that swapped running mean and variance.""",
    fix="""Store the right statistics; an intact checkpoint.""",
    shows=Shown(""),
    quiet=Shown(""),
    matters=frozenset({"stored data"}),
)

NEGATIVE_ROOT = Kind(
    id="weights/negative-root",
    summary="The root or logarithm of a negative constant",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""Sqrt or Log takes a constant with negative numbers in it: the result there is NaN, in every engine, without
an error.""",
    evidence="""How many negative values, in which constant, who takes the root.""",
    example="""`torch.log(self.class_prior)`, where a script stored the logarithms already.""",
    fix="""Clamp the values to a small positive number, or store what was meant.""",
    shows=Shown(""),
    quiet=Shown(""),
    matters=frozenset({"stored data"}),
)

ZERO_DIVISOR = Kind(
    id="weights/zero-divisor",
    summary="A division by a stored zero",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""
The divisor is a constant with zeros in it: the result there is Inf or NaN, in every engine, without an error.
""",
    evidence="""How many zeros, in which constant, who divides.""",
    example="""Normalization by a standard deviation that is 0 for a feature that never varied.""",
    fix="""Add an epsilon, or replace the zeros by 1.""",
    shows=Shown(""),
    quiet=Shown(""),
    matters=frozenset({"stored data"}),
)
