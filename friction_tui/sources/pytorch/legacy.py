"""The legacy TorchScript-based exporter: the only way for TorchScript files, a labelled way out for others."""

from __future__ import annotations

import linecache
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch

from friction_tui.kinds.export import LEGACY_EXPORTER, TRACED_CONSTANT
from friction_tui.sources.export_request import ExportRequest
from friction_tui.sources.failure import location_of
from friction_tui.sources.pytorch.dynamic_shapes import AskedDim
from friction_tui.sources.pytorch.example_inputs import described
from friction_tui.sources.pytorch.user_code import Built
from friction_tui.sources.source_lines import context
from friction_tui.vocabulary.finding import Finding, Location, LocationKind, SourceLine
from friction_tui.vocabulary.recipe import SourceKind


def is_used(request: ExportRequest) -> bool:
    """Whether this export goes through the legacy exporter."""
    return request.options.legacy or request.source.kind is SourceKind.TORCHSCRIPT


def export(request: ExportRequest, built: Built, asked: Iterable[AskedDim]) -> None:
    """Trace the module and write the ONNX file."""
    axes: dict[str, dict[int, str]] = {}
    for dim in asked:
        axes.setdefault(dim.input, {})[dim.axis] = dim.symbol
    options: dict[str, Any] = {"dynamic_axes": axes or None}
    options |= {key: value for key, value in built.options.items() if key in {"output_names", "dynamic_axes"}}
    torch.onnx.export(
        built.module,
        built.args,
        request.output,
        kwargs=built.kwargs or None,
        dynamo=False,
        opset_version=request.opset,
        input_names=[spec.name for spec in described(built.bound)],
        keep_initializers_as_inputs=request.options.keep_initializers,
        **options,
    )


def findings(request: ExportRequest, warned: Iterable[warnings.WarningMessage], source: str) -> Iterator[Finding]:
    """The label, and what the tracer warned about: Python values that became constants, with their lines."""
    why = "a TorchScript file has no other way" if request.source.kind is SourceKind.TORCHSCRIPT else "as asked"
    yield LEGACY_EXPORTER.finding(
        cause=(
            f"The legacy exporter was used ({why}). It traces: Python branches and loops are frozen as the example "
            "took them, and nodes carry no source lines."
        ),
        source=source,
        locations=(Location(LocationKind.MODEL, "model"),),
        fixes=("For source lines and checked dimensions export the Python module without the option `legacy`.",),
    )
    seen = set()
    for warning in warned:
        line = SourceLine(warning.filename, warning.lineno, "", _code(warning))
        # torch's own layers compare sizes to check their arguments, which no other input changes.
        if warning.category.__name__ != "TracerWarning" or line in seen or _of_torch(warning.filename):
            continue
        seen.add(line)
        yield TRACED_CONSTANT.finding(
            cause=str(warning.message).split(". ", 1)[0] + ": the exported model takes this path for every input.",
            source=source,
            locations=(location_of(line),),
            evidence=context(line),
            fixes=(
                "Keep the condition a tensor: `torch.where(condition, a, b)`, or `torch.cond` with dynamo.",
                "Take sizes from x.shape without int().",
            ),
        )


def _of_torch(file: str) -> bool:
    return Path(file).is_relative_to(Path(torch.__file__).parent)


def _code(warning: warnings.WarningMessage) -> str:
    return linecache.getline(warning.filename, warning.lineno).strip()
