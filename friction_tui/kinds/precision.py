"""float16 inside the graph.

Reported only when the model or the precision asked for computes in float16.
"""

from functools import partial

from friction_tui.kinds.examples import But, ModelText, Weights
from friction_tui.kinds.kind import Kind
from friction_tui.vocabulary.finding import Severity, Tier
from friction_tui.vocabulary.recipe import Precision

PrecisionKind = partial(
    Kind,
    severities=(Severity.WARNING,),
    tiers=(Tier.HAZARD,),
)
"""What the kinds of this family have in common, unless they say otherwise."""

SUM_OF_SQUARES = PrecisionKind(
    id="precision/sum-of-squares",
    summary="A sum of squares in float16",
    title="Sums of squares in fp16",
    cause="""256² is already Inf. A LayerNorm exported in pieces does it (`Running layernorm after self-attention in
FP16 may cause overflow`).""",
    evidence="""The nodes.""",
    example="""Pow, ReduceMean, Sqrt in place of LayerNormalization.""",
    fix="""Export at opset 17, or keep these nodes in fp32.""",
    rewrites=("fuse-layer-norm",),
    shows=ModelText(
        "g (float[n,8] x) => (float[n,1] y) { s = Mul (x, x) y = ReduceMean <axes = [1]> (s) }",
        precision=Precision.FP16,
    ),
    quiet=But("Mul (x, x", "Abs (x"),
)

EPSILON_UNDERFLOW = PrecisionKind(
    id="precision/epsilon-underflow",
    summary="An epsilon that is 0 in float16",
    title="{epsilon} 0 in fp16",
    cause="""Below 6e-8 an epsilon vanishes, and a division by it or a root gives Inf or NaN.""",
    evidence="""The constant and the node.""",
    example="""`eps=1e-12` of BERT in a float16 model.""",
    fix="""1e-5, or fp32 for these nodes.""",
    shows=ModelText(
        "g (float[n,8] x) => (float[n,8] y) { v = Add (x, eps) y = Sqrt (v) }",
        precision=Precision.FP16,
        weights=(Weights("eps", (), (1e-12,)),),
    ),
    quiet=But(weights=(Weights("eps", (), (1e-5,)),)),
)

EXPONENTIAL = PrecisionKind(
    id="precision/exponential",
    summary="Exp without a bound in float16",
    title="Exp without a bound in fp16",
    cause="""Exp overflows from 11.1 on.""",
    evidence="""The nodes.""",
    example="""A hand-written softmax that does not subtract the maximum.""",
    fix="""Softmax, or subtract the maximum.""",
    shows=ModelText("g (float[n,8] x) => (float[n,8] y) { y = Exp (x) }", precision=Precision.FP16),
    quiet=ModelText(
        "g (float[n,8] x, float[n,1] largest) => (float[n,8] y) { d = Sub (x, largest) y = Exp (d) }",
        precision=Precision.FP16,
    ),
)

CONSTANT_OVERFLOW = PrecisionKind(
    id="precision/constant-overflow",
    summary="A constant that is Inf in float16",
    title="The constant {value} is Inf in fp16",
    cause="""A mask value such as -3.4e38 becomes -Inf, and a row masked altogether becomes NaN.""",
    evidence="""The constant and the node.""",
    example="""`torch.finfo(torch.float32).min` as attention mask.""",
    fix="""-65504 or -1e4.""",
    shows=ModelText(
        "g (float[n,8] x) => (float[n,8] y) { y = Add (x, mask) }",
        precision=Precision.FP16,
        weights=(Weights("mask", (), (-3.4e38,)),),
    ),
    quiet=But(weights=(Weights("mask", (), (-1e4,)),)),
)
