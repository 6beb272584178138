"""IR version and opset.

TensorRT looks at neither and takes any number; ONNX Runtime and the checker do look.
"""

from functools import partial

from friction_tui.kinds.examples import But, ModelText, Shown
from friction_tui.kinds.kind import Kind
from friction_tui.vocabulary.finding import Severity, Tier

_RELU = "g (float[n,4] x) => (float[n,4] y) { y = Relu (x) }"
_ADD = "g (float[n,4] x) => (float[n,4] y) { y = Add (x, x) }"
_WEIGHT = "g (float[n,4] x) => (float[n,4] y) <float[4] w = {1, 2, 3, 4}> { y = Add (x, w) }"

VersionsKind = partial(
    Kind,
    matters=frozenset({"specification"}),
)
"""What the kinds of this family have in common, unless they say otherwise."""

NO_IR = VersionsKind(
    id="versions/no-ir",
    summary="No IR version",
    title="The model has no IR version",
    tiers=(Tier.MODEL,),
    cause="""The field `ir_version` is required. TensorRT does not look at it, ONNX Runtime refuses the model.""",
    evidence="""The field.""",
    example="""A model built by hand.""",
    fix="""`model.ir_version = 8`.""",
    shows=ModelText(_RELU, ir_version=0),
    quiet=ModelText(_RELU, ir_version=8),
    rewrites=("complete-versions",),
)

IR_TOO_NEW = VersionsKind(
    id="versions/ir-too-new",
    summary="An IR version newer than ONNX knows",
    title="IR version {ir} is newer than ONNX {onnx}",
    severities=(Severity.ERROR, Severity.WARNING),
    tiers=(Tier.MODEL, Tier.PARSER, Tier.BUILDER),
    cause="""The installed ONNX does not know the version, and ONNX Runtime refuses what is newer than it:
`Unsupported model IR version: 99, max supported IR version: 14`.""",
    evidence="""Both versions.""",
    example="""A newer onnx package wrote the file.""",
    fix="""Set `model.ir_version` lower, or upgrade.""",
    shows=ModelText(_RELU, ir_version=99),
    quiet=ModelText(_RELU, ir_version=10),
    rewrites=("complete-versions",),
)

IR_INITIALIZERS = VersionsKind(
    id="versions/ir-initializers",
    summary="Initializers that are not inputs, below IR version 4",
    title="Initializers that are not inputs, at IR version {ir}",
    severities=(Severity.WARNING,),
    tiers=(Tier.MODEL,),
    cause="""Before IR version 4 every initializer had to be an input. The checker refuses the model, engines do not
mind.""",
    evidence="""The IR version and the initializers.""",
    example="""`model.ir_version = 3` set by hand.""",
    fix="""4 or newer.""",
    shows=ModelText(_WEIGHT, ir_version=3),
    quiet=ModelText(_WEIGHT, ir_version=4),
)

NO_OPSET = VersionsKind(
    id="versions/no-opset",
    summary="A domain without a valid opset import",
    title="No valid opset import for {domain}",
    tiers=(Tier.MODEL,),
    cause="""Nothing says by which opset the nodes are to be read: the import is missing, or its number is below 1.""",
    evidence="""The domain and its nodes.""",
    example="""`del model.opset_import[:]`; a merge that lost one.""",
    fix="""Append the import with the opset the model was written for.""",
    shows=ModelText('<ir_version: 9, opset_import: ["acme" : 1]> ' + _RELU),
    quiet=ModelText('<ir_version: 9, opset_import: ["" : 17, "acme" : 1]> ' + _RELU),
    rewrites=("complete-versions",),
)

TWO_OPSETS = VersionsKind(
    id="versions/two-opsets",
    summary="A domain imported twice",
    title="Two opsets for {domain}",
    tiers=(Tier.MODEL,),
    cause="""Engines disagree on which counts.""",
    evidence="""Both numbers.""",
    example="""Two models merged.""",
    fix="""Keep one.""",
    shows=ModelText('<ir_version: 9, opset_import: ["" : 17, "ai.onnx" : 13]> ' + _RELU),
    quiet=But('onnx" : 13', 'onnx" : 17'),
    rewrites=("complete-versions",),
)

OPSET_TOO_NEW = VersionsKind(
    id="versions/opset-too-new",
    summary="An opset nobody has defined",
    title="Opset {opset} of {domain} does not exist",
    severities=(Severity.ERROR, Severity.WARNING),
    tiers=(Tier.MODEL, Tier.PARSER, Tier.BUILDER),
    cause="""The number is beyond the newest opset ONNX defines.""",
    evidence="""Both numbers.""",
    example="""`opset_version=99`.""",
    fix="""An opset the runtimes have, 17 to 21.""",
    shows=ModelText(_RELU, opset=99),
    quiet=ModelText(_RELU, opset=17),
    rewrites=("complete-versions",),
)

OPSET_TOO_OLD = VersionsKind(
    id="versions/opset-too-old",
    summary="An opset older than the runtimes support",
    title="Opset {opset} is older than the runtimes support",
    severities=(Severity.WARNING, Severity.NOTE, Severity.ERROR),
    tiers=(Tier.MODEL, Tier.PARSER, Tier.BUILDER),
    cause="""Below opset 7, Add and its kind broadcast by other rules: `Pre-opset 7 broadcasting is unsupported`.
A note where no node broadcasts.""",
    evidence="""The opset, and a node that is concerned.""",
    example="""A model of 2017.""",
    fix="""Convert to 13 or newer.""",
    shows=ModelText(_ADD, opset=6),
    quiet=ModelText(_ADD, opset=7),
    rewrites=("convert-opset",),
)

ONNXRUNTIME_TOO_OLD = VersionsKind(
    id="versions/onnxruntime-too-old",
    summary="The installed ONNX Runtime is too old for the model",
    title="{runtime} is too old for this model",
    severities=(Severity.WARNING,),
    tiers=(Tier.STACK,),
    cause="""TensorRT is not concerned, but nothing can be compared.""",
    evidence="""What ONNX Runtime says to a one-node model of these versions.""",
    example="""A model of opset 28 and ONNX Runtime 1.22.""",
    fix="""Upgrade, or export lower.""",
    shows=Shown("tests/rules/structure/test_opset_and_ir.py::test_what_the_installed_onnx_runtime_takes_decides"),
    quiet=ModelText(_RELU, opset=21),
)

OPSET_REQUIRED = Kind(
    id="versions/opset-required",
    summary="Another opset than the one that is required",
    title="The model is not at opset {required}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""The `friction.toml` beside the model requires an opset (`required_opset`), and the model has another
one.""",
    evidence="""Both opsets, and why the team requires it.""",
    example="""`required_opset = 17`, and an exporter that was upgraded.""",
    fix="""Export at that opset, or convert with `--opset`.""",
    shows=Shown("tests/commands/test_check.py::test_a_required_opset_is_verified_and_not_converted"),
    quiet=Shown("tests/commands/test_check.py::test_a_required_opset_that_the_model_has_is_quiet"),
)
