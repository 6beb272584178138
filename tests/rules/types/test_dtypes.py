"""Element types TensorRT does not have, where they enter and where they are harmless."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import numpy_helper

from friction_tui.rules.types.dtypes import check
from friction_tui.vocabulary.finding import Severity


@pytest.mark.parametrize("dtype", ["int16", "uint16", "uint32", "uint64", "string", "complex64"])
def test_a_refused_input_names_its_first_reader(dtype: str, judge: Any, said: Any) -> None:
    findings = judge(check, f"g ({dtype}[2] x) => (int64[1] y) {{ [reader] y = Shape (x) }}")
    (finding,) = findings
    assert finding.kind == "types/unsupported-input"
    assert finding.severity is Severity.ERROR
    assert finding.names == ("x", "reader")
    assert dtype in said(findings)


@pytest.mark.parametrize("dtype", ["float", "float16", "bfloat16", "int8", "uint8", "int32", "int64", "bool"])
def test_types_tensorrt_has_give_no_finding(dtype: str, judge: Any, loud: Any) -> None:
    assert loud(judge(check, f"g ({dtype}[2] x) => (float[2] y) {{ y = Cast <to = 1> (x) }}")) == []


def test_a_string_initializer_is_refused_even_when_nothing_reads_it(judge: Any, said: Any) -> None:
    labels = numpy_helper.from_array(np.array(["cat", "dog"], dtype=object), "labels")
    (finding,) = judge(check, "g (float[2] x) => (float[2] y) { y = Relu (x) }", tensors=[labels])
    assert finding.kind == "types/unsupported-initializer"
    assert finding.names == ("labels",)
    for word in ("string", "label", "remove", "outside", "int"):
        assert word in said([finding]).lower()


def test_a_uint16_table_names_who_reads_it(judge: Any) -> None:
    table = numpy_helper.from_array(np.arange(4, dtype=np.uint16), "table")
    findings = judge(
        check, "g (int64[2] i) => (float[2] y) { [look] t = Gather (table, i) y = Cast <to = 1> (t) }", tensors=[table]
    )
    assert findings[0].names == ("table", "look")


def test_a_cast_to_a_refused_type(judge: Any) -> None:
    (finding,) = judge(check, "g (float[2] x) => (float[2] y) { [down] t = Cast <to = 5> (x) y = Cast <to = 1> (t) }")
    assert finding.kind == "types/unsupported-cast"
    assert finding.names == ("down",)


def test_a_sequence_output_is_not_a_tensor(judge: Any) -> None:
    (finding,) = judge(check, "g (float[2] x) => (seq(float[2]) y) { y = SequenceConstruct (x) }")
    assert finding.kind == "types/not-a-tensor"
    assert finding.title == "Output y is a sequence, not a tensor"


@pytest.mark.parametrize(
    "graph",
    [
        "g (double[2] x) => (double[2] y) { [n] y = Relu (x) }",
        "g (double[2] x) => (float[2] y) { [n] t = Mul (x, x) y = Cast <to = 1> (t) }",
        "g (float[2] x) => (float[2] y) { d = Cast <to = 11> (x) [n] e = Exp (d) y = Cast <to = 1> (e) }",
    ],
)
def test_float64_arithmetic_is_one_hazard(graph: str, judge: Any, said: Any) -> None:
    (finding,) = judge(check, graph)
    assert finding.kind == "types/float64"
    assert finding.severity is Severity.WARNING
    assert "n" in finding.names
    assert {"double", "float64", "float32", ".float()"} <= {
        w for w in ("double", "float64", "float32", ".float()") if w in said([finding])
    }


@pytest.mark.parametrize(
    "graph",
    [
        "g (float[2] x) => (float[2] y) { c = Cast <to = 1> (k) y = Mul (x, c) }",
        "g (float[2] x) => (float[2] y) { d = Cast <to = 11> (x) y = Cast <to = 1> (d) }",
    ],
)
def test_float64_that_is_only_cast_gives_no_finding(graph: str, judge: Any) -> None:
    assert judge(check, graph, tensors=[numpy_helper.from_array(np.array(0.5), "k")]) == []


@pytest.mark.parametrize("op", ["Transpose", "Identity", "Neg"])
def test_uint8_is_for_the_border_only(op: str, judge: Any) -> None:
    (finding,) = judge(
        check, f"g (uint8[2,2] pixels) => (float[2,2] y) {{ [n] t = {op} (pixels) y = Cast <to = 1> (t) }}"
    )
    assert finding.kind == "types/uint8-inside"
    assert {"n", "pixels"} <= set(finding.names)


def test_uint8_into_and_out_of_casts_gives_no_finding(judge: Any) -> None:
    graph = "g (uint8[2] x) => (uint8[2] y) { f = Cast <to = 1> (x) h = Relu (f) y = Cast <to = 2> (h) }"
    assert judge(check, graph) == []


@pytest.mark.parametrize("op", ["Gather (w, i)", "Transpose (w)", "Cast <to = 1> (w)"])
def test_an_int8_constant_must_be_dequantized_first(op: str, judge: Any) -> None:
    tensors = [numpy_helper.from_array(np.ones((2, 2), np.int8), "w")]
    (finding,) = judge(check, f"g (int64[1] i) => (float[a,b] y) {{ [n] y = {op} }}", tensors=tensors)
    assert finding.kind == "types/quantized-constant"
    assert {"w", "n"} <= set(finding.names)


def test_a_dequantized_int8_constant_gives_no_finding(judge: Any) -> None:
    tensors = [
        numpy_helper.from_array(np.ones((2, 2), np.int8), "w"),
        numpy_helper.from_array(np.array(0.1, np.float32), "s"),
    ]
    graph = "g (float[2,2] x) => (float[2,2] y) { d = DequantizeLinear (w, s) y = MatMul (x, d) }"
    assert judge(check, graph, tensors=tensors) == []


@pytest.mark.parametrize(
    ("target", "severity"), [("SM75", Severity.WARNING), ("SM89", Severity.NOTE), ("", Severity.NOTE)]
)
def test_bfloat16_depends_on_the_target(target: str, severity: Severity, judge: Any) -> None:
    (finding,) = judge(check, "g (bfloat16[2] x) => (bfloat16[2] y) { y = Relu (x) }", target=target)
    assert (finding.kind, finding.severity) == ("types/bfloat16", severity)
