"""Older TensorRT.

Notes: fine on this target, not on an older TensorRT. From the importers of onnx-tensorrt by release branch.
"""

from friction_tui.kinds.examples import Shown
from friction_tui.kinds.kind import Kind
from friction_tui.vocabulary.finding import Severity, Tier

COMPUTED_SCALES = Kind(
    id="older/computed-scales",
    summary="Resize or Upsample with computed scales",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""Before 8.4: `Resize scales must be an initializer`.""",
    evidence="""The node.""",
    example="""`F.interpolate(scale_factor=2)` at opset 9.""",
    fix="""Opset 11 with sizes.""",
    shows=Shown(""),
    quiet=Shown(""),
    gives_reason=False,
    moot_under=("*",),
)

COMPUTED_K = Kind(
    id="older/computed-k",
    summary="TopK with a computed K",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""Before 8.6: `only supports input K as an initializer`.""",
    evidence="""The node.""",
    example="""`min(100, n)`.""",
    fix="""A constant K.""",
    shows=Shown(""),
    quiet=Shown(""),
    gives_reason=False,
    moot_under=("*",),
)

RESIZE_EXCLUDE_OUTSIDE = Kind(
    id="older/resize-exclude-outside",
    summary="Resize with exclude_outside",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""Unknown before 8.5.""",
    evidence="""The node.""",
    example="""Bicubic resizing of TensorFlow.""",
    fix="""`exclude_outside=0` or linear.""",
    shows=Shown(""),
    quiet=Shown(""),
    gives_reason=False,
    moot_under=("*",),
)

GROUP_NORM_21 = Kind(
    id="older/group-norm-21",
    summary="GroupNormalization of opset 21",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""TensorRT 10 expects scale and bias per group, opset 21 has them per channel: `scale dimensions not
compatible for normalization`.""",
    evidence="""The node.""",
    example="""torch's exporter at opset 21.""",
    fix="""Decompose to InstanceNormalization, or a newer TensorRT.""",
    shows=Shown(""),
    quiet=Shown(""),
    gives_reason=False,
    moot_under=("*",),
)

IF_RANKS = Kind(
    id="older/if-ranks",
    summary="If branches of different rank",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""TensorRT 10 and older: `IIfConditionalOutputLayer inputs must have the same shape`.""",
    evidence="""Both ranks.""",
    example="""`torch.squeeze(dim)` of a size unknown at export.""",
    fix="""Index instead of squeeze; fold a constant condition.""",
    shows=Shown(""),
    quiet=Shown(""),
    gives_reason=False,
    moot_under=("*",),
)

SCATTER_REDUCTION_ATTRIBUTE = Kind(
    id="older/scatter-reduction-attribute",
    summary='ScatterND with reduction="none" spelt out',
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""Early TensorRT 10 refuses the attribute whatever its value.""",
    evidence="""The node.""",
    example="""torch's dynamo exporter.""",
    fix="""Drop the attribute.""",
    shows=Shown(""),
    quiet=Shown(""),
    gives_reason=False,
    moot_under=("*",),
)

SCATTER_REDUCTION = Kind(
    id="older/scatter-reduction",
    summary="ScatterElements with a reduction",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""Before 10.0 it is ignored in silence.""",
    evidence="""The node.""",
    example="""`scatter_add`.""",
    fix="""TensorRT 10.""",
    shows=Shown(""),
    quiet=Shown(""),
    gives_reason=False,
    moot_under=("*",),
)

OPERATOR_SINCE = Kind(
    id="older/operator-since",
    summary="An operator that came with a later TensorRT",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""Older versions say `No importer registered for op`.""",
    evidence="""The operator and the version.""",
    example="""GridSample before 8.5.""",
    fix="""That version, or a lower opset.""",
    shows=Shown(""),
    quiet=Shown(""),
    gives_reason=False,
    moot_under=("*",),
)

INT64_RANGE = Kind(
    id="older/int64-range",
    summary="An int64 constant beyond int32",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""Before 9.0 int64 became int32 and such a value was clamped.""",
    evidence="""The value.""",
    example="""A sentinel of 9e18.""",
    fix="""A sentinel that fits int32.""",
    shows=Shown(""),
    quiet=Shown(""),
    gives_reason=False,
    moot_under=("*",),
)
