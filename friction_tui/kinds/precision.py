"""float16 inside the graph.

Spoken of only when the model or the precision asked for computes in float16.
"""

from friction_tui.kinds.examples import Shown
from friction_tui.kinds.kind import Kind
from friction_tui.vocabulary.finding import Severity, Tier

SUM_OF_SQUARES = Kind(
    id="precision/sum-of-squares",
    summary="A sum of squares in float16",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""256² is already Inf. A LayerNorm exported in pieces does it (`Running layernorm after self-attention in
FP16 may cause overflow`).""",
    evidence="""The nodes.""",
    example="""Pow, ReduceMean, Sqrt in place of LayerNormalization.""",
    fix="""Export at opset 17, or keep these nodes in fp32.""",
    shows=Shown(""),
    quiet=Shown(""),
)

EPSILON_UNDERFLOW = Kind(
    id="precision/epsilon-underflow",
    summary="An epsilon that is 0 in float16",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""Below 6e-8 an epsilon vanishes, and a division by it or a root gives Inf or NaN.""",
    evidence="""The constant and the node.""",
    example="""`eps=1e-12` of BERT in a float16 model.""",
    fix="""1e-5, or fp32 for these nodes.""",
    shows=Shown(""),
    quiet=Shown(""),
)

EXPONENTIAL = Kind(
    id="precision/exponential",
    summary="Exp without a bound in float16",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""Exp overflows from 11.1 on.""",
    evidence="""The nodes.""",
    example="""A hand-written softmax that does not subtract the maximum.""",
    fix="""Softmax, or subtract the maximum.""",
    shows=Shown(""),
    quiet=Shown(""),
)

CONSTANT_OVERFLOW = Kind(
    id="precision/constant-overflow",
    summary="A constant that is Inf in float16",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""A mask value such as -3.4e38 becomes -Inf, and a row masked altogether becomes NaN.""",
    evidence="""The constant and the node.""",
    example="""`torch.finfo(torch.float32).min` as attention mask.""",
    fix="""-65504 or -1e4.""",
    shows=Shown(""),
    quiet=Shown(""),
)
