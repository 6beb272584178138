"""The widest range in which shapes work: ends and steps of networks whose limits are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import numpy_helper, parser

from friction_tui.model.opened import OpenedModel, from_proto
from friction_tui.model.shapes.profile import default_profile
from friction_tui.rules.shapes.dimensions import Dimensions
from friction_tui.rules.shapes.widest import LARGEST, widest, widest_ranges
from friction_tui.vocabulary.recipe import Profile, Range


def model(graph: str, **tensors: np.ndarray) -> OpenedModel:
    proto = parser.parse_model(f'<ir_version: 9, opset_import: ["" : 17]> {graph}')
    proto.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in tensors.items())
    return from_proto(proto, Path("model.onnx"))


UP = np.zeros((4, 4, 4, 4), np.float32)
UNET = """g (float[1,4,h,64] x) => (float[1,8,h,64] y) {
    p = MaxPool <kernel_shape = [4, 4], strides = [4, 4]> (x)
    u = ConvTranspose <strides = [4, 4]> (p, k) y = Concat <axis = 1> (u, x) }"""
TABLE = """g (int64[1,t] ids) => (float[1,t,8] y) <int64[1] zero = {0}, int64[1] one = {1}> {
    e = Gather (tokens, ids) length = Shape <start = 1, end = 2> (ids)
    p = Slice (positions, zero, length, one) y = Add (e, p) }"""


@pytest.mark.parametrize(
    ("graph", "tensors", "given", "expected"),
    [
        (UNET, {"k": UP}, {"h": Range(64, 64, 64)}, Range(4, 64, LARGEST, 4)),
        (
            TABLE,
            {"tokens": np.zeros((30, 8), np.float32), "positions": np.zeros((1, 16, 8), np.float32)},
            {"t": Range(8, 8, 8)},
            Range(1, 8, 16),
        ),
        (
            "g (float[n,16] x) => (float[a,b] y) { y = Reshape (x, s) }",
            {"s": np.array([2, 16])},
            {"n": Range(2, 2, 2)},
            Range(2, 2, 2),
        ),
    ],
)
def test_the_widest_range_has_the_ends_and_the_step_of_the_network(
    graph: str, tensors: dict[str, np.ndarray], given: dict[str, Range], expected: Range
) -> None:
    opened = model(graph, **tensors)
    (found,) = widest_ranges(opened, Profile(ranges=given))
    assert found.range == expected
    dimensions = Dimensions(opened, Profile(ranges={found.key: expected}))
    assert not any(dimensions.shapes({found.key: size}).failures for size in (expected.min, expected.opt, expected.max))


def test_sizes_that_follow_by_a_relation_move_along() -> None:
    opened = model("""g (float[1,past] cache, float[1,seq] x, float[1,total] mask) => (float[1,t] y) {
        all = Concat <axis = 1> (cache, x) y = Add (all, mask) }""")
    alone = Dimensions(opened, default_profile(opened))
    assert widest(alone, "past").range == Range(128, 128, 128)
    declared = default_profile(opened, Profile(relations=("total = past + seq",)))
    found = {one.key: one.range for one in widest_ranges(opened, declared)}
    assert found == {"past": Range(1, 128, LARGEST), "seq": Range(1, 128, LARGEST)}


def test_without_a_size_that_works_there_is_no_range() -> None:
    opened = model("g (float[n,16] x) => (float[a,b] y) { y = Reshape (x, s) }", s=np.array([2, 16]))
    (found,) = widest_ranges(opened, Profile(ranges={"n": Range(3, 3, 3)}))
    assert found.range is None
    assert "do not work at opt 3" in found.note
