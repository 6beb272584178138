"""Edits are spelled out with the user's own names."""

from __future__ import annotations

from pathlib import Path

import pytest

from friction_tui.sources.pytorch import rewrites, size_rewrites
from friction_tui.vocabulary.finding import SourceLine


def _line(folder: Path, code: str, number: int) -> SourceLine:
    file = folder / "net.py"
    file.write_text(code)
    return SourceLine(str(file), number)


@pytest.mark.parametrize(
    ("code", "edit"),
    [
        (
            "def f(x):\n    if x.sum() > 0:\n        return x.relu()\n    return x.neg()\n",
            "`return torch.where(x.sum() > 0, x.relu(), x.neg())`",
        ),
        (
            "def f(x):\n    if x.max().item() > 1:\n        x = x / 2\n    return x\n",
            "`x = torch.where(x.max() > 1, x / 2, x)`",
        ),
        ("def f(x):\n    y = 2.0 if x.any() else 1.0\n    return y\n", "`torch.where(x.any(), 2.0, 1.0)`"),
        ("def f(x):\n    while x.max() > 1:\n        x = x / 2\n    return x\n", "torch.where(x.max() > 1, new_x, x)"),
    ],
)
def test_a_branch_is_rewritten(code: str, edit: str, tmp_path: Path) -> None:
    fixes = rewrites.of_branch(_line(tmp_path, code, 2))
    assert edit in fixes[0].text


def test_a_baked_size_is_replaced_in_its_call(tmp_path: Path) -> None:
    line = _line(tmp_path, "def f(self, x):\n    return self.fc(x.view(4, 16))\n", 2)
    fix = size_rewrites.of_constant_size(line, 4, 0, "x")[0]
    assert "Replace `x.view(4, 16)` with `x.view(x.size(0), 16)`" in fix.text


def test_a_statement_over_several_lines_is_read_whole(tmp_path: Path) -> None:
    line = _line(tmp_path, "def f(x):\n    if (\n        x.sum() > 0\n    ):\n        x = -x\n    return x\n", 3)
    assert rewrites.branch_word(line) == "if"


def test_a_view_gets_a_copy_before_it(tmp_path: Path) -> None:
    line = _line(tmp_path, "y = attention.transpose(1, 2).reshape(*sizes, -1).contiguous()\n", 1)
    assert (
        "(1, 2).clone(memory_format=torch.contiguous_format).reshape(*sizes, -1)`"
        in size_rewrites.of_view(line)[0].text
    )


def test_a_slice_gets_the_promise_that_its_end_is_a_size(tmp_path: Path) -> None:
    line = _line(tmp_path, "y = x[:, :count]\n", 1)
    assert "torch._check(count <= x.shape[1])" in size_rewrites.of_slice(line)[0].text
