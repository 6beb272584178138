"""External data.

Weights of a large model lie in files beside the `.onnx`; the model only names them.
"""

from functools import partial

from friction_tui.kinds.examples import Built
from friction_tui.kinds.kind import Kind
from friction_tui.vocabulary.finding import Severity, Tier


def _stored(entry: str, data: str = "bytes(64)") -> Built:
    """A model whose 64 bytes of weights are described by `entry`, and what lies in `weights.bin` beside it."""
    return Built(f'''(folder / "weights.bin").write_bytes({data})
def model():
    return onnx.parser.parse_model("""<ir_version: 9, opset_import: ["" : 17]>
        g (float[n,4] x) => (float[n,4] y) <float[4,4] w = [{entry}]> {{ y = MatMul (x, w) }}""")''')


_WHOLE = _stored('"location": "weights.bin", "offset": "0", "length": "64"')

ExternalKind = partial(
    Kind,
    tiers=(Tier.MODEL,),
    matters=frozenset({"stored data"}),
)
"""What the kinds of this family have in common, unless they say otherwise."""

MISSING = ExternalKind(
    id="external/missing",
    summary="An external data file is missing",
    title="External data file {file} is missing",
    severities=(Severity.ERROR, Severity.WARNING),
    tiers=(Tier.MODEL, Tier.PARSER, Tier.BUILDER),
    cause="""The model was copied without the file its weights lie in. TensorRT says `Failed to import initializer` with
node -1, or `Failed to open file`.""",
    evidence="""
The initializers that refer to the file, the full path where it is expected, and how long it must be.
""",
    example="""`scp model.onnx host:` without `model.onnx.data`.""",
    fix="""Copy the data file into the same directory under the name the model has for it, or save again with
`onnx.save_model(..., save_as_external_data=True, all_tensors_to_one_file=True)`. A model parsed from memory needs its
path as well.""",
    shows=_stored('"location": "elsewhere.bin"'),
    quiet=_WHOLE,
)

TOO_SHORT = ExternalKind(
    id="external/too-short",
    summary="An external data file ends too early",
    title="External data file {file} is too short",
    cause="""The file was truncated on the way, or belongs to another export of the model.""",
    evidence="""Its size, and the byte range that an initializer asks for.""",
    example="""A 4 GB file on a file system that holds 2 GB files.""",
    fix="""Copy the file again, whole, from the same export as the `.onnx`.""",
    shows=_stored('"location": "weights.bin"', "bytes(60)"),
    quiet=_WHOLE,
)

NOT_DATA = ExternalKind(
    id="external/not-data",
    summary="An external data file holds something else",
    title="External data file {file} holds no weights",
    cause="""The file of the weights is a git-lfs pointer, a web page or empty: the repository was cloned without
git-lfs, or the download led to a page. Engines only say that the file is too short.""",
    evidence="""What the file begins with, and its size.""",
    example="""`model.onnx.data` of 134 bytes that begins `version https://git-lfs.github.com/spec/v1`.""",
    fix="""`git lfs pull` in the repository, or download the file again.""",
    shows=_stored('"location": "weights.bin"', "b'version https://git-lfs.github.com/spec/v1'"),
    quiet=_stored('"location": "weights.bin"', "b'too short'"),
)

ESCAPES = ExternalKind(
    id="external/escapes",
    summary="External data outside the model's folder",
    cause="""The location is an absolute path, contains `..`, or is a link that leads out of the folder. ONNX forbids
it: opening a model could read any file of the user. Nothing is read from there.""",
    evidence="""The location as written and where it leads.""",
    example="""`location: ../../etc/passwd`, or an absolute path from the machine that exported.""",
    fix="""Do not open such a model from an unknown source. If it is yours, put the file beside the `.onnx` and save
again.""",
    shows=_stored('"location": "../weights.bin"'),
    quiet=_WHOLE,
)

NO_NUMBER = ExternalKind(
    id="external/no-number",
    summary="External data with an offset or length that is not a number",
    title="External data of {initializer}: {entry} is not a number of bytes",
    cause="""The entry's `offset` or `length` is not a whole number of bytes: a tool or a hand edit damaged it. TensorRT
reads from another place in silence and computes with wrong weights; ONNX Runtime refuses the model.""",
    evidence="""The entry as it is written, and the initializers.""",
    example="""`offset: abc`, or `offset: -4096`.""",
    fix="""Save the model again with `save_as_external_data=True` where its weights are whole, or copy it again.""",
    shows=_stored('"location": "weights.bin", "offset": "-4096"'),
    quiet=_WHOLE,
)

NO_LOCATION = ExternalKind(
    id="external/no-location",
    summary="External data without a file name",
    cause="""The initializer is marked as external and has no `location` entry: a tool lost it.""",
    evidence="""The initializers.""",
    example="""A script that set `data_location = EXTERNAL` by hand.""",
    fix="""Save the model again from where the weights are whole.""",
    shows=_stored('"offset": "0"'),
    quiet=_WHOLE,
)

WRONG_LENGTH = ExternalKind(
    id="external/wrong-length",
    summary="The external entry's length does not match the dims",
    title="External data length does not match the dims",
    cause="""The `length` recorded for the data is not what dims and type need.""",
    evidence="""Both lengths in bytes.""",
    example="""A tool changed the type of a weight from float32 to float16 and kept the entry.""",
    fix="""Re-export, or save again from an intact copy.""",
    shows=_stored('"location": "weights.bin", "length": "32"'),
    quiet=_WHOLE,
)
