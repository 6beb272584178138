"""Weights in files beside the model: missing, too short, outside the model's folder, or badly described."""

from __future__ import annotations

from collections.abc import Iterator

from friction_tui.kinds import external
from friction_tui.model.file.external import ExternalFile
from friction_tui.model.file.filetype import recognize
from friction_tui.rules.check import Check
from friction_tui.rules.context import CheckContext
from friction_tui.vocabulary.finding import Finding, Location, LocationKind

_SHOWN = 3
"""Initializers named in a cause; the locations have every one of them."""

_COPY = (
    "Copy the external data file (often `<model>.onnx.data`) into the same directory as the .onnx file, under the "
    "name the model has for it."
)
_SAVE_AGAIN = (
    "Save the model again where all files are: `onnx.save_model(model, path, save_as_external_data=True, "
    "all_tensors_to_one_file=True, location='model.onnx.data')`."
)


def check(context: CheckContext) -> Iterator[Finding]:
    """One error per external file that cannot give the weights, per bad path, and per badly described entry."""
    by_location: dict[str, list[ExternalFile]] = {}
    for entry in context.model.external:
        by_location.setdefault(entry.location, []).append(entry)
    for location, entries in by_location.items():
        if not location:
            yield _no_location(entries)
        elif any(entry.escapes for entry in entries):
            yield _escapes(location, entries)
        elif entries[0].missing:
            yield _missing(location, entries)
        elif short := [entry for entry in entries if entry.short]:
            yield _not_data(location, short) or _too_short(location, short)
        if odd := [entry for entry in entries if entry.unreadable]:
            yield _no_number(odd)
        if wrong := [entry for entry in entries if entry.length not in (None, entry.needed_bytes)]:
            yield _wrong_length(wrong)


def _names(entries: list[ExternalFile]) -> str:
    shown = ", ".join(entry.initializer for entry in entries[:_SHOWN])
    return f"{shown} and {len(entries) - _SHOWN} more" if len(entries) > _SHOWN else shown


def _locations(entries: list[ExternalFile]) -> list[Location]:
    return [Location(LocationKind.INITIALIZER, entry.initializer) for entry in entries]


def _missing(location: str, entries: list[ExternalFile]) -> Finding:
    size = max(entry.offset + entry.needed_bytes for entry in entries)
    return external.MISSING.finding(
        file=location,
        cause=f"The weights of {_names(entries)} lie in the external data file {location}, which is not found beside "
        f"the model: {entries[0].path} cannot be opened. It must hold at least {size:,} bytes.",
        locations=_locations(entries),
        evidence=[f"expected at {entries[0].path}", f"{len(entries)} initializers refer to it"],
        fixes=[_COPY, _SAVE_AGAIN],
    )


def _not_data(location: str, entries: list[ExternalFile]) -> Finding | None:
    """A short file that is something else: the pointer git-lfs left in its place, or a web page."""
    file = entries[0]
    try:
        with file.path.open("rb") as stream:
            content, what = recognize(stream.read(512), file.size_on_disk or 0)
    except OSError:
        return None  # gone since it was looked up
    if content not in ("git-lfs", "html", "empty"):
        return None
    instead = what.replace(", not the model", "").replace(", not an ONNX model", "").replace("the model has", "it has")
    return external.NOT_DATA.finding(
        file=location,
        cause=f"The external data file {location} of {_names(entries)} is not data: {instead}",
        locations=_locations(entries),
        evidence=[f"{file.path}: {file.size_on_disk or 0:,} bytes"],
        fixes=[
            "Run `git lfs pull` in the repository the model came from, then check again."
            if content == "git-lfs"
            else "Download or copy the external data file again, whole.",
            _SAVE_AGAIN,
        ],
    )


def _too_short(location: str, entries: list[ExternalFile]) -> Finding:
    first = entries[0]
    end = first.offset + first.needed_bytes
    return external.TOO_SHORT.finding(
        file=location,
        cause=f"The external data file {location} has {first.size_on_disk or 0:,} bytes, but {_names(entries)} needs "
        f"bytes {first.offset:,} to {end:,} of it: the file is truncated or belongs to another version of the model.",
        locations=_locations(entries),
        evidence=[
            f"{first.path}: {first.size_on_disk or 0:,} bytes",
            f"{len(entries)} initializers lie behind its end",
        ],
        fixes=["Copy the external data file again, whole, from the same export as the .onnx file.", _SAVE_AGAIN],
    )


def _escapes(location: str, entries: list[ExternalFile]) -> Finding:
    return external.ESCAPES.finding(
        cause=f"The weights of {_names(entries)} are said to lie in {location}, outside the model's folder (an "
        "absolute path, `..` or a link). ONNX forbids that, since opening a model could then read any file, and ONNX "
        "Runtime refuses it.",
        locations=_locations(entries),
        evidence=[f"leads to {entries[0].path}", "missing there" if entries[0].missing else "a file exists there"],
        fixes=[
            "Do not trust such a model from elsewhere: it asks for files outside its folder.",
            "If it is yours, copy the file beside the .onnx and make the location a plain file name; or save again "
            "with `save_as_external_data=True`.",
        ],
    )


def _no_location(entries: list[ExternalFile]) -> Finding:
    return external.NO_LOCATION.finding(
        cause=f"{_names(entries)} is marked as external data, but the model does not say in which file it lies (no "
        "`location` entry), so its weights are missing.",
        locations=_locations(entries),
        fixes=[_SAVE_AGAIN],
    )


def _no_number(entries: list[ExternalFile]) -> Finding:
    first = entries[0]
    return external.NO_NUMBER.finding(
        initializer=first.initializer,
        entry=first.unreadable,
        cause=f"The external data entry of {_names(entries)} has {first.unreadable}; offset and length count bytes and "
        "must be whole numbers, 0 or larger. TensorRT reads the weights from another place in silence; ONNX Runtime "
        "refuses the model.",
        locations=_locations(entries),
        fixes=[_SAVE_AGAIN, "Copy or re-export the model from where it was whole: the file is corrupt."],
    )


def _wrong_length(entries: list[ExternalFile]) -> Finding:
    first = entries[0]
    return external.WRONG_LENGTH.finding(
        cause=f"The external data entry of {first.initializer} says {first.length:,} bytes, its dims and type need "
        f"{first.needed_bytes:,} bytes: the initializer's shape and its data do not belong together.",
        locations=_locations(entries),
        evidence=[f"{e.initializer}: length {e.length}, needed {e.needed_bytes}" for e in entries[:8]],
        fixes=["Re-export the model, or save it again from where its weights are whole; the file is corrupt."],
    )


CHECK = Check(
    "external",
    "weights in external files",
    check,
    (
        external.MISSING,
        external.NOT_DATA,
        external.TOO_SHORT,
        external.ESCAPES,
        external.NO_LOCATION,
        external.NO_NUMBER,
        external.WRONG_LENGTH,
    ),
)
