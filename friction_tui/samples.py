"""The sample models: small, each with one real problem. They come with the source tree and with the wheel."""

from __future__ import annotations

import sysconfig
from pathlib import Path

SAMPLES: dict[str, str] = {
    "detector": "a skip that needs even sizes, a baked batch and NonZero at the end",
    "baked_batch": "the flatten was traced with batch 1",
    "unet_skip": "sizes that are not multiples of 4 break a Concat",
    "nms": "non-maximum suppression inside the graph",
    "boolean_mask": "x[mask]: the size of the result depends on the values",
    "qdq_asymmetric": "quantized with a zero point that is not zero",
    "upsample9": "Upsample of opset 9 with computed scales",
    "training_mode": "exported without model.eval()",
    "growing_loop": "a Loop whose state grows every step",
    "wrong_types": "uint8 and float64 at the border",
    "fp16_hazard": "overflow and underflow in float16",
    "torch_classifier": "a real torch export with a batch size written into view()",
    "healthy_cnn": "nothing wrong: dynamic batch",
    "healthy_transformer": "nothing wrong: dynamic batch and sequence",
}
"""Name to what is wrong with it."""
DEMO = "detector"
"""The one to begin with: all its problems have a fix by key, after which it builds and runs."""


def sample(name: str) -> Path | None:
    """The file of a sample model, None when there is no such sample."""
    if name not in SAMPLES:
        return None
    return next((file for folder in folders() if (file := folder / f"{name}.onnx").is_file()), None)


def folders() -> list[Path]:
    """Where sample models may lie: the source tree, then what the wheel installed."""
    here = Path(__file__).parent.parent / "sample_models"
    installed = Path(sysconfig.get_path("data")) / "share" / "friction-tui" / "sample_models"
    return [folder for folder in (here, installed) if folder.is_dir()]
