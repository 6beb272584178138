"""Older TensorRT.

Notes: fine on this target, not on an older TensorRT; errors where `friction.toml` requires such a version
(`required_tensorrt`). From the importers of onnx-tensorrt by release branch.
"""

from friction_tui.kinds.examples import ModelText, Weights
from friction_tui.kinds.kind import Kind
from friction_tui.vocabulary.finding import Severity, Tier
from friction_tui.vocabulary.recipe import Values

COMPUTED_SCALES = Kind(
    id="older/computed-scales",
    summary="Resize or Upsample with computed scales",
    title="{subject} with computed scales",
    severities=(Severity.NOTE, Severity.ERROR),
    tiers=(Tier.PARSER,),
    cause="""Before 8.4: `Resize scales must be an initializer`.""",
    evidence="""The node.""",
    example="""`F.interpolate(scale_factor=2)` at opset 9.""",
    fix="""Opset 11 with sizes.""",
    shows=ModelText(
        "g (float[1,1,2,2] x, float[4] f) => (float[1,1,h,w] y) { t = Mul (f, f) y = Upsample (x, t) }",
        opset=9,
        parsed=False,
    ),
    quiet=ModelText(
        "g (float[1,1,2,2] x) => (float[1,1,4,4] y) { y = Upsample (x, s) }",
        opset=9,
        weights=(Weights("s", (4,), (1, 1, 2, 2)),),
    ),
    gives_reason=False,
    moot_under=("*",),
)

COMPUTED_K = Kind(
    id="older/computed-k",
    summary="TopK with a computed K",
    title="TopK with a computed K",
    severities=(Severity.NOTE, Severity.ERROR),
    tiers=(Tier.PARSER,),
    cause="""Before 8.6: `only supports input K as an initializer`.""",
    evidence="""The node.""",
    example="""`min(100, n)`.""",
    fix="""A constant K.""",
    shows=ModelText(
        "g (float[9] x, int64[1] k) => (float[a] y, int64[a] i) { kk = Add (k, k) y, i = TopK (x, kk) }",
        ranges={},
        values={"k": Values((1,), (2,), (4,))},
    ),
    quiet=ModelText("g (float[9] x) => (float[3] y, int64[3] i) <int64[1] k = {3}> { y, i = TopK (x, k) }"),
    gives_reason=False,
    moot_under=("*",),
)

RESIZE_EXCLUDE_OUTSIDE = Kind(
    id="older/resize-exclude-outside",
    summary="Resize with exclude_outside",
    title="Resize with exclude_outside",
    severities=(Severity.NOTE, Severity.ERROR),
    tiers=(Tier.PARSER,),
    cause="""Unknown before 8.5.""",
    evidence="""The node.""",
    example="""Bicubic resizing of TensorFlow.""",
    fix="""`exclude_outside=0` or linear.""",
    shows=ModelText(
        """g (float[1,1,2,2] x) => (float[1,1,4,4] y) { y = Resize <mode = "cubic", exclude_outside = 1> (x, , s) }""",
        weights=(Weights("s", (4,), (1, 1, 2, 2)),),
    ),
    quiet=ModelText(
        """g (float[1,1,2,2] x) => (float[1,1,4,4] y) { y = Resize <mode = "cubic"> (x, , s) }""",
        weights=(Weights("s", (4,), (1, 1, 2, 2)),),
    ),
    gives_reason=False,
    moot_under=("*",),
)

GROUP_NORM_21 = Kind(
    id="older/group-norm-21",
    summary="GroupNormalization of opset 21",
    title="GroupNormalization with scale per channel",
    severities=(Severity.NOTE, Severity.ERROR),
    tiers=(Tier.PARSER,),
    cause="""TensorRT 10 expects scale and bias per group, opset 21 has them per channel: `scale dimensions not
compatible for normalization`.""",
    evidence="""The node.""",
    example="""torch's exporter at opset 21.""",
    fix="""Decompose to InstanceNormalization, or a newer TensorRT.""",
    shows=ModelText(
        "g (float[1,4,2] x) => (float[1,4,2] y) { y = GroupNormalization <num_groups = 2> (x, s, s) }",
        opset=21,
        ir_version=10,
        weights=(Weights("s", (4,)),),
    ),
    quiet=ModelText(
        "g (float[1,4,2] x) => (float[1,4,2] y) { y = GroupNormalization <num_groups = 2> (x, s, s) }",
        opset=18,
        weights=(Weights("s", (2,)),),
    ),
    gives_reason=False,
    moot_under=("*",),
)

IF_RANKS = Kind(
    id="older/if-ranks",
    summary="If branches of different rank",
    title="If branches of different rank",
    severities=(Severity.NOTE, Severity.ERROR),
    tiers=(Tier.PARSER,),
    cause="""TensorRT 10 and older: `IIfConditionalOutputLayer inputs must have the same shape`.""",
    evidence="""Both ranks.""",
    example="""`torch.squeeze(dim)` of a size unknown at export.""",
    fix="""Index instead of squeeze; fold a constant condition.""",
    shows=ModelText("""
g (float[1,2] x) => (float[a] y) <bool c = {1}, int64[1] axis = {0}> {
  y = If (c) <
    then_branch = t () => (float[2] a) { a = Squeeze (x, axis) },
    else_branch = e () => (float[1,2] b) { b = Identity (x) }>
}
"""),
    quiet=ModelText("""
g (float[1,2] x) => (float[a] y) <bool c = {1}, int64[1] axis = {0}> {
  y = If (c) <
    then_branch = t () => (float[2] a) { a = Squeeze (x, axis) },
    else_branch = e () => (float[2] b) { b = Squeeze (x, axis) }>
}
"""),
    gives_reason=False,
    moot_under=("*",),
)

SCATTER_REDUCTION_ATTRIBUTE = Kind(
    id="older/scatter-reduction-attribute",
    summary='ScatterND with reduction="none" spelt out',
    title="ScatterND with reduction='none' spelt out",
    severities=(Severity.NOTE, Severity.ERROR),
    tiers=(Tier.PARSER,),
    cause="""Early TensorRT 10 refuses the attribute whatever its value.""",
    evidence="""The node.""",
    example="""torch's dynamo exporter.""",
    fix="""Drop the attribute.""",
    shows=ModelText(
        """g (float[4] x, int64[2,1] i, float[2] u) => (float[4] y) { y = ScatterND <reduction = "none"> (x, i, u) }"""
    ),
    quiet=ModelText("g (float[4] x, int64[2,1] i, float[2] u) => (float[4] y) { y = ScatterND (x, i, u) }"),
    gives_reason=False,
    moot_under=("*",),
)

SCATTER_REDUCTION = Kind(
    id="older/scatter-reduction",
    summary="ScatterElements with a reduction",
    title="ScatterElements with a reduction",
    severities=(Severity.NOTE, Severity.ERROR),
    tiers=(Tier.PARSER,),
    cause="""Before 10.0 it is ignored without a message, and values are overwritten.""",
    evidence="""The node.""",
    example="""`scatter_add`.""",
    fix="""TensorRT 10.""",
    shows=ModelText(
        """
g (float[4] x, int64[2] i, float[2] u) => (float[4] y) {
  y = ScatterElements <reduction = "add"> (x, i, u)
}
""",
        parsed=False,
    ),
    quiet=ModelText("g (float[4] x, int64[2] i, float[2] u) => (float[4] y) { y = ScatterElements (x, i, u) }"),
    gives_reason=False,
    moot_under=("*",),
)

OPERATOR_SINCE = Kind(
    id="older/operator-since",
    summary="An operator that came with a later TensorRT",
    title="{subject}",
    severities=(Severity.NOTE, Severity.ERROR),
    tiers=(Tier.PARSER,),
    cause="""Older versions say `No importer registered for op`.""",
    evidence="""The operator and the version.""",
    example="""GridSample before 8.5.""",
    fix="""That version, or a lower opset.""",
    shows=ModelText("g (float[1,1,4,4] x, float[1,2,2,2] grid) => (float[1,1,2,2] y) { y = GridSample (x, grid) }"),
    quiet=ModelText("g (float[1,1,4,4] x) => (float[1,1,2,2] y) { y = AveragePool <kernel_shape = [3, 3]> (x) }"),
    gives_reason=False,
    moot_under=("*",),
)

INT64_RANGE = Kind(
    id="older/int64-range",
    summary="An int64 constant beyond int32",
    title="{subject} exceeds int32",
    severities=(Severity.NOTE, Severity.ERROR),
    tiers=(Tier.PARSER,),
    cause="""Before 9.0 int64 became int32 and such a value was clamped.""",
    evidence="""The value.""",
    example="""A sentinel of 9e18.""",
    fix="""A sentinel that fits int32.""",
    shows=ModelText("g (int64[4] x) => (int64[4] y) <int64[1] big = {9000000000}> { y = Add (x, big) }"),
    quiet=ModelText(
        "g (float[4] x) => (float[4] y) <int64[1] zero = {0}, int64[1] big = {9000000000}> { y = Slice (x, zero, big) }"
    ),
    gives_reason=False,
    moot_under=("*",),
)
