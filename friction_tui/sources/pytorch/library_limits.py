"""A capture that fails inside an installed package: the package's line, the user's call of it, and what helps there.

Edits of the failing line are no advice when the line is not the user's.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import re
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import torch

from friction_tui.kinds import export
from friction_tui.sources.failure import Failure, made
from friction_tui.sources.pytorch import rewrites
from friction_tui.sources.source_lines import context, of_traceback
from friction_tui.vocabulary.finding import Finding, Fix, SourceLine

_ABOUT_A_LINE = {
    kind.id
    for kind in (
        export.DATA_DEPENDENT_CONTROL_FLOW,
        export.DATA_DEPENDENT_SHAPE,
        export.PYTHON_SIDE_EFFECT,
        export.UNKNOWN,
        export.MUTATION,
    )
}
"""Kinds whose advice is to edit the line that failed."""
_OF_TORCH = re.compile(r"/torch/(ao|nn|distributions)/")
"""The parts of torch that are code on top of its operators; the rest carries out a capture."""
_CARRIES_OUT = re.compile(r"/torch/nn/(modules/(module|container|rnn)|parameter|_reduction)\.py$")
_ADVICE: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        r"/torch/ao/quantization/",
        (
            "Convert the model before the export: `torch.ao.quantization.convert(model)` for a model of its own, or "
            "the PT2E flow of torchao, whose operators become QuantizeLinear and DequantizeLinear.",
            "Export the float model and insert QuantizeLinear/DequantizeLinear pairs in the ONNX model.",
        ),
    ),
    (
        r"/einops/",
        (
            "Write the call as torch operators: `x.reshape(...)`, `x.permute(...)`, with sizes from `x.shape`.",
            "einops takes symbolic sizes when the pattern needs no size of them: give every other size as a number.",
        ),
    ),
    (
        r"/transformers/",
        (
            "Load the model with `attn_implementation='eager'`, and give every optional input that the line asks for "
            "(attention_mask, position_ids, cache_position).",
            "A newer transformers may have made this exportable: its changelogs name torch.export.",
        ),
    ),
)


def explained(found: Finding, failure: Failure) -> Finding | None:
    """The finding with the package's line and the user's call; None where the failing line is the user's own."""
    if found.kind not in _ABOUT_A_LINE:
        return None
    call, line = _call_and_line(failure.links)
    if call is None or line is None:
        return None
    package = _package(line)
    said = failure.root.splitlines()[0]
    word = rewrites.branch_word(line, None)
    what = f"Python `{word}` on a tensor's value" if word else said.partition(": ")[0]
    detail = f": `{line.code}`" if line.code else ""
    place = f"line {line.line} of {Path(line.file).name} in {line.function}"
    advice = next((fixes for where, fixes in _ADVICE if re.search(where, line.file)), ())
    finding = made(
        failure.source,
        call,
        export.LIBRARY_LIMIT,
        f"{what} in {package}, {place}{detail}. Your line {call.line} calls it. It is a limit of {package} under "
        f"torch.export, not an error of your code ({said}).",
        (
            *(Fix(text) for text in advice),
            Fix(
                f"Leave the call out of an export (`if not torch.compiler.is_exporting():`), or put a module of your "
                f"own in its place that does the same without the {word or 'line'}."
            ),
        ),
        failure.root,
        (line,),
        package=package.partition(" ")[0],
        function=line.function,
    )
    return msgspec.structs.replace(finding, evidence=(*finding.evidence, *context(line)))


def cache_input(failure: Failure, call: SourceLine | None) -> Finding | None:
    """A cache of transformers as an example input: its own registration for torch.export, and plain tensors."""
    match = re.search(r"Unsupported input type <class '(transformers\.\S*?(\w*Cache))'>", failure.text)
    if match is None:
        return None
    short = match.group(2)
    register = _has("transformers.integrations.executorch", "register_dynamic_cache_export_support")
    return made(
        failure.source,
        call,
        export.UNSUPPORTED_INPUT,
        f"An example input is a {short} ({match.group(1)}), a Python object that torch.export cannot take apart. It is "
        "given where the example is made; transformers' forward takes tensors as well.",
        (
            f"Pass plain tensors: a small nn.Module whose forward takes a list of (key, value) pairs, builds "
            f"`{short}(past)` from them, calls the model and returns the new pairs. They become inputs and outputs.",
            *(
                (
                    "Or register it with transformers' own support for torch.export, before the example is made: "
                    "`from transformers.integrations.executorch import register_dynamic_cache_export_support`, "
                    "`register_dynamic_cache_export_support()`.",
                )
                if register
                else ()
            ),
        ),
        failure.root,
        what=f"a {short}",
    )


def _has(module: str, name: str) -> bool:
    try:
        return hasattr(importlib.import_module(module), name)
    except ImportError:
        return False


def _call_and_line(links: Sequence[BaseException]) -> tuple[SourceLine | None, SourceLine | None]:
    """The user's innermost call and the package's innermost line below it."""
    for link in reversed(links):
        frames = list(traceback.extract_tb(link.__traceback__))
        own = of_traceback(link.__traceback__)
        if not own or "-packages/" in own[-1].file:
            continue
        last = max(n for n, f in enumerate(frames) if (f.filename, f.lineno) == (own[-1].file, own[-1].line))
        below = [f for f in frames[last + 1 :] if _is_library(f.filename)]
        if not below:
            return own[-1], None
        inner: Any = below[-1]
        return own[-1], SourceLine(inner.filename, inner.lineno or 0, inner.name, inner.line or "")
    return None, None


def _is_library(file: str) -> bool:
    if "-packages/" not in file:
        return False
    if "/torch/" in file:
        return bool(_OF_TORCH.search(file)) and not _CARRIES_OUT.search(file)
    return not re.search(r"/(onnxscript|onnx_ir|functorch|numpy|sympy)/", file)


def _package(line: SourceLine) -> str:
    """The package a file belongs to, with its version: `einops 0.8.2`."""
    name = line.file.rpartition("-packages/")[2].split("/")[0].removesuffix(".py")
    if name == "torch":
        part = ".".join(Path(line.file.rpartition("/torch/")[2]).parts[:2]).removesuffix(".py")
        return f"torch.{part} {torch.__version__.partition('+')[0]}"
    distributions = importlib.metadata.packages_distributions().get(name, [name])
    try:
        return f"{name} {importlib.metadata.version(distributions[0])}"
    except importlib.metadata.PackageNotFoundError:
        return name
