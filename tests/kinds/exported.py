"""What an export of an example finds: the app's export process, forked from one that has torch loaded already."""

from __future__ import annotations

import multiprocessing
import os
import sys
from pathlib import Path

import msgspec

from friction_tui.kinds.examples import TorchModule
from friction_tui.sources import consent
from friction_tui.sources.export_request import Done, ExportEvent, ExportRequest, Found
from friction_tui.vocabulary.finding import Finding
from friction_tui.vocabulary.recipe import Profile, Range, Source, SourceKind

_LIMIT_S = 200
_FORKED = multiprocessing.get_context("forkserver")
# It has imported what every export imports, which is most of the time that a small one takes.
_FORKED.set_forkserver_preload(["tests.kinds.exporter_loaded"])


def export_findings(example: TorchModule, folder: Path) -> list[Finding]:
    """The findings of exporting `create()` with consent given, in a process of its own."""
    file, events = folder / "user_model.py", folder / "events.jsonl"
    file.write_text(example.source.lstrip("\n"))
    request = ExportRequest(
        source=consent.with_consent(Source(str(file), SourceKind.PYTORCH, "create")),
        output=str(file.with_suffix(".onnx")),
        opset=example.opset,
        profile=Profile(ranges={key: Range(*sizes) for key, sizes in example.ranges.items()}),
        options=example.options,
    )
    asked = folder / "request.json"
    asked.write_bytes(msgspec.json.encode(request) + b"\n")
    process = _FORKED.Process(target=_export, args=(str(asked), str(events)))
    process.start()
    process.join(_LIMIT_S)
    if process.is_alive():
        process.kill()
        raise TimeoutError(f"the export took longer than {_LIMIT_S} s")
    sent = [msgspec.json.decode(line, type=ExportEvent) for line in events.read_bytes().splitlines()]
    assert isinstance(sent[-1], Done), "the export process did not end by itself"
    return [event.finding for event in sent if isinstance(event, Found)]


def _export(request: str, events: str) -> None:
    """The export process: the request comes on stdin, the events go to stdout."""
    from friction_tui.sources.export_job import main

    os.dup2(os.open(request, os.O_RDONLY), 0)
    os.dup2(os.open(events, os.O_WRONLY | os.O_CREAT), 1)
    sys.stdin = open(0)  # noqa: SIM115 - the file descriptor, for as long as the process lives
    main()
