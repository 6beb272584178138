"""What only older versions refuse is a note that names the version."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import numpy_helper

from friction_tui.kinds import older
from friction_tui.kinds.kind import Kind
from friction_tui.rules.operators.older_tensorrt import check
from tests.kinds.judged import findings_of

RESIZE = "g (float[1,1,2,2] x, float[4] s) => (float[1,1,4,4] y) {{ t = Mul (s, s) [n] y = Resize (x, , {}) }}"


@pytest.mark.parametrize(
    ("kind", "version"),
    [
        (older.COMPUTED_SCALES, "before 8.4"),
        (older.COMPUTED_K, "before 8.6"),
        (older.RESIZE_EXCLUDE_OUTSIDE, "before 8.5"),
        (older.GROUP_NORM_21, "TensorRT 10"),
        (older.IF_RANKS, "TensorRT 10"),
        (older.SCATTER_REDUCTION_ATTRIBUTE, "TensorRT 10.0 to 10.7"),
        (older.SCATTER_REDUCTION, "before 10.0"),
        (older.OPERATOR_SINCE, "from TensorRT 8.5 on"),
        (older.INT64_RANGE, "before 9.0"),
    ],
    ids=lambda value: value.id if isinstance(value, Kind) else "",
)
def test_a_note_names_the_version(kind: Kind, version: str, tmp_path: Path) -> None:
    (note,) = [one for one in findings_of(kind.shows, tmp_path) if one.kind == kind.id]
    assert version in " ".join(note.cause.split())


def test_computed_scales_of_a_resize(judge: Any) -> None:
    scales = [numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "scales")]
    (note,) = judge(check, RESIZE.format("t"), opset=13, tensors=scales)
    assert (note.kind, note.title, note.names) == ("older/computed-scales", "Resize with computed scales", ("n",))
    assert judge(check, RESIZE.format("scales"), opset=13, tensors=scales) == []


def test_int64_beyond_int32_in_arithmetic_and_as_the_end_of_a_slice(judge: Any) -> None:
    huge = numpy_helper.from_array(np.array([9_000_000_000], np.int64), "big")
    zero = numpy_helper.from_array(np.array([0], np.int64), "zero")
    (finding,) = judge(check, "g (int64[4] x) => (int64[4] y) { y = Add (x, big) }", tensors=[huge])
    assert (finding.kind, finding.names) == ("older/int64-range", ("big",))
    assert judge(check, "g (float[4] x) => (float[4] y) { y = Slice (x, zero, big) }", tensors=[huge, zero]) == []
