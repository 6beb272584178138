"""Who is at fault when an ONNX model computes something else: the capture, the translation to ONNX, or its optimiser.

The captured program runs in PyTorch: when it is right, the user's code and torch.export are, and what came after is
not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from friction_tui.sources.pytorch.outputs import array, differ, feed, run, worst
from friction_tui.sources.pytorch.signature import signature_of
from friction_tui.sources.second_opinion import unoptimised
from friction_tui.sources.source_lines import of_stack_text
from friction_tui.sources.time_limit import at_most
from friction_tui.vocabulary.finding import SourceLine

_SECONDS = 30.0
"""What finding the part at fault may take: a large model is translated again for it."""

_RECURRENT = {"aten.lstm.input", "aten.gru.input", "aten.rnn_tanh.input", "aten.rnn_relu.input"}


@dataclass(frozen=True, slots=True)
class Blame:
    """`guilty`: the exporter is at fault, not the user's code. `said` is a sentence for the cause."""

    guilty: bool = False
    said: str = ""
    fixes: tuple[str, ...] = ()
    line: SourceLine | None = None


def of(
    module: Any,
    inputs: Mapping[str, Any],
    expected: Sequence[np.ndarray[Any, Any]],
    program: torch.export.ExportedProgram | None,
    path: Path,
    session: Any,
) -> Blame:
    """Which step went wrong for `inputs`, for which PyTorch gives `expected` and the model at `path` does not."""
    if program is None:
        return Blame()
    version = torch.__version__.partition("+")[0]
    if (lost := _lost_size(program)) is not None:
        op, size, line = lost
        return Blame(
            True,
            f" In the capture the result of {op} has the constant size {size}, that of the example, while its input's "
            f"size varies: the exporter is at fault (torch {version}), not your code.",
            (
                f"Take no size from the result of {op}: write `x.shape[...]` of its input where the size is needed "
                "behind it (`expand(x.shape[0], x.shape[1], 8)` for `expand_as(y)`).",
            ),
            line,
        )
    try:
        with at_most(_SECONDS):
            captured = _captured(module, inputs, program)
            if len(captured) != len(expected) or differ(expected, captured):
                return Blame(said=" The captured program gives it too, so it comes from the capture of the code.")
            said = " torch.export's captured program gives PyTorch's result: the exporter is at fault, not your code"
            if _optimiser(program, inputs, expected, path, session):
                return Blame(
                    True,
                    f"{said}; it is the ONNX optimiser of torch {version}, without which the model is right.",
                    ("Export with optimize off (`--export optimize=false`): the model is right then.",),
                )
            return Blame(
                True,
                f"{said}; it is the translation to ONNX of torch {version}.",
                (
                    "Write the line in other operators: the exporter's translation of this one is wrong for these "
                    "sizes or values.",
                    "Report it to pytorch/pytorch (component onnx) with this file.",
                ),
            )
    except Exception:
        return Blame()  # the captured program does not run by itself: nothing is known about who is at fault


def _lost_size(program: torch.export.ExportedProgram) -> tuple[str, str, SourceLine | None] | None:
    """A recurrent layer whose result has a fixed size where its input's is free: (operator, size, line).

    torch's shape function for them runs on the example's sizes where the sequence comes out of other operators
    (pytorch/pytorch#191855).
    """
    for node in program.graph.nodes:
        if node.op != "call_function" or str(node.target) not in _RECURRENT:
            continue
        fed = getattr(node.args[0].meta.get("val"), "shape", ())
        got = getattr((node.meta.get("val") or (None,))[0], "shape", ())
        for before, after in zip(fed[:2], got[:2], strict=False):
            if isinstance(before, torch.SymInt) and not isinstance(after, torch.SymInt):
                line = (of_stack_text(node.meta.get("stack_trace") or "") or (None,))[-1]
                return str(node.target).split(".")[1].upper(), str(after), line
    return None


def _captured(module: Any, inputs: Mapping[str, Any], program: torch.export.ExportedProgram) -> list[Any]:
    captured: Any = program.module(check_guards=False)
    if isinstance(module, torch.export.ExportedProgram):
        result = run(captured, tuple(inputs.values()), {})
    else:
        call = signature_of(module).bind_partial()
        call.arguments.update(inputs)
        result = run(captured, call.args, call.kwargs)
    return [array(value) for value in torch.utils._pytree.tree_leaves(result) if isinstance(value, torch.Tensor)]


def _optimiser(
    program: torch.export.ExportedProgram,
    inputs: Mapping[str, Any],
    expected: Sequence[np.ndarray[Any, Any]],
    path: Path,
    session: Any,
) -> bool:
    """Whether the same program is right when it is translated without the exporter's optimiser."""
    plain = path.with_name(f"{path.stem}.plain.onnx")
    try:
        torch.onnx.export(program, (), plain, dynamo=True, optimize=False, verbose=False)
        return worst(session, expected, unoptimised(plain, feed(session, inputs))) is None
    except Exception:
        return False
    finally:
        for file in path.parent.glob(f"{plain.name}*"):
            file.unlink(missing_ok=True)
