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


N_FFT, HOP, FRAMES = 16, 4, LENGTH
WINDOW = torch.hann_window(N_FFT)
W_RE, W_IM = (torch.fft.irfft(part * torch.eye(N_FFT // 2 + 1), n=N_FFT) * WINDOW for part in (1, 1j))
INDEX = torch.tensor([0, 2, 2, 0, 3])


def _spectrum(x: Tensor) -> tuple[Tensor, Tensor]:
    real = torch.cat([x, x * 2])[: N_FFT // 2 + 1]
    return real[None], (real * torch.arange(N_FFT // 2 + 1)[:, None] / N_FFT)[None]


def _inverse(x: Tensor) -> Tensor:
    re, im = _spectrum(x)
    y = torch.conv_transpose1d(torch.cat([re, im], 1), torch.cat([W_RE, W_IM])[:, None], stride=HOP)
    y = y / torch.conv_transpose1d(torch.ones(1, 1, FRAMES), WINDOW.square()[None, None], stride=HOP)
    return y[0, :, N_FFT // 2 : -(N_FFT // 2)]


OPERATORS["aten::istft"] = (
    lambda x: torch.istft(torch.complex(*_spectrum(x)), N_FFT, HOP, window=WINDOW),
    _inverse,
    "F.conv_transpose1d(torch.cat([re, im], 1), torch.cat([w_re, w_im])[:, None], stride=hop)",
)
OPERATORS["aten::scatter_reduce"] = (
    lambda x: torch.zeros(4, LENGTH).scatter_reduce(0, INDEX[:, None].expand_as(x), x, "mean", include_self=False),
    lambda x: (
        torch.zeros(4, LENGTH).index_add(0, INDEX, x)
        / torch.zeros(4, 1).index_add(0, INDEX, torch.ones(len(x), 1)).clamp(min=1)
    ),
    "torch.zeros(n, c).index_add(0, index, x)",
)


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
