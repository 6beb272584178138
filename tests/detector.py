"""A small session of a detector as the worker reports it. Versions, times and figures are fixed, so screens repeat."""

import sys

from friction_tui.drawing.order import with_order
from friction_tui.vocabulary.finding import (
    EngineWords,
    Finding,
    Fix,
    Location,
    LocationKind,
    Severity,
    SourceLine,
    Tier,
)
from friction_tui.vocabulary.protocol import (
    CheckState,
    Detail,
    Dim,
    EngineInfo,
    Event,
    Findings,
    GraphData,
    GraphReady,
    Hello,
    Judged,
    ModelSummary,
    NodeDetail,
    Opened,
    Port,
    RowLabels,
    TensorDetail,
)
from friction_tui.vocabulary.recipe import Profile, Range, Recipe, Source

RTX = "TensorRT-RTX 1.7.1"
SILENT_WORKER = [sys.executable, "-c", "import sys; sys.stdin.read()"]

HELLO = Hello(
    version="0.1.0",
    pid=4711,
    machine="bench",
    engines=(
        EngineInfo(
            name="tensorrt_rtx",
            label=RTX,
            version="1.7.1",
            can_parse=True,
            can_build=True,
            can_run=False,
            why_not="no NVIDIA GPU",
            targets=("SM80", "SM89"),
        ),
        EngineInfo(
            name="onnxruntime",
            label="ONNX Runtime 1.32.0 CPU",
            version="1.32.0",
            can_parse=False,
            can_build=False,
            can_run=True,
        ),
    ),
    no_gpu="no NVIDIA GPU here",
)

NODES = [  # name, op, inputs by name; scopes are in the names
    ("images", "Input", []),
    ("stem/conv", "Conv", ["images"]),
    ("stem/relu", "Relu", ["stem/conv"]),
    ("backbone/conv1", "Conv", ["stem/relu"]),
    ("backbone/relu1", "Relu", ["backbone/conv1"]),
    ("backbone/conv2", "Conv", ["backbone/relu1"]),
    ("backbone/add", "Add", ["backbone/conv2", "stem/relu"]),
    ("neck/up1", "Resize", ["backbone/add"]),
    ("neck/cat1", "Concat", ["neck/up1", "stem/relu"]),
    ("head/Reshape", "Reshape", ["neck/cat1"]),
    ("head/fc", "Gemm", ["head/Reshape"]),
    ("post/NonZero", "NonZero", ["head/fc"]),
    ("post/Gather", "Gather", ["head/fc", "post/NonZero"]),
    ("boxes", "Output", ["post/Gather"]),
]


def detector_graph() -> GraphData:
    """A detector in fourteen items, one of them refused, one broken for most batches."""
    index = {name: i for i, (name, _, _) in enumerate(NODES)}
    table: list[tuple[str, ...]] = [()]
    scopes = []
    for name, _, _ in NODES:
        scope = tuple(name.split("/")[:-1])
        if scope not in table:
            table.append(scope)
        scopes.append(table.index(scope))
    sigil = {"Input": "<", "Output": ">"}
    paths = [f"{sigil[op]}{name}" if op in sigil else str(i - 1) for i, (name, op, _) in enumerate(NODES)]
    return with_order(
        GraphData(
            names=[name for name, _, _ in NODES],
            ops=[op for _, op, _ in NODES],
            paths=paths,
            inputs=[[index[source] for source in sources] for _, _, sources in NODES],
            scopes=scopes,
            scope_table=table,
            order=[],
            main=len(NODES),
        )
    )


def node(name: str, source: SourceLine | None = None) -> Location:
    """The location of one of the nodes."""
    at = next(i for i, entry in enumerate(NODES) if entry[0] == name)
    return Location(kind=LocationKind.NODE, name=name, op=NODES[at][1], node=str(at - 1), source=source)


NON_ZERO = Finding(
    kind="operator/nonzero",
    severity=Severity.ERROR,
    tier=Tier.PARSER,
    title="NonZero has no implementation in this TensorRT",
    cause="NonZero gives as many rows as there are non-zero values: an output whose size depends on the data.",
    source=f"{RTX} parser",
    locations=(node("post/NonZero"),),
    fixes=(Fix(text="masked TopK in place of NonZero and Gather", rewrite="nonzero-topk", nodes=("10",)),),
    words=(EngineWords(f"{RTX} parser", "No importer registered for op: NonZero"),),
)
RESHAPE = Finding(
    kind="dynamic/baked-reshape",
    severity=Severity.ERROR,
    tier=Tier.SHAPES,
    title="batch 1 is baked into the target shape: it breaks for N ≥ 2",
    cause="The target shape [1, 256] is a constant, the input is N × 256 (N = 1 · 4 · 8).",
    source="rule",
    locations=(node("head/Reshape", SourceLine("model.py", 88, "Head.forward", "x = x.view(1, 256)")),),
    evidence=("at N = 4 the input has 1024 elements, the target 256",),
    fixes=(
        Fix(text="x.flatten(1) in model.py:88, then r: the export stays right"),
        Fix(text="rewrite the target to [-1, 256]", rewrite="reshape-minus-one", nodes=("8",)),
        Fix(text="restrict N to 1", ranges={"N": Range(1, 1, 1)}),
    ),
    words=(
        EngineWords(
            f"{RTX} builder",
            "kOPT values for profile 0 violate shape constraints: IShuffleLayer head/Reshape: reshaping failed for "
            "tensor: /neck/cat1 reshape would change volume 1024 to 256. Condition '==' violated: 1024 != 256.",
        ),
    ),
    also=(f"{RTX} builder at opt", "ONNX Runtime 1.32.0 CPU at opt and max"),
)
CONCAT = Finding(
    kind="dynamic/stride-multiple",
    severity=Severity.WARNING,
    tier=Tier.HAZARD,
    title="H and W must be multiples of 32",
    cause="The skip connection meets an upsampled tensor; sizes agree only for multiples of 32.",
    source="rule",
    locations=(node("neck/cat1"),),
)
GATHER = Finding(
    kind="unchecked/behind-refused",
    severity=Severity.NOTE,
    tier=Tier.UNCHECKED,
    title="not checked: it lies behind post/NonZero, which was refused",
    cause="The parser stops at a refused node, so nothing is known of what follows.",
    source=f"{RTX} parser",
    locations=(node("post/Gather"),),
)
FINDINGS = [NON_ZERO, RESHAPE, CONCAT, GATHER]

RECIPE = Recipe(source=Source(path="/models/detector.onnx"))
GUESSED = Recipe(
    source=RECIPE.source,
    profile=Profile(ranges={"N": Range(1, 4, 8), "H": Range(320, 512, 640)}, guessed=("N", "H")),
)


def session_events(revision: int = 1, findings: list[Finding] = FINDINGS) -> list[Event]:
    """Everything the worker says about the detector up to its verdict."""
    graph = detector_graph()
    summary = ModelSummary(
        path=RECIPE.source.path,
        ir_version=8,
        opsets={"": 17},
        producer="pytorch 2.13.0",
        inputs=(Port("images", "float32", (Dim(symbol="N"), Dim(3), Dim(symbol="H"), Dim(symbol="H"))),),
        outputs=(Port("boxes", "float32", None),),
        nodes=13,
        initializers=9,
        weights_bytes=4_200_000,
        external_bytes=0,
        file_bytes=4_210_000,
    )
    return [
        Opened(revision=revision, summary=summary, recipe=GUESSED),
        GraphReady(revision=revision, graph=graph),
        RowLabels(
            revision=revision,
            labels=[
                "1..8 × 3 × 320..640²" if op == "Input" else "N × 32 × H/2 × H/2" if op == "Conv" else ""
                for op in graph.ops
            ],
        ),
        Findings(
            revision=revision,
            check="parser",
            state=CheckState.DONE,
            findings=[f for f in findings if f.tier is Tier.PARSER],
            seconds=0.09,
            source=f"{RTX} parser",
        ),
        Judged(revision=revision, findings=findings, seconds=0.14),
    ]


RESHAPE_DETAIL = Detail(
    path="8",
    node=NodeDetail(
        path="8",
        name="head/Reshape",
        op="Reshape",
        domain="",
        opset=17,
        attributes=(("allowzero", "0"),),
        inputs=(
            TensorDetail("flat", "float32", ((1, 256), (4, 256), (8, 256)), formal="data"),
            TensorDetail("shape", "int64", ((2,), (2,), (2,)), role="constant", value="[1, 256]", formal="shape"),
        ),
        outputs=(TensorDetail("y", "float32", ((1, 256), None, None), formal="reshaped"),),
        source=SourceLine("model.py", 88, "Head.forward", "x = x.view(1, 256)"),
        scope=("head",),
    ),
)
