"""The failures behind the first: torch.export.draft_export goes on with real values where an export stops."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import torch

from friction_tui.sources.failure import read
from friction_tui.sources.pytorch.export_failure import data_dependent, explain, missing_function
from friction_tui.sources.pytorch.operator_scan import unmapped
from friction_tui.sources.source_lines import of_stack_text
from friction_tui.vocabulary.finding import Finding, SourceLine


def further(
    module: Any, args: tuple[Any, ...], kwargs: dict[str, Any], shapes: Any, opset: int | None, known: Sequence[Finding]
) -> list[Finding]:
    """Findings that `known` does not hold yet, marked provisional: they are met on the example's path only.

    An example for which the model itself fails gives nothing.
    """
    source = f"torch.export.draft_export (torch {torch.__version__.partition('+')[0]})"
    program: Any = torch.export.draft_export(module, args, kwargs=kwargs, dynamic_shapes=shapes)
    report = program._report
    found = []
    for failure in report.failures:
        data = failure.data
        line = _line(data.get("user_stack") or [], report.str_to_filename)
        match failure.failure_type.name:
            case "DATA_DEPENDENT_ERROR":
                found.append(data_dependent(source, line, str(data["expr"])))
            case "MISSING_FAKE_KERNEL":
                said = f"There was no fake impl registered for {str(data['op']).replace('.', '::', 1)}"
                found.append(explain(read(RuntimeError(said), source)))
    found += [missing_function(source, op.op, op.lines, op.reason, op.lowest_opset) for op in unmapped(program, opset)]
    return [msgspec.structs.replace(f, provisional=True) for f in _new(found, known)]


def _new(found: Sequence[Finding], known: Sequence[Finding]) -> list[Finding]:
    """Those at a line, or about an operator, that nothing said anything about yet."""
    lines = {(f.line.file, f.line.line) for f in known if f.line}
    titles = {f.title for f in known}
    fresh = []
    for finding in found:
        at = (finding.line.file, finding.line.line) if finding.line else None
        if at in lines or (finding.title in titles and at is None):
            continue
        fresh.append(finding)
        if at:
            lines.add(at)
        titles.add(finding.title)
    return fresh


def _line(stack: Sequence[dict[str, Any]], files: dict[int, str]) -> SourceLine | None:
    text = "\n".join(
        f'File "{files.get(frame["filename"], frame["filename"])}", line {frame["line"]}, in {frame["name"]}'
        for frame in stack
    )
    lines = of_stack_text(text)
    return lines[-1] if lines else None
