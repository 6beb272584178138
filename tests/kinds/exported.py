"""What an export of an example finds: the app's export process, forked from one that has torch loaded already."""

from __future__ import annotations

import io
import multiprocessing
import os
import sys
from pathlib import Path

import msgspec

from friction_tui.kinds.examples import TorchModule
from friction_tui.sources import consent
from friction_tui.sources.export_request import ExportEvent, ExportRequest, Found
from friction_tui.vocabulary.finding import Finding
from friction_tui.vocabulary.recipe import Profile, Range, Source, SourceKind

_LOADED = ["tests.kinds.exporter_loaded"]
"""It has imported what every export imports, which is most of the time that a small one takes."""
_FORKED = multiprocessing.get_context("forkserver")
_FORKED.set_forkserver_preload(_LOADED)


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
    process = _FORKED.Process(target=_export, args=(msgspec.json.encode(request), str(events)))
    process.start()
    process.join()
    lines = events.read_bytes().splitlines()
    heard = [msgspec.json.decode(line, type=ExportEvent) for line in lines]
    return [event.finding for event in heard if isinstance(event, Found)]


def _export(request: bytes, events: str) -> None:
    """The export process: the request comes on stdin, the events go to stdout."""
    from friction_tui.sources.export_job import main

    sys.stdin = io.TextIOWrapper(io.BytesIO(request + b"\n"))
    os.dup2(os.open(events, os.O_WRONLY | os.O_CREAT), 1)
    main()
