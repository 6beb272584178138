"""How far the results of two ways to run a model are apart, as it crosses the process boundary."""

from __future__ import annotations

import msgspec


class NotFinite(msgspec.Struct, frozen=True):
    """Values that are NaN or Inf on one side (`side`, 1 or 2) and not the same on the other.

    `what` is `NaN`, `Inf` or `-Inf`, `count` how many of `total` values, `index` where the first of them is.
    """

    side: int
    what: str
    count: int
    total: int
    index: tuple[int, ...]


class TensorApart(msgspec.Struct, frozen=True, kw_only=True):
    """One tensor as both sides give it, for the inputs number `inputs`.

    `absolute` is the largest difference, at `index`, where the sides give `first` and `second`; `relative` is that over
    the largest magnitude of the first side; `elementwise` the largest difference over the magnitude of its own value.
    None: the tensors differ in shape, or no value is finite. `cosine` is that of the angle between them, None for
    tensors without direction. `top1` and `top5` are the shares of rows (along the last axis) whose largest value, or
    whose five largest, are at the same places; None where rows are too short. `unlike` says why they cannot be compared
    by value.
    """

    tensor: str
    inputs: int
    absolute: float | None
    relative: float | None
    elementwise: float | None = None
    index: tuple[int, ...] = ()
    first: float = 0.0
    second: float = 0.0
    cosine: float | None = None
    top1: float | None = None
    top5: float | None = None
    not_finite: tuple[NotFinite, ...] = ()
    unlike: str = ""

    def same(self, tolerance: float) -> bool:
        """Whether the sides agree: `relative` is within `tolerance`, and what is not finite is the same."""
        return not self.unlike and not self.not_finite and self.relative is not None and self.relative <= tolerance


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """What running a model in two ways on the same inputs showed.

    `first` and `second` name what ran, with versions. `inputs` says of each set what it is: the seed and sizes, or the
    file. `outputs` are those of every set. `diverges` is the first inner tensor that differs, written by `node`, with
    inputs that agree; `located` says how it was looked for, or why it was not. `why_not` says why nothing was compared.
    """

    first: str
    second: str
    tolerance: float
    inputs: tuple[str, ...] = ()
    outputs: tuple[TensorApart, ...] = ()
    diverges: TensorApart | None = None
    node: str = ""
    located: str = ""
    saved: str = ""
    why_not: str = ""

    @property
    def same(self) -> bool | None:
        """Whether all outputs agree; None where nothing was compared."""
        if self.why_not or not self.outputs:
            return None
        return all(one.same(self.tolerance) for one in self.outputs)
