"""Structure.

What the ONNX specification asks of a graph. TensorRT's parser swallows part of it, ONNX Runtime and the checker stop
at the first breach; here all are listed.
"""

from friction_tui.kinds.examples import Shown
from friction_tui.kinds.kind import Kind
from friction_tui.vocabulary.finding import Severity, Tier

NO_OUTPUTS = Kind(
    id="structure/no-outputs",
    summary="The graph has no outputs",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""Nothing is marked as output, so nothing is computed. TensorRT parses it and says `Network must have at
least one output` when it builds.""",
    evidence="""The tensors that nothing reads: they were probably meant.""",
    example="""A graph cut out of another with its outputs left behind.""",
    fix="""Add the output with `graph.output.append(onnx.helper.make_tensor_value_info(name, dtype, shape))`.""",
    shows=Shown(""),
    quiet=Shown(""),
    matters=frozenset({"sizes", "specification"}),
    explains_model=True,
)

UNDEFINED_OUTPUT = Kind(
    id="structure/undefined-output",
    summary="An output that nothing computes",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""A graph, body or function returns a tensor that no node in it writes.""",
    evidence="""The name of the output.""",
    example="""A node was renamed or removed, and the list of outputs was not.""",
    fix="""Rename the output to a tensor that exists, or remove it.""",
    shows=Shown(""),
    quiet=Shown(""),
    matters=frozenset({"sizes", "specification"}),
    explains_model=True,
)

UNDEFINED_INPUT = Kind(
    id="structure/undefined-input",
    summary="A tensor that is read and exists nowhere",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""A node reads a name that is no input, no initializer, and no other node's output. TensorRT says `Node input
was not registered`.""",
    evidence="""The name, and every node that reads it.""",
    example="""Initializers stripped from a model, a misspelt name after an edit.""",
    fix="""Add the initializer or input, or rename the node's input.""",
    shows=Shown(""),
    quiet=Shown(""),
    matters=frozenset({"sizes", "specification"}),
    explains_model=True,
)

UNSORTED = Kind(
    id="structure/unsorted",
    summary="Nodes are not in topological order",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""
A node stands before the one that writes its input. TensorRT and ONNX Runtime sort by themselves; the checker
and tools that edit or convert models refuse: `Nodes in a graph must be topologically sorted`. A warning therefore.
""",
    evidence="""The first reader and writer with their positions, and how many inputs are affected.""",
    example="""A node appended at the end of `graph.node` although others read it, as ONNX Runtime's float16 converter
does with the Cast behind each input.""",
    fix="""Sort the nodes, for example with `onnx_graphsurgeon`'s `graph.toposort()`.""",
    shows=Shown(""),
    quiet=Shown(""),
    matters=frozenset({"sizes", "specification"}),
    explains_model=True,
)

CYCLE = Kind(
    id="structure/cycle",
    summary="The graph has a cycle",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""Nodes wait for each other's outputs, so none can run. TensorRT says `Failed to sort the model
topologically`.""",
    evidence="""Every node on the cycle, in the direction data flows.""",
    example="""`Add` reads the output of the `Relu` behind it after an edit.""",
    fix="""Rewire one input on the cycle to the tensor that was meant.""",
    shows=Shown(""),
    quiet=Shown(""),
    matters=frozenset({"sizes", "specification"}),
    explains_model=True,
)

TWO_WRITERS = Kind(
    id="structure/two-writers",
    summary="One name is written twice",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""Two nodes write the same tensor, or a node writes a name that is an input or an initializer, or a name is
declared twice. ONNX asks for static single assignment; which value a reader gets is undefined. TensorRT misreports it
as a sorting failure.""",
    evidence="""The name and all its writers.""",
    example="""Two models merged without a prefix for their names.""",
    fix="""Rename one of the two and its readers (`onnx.compose.add_prefix` when merging).""",
    shows=Shown(""),
    quiet=Shown(""),
    matters=frozenset({"sizes", "specification"}),
    explains_model=True,
)

SHADOWED_NAME = Kind(
    id="structure/shadowed-name",
    summary="A body writes a name of the surrounding graph",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""Single assignment spans bodies: a name used outside must not be written inside. ONNX Runtime refuses it,
TensorRT builds it.""",
    evidence="""The tensor, the node inside, the body.""",
    example="""An If branch that was cut from the main graph with its names kept.""",
    fix="""Rename the tensor inside the body.""",
    shows=Shown(""),
    quiet=Shown(""),
    matters=frozenset({"sizes", "specification"}),
    explains_model=True,
)

NO_TYPE = Kind(
    id="structure/no-type",
    summary="An input or output without a type",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""The declaration has no element type. TensorRT says `Failed to convert ONNX date type`.""",
    evidence="""The input or output.""",
    example="""`graph.input.add(name="x")` and nothing else.""",
    fix="""Declare it with `onnx.helper.make_tensor_value_info`.""",
    shows=Shown(""),
    quiet=Shown(""),
    matters=frozenset({"sizes", "specification", "undeclared type"}),
    explains_model=True,
)

SPARSE_INITIALIZER = Kind(
    id="structure/sparse-initializer",
    summary="Sparse initializers",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""TensorRT's parser passes over `sparse_initializer` and then misses the tensor.""",
    evidence="""The initializers.""",
    example="""A pruned model saved with sparse tensors.""",
    fix="""Store them dense, under the same names.""",
    shows=Shown(""),
    quiet=Shown(""),
    matters=frozenset({"sizes", "specification"}),
    explains_model=True,
)

RECURSIVE_FUNCTION = Kind(
    id="structure/recursive-function",
    summary="Local functions that call themselves",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""ONNX functions are inlined and must not be recursive.""",
    evidence="""The functions on the cycle.""",
    example="""A hand-written function library.""",
    fix="""Unroll the recursion.""",
    shows=Shown(""),
    quiet=Shown(""),
    matters=frozenset({"sizes", "specification"}),
    explains_model=True,
)

BODY_ARITY = Kind(
    id="structure/body-arity",
    summary="A body with the wrong number of inputs or outputs",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""An If branch takes no inputs and returns what the node returns; a Loop body takes iteration number,
condition and state, and returns condition, state and scan outputs. TensorRT's parser can crash on anything else.""",
    evidence="""Both numbers, and what they must be.""",
    example="""A Loop body cut from another graph without its condition output.""",
    fix="""Give the body the inputs and outputs its node asks for.""",
    shows=Shown(""),
    quiet=Shown(""),
    matters=frozenset({"sizes", "specification"}),
    explains_model=True,
)

SAME_NODE_NAMES = Kind(
    id="structure/same-node-names",
    summary="Nodes that share a name",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""ONNX Runtime refuses the model. TensorRT does not mind, but messages that name a node become ambiguous.""",
    evidence="""The names.""",
    example="""Two models merged; a layer exported twice.""",
    fix="""Rename the nodes.""",
    shows=Shown(""),
    quiet=Shown(""),
    gives_reason=False,
    matters=frozenset({"sizes", "specification"}),
    explains_model=True,
)

NO_SHAPE = Kind(
    id="structure/no-shape",
    summary="An input without a shape",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""ONNX requires at least the rank. TensorRT takes the input for a scalar, without an error.""",
    evidence="""The input.""",
    example="""`make_tensor_value_info("x", FLOAT, None)`.""",
    fix="""Declare the shape, with names for dimensions that vary.""",
    shows=Shown(""),
    quiet=Shown(""),
    matters=frozenset({"sizes", "specification"}),
    explains_model=True,
)

NAMELESS_INITIALIZER = Kind(
    id="structure/nameless-initializer",
    summary="Initializers without a name",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""Nothing can read them; the checker refuses the model.""",
    evidence="""How many.""",
    example="""A script that appended tensors without names.""",
    fix="""Remove them, or name them.""",
    shows=Shown(""),
    quiet=Shown(""),
    matters=frozenset({"sizes", "specification"}),
    explains_model=True,
)

FALSE_SHAPE = Kind(
    id="structure/false-shape",
    summary="An output that never has its declared shape",
    title="Output {name} {mismatch}",
    severities=(Severity.WARNING, Severity.NOTE),
    tiers=(Tier.MODEL,),
    cause="""An edit or a merge changed the model and left the declaration. Engines go by what they compute; the checker
refuses, and servers that read the declaration allocate the wrong size.""",
    evidence="""The declared shape and the computed one.""",
    example="""An output declared [1, 99] that is always [1, 8].""",
    fix="""Remove the declared shape and infer it again.""",
    shows=Shown(""),
    quiet=Shown(""),
    gives_reason=False,
    matters=frozenset({"sizes", "specification"}),
    explains_model=True,
    moot_beside=("*",),
)

INPUT_IS_OUTPUT = Kind(
    id="structure/input-is-output",
    summary="One tensor is an input and an output",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""
ONNX allows it. TensorRT gives the input another name, with `__` in front: profiles and callers that use the
name in the model no longer find it.
""",
    evidence="""The tensor.""",
    example="""`return x.relu(), x`.""",
    fix="""Write the output with an Identity, or leave it out.""",
    shows=Shown(""),
    quiet=Shown(""),
    gives_reason=False,
    matters=frozenset({"sizes", "specification"}),
    explains_model=True,
)

OUTPUT_TWICE = Kind(
    id="structure/output-twice",
    summary="An output that is listed twice",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""
The graph names one tensor as output more than once: the module returned the same value twice, or a merge of
graphs added it again. ONNX Runtime returns it each time. TensorRT makes one output of it, logs
`it was already set as network-level output`, and builds.
""",
    evidence="""The output, and how often it is listed.""",
    example="""`return logits, logits`, and a caller that unpacks two results.""",
    fix="""List it once, or write the second with an Identity under a name of its own.""",
    shows=Shown(""),
    quiet=Shown(""),
    matters=frozenset({"sizes", "specification"}),
    explains_model=True,
)

UNREAD_INPUT = Kind(
    id="structure/unread-input",
    summary="An input that nothing reads",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""`forward` takes an argument it does not use (`token_type_ids`, often), or a step that used it was cut off.
TensorRT keeps such an input and logs `Unused Input`; it still wants a range and a buffer for it. ONNX Runtime and
other tools may drop it, and feeding it then fails with `Invalid Feed Input Name`.""",
    evidence="""The inputs.""",
    example="""A DistilBERT exported with the inputs of BERT.""",
    fix="""None is needed while callers feed it. Else remove the argument and export again.""",
    shows=Shown(""),
    quiet=Shown(""),
    gives_reason=False,
    matters=frozenset({"sizes", "specification"}),
    explains_model=True,
)

CHECKER = Kind(
    id="structure/checker",
    summary="ONNX's checker objects",
    title="ONNX's checker objects to {node}",
    severities=(Severity.WARNING,),
    tiers=(Tier.MODEL,),
    cause="""
`onnx.checker` refuses the model for a reason that no rule here knows. TensorRT takes it, other tools may not.
""",
    evidence="""The checker's own text, and the node it names. It stops at the first breach it meets.""",
    example="""A node whose required attribute is missing, where the engine has a default for it.""",
    fix="""Re-export the model, or repair what edited it, until `onnx.checker.check_model` agrees.""",
    shows=Shown("tests/rules/engine/test_second_opinion.py::test_the_checker_objects_where_no_rule_does"),
    quiet=Shown("tests/rules/engine/test_second_opinion.py::test_the_long_name_of_onnx_s_own_domain_is_healthy"),
    matters=frozenset({"sizes", "specification"}),
    explains_model=True,
)
