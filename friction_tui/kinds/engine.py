"""Messages of engines.

What TensorRT, ONNX Runtime and old scripts print, and what it means.
"""

from friction_tui.kinds.examples import Shown
from friction_tui.kinds.kind import Kind
from friction_tui.vocabulary.finding import Severity, Tier

OTHER = Kind(
    id="engine/other",
    summary="A message nobody knows yet",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""The text is not in the table of messages.""",
    evidence="""The text.""",
    example="""A new internal assertion.""",
    fix="""Read the lines before it; search for it in the issues of TensorRT.""",
    shows=Shown(""),
    quiet=Shown(""),
    vague=True,
)

MESSAGE = Kind(
    id="engine/message",
    summary="What the builder said",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""The builder's own words, before they are read against the model.""",
    evidence="""The text.""",
    example="""`IBuilder::buildSerializedNetwork: Error Code 4`.""",
    fix="""See the finding it becomes.""",
    shows=Shown(""),
    quiet=Shown(""),
)

PARSER_CRASHED = Kind(
    id="engine/parser-crashed",
    summary="The parser crashed",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""TensorRT's parser ended in a signal while reading the model.""",
    evidence="""The signal, and its last words.""",
    example="""SIGSEGV on a graph with an operator in an unknown state.""",
    fix="""Mend what the other findings name; try another TensorRT.""",
    shows=Shown(""),
    quiet=Shown(""),
    moot_with=("structure/recursive-function",),
)

INT64_HARMLESS = Kind(
    id="engine/int64-harmless",
    summary="INT64 weights: harmless",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""Old parsers narrow INT64 constants to INT32 and say so. It is not why anything failed.""",
    evidence="""The text.""",
    example="""`Your ONNX model has been generated with INT64 weights`.""",
    fix="""Look at the next line marked [E].""",
    shows=Shown(""),
    quiet=Shown(""),
)

NO_GPU = Kind(
    id="engine/no-gpu",
    summary="CUDA error 35",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""The driver is older than the CUDA runtime, or there is no GPU.""",
    evidence="""The text.""",
    example="""`CUDA initialization failure with error: 35`.""",
    fix="""A newer driver; `friction-tui doctor` names the pair.""",
    shows=Shown(""),
    quiet=Shown(""),
)

NEEDS_GPU = Kind(
    id="engine/needs-gpu",
    summary="Cannot be told without a GPU",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""What was asked exists only where a GPU is.""",
    evidence="""The text.""",
    example="""RoiAlign's plug-in.""",
    fix="""Ask again on a machine with one.""",
    shows=Shown(""),
    quiet=Shown(""),
)

OUT_OF_MEMORY = Kind(
    id="engine/out-of-memory",
    summary="Out of memory, not unsupported",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""A kernel or the engine wants more memory than there is, at the profile's max.""",
    evidence="""The bytes.""",
    example="""`Skipping tactic 3 due to insufficient memory on requested size of 68719476736`.""",
    fix="""A smaller max, several profiles, lower precision.""",
    shows=Shown(""),
    quiet=Shown(""),
)

WORKSPACE_TOO_SMALL = Kind(
    id="engine/workspace-too-small",
    summary="The workspace limit is too small",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""Every kernel needs more scratch memory than allowed; TensorRT then speaks of missing implementations.""",
    evidence="""The text.""",
    example="""A limit of 1 MiB.""",
    fix="""`config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, bytes)`.""",
    shows=Shown(""),
    quiet=Shown(""),
)

FOREIGN_NODE = Kind(
    id="engine/foreign-node",
    summary="No implementation for a fused region",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""
`ForeignNode[A...B]` is everything between A and B, fused by TensorRT's compiler. It needs too much memory, or
one operator in it does not fit; the message does not say which.
""",
    evidence="""The nodes between A and B, the most suspicious first: odd operators, then the largest results.""",
    example="""`Could not find any implementation for node {ForeignNode[/enc/Reshape.../dec/Add]}`.""",
    fix="""Lower the max or raise the workspace if the log speaks of memory; else break the region at a suspect.""",
    shows=Shown(""),
    quiet=Shown(""),
)

INITIALIZER = Kind(
    id="engine/initializer",
    summary="An initializer that could not be read",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""Eight causes share this text: external data missing or short, a stored length that contradicts the dims, a
type TensorRT does not have.""",
    evidence="""The initializer.""",
    example="""`Failed to import initializer: In node -1`.""",
    fix="""Look at its type, length and file.""",
    shows=Shown(""),
    quiet=Shown(""),
    vague=True,
)

SHAPE_ANALYSIS = Kind(
    id="engine/shape-analysis",
    summary="TensorRT could not work out a shape",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""A size depends on values, or the input types do not fit together.""",
    evidence="""`checkCalculationStatusSanity`, `isInFlight`.""",
    example="""Where with int32 and int64 branches; a Loop whose trip count is computed.""",
    fix="""Constants, sizes from input shapes, matching types.""",
    shows=Shown(""),
    quiet=Shown(""),
    vague=True,
)

PLAN_VERSION = Kind(
    id="engine/plan-version",
    summary="A plan of another TensorRT",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""A plan only runs with the version that built it (and on the architecture it was built for).""",
    evidence="""Both versions.""",
    example="""`expecting library version 8.0.0 got 8.0.1, please rebuild`.""",
    fix="""Build again with the library that loads it.""",
    shows=Shown(""),
    quiet=Shown(""),
)

REMOVED_API = Kind(
    id="engine/removed-api",
    summary="A script for an older TensorRT",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""The attribute was removed.""",
    evidence="""The old name and the new one.""",
    example="""`'IBuilderConfig' object has no attribute 'max_workspace_size'`.""",
    fix="""The new name, in the finding.""",
    shows=Shown(""),
    quiet=Shown(""),
)

NONE_ENGINE = Kind(
    id="engine/none-engine",
    summary="A consequence of an earlier failure",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""The build or load failed and returned None.""",
    evidence="""The text.""",
    example="""`'NoneType' object has no attribute 'create_execution_context'`.""",
    fix="""Look for the first [E] above.""",
    shows=Shown(""),
    quiet=Shown(""),
)

FEED = Kind(
    id="engine/feed",
    summary="Fed names that the graph does not have",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""An argument the model does not use is dropped at export.""",
    evidence="""The names.""",
    example="""`Invalid Feed Input Name:token_type_ids`.""",
    fix="""Feed the graph's inputs.""",
    shows=Shown(""),
    quiet=Shown(""),
)

SERVING_RANGE = Kind(
    id="engine/serving-range",
    summary="A request outside the engine's profile",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""The server allows larger requests than the engine was built for.""",
    evidence="""The dimension, its range, the request.""",
    example="""`expected the shape of dimension 0 to be between 1 and 1 but received 32`.""",
    fix="""A profile that covers it, or a lower max_batch_size.""",
    shows=Shown(""),
    quiet=Shown(""),
)

NO_ADAPTER = Kind(
    id="engine/no-adapter",
    summary="No way to that opset",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""ONNX's version converter has no adapter; downgrades are mostly not implemented.""",
    evidence="""The operator and the opset.""",
    example="""`No Adapter From Version $11 for Resize`.""",
    fix="""Export again at the lower opset.""",
    shows=Shown(""),
    quiet=Shown(""),
)

NO_ONNX_OP = Kind(
    id="engine/no-onnx-op",
    summary="A PyTorch operator without translation",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""The exporter has none at this opset.""",
    evidence="""The operator and the opset.""",
    example="""`Exporting the operator 'aten::stft' to ONNX opset version 11 is not supported`.""",
    fix="""A higher opset, a newer torch, or other operators.""",
    shows=Shown(""),
    quiet=Shown(""),
)
