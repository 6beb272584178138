"""Operator schemas.

Nodes against ONNX's own definition of their operator at the model's opset. TensorRT ignores a wrong attribute in
silence; everyone else refuses it.
"""

from functools import partial

from friction_tui.kinds.examples import But, ModelText
from friction_tui.kinds.kind import Kind
from friction_tui.vocabulary.finding import Severity, Tier

SchemaKind = partial(
    Kind,
    tiers=(Tier.MODEL,),
    matters=frozenset({"specification"}),
)
"""What the kinds of this family have in common, unless they say otherwise."""

ATTRIBUTE_BECAME_INPUT = SchemaKind(
    id="schema/attribute-became-input",
    summary="An attribute that is an input by now",
    title="{op}: {attributes} {became} from opset {opset} on",
    cause="""From some opset on the attribute is an input. At the model's opset it no longer exists: TensorRT mostly
ignores it and runs with the default (measured: Clip without limits, Squeeze of all axes), ONNX Runtime refuses it.""",
    evidence="""The node, the attribute with its value, the last opset in which it was one.""",
    example="""`Squeeze(axes=[1])` in a model stamped opset 13, `Clip(min, max)` at 11, `ReduceMean(axes)` at 18.""",
    fix="""Pass it as an input, or stamp the model with the opset it was written for and convert it with
`onnx.version_converter`.""",
    shows=ModelText("g (float[n,1] x) => (float[n] y) { y = Squeeze <axes = [1]> (x) }", opset=13),
    quiet=But(opset=12),
    rewrites=("move-attributes",),
)

ATTRIBUTE_REMOVED = SchemaKind(
    id="schema/attribute-removed",
    summary="An attribute that no longer exists",
    title="{op}: {attribute} no longer exists from opset {opset} on",
    cause="""ONNX removed the attribute in a later opset than the one the node was written for.""",
    evidence="""The attribute, and the last opset that had it.""",
    example="""`BatchNormalization(spatial=1)` at opset 15, `Add(broadcast=1)` at 13.""",
    fix="""Remove it if it has no meaning any more, or stamp the older opset and convert.""",
    shows=ModelText("g (float[n,4] x) => (float[n,4] y) { y = Add <broadcast = 1> (x, x) }", opset=13),
    quiet=But("<broadcast = 1> (", "("),
    rewrites=("drop-attributes",),
)

ATTRIBUTE_TOO_NEW = SchemaKind(
    id="schema/attribute-too-new",
    summary="An attribute from a later opset",
    title="{op}: {attribute} exists only from opset {opset} on",
    cause="""The attribute exists only in a newer version of the operator than the model's opset gives.""",
    evidence="""The opset that brings it.""",
    example="""`Reshape(allowzero=1)` in a model stamped opset 13.""",
    fix="""Convert the model to that opset, or remove the attribute.""",
    shows=ModelText(
        """g (float[n,4] x) => (float[n,2,2] y) <int64[3] s = {-1, 2, 2}> {
        y = Reshape <allowzero = 0> (x, s) }""",
        opset=13,
    ),
    quiet=But(opset=14),
    rewrites=(
        "raise-opset",
        "drop-attributes",
    ),
)

UNKNOWN_ATTRIBUTE = SchemaKind(
    id="schema/unknown-attribute",
    summary="An attribute the operator never had",
    title="{op} has no attribute {attribute}",
    cause="""Misspelt, or invented by an exporter. Its value counts for nothing in TensorRT.""",
    evidence="""The attribute, the ones there are, and the nearest name.""",
    example="""`LeakyRelu(aplha=0.1)`.""",
    fix="""Correct the name, or remove it.""",
    shows=ModelText("g (float[n,4] x) => (float[n,4] y) { y = LeakyRelu <aplha = 0.1> (x) }"),
    quiet=But("LeakyRelu <aplha", "LeakyRelu <alpha"),
    rewrites=("drop-attributes",),
)

ATTRIBUTE_TYPE = SchemaKind(
    id="schema/attribute-type",
    summary="An attribute of the wrong type",
    title="{op}: {attribute} is of the wrong type",
    cause="""The value is stored in another field than the schema says, for instance an INT where a FLOAT is wanted; who
reads the right field finds nothing.""",
    evidence="""Both types and the value.""",
    example="""`LeakyRelu` with `alpha` written as the integer 1.""",
    fix="""Write it with `onnx.helper.make_attribute` and a value of the right type.""",
    shows=ModelText("g (float[n,4] x) => (float[n,4] y) { y = LeakyRelu <alpha = 1> (x) }"),
    quiet=But("alpha = 1>", "alpha = 1.0>"),
)

ATTRIBUTE_TWICE = SchemaKind(
    id="schema/attribute-twice",
    summary="An attribute given twice",
    title="{op}: {attribute} is given twice",
    cause="""Engines disagree on which of the two counts.""",
    evidence="""The node and the attribute.""",
    example="""`node.attribute.append` on a node that had it already.""",
    fix="""Remove one.""",
    shows=ModelText("g (float[n,4] x) => (float[n,4] y) { y = Softmax <axis = 0, axis = 1> (x) }"),
    quiet=But("0, axis = 1", "1"),
    rewrites=("drop-attributes",),
)

MISSING_ATTRIBUTE = SchemaKind(
    id="schema/missing-attribute",
    summary="A required attribute is missing",
    title="{op} lacks its attribute {attribute}",
    cause="""The operator has no default for it.""",
    evidence="""The attribute.""",
    example="""`Cast` without `to`, `Concat` without `axis`.""",
    fix="""Add it, or re-export.""",
    shows=ModelText("g (float[n,4] x) => (float[n,8] y) { y = Concat (x, x) }"),
    quiet=But("Concat (x", "Concat <axis = 1> (x"),
)

MISSING_INPUT = SchemaKind(
    id="schema/missing-input",
    summary="A required input is missing",
    title="{op} lacks its input {input}",
    cause="""The node has fewer inputs than the operator needs at this opset, or an empty name in a required place.
TensorRT builds some of these in silence.""",
    evidence="""The input's name and position; whether it was an attribute before.""",
    example="""`Add` with one input; `Pad(pads=…)` at opset 11, where pads is an input.""",
    fix="""Give the input, or stamp the right opset and convert.""",
    shows=ModelText("g (float[n,4] x) => (float[n,4] y) { y = Add (x) }"),
    quiet=But("{ y = Add", "{ y = Clip"),
    rewrites=("move-attributes",),
)

TOO_MANY_INPUTS = SchemaKind(
    id="schema/too-many-inputs",
    summary="More inputs than the operator takes",
    title="{op} has too many inputs",
    cause="""Usually a model stamped with too low an opset: the extra input belongs to a newer version.""",
    evidence="""The extra input, and the opset that has it.""",
    example="""`ReduceMean(x, axes)` at opset 13.""",
    fix="""Raise the opset, or give it as an attribute.""",
    shows=ModelText("g (float[n,4] x) => (float[n,1] y) <int64[1] a = {1}> { y = ReduceMean (x, a) }", opset=13),
    quiet=But(opset=18),
    rewrites=(
        "move-attributes",
        "raise-opset",
    ),
)

TOO_MANY_OUTPUTS = SchemaKind(
    id="schema/too-many-outputs",
    summary="More outputs than the operator gives",
    title="{op} has too many outputs",
    cause="""The extra outputs can get no value.""",
    evidence="""The outputs.""",
    example="""`BatchNormalization` with five outputs at opset 14.""",
    fix="""Remove them, or stamp the opset the model was written for.""",
    shows=ModelText("g (float[n,4] x) => (float[n,4] y, float[n,4] z) { y, z = Relu (x) }"),
    quiet=ModelText("g (float[n,4] x) => (float[n,4] y, bool[n,4] z) { y, z = Dropout (x) }"),
)

MISSING_OUTPUT = SchemaKind(
    id="schema/missing-output",
    summary="A required output has no name",
    title="{op} lacks its output {output}",
    cause="""An empty name is only allowed for optional outputs.""",
    evidence="""The node and the output.""",
    example="""`helper.make_node("Neg", ["x"], [""])`.""",
    fix="""Name the output or remove the node.""",
    shows=ModelText('g (float[n,4] x) => (float[n,4] y) { y = Relu (x) "" = Neg (x) }'),
    quiet=But('Relu (x) ""', "Relu (x) z"),
)

NOT_IN_OPSET = SchemaKind(
    id="schema/not-in-opset",
    summary="An operator newer than the model's opset",
    title="{op} does not exist at opset {opset}",
    cause="""The operator exists in ONNX, but not yet at this opset. Engines that know it take it by rules nobody
promises.""",
    evidence="""The opset that brings it.""",
    example="""`LayerNormalization` in a model stamped opset 13.""",
    fix="""Convert to that opset, or correct the import.""",
    shows=ModelText(
        "g (float[n,4] x) => (float[n,4] y) <float[4] s = {1, 1, 1, 1}> { y = LayerNormalization (x, s) }", opset=13
    ),
    quiet=But(opset=17),
    rewrites=("raise-opset",),
)

DEPRECATED = SchemaKind(
    id="schema/deprecated",
    summary="An operator that is gone at this opset",
    title="{op} of opset {opset} is deprecated",
    severities=(Severity.ERROR, Severity.NOTE),
    cause="""ONNX replaced the operator. TensorRT still takes it, ONNX Runtime does not. One that was deprecated in the
version that brought it (GroupNormalization of opset 18) is still taken by both: a note.""",
    evidence="""The operator, its successor, the opset.""",
    example="""`Upsample` at opset 11.""",
    fix="""Use the successor (Resize, ScatterElements), or stamp the older opset and convert.""",
    shows=ModelText(
        "g (float[n,1,2,2] x) => (float[n,1,4,4] y) <float[4] s = {1, 1, 2, 2}> { y = Upsample (x, s) }", opset=11
    ),
    quiet=But(opset=9),
    rewrites=(
        "upsample-resize",
        "scatter-elements",
        "move-attributes",
        "raise-opset",
    ),
)
