"""The same model put to the TensorRT of other Python environments, each in a process of that environment's own."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from friction_tui.engines.base import EngineCrashed, EngineMissing
from friction_tui.engines.found import parser_elsewhere
from friction_tui.processes.child import run
from friction_tui.rules.context import CheckContext
from friction_tui.rules.operators import operators
from friction_tui.session.asking import Stop
from friction_tui.vocabulary.finding import Severity, Tier
from friction_tui.vocabulary.protocol import OtherVerdict, OtherVerdicts


def ask_others(
    context: CheckContext, pythons: Sequence[str], revision: int, emit: Callable[[OtherVerdicts], None], stop: Stop
) -> None:
    """Ask one environment after the other, sending what is known after each."""
    known: list[OtherVerdict] = []
    for python in pythons:
        if stop():
            return
        known.append(verdict_of(context, python, stop))
        if not stop():
            emit(OtherVerdicts(revision=revision, verdicts=tuple(known), complete=len(known) == len(pythons)))


def verdict_of(context: CheckContext, python: str, stop: Stop) -> OtherVerdict:
    """What the TensorRT of the environment with this interpreter refuses, or why that cannot be known.

    Only its parser's own answers count: what rules and tables know holds for the TensorRT they were made from.
    """
    why_not = _why_no_python(python)
    if why_not:
        return OtherVerdict(python=python, why_not=why_not)
    started = time.monotonic()
    try:
        said = parser_elsewhere().refusals_in(python, context.model, stop=stop)
    except (EngineMissing, EngineCrashed) as error:
        return OtherVerdict(python=python, why_not=str(error))
    rtx = said.operator_table == "rtx"
    findings = operators.CHECK(replace(context, refusals=said.refusals, engine=said.label, rtx=rtx))
    refused = tuple(f for f in findings if f.severity is Severity.ERROR and f.tier is Tier.PARSER)
    return OtherVerdict(python=python, label=said.label, findings=refused, seconds=time.monotonic() - started)


def _why_no_python(python: str) -> str:
    """Whether it can be started, found out before its silence would be taken for a crash of TensorRT."""
    if not Path(python).is_file():
        return f"there is no {python}: name the interpreter of an environment, such as .venv-10/bin/python"
    ask = "import sys; print(sys.version_info >= (3, 10))"
    try:
        done = run([python, "-I", "-c", ask], limit_s=30)
    except OSError as error:
        return f"{python} cannot be run: {error}"
    said = done.out.decode(errors="replace").strip()
    if done.code is None:
        return f"{python} cannot be run: it {done.how}"
    if done.code or said not in ("True", "False"):
        return f"{python} is not a Python interpreter: it prints {(done.tail or said)[-200:] or 'nothing'}"
    return "" if said == "True" else f"{python} is older than Python 3.10, which is the least that works"
