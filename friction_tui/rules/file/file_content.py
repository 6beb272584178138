"""Files that are not a whole ONNX model: empty, a web page, a pointer, an archive, cut off, or an engine."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from friction_tui.kinds import file
from friction_tui.kinds.kind import Kind
from friction_tui.model.opened import FileFacts
from friction_tui.rules.check import Check
from friction_tui.rules.context import CheckContext
from friction_tui.rules.file import engine_file
from friction_tui.vocabulary.finding import Finding, Location, LocationKind

_FETCH_AGAIN = "Download the file again (or copy or export it again) and compare its size and checksum with the source."


class _Content(NamedTuple):
    """What is reported of a file: its kind, what to do, and what follows from it, added to the cause."""

    kind: Kind
    fixes: tuple[str, ...]
    consequence: str = ""


_CONTENT = {
    "missing": _Content(file.MISSING, ("Correct the path, or make the file readable for this user.",)),
    "directory": _Content(
        file.DIRECTORY,
        (
            "Name the model file inside the folder.",
            "A TensorFlow SavedModel folder is exported first: `python -m tf2onnx.convert --saved-model DIR --output "
            "m.onnx`.",
        ),
    ),
    "empty": _Content(
        file.EMPTY,
        (_FETCH_AGAIN,),
        " TensorRT's parser takes an empty file without an error, so the build would only say that the network has no "
        "output.",
    ),
    "html": _Content(
        file.HTML,
        (
            "Open the URL in a browser: it shows the login, error or confirmation page. Download again from the direct "
            "link to the file (`/raw/` instead of `/blob/`, `/resolve/main/`, `?download=1`).",
        ),
        " TensorRT's parser does not notice: the build would only say that the network has no output.",
    ),
    "git-lfs": _Content(
        file.GIT_LFS,
        ("Run `git lfs install && git lfs pull` in the checkout, or download the model file itself again.",),
    ),
    "text": _Content(
        file.TEXT,
        ("Read the text, it often is the server's error message; then download the model again.", _FETCH_AGAIN),
    ),
    "onnx-text": _Content(
        file.ONNX_TEXT,
        (
            "Convert it and save it in binary: `onnx.save(onnx.load(path, format='textproto'), 'model.onnx')`; the "
            "format is 'json' for JSON and 'onnxtxt' for ONNX's own text form.",
        ),
    ),
    "truncated": _Content(
        file.TRUNCATED,
        (_FETCH_AGAIN,),
        " What could be read is shown, but the model is corrupt and incomplete.",
    ),
    "zip": _Content(
        file.ZIP,
        (
            "If it is a PyTorch or Keras file, export the model to ONNX; if the ONNX file lies inside, unpack the "
            "archive.",
        ),
    ),
    "pickle": _Content(
        file.PICKLE,
        ("Export the model with torch.onnx.export where its code is; a pickle is not loaded, it can run code.",),
    ),
    "too-large": _Content(
        file.NOT_PROTOBUF,
        (
            "Save the model with its weights beside it: `onnx.save(model, path, save_as_external_data=True)`; "
            "torch.onnx.export does it with external_data=True.",
        ),
    ),
    "not-protobuf": _Content(
        file.NOT_PROTOBUF, ("Find out what the file is and export or convert it to ONNX.", _FETCH_AGAIN)
    ),
}
"""By what `friction_tui.model.file.filetype` takes a file for."""


def check(context: CheckContext) -> Iterator[Finding]:
    """One error when the file is not a whole ONNX model."""
    facts = context.model.file
    if facts.kind == "onnx":
        return
    if facts.kind == "engine":
        yield engine_file.finding(facts.path, engine_file.here())
        return
    content = _CONTENT[facts.kind]
    yield content.kind.finding(
        cause=facts.error + content.consequence,
        locations=[Location(LocationKind.FILE, facts.path.name)],
        evidence=_evidence(facts),
        fixes=content.fixes,
    )


def _evidence(facts: FileFacts) -> Iterator[str]:
    yield str(facts.path) if facts.kind == "missing" else f"{facts.path}, {facts.size:,} bytes"
    if facts.kind == "directory":
        inside = sorted(entry.name for entry in facts.path.iterdir() if entry.suffix in (".onnx", ".pb", ".pt2"))
        yield f"models inside: {', '.join(inside[:8]) or 'none'}"
    if facts.kind in ("html", "text", "git-lfs"):
        text = facts.head.decode("utf-8", "replace")
        title = re.search(r"<title[^>]*>([^<]*)", text, re.IGNORECASE)
        first = next(iter(text.strip().splitlines()), "(white space only)")
        yield f"page title: {title[1].strip()}" if title else f"first line: {first[:120]}"
    elif facts.head:
        yield f"first bytes: {facts.head[:16].hex(' ')}"


CHECK = Check("file", "what the file is", check, (file.ENGINE, *(content.kind for content in _CONTENT.values())))
