"""What a file is, from its first bytes, before anything tries to decode it."""

from __future__ import annotations

import re

KINDS = (
    "onnx",
    "empty",
    "html",
    "git-lfs",
    "text",
    "onnx-text",
    "truncated",
    "zip",
    "pickle",
    "engine",
    "missing",
    "directory",
    "not-protobuf",
    "too-large",
)

_ENGINE_TAGS = (b"ftrt", b"ptrt", b"vtrt")
"""First bytes of a plan: TensorRT, TensorRT before 8.5, TensorRT-RTX."""
_OTHER_FORMATS = (
    (b"\x89HDF\r\n\x1a\n", 0, "an HDF5 file, as Keras writes it (.h5)"),
    (b"TFL3", 4, "a TensorFlow Lite model"),
    (b"ORTM", 4, "a model in ONNX Runtime's own format (.ort); the .onnx it was made from is needed"),
    (b"\x93NUMPY", 0, "a numpy array (.npy)"),
    (b"\x1f\x8b", 0, "a gzip archive; unpack it first"),
    (b"BZh", 0, "a bzip2 archive; unpack it first"),
    (b"\xfd7zXZ\x00", 0, "an xz archive; unpack it first"),
    (b"\x28\xb5\x2f\xfd", 0, "a zstd archive; unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", 0, "a 7z archive; unpack it first"),
    (b"Rar!\x1a\x07", 0, "a rar archive; unpack it first"),
    (b"ustar", 257, "a tar archive; unpack it first"),
    (b"GGUF", 0, "a GGUF model"),
    (b"\x7fELF", 0, "a program or shared library"),
)

_ONNX_TEXT = re.compile(
    rb"""\s*(?:<\s*ir_version|(?:ir_version|producer_name|opset_import|graph)\s*[:{]|\{\s*"irVersion")"""
)
"""How ONNX's text form, protobuf's and its JSON begin."""


def recognize(head: bytes, size: int) -> tuple[str, str]:
    """(kind, what to say) of a file that is certainly no ONNX model; ("", "") for one that may be.

    `head` is the file's beginning, at least 64 bytes of it where there are as many; `size` its size in bytes.
    """
    if size == 0:
        return "empty", "The file is empty (0 bytes): the download or the export did not finish."
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype", b"<html", b"<head", b"<?xml", b"<body", b"<script")):
        return "html", "The file is an HTML page, not an ONNX model: the link led to a web page."
    if head.startswith(b"version https://git-lfs"):
        return "git-lfs", f"The file is a git-lfs pointer ({_lfs_size(head)}), not the model: run `git lfs pull`."
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "zip", "The file is a zip archive, as torch.save writes it (.pt, .pth): export it to ONNX first."
    if len(head) > 2 and head[0] == 0x80 and 2 <= head[1] <= 5:
        return "pickle", "The file is a Python pickle, as old torch.save writes it: export it to ONNX first."
    if head.startswith(_ENGINE_TAGS):
        return "engine", "The file is a built TensorRT engine (a plan), not an ONNX model."
    for magic, offset, name in _OTHER_FORMATS:
        if head[offset : offset + len(magic)] == magic:
            return "not-protobuf", f"The file is {name}, not an ONNX model."
    if _is_text(head) and _ONNX_TEXT.match(head):
        return "onnx-text", "The file is an ONNX model written as text, not in ONNX's binary form that engines read."
    if _is_text(head):
        return "text", f"The file is text, not an ONNX model. It begins: {head[:60].decode('utf-8', 'replace')!r}"
    return "", ""


def _lfs_size(head: bytes) -> str:
    for line in head.decode("utf-8", "replace").splitlines():
        if line.startswith("size ") and line[5:].isdecimal():
            return f"the model has {int(line[5:]):,} bytes"
    return "size unknown"


def _is_text(head: bytes) -> bool:
    """Printable throughout. An ONNX file begins with 0x08 (`ir_version`), which no text does."""
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 3:  # not merely a character cut in two at the end
            return False
        text = head[: error.start].decode("utf-8")
    return all(character.isprintable() or character in "\t\r\n" for character in text)
