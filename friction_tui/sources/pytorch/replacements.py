"""What to write instead of operators that the exporter does not translate, in operators that it does."""

from __future__ import annotations

import re

from friction_tui.vocabulary.finding import Fix

_MATRIX = r"inv|solve|lu_|cholesky|_qr|svd|eig|lstsq|slogdet|geqrf|householder"
_INSTEAD = (
    (
        r"sparse",
        "Keep the matrix dense: `to_dense()` in the constructor, then `torch.matmul`. ONNX has no sparse operators.",
    ),
    (
        r"searchsorted|bucketize",
        "Replace it with `(edges < x.unsqueeze(-1)).sum(-1)`, with `<=` for right=True, where edges are sorted.",
    ),
    (
        r"sort\.stable",
        "Replace it with `torch.sort(x)` or `torch.argsort(x)` without stable=True; numpy's are stable, too.",
    ),
    (
        r"cummax|cummin",
        "Replace it, for a length n fixed at the export, with "
        "`torch.stack([x[..., : i + 1].amax(-1) for i in range(n)], -1)`, `amin` for cummin.",
    ),
    (
        r"multinomial|poisson|_standard_gamma",
        "Draw the random numbers outside the model and make them an input.",
    ),
    (
        rf"linalg.*({_MATRIX})|^aten::({_MATRIX})|^aten::_?cholesky|^aten::(inverse|qr|svd)",
        "Of a constant matrix, compute it once in the constructor (`register_buffer`). Of an input, move it outside "
        "the model, or write it out for its small size; an inverse is also a fixed number of Newton-Schulz "
        "steps, `x = x @ (2 * eye - a @ x)`.",
    ),
    (
        r"^torchvision::",
        "Install torchvision in this environment: the exporter takes its translation of this operator from there.",
    ),
)
"""Pattern of the operator's name, and the edit; a test exports those in torch operators at opset 18 and compares."""


def instead_of(op: str) -> tuple[Fix, ...]:
    """The edit for `aten::searchsorted` and the like; nothing for an operator without a known one."""
    return tuple(Fix(text) for pattern, text in _INSTEAD if re.search(pattern, op))[:1]
