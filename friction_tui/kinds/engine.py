"""Messages of engines.

What TensorRT, ONNX Runtime and scripts for older releases print, and what it means.
"""

from functools import partial

from friction_tui.kinds.examples import Message, Shown
from friction_tui.kinds.kind import Kind
from friction_tui.vocabulary.finding import Severity, Tier

EngineKind = partial(
    Kind,
    severities=(Severity.ERROR, Severity.WARNING),
    tiers=(Tier.BUILDER,),
)
"""What the kinds of this family have in common, unless they say otherwise."""

OTHER = EngineKind(
    id="engine/other",
    summary="A message that is not known yet",
    tiers=(Tier.BUILDER, Tier.PARSER, Tier.SHAPES),
    cause="""The text is not in the table of messages.""",
    evidence="""The text.""",
    example="""A new internal assertion.""",
    fix="""Read the lines before it; search for it in the issues of TensorRT.""",
    shows=Message("the flux capacitor is misaligned"),
    quiet=Message("Network must have at least one output"),
    vague=True,
)

MESSAGE = EngineKind(
    id="engine/message",
    summary="A message of the builder",
    title="{outcome}",
    tiers=(Tier.BUILDER, Tier.SHAPES),
    cause="""The builder's own text, before its names are found in the model.""",
    evidence="""The text.""",
    example="""`IBuilder::buildSerializedNetwork: Error Code 4`.""",
    fix="""See the finding it becomes.""",
    shows=Shown("tests/engines/test_build.py::test_a_refused_model_gives_the_parsers_own_errors"),
    quiet=Shown("tests/engines/test_build.py::test_a_build_says_what_it_made"),
)

PARSER_CRASHED = EngineKind(
    id="engine/parser-crashed",
    summary="The parser crashed",
    title="TensorRT's parser crashed on this model",
    severities=(Severity.ERROR,),
    tiers=(Tier.PARSER,),
    cause="""TensorRT's parser ended in a signal while reading the model.""",
    evidence="""The signal, and the last lines that it wrote.""",
    example="""SIGSEGV on a graph with an operator in an unknown state.""",
    fix="""Fix what the other findings name; try another TensorRT.""",
    shows=Shown("tests/session/test_judging.py::test_a_crash_of_the_parser_is_a_finding"),
    quiet=Shown("tests/session/test_judging.py::test_a_parser_that_answers_has_not_crashed"),
    moot_with=("structure/recursive-function",),
)

BUILDER_CRASHED = EngineKind(
    id="engine/builder-crashed",
    summary="The builder crashed",
    title="TensorRT's builder crashed on this model",
    severities=(Severity.ERROR,),
    cause="""TensorRT's builder ended in a signal, or without a word, while it built the model.""",
    evidence="""How the process ended, the last lines that it wrote, and the node with which the crash begins.""",
    example="""SIGSEGV on an Attention whose query and key are one tensor (TensorRT-RTX 1.7.1).""",
    fix="""Change the node, try another TensorRT, and report it with the smallest model that shows it.""",
    shows=Shown("tests/commands/test_check.py::test_a_build_that_crashes_is_an_error_in_every_format"),
    quiet=Shown("tests/commands/test_check.py::test_a_build_that_succeeds_says_so"),
)

BUILD_TIMEOUT = EngineKind(
    id="engine/build-timeout",
    summary="The build took too long",
    title="The build gave no result in time",
    severities=(Severity.ERROR,),
    cause="""The build was ended before it came to a result.""",
    evidence="""The seconds it was given.""",
    example="""A cubic Resize of dynamic size that compiles for minutes.""",
    fix="""More time, smaller max sizes, one target only.""",
    shows=Shown("tests/session/test_builder_verdict.py::test_a_build_that_takes_too_long_is_an_error"),
    quiet=Shown("tests/session/test_builder_verdict.py::test_a_model_that_builds_has_no_finding"),
)

OUT_OF_HOST_MEMORY = EngineKind(
    id="engine/out-of-host-memory",
    summary="The build ran out of this machine's memory",
    severities=(Severity.ERROR,),
    cause="""The builder needs more memory of the machine (not of the GPU) than it could get.""",
    evidence="""How the process ended: SIGKILL from the kernel, or an allocation that failed.""",
    example="""A large model built in a container with a small memory limit.""",
    fix="""More memory, or smaller max sizes.""",
    shows=Shown("tests/session/test_builder_verdict.py::test_a_build_without_memory_says_so"),
    quiet=Shown("tests/session/test_builder_verdict.py::test_a_model_that_builds_has_no_finding"),
)

TARGET = EngineKind(
    id="engine/target",
    summary="A target that the engine does not build for",
    title="{engine} does not build for {target}",
    severities=(Severity.ERROR,),
    cause="""The chosen GPU architecture is not among those that the installed engine can be told to build for.""",
    evidence="""The target, and those that are offered.""",
    example="""`--target SM999`, or SM70 with TensorRT-RTX.""",
    fix="""One of those that are offered.""",
    shows=Shown("tests/commands/test_check.py::test_a_target_that_is_not_offered_is_an_error_with_those_that_are"),
    quiet=Shown("tests/commands/test_check.py::test_a_target_that_is_offered_is_taken"),
)

PRECISION_FLAG = EngineKind(
    id="engine/precision-flag",
    summary="A precision that the engine does not take as a flag",
    title="{engine} does not take {precision} as a flag",
    severities=(Severity.ERROR,),
    cause="""The engine's networks are strongly typed: a precision is an edit of the model, and this one needs scales
that nobody can invent.""",
    evidence="""The precision, and those that can be chosen.""",
    example="""`--precision int8` with TensorRT-RTX or TensorRT 11.""",
    fix="""Quantize the model (QuantizeLinear and DequantizeLinear), or choose fp16 or bf16.""",
    shows=Shown("tests/commands/test_check.py::test_a_precision_that_is_not_offered_is_an_error"),
    quiet=Shown("tests/commands/test_check.py::test_a_target_that_is_offered_is_taken"),
)

BUILDER_OPTION = EngineKind(
    id="engine/option",
    summary="A builder option that the engine does not offer",
    title="{engine} does not offer {option}",
    severities=(Severity.ERROR,),
    cause="""The chosen option of the builder is not in the engine's API, is there without effect, or ends its build
here; it is never left out without a word.""",
    evidence="""The option, its value, and what the engine does with it.""",
    example="""`--builder version_compatible` with TensorRT-RTX, which has no lean runtime.""",
    fix="""What is nearest to it, or leave it to the engine; `friction-tui options` lists what is offered.""",
    shows=Shown("tests/commands/test_options.py::test_an_option_that_is_not_offered_is_an_error_with_what_is_nearest"),
    quiet=Shown("tests/commands/test_options.py::test_an_option_that_is_offered_is_taken"),
)

PLUGIN_LIBRARY = EngineKind(
    id="engine/plugin-library",
    summary="A plug-in library that was not loaded",
    title="{library} was not loaded",
    severities=(Severity.ERROR,),
    cause="""Loading a library runs its code. Nobody agreed to these bytes, or the file cannot be read.""",
    evidence="""The file, and why.""",
    example="""`plugins = ["libmine.so"]` in a friction.toml that came with a model.""",
    fix="""Look at it with `friction-tui creators`; agree with `--allow-code` if you trust it.""",
    shows=Shown("tests/commands/test_plugins.py::test_a_library_is_loaded_only_after_somebody_agreed"),
    quiet=Shown("tests/commands/test_plugins.py::test_a_library_that_was_agreed_to_is_loaded_by_parser_and_builder"),
)

NO_GPU = EngineKind(
    id="engine/no-gpu",
    summary="CUDA error 35",
    severities=(Severity.WARNING,),
    tiers=(Tier.UNKNOWN,),
    cause="""The driver is older than the CUDA runtime, or there is no GPU.""",
    evidence="""The text.""",
    example="""`CUDA initialization failure with error: 35`.""",
    fix="""A newer driver; `friction-tui doctor` names the pair.""",
    shows=Message("CUDA initialization failure with error: 35"),
    quiet=Message("CUDA initialization failure with error: 2"),
)

NEEDS_GPU = EngineKind(
    id="engine/needs-gpu",
    summary="Cannot be judged without a GPU",
    severities=(Severity.WARNING,),
    tiers=(Tier.UNKNOWN,),
    cause="""What was asked exists only where a GPU is.""",
    evidence="""The text.""",
    example="""RoiAlign's plug-in.""",
    fix="""Ask again on a machine with one.""",
    shows=Message("Assertion failed: plugin != nullptr: ROIAlign plugin was not found in the plugin registry!"),
    quiet=Message("NonZero plugin creator version 1 was not found in plugin registry."),
)

OUT_OF_MEMORY = EngineKind(
    id="engine/out-of-memory",
    summary="Out of memory, not unsupported",
    cause="""A kernel or the engine wants more memory than there is, at the profile's max.""",
    evidence="""The bytes.""",
    example="""`Skipping tactic 3 due to insufficient memory on requested size of 68719476736`.""",
    fix="""A smaller max, several profiles, lower precision.""",
    shows=Message(
        "Skipping tactic 3 due to insufficient memory on requested size of 68719476736 detected for tactic 60."
    ),
    quiet=Message("Skipping tactic 3 because it is slower."),
)

WORKSPACE_TOO_SMALL = EngineKind(
    id="engine/workspace-too-small",
    summary="The workspace limit is too small",
    cause="""Every kernel needs more scratch memory than allowed; TensorRT then reports missing implementations.""",
    evidence="""The text.""",
    example="""A limit of 1 MiB.""",
    fix="""`config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, bytes)`.""",
    shows=Message("Some tactics were skipped: workspace limit of 1048576 bytes."),
    quiet=Message("Skipping tactic 3 due to insufficient memory on requested size of 68719476736."),
)

FOREIGN_NODE = EngineKind(
    id="engine/foreign-node",
    summary="No implementation for a fused region",
    cause="""
`ForeignNode[A...B]` is everything between A and B, fused by TensorRT's compiler. It needs too much memory, or
one operator in it does not fit; the message does not say which.
""",
    evidence="""The nodes between A and B, the most suspicious first: odd operators, then the largest results.""",
    example="""`Could not find any implementation for node {ForeignNode[/enc/Reshape.../dec/Add]}`.""",
    fix="""Lower the max or raise the workspace if the log mentions memory; else break the region at a suspect.""",
    shows=Message("Could not find any implementation for node {ForeignNode[/enc/Reshape.../dec/Add]}."),
    quiet=Message("Could not find any implementation for node /dec/Add."),
)

INITIALIZER = EngineKind(
    id="engine/initializer",
    summary="An initializer that could not be read",
    cause="""Eight causes share this text: external data missing or short, a stored length that contradicts the dims, a
type TensorRT does not have.""",
    evidence="""The initializer.""",
    example="""`Failed to import initializer: In node -1`.""",
    fix="""Look at its type, length and file.""",
    shows=Message("[network.cpp::validate] Failed to import initializer: fc.weight"),
    quiet=Message("Failed to open file: fc.weight"),
    vague=True,
)

SHAPE_ANALYSIS = EngineKind(
    id="engine/shape-analysis",
    summary="TensorRT could not work out a shape",
    cause="""A size depends on values, or the input types do not fit together.""",
    evidence="""`checkCalculationStatusSanity`, `isInFlight`.""",
    example="""Where with int32 and int64 branches; a Loop whose trip count is computed.""",
    fix="""Constants, sizes from input shapes, matching types.""",
    shows=Message("Assertion !isInFlight failed."),
    quiet=Message("Assertion failed: false"),
    vague=True,
)

PLAN_VERSION = EngineKind(
    id="engine/plan-version",
    summary="A plan of another TensorRT",
    tiers=(Tier.STACK,),
    cause="""A plan only runs with the version that built it (and on the architecture it was built for).""",
    evidence="""Both versions.""",
    example="""`expecting library version 8.0.0 got 8.0.1, please rebuild`.""",
    fix="""Build again with the library that loads it.""",
    shows=Message(
        "The engine plan file is not compatible with this version of TensorRT, expecting library "
        "version 8.0.0 got 8.0.1"
    ),
    quiet=Message("The engine plan file was loaded."),
)

REMOVED_API = EngineKind(
    id="engine/removed-api",
    summary="A script for an older TensorRT",
    cause="""The attribute was removed.""",
    evidence="""The old name and the new one.""",
    example="""`'IBuilderConfig' object has no attribute 'max_workspace_size'`.""",
    fix="""The new name, in the finding.""",
    shows=Message("'tensorrt.IBuilderConfig' object has no attribute 'max_workspace_size'"),
    quiet=Message("'tensorrt.IBuilderConfig' object has no attribute 'workspace'"),
)

NONE_ENGINE = EngineKind(
    id="engine/none-engine",
    summary="A consequence of an earlier failure",
    cause="""The build or load failed and returned None.""",
    evidence="""The text.""",
    example="""`'NoneType' object has no attribute 'create_execution_context'`.""",
    fix="""Look for the first [E] above.""",
    shows=Message("'NoneType' object has no attribute 'create_execution_context'"),
    quiet=Message("'NoneType' object has no attribute 'shape'"),
)

FEED = EngineKind(
    id="engine/feed",
    summary="Fed names that the graph does not have",
    cause="""An argument the model does not use is dropped at export.""",
    evidence="""The names.""",
    example="""`Invalid Feed Input Name:token_type_ids`.""",
    fix="""Feed the graph's inputs.""",
    shows=Message("Invalid Feed Input Name:token_type_ids"),
    quiet=Message("Feed accepted"),
)

SERVING_RANGE = EngineKind(
    id="engine/serving-range",
    summary="A request outside the engine's profile",
    cause="""The server allows larger requests than the engine was built for.""",
    evidence="""The dimension, its range, the request.""",
    example="""`expected the shape of dimension 0 to be between 1 and 1 but received 32`.""",
    fix="""A profile that covers it, or a lower max_batch_size.""",
    shows=Message("model expected the shape of dimension 0 to be between 1 and 1 but received 32"),
    quiet=Message("model expected 2 inputs but received 3"),
)

NO_ADAPTER = EngineKind(
    id="engine/no-adapter",
    summary="No way to that opset",
    cause="""ONNX's version converter has no adapter; downgrades are mostly not implemented.""",
    evidence="""The operator and the opset.""",
    example="""`No Adapter From Version $11 for Resize`.""",
    fix="""Export again at the lower opset.""",
    shows=Message("No Adapter From Version $11 for Resize"),
    quiet=Message("Adapter From Version $11 for Resize"),
)

NO_ONNX_OP = EngineKind(
    id="engine/no-onnx-op",
    summary="A PyTorch operator without translation",
    cause="""The exporter has none at this opset.""",
    evidence="""The operator and the opset.""",
    example="""`Exporting the operator 'aten::stft' to ONNX opset version 11 is not supported`.""",
    fix="""A higher opset, a newer torch, or other operators.""",
    shows=Message("Exporting the operator 'aten::stft' to ONNX opset version 11 is not supported"),
    quiet=Message("Exporting the module to ONNX opset version 11"),
)
