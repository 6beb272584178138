"""Files that are no model: empty, a web page, a pointer, an archive, cut off, or an engine."""

from __future__ import annotations

import re
from collections.abc import Iterator

from friction_tui.kinds import KINDS
from friction_tui.model.opened import FileFacts
from friction_tui.rules.check import Check
from friction_tui.rules.context import CheckContext
from friction_tui.rules.file import engine_file
from friction_tui.vocabulary.finding import RULE, Finding, Fix, Location, LocationKind, Severity, Tier

_TITLES = {
    "missing": "No such file",
    "directory": "A folder, not a model",
    "empty": "The file is empty",
    "html": "An HTML page, not an ONNX model",
    "git-lfs": "A git-lfs pointer, not the model",
    "text": "A text file, not an ONNX model",
    "onnx-text": "An ONNX model as text, not as ONNX",
    "truncated": "The file is cut off",
    "zip": "An archive, not an ONNX model",
    "pickle": "A Python pickle, not an ONNX model",
    "not-protobuf": "Not an ONNX model",
}
_FETCH_AGAIN = "Download the file again (or copy or export it again) and compare its size and checksum with the source."
_FIXES = {
    "missing": ("Correct the path, or make the file readable for this user.",),
    "directory": (
        "Name the model file inside the folder.",
        "A TensorFlow SavedModel folder is exported first: `python -m tf2onnx.convert --saved-model DIR --output "
        "m.onnx`.",
    ),
    "empty": (_FETCH_AGAIN,),
    "html": (
        "Open the URL in a browser: it shows the login, error or confirmation page. Download again from the direct "
        "link to the file (`/raw/` instead of `/blob/`, `/resolve/main/`, `?download=1`).",
    ),
    "git-lfs": ("Run `git lfs install && git lfs pull` in the checkout, or download the model file itself again.",),
    "text": ("Read the text, it often is the server's error message; then download the model again.", _FETCH_AGAIN),
    "onnx-text": (
        "Convert it and save it in binary: `onnx.save(onnx.load(path, format='textproto'), 'model.onnx')`; the format "
        "is 'json' for JSON and 'onnxtxt' for ONNX's own text form.",
    ),
    "truncated": (_FETCH_AGAIN,),
    "zip": (
        "If it is a PyTorch or Keras file, export the model to ONNX; if the ONNX file lies inside, unpack the archive.",
    ),
    "pickle": ("Export the model with torch.onnx.export where its code is; a pickle is not loaded, it can run code.",),
    "not-protobuf": ("Find out what the file is and export or convert it to ONNX.", _FETCH_AGAIN),
}
_CONSEQUENCE = {
    "empty": " TensorRT's parser takes an empty file without an error, so the build would only say that the network "
    "has no output.",
    "html": " TensorRT's parser does not notice: the build would only say that the network has no output.",
    "truncated": " What could be read is shown, but the model is corrupt and incomplete.",
}


def check(context: CheckContext) -> Iterator[Finding]:
    """One error when the file is not a whole ONNX model."""
    facts = context.model.file
    if facts.kind == "onnx":
        return
    if facts.kind == "engine":
        yield from engine_file.findings(facts.path, engine_file.here())
        return
    yield Finding(
        kind=f"file/{facts.kind}",
        severity=Severity.ERROR,
        tier=Tier.MODEL,
        title=_TITLES[facts.kind],
        cause=facts.error + _CONSEQUENCE.get(facts.kind, ""),
        source=RULE,
        locations=(Location(LocationKind.FILE, facts.path.name),),
        evidence=tuple(_evidence(facts)),
        fixes=tuple(Fix(text) for text in _FIXES[facts.kind]),
    )


def _evidence(facts: FileFacts) -> Iterator[str]:
    yield str(facts.path) if facts.kind == "missing" else f"{facts.path}, {facts.size:,} bytes"
    if facts.kind == "directory":
        inside = sorted(entry.name for entry in facts.path.iterdir() if entry.suffix in (".onnx", ".pb", ".pt2"))
        yield f"models inside: {', '.join(inside[:8]) or 'none'}"
    if facts.kind in ("html", "text", "git-lfs"):
        text = facts.head.decode("utf-8", "replace")
        title = re.search(r"<title[^>]*>([^<]*)", text, re.IGNORECASE)
        yield f"page title: {title[1].strip()}" if title else f"first line: {text.strip().splitlines()[0][:120]}"
    elif facts.head:
        yield f"first bytes: {facts.head[:16].hex(' ')}"


CHECK = Check("file", "what the file is", check, tuple(KINDS.values()))
