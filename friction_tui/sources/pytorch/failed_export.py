"""Everything that can be said about a failed torch export, in the process where it failed.

The failures behind the first come from torch.export.draft_export, which goes on with real values where an export stops.
"""

from __future__ import annotations

import dataclasses
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
import torch

from friction_tui.kinds import export
from friction_tui.sources.channel import Channel
from friction_tui.sources.export_request import ExportRequest
from friction_tui.sources.failure import Failure, a_or_an, placed, read
from friction_tui.sources.pytorch import (
    asked_wrongly,
    guards,
    legacy_trial,
    library_limits,
    operator_scan,
    uncapturable,
    violated_ranges,
)
from friction_tui.sources.pytorch.dynamic_shapes import relaxed
from friction_tui.sources.pytorch.evidence import Evidence, decisions
from friction_tui.sources.pytorch.export_failure import data_dependent, explain, missing_function
from friction_tui.sources.pytorch.outputs import run
from friction_tui.sources.pytorch.own_failure import model_fails
from friction_tui.sources.pytorch.signature import signature_of
from friction_tui.sources.pytorch.user_code import Built
from friction_tui.sources.source_lines import find_in, of_frame
from friction_tui.sources.time_limit import at_most
from friction_tui.vocabulary.finding import Finding, SourceLine

_CERTAIN = {
    kind.id
    for kind in (
        export.CONTROL_FLOW_OPERATOR,
        export.DATA_DEPENDENT_CONTROL_FLOW,
        export.DATA_DEPENDENT_SHAPE,
        export.MISSING_ONNX_FUNCTION,
        export.MISSING_DECOMPOSITION,
        export.MISSING_FAKE_KERNEL,
        export.DIM_CONSTRAINT,
        export.DIM_SPECIALISED,
        export.COMPLEX,
        export.UNSUPPORTED_INPUT,
        export.UNSUPPORTED_OUTPUT,
    )
}
"""Kinds that need no second look at whether the model itself runs."""

_MAY_BE_TRACED = (export.LIBRARY_LIMIT.id, export.UNKNOWN.id, export.TORCHSCRIPT_PART.id)
"""Kinds that may come of the exporter rather than of the user's code: another one is tried."""

_LOOK_BEHIND_S = 15.0
"""Seconds the look behind the first failure may take, or half as long as everything before it."""
_CACHE = r"Cache\w*\(|\bcache\b|past_key_values"
"""Where a factory makes a key-value cache."""
_OWN = (export.DEVICE_MISMATCH.id, export.DATA_DEPENDENT_CONTROL_FLOW.id)
"""Kinds that name the cause though the model fails without an export too."""


def findings(
    error: Exception,
    request: ExportRequest,
    built: Built,
    shapes: Any,
    source: str,
    forward: SourceLine | None,
    channel: Channel,
    evidence: Evidence,
) -> Iterator[Finding]:
    """The failure itself first, then what lies behind it; `evidence` gets what was decided."""
    failure = _with_line(read(error, source, forward), built, shapes)
    found = [explain(failure)]
    if found[0].kind == export.UNSUPPORTED_DTYPE.id and not found[0].locations:
        line = _in_factory(built, request, r"quantiz|\bconvert\w*\(") or failure.forward
        found = [placed(found[0], line)]
    if found[0].kind == export.UNSUPPORTED_INPUT.id:
        at = _in_factory(built, request, _CACHE)
        found = [library_limits.cache_input(failure, at or built.made_at) or found[0]]
    example = (built.args, built.kwargs)
    if (
        registered := library_limits.registered_input(failure, example, _in_factory(built, request, _CACHE))
    ) is not None:
        found = [registered]
    if built.options.get("dynamic_shapes") and re.search(r"dynamic_shapes|Constraints violated", failure.text):
        found = [placed(found[0], asked_wrongly.asked_at(built))]
    if found[0].kind == export.UNSUPPORTED_OUTPUT.id:
        found = [explain(dataclasses.replace(failure, returned=_beside_tensors(built)))]
    if found[0].kind not in _CERTAIN:
        own, gradient_at = _own_run(built)
        if own is None and gradient_at is not None:
            yield uncapturable.gradient(failure, gradient_at)
            return
        if own is not None:
            failure = read(own, f"torch {torch.__version__.partition('+')[0]}", forward)
            reason = explain(failure)
            yield reason if reason.kind in _OWN else model_fails(failure, _left_out(built))
            return
        if found[0].kind == export.UNKNOWN.id and _has_scripted_part(built):
            line = _in_factory(built, request, r"\bjit\.(script|trace|load|freeze)|torch\.jit")
            found = [placed(uncapturable.scripted(failure), line)]
    if (foreign := library_limits.explained(found[0], failure)) is not None:
        found = [foreign]
    if failure.has("ConversionError"):
        found = _untranslatable(built, shapes, request.opset, source, channel) or found
    yield from found
    if found[0].kind in _MAY_BE_TRACED:
        yield from legacy_trial.offered(found, request, channel)
    if request.aftermath and failure.has("TorchExportError") and isinstance(built.module, torch.nn.Module):
        limit = max(_LOOK_BEHIND_S, channel.elapsed / 2)
        channel.stage("look further", 2 * limit)
        free = relaxed(shapes)
        try:
            with at_most(limit):
                program: Any = torch.export.draft_export(
                    built.module, built.args, kwargs=built.kwargs, dynamic_shapes=free
                )
                evidence.decisions = decisions(program._report)
                behind_it = _further(program, request.opset, found)
            yield from behind_it
        except Exception as behind:
            channel.log("info", f"draft_export could not go on behind the first failure: {type(behind).__name__}")


def _further(program: Any, opset: int | None, known: Sequence[Finding]) -> list[Finding]:
    """Findings that `known` does not hold yet, marked provisional: they are met on the example's path only.

    `program` is what draft_export went on to. An example for which the model itself fails gives nothing.
    """
    source = f"torch.export.draft_export (torch {torch.__version__.partition('+')[0]})"
    report = program._report
    found = []
    for failure in report.failures:
        data = failure.data
        line = guards.line_of_stack(data.get("user_stack") or [], report.str_to_filename)
        match failure.failure_type.name:
            case "DATA_DEPENDENT_ERROR":
                found.append(data_dependent(source, line, str(data["expr"])))
            case "MISSING_FAKE_KERNEL":
                said = f"There was no fake impl registered for {str(data['op']).replace('.', '::', 1)}"
                found.append(explain(read(RuntimeError(said), source)))
    found += [
        missing_function(source, op.op, op.lines, op.reason, op.lowest_opset)
        for op in operator_scan.unmapped(program, opset)
    ]
    return [msgspec.structs.replace(f, provisional=True) for f in _new(found, known)]


def _new(found: Sequence[Finding], known: Sequence[Finding]) -> list[Finding]:
    """Those at a line, or about an operator, that no finding is about yet."""
    lines = {(f.line.file, f.line.line) for f in known if f.line}
    titles = {f.title for f in known}
    fresh = []
    for finding in found:
        at = (finding.line.file, finding.line.line) if finding.line else None
        if at in lines or (finding.title in titles and at is None):
            continue
        fresh.append(finding)
        if at:
            lines.add(at)
        titles.add(finding.title)
    return fresh


def _with_line(failure: Failure, built: Built, shapes: Any) -> Failure:
    """A violated constraint names no line; the guards of a capture with free dimensions do."""
    if failure.line is not None or not violated_ranges.concerned(failure):
        return failure
    added = guards.of_capture(built.module, built.args, built.kwargs, relaxed(shapes))
    return dataclasses.replace(failure, line=violated_ranges.line_of(failure, added))


def _captured(built: Built, shapes: Any) -> torch.export.ExportedProgram:
    """The model captured as the exporter does it: without Dynamo, and with it where that fails."""

    def capture(*, strict: bool) -> torch.export.ExportedProgram:
        return torch.export.export(built.module, built.args, kwargs=built.kwargs, dynamic_shapes=shapes, strict=strict)

    try:
        return capture(strict=False)
    except Exception:
        return capture(strict=True)


def _in_factory(built: Built, request: ExportRequest, pattern: str) -> SourceLine | None:
    """The line of the factory that matches: where a module that cannot be captured was made."""
    return find_in(built.made_at.file, (request.source.factory,), pattern) if built.made_at else None


def _has_scripted_part(built: Built) -> bool:
    return any(isinstance(part, torch.jit.ScriptModule) for part in built.module.modules())


def _left_out(built: Built) -> tuple[str, ...]:
    """Parameters of forward whose default is None and that the example does not give."""
    parameters = signature_of(built.module).parameters.values()
    return tuple(p.name for p in parameters if p.default is None and p.name not in built.bound)


def _beside_tensors(built: Built) -> str:
    """What the model returns on its example that is not a tensor: `a str at ['task']`; "" when it does not even run."""
    try:
        result = run(built.module, built.args, built.kwargs)
        leaves, _ = torch.utils._pytree.tree_flatten_with_path(result)
    except Exception:
        return ""  # what it raises does not answer this question; the export's own failure is reported either way
    foreign = [(path, leaf) for path, leaf in leaves if not isinstance(leaf, torch.Tensor | None)]
    return ", ".join(
        f"{a_or_an(type(leaf).__name__)} at {torch.utils._pytree.keystr(path)}" for path, leaf in foreign[:3]
    )


def _untranslatable(built: Built, shapes: Any, opset: int | None, source: str, channel: Channel) -> list[Finding]:
    """One finding per operator without an ONNX function; none when the capture cannot be repeated."""
    try:
        program = built.module
        if not isinstance(program, torch.export.ExportedProgram):
            program = _captured(built, shapes)
        operators = operator_scan.unmapped(program, opset)
    except Exception as error:
        channel.log("info", f"the operators could not be listed: {type(error).__name__}: {error}")
        return []
    said = "No ONNX function found for {0}. Failure message: {1}"
    return [
        missing_function(source, o.op, o.lines, o.reason, o.lowest_opset, said.format(o.op, o.reason))
        for o in operators
    ]


def _own_run(built: Built) -> tuple[Exception | None, SourceLine | None]:
    """What the model raises on its own example input without any export, and where it asks for a gradient.

    It runs as the user would run it. A gradient is looked for only in a model that runs.
    """
    if not isinstance(built.module, torch.nn.Module):
        return None, None
    asked: list[SourceLine] = []
    with _gradients(asked):
        try:
            run(built.module, built.args, built.kwargs)
        except Exception as error:
            return error, None
    return None, next(iter(asked), None)


@contextmanager
def _gradients(asked: list[SourceLine]) -> Iterator[None]:
    """Note the user's lines that compute gradients, by whichever name of torch's."""
    owners = ((torch.autograd, "grad"), (torch.autograd, "backward"))

    def noting(compute: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*args: Any, **kwargs: Any) -> Any:
            asked.extend(of_frame(sys._getframe(1))[-1:])
            return compute(*args, **kwargs)

        return noted

    before = [getattr(owner, name) for owner, name in owners]
    for (owner, name), compute in zip(owners, before, strict=True):
        setattr(owner, name, noting(compute))
    try:
        yield
    finally:
        for (owner, name), compute in zip(owners, before, strict=True):
            setattr(owner, name, compute)
