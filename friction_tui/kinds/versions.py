"""IR version and opset.

TensorRT looks at neither and takes any number; the others do not.
"""

from friction_tui.kinds.examples import Shown
from friction_tui.kinds.kind import Kind
from friction_tui.vocabulary.finding import Severity, Tier

NO_IR = Kind(
    id="versions/no-ir",
    summary="No IR version",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""The field is required.""",
    evidence="""The field.""",
    example="""A model built by hand.""",
    fix="""`model.ir_version = 8`.""",
    shows=Shown(""),
    quiet=Shown(""),
    matters=frozenset({"specification"}),
)

IR_TOO_NEW = Kind(
    id="versions/ir-too-new",
    summary="An IR version newer than ONNX knows",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""`Unsupported model IR version: 99, max supported IR version: 14`.""",
    evidence="""Both versions.""",
    example="""A newer onnx package wrote the file.""",
    fix="""Set `model.ir_version` lower, or upgrade.""",
    shows=Shown(""),
    quiet=Shown(""),
    matters=frozenset({"specification"}),
)

IR_INITIALIZERS = Kind(
    id="versions/ir-initializers",
    summary="Initializers that are no inputs, below IR version 4",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""Before IR version 4 every initializer had to be an input. The checker refuses the model, engines do not
mind.""",
    evidence="""The IR version and the initializers.""",
    example="""`model.ir_version = 3` set by hand.""",
    fix="""4 or newer.""",
    shows=Shown(""),
    quiet=Shown(""),
    matters=frozenset({"specification"}),
)

NO_OPSET = Kind(
    id="versions/no-opset",
    summary="A domain without an opset import",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""Nothing says by which opset the nodes are to be read.""",
    evidence="""The domain and its nodes.""",
    example="""`del model.opset_import[:]`; a merge that lost one.""",
    fix="""Append the import with the opset the model was written for.""",
    shows=Shown(""),
    quiet=Shown(""),
    matters=frozenset({"specification"}),
)

TWO_OPSETS = Kind(
    id="versions/two-opsets",
    summary="A domain imported twice",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""Engines disagree on which counts.""",
    evidence="""Both numbers.""",
    example="""Two models merged.""",
    fix="""Keep one.""",
    shows=Shown(""),
    quiet=Shown(""),
    matters=frozenset({"specification"}),
)

OPSET_TOO_NEW = Kind(
    id="versions/opset-too-new",
    summary="An opset nobody has defined",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""The number is beyond the newest opset ONNX defines.""",
    evidence="""Both numbers.""",
    example="""`opset_version=99`.""",
    fix="""An opset the runtimes have, 17 to 21.""",
    shows=Shown(""),
    quiet=Shown(""),
    matters=frozenset({"specification"}),
)

OPSET_TOO_OLD = Kind(
    id="versions/opset-too-old",
    summary="An opset older than the runtimes support",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""Below 7, Add and its kind broadcast by other rules: `Pre-opset 7 broadcasting is unsupported`.""",
    evidence="""The opset, and a node that is concerned.""",
    example="""A model of 2017.""",
    fix="""Convert to 13 or newer.""",
    shows=Shown(""),
    quiet=Shown(""),
    matters=frozenset({"specification"}),
)

ONNXRUNTIME_TOO_OLD = Kind(
    id="versions/onnxruntime-too-old",
    summary="The installed ONNX Runtime is too old for the model",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""TensorRT is not concerned, but nothing can be compared.""",
    evidence="""What ONNX Runtime says to a one-node model of these versions.""",
    example="""A model of opset 28 and ONNX Runtime 1.22.""",
    fix="""Upgrade, or export lower.""",
    shows=Shown(""),
    quiet=Shown(""),
    matters=frozenset({"specification"}),
)
