"""The evidence of an export as lines."""

from __future__ import annotations

from friction_tui.ui.look.lines import Line, in_ascii
from friction_tui.ui.source.evidence_lines import program, summary
from friction_tui.vocabulary.finding import SourceLine
from friction_tui.vocabulary.protocol.evidence import (
    Decision,
    ExportEvidence,
    ExportStep,
    OutputDifference,
    ProgramLine,
    StepState,
)

LINE = SourceLine("/models/model.py", 9, "forward", "if part.sum() > total:")
EVIDENCE = ExportEvidence(
    steps=(
        ExportStep("captured", StepState.DONE),
        ExportStep("compared", StepState.FAILED, "outputs differ on the example input"),
    ),
    program=(
        ProgramLine("relu = aten.relu.default(linear)", "s0×4 float32", ("node_relu",), LINE),
        ProgramLine("add = aten.add.Tensor(relu, 1)", "s0×4 float32"),
    ),
    operators=7,
    differences=(OutputDifference("y", "on the example input", 1.0, 0.5, 1e-3, (0, 2), 1.0, 2.0, (8, *[0] * 8, 3, 1)),),
    decisions=(Decision("Eq(u0, 1)", LINE, 3, "False", (("part", "8"), ("total", "scalar"))),),
)


def texts(lines: list[Line]) -> list[str]:
    return ["".join(text for text, _ in (*line.spans, *line.tail)) for line in lines]


def test_steps_differences_and_decisions() -> None:
    text = "\n".join(texts(summary(EVIDENCE, 100, ascii_only=False)))
    assert "✓ captured" in text and "✗ compared   outputs differ on the example input" in text
    assert "y  1, 0.5 of its largest value (accepted 0.001), on the example input" in text
    assert "worst at [0, 2]: 1 in PyTorch, 2 in ONNX" in text
    assert "equal █ 8" in text and "1e-1 ▅ 3" in text and "1e-8" not in text
    assert "model.py:9  Eq(u0, 1): met 3 times, went on with False" in text
    assert "where part 8, total scalar" in text
    plain = [in_ascii(line) for line in summary(EVIDENCE, 100, ascii_only=True)]
    assert all(text.isascii() for text in texts(plain))


def test_the_program_has_its_nodes_below_and_its_line_beside() -> None:
    lines = program(EVIDENCE, 90)
    text = texts(lines)
    assert text[1] == "captured program: 7 operators, the first 2 shown"
    assert text[2].startswith("relu = aten.relu.default(linear)") and text[2].endswith("model.py:9")
    assert text[3] == "  s0×4 float32 → node_relu"
    assert "no node: folded" in text[5]
    assert lines[2].key == lines[3].key == EVIDENCE.program[0]
    assert program(ExportEvidence(), 90) == []
