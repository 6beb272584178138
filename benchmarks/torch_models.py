"""Models of the shapes people deploy, in plain torch with random weights: a few million parameters each.

Each factory returns the module and its example inputs. They are healthy on purpose: exporting one gives no error and
no warning, whatever sizes are asked for.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

VOCABULARY, LONGEST = 8000, 256
"""Tokens, and the positions for which the learned position embeddings have a row."""

WIDTH, HEADS, LAYERS = 256, 8, 4
"""Of the three transformers."""

Made = tuple[nn.Module, tuple[Tensor, ...]]


class Residual(nn.Module):
    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inside, outside, 3, stride, 1, bias=False), nn.BatchNorm2d(outside)
        self.conv2, self.bn2 = nn.Conv2d(outside, outside, 3, 1, 1, bias=False), nn.BatchNorm2d(outside)
        self.shortcut = nn.Conv2d(inside, outside, 1, stride) if stride > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn2(self.conv2(functional.relu(self.bn1(self.conv1(x)))))
        return functional.relu(y + self.shortcut(x))


class ResNet(nn.Module):
    """The layout of ResNet-18 at half its width."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 32, 7, 2, 3, bias=False), nn.BatchNorm2d(32), nn.ReLU())
        self.pool = nn.MaxPool2d(3, 2, 1)
        stages = [Residual(32, 32, 1), Residual(32, 32, 1)]
        for width in (64, 128, 256):
            stages += [Residual(width // 2, width, 2), Residual(width, width, 1)]
        self.stages = nn.Sequential(*stages)
        self.dropout, self.fc = nn.Dropout(0.1), nn.Linear(256, 1000)

    def forward(self, image: Tensor) -> Tensor:
        deep = self.stages(self.pool(self.stem(image)))
        scores: Tensor = self.fc(self.dropout(functional.adaptive_avg_pool2d(deep, 1).flatten(1)))
        return scores


def resnet() -> Made:
    return ResNet().eval(), (torch.randn(2, 3, 96, 96),)


def double_conv(inside: int, outside: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for width in (inside, outside):
        layers += [nn.Conv2d(width, outside, 3, padding=1, bias=False), nn.BatchNorm2d(outside), nn.ReLU()]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    """Three levels; what comes up is resized to its skip connection, so that any size of image fits."""

    def __init__(self) -> None:
        super().__init__()
        widths = (32, 64, 128, 256)
        self.first = double_conv(3, widths[0])
        self.down = nn.ModuleList(double_conv(a, b) for a, b in pairwise(widths))
        self.up = nn.ModuleList(nn.ConvTranspose2d(b, a, 2, 2) for a, b in pairwise(widths))
        self.merge = nn.ModuleList(double_conv(2 * a, a) for a in widths[:-1])
        self.out = nn.Conv2d(widths[0], 4, 1)

    def forward(self, image: Tensor) -> Tensor:
        x = self.first(image)
        skips = []
        for down in self.down:
            skips.append(x)
            x = down(functional.max_pool2d(x, 2))
        for skip, up, merge in zip(reversed(skips), reversed(self.up), reversed(self.merge), strict=True):
            x = functional.interpolate(up(x), size=skip.shape[2:], mode="nearest")
            x = merge(torch.cat([x, skip], dim=1))
        mask: Tensor = self.out(x)
        return mask


def unet() -> Made:
    return UNet().eval(), (torch.randn(2, 3, 64, 64),)


class Tagger(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(VOCABULARY, 128)
        self.lstm = nn.LSTM(128, 256, num_layers=2, batch_first=True, bidirectional=True)
        self.fc = nn.Linear(512, 17)

    def forward(self, tokens: Tensor) -> Tensor:
        states, _ = self.lstm(self.embed(tokens))
        scores: Tensor = self.fc(states)
        return scores


def lstm() -> Made:
    return Tagger().eval(), (torch.randint(0, VOCABULARY, (2, 12)),)


class Bert(nn.Module):
    """An encoder with a padding mask, on torch's own encoder layers."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.position = nn.Embedding(VOCABULARY, WIDTH), nn.Embedding(LONGEST, WIDTH)
        layer = nn.TransformerEncoderLayer(WIDTH, HEADS, 4 * WIDTH, activation="gelu", batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)
        self.fc = nn.Linear(WIDTH, 3)

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        locations = torch.arange(tokens.shape[1], device=tokens.device)
        x = self.encoder(self.embed(tokens) + self.position(locations), src_key_padding_mask=mask == 0)
        scores: Tensor = self.fc(x[:, 0])
        return scores


def bert() -> Made:
    return Bert().eval(), (torch.randint(0, VOCABULARY, (2, 12)), torch.ones(2, 12, dtype=torch.int64))


class CausalBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.proj = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        grown = 4 * WIDTH
        self.mlp = nn.Sequential(nn.Linear(WIDTH, grown), nn.GELU(approximate="tanh"), nn.Linear(grown, WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        b, t, c = x.shape
        parts = self.qkv(self.norm1(x)).split(WIDTH, dim=2)
        q, k, v = (part.view(b, t, HEADS, c // HEADS).transpose(1, 2) for part in parts)
        attended = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.proj(attended.transpose(1, 2).reshape(b, t, c))
        result: Tensor = x + self.mlp(self.norm2(x))
        return result


class Gpt(nn.Module):
    """A decoder as GPT-2 has it: learned positions, fused query-key-value, output tied to the embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.positions = nn.Embedding(VOCABULARY, WIDTH), nn.Embedding(LONGEST, WIDTH)
        self.blocks, self.norm = nn.ModuleList(CausalBlock() for _ in range(LAYERS)), nn.LayerNorm(WIDTH)

    def forward(self, ids: Tensor) -> Tensor:
        x = self.tokens(ids) + self.positions(torch.arange(ids.shape[1], device=ids.device))
        for block in self.blocks:
            x = block(x)
        scores: Tensor = self.norm(x) @ self.tokens.weight.T
        return scores


def gpt() -> Made:
    return Gpt().eval(), (torch.randint(0, VOCABULARY, (2, 12)),)


class RmsNorm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(WIDTH))

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.weight


class LlamaBlock(nn.Module):
    """RMS norms, rotary positions, two query heads to a key-value head, a gated MLP."""

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = RmsNorm(), RmsNorm()
        self.q, self.o = (nn.Linear(WIDTH, WIDTH, bias=False) for _ in range(2))
        self.k, self.v = (nn.Linear(WIDTH, WIDTH // 2, bias=False) for _ in range(2))
        self.gate, self.up = (nn.Linear(WIDTH, 3 * WIDTH, bias=False) for _ in range(2))
        self.down = nn.Linear(3 * WIDTH, WIDTH, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, future: Tensor) -> Tensor:
        b, t, _ = x.shape
        size = WIDTH // HEADS
        y = self.norm1(x)
        q = rotated(self.q(y).view(b, t, HEADS, size).transpose(1, 2), cos, sin)
        k = rotated(self.k(y).view(b, t, HEADS // 2, size).transpose(1, 2), cos, sin).repeat_interleave(2, dim=1)
        v = self.v(y).view(b, t, HEADS // 2, size).transpose(1, 2).repeat_interleave(2, dim=1)
        weights = torch.softmax(q @ k.transpose(2, 3) / size**0.5 + future, dim=-1)
        x = x + self.o((weights @ v).transpose(1, 2).reshape(b, t, WIDTH))
        y = self.norm2(x)
        result: Tensor = x + self.down(functional.silu(self.gate(y)) * self.up(y))
        return result


def rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    left, right = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-right, left), dim=-1) * sin


class Llama(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.norm = nn.Embedding(VOCABULARY, WIDTH), RmsNorm()
        self.blocks = nn.ModuleList(LlamaBlock() for _ in range(LAYERS))
        self.head = nn.Linear(WIDTH, VOCABULARY, bias=False)
        size = WIDTH // HEADS
        self.register_buffer("frequencies", 1.0 / 10000 ** (torch.arange(0, size, 2).float() / size))
        self.frequencies: Tensor

    def forward(self, ids: Tensor) -> Tensor:
        t = ids.shape[1]
        angles = torch.outer(torch.arange(t, device=ids.device).float(), self.frequencies).repeat(1, 2)
        future = torch.full((t, t), float("-inf"), device=ids.device).triu(1)
        x = self.tokens(ids)
        for block in self.blocks:
            x = block(x, angles.cos(), angles.sin(), future)
        scores: Tensor = self.head(self.norm(x))
        return scores


def llama() -> Made:
    return Llama().eval(), (torch.randint(0, VOCABULARY, (2, 12)),)
