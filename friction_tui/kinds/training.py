"""Training and chance.

What belongs to training, and what differs from run to run.
"""

from functools import partial

from friction_tui.kinds.examples import Built, But, ModelText, Weights
from friction_tui.kinds.kind import Kind
from friction_tui.vocabulary.finding import Severity, Tier

TrainingKind = partial(
    Kind,
    matters=frozenset({"training"}),
)
"""What the kinds of this family have in common, unless they say otherwise."""

DROPOUT = TrainingKind(
    id="training/dropout",
    summary="Dropout in training mode",
    severities=(Severity.ERROR, Severity.WARNING),
    tiers=(Tier.PARSER, Tier.BUILDER),
    cause="""The model was exported without `model.eval()`. TensorRT refuses it, ONNX Runtime gives another result on
each run.""",
    evidence="""The nodes.""",
    example="""`torch.onnx.export(model.train(), …)`.""",
    fix="""`model.eval()` and export again.""",
    shows=ModelText(
        "g (float[n,4] x) => (float[n,4] y) { y = Dropout (x, ratio, training) }",
        weights=(Weights("ratio", (), (0.5,)), Weights("training", (), (1.0,), "bool")),
    ),
    quiet=But(weights=(Weights("ratio", (), (0.5,)), Weights("training", (), (0.0,), "bool"))),
    rewrites=("eval-mode",),
)

DROPOUT_SWITCH = TrainingKind(
    id="training/dropout-switch",
    summary="Dropout switched at run time",
    title="Dropout switched on and off at run time",
    severities=(Severity.WARNING, Severity.ERROR),
    tiers=(Tier.HAZARD, Tier.PARSER),
    cause="""training_mode is computed or an input; TensorRT wants the constant false.""",
    evidence="""The node and the tensor.""",
    example="""An export with the mode as an input.""",
    fix="""`model.eval()`, or an initializer false.""",
    shows=ModelText(
        "g (float[n,4] x, bool training) => (float[n,4] y) { y = Dropout (x, ratio, training) }",
        weights=(Weights("ratio", (), (0.5,)),),
    ),
    quiet=But(", bool training", "", weights=(Weights("ratio", (), (0.5,)), Weights("training", (), (0.0,), "bool"))),
)

BATCH_NORM = TrainingKind(
    id="training/batch-norm",
    summary="BatchNormalization in training mode",
    severities=(Severity.ERROR, Severity.WARNING),
    tiers=(Tier.PARSER, Tier.BUILDER),
    cause="""It normalizes with the batch's own statistics, so a result depends on the rest of the batch. TensorRT
refuses it.""",
    evidence="""The nodes.""",
    example="""`model.train()`, `track_running_stats=False`, `F.batch_norm(training=True)`.""",
    fix="""`model.eval()`.""",
    shows=ModelText(
        "g (float[n,2,4] x) => (float[n,2,4] y) { y, m, v = BatchNormalization <training_mode = 1> (x, s, s, s, s) }",
        weights=(Weights("s", (2,)),),
    ),
    quiet=But(", m, v = BatchNormalization <training_mode = 1>", " = BatchNormalization"),
    rewrites=("eval-mode",),
)

RANDOM = TrainingKind(
    id="training/random",
    summary="Random operators",
    title="Random operator {op}",
    severities=(Severity.WARNING,),
    tiers=(Tier.HAZARD,),
    cause="""Results differ from run to run and between engines; TensorRT ignores seeds.""",
    evidence="""The nodes.""",
    example="""Noise in a VAE or a TTS model, stochastic depth left on.""",
    fix="""Make the noise an input.""",
    shows=ModelText("g (float[n,4] x) => (float[n,4] y) { noise = RandomNormalLike (x) y = Add (x, noise) }"),
    quiet=ModelText("g (float[n,4] x, float[n,4] noise) => (float[n,4] y) { y = Add (x, noise) }"),
    moot_under=("*",),
)

TRAINING_INFO = TrainingKind(
    id="training/training-info",
    summary="Training graphs in the file",
    title="The model carries training graphs",
    severities=(Severity.NOTE,),
    tiers=(Tier.MODEL,),
    cause="""`training_info` is ignored by inference engines.""",
    evidence="""How many.""",
    example="""A model saved for on-device training.""",
    fix="""Remove it.""",
    shows=Built("""
def model():
    proto = onnx.parser.parse_model(
        '<ir_version: 9, opset_import: ["" : 17]> g (float[n,4] x) => (float[n,4] y) { y = Relu (x) }'
    )
    proto.training_info.add()
    return proto
"""),
    quiet=ModelText("g (float[n,4] x) => (float[n,4] y) { y = Relu (x) }"),
)
