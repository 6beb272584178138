"""What the user named on the command line, understood without running any of it.

`understand` turns `path/model.py:factory`, `package.module:factory`, `weights.pt`, `export/` and the like into a
`Source`. It reads file heads, zip listings and pickle opcodes; it imports nothing heavy and executes nothing.
"""

from __future__ import annotations

import ast
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path

from friction_tui.onnx_folder import model_in
from friction_tui.vocabulary.recipe import InputSpec, Source, SourceKind

FACTORY_NAMES = ("model", "get_model", "make_model", "build_model", "create_model", "load_model", "build", "factory")
"""Names tried, in this order, when a Python file is given without `:factory`."""

CONVENTIONS = ("example_inputs", "export_kwargs", "check_inputs")
"""Functions beside the factory that say how to call the module, how to export it, and what else to compare it on."""

_IMPORTABLE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_PLAN_MAGIC = (b"ftrt", b"ptrt", b"vtrt")
"""First bytes of a serialized engine: TensorRT, TensorRT before 8.5, TensorRT-RTX."""
_PLAN_SUFFIXES = {".engine", ".plan", ".trt"}
_KERAS_SUFFIXES = {".keras", ".h5", ".hdf5"}
_TENSORFLOW = {"tensorflow", "keras", "tf_keras"}
_TORCH_SUFFIXES = {".pt", ".pth", ".bin", ".ckpt", ".pkl", ".torchscript"}


class NotASource(ValueError):
    """The text names nothing a model can come from. `why` says what is wrong, `hint` what to do next."""

    def __init__(self, what: str, why: str, hint: str) -> None:
        self.what, self.why, self.hint = what, why, hint
        super().__init__(f"{what}: {why}. {hint}")


def understand(text: str, *, inputs: Sequence[InputSpec] = (), state_dict: str = "") -> Source:
    """The source that `text` names. Raises NotASource for a text that can name none.

    A missing file with an ONNX-like name is passed on as ONNX: opening it explains what is wrong with it.
    """
    path_text, factory = _split_factory(text)
    path = Path(path_text)
    if factory and not path.exists() and path.suffix != ".py":
        if not _IMPORTABLE.fullmatch(path_text):
            raise NotASource(text, f"{path_text} is neither a file nor an importable module", "Check the path.")
        return Source(path_text, SourceKind.PYTORCH, factory, state_dict, tuple(inputs))
    if path.suffix == ".py":
        if not path.is_file():
            raise NotASource(text, f"there is no file {path}", "Check the path.")
        chosen = factory or _default_factory(path)
        return Source(str(path), _framework(path), chosen, state_dict, tuple(inputs))
    if what := _weights_alone(path):
        beside = "Open that folder, or name" if "configuration" in what else "Name"
        raise NotASource(text, what, f"{beside} the code that makes it: path/model.py:factory --state-dict {path}")
    kind = kind_of(path)
    if kind is SourceKind.EXPORTED_PROGRAM and _is_compiled(path):
        raise NotASource(
            text,
            "it was compiled by AOTInductor: machine code for one device, and no graph to convert",
            "Open what it was compiled from: the module, or `torch.export.save(program, 'model.pt2')` of its program.",
        )
    if state_dict and kind is not SourceKind.PYTORCH:
        raise NotASource(text, "a state dict needs the model it belongs to", "Name it as path/model.py:factory.")
    if kind is SourceKind.ONNX and path.is_dir():
        try:
            path = model_in(path)
        except ValueError as error:
            why, _, hint = str(error).partition(". ")
            raise NotASource(text, why, hint) from None
    return Source(str(path), kind, factory, state_dict, tuple(inputs))


def kind_of(path: Path) -> SourceKind:
    """What the file or directory at `path` is, from its content where that is conclusive, else its suffix."""
    if path.is_dir():
        if (path / "saved_model.pb").is_file() or (path / "saved_model.pbtxt").is_file():
            return SourceKind.TENSORFLOW
        if (path / "config.json").is_file() and not _holds_only_onnx(path):
            return SourceKind.HUGGING_FACE
        return SourceKind.ONNX
    suffix, head = path.suffix.lower(), _head(path)
    if suffix in _PLAN_SUFFIXES or head[:4] in _PLAN_MAGIC:
        return SourceKind.ENGINE
    if suffix in _KERAS_SUFFIXES or suffix == ".tflite" or (head[4:8] == b"TFL3" and suffix != ".onnx"):
        return SourceKind.TENSORFLOW
    if suffix == ".pb" and not _looks_like_onnx(head):
        return SourceKind.TENSORFLOW
    if suffix == ".pt2":
        return SourceKind.EXPORTED_PROGRAM
    if head[:4] == b"PK\x03\x04" and (suffix in _TORCH_SUFFIXES or suffix not in {".onnx", ".zip"}):
        return _zip_kind(path)
    if suffix in _TORCH_SUFFIXES:
        return SourceKind.PYTORCH
    return SourceKind.ONNX


def _holds_only_onnx(folder: Path) -> bool:
    """Whether a Hugging Face folder is an exported one, as optimum writes it: ONNX and no weights to export again."""
    weights = any(folder.glob("*.safetensors")) or any(folder.glob("*.bin"))
    return not weights and any(folder.glob("*.onnx"))


def factories_in(path: Path) -> tuple[str, ...]:
    """Top-level functions and classes of a Python file that can be called without arguments, in file order."""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return ()
    found = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and _may_make(node) and not _required(node.args):
            found.append(node.name)
        elif isinstance(node, ast.ClassDef) and any("Module" in ast.unparse(base) for base in node.bases):
            init = next((m for m in node.body if isinstance(m, ast.FunctionDef) and m.name == "__init__"), None)
            if init is None or _required(init.args) <= 1:
                found.append(node.name)
    return tuple(found)


def _may_make(node: ast.FunctionDef) -> bool:
    return not node.name.startswith("_") and node.name not in CONVENTIONS


def _split_factory(text: str) -> tuple[str, str]:
    """`a/b.py:make` as ("a/b.py", "make"). A drive letter or an existing file with a colon stays whole."""
    head, colon, tail = text.rpartition(":")
    if colon and re.fullmatch(r"[A-Za-z_][\w.]*", tail) and len(head) > 1 and not Path(text).exists():
        return head, tail
    return text, ""


def _default_factory(path: Path) -> str:
    candidates = factories_in(path)
    for name in FACTORY_NAMES:
        if name in candidates:
            return name
    if len(candidates) == 1:
        return candidates[0]
    if candidates:
        why = f"it does not say which function makes the model (callable without arguments: {', '.join(candidates)})"
        raise NotASource(str(path), why, f"Name it, as in {path}:{candidates[0]}.")
    raise NotASource(str(path), *_without_factory(path))


def _without_factory(path: Path) -> tuple[str, str]:
    """Why a Python file has no function to call, and what to do."""
    try:
        tree = ast.parse(path.read_bytes())
    except SyntaxError as error:
        return f"line {error.lineno} is not valid Python ({error.msg}): {(error.text or '').strip()}", "Correct it."
    except (OSError, ValueError) as error:
        return f"it cannot be read as Python ({error})", "Check the file."
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef) and _may_make(node)]
    maker = next((node for name in FACTORY_NAMES for node in functions if node.name == name), None)
    maker = maker or next(iter(functions), None)
    if maker is None:
        return "no function in it makes a model", f"Write one, `def make_model():`, and name it: {path}:make_model."
    needed = [argument.arg for argument in (*maker.args.posonlyargs, *maker.args.args, *maker.args.kwonlyargs)]
    call = f"{maker.name}({', '.join(f'{name}=…' for name in needed)})"
    return (
        f"{maker.name}({', '.join(needed)}) needs arguments, and no other function makes a model without any",
        f"Write one that calls it, `def make_model(): return {call}`, and name it: {path}:make_model.",
    )


def _framework(path: Path) -> SourceKind:
    """TensorFlow for a file that imports TensorFlow or Keras and not torch, read from its syntax; else PyTorch."""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return SourceKind.PYTORCH
    names = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    names += [node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    packages = {name.partition(".")[0] for name in names}
    return SourceKind.TENSORFLOW if packages & _TENSORFLOW and "torch" not in packages else SourceKind.PYTORCH


def _required(arguments: ast.arguments) -> int:
    positional = len(arguments.posonlyargs) + len(arguments.args) - len(arguments.defaults)
    return positional + sum(default is None for default in arguments.kw_defaults)


def _weights_alone(path: Path) -> str:
    """What a file of weights without a model is; "" for any other."""
    if not path.is_file() or not path.name.endswith((".safetensors", ".safetensors.index.json")):
        return ""
    if (path.parent / "config.json").is_file():
        return f"it holds weights without the model they belong to; {path.parent} holds its configuration, too"
    return "it holds weights without the model they belong to"


def _is_compiled(path: Path) -> bool:
    """Whether a .pt2 archive holds a compiled model of AOTInductor and no exported program."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return False
    inside = [name.partition("/")[2] for name in names]
    program = any(re.match(r"models/|serialized_exported_program", name) for name in (*inside, *names))
    return not program and any(name.startswith("data/aotinductor/") for name in inside)


def _zip_kind(path: Path) -> SourceKind:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return SourceKind.PYTORCH
    if any(name.endswith("constants.pkl") for name in names) and any("/code/" in name for name in names):
        return SourceKind.TORCHSCRIPT
    if any("serialized_exported_program" in name or name.endswith("archive_format") for name in names):
        return SourceKind.EXPORTED_PROGRAM
    return SourceKind.PYTORCH


def _head(path: Path) -> bytes:
    """The first bytes of a regular file: a pipe would never end, or never begin."""
    if not path.is_file():
        return b""
    try:
        with path.open("rb") as file:
            return file.read(64)
    except OSError:
        return b""


def _looks_like_onnx(head: bytes) -> bool:
    """An ONNX ModelProto starts with its ir_version: field 1, varint; a frozen GraphDef with a node, field 1, bytes."""
    return head[:1] == b"\x08"
