"""Files.

What lies on disk is not (or not all of) a model. TensorRT's parser accepts an empty file and even a web page
without an error and fails much later with `Network must have at least one output`, so the first bytes are read
before anything else.
"""

from functools import partial

from friction_tui.kinds.examples import FileBytes, Shown
from friction_tui.kinds.kind import Kind
from friction_tui.vocabulary.finding import Severity, Tier


def _file(content: bytes | str) -> FileBytes:
    return FileBytes("model.onnx", content)


_MODEL = (
    b'\x08\t:5\n\x0e\n\x01x\x12\x01y"\x04Relu:\x00\x12\x01gZ\x0f\n\x01x\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x02'
    b"b\x0f\n\x01y\x12\n\n\x08\x08\x01\x12\x04\n\x02\x08\x02B\x04\n\x00\x10\x11"
)
"""A whole ONNX model in binary: y = Relu (x)."""
_TEXT_FORM = '<ir_version: 9, opset_import: ["" : 17]> g (float[2] x) => (float[2] y) { y = Relu (x) }'
_LFS_POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 4711\n"

FileKind = partial(
    Kind,
    tiers=(Tier.MODEL,),
    matters=frozenset({"stored data"}),
)
"""What the kinds of this family have in common, unless they say otherwise."""

MISSING = FileKind(
    id="file/missing",
    summary="There is no such file",
    title="No such file",
    cause="""The path does not exist, or cannot be read by this user.""",
    evidence="""The path as given, and the system's own error.""",
    example="""`friction-tui check models/yolo.onx`, where the file is called `yolo.onnx`.""",
    fix="""Correct the path; make the file readable.""",
    shows=Shown("tests/rules/file/test_file_content.py::test_what_is_not_a_model_is_one_error_that_says_what_it_is"),
    quiet=_file(_MODEL),
)

DIRECTORY = FileKind(
    id="file/directory",
    summary="A folder was opened as a model",
    title="A folder, not a model",
    cause="""The path is a folder. A TensorFlow SavedModel is a folder and needs an export; a folder of ONNX files
needs one file to be named.""",
    evidence="""The path, and which model files lie inside.""",
    example="""`friction-tui open export/`, with `export/model.onnx` inside.""",
    fix="""Name the file in the folder, or export the SavedModel with tf2onnx.""",
    shows=Shown("tests/rules/file/test_file_content.py::test_what_is_not_a_model_is_one_error_that_says_what_it_is"),
    quiet=_file(_MODEL),
)

EMPTY = FileKind(
    id="file/empty",
    summary="The file is empty",
    cause="""A download or a copy stopped before the first byte, or the disk was full. An empty file is a valid empty
protobuf message: TensorRT parses it without an error and only says `Network must have at least one output` when it
builds.""",
    evidence="""The size: 0 bytes.""",
    example="""`curl -o model.onnx URL` on a full disk.""",
    fix="""Download or export the file again and compare its size with the source.""",
    shows=_file(b""),
    quiet=_file(b"\n"),
)

HTML = FileKind(
    id="file/html",
    summary="An HTML page instead of a model",
    title="An HTML page, not an ONNX model",
    cause="""The server answered with a web page (a login form, an error, a "download anyway?" question) and the
download saved it under the model's name. TensorRT's parser accepts it without an error.""",
    evidence="""The first bytes of the file and the page's title.""",
    example="""`wget -O model.onnx https://github.com/user/repo/blob/main/model.onnx` saves the page around the file;
the file itself is at `.../raw/...`.""",
    fix="""Open the URL in a browser, take the direct link (raw, `resolve/main`, `?download=1`), log in if needed, and
download again.""",
    shows=_file("<!DOCTYPE html><html><title>Sign in</title></html>"),
    quiet=_file("Sign in to download <model.onnx>"),
)

GIT_LFS = FileKind(
    id="file/git-lfs",
    summary="A git-lfs pointer instead of the file",
    title="A git-lfs pointer, not the model",
    cause="""The repository keeps the model in git-lfs and the checkout has only the pointer: three lines of text with
the hash and the size of the real file. ONNX then says `ModelProto has no field named "version"`.""",
    evidence="""The pointer's own lines: the hash and the real size.""",
    example="""`git clone` without git-lfs installed, or a source archive from a web page.""",
    fix="""`git lfs install && git lfs pull`, or download the file itself.""",
    shows=_file(_LFS_POINTER),
    quiet=_file("git lfs pull failed: this repository is over its quota"),
)

TEXT = FileKind(
    id="file/text",
    summary="A text file opened as a model",
    title="A text file, not an ONNX model",
    cause="""The file holds text: an error message of a server (JSON, XML), a script, a label list.""",
    evidence="""The first line.""",
    example="""`{"error": "Repository not found"}` saved as `model.onnx`.""",
    fix="""Read the text: it usually says what went wrong; then download or export again.""",
    shows=_file('{"error": "Repository not found"}'),
    quiet=_file(_TEXT_FORM),
)

ONNX_TEXT = FileKind(
    id="file/onnx-text",
    summary="An ONNX model written as text",
    title="An ONNX model written as text, not in binary",
    cause="""The model was saved in a form for people (protobuf's text format, JSON, or ONNX's own text form), often
to look at a difference between two models. Engines read the binary form only and say `Protobuf parsing failed`.""",
    evidence="""The first line of the file.""",
    example="""`onnx.save(model, "model.textproto")`, renamed to `model.onnx`.""",
    fix="""`onnx.save(onnx.load(path, format="textproto"), "model.onnx")`; the format is `json` or `onnxtxt` for the
other two.""",
    shows=_file(_TEXT_FORM),
    quiet=_file("graph of the losses, epoch by epoch"),
)

TRUNCATED = FileKind(
    id="file/truncated",
    summary="The file ends in the middle",
    title="The file is cut off",
    cause="""The download or copy was cut, or the writer was killed. The protobuf message announces more bytes than the
file has.""",
    evidence="""The size of the file and how far it could be read.""",
    example="""`Protobuf parsing failed` in ONNX Runtime after an interrupted `scp`.""",
    fix="""Copy or download again and compare size and checksum with the source. What could be read is shown, and is no
basis for an engine.""",
    shows=_file(_MODEL[:40]),
    quiet=_file(_MODEL),
)

ZIP = FileKind(
    id="file/zip",
    summary="A zip archive opened as an ONNX model",
    title="An archive, not an ONNX model",
    cause="""A `.pt`/`.pth` checkpoint, a `.pt2` export, a `.keras` file and a `.tar`/`.zip` download are archives, not
ONNX models.""",
    evidence="""The first bytes (`PK`) and what the archive holds.""",
    example="""`mv model.pt model.onnx`.""",
    fix="""Unpack the archive if the model is inside, or export the PyTorch or Keras model to ONNX.""",
    shows=_file(b"PK\x03\x04" + bytes(60)),
    quiet=_file(b"\x1f\x8b" + bytes(60)),
)

PICKLE = FileKind(
    id="file/pickle",
    summary="A Python pickle opened as an ONNX model",
    title="A Python pickle, not an ONNX model",
    cause="""An old `torch.save` checkpoint or another pickle. Loading a pickle runs code from it, so it is not
loaded.""",
    evidence="""The first bytes (a pickle protocol mark).""",
    example="""`mv weights.pth weights.onnx`.""",
    fix="""Export with `torch.onnx.export` where the model's code is.""",
    shows=_file(b"\x80\x02}q\x00X\x06\x00\x00\x00weightq\x01]q\x02s."),
    quiet=_file(b"PK\x03\x04" + bytes(60)),
)

ENGINE = FileKind(
    id="file/engine",
    summary="A TensorRT engine opened as a model",
    title="A {engine}, {verdict}",
    severities=(Severity.ERROR, Severity.NOTE),
    cause="""The file is a built plan. A plan is tied to the TensorRT version and, normally, to the GPU it was built
for, and cannot be turned back into ONNX.""",
    evidence="""The plan's magic bytes and the TensorRT version written in its header, beside the installed one.""",
    example="""`The engine plan file is not compatible with this version of TensorRT, expecting library version 10.16.0
got 8.6.1, please rebuild`.""",
    fix="""Open the ONNX file the plan was built from. If the plan's version differs from the runtime's, rebuild it with
the TensorRT that will load it, or build it version-compatible.""",
    shows=_file(b"ftrt" + bytes(20) + bytes([8, 6, 1, 6]) + bytes(400)),
    quiet=_file(_MODEL),
)

NOT_PROTOBUF = FileKind(
    id="file/not-protobuf",
    summary="The file is not an ONNX model",
    title="Not an ONNX model",
    severities=(Severity.ERROR, Severity.WARNING),
    tiers=(Tier.MODEL, Tier.PARSER, Tier.BUILDER),
    cause="""The bytes are not an ONNX protobuf message: another format (TFLite, Core ML, a compressed archive),
an encrypted file, or a damaged one.""",
    evidence="""The first bytes, and the format they belong to when it is known.""",
    example="""`model.tflite` renamed to `model.onnx`.""",
    fix="""Find out what the file is, export or convert it to ONNX, or fetch it again.""",
    shows=_file(b"\x1c\x00\x00\x00TFL3" + bytes(200)),
    quiet=_file(_MODEL),
)
