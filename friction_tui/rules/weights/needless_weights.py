"""Weights that a file and an engine carry for nothing: one value many times over, the same tensor more than once."""

from __future__ import annotations

import zlib
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from friction_tui.model.constants import element_count
from friction_tui.model.opened import OpenedModel
from friction_tui.rules.weights.stored_tensors import Stored, pieces_of, values_of
from friction_tui.vocabulary.finding import RULE, Finding, Fix, Severity, Tier
from friction_tui.vocabulary.units import size_text


def filled_with_one_value(model: OpenedModel, found: list[tuple[Stored, float]]) -> Iterator[Finding]:
    """Big tensors that hold one value."""
    if found:
        total = sum(tensor.bytes for tensor, _ in found)
        first, value = found[0]
        yield Finding(
            kind="weights/generated-constant",
            severity=Severity.NOTE,
            tier=Tier.HAZARD,
            title=f"{size_text(total)} of a single value",
            cause=f"{len(found)} big constants hold nothing but one value, first {first.name} ({value:g} in all "
            f"{element_count(first.proto):,} places): {total:,} bytes of the model that a ConstantOfShape or an "
            "Expand would make at run time. A constant folder generated them.",
            source=RULE,
            locations=tuple(tensor.location(model) for tensor, _ in found),
            fixes=(
                Fix("Export without folding such constants, or replace them by Expand of a scalar."),
                Fix("Nothing needs to be done if the size of the file and the engine does not matter."),
            ),
        )


def duplicates(
    model: OpenedModel, copies: dict[tuple[int, tuple[int, ...]], list[Stored]], left: int
) -> Iterator[Finding]:
    """Big tensors stored several times, found by checksum among those of one type and shape."""
    groups: list[list[Stored]] = []
    for alike in copies.values():
        if len(alike) < 2:
            continue
        by_sample: dict[bytes, list[Stored]] = {}
        for tensor in alike:
            values = values_of(tensor)
            if values is not None:
                by_sample.setdefault(values[:: max(1, values.size // 64)].tobytes(), []).append(tensor)
        for suspects in by_sample.values():
            if len(suspects) < 2 or sum(tensor.bytes for tensor in suspects) > left:
                continue
            by_sum: dict[int, list[Stored]] = {}
            for tensor in suspects:
                values = values_of(tensor)
                if values is not None:
                    left -= tensor.bytes
                    by_sum.setdefault(_checksum(values), []).append(tensor)
            groups.extend(same for same in by_sum.values() if len(same) > 1)
    if groups:
        wasted = sum((len(same) - 1) * same[0].bytes for same in groups)
        first = groups[0]
        yield Finding(
            kind="weights/duplicated",
            severity=Severity.NOTE,
            tier=Tier.HAZARD,
            title=f"{size_text(wasted)} of weights stored twice",
            cause=f"{sum(len(same) for same in groups)} big tensors are duplicates of each other, first "
            f"{', '.join(tensor.name for tensor in first[:3])}: {wasted:,} bytes more than needed. Often tied weights "
            "that the export copied.",
            source=RULE,
            locations=tuple(tensor.location(model) for same in groups for tensor in same),
            fixes=(Fix("Let all readers use one initializer (onnxslim and onnxscript's optimizer do it), and save."),),
        )


def _checksum(values: npt.NDArray[np.generic]) -> int:
    checksum = 0
    for piece in pieces_of(values):
        checksum = zlib.crc32(np.ascontiguousarray(piece).view(np.uint8).data, checksum)
    return checksum
