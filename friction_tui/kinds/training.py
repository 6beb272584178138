"""Training and chance.

What belongs to training, and what differs from run to run.
"""

from friction_tui.kinds.examples import Shown
from friction_tui.kinds.kind import Kind
from friction_tui.vocabulary.finding import Severity, Tier

DROPOUT = Kind(
    id="training/dropout",
    summary="Dropout in training mode",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""The model was exported without `model.eval()`. TensorRT refuses it, ONNX Runtime gives another result on
each run.""",
    evidence="""The nodes.""",
    example="""`torch.onnx.export(model.train(), …)`.""",
    fix="""`model.eval()` and export again.""",
    shows=Shown(""),
    quiet=Shown(""),
    matters=frozenset({"training"}),
)

DROPOUT_SWITCH = Kind(
    id="training/dropout-switch",
    summary="Dropout switched at run time",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""training_mode is computed or an input; TensorRT wants the constant false.""",
    evidence="""The node and the tensor.""",
    example="""An export with the mode as an input.""",
    fix="""`model.eval()`, or an initializer false.""",
    shows=Shown(""),
    quiet=Shown(""),
    matters=frozenset({"training"}),
)

BATCH_NORM = Kind(
    id="training/batch-norm",
    summary="BatchNormalization in training mode",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""It normalizes with the batch's own statistics, so a result depends on the rest of the batch. TensorRT
refuses it.""",
    evidence="""The nodes.""",
    example="""`model.train()`, `track_running_stats=False`, `F.batch_norm(training=True)`.""",
    fix="""`model.eval()`.""",
    shows=Shown(""),
    quiet=Shown(""),
    matters=frozenset({"training"}),
)

RANDOM = Kind(
    id="training/random",
    summary="Random operators",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""Results differ from run to run and between engines; TensorRT ignores seeds.""",
    evidence="""The nodes.""",
    example="""Noise in a VAE or a TTS model, stochastic depth left on.""",
    fix="""Make the noise an input.""",
    shows=Shown(""),
    quiet=Shown(""),
    matters=frozenset({"training"}),
    moot_under=("*",),
)

TRAINING_INFO = Kind(
    id="training/training-info",
    summary="Training graphs in the file",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""`training_info` is ignored by inference engines.""",
    evidence="""How many.""",
    example="""A model saved for on-device training.""",
    fix="""Remove it.""",
    shows=Shown(""),
    quiet=Shown(""),
    matters=frozenset({"training"}),
)
