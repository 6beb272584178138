"""Concrete shapes at a point: what follows, what is evaluated, what cannot work."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import parser

from friction_tui.model.graph_data import graph_data
from friction_tui.model.opened import OpenedModel, from_proto, open_model
from friction_tui.model.shapes.point_shapes import input_sizes, shapes_at
from friction_tui.model.shapes.tensors import NodeFailure, PointShapes
from friction_tui.model.summary import summarize
from friction_tui.vocabulary.recipe import Profile, Range

HEADER = '<ir_version: 10, opset_import: ["" : 21]>'


def parsed(text: str) -> OpenedModel:
    return from_proto(parser.parse_model(f"{HEADER} {text}"), Path("model.onnx"))


def dims(point: PointShapes, tensor: str) -> tuple[int | None, ...] | None:
    return point.types[tensor].dims


def test_sizes_come_from_symbols_and_single_dims() -> None:
    model = parsed("g (float[N,3,H,8] x, float[N] z) => (float y) { y = ReduceSum(x) }")
    profile = Profile(ranges={"N": Range(1, 4, 8), "H": Range(16, 32, 64), "x[3]": Range(8, 9, 10)})
    assert input_sizes(model, profile, "min") == {"x": (1, 3, 16, 8), "z": (1,)}
    assert input_sizes(model, profile, "max") == {"x": (8, 3, 64, 10), "z": (8,)}
    assert input_sizes(model, Profile(ranges={"N": Range(1, 4, 8)}), "opt") == {"z": (4,)}
    assert input_sizes(model, None, "opt") == {}


def test_shape_arithmetic_is_followed_to_the_reshape() -> None:
    model = parsed(
        """g (float[N,C,H,W] x) => (float[A,B,D] y)
        <int64[1] zero = {0}, int64[1] one = {1}, int64[1] two = {2}, int64[1] three = {3}, int64[1] big = {100}>
        {
            s = Shape(x)
            n = Gather(s, zero)  c = Gather(s, one)
            h = Slice(s, two, three)  w = Slice(s, three, big)
            half = Div(c, two)  area = Mul(h, w)  twice = Mul(area, two)
            target = Concat <axis = 0> (n, half, twice)
            y = Reshape(x, target)
        }"""
    )
    point = shapes_at(model, {"x": (2, 6, 5, 7)})
    assert point.failures == ()
    assert point.values["target"].tolist() == [2, 3, 70]
    assert dims(point, "y") == (2, 3, 70)


def test_values_of_shape_inputs_are_used() -> None:
    model = parsed("g (float[1,4] x, int64[2] shape) => (float[A,B] y) { y = Expand(x, shape) }")
    assert dims(shapes_at(model, {"x": (1, 4), "shape": (2,)}, {"shape": (3, 4)}), "y") == (3, 4)
    assert shapes_at(model, {"x": (1, 4), "shape": (2,)}, {"shape": (3, 5)}).failures[0].path == "0"
    assert dims(shapes_at(model, {"x": (1, 4), "shape": (2,)}), "y") == (None, 4)


BROKEN = [
    ("y = Reshape(x, k)", "int64[2] k = {1, 12}", (2, 12), "[2, 12] cannot be reshaped to [1, 12]"),
    ("y = Reshape(x, k)", "int64[2] k = {-1, 5}", (2, 12), "24 elements do not divide by 5"),
    ("y = Reshape <allowzero = 1> (x, k)", "int64[2] k = {0, 24}", (2, 12), "24 elements do not fill 0"),
    ("y = Add(x, k)", "float[3] k = {1, 2, 3}", (2, 4), "4 on axis"),
    ("y = Concat <axis = 1> (x, k)", "float[1,2] k = {1, 2}", (2, 4), "do not join along axis 1"),
    ("y = Gather <axis = 1> (x, k)", "int64[1] k = {4}", (2, 4), "index 4 is out of range on axis 1 of [2, 4]"),
    ("y = Expand(x, k)", "int64[2] k = {3, 4}", (2, 4), "cannot be expanded to [3, 4]"),
    ("y = Squeeze(x, k)", "int64[1] k = {0}", (2, 4), "axis 0 of [2, 4] has size 2"),
    ("y, z = Split <axis = 1> (x, k)", "int64[2] k = {2, 1}", (2, 4), "make 3, but axis 1 of [2, 4] has size 4"),
    ("y = MatMul(x, k)", "float[3,1] k = {1, 2, 3}", (2, 4), "inner sizes 4 and 3 differ"),
    ("y = Gemm <transA = 1> (x, k)", "float[3,1] k = {1, 2, 3}", (2, 4), "inner sizes 2 and 3 differ"),
    ("y = Conv(x, k)", "float[1,2,1] k = {1, 2}", (1, 3, 5), "has 3 channels"),
    ("y = MaxPool <kernel_shape = [3]> (x)", "float k = {1}", (1, 3, 2), "a window of 3 does not fit into axis 2"),
    ('y = Pad <mode = "reflect"> (x, k)', "int64[4] k = {0, 4, 0, 0}", (2, 4), "reflecting 4 elements"),
    ("y, z = TopK <axis = 0> (x, k)", "int64[1] k = {3}", (2, 4), "K is 3, but axis 0 of [2, 4] has size 2"),
    ("y = DepthToSpace <blocksize = 2> (x)", "float k = {1}", (1, 6, 2, 2), "6 channels"),
    ("y = LayerNormalization(x, k)", "float[3] k = {1, 2, 3}", (2, 4), "[3] does not broadcast to [4]"),
    ('y = Einsum <equation = "ij,jk->ik"> (x, k)', "float[3,1] k = {1, 2, 3}", (2, 4), "j is 4 and 3"),
]


@pytest.mark.parametrize(("step", "constant", "size", "says"), BROKEN, ids=[row[3] for row in BROKEN])
def test_what_cannot_work_is_named_with_its_dims(step: str, constant: str, size: tuple[int, ...], says: str) -> None:
    rank = ",".join(f"d{axis}" for axis in range(len(size)))
    model = parsed(f"g (float[{rank}] x) => (float y) <{constant}> {{ {step} }}")
    failures = shapes_at(model, {"x": size}).failures
    assert [failure.path for failure in failures] == ["0"]
    assert says in failures[0].message
    assert failures[0].message.startswith(model.proto.graph.node[0].op_type)


def test_the_walk_goes_on_behind_a_failure_and_blames_nobody_else() -> None:
    model = parsed(
        """g (float[N,4] x, float[M,4] z) => (float y, float q) <int64[2] k = {2, 6}, float[3] b = {1, 2, 3}>
        {
            bad = Reshape(x, k)
            after = Add(bad, b)
            fine = Relu(x)
            other = Add(z, b)
            y = Add(after, fine)
            q = Relu(other)
        }"""
    )
    point = shapes_at(model, {"x": (4, 4), "z": (2, 4)})
    assert [failure.path for failure in point.failures] == ["0", "3"]
    assert dims(point, "fine") == (4, 4)
    assert "bad" not in point.types and point.types["after"].sizes is None
    assert shapes_at(model, {"x": (3, 4), "z": (2, 4)}).failures[0].path == "1"


def test_unsorted_graphs_are_followed_too() -> None:
    model = parsed("g (float[N,4] x) => (float y) { y = Relu(b)  b = Concat <axis = 0> (a, x)  a = Relu(x) }")
    assert dims(shapes_at(model, {"x": (3, 4)}), "y") == (6, 4)


BRANCHES = """g (float[N,1,4] x) => (float y) <int64[1] one = {1}, int64 at = {1}>
{
    s = Shape(x)
    d = Gather(s, at)
    c = Equal(d, unit)
    y = If (c) <
        then_branch = t () => (float[A,B] t1) { t1 = Squeeze(x, one) },
        else_branch = e () => (float[A,B,C] e1) { e1 = Identity(x) }
    >
}"""


def test_only_the_branch_that_is_taken_counts() -> None:
    model = parsed(BRANCHES.replace("[N,1,4]", "[N,D,4]").replace("int64 at = {1}", "int64 at = {1}, int64 unit = {1}"))
    squeezed = shapes_at(model, {"x": (2, 1, 4)})
    assert (squeezed.failures, dims(squeezed, "y")) == ((), (2, 4))
    kept = shapes_at(model, {"x": (2, 3, 4)})
    assert (kept.failures, dims(kept, "y")) == ((), (2, 3, 4))


def test_a_branch_that_is_taken_and_fails_is_named_by_its_inner_path() -> None:
    model = parsed(
        """g (float[N,4] x) => (float y) <bool c = {1}, int64[1] zero = {0}>
        {
            y = If (c) <then_branch = t () => (float[A] t1) { t0 = Relu(x)  t1 = Squeeze(t0, zero) },
                        else_branch = e () => (float[A,B] e1) { e1 = Identity(x) }>
        }"""
    )
    failures = shapes_at(model, {"x": (3, 4)}).failures
    assert [failure.path for failure in failures] == ["0.then_branch.1"]
    assert "axis 0 of [3, 4] has size 3" in failures[0].message
    assert shapes_at(model, {"x": (1, 4)}).failures == ()


LOOP = """g (float[N,4] x, int64 n, bool c) => (float y, float rows) <float[BIAS] b = {VALUES}>
{
    y, rows = Loop (n, c, x) <body = b1 (int64 i, bool go, float[A,B] s) => (bool go2, float[A,B] s2, float[A,B] row)
        { go2 = Identity(go)  s2 = STEP  row = Relu(s2) }>
}"""


def _loop(step: str, bias: int = 4) -> OpenedModel:
    values = ", ".join("1" for _ in range(bias))
    return parsed(LOOP.replace("STEP", step).replace("BIAS", str(bias)).replace("VALUES", values))


def test_loops_keep_what_is_stable_and_forget_what_grows() -> None:
    sizes: dict[str, tuple[int, ...]] = {"x": (2, 4), "n": (), "c": ()}
    stable = shapes_at(_loop("Add(s, b)"), sizes, {"n": (5,), "c": (1,)})
    assert (stable.failures, dims(stable, "y"), dims(stable, "rows")) == ((), (2, 4), (5, 2, 4))
    unknown_count = shapes_at(_loop("Add(s, b)"), sizes)
    assert dims(unknown_count, "rows") == (None, 2, 4)
    growing = shapes_at(_loop("Concat <axis = 1> (s, x)"), sizes, {"n": (5,)})
    assert (growing.failures, dims(growing, "y")) == ((), (2, None))


def test_a_loop_body_that_cannot_run_once_fails() -> None:
    sizes: dict[str, tuple[int, ...]] = {"x": (2, 4), "n": (), "c": ()}
    model = _loop("Add(s, b)", bias=3)
    assert [failure.path for failure in shapes_at(model, sizes, {"n": (5,)}).failures] == ["0.body.1"]
    assert shapes_at(model, sizes, {"n": (0,)}).failures == ()


def test_scan_slices_and_stacks() -> None:
    model = parsed(
        """g (float[4] h, float[T,4] x) => (float[4] last, float[T,4] all)
        {
            last, all = Scan <num_scan_inputs = 1, body = b (float[4] s, float[4] xt) => (float[4] s2, float[4] o)
                { s2 = Add(s, xt)  o = Relu(s2) }> (h, x)
        }"""
    )
    point = shapes_at(model, {"h": (4,), "x": (9, 4)})
    assert (point.failures, dims(point, "last"), dims(point, "all")) == ((), (4,), (9, 4))
    bad = shapes_at(model, {"h": (4,), "x": (9, 3)})
    assert bad.failures[0].path == "0.body.0"


FUNCTION = """<ir_version: 10, opset_import: ["" : 21, "own" : 1]>
g (float[N,4] x) => (float y, float z) <int64[2] k = {-1, 8}>
{ y = own.flat <zero = 0> (x, k)  z = own.flat <zero = 1> (x, k) }
<domain: "own", opset_import: ["" : 21]>
flat <zero> (a, shape) => (b) { b = Reshape <allowzero: int = @zero> (a, shape) }
"""


def test_functions_are_followed_with_their_arguments() -> None:
    model = from_proto(parser.parse_model(FUNCTION), Path("model.onnx"))
    point = shapes_at(model, {"x": (4, 4)})
    assert (point.failures, dims(point, "y"), dims(point, "z")) == ((), (2, 8), (2, 8))
    odd = shapes_at(model, {"x": (3, 4)})
    assert {failure.path for failure in odd.failures} == {"@own:flat.0"}


def test_recorded_types_help_behind_operators_nobody_knows() -> None:
    text = """g (float[N,3,8,8] x) => (float y) <float[1,4] w = {1, 2, 3, 4}, ...>
        { boxes = own.Plugin(x)  y = Add(boxes, w) }"""
    for recorded, size in (("float[N,100,4] boxes", (2, 100, 4)), ("float[1,100,4] boxes", (None, None, 4))):
        model = parsed(text.replace(", ...>", f", {recorded}>"))
        point = shapes_at(model, {"x": (2, 3, 8, 8)})
        assert (point.failures, dims(point, "y")) == ((), size)


def test_wrong_element_types_are_no_matter_of_shapes() -> None:
    model = parsed("g (float[N] x, int64[N] z) => (float y) { y = Add(x, z) }")
    assert shapes_at(model, {"x": (3,), "z": (3,)}).failures == ()
    assert shapes_at(model, {"x": (3,), "z": (2,)}).failures != ()


def test_points_are_remembered() -> None:
    model = parsed("g (float[N] x) => (float y) { y = Relu(x) }")
    first = shapes_at(model, {"x": (3,)}, label="min")
    again = shapes_at(model, {"x": (3,)}, label="opt")
    assert again.types is first.types
    assert (first.label, again.label) == ("min", "opt")


BACKEND = Path(onnx.__file__).parent / "backend" / "test" / "data"


@pytest.mark.parametrize("folder", ["light", "simple", "pytorch-converted", "pytorch-operator"])
def test_models_of_the_onnx_package_have_no_failures(folder: str) -> None:
    paths = sorted((BACKEND / folder).rglob("*.onnx"))
    assert paths
    for path in paths:
        model = open_model(path)
        assert model.file.error == "", path
        data, summary = graph_data(model), summarize(model)
        assert summary.nodes == len(model.index.nodes)
        assert all(0 <= source < len(data.names) for row in data.inputs for source in row)
        point = shapes_at(model, input_sizes(model, None, "opt"))
        assert point.failures == (), path
        for output in model.proto.graph.output:
            declared = output.type.tensor_type.shape.dim
            found = point.types[output.name].sizes
            if found is not None and output.type.WhichOneof("value") == "tensor_type" and declared:
                fixed = [dim.dim_value or size for dim, size in zip(declared, found, strict=True)]
                assert fixed == list(found), (path, output.name)


@pytest.mark.slow
def test_every_operator_test_case_of_the_onnx_package() -> None:
    """Shapes, and values where they are followed, against the expected outputs; a failure claimed would be false."""
    from onnx.backend.test.case.node import collect_testcases

    claimed: list[tuple[str, NodeFailure]] = []
    wrong: list[str] = []
    for case in collect_testcases(None):
        assert case.model is not None and case.data_sets is not None
        model = from_proto(case.model, Path("model.onnx"))
        inputs, outputs = case.data_sets[0]
        sizes: dict[str, tuple[int, ...]] = {}
        values: dict[str, tuple[int, ...]] = {}
        for declared, value in zip(model.index.inputs, inputs, strict=True):
            array = onnx.numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value
            if isinstance(array, np.ndarray):
                sizes[declared.name] = array.shape
                if array.dtype.kind in "ib" and array.size <= 1024:
                    values[declared.name] = tuple(int(item) for item in array.ravel())
        point = shapes_at(model, sizes, values)
        claimed += [(case.name, failure) for failure in point.failures]
        for declared, value in zip(case.model.graph.output, outputs, strict=False):
            array = onnx.numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value
            if not isinstance(array, np.ndarray):
                continue
            found = point.types.get(declared.name)
            if found is not None and found.sizes not in (None, array.shape):
                wrong.append(f"{case.name}: {found.sizes} instead of {array.shape}")
            followed = point.values.get(declared.name)
            if followed is not None and followed.dtype.kind in "iub" and not np.array_equal(followed, array):
                wrong.append(f"{case.name}: {followed} instead of {array}")
    assert claimed == []
    assert wrong == []
