"""Older TensorRT.

Notes: fine on this target, not on an older TensorRT; errors where `friction.toml` requires such a version
(`required_tensorrt`). From the importers of onnx-tensorrt by release branch.
"""

from functools import partial

from friction_tui.kinds.examples import But, ModelText, Weights
from friction_tui.kinds.kind import Kind
from friction_tui.vocabulary.finding import Severity, Tier
from friction_tui.vocabulary.recipe import Values

OlderKind = partial(
    Kind,
    severities=(Severity.NOTE, Severity.ERROR),
    tiers=(Tier.PARSER,),
    moot_under=("*",),
    gives_reason=False,
)
"""What the kinds of this family have in common, unless they say otherwise."""

COMPUTED_SCALES = OlderKind(
    id="older/computed-scales",
    summary="Resize or Upsample with computed scales",
    title="{subject} with computed scales",
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
)

COMPUTED_K = OlderKind(
    id="older/computed-k",
    summary="TopK with a computed K",
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
)

RESIZE_EXCLUDE_OUTSIDE = OlderKind(
    id="older/resize-exclude-outside",
    summary="Resize with exclude_outside",
    cause="""Unknown before 8.5.""",
    evidence="""The node.""",
    example="""Bicubic resizing of TensorFlow.""",
    fix="""`exclude_outside=0` or linear.""",
    shows=ModelText(
        """g (float[1,1,2,2] x) => (float[1,1,4,4] y) { y = Resize <mode = "cubic", exclude_outside = 1> (x, , s) }""",
        weights=(Weights("s", (4,), (1, 1, 2, 2)),),
    ),
    quiet=But(", exclude_outside = 1", ""),
)

GROUP_NORM_21 = OlderKind(
    id="older/group-norm-21",
    summary="GroupNormalization of opset 21",
    title="GroupNormalization with scale per channel",
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
    quiet=But(opset=18, ir_version=9, weights=(Weights("s", (2,)),)),
)

IF_RANKS = OlderKind(
    id="older/if-ranks",
    summary="If branches of different rank",
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
    quiet=But("(float[1,2] b", "(float[2] b", "Identity (x", "Squeeze (x, axis"),
)

IF_SIZES = OlderKind(
    id="older/if-sizes",
    summary="If branches of different sizes",
    cause="""Before 10.11: `IIfConditionalOutputLayer inputs must have the same shape`.""",
    evidence="""Both shapes, and the release notes.""",
    example="""A rotary embedding that is extended when the sequence is long.""",
    fix="""One size for both; fold a constant condition.""",
    shows=ModelText("""
g (bool c, float[1,2] x) => (float[a,b] y) {
  y = If (c) <
    then_branch = t () => (float[1,2] a) { a = Identity (x) },
    else_branch = e () => (float[1,4] b) { b = Concat <axis = 1> (x, x) }>
}
"""),
    quiet=But("float[1,4] b", "float[1,2] b", "Concat <axis = 1> (x, x)", "Relu (x)"),
    reads_sizes=True,
)

GRID_SAMPLE_MODE = OlderKind(
    id="older/grid-sample-mode",
    summary="GridSample with a mode of opset 20",
    cause="""TensorRT 10.13 to 11.1 know the names of opset 16 only (bilinear, bicubic) and sample the nearest value for
others, without a message.""",
    evidence="""The node, its mode, and the public threads.""",
    example="""`F.grid_sample` exported at opset 20.""",
    fix="""Opset 19, where only the name differs; TensorRT 11.2.""",
    shows=ModelText(
        """
g (float[1,1,4,4] x, float[1,2,2,2] grid) => (float[1,1,2,2] y) { y = GridSample <mode = "linear"> (x, grid) }
""",
        opset=20,
    ),
    quiet=But('"linear"', '"nearest"'),
)

SCATTER_REDUCTION_ATTRIBUTE = OlderKind(
    id="older/scatter-reduction-attribute",
    summary='ScatterND with reduction="none" spelt out',
    title="ScatterND with reduction='none' spelt out",
    cause="""Early TensorRT 10 refuses the attribute whatever its value.""",
    evidence="""The node.""",
    example="""torch's dynamo exporter.""",
    fix="""Drop the attribute.""",
    shows=ModelText(
        """g (float[4] x, int64[2,1] i, float[2] u) => (float[4] y) { y = ScatterND <reduction = "none"> (x, i, u) }"""
    ),
    quiet=But('<reduction = "none"> (', "("),
)

SCATTER_REDUCTION = OlderKind(
    id="older/scatter-reduction",
    summary="ScatterElements with a reduction",
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
)

OPERATOR_SINCE = OlderKind(
    id="older/operator-since",
    summary="An operator that came with a later TensorRT",
    title="{subject}",
    cause="""Older versions say `No importer registered for op`.""",
    evidence="""The operator and the version.""",
    example="""GridSample before 8.5.""",
    fix="""That version, or a lower opset.""",
    shows=ModelText("g (float[1,1,4,4] x, float[1,2,2,2] grid) => (float[1,1,2,2] y) { y = GridSample (x, grid) }"),
    quiet=ModelText("g (float[1,1,4,4] x) => (float[1,1,2,2] y) { y = AveragePool <kernel_shape = [3, 3]> (x) }"),
)

FORM_SINCE = OlderKind(
    id="older/form-since",
    summary="A form of an operator that came later than the operator",
    title="{subject}",
    cause="""Older versions have the operator, and refuse it with these types, sizes or attributes.""",
    evidence="""The form, the version, and who tells it.""",
    example="""Pow of integers before 10.12; Squeeze without axes on a dynamic input before 11.5.""",
    fix="""That version, or another form.""",
    shows=ModelText("g (int64[4] x) => (int64[4] y) <int64 two = {2}> { y = Pow (x, two) }"),
    quiet=But("int64[4] x) => (int64[4] y", "float[4] x) => (float[4] y"),
    reads_sizes=True,
)

INT64_RANGE = OlderKind(
    id="older/int64-range",
    summary="An int64 constant beyond int32",
    title="{subject} exceeds int32",
    cause="""Before 9.0 int64 became int32 and such a value was clamped.""",
    evidence="""The value.""",
    example="""A sentinel of 9e18.""",
    fix="""A sentinel that fits int32.""",
    shows=ModelText("g (int64[4] x) => (int64[4] y) <int64[1] big = {9000000000}> { y = Add (x, big) }"),
    quiet=ModelText(
        "g (float[4] x) => (float[4] y) <int64[1] zero = {0}, int64[1] big = {9000000000}> { y = Slice (x, zero, big) }"
    ),
)
