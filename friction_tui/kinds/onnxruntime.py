"""Only ONNX Runtime objects.

ONNX Runtime's CPU provider is asked last, in a process of its own and without the weights. Where it refuses what is
found already, its message is listed under that finding; where it takes what TensorRT refuses, that is evidence of a
limit of TensorRT. These kinds are what it alone objects to.
"""

from friction_tui.kinds.examples import Shown
from friction_tui.kinds.kind import Kind
from friction_tui.vocabulary.finding import Severity, Tier

REFUSES = Kind(
    id="onnxruntime/refuses",
    summary="Only ONNX Runtime refuses a node",
    title="Only ONNX Runtime refuses {what}",
    severities=(Severity.WARNING,),
    tiers=(Tier.HAZARD,),
    cause="""
ONNX Runtime does not load the node, and TensorRT does: an attribute it does not implement, types or shapes that
do not fit, or a breach of the specification that TensorRT passes over. Results cannot be compared on the CPU.
""",
    evidence="""ONNX Runtime's own text, without its prefix.""",
    example="""`Batchwise recurrent operations (layout == 1) are not supported` for an LSTM.""",
    fix="""Look at the attributes and inputs of the node; re-export it in the form all runtimes take.""",
    shows=Shown(
        "tests/rules/engine/test_second_opinion.py::test_what_it_alone_refuses_is_one_finding_for_all_its_nodes"
    ),
    quiet=Shown("tests/rules/engine/test_second_opinion.py::test_nothing_to_add_to_a_healthy_model"),
)

NO_KERNEL = Kind(
    id="onnxruntime/no-kernel",
    summary="ONNX Runtime's CPU provider lacks a kernel",
    title="Only ONNX Runtime refuses {what}",
    severities=(Severity.NOTE,),
    tiers=(Tier.HAZARD,),
    cause="""The operator is known, but not for these element types on a CPU. TensorRT is not concerned: a note.""",
    evidence="""ONNX Runtime's own text, such as `Could not find an implementation for MatMul(13) node`.""",
    example="""A model in bfloat16.""",
    fix="""Nothing for TensorRT. To compare results, run the float32 model, or the framework it was exported from.""",
    shows=Shown(
        "tests/rules/engine/test_second_opinion.py::test_what_it_alone_refuses_is_one_finding_for_all_its_nodes"
    ),
    quiet=Shown("tests/rules/engine/test_second_opinion.py::test_nothing_to_add_to_a_healthy_model"),
)

UNKNOWN_OPERATOR = Kind(
    id="onnxruntime/unknown-operator",
    summary="ONNX Runtime does not know an operator",
    title="Only ONNX Runtime refuses {what}",
    severities=(Severity.NOTE,),
    tiers=(Tier.HAZARD,),
    cause="""
The operator is of a domain ONNX Runtime does not have, such as a TensorRT plugin. TensorRT is not concerned: a
note.
""",
    evidence="""ONNX Runtime's own text, such as `is not a registered function/op`.""",
    example="""`EfficientNMS_TRT`.""",
    fix="""Nothing for TensorRT. To compare results, register a custom operator, or cut the model before it.""",
    shows=Shown(
        "tests/rules/engine/test_second_opinion.py::test_what_it_alone_refuses_is_one_finding_for_all_its_nodes"
    ),
    quiet=Shown("tests/rules/engine/test_second_opinion.py::test_nothing_to_add_to_a_healthy_model"),
)
