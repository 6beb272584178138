"""What a PyTorch module and its ONNX model give for the same inputs, and by how much that differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from friction_tui.sources.pytorch.dynamic_shapes import tensors
from friction_tui.sources.pytorch.signature import signature_of
from friction_tui.vocabulary.protocol.evidence import OutputDifference

_TOLERANCE = {"float16": 2e-2, "float32": 1e-3, "float64": 1e-6}
"""Largest difference accepted, relative to the output's largest value; fp32 kernels differ by about 1e-6 a layer."""


@dataclass(frozen=True, slots=True)
class Compared:
    """The worst output of one comparison: its difference relative to the largest value, and where it is."""

    output: str
    relative: float
    absolute: float
    index: tuple[int, ...]
    expected: float
    got: float


def differ(one: Sequence[np.ndarray[Any, Any]], other: Sequence[np.ndarray[Any, Any]]) -> bool:
    """Whether two runs of one model gave different results."""
    return any(difference("", a, b) is not None for a, b in zip(one, other, strict=True))


def torch_outputs(module: Any, inputs: Mapping[str, Any]) -> list[np.ndarray[Any, Any]]:
    """Every tensor the module returns for these inputs, flattened; a complex one as real with a last dimension of 2."""
    if isinstance(module, torch.export.ExportedProgram):
        result = run(module.module(), tuple(inputs.values()), {})
    else:
        call = signature_of(module).bind_partial()
        call.arguments.update(inputs)
        result = run(module, call.args, call.kwargs)
    return [array(value) for value in torch.utils._pytree.tree_leaves(result) if isinstance(value, torch.Tensor)]


def run(module: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """What the module returns: without gradients, and with them where it needs them, as the user would run it.

    The inputs stay as they are: a module that writes into them gets copies. Raises what the module raises with
    gradients on.
    """

    def call() -> Any:
        copied = torch.utils._pytree.tree_map_only(torch.Tensor, torch.Tensor.clone, (args, dict(kwargs)))
        return module(*copied[0], **copied[1])

    try:
        with torch.no_grad():
            return call()
    except Exception:
        pass
    with torch.enable_grad():
        return call()


def array(value: torch.Tensor) -> np.ndarray[Any, Any]:
    """A tensor as ONNX Runtime has it: complex as real with a last dimension of 2, bfloat16 as float32."""
    real = torch.view_as_real(value.resolve_conj()) if value.is_complex() else value
    plain: np.ndarray[Any, Any] = (real.float() if real.dtype is torch.bfloat16 else real).detach().cpu().numpy()
    return plain


def feed(session: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The tensors among `inputs` by the names of the session's inputs; by position where the names differ."""
    given = tensors(inputs)
    by_name = dict(given)
    ports = session.get_inputs()
    if all(port.name in by_name for port in ports):
        return {port.name: array(by_name[port.name]) for port in ports}
    return {port.name: array(value) for port, (_, value) in zip(ports, given, strict=False)}


def worst(session: Any, expected: Sequence[Any], got: Sequence[Any]) -> Compared | None:
    """The output that differs most beyond its tolerance; None when all agree."""
    found = None
    for port, want, have in zip(session.get_outputs(), expected, got, strict=False):
        compared = difference(port.name, want, have)
        if compared is not None and (found is None or compared.relative > found.relative):
            found = compared
    return found


def difference(name: str, want: np.ndarray[Any, Any], have: Any) -> Compared | None:
    """By how much an output differs where that is beyond its tolerance; infinitely for another shape, NaN or Inf."""
    have = np.asarray(have)
    if want.shape != have.shape:
        return Compared(f"{name} (shape {list(have.shape)} instead of {list(want.shape)})", np.inf, np.inf, (), 0, 0)
    if want.size == 0:
        return None
    gap, scale = _gap(want, have)
    found = _largest(name, want, have, gap, scale)
    return found if found.relative > accepted(want) else None


def accepted(want: np.ndarray[Any, Any]) -> float:
    """The largest difference that counts as equal, relative to the output's largest value."""
    return _TOLERANCE.get(want.dtype.name, 0.0)


def spread(name: str, where: str, want: np.ndarray[Any, Any], have: Any) -> OutputDifference | None:
    """How an output's differences are distributed; None for another shape and for no elements."""
    have = np.asarray(have)
    if want.shape != have.shape or want.size == 0:
        return None
    gap, scale = _gap(want, have)
    worst = _largest(name, want, have, gap, scale)
    relative = gap[gap > 0] / scale
    counts = np.histogram(relative, bins=(0.0, *(10.0**power for power in range(-8, 1)), np.inf))[0]
    return OutputDifference(
        output=name,
        where=where,
        absolute=worst.absolute,
        relative=worst.relative,
        accepted=accepted(want),
        index=worst.index,
        expected=worst.expected,
        got=worst.got,
        counts=(want.size - relative.size, *map(int, counts)),
    )


def _gap(want: np.ndarray[Any, Any], have: np.ndarray[Any, Any]) -> tuple[np.ndarray[Any, Any], float]:
    """Absolute differences, infinite where one is NaN, and the largest finite value of `want`."""
    a, b = want.astype(np.float64), have.astype(np.float64)
    both_nan = np.isnan(a) & np.isnan(b)
    gap = np.where(both_nan | (a == b), 0.0, np.abs(a - b))
    gap = np.where(np.isnan(gap), np.inf, gap)
    finite = np.abs(a[np.isfinite(a)])
    return gap, max(float(finite.max()) if finite.size else 1.0, 1e-3)


def _largest(
    name: str, want: np.ndarray[Any, Any], have: np.ndarray[Any, Any], gap: np.ndarray[Any, Any], scale: float
) -> Compared:
    at = np.unravel_index(int(np.argmax(gap)), gap.shape)
    index = tuple(int(i) for i in at)
    return Compared(name, float(gap[at]) / scale, float(gap[at]), index, float(want[at]), float(have[at]))
