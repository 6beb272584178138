"""Structure.

What the ONNX specification asks of a graph. TensorRT's parser ignores part of it, ONNX Runtime and the checker stop
at the first violation; here all are listed.
"""

from functools import partial

from friction_tui.kinds.examples import Built, But, ModelText, Shown
from friction_tui.kinds.kind import Kind
from friction_tui.vocabulary.finding import Severity, Tier

_SOUND = ModelText("g (float[n,4] x) => (float[n,4] y) { [a] z = Relu (x) [b] y = Neg (z) }")
_MATTERS = frozenset({"sizes", "specification"})
_REFUSED = (Tier.MODEL, Tier.PARSER, Tier.BUILDER)
"""Of what an engine also says in a message of its own."""

StructureKind = partial(
    Kind,
    tiers=(Tier.MODEL,),
    matters=_MATTERS,
    explains_model=True,
)
"""What the kinds of this family have in common, unless they say otherwise."""

NO_OUTPUTS = StructureKind(
    id="structure/no-outputs",
    summary="The graph has no outputs",
    severities=(Severity.ERROR, Severity.WARNING),
    tiers=_REFUSED,
    cause="""Nothing is marked as output, so nothing is computed. TensorRT parses it and says `Network must have at
least one output` when it builds.""",
    evidence="""The tensors that nothing reads: they were probably meant.""",
    example="""A graph cut out of another with its outputs left behind.""",
    fix="""Add the output with `graph.output.append(onnx.helper.make_tensor_value_info(name, dtype, shape))`.""",
    shows=ModelText("g (float[n,4] x) => () { y = Relu (x) }"),
    quiet=ModelText("g (float[n,4] x) => (float[n,4] y) { y = Relu (x) }"),
    rewrites=("declare-outputs",),
)

UNDEFINED_OUTPUT = StructureKind(
    id="structure/undefined-output",
    summary="An output that no node computes",
    title="No node computes output {output} of {graph}",
    cause="""A graph, body or function returns a tensor that no node in it writes.""",
    evidence="""The name of the output.""",
    example="""A node was renamed or removed, and the list of outputs was not.""",
    fix="""Rename the output to a tensor that exists, or remove it.""",
    shows=ModelText("g (float[n,4] x) => (float[n,4] y) { z = Relu (x) }"),
    quiet=But("float[n,4] y", "float[n,4] z"),
)

UNDEFINED_INPUT = StructureKind(
    id="structure/undefined-input",
    summary="A tensor that is read but not defined",
    title="{tensor} is read but not defined",
    cause="""A node reads a name that is not an input, not an initializer, and not another node's output. TensorRT says
`Node input was not registered`.""",
    evidence="""The name, and every node that reads it.""",
    example="""Initializers stripped from a model, a misspelt name after an edit.""",
    fix="""Add the initializer or input, or rename the node's input.""",
    shows=ModelText("g (float[n,4] x) => (float[n,4] y) { y = Add (x, bias) }"),
    quiet=But("n,4] y) {", "n,4] y) <float[4] bias = {1, 2, 3, 4}> {"),
    rewrites=("drop-dangling-inputs",),
)

UNSORTED = StructureKind(
    id="structure/unsorted",
    summary="Nodes are not in topological order",
    severities=(Severity.WARNING, Severity.ERROR),
    tiers=_REFUSED,
    cause="""A node stands before the one that writes its input. TensorRT and ONNX Runtime sort by themselves; the
checker and tools that edit or convert models refuse: `Nodes in a graph must be topologically sorted`. It is a warning
therefore.""",
    evidence="""The first reader and writer with their positions, and how many inputs are affected.""",
    example="""A node appended at the end of `graph.node` although others read it, as ONNX Runtime's float16 converter
does with the Cast behind each input.""",
    fix="""Sort the nodes, for example with `onnx_graphsurgeon`'s `graph.toposort()`.""",
    shows=ModelText("g (float[n,4] x) => (float[n,4] y) { [b] y = Neg (z) [a] z = Relu (x) }"),
    quiet=_SOUND,
    rewrites=("sort-nodes",),
)

CYCLE = StructureKind(
    id="structure/cycle",
    summary="The graph has a cycle",
    title="A cycle through {nodes}",
    severities=(Severity.ERROR, Severity.WARNING),
    tiers=_REFUSED,
    cause="""Nodes wait for each other's outputs, so none can run. TensorRT says `Failed to sort the model
topologically`.""",
    evidence="""Every node on the cycle, in the direction data flows.""",
    example="""`Add` reads the output of the `Relu` behind it after an edit.""",
    fix="""Rewire one input on the cycle to the tensor that was meant.""",
    shows=ModelText("g (float[n,4] x) => (float[n,4] y) { [a] z = Add (x, y) [b] y = Relu (z) }"),
    quiet=But("Add (x, y) [", "Add (x, x) ["),
)

TWO_WRITERS = StructureKind(
    id="structure/two-writers",
    summary="One name is defined more than once",
    title="{tensor} is defined more than once",
    severities=(Severity.ERROR, Severity.WARNING),
    tiers=_REFUSED,
    cause="""Two nodes write the same tensor, or a node writes a name that is an input or an initializer, or a name is
declared twice. ONNX asks for static single assignment; which value a reader gets is undefined. TensorRT misreports it
as a sorting failure.""",
    evidence="""The name and all its writers.""",
    example="""Two models merged without a prefix for their names.""",
    fix="""Rename one of the two and its readers (`onnx.compose.add_prefix` when merging).""",
    shows=ModelText("g (float[n,4] x) => (float[n,4] y) { [a] z = Relu (x) [c] z = Abs (x) [b] y = Neg (z) }"),
    quiet=_SOUND,
    rewrites=(
        "keep-first-initializer",
        "rename-second-writer",
    ),
)

SHADOWED_NAME = StructureKind(
    id="structure/shadowed-name",
    summary="A body writes a name of the surrounding graph",
    title="{tensor} is written again inside a body",
    cause="""Single assignment spans bodies: a name used outside must not be written inside. ONNX Runtime refuses it,
TensorRT builds it.""",
    evidence="""The tensor, the node inside, the body.""",
    example="""An If branch that was cut from the main graph with its names kept.""",
    fix="""Rename the tensor inside the body.""",
    shows=ModelText("""g (float[n,4] x, bool c) => (float[n,4] y) { z = Relu (x) y = If (c) <
        then_branch = t () => (float[n,4] z) { z = Neg (x) },
        else_branch = e () => (float[n,4] v) { v = Abs (x) }> }"""),
    quiet=But("4] z) { z", "4] w) { w", "Neg (x) }", "Neg (z) }"),
    rewrites=("rename-shadowed",),
)

NO_TYPE = StructureKind(
    id="structure/no-type",
    summary="An input or output without a type",
    title="The {tensor} has no type",
    cause="""The declaration has no element type. TensorRT says `Failed to convert ONNX date type`.""",
    evidence="""The input or output.""",
    example="""`graph.input.add(name="x")` and nothing else.""",
    fix="""Declare it with `onnx.helper.make_tensor_value_info`.""",
    shows=ModelText("g (x) => (float[n,4] y) { y = Relu (x) }"),
    quiet=But("g (x) =", "g (float[n,4] x) ="),
    matters=_MATTERS | {"undeclared type"},
    rewrites=("drop-false-shapes",),
)

SPARSE_INITIALIZER = StructureKind(
    id="structure/sparse-initializer",
    summary="Sparse initializers",
    cause="""TensorRT's parser ignores `sparse_initializer` and then misses the tensor.""",
    evidence="""The initializers.""",
    example="""A pruned model saved with sparse tensors.""",
    fix="""Store them dense, under the same names.""",
    shows=Built('''def model():
    made = onnx.parser.parse_model("""<ir_version: 9, opset_import: ["" : 17]>
        g (float[n,4] x) => (float[n,4] y) { y = Add (x, w) }""")
    values = helper.make_tensor("w", TensorProto.FLOAT, [1], [3.0])
    indices = helper.make_tensor("", TensorProto.INT64, [1], [2])
    made.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [4]))
    return made'''),
    quiet=ModelText("g (float[n,4] x) => (float[n,4] y) <float[4] w = {0, 0, 3, 0}> { y = Add (x, w) }"),
    rewrites=("dense-initializers",),
)

_FUNCTIONS = """<ir_version: 9, opset_import: ["" : 17, "f" : 1]>
g (float[n,4] x) => (float[n,4] y) {{ y = f.one (x) }}
<domain: "f", opset_import: ["" : 17, "f" : 1]> one (a) => (b) {{ b = f.two (a) }}
<domain: "f", opset_import: ["" : 17, "f" : 1]> two (a) => (b) {{ b = {} (a) }}"""

RECURSIVE_FUNCTION = StructureKind(
    id="structure/recursive-function",
    summary="Local functions that call themselves",
    cause="""ONNX functions are inlined and must not be recursive. TensorRT's parser crashes on it.""",
    evidence="""The functions on the cycle.""",
    example="""A hand-written function library.""",
    fix="""Unroll the recursion.""",
    shows=ModelText(_FUNCTIONS.format("f.one"), parsed=False),
    quiet=ModelText(_FUNCTIONS.format("Relu")),
)

BODY_ARITY = StructureKind(
    id="structure/body-arity",
    summary="A body with the wrong number of inputs or outputs",
    title="A body of {op} {node} has the wrong number of inputs or outputs",
    cause="""An If branch takes no inputs and returns what the node returns; a Loop body takes iteration number,
condition and state, and returns condition, state and scan outputs. TensorRT's parser can crash on anything else.""",
    evidence="""Both numbers, and what they must be.""",
    example="""A Loop body cut from another graph without its condition output.""",
    fix="""Give the body the inputs and outputs its node asks for.""",
    shows=ModelText("""g (float[n,4] x, bool c) => (float[n,4] y) { y = If (c) <
        then_branch = t () => (float[n,4] w, float[n,4] u) { w = Neg (x) u = Exp (x) },
        else_branch = e () => (float[n,4] v) { v = Abs (x) }> }"""),
    quiet=But(", float[n,4] u) { w = Neg (x)", ") {", "Exp (x) },", "Exp (x) w = Neg (u) },"),
)

LONG_NAME = StructureKind(
    id="structure/long-name",
    summary="A name that is longer than TensorRT takes",
    title="A name has {length} characters",
    tiers=(Tier.PARSER,),
    cause="""
TensorRT takes names of nodes and tensors of up to 4095 characters and refuses the model for a longer one. Exporters
that write a whole call path into each name, and tools that join the names of fused nodes, come to such lengths.
""",
    evidence="""The name's beginning and end, its length, and how many more there are.""",
    example="""`The given name exceeds the limit (4096 characters)!`""",
    fix="""Rename them: names mean nothing to an engine. Those of inputs and outputs are what callers use.""",
    shows=Built(
        """
def model():
    long = "layer/" * 700
    nodes = [helper.make_node("Relu", ["x"], [long], "first"), helper.make_node("Neg", [long], ["y"], "second")]
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 4]) for name in "xy"]
    graph = helper.make_graph(nodes, "g", ports[:1], ports[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
"""
    ),
    quiet=_SOUND,
    rewrites=("shorten-names",),
)

SAME_NODE_NAMES = StructureKind(
    id="structure/same-node-names",
    summary="Nodes that share a name",
    title="{count} nodes share their names",
    severities=(Severity.WARNING,),
    cause="""ONNX Runtime refuses the model. TensorRT does not mind, but messages that name a node become ambiguous.""",
    evidence="""The names.""",
    example="""Two models merged; a layer exported twice.""",
    fix="""Rename the nodes.""",
    shows=ModelText("g (float[n,4] x) => (float[n,4] y) { [a] z = Relu (x) [a] y = Neg (z) }"),
    quiet=_SOUND,
    gives_reason=False,
    rewrites=("name-nodes",),
)

NO_SHAPE = StructureKind(
    id="structure/no-shape",
    summary="An input without a shape",
    title="Input {input} has no shape",
    cause="""ONNX requires at least the rank. TensorRT takes the input for a scalar, without an error.""",
    evidence="""The input.""",
    example="""`make_tensor_value_info("x", FLOAT, None)`.""",
    fix="""Declare the shape, with names for dimensions that vary.""",
    shows=ModelText("g (float[] x) => (float[] y) { y = Relu (x) }", ranges={}),
    quiet=ModelText("g (float x) => (float y) { y = Relu (x) }", ranges={}),
    rewrites=("drop-false-shapes",),
)

NAMELESS_INITIALIZER = StructureKind(
    id="structure/nameless-initializer",
    summary="Initializers without a name",
    title="{count} initializers without a name",
    severities=(Severity.WARNING,),
    cause="""Nothing can read them; the checker refuses the model.""",
    evidence="""How many.""",
    example="""A script that appended tensors without names.""",
    fix="""Remove them, or name them.""",
    shows=Built('''def model():
    made = onnx.parser.parse_model("""<ir_version: 9, opset_import: ["" : 17]>
        g (float[n,4] x) => (float[n,4] y) { y = Relu (x) }""")
    made.graph.initializer.append(helper.make_tensor("", TensorProto.FLOAT, [1], [1.0]))
    return made'''),
    quiet=ModelText("g (float[n,4] x) => (float[n,4] y) <float[1] w = {1}> { y = Relu (x) }"),
)

FALSE_SHAPE = StructureKind(
    id="structure/false-shape",
    summary="An output that never has its declared shape",
    title="Output {name} {mismatch}",
    severities=(Severity.WARNING, Severity.NOTE),
    cause="""An edit or a merge changed the model and left the declaration, or the exporter wrote down the size of its
example for an axis that varies (a note). Engines go by what they compute; the checker refuses, and servers that read
the declaration allocate the wrong size.""",
    evidence="""The declared shape and the computed one.""",
    example="""An output declared [1, 99] that is always [1, 8].""",
    fix="""Remove the declared shape and infer it again.""",
    shows=ModelText("g (float[n,4] x) => (float[n,99] y) { y = Relu (x) }"),
    quiet=But("float[n,99", "float[n,4"),
    reads_sizes=True,
    gives_reason=False,
    moot_beside=("*",),
    rewrites=("drop-false-shapes",),
)

INPUT_IS_OUTPUT = StructureKind(
    id="structure/input-is-output",
    summary="One tensor is an input and an output",
    title="{tensor} is an input and an output",
    severities=(Severity.WARNING, Severity.ERROR),
    cause="""ONNX allows it. TensorRT gives the input another name, with `__` in front: profiles and callers that use
the name in the model no longer find it. An error where the builder refuses the model for it, as TensorRT-RTX does where
the input's sizes are dynamic.""",
    evidence="""The tensor.""",
    example="""`return x.relu(), x`.""",
    fix="""Write the output with an Identity, or leave it out.""",
    shows=ModelText("g (float[n,4] x) => (float[n,4] y, float[n,4] x) { y = Relu (x) }"),
    quiet=ModelText("g (float[n,4] x) => (float[n,4] y, float[n,4] z) { y = Relu (x) z = Identity (x) }"),
    gives_reason=False,
    rewrites=("separate-output",),
)

OUTPUT_TWICE = StructureKind(
    id="structure/output-twice",
    summary="An output that is listed twice",
    title="Output {output} is listed {count} times",
    severities=(Severity.WARNING, Severity.ERROR),
    tiers=_REFUSED,
    cause="""The graph names one tensor as output more than once: the module returned the same value twice, or a merge
of graphs added it again. ONNX Runtime returns it each time. TensorRT makes one output of it, logs
`it was already set as network-level output`, and builds.""",
    evidence="""The output, and how often it is listed.""",
    example="""`return logits, logits`, and a caller that unpacks two results.""",
    fix="""List it once, or write the second with an Identity under a name of its own.""",
    shows=ModelText("g (float[n,4] x) => (float[n,4] y, float[n,4] y) { y = Relu (x) }"),
    quiet=ModelText("g (float[n,4] x) => (float[n,4] y, float[n,4] z) { y = Relu (x) z = Identity (y) }"),
)

UNREAD_INPUT = StructureKind(
    id="structure/unread-input",
    summary="An input that nothing reads",
    title="Nothing reads input {inputs}",
    severities=(Severity.NOTE,),
    cause="""`forward` takes an argument it does not use (`token_type_ids`, often), or a step that used it was cut off.
TensorRT keeps such an input and logs `Unused Input`; it still wants a range and a buffer for it. ONNX Runtime and
other tools may drop it, and feeding it then fails with `Invalid Feed Input Name`.""",
    evidence="""The inputs.""",
    example="""A DistilBERT exported with the inputs of BERT.""",
    fix="""None is needed while callers feed it. Else remove the argument and export again.""",
    shows=ModelText("g (float[n,4] x, int64[n] token_type_ids) => (float[n,4] y) { y = Relu (x) }"),
    quiet=ModelText("""g (float[n,4] x, int64[n] token_type_ids) => (float[n,4] y, int64[n] z) {
        y = Relu (x) z = Abs (token_type_ids) }"""),
    gives_reason=False,
)

CHECKER = StructureKind(
    id="structure/checker",
    summary="ONNX's checker objects",
    title="ONNX's checker objects to {node}",
    severities=(Severity.WARNING,),
    cause="""`onnx.checker` refuses the model for a reason that no rule here knows. TensorRT takes it, other tools may
not.""",
    evidence="""The checker's own text, and the node it names. It stops at the first violation it meets.""",
    example="""A node whose required attribute is missing, where the engine has a default for it.""",
    fix="""Re-export the model, or repair what edited it, until `onnx.checker.check_model` agrees.""",
    shows=Shown("tests/rules/engine/test_second_opinion.py::test_the_checker_objects_where_no_rule_does"),
    quiet=Shown("tests/rules/engine/test_second_opinion.py::test_the_long_name_of_onnx_s_own_domain_is_healthy"),
    matters=frozenset({"sizes", "specification"}),
)

CONSTANT_OUTPUT = Kind(
    id="structure/constant-output",
    summary="An output that depends on no input",
    title="Output {output} depends on no input",
    severities=(Severity.WARNING,),
    tiers=(Tier.HAZARD,),
    cause="""Everything that leads to the output is constant, so it is the same for every request: a branch of Python
that tracing took for granted, a tensor that was computed from the example, or a value that does not belong to the
outputs. Every engine builds it.""",
    evidence="""The output, and the node that writes it.""",
    example="""`torch.tensor(x.mean().item())`, which the trace of the example turned into a number.""",
    fix="""Compute it from the input in tensors, or leave it out of the outputs.""",
    shows=ModelText(
        "g (float[n,4] x) => (float[n,4] y, float[4] z) <float[4] w = {1, 2, 3, 4}> { y = Relu (x) z = Neg (w) }"
    ),
    quiet=ModelText("g (float[n,4] x) => (float[n,4] y, int64[2] z) { y = Relu (x) z = Shape (x) }"),
    gives_reason=False,
)

ALIASED_INPUT = Kind(
    id="structure/aliased-input",
    summary="An input that nothing reads, beside one that stands in for it",
    title="Nothing reads input {inputs}, and {sibling} is read in its place",
    severities=(Severity.WARNING,),
    tiers=(Tier.HAZARD,),
    cause="""The input is never read, while another of the same type and shape is read several times. It is what an
export makes when one tensor was given as example for both arguments: tracing tells them apart by their storage, and
every use of the second is taken for one of the first. The engine then ignores the second input in silence.""",
    evidence="""Both inputs, and how often the other is read.""",
    example="""`torch.onnx.export(model, (x, x), ...)` for `forward(query, key)`.""",
    fix="""Export again with a tensor of its own for each argument. If the code does not use it, remove it.""",
    shows=ModelText("g (float[n,4] a, float[n,4] b) => (float[n,4] y) { s = Relu (a) y = Mul (s, a) }"),
    quiet=ModelText("g (float[n,4] a, float[n,4] b) => (float[n,4] y) { s = Relu (a) y = Mul (s, b) }"),
    gives_reason=False,
)
