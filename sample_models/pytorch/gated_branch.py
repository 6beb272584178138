"""A network whose export fails: a Python `if` decides on a tensor's value.

Open it with `friction-tui sample_models/pytorch/gated_branch.py:model`. The finding names the `if` and writes the
`torch.where` that replaces it.
"""

from __future__ import annotations

import torch
from torch import nn


class Gate(nn.Module):
    """Passes bright images through and normalises dark ones."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if x.mean() > 0:
            return x
        return (x - x.mean()) / (x.std() + 1e-5)


class GatedClassifier(nn.Module):
    """A small classifier behind the gate."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = Gate()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.head = nn.Linear(8, 10)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.head(self.body(self.gate(image)))
        return scores


def model() -> nn.Module:
    return GatedClassifier().eval()


def example_inputs() -> tuple[torch.Tensor, ...]:
    return (torch.randn(2, 3, 32, 32),)
