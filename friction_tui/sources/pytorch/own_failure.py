"""Failures of the user's own code before any export: no module was made, or forward fails on the example input."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from friction_tui.kinds import export
from friction_tui.sources.failure import Failure, finding, made, placed, plain
from friction_tui.vocabulary.finding import Finding, Location, LocationKind, SourceLine
from friction_tui.vocabulary.recipe import Source

_NO_CUDA = r"Torch not compiled with CUDA|No CUDA GPUs|Found no NVIDIA|not linked with support for \w+ devices"


def user_code_fails(error: BaseException, line: SourceLine | None, source: Source, *, raised: bool) -> Finding:
    """The file, the factory or the checkpoint gave no model. `raised`: the user's code raised it."""
    said = plain(f"{type(error).__name__}: {error}" if raised else str(error))
    if isinstance(error, SyntaxError) and error.filename and error.lineno:
        line = SourceLine(error.filename, error.lineno, "", (error.text or "").strip())
    fixes = (_way_out(error, source) if raised else getattr(error, "fix", ""),)
    head, *rest = [line.strip() for line in said.splitlines()] or [""]
    head = f"{head} {rest[0]}" if head.endswith(":") and rest else head  # "Error(s) in loading state_dict for Net:"
    finding = made(
        "the user's code",
        line,
        export.USER_CODE,
        said[:1200],
        tuple(filter(None, fixes)),
        outcome="could not be made",
        reason=head[:160],
    )
    locations = finding.locations or (Location(LocationKind.FILE, source.path),)
    return msgspec.structs.replace(finding, locations=locations)


def _way_out(error: BaseException, source: Source) -> str:
    """What helps against an error of the user's own code."""
    said = str(error)
    match error:
        case ModuleNotFoundError(name=str(name)):
            return f"Install {name} in the environment friction-tui runs in ({sys.executable})."
        case SystemExit():
            return (
                "Importing the file, or the factory, ended Python: `sys.exit()`, or argparse that met a command line "
                "which is not its own. Move that under `if __name__ == '__main__':`, and let the factory need no "
                "arguments."
            )
        case SyntaxError():
            return f"Correct the syntax of that line; Python {sys.version.split()[0]} reads it here."
        case FileNotFoundError(filename=missing):
            if Path(str(missing)).is_absolute():
                return f"There is no {missing} on this machine: correct the path, or put the file there."
            return (
                f"There is no {missing} in {Path.cwd()}, where the export runs. Build the path from the code's own "
                f"file: `Path(__file__).parent / {str(missing)!r}`, or correct it."
            )
    if re.search(_NO_CUDA, said):
        return (
            "Make the model on the CPU: an export needs no GPU. Leave out `.cuda()` and `.to('cuda')`, or write "
            "`device='cuda' if torch.cuda.is_available() else 'cpu'`; load weights with `map_location='cpu'`."
        )
    lacking = re.search(r"(\w+)\(\) missing \d+ required [\w-]+ arguments?: (.+)", said)
    if lacking:
        name = source.factory if lacking.group(1) == "__init__" else lacking.group(1)
        given = ", ".join(f"{argument}=…" for argument in re.findall(r"'(\w+)'", lacking.group(2)))
        return (
            f"The factory is called without arguments: write one that gives them, `def make_model(): return "
            f"{name}({given})`, and name that: {source.path}:make_model."
        )
    if "state_dict" in said:
        return "Give the checkpoint that belongs to this module, or correct the factory's configuration."
    if Path(source.path).is_file() and Path(source.path).suffix != ".py":
        with Path(source.path).open("rb") as stream:
            head = stream.read(12)
        lfs = " It is a git-lfs pointer: `git lfs pull`." if head.startswith(b"version http") else ""
        return (
            f"The file is damaged, cut off, of another torch version or none of torch's (it begins with {head!r}, "
            f"torch's files with b'PK'): save or download it again.{lfs}"
        )
    return f"Run it alone: `python -c 'import …; {source.factory or 'factory'}()'`, and correct what it says."


def model_fails(failure: Failure, left_out: Sequence[str] = ()) -> Finding:
    """The model raises on its own example input, before any export.

    `left_out` are parameters of forward that the example left at their default None.
    """
    fixes = [
        "Check the example input's shape and dtype against what the line expects.",
        "Run the model alone on it: `model(*example_inputs())`.",
    ]
    if left_out:
        listed = ", ".join(left_out)
        fixes.insert(0, f"Give {listed} too: the example input left {listed} at None, and the line may need it.")
    if re.search(r"same dtype|expected scalar type|Input type .+ and (weight|bias) type", failure.root):
        fixes = [
            "Give the example input the type of the weights, `torch.randn(2, 8).half()` for a half-precision model;"
            " or make the model float32 again, `model.float()`: TensorRT casts at the build.",
        ]
    lacking = re.search(r"forward\(\) missing \d+ required [\w-]+ arguments?: (.+)", failure.root)
    if lacking:
        fixes = [
            f"Give {lacking.group(1)} too: from `example_inputs()` beside the factory, as `return model, (x, …)`, "
            "or with one `--input` for each parameter of forward."
        ]
    extension = re.search(r"'_OpNamespace' '(\w+)' object has no attribute '(\w+)'", failure.text)
    if extension:
        named = "::".join(extension.groups())
        fixes = [
            f"Load the extension that defines {named} in the file of the factory: import its package, or "
            "`torch.ops.load_library('path/to/it.so')`.",
            f"For the export alone write {named} in torch operators.",
        ]
    found = finding(
        failure,
        export.MODEL_ERROR,
        f"Without any export, forward raises {failure.root.splitlines()[0]}",
        fixes,
        error=type(failure.links[-1]).__name__,
    )
    return placed(found, failure.forward)
