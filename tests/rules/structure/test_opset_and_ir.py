"""IR version and opsets against ONNX and the installed ONNX Runtime."""

from __future__ import annotations

from typing import Any

import onnx
import pytest
from onnx import helper, parser

from friction_tui.engines import onnxruntime
from friction_tui.engines.onnxruntime_job import Limits
from friction_tui.rules.structure.opset_and_ir import check
from friction_tui.vocabulary.finding import Severity

GRAPH = "g (float[2] x) => (float[2] y) { [n] y = Relu (x) }"


def model(opset: int = 17, ir_version: int = 8, graph: str = GRAPH) -> onnx.ModelProto:
    return parser.parse_model(f'<ir_version: {ir_version}, opset_import: ["" : {opset}]>\n{graph}')


@pytest.mark.parametrize(
    ("opset", "ir_version"), [(7, 3), (13, 7), (17, 8), (21, 10), (onnx.defs.onnx_opset_version(), onnx.IR_VERSION)]
)
def test_versions_everyone_takes(opset: int, ir_version: int, judge: Any) -> None:
    assert judge(check, model(opset, ir_version)) == []


def test_opset_99(judge: Any, said: Any) -> None:
    (finding,) = judge(check, model(99))
    assert (finding.kind, finding.severity) == ("versions/opset-too-new", Severity.ERROR)
    assert "opset 99" in said([finding]).lower()


def test_opset_0(judge: Any, said: Any) -> None:
    (finding,) = judge(check, model(0))
    assert (finding.kind, finding.severity) == ("versions/no-opset", Severity.ERROR)
    assert "opsets begin at 1" in said([finding])


def test_ir_version_99(judge: Any, said: Any) -> None:
    (finding,) = judge(check, model(ir_version=99))
    assert (finding.kind, finding.severity) == ("versions/ir-too-new", Severity.ERROR)
    assert "ir_version = 8" in said([finding])


def test_no_opset_import_names_the_nodes(judge: Any) -> None:
    proto = model()
    del proto.opset_import[:]
    (finding,) = judge(check, proto)
    assert finding.kind == "versions/no-opset"
    assert "n" in finding.names


def test_a_domain_used_and_not_imported(judge: Any) -> None:
    proto = model()
    proto.graph.node[0].domain = "acme"
    (finding,) = judge(check, proto)
    assert finding.kind == "versions/no-opset"
    assert "acme" in finding.cause


def test_one_domain_twice(judge: Any) -> None:
    proto = model()
    proto.opset_import.append(helper.make_opsetid("ai.onnx", 13))
    (finding,) = judge(check, proto)
    assert finding.kind == "versions/two-opsets"
    assert "13 and 17" in finding.cause


def test_opset_6_matters_where_it_broadcasts(judge: Any) -> None:
    (quiet,) = judge(check, model(6, 3))
    assert quiet.severity is Severity.NOTE
    (loud,) = judge(check, model(6, 3, GRAPH.replace("Relu (x)", "Add (x, x)")))
    assert loud.severity is Severity.WARNING


def test_what_the_installed_onnx_runtime_takes_decides(judge: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnxruntime, "limits", lambda: Limits(ir=10, opset=21))
    (finding,) = judge(check, model(22, 10))
    assert (finding.kind, finding.severity) == ("versions/onnxruntime-too-old", Severity.WARNING)
    assert "opsets up to 21" in finding.cause
    assert judge(check, model(21, 10)) == []
