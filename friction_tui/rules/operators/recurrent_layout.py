"""Batch-first recurrent layers: taken by some runtimes only."""

from __future__ import annotations

from collections.abc import Iterator

from friction_tui.kinds import operators
from friction_tui.model.provenance import location_of
from friction_tui.rules.check import Check
from friction_tui.rules.context import CheckContext
from friction_tui.vocabulary.finding import Finding


def check(context: CheckContext) -> Iterator[Finding]:
    """LSTM, GRU and RNN with layout=1, which ONNX Runtime's CPU provider and enterprise TensorRT do not implement.

    ONNX Runtime 1.32: `Batchwise recurrent operations (layout == 1) are not supported`; onnx-tensorrt's operators.md
    for TensorRT 10.15: layout=0. TensorRT-RTX 1.7.1 builds it.
    """
    for node in context.model.index.nodes:
        op = node.proto.op_type
        if op not in ("LSTM", "GRU", "RNN") or not any(a.name == "layout" and a.i == 1 for a in node.proto.attribute):
            continue
        yield operators.BATCH_FIRST_LAYOUT.finding(
            node=f"{op} {node.name}",
            cause=f"{op} {node.name} has layout=1 (batch first). TensorRT-RTX takes it; ONNX Runtime does not "
            "implement it and refuses the model, and enterprise TensorRT documents layout=0 only, so nothing "
            "can be compared or measured.",
            locations=(location_of(context.model, node),),
            fixes=(
                "Use layout=0 with a Transpose before and after (in PyTorch the exporter does this for batch_first).",
            ),
        )


CHECK = Check("recurrent layout", "recurrent layers some runtimes do not take", check, (operators.BATCH_FIRST_LAYOUT,))
