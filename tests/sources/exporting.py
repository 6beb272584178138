"""Writes a user's program to disk and exports it the way the app does, in a process of its own."""

from __future__ import annotations

from pathlib import Path

from friction_tui.sources import consent
from friction_tui.sources.export_request import ExportRequest
from friction_tui.sources.runner import ExportOutcome, run_export
from friction_tui.vocabulary.recipe import ExportOptions, InputSpec, Profile, Range, Source, SourceKind


def export_code(
    folder: Path,
    code: str,
    *,
    ranges: dict[str, tuple[int, int]] | None = None,
    opset: int | None = None,
    options: ExportOptions | None = None,
    inputs: tuple[InputSpec, ...] = (),
    factory: str = "model",
) -> ExportOutcome:
    """Export `factory` of a file holding `code`; `ranges` as {"x[0]": (1, 16)}."""
    file = folder / "user_model.py"
    file.write_text(code.lstrip("\n"))
    return export_file(file, ranges=ranges, opset=opset, options=options, inputs=inputs, factory=factory)


def export_file(
    file: Path,
    *,
    ranges: dict[str, tuple[int, int]] | None = None,
    opset: int | None = None,
    options: ExportOptions | None = None,
    inputs: tuple[InputSpec, ...] = (),
    factory: str = "model",
    output: Path | None = None,
) -> ExportOutcome:
    """Export `factory` of a Python file, with consent given."""
    source = Source(str(file), SourceKind.PYTORCH, factory, inputs=inputs)
    chosen = {key: Range(low, low, high) for key, (low, high) in (ranges or {}).items()}
    request = ExportRequest(
        source=consent.with_consent(source),
        output=str(output or file.with_suffix(".onnx")),
        opset=opset,
        profile=Profile(ranges=chosen),
        options=options or ExportOptions(timeout_s=1000),
        patience=20,  # what is found must not depend on how busy the machine is
    )
    return run_export(request)
