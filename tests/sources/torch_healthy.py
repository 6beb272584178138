"""Healthy models of the shapes people deploy, in plain torch: each must export without an error or a warning."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.export import Dim
from torch.nn import functional

BATCH, LENGTH = Dim("batch", min=1, max=32), Dim("length", min=2, max=64)


class Residual(nn.Module):
    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inside, outside, 3, stride, 1), nn.BatchNorm2d(outside)
        self.conv2, self.bn2 = nn.Conv2d(outside, outside, 3, 1, 1), nn.BatchNorm2d(outside)
        self.shortcut = nn.Conv2d(inside, outside, 1, stride)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        return functional.relu(y + self.shortcut(x))


class ResNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(Residual(3, 8, 1), Residual(8, 16, 2), Residual(16, 16, 2))
        self.dropout, self.fc = nn.Dropout(0.1), nn.Linear(16, 10)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        scores: torch.Tensor = self.fc(self.dropout(self.layers(image).mean((2, 3))))
        return scores


def resnet() -> Any:
    return ResNet().eval(), (torch.randn(2, 3, 32, 32),)


class UNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.down1, self.down2 = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 16, 3, padding=1)
        self.up, self.out = nn.ConvTranspose2d(16, 8, 2, stride=2), nn.Conv2d(16, 2, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        skip = functional.relu(self.down1(image))
        deep = functional.relu(self.down2(functional.max_pool2d(skip, 2)))
        mask: torch.Tensor = self.out(torch.cat([self.up(deep), skip], dim=1))
        return mask


def unet() -> Any:
    return UNet().eval(), (torch.randn(2, 3, 32, 32),)


class Tagger(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(100, 16)
        self.lstm = nn.LSTM(16, 24, num_layers=2, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(48, 5)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        states, _ = self.lstm(self.embed(tokens))
        scores: torch.Tensor = self.fc(states)
        return scores


def lstm() -> Any:
    return Tagger().eval(), (torch.randint(0, 100, (2, 12)),)


class Encoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed, self.position = nn.Embedding(100, 32), nn.Embedding(64, 32)
        layer = nn.TransformerEncoderLayer(32, 4, 64, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.fc = nn.Linear(32, 3)

    def forward(self, tokens: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        places = torch.arange(tokens.shape[1], device=tokens.device)
        x = self.embed(tokens) + self.position(places)
        x = self.encoder(x, src_key_padding_mask=mask == 0)
        scores: torch.Tensor = self.fc(x[:, 0])
        return scores


def bert() -> Any:
    return Encoder().eval(), (torch.randint(0, 100, (2, 12)), torch.ones(2, 12, dtype=torch.int64))


class CausalBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(32), nn.LayerNorm(32)
        self.qkv, self.proj = nn.Linear(32, 96), nn.Linear(32, 32)
        self.mlp = nn.Sequential(nn.Linear(32, 128), nn.GELU(approximate="tanh"), nn.Linear(128, 32))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        b, t, c = x.shape
        q, k, v = (part.view(b, t, 4, c // 4).transpose(1, 2) for part in self.qkv(self.norm1(x)).split(32, dim=2))
        attended = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.proj(attended.transpose(1, 2).reshape(b, t, c))
        result: torch.Tensor = x + self.mlp(self.norm2(x))
        return result


class Gpt(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.positions = nn.Embedding(100, 32), nn.Embedding(64, 32)
        self.blocks, self.norm = nn.ModuleList([CausalBlock(), CausalBlock()]), nn.LayerNorm(32)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.tokens(ids) + self.positions(torch.arange(ids.shape[1], device=ids.device))
        for block in self.blocks:
            x = block(x)
        scores: torch.Tensor = self.norm(x) @ self.tokens.weight.T
        return scores


def gpt() -> Any:
    return Gpt().eval(), (torch.randint(0, 100, (2, 12)),)


class RmsNorm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(32))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.weight


class Llama(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.norm1, self.norm2 = nn.Embedding(100, 32), RmsNorm(), RmsNorm()
        self.q, self.k, self.v, self.o = (nn.Linear(32, n, bias=False) for n in (32, 16, 16, 32))
        self.gate, self.up, self.down = nn.Linear(32, 64), nn.Linear(32, 64), nn.Linear(64, 32)
        self.register_buffer("frequencies", 1.0 / 10000 ** (torch.arange(0, 8, 2).float() / 8))
        self.frequencies: torch.Tensor

    def rotate(self, x: torch.Tensor) -> torch.Tensor:
        angles = torch.outer(torch.arange(x.shape[2], device=x.device).float(), self.frequencies)
        cos, sin = angles.cos().repeat(1, 2), angles.sin().repeat(1, 2)
        left, right = x.chunk(2, dim=-1)
        return x * cos + torch.cat((-right, left), dim=-1) * sin

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        x = self.tokens(ids)
        b, t, _ = x.shape
        y = self.norm1(x)
        q = self.rotate(self.q(y).view(b, t, 4, 8).transpose(1, 2))
        k = self.rotate(self.k(y).view(b, t, 2, 8).transpose(1, 2)).repeat_interleave(2, dim=1)
        v = self.v(y).view(b, t, 2, 8).transpose(1, 2).repeat_interleave(2, dim=1)
        future = torch.full((t, t), float("-inf"), device=x.device).triu(1)
        weights = torch.softmax(q @ k.transpose(2, 3) / 8**0.5 + future, dim=-1)
        x = x + self.o((weights @ v).transpose(1, 2).reshape(b, t, 32))
        y = self.norm2(x)
        result: torch.Tensor = x + self.down(functional.silu(self.gate(y)) * self.up(y))
        return result


def llama() -> Any:
    return Llama().eval(), (torch.randint(0, 100, (2, 12)),)
