"""What to write instead of operators that the exporter does not translate, in operators that it does."""

from __future__ import annotations

import ast
import re

from friction_tui.sources.source_lines import statement_at
from friction_tui.vocabulary.finding import Fix, SourceLine

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
        r"scatter_reduce",
        "For a mean over n groups add up and count: `torch.zeros(n, c).index_add(0, index, x) / torch.zeros(n, "
        "1).index_add(0, index, torch.ones(len(x), 1)).clamp(min=1)`.",
    ),
    (
        r"istft",
        "For n_fft and hop fixed at the export multiply by an inverse DFT matrix and add the frames up with a "
        "transposed convolution: `w = torch.fft.irfft(torch.eye(n_fft // 2 + 1), n=n_fft) * window` for the real part, "
        "the same of `1j * torch.eye(...)` for the imaginary one, both in the constructor; `y = "
        "F.conv_transpose1d(torch.cat([re, im], 1), torch.cat([w_re, w_im])[:, None], stride=hop)`, divided by "
        "`F.conv_transpose1d(torch.ones(1, 1, frames), window.square()[None, None], stride=hop)`, and cut n_fft // 2 "
        "off both ends for center=True.",
    ),
    (
        r"^torchvision::",
        "Install torchvision in this environment: the exporter takes its translation of this operator from there.",
    ),
)
"""Pattern of the operator's name, and the edit; a test exports those in torch operators at opset 18 and compares."""


def in_line(line: SourceLine | None) -> tuple[Fix, ...]:
    """The edits for the calls in a line of Python, where the line is known and not the operator in it."""
    statement = statement_at(line) if line else None
    calls = [node.func for node in (ast.walk(statement) if statement else ()) if isinstance(node, ast.Call)]
    names = dict.fromkeys(func.attr for func in calls if isinstance(func, ast.Attribute))
    return tuple(fix for name in names for fix in instead_of(f"aten::{name}"))


def instead_of(op: str) -> tuple[Fix, ...]:
    """The edit for `aten::searchsorted` and the like; nothing for an operator without a known one."""
    return tuple(Fix(text) for pattern, text in _INSTEAD if re.search(pattern, op))[:1]
