"""Det, Inverse, Einsum forms and vectors in MatMul, against ONNX Runtime, and built."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from friction_tui.model.opened import OpenedModel
from friction_tui.rewrites.base import CannotRewrite
from friction_tui.rewrites.linear_algebra import (
    det,
    einsum_integers,
    einsum_letters,
    inverse,
    matmul_integers,
    matmul_vector,
)
from tests.rewrites.mended import check_mends, difference, model_of, ran, rewritten


def inverted(sizes: str) -> OpenedModel:
    return model_of(
        f"""<ir_version: 10, opset_import: ["" : 17, "com.microsoft" : 1]>
        g (float[{sizes}] x) => (float[{sizes}] y) {{ y = com.microsoft.Inverse (x) }}"""
    )


@pytest.mark.parametrize("size", [1, 2, 3, 6])
def test_determinants(size: int) -> None:
    model = model_of(f"g (float[N,{size},{size}] x) => (float[N] y) {{ y = Det(x) }}")
    check_mends(model, det, "Det", tolerance=1e-4, shapes={"x": [(n, size, size) for n in (1, 4, 8)]})


def test_the_determinant_of_one_matrix_and_of_stacks() -> None:
    check_mends(model_of("g (float[3,3] x) => (float y) { y = Det(x) }"), det, "Det")
    check_mends(
        model_of("g (float[2,N,3,3] x) => (float[2,N] y) { y = Det(x) }"),
        det,
        "Det",
        shapes={"x": [(2, n, 3, 3) for n in (1, 4, 8)]},
    )


def test_a_singular_matrix_has_no_determinant_but_zero() -> None:
    model = model_of("g (float[N,3,3] x) => (float[N] y) { y = Det(x) }")
    after = rewritten(model, det, "Det")
    zeros = np.zeros((2, 3, 3), np.float32)
    zeros[1, :, 0] = 1
    assert not ran(after, {"x": zeros})[0].any()


@pytest.mark.parametrize("sizes", ["N,2,2", "2,N,3,3", "N,5,5"])
def test_inverses(sizes: str) -> None:
    points = [tuple(int(size) if size != "N" else n for size in sizes.split(",")) for n in (1, 4, 8)]

    def feeds(point: int, seed: int) -> dict[str, np.ndarray]:
        shape = points[point]
        return {"x": (np.random.default_rng(seed).random(shape, np.float32) + 2 * np.eye(shape[-1], dtype=np.float32))}

    check_mends(inverted(sizes), inverse, "Inverse", shapes={"x": points}, feeds=feeds, tolerance=1e-4)


def test_a_first_pivot_of_zero_is_exchanged() -> None:
    after = rewritten(inverted("2,2"), inverse, "Inverse")
    swap = np.array([[0, 2], [4, 0]], np.float32)
    assert np.array_equal(ran(after, {"x": swap})[0], np.array([[0, 0.25], [0.5, 0]], np.float32))


def test_large_and_unknown_sizes_are_refused() -> None:
    for sizes, why in (("17,17", "17 rows"), ("N,N", "is not fixed")):
        with pytest.raises(CannotRewrite, match=why):
            rewritten(model_of(f"g (float[{sizes}] x) => (float y) {{ y = Det(x) }}"), det, "Det")


@settings(max_examples=20, deadline=None, derandomize=True)
@given(size=st.integers(1, 7), batch=st.integers(1, 3), seed=st.integers(0, 99))
def test_any_matrix(size: int, batch: int, seed: int) -> None:
    matrix = np.random.default_rng(seed).standard_normal((batch, size, size)).astype(np.float32)
    model = model_of(f"g (float[{batch},{size},{size}] x) => (float[{batch}] y) {{ y = Det(x) }}")
    assert difference([np.linalg.det(matrix)], ran(rewritten(model, det, "Det"), {"x": matrix})) <= 1e-4
    after = rewritten(inverted(f"{batch},{size},{size}"), inverse, "Inverse")
    whole = matrix + np.float32(2 * size) * np.eye(size, dtype=np.float32)
    assert difference([np.linalg.inv(whole)], ran(after, {"x": whole})) <= 1e-4


def einsum(equation: str, *ports: str) -> OpenedModel:
    names = ", ".join(port.split()[-1] for port in ports)
    dtype = ports[0].split("[", maxsplit=1)[0]
    rank = len(equation.split("->")[1].strip()) if "->" in equation else 2
    out = ",".join("vwxyz"[:rank])
    return model_of(
        f'g ({", ".join(ports)}) => ({dtype}[{out}] y) {{ y = Einsum <equation = "{equation}"> ({names}) }}'
    )


@pytest.mark.parametrize(
    ("equation", "ports"),
    [
        ("AbC,bD->ACD", ("float[N,3,4] a", "float[3,5] b")),
        ("BHID,BHJD->BHIJ", ("float[N,2,3,4] a", "float[N,2,5,4] b")),
        ("Bi,Bi->B", ("float[N,3] a", "float[N,3] b")),
    ],
)
def test_capital_letters(equation: str, ports: tuple[str, ...]) -> None:
    shapes = {
        port.split()[-1]: [
            [n if size == "N" else int(size) for size in port.split("[")[1].split("]")[0].split(",")] for n in (1, 4, 8)
        ]
        for port in ports
        if "N" in port
    }
    check_mends(einsum(equation, *ports), einsum_letters, "Einsum", shapes=shapes)
    with pytest.raises(CannotRewrite, match="no capital letters"):
        rewritten(einsum(equation.lower(), *ports), einsum_letters, "Einsum")


@pytest.mark.parametrize(
    ("equation", "ports"),
    [
        ("ij,jk->ik", ("int32[N,4] a", "int32[4,5] b")),
        ("bij,bkj->kb", ("int64[N,3,4] a", "int64[N,5,4] b")),
        ("i,j->ji", ("int32[N] a", "int32[3] b")),
        ("ij,jk", ("int32[N,4] a", "int32[4,5] b")),
    ],
)
def test_integers(equation: str, ports: tuple[str, ...]) -> None:
    shapes = {
        port.split()[-1]: [
            [n if size == "N" else int(size) for size in port.split("[")[1].split("]")[0].split(",")] for n in (1, 4, 8)
        ]
        for port in ports
        if "N" in port
    }
    check_mends(einsum(equation, *ports), einsum_integers, "Einsum", shapes=shapes)
    floats = [port.replace("int32", "float").replace("int64", "float") for port in ports]
    with pytest.raises(CannotRewrite, match="not int32"):
        rewritten(einsum(equation, *floats), einsum_integers, "Einsum")


def test_a_vector_beside_matrices() -> None:
    left = model_of("g (float[4] a, float[3,4,5] b) => (float[3,5] y) { y = MatMul (a, b) }")
    check_mends(left, matmul_vector, "MatMul")
    free = model_of("g (float[4] a, float[N,4,5] b) => (float[N,5] y) { y = MatMul (a, b) }")
    check_mends(free, matmul_vector, "MatMul", shapes={"b": [(n, 4, 5) for n in (1, 4, 8)]}, refused=False)
    right = model_of("g (float[2,N,4] a, float[4] b) => (float[2,N] y) { y = MatMul (a, b) }")
    check_mends(right, matmul_vector, "MatMul", shapes={"a": [(2, n, 4) for n in (1, 4, 8)]}, refused=False)
    with pytest.raises(CannotRewrite, match="vector"):
        rewritten(
            model_of("g (float[3,4] a, float[4,5] b) => (float[3,5] y) { y = MatMul (a, b) }"), matmul_vector, "MatMul"
        )


@pytest.mark.parametrize(
    ("left", "right"),
    [("int32[N,7]", "int32[7,3]"), ("int64[N,2,7]", "int64[7,3]"), ("int32[5,2,7]", "int32[N,5,7,3]")],
)
def test_matrices_of_integers(left: str, right: str) -> None:
    dtype, rank = left.split("[", maxsplit=1)[0], max(left.count(","), right.count(",")) + 1
    out = ",".join("pqrs"[:rank])
    model = model_of(f"g ({left} a, {right} b) => ({dtype}[{out}] y) {{ y = MatMul (a, b) }}")
    after = check_mends(model, matmul_integers, "MatMul", refused="int32" in left, integers=(-9, 9))
    assert not any(node.op_type == "MatMul" for node in after.graph.node)
    floats = model_of("g (float[N,7] a, float[7,3] b) => (float[N,3] y) { y = MatMul (a, b) }")
    with pytest.raises(CannotRewrite, match="not int32"):
        rewritten(floats, matmul_integers, "MatMul")
