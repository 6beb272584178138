"""What an export of an example finds, made the way the app exports: in a process of its own, with consent given."""

from __future__ import annotations

from pathlib import Path

from friction_tui.kinds.examples import TorchModule
from friction_tui.vocabulary.finding import Finding
from tests.sources.exporting import export_code


def export_findings(example: TorchModule, folder: Path) -> list[Finding]:
    """The findings of exporting `create()`."""
    ranges = {key: (low, high) for key, (low, _, high) in example.ranges.items()}
    outcome = export_code(folder, example.source, ranges=ranges, options=example.options, factory="create")
    return list(outcome.findings)
