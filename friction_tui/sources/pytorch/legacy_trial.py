"""Whether the legacy exporter takes a model that the other one does not, found out in a process of its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from friction_tui.kinds.export import TRACED_CONSTANT
from friction_tui.sources.channel import Channel
from friction_tui.sources.export_request import ExportEvent, ExportRequest, Log
from friction_tui.sources.runner import run_export
from friction_tui.vocabulary.finding import Finding, Fix, Severity

_SECONDS = 120.0
"""What the trial may take: it imports torch anew and exports once more."""


def offered(findings: Sequence[Finding], request: ExportRequest, channel: Channel) -> list[Finding]:
    """The findings with the legacy exporter as the first way out, where it gives a model that computes the same.

    Nothing where it does not. `request` is the one that failed.
    """
    if request.options.legacy or not request.aftermath or not findings:
        return []
    channel.stage("try the legacy exporter", 2 * _SECONDS)
    output = Path(f"{request.output}.legacy.onnx")
    options = msgspec.structs.replace(request.options, legacy=True, timeout_s=_SECONDS * request.patience)
    trial = msgspec.structs.replace(request, output=str(output), options=options)
    said: list[str] = []

    def hear(event: ExportEvent) -> None:
        if isinstance(event, Log) and event.text.startswith("parity holds"):
            said.append(event.text.removeprefix("parity holds "))

    outcome = run_export(trial, on_event=hear)
    for file in output.parent.glob(f"{output.name}*"):
        file.unlink(missing_ok=True)
    wrong = [one for one in outcome.findings if one.severity is Severity.ERROR or one.kind == TRACED_CONSTANT.id]
    if outcome.onnx_path is None or wrong or not said:
        channel.log("info", "the legacy exporter was tried and gives no model that computes the same")
        return []
    compared = "; ".join(dict.fromkeys(said))
    way = Fix(
        "Export with the legacy exporter: `--export legacy=true` (I in the app), `dynamo=False` in your own code. It "
        f"was tried, and its model gives PyTorch's results {compared}."
    )
    return [msgspec.structs.replace(one, fixes=(way, *one.fixes)) for one in findings]
