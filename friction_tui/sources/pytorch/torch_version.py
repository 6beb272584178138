"""Which versions of torch an export works with."""

from __future__ import annotations

import re
import sys

from friction_tui.kinds import export
from friction_tui.vocabulary.finding import Finding, Location, LocationKind

OLDEST = (2, 9)
"""What the `torch` extra in pyproject.toml asks for: the first whose torch.onnx.export captures with torch.export."""


def too_old(version: str) -> Finding | None:
    """That this version of torch is older than what an export needs; None for one that is new enough."""
    numbers = re.match(r"(\d+)\.(\d+)", version)
    if numbers is None or tuple(map(int, numbers.groups())) >= OLDEST:
        return None
    needed = ".".join(map(str, OLDEST))
    return export.NOT_INSTALLED.finding(
        missing=f"torch {needed} or newer; torch {version.partition('+')[0]} is installed",
        cause=f"The export uses torch.onnx.export on top of torch.export as torch {needed} has them "
        f"(interpreter {sys.executable}).",
        source="export process",
        locations=(Location(LocationKind.FILE, "torch"),),
        fixes=(
            f"Install it: `pip install 'torch>={needed}'`.",
            "Or export with your own torch, `torch.onnx.export(model, args, 'model.onnx')`, and open the ONNX file.",
        ),
    )
