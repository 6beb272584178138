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
from friction_tui.sources.failure import Failure, a_or_an, made
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
    return made(
        failure.source,
        call,
        export.UNSUPPORTED_INPUT,
        f"An example input is {a_or_an(short)} ({match.group(1)}), a Python object that torch.export cannot take "
        "apart. It is given where the example is made; transformers' forward takes tensors as well.",
        _instead_of_cache(short),
        failure.root,
        what=a_or_an(short),
    )


def registered_input(failure: Failure, example: object, call: SourceLine | None) -> Finding | None:
    """A registered container as an example input that the exporter cannot decompose.

    torch.export takes it apart and puts it together again outside the recorded part, and a tensor that is made on the
    way (DynamicCache starts with empty ones) is missing when torch.onnx.export decomposes the program.
    """
    if not re.search(r"Constant tensor \w+ is not in the constants dictionary", failure.text):
        return None
    known = torch.utils._pytree.SUPPORTED_NODES.keys() - {dict, list, tuple}
    held: list[Any] = []
    torch.utils._pytree.tree_map(held.append, example, is_leaf=lambda value: type(value) in known)
    container = next((type(value) for value in held if type(value) in known), None)
    if container is None:
        return None
    short = container.__name__
    return made(
        failure.source,
        call,
        export.UNSUPPORTED_INPUT,
        f"An example input is {a_or_an(short)} ({container.__module__}.{short}), which is registered for torch.export. "
        "Its registration makes tensors of its own when it puts the object together, and torch.onnx.export loses them "
        f"when it decomposes the program: {failure.root.splitlines()[0].rstrip('.')}. It is the exporter's fault, not "
        "your code's.",
        _instead_of_cache(short)
        if container.__module__.startswith("transformers.")
        else (
            f"Pass plain tensors: a small nn.Module whose forward takes the tensors of {short}, builds it from them "
            "and calls the model.",
            f"Let the registration of {short} make no tensors: it may only put together those it is given.",
        ),
        failure.root,
        what=a_or_an(short),
    )


def _instead_of_cache(short: str) -> tuple[str, str]:
    """What exports instead of a cache object: tried with transformers 5.24 and torch 2.13."""
    if _has("transformers.exporters.exporter_onnx", "OnnxExporter"):
        own = (
            "Or let transformers export it, cache included: `from transformers.exporters.exporter_onnx import "
            "OnnxExporter, OnnxConfig`, then `OnnxExporter().export(model, inputs, OnnxConfig(dynamic=True))"
            ".save_pretrained(folder)`, and open the model.onnx that it writes. To register the cache "
            "(`register_dynamic_cache_export_support`) is enough for torch.export, not for torch.onnx.export."
        )
    else:
        own = (
            "Or register it with transformers' own support for torch.export, before the example is made: "
            "`from transformers.integrations.executorch import register_dynamic_cache_export_support`, "
            "`register_dynamic_cache_export_support()`."
        )
    return (
        "Pass plain tensors: a small nn.Module whose forward takes a list of (key, value) pairs, builds "
        f"`{short}(past)` from them, calls the model and returns the new pairs. They become inputs and outputs."
        if short == "DynamicCache"
        else "Pass plain tensors: a small nn.Module whose forward takes the keys and values of each layer, builds the "
        f"{short} from them, calls the model and returns the new ones. They become inputs and outputs.",
        own,
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
