"""The edits for operators that do not export: they export, and compute what the operator computed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime as ort
import pytest
import torch
from torch import Tensor

from friction_tui.sources.pytorch.replacements import instead_of

pytestmark = pytest.mark.slow

LENGTH = 5
EDGES = torch.tensor([-1.0, -0.25, 0.5, 1.0])


def _newton_schulz(a: Tensor) -> Tensor:
    eye = torch.eye(a.shape[-1])
    x = a.transpose(-1, -2) / (a.abs().sum(-1).amax(-1) * a.abs().sum(-2).amax(-1))[..., None, None]
    for _ in range(30):
        x = x @ (2 * eye - a @ x)
    return x


OPERATORS: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor], str]] = {
    "aten::searchsorted": (
        lambda x: torch.searchsorted(EDGES, x),
        lambda x: (x.unsqueeze(-1) > EDGES).sum(-1),
        "(edges < x.unsqueeze(-1)).sum(-1)",
    ),
    "aten::bucketize": (
        lambda x: torch.bucketize(x, EDGES, right=True),
        lambda x: (x.unsqueeze(-1) >= EDGES).sum(-1),
        "`<=` for right=True",
    ),
    "aten::sort.stable": (
        lambda x: torch.sort(x.round(), stable=True)[1],
        lambda x: torch.sort(x.round())[1],
        "torch.sort(x)",
    ),
    "aten::cummax": (
        lambda x: torch.cummax(x, -1)[0],
        lambda x: torch.stack([x[..., : i + 1].amax(-1) for i in range(LENGTH)], -1),
        "x[..., : i + 1].amax(-1)",
    ),
    "aten::cummin": (
        lambda x: torch.cummin(x, -1)[0],
        lambda x: torch.stack([x[..., : i + 1].amin(-1) for i in range(LENGTH)], -1),
        "`amin` for cummin",
    ),
    "aten::linalg_inv_ex": (
        lambda x: torch.linalg.inv(x @ x.mT + 5 * torch.eye(LENGTH)),
        lambda x: _newton_schulz(x @ x.mT + 5 * torch.eye(LENGTH)),
        "x = x @ (2 * eye - a @ x)",
    ),
    "aten::_sparse_mm": (
        lambda x: torch.sparse.mm(torch.diag(EDGES.new_tensor([1, 0, 2, 0, 3])).to_sparse(), x),
        lambda x: torch.matmul(torch.diag(EDGES.new_tensor([1, 0, 2, 0, 3])), x),
        "torch.matmul",
    ),
}


class Replaced(torch.nn.Module):
    """Every replacement in one module, so that they are exported in one go."""

    def forward(self, x: Tensor) -> list[Tensor]:
        """One output a replacement."""
        return [replaced(x) for _, replaced, _ in OPERATORS.values()]


def test_every_replacement_exports_at_opset_18_and_computes_the_same(tmp_path: Path) -> None:
    x = torch.randn(LENGTH, LENGTH, generator=torch.Generator().manual_seed(0))
    x[0, :2], x[1, :2] = 0.5, -0.25  # ties, and values on an edge
    for op, (_, _, text) in OPERATORS.items():
        assert text in instead_of(op)[0].text, op
    path = tmp_path / "replaced.onnx"
    torch.onnx.export(Replaced().eval(), (x,), str(path), dynamo=True, opset_version=18, verbose=False)
    session = ort.InferenceSession(str(path))
    given = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    for (op, (operator, _, _)), got in zip(OPERATORS.items(), given, strict=True):
        np.testing.assert_allclose(got, operator(x).numpy(), rtol=1e-4, atol=1e-5, err_msg=op)
