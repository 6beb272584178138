"""Integers of invented inputs stay what they are: lengths, offsets, positions, masks."""

from __future__ import annotations

import pytest
import torch

from friction_tui.sources.pytorch.dynamic_shapes import AskedDim
from friction_tui.sources.pytorch.other_inputs import draw

X = torch.randn(3, 10, 4)
TIME = AskedDim("x", 0, 1, "x_1", 10, 2, 40)


@pytest.mark.parametrize("size", [4, 10, 15])
@pytest.mark.parametrize("seed", range(4))
def test_sorted_lengths_stay_sorted_and_reach_the_new_length(size: int, seed: int) -> None:
    drawn = draw({"x": X, "lengths": torch.tensor([10, 7, 4])}, {TIME: size}, seed)
    lengths = drawn.inputs["lengths"].tolist()
    assert drawn.inputs["x"].shape == (3, size, 4)
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[0] == size
    assert lengths[-1] >= 1
    assert drawn.invented == ("lengths",)


def test_held_lengths_are_the_examples_and_no_larger_than_the_size() -> None:
    drawn = draw({"x": X, "lengths": torch.tensor([10, 7, 4])}, {TIME: 6}, held=True)
    assert drawn.inputs["lengths"].tolist() == [6, 6, 4]


def test_offsets_keep_their_ends_and_positions_go_on() -> None:
    text = torch.randint(0, 50, (12,))
    inputs = {"text": text, "offsets": torch.tensor([0, 4, 7, 12]), "positions": torch.arange(12)}
    for seed in range(4):
        offsets = draw(inputs, {}, seed).inputs["offsets"].tolist()
        assert (offsets[0], offsets[-1]) == (0, 12)
        assert offsets == sorted(set(offsets))
    axes = {AskedDim("text", 0, 0, "n", 12, 2, 40): 20, AskedDim("positions", 2, 0, "n", 12, 2, 40): 20}
    drawn = draw(inputs, axes).inputs
    assert drawn["positions"].tolist() == list(range(20))
    assert drawn["offsets"].tolist()[-1] == 20


def test_tokens_come_from_the_example_and_a_mask_stays_a_mask() -> None:
    tokens, mask = torch.tensor([[7, 90, 33], [90, 7, 7]]), torch.tensor([[1, 1, 0], [1, 1, 1]])
    axes = {AskedDim(name, n, 1, "s", 3, 1, 9): 5 for n, name in enumerate(("tokens", "mask"))}
    drawn = draw({"tokens": tokens, "mask": mask}, axes)
    assert set(drawn.inputs["tokens"].flatten().tolist()) <= {7, 33, 90}
    assert all(row == sorted(row, reverse=True) for row in drawn.inputs["mask"].tolist())
    assert drawn.invented == ()
