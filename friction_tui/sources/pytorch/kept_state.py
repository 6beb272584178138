"""State that forward keeps or changes, which an ONNX model cannot: buffers, parameters, attributes, inputs in place."""

from __future__ import annotations

import inspect
import re
from collections import deque
from collections.abc import Iterable
from typing import Any

import torch

from friction_tui.kinds import export
from friction_tui.sources.failure import location_of
from friction_tui.sources.pytorch.diverging import in_forward
from friction_tui.sources.source_lines import context, find_in, of_stack_text
from friction_tui.vocabulary.finding import Finding, Location, LocationKind, Severity, SourceLine, Tier

_IN_PLACE = r"\b{0}(\[[^\]]*\])*(\s*([-+*/|&@]|//|\*\*)=|\[[^=]+\]\s*=(?!=)|(\.data)?\.\w*[a-z]_\()"
"""`x += 1`, `x[:, 0] = 1`, `x.mul_(2)`, `x[0].data.zero_()`."""


def lost_state(program: torch.export.ExportedProgram, module: Any, source: str) -> list[Finding]:
    """Buffers, parameters and inputs that forward changes in place: an ONNX model changes none, so that is lost."""
    normalised = {
        f"{name}.{buffer}"
        for name, part in module.named_modules()
        if isinstance(part, torch.nn.modules.batchnorm._NormBase)
        for buffer in ("running_mean", "running_var", "num_batches_tracked")
    }
    signature = program.graph_signature
    nodes = {node.name: node for node in program.graph.nodes}

    def at(output: str, owner: Any, written: str) -> SourceLine | None:
        node = nodes.get(output)
        recorded = of_stack_text((node.meta.get("stack_trace") or "") if node is not None else "")
        return in_forward(owner, _IN_PLACE.format(written)) or (recorded or (None,))[-1]

    def kept_at(output: str, name: str) -> SourceLine | None:
        path, _, attribute = name.rpartition(".")
        return at(output, module.get_submodule(path), rf"self\.{attribute}")

    kept = [
        (output, name, "buffer")
        for output, name in signature.buffers_to_mutate.items()
        if name not in normalised and not _statistics(nodes.get(output))
    ]
    kept += [(output, name, "parameter") for output, name in signature.parameters_to_mutate.items()]
    findings = [
        _state(
            source,
            f"the {what} {name}",
            f"The {what} {name} is mutated in forward. An ONNX model keeps no state: each run starts from the value "
            f"the {what} had at the export.",
            kept_at(output, name),
        )
        for output, name, what in kept
    ]
    findings += [
        _changed_input(
            source,
            name,
            at(output, module, name),
            returned=output in signature.user_outputs,
            filled=_writes_part(nodes.get(output)),
        )
        for output, name in signature.user_inputs_to_mutate.items()
    ]
    return sorted(findings, key=lambda found: found.severity is Severity.NOTE)


def _statistics(node: Any) -> bool:
    """Whether a new value is the running statistics of a batch normalisation, which has a finding of its own."""
    made_by = node.args[0] if node is not None and node.op == "call_function" and node.args else None
    return "batch_norm" in str(getattr(made_by, "target", ""))


def _writes_part(node: Any) -> bool:
    """Whether a new value came from writing into a part of the old one, as a cache is filled."""
    return bool(
        re.search(r"scatter|index_put|index_copy|index_fill|masked_fill|copy", str(getattr(node, "target", "")))
    )


def _changed_input(source: str, name: str, line: SourceLine | None, *, returned: bool, filled: bool) -> Finding:
    """An input that the caller finds changed in PyTorch and unchanged with ONNX.

    A warning where a part of it is written and nothing returns it: arithmetic in place is most often a way of writing.
    """
    return export.MUTATION.finding(
        severity=Severity.WARNING if filled and not returned else Severity.NOTE,
        function="forward",
        what=f"its input {name} in place",
        effect="the ONNX model leaves the caller's tensor as it is",
        cause=f"PyTorch code that calls the model finds {name} changed afterwards (mutation). An ONNX model only reads "
        + (
            "its inputs; the changed tensor is one of its outputs."
            if returned
            else "its inputs, and the changed tensor is none of its outputs: what the caller relied on, such as a "
            "cache that is filled, is lost."
        ),
        source=source,
        locations=((location_of(line),) if line else ()) + (Location(LocationKind.INPUT, name),),
        evidence=context(line) if line else (),
        fixes=(
            f"If nobody needs the change, make a new tensor: `{name} = {name} - …` for `{name} -= …`, or clone().",
            f"If the caller needs it, return it: `return y, {name}`, and feed it to the next run.",
        ),
    )


def attributes(module: Any) -> dict[tuple[str, str], Any]:
    """Plain Python values and tensors kept on modules, for a later comparison: (module, attribute) to value."""
    known: dict[tuple[str, str], Any] = {}
    for name, part in module.named_modules():
        for key, value in vars(part).items():
            # torch.nn.utils.weight_norm and spectral_norm compute `weight` anew before every call
            derived = {f"{key}_g", f"{key}_orig"} & set(part._parameters.keys())
            if key.startswith("_") or key == "training" or derived:
                continue
            if isinstance(value, bool | int | float | str | torch.Tensor | None):
                known[name, key] = value
            elif isinstance(value, list | dict | set | deque):
                known[name, key] = ("entries", len(value))
    return known


_REGISTERED = ("_modules", "_parameters", "_buffers")


def changed(before: dict[tuple[str, str], Any], after: dict[tuple[str, str], Any]) -> list[tuple[str, str]]:
    """The attributes that are new or have another value; a tensor that was computed anew to the same is none."""

    def same(old: Any, new: Any) -> bool:
        if isinstance(old, torch.Tensor) and isinstance(new, torch.Tensor):
            return old is new or (old.shape == new.shape and old.dtype == new.dtype and torch.equal(old, new))
        return type(old) is type(new) and bool(old == new)

    return [key for key, value in after.items() if key not in before or not same(before[key], value)]


def snapshot(module: Any) -> list[tuple[Any, dict[str, Any]]]:
    """What every part of a module keeps and holds, to be put back after a capture; the weights' values are left out."""
    if not isinstance(module, torch.nn.Module) or isinstance(module, torch.jit.ScriptModule):
        return []
    return [
        (part, {key: _copied(value) for key, value in vars(part).items() if _is_kept(key)})
        for part in module.modules()
        if not isinstance(part, torch.jit.ScriptModule)
    ]


def restore(before: list[tuple[Any, dict[str, Any]]]) -> None:
    """Undo what forward assigned during a capture: its tensors have no data, and the model would fail on them."""
    for part, kept in before:
        for key in [key for key in vars(part) if _is_kept(key) and key not in kept]:
            del vars(part)[key]
        for key, value in kept.items():
            now = vars(part).get(key)
            if isinstance(value, list | dict | set | deque) and type(now) is type(value):
                _refill(now, value)
            elif now is not value:
                vars(part)[key] = value


def grown(before: list[tuple[Any, dict[str, Any]]]) -> tuple[tuple[Any, str], ...]:
    """Layers and parameters that forward made, as (owner, name): they were not there at the snapshot."""
    return tuple(
        (part, name)
        for part, kept in before
        for where in ("_modules", "_parameters")
        for name in vars(part)[where]
        if name not in kept[where]
    )


def made_in_forward(made: tuple[tuple[Any, str], ...], source: str) -> Finding:
    """A failed export of a model whose forward makes layers: the capture records how they are made."""
    names = " and ".join(dict.fromkeys(name for _, name in made))
    line = _assigned_at(type(made[0][0]), made[0][1])
    return export.MUTATION.finding(
        severity=Severity.ERROR,
        tier=Tier.EXPORT,
        function="forward",
        what=f"the model itself: it makes {names} when it is called",
        effect="that cannot be captured",
        cause=f"{names} did not exist before forward ran (it makes them on its first call, or on each). During a "
        "capture that is recorded as operators of the graph, which draw the weights at random, and the layers hold no "
        "values.",
        source=source,
        locations=(location_of(line),) if line else (),
        evidence=context(line) if line else (),
        fixes=(
            "Call the model once on its example before the export, in the factory: `model(*example)`. Weights that are "
            "loaded afterwards find their layers then.",
            "Make the layers in the constructor, with the sizes as arguments, or `nn.LazyLinear` and its kin.",
        ),
    )


def _is_kept(key: str) -> bool:
    return not key.startswith("_") or key in _REGISTERED


def _copied(value: Any) -> Any:
    return value.copy() if type(value) in (list, dict, set, deque) else value


def _refill(now: Any, value: Any) -> None:
    """Give a container its earlier content in place: others may hold it too."""
    if isinstance(now, dict | set):
        if now.keys() != value.keys() if isinstance(now, dict) else now != value:
            now.clear()
            now.update(value)
    elif len(now) != len(value):
        now.clear()
        now.extend(value)


def changed_attributes(module: Any, names: Iterable[tuple[str, str]], source: str, *, matters: bool) -> list[Finding]:
    """Attributes that forward assigns, as (module, attribute): the graph holds the value of one call.

    `matters`: a second run of the PyTorch model gave another result.
    """
    parts = dict(module.named_modules())
    at_line: dict[SourceLine | None, list[str]] = {}
    for part, key in names:
        line = _assigned_at(type(parts.get(part, module)), key)
        at_line.setdefault(line, []).append(f"{part}.{key}" if part else key)
    severity = Severity.WARNING if matters else Severity.NOTE
    kept = (
        "The graph holds the value of one call as a constant. A second run of the PyTorch model gives another result; "
        "the ONNX model's stays."
        if matters
        else "An ONNX model keeps nothing between runs: what forward reads of an earlier call is a constant there. "
        "Here a second run of the PyTorch model gives the same result."
    )
    findings = []
    for line, paths in at_line.items():
        several = len(paths) > 1
        what = f"the attribute{'s' if several else ''} {' and '.join(paths)}"
        cause = f"{what[:1].upper()}{what[1:]} change{'' if several else 's'} in forward (mutation). {kept}"
        findings.append(_state(source, what, cause, line, severity))
    return findings


def _assigned_at(owner: type, key: str) -> SourceLine | None:
    """Where a class assigns `self.key` or changes what it holds: in forward, else anywhere."""
    try:
        file = inspect.getsourcefile(owner)
    except TypeError:
        return None
    assigns = (
        rf"self\.{key}\s*((,[^=()]+)?=(?!=)|([-+*/|&@]|//|\*\*)=)"
        rf"|self\.{key}(\[.+\]\s*=(?!=)|\.(append|extend|insert|add|update|setdefault|pop|popleft|clear)\()"
    )
    inside = ((owner.__name__, "forward"), (owner.__name__,))
    return next((at for scope in inside if file and (at := find_in(file, scope, assigns))), None)


def _state(
    source: str, what: str, cause: str, line: SourceLine | None, severity: Severity = Severity.WARNING
) -> Finding:
    return export.MUTATION.finding(
        severity=severity,
        function="forward",
        what=what,
        effect="the ONNX model forgets it after every run",
        cause=cause,
        source=source,
        locations=(location_of(line),) if line else (),
        evidence=context(line) if line else (),
        fixes=(
            "Make the state explicit: take it as an input and return the new value as an output.",
            "If it is a cache for debugging, skip it in an export: `if not torch.compiler.is_exporting():`.",
            "A constant that never changes belongs in `register_buffer` in the constructor.",
        ),
    )
