"""A PyTorch classifier whose author flattened for one image only; exported for real by `make.py`."""

from __future__ import annotations

import torch
from torch import nn


class Classifier(nn.Module):
    """Convolutions, then a view that has the batch size of the example written into it."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(8, 16, 3, stride=2, padding=1), nn.ReLU()
        )
        self.head = nn.Linear(16 * 8 * 8, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """(1, 3, 32, 32) float32 -> (1, 10)."""
        x = self.features(images)
        x = x.view(1, 1024)  # right for one image, wrong for a batch
        scores: torch.Tensor = self.head(x)
        return scores


def model() -> tuple[nn.Module, tuple[torch.Tensor, ...]]:
    """The module and example inputs, as `friction-tui sample_models/torch_classifier.py:model` takes them."""
    torch.manual_seed(0)
    return Classifier().eval(), (torch.randn(1, 3, 32, 32),)
