"""Wasted work.

Notes only: the result is right.
"""

from friction_tui.kinds.examples import But, ModelText, Weights
from friction_tui.kinds.kind import Kind
from friction_tui.vocabulary.finding import Severity, Tier

UNFOLDED_BATCH_NORM = Kind(
    id="performance/unfolded-batch-norm",
    summary="A BatchNorm that is not folded",
    title="{norms} not folded into a Conv",
    severities=(Severity.NOTE,),
    tiers=(Tier.HAZARD,),
    cause="""Conv and BatchNormalization with constant parameters are one Conv. TensorRT fuses them itself; quantization
tools do not.""",
    evidence="""The pairs.""",
    example="""An export without constant folding.""",
    fix="""Fold it with onnxscript's optimizer or onnxslim.""",
    shows=ModelText(
        """
        g (float[1,2,4,4] x) => (float[1,2,4,4] y) {
            [conv] h = Conv (x, w)
            [bn] y = BatchNormalization (h, s, s, s, s) }
    """,
        ranges={},
        weights=(Weights("w", (2, 2, 1, 1)), Weights("s", (2,))),
    ),
    quiet=But("Conv (x, w", "Relu (x"),
)

TRANSPOSE_PAIR = Kind(
    id="performance/transpose-pair",
    summary="Transposes that cancel",
    title="{pairs} of Transpose that cancel",
    severities=(Severity.NOTE,),
    tiers=(Tier.HAZARD,),
    cause="""Two permutations, perhaps with element-wise operators between, that undo each other.""",
    evidence="""The pairs and their perm.""",
    example="""tf2onnx's NHWC ↔ NCHW sandwich around every Conv.""",
    fix="""`--inputs-as-nchw`, or an optimizer.""",
    shows=ModelText(
        """
        g (float[1,4,4,2] x) => (float[1,4,a,b] y) {
            [first] h = Transpose <perm = [0, 3, 1, 2]> (x)
            r = Relu (h)
            [second] y = Transpose <perm = [0, 2, 3, 1]> (r) }
    """,
        ranges={},
    ),
    quiet=But(", 2, 3, 1", ", 3, 1, 2"),
)

LARGE_ACTIVATION = Kind(
    id="performance/large-activation",
    summary="An activation too large for most GPUs",
    title="{op} {node} makes {size} at max",
    severities=(Severity.NOTE, Severity.WARNING),
    tiers=(Tier.HAZARD,),
    cause="""
One tensor takes 4 GB or more at the max of the ranges, often because an operator grows with the square of a
size: attention scores are L × L.
""",
    evidence="""The tensor, its size at max, its bytes at min, opt and max. A note; a warning when no GPU holds it.""",
    example="""
`softmax(q @ k.T)` with a sequence of 65,536: 17.2 GB, where opt's 1,024 take 4 MB. TensorRT says `Skipping
tactic 3 due to insufficient memory on requested size of 68719476736`.
""",
    fix="""Lower the max; give rare sizes a profile of their own; compute in chunks or with fused attention; fp16.""",
    shows=ModelText(
        """
        g (float[1,t,64] x) => (float[1,t,64] y) {
            k = Transpose <perm = [0, 2, 1]> (x)
            [scores] s = MatMul (x, k)
            p = Softmax (s)
            y = MatMul (p, x) }
    """,
        ranges={"t": (128, 1024, 65536)},
    ),
    quiet=But(ranges={"t": (128, 1024, 8192)}),
    reads_sizes=True,
)
