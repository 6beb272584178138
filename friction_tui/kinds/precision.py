"""float16 inside the graph.

Warnings when the model or the precision asked for computes in float16; of a float32 model one line says how many
there would be.
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

IF_CONVERTED = Kind(
    id="precision/if-converted",
    summary="Hazards that a conversion to float16 would bring",
    title="If converted to fp16: {hazards}",
    severities=(Severity.NOTE,),
    tiers=(Tier.HAZARD,),
    cause="""The model computes in float32, where nothing is wrong. Some of its operators leave the range of float16: it
matters once the model, or the precision asked for, is float16, and each is a warning of its own then.""",
    evidence="""Which hazards, and the first node of each.""",
    example="""A LayerNorm exported in pieces, and an epsilon of 1e-12.""",
    fix="""None while the model stays float32. For float16, keep these nodes in fp32, or use bf16.""",
    shows=ModelText("g (float[n,8] x) => (float[n,1] y) { s = Mul (x, x) y = ReduceMean <axes = [1]> (s) }"),
    quiet=ModelText("g (float[n,8] x) => (float[n,1] y) { s = Abs (x) y = ReduceMean <axes = [1]> (s) }"),
    gives_reason=False,
)

MASKS_ADDED = Kind(
    id="precision/masks-added",
    summary="Two masks of the lowest number, added to each other",
    title="{op} {node} adds two masks of -3.4e38",
    severities=(Severity.WARNING,),
    tiers=(Tier.HAZARD,),
    cause="""-3.4e38 is the lowest number of float32. A causal mask and a padding mask that both use it sum to -Inf, and
a row that is masked altogether becomes NaN in the Softmax, in every runtime, without an error.""",
    evidence="""The node that adds them.""",
    example="""`scores + causal + (1 - attention_mask) * torch.finfo(torch.float32).min`.""",
    fix="""Combine the masks first, or use -1e9.""",
    shows=ModelText(
        """g (float[n,4] scores, float[n,4] padding) => (float[n,4] y) {
            m = Mul (padding, lowest) s = Add (scores, causal) t = Add (s, m) y = Softmax <axis = 1> (t) }""",
        weights=(Weights("lowest", (), (-3.4e38,)), Weights("causal", (4,), (0.0, -3.4e38))),
    ),
    quiet=ModelText(
        """g (float[n,4] scores, float[n,4] padding) => (float[n,4] y) {
            m = Mul (padding, lowest) s = Add (scores, causal) t = Add (s, m) y = Softmax <axis = 1> (t) }""",
        weights=(Weights("lowest", (), (-1e9,)), Weights("causal", (4,), (0.0, -3.4e38))),
    ),
)
