"""From a model and a recipe to findings: asks the engines, runs the checks, streams what is known.

The parser's static pass answers first, cheap rules next, everything that needs shapes after them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from friction_tui.diagnosis.checks import CHECKS
from friction_tui.diagnosis.case import Case
from friction_tui.diagnosis.merge import merge
from friction_tui.diagnosis.operators import check as check_operators
from friction_tui.engines.base import EngineCrashed, EngineMissing, Refusal
from friction_tui.engines.tensorrt.refusals import refusals
from friction_tui.finding import EngineWords, Finding, Fix, Place, PlaceKind, Severity, Tier, fix_first
from friction_tui.protocol import CheckState, Event, Findings, Judged

Stop = Callable[[], bool]
PARSER = "parser"
"""The check that waits for TensorRT's parser."""


@dataclass(slots=True)
class Judgement:
    """The findings of one revision, by check, as they come in."""

    revision: int
    emit: Callable[[Event], None]
    stop: Stop
    started: float = field(default_factory=time.monotonic)
    by_check: dict[str, list[Finding]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def tell(
        self, check: str, state: CheckState, findings: Iterable[Finding], *, source: str, note: str = "", since: float
    ) -> None:
        """Keep and send what a check has found so far."""
        with self._lock:
            self.by_check[check] = list(findings)
            found = self.by_check[check]
        self.emit(
            Findings(
                revision=self.revision,
                check=check,
                state=state,
                findings=found,
                seconds=time.monotonic() - since,
                source=source,
                note=note,
            )
        )

    def finish(self) -> list[Finding]:
        """Merge, sort and send everything."""
        findings = fix_first(merge([f for found in self.by_check.values() for f in found]))
        self.emit(Judged(revision=self.revision, findings=findings, seconds=time.monotonic() - self.started))
        return findings


def judge(judgement: Judgement, case: Case) -> list[Finding] | None:
    """Run every check on `case`, streaming; returns all findings, or None when stopped for a newer edit.

    TensorRT's parser runs beside the rules, in its own process; a crash of it is a finding, not the end.
    """
    asked = threading.Thread(target=_ask_parser, args=(judgement, case), name="parser", daemon=True)
    asked.start()
    for name, check, _title in CHECKS:
        if judgement.stop():
            return None
        if check is not check_operators:
            _run_check(judgement, name, check, case)
    while asked.is_alive():
        asked.join(0.05)
        if judgement.stop():
            return None
    return None if judgement.stop() else judgement.finish()


def _run_check(judgement: Judgement, name: str, check: Callable[[Case], Iterable[Finding]], case: Case) -> None:
    since = time.monotonic()
    try:
        findings = list(check(case))
    except Exception as error:
        # One faulty rule must not take the verdicts of all the others with it.
        note = f"this check failed: {type(error).__name__}: {error}"
        judgement.tell(name, CheckState.FAILED, (), source="rule", note=note, since=since)
        return
    judgement.tell(name, CheckState.DONE, findings, source="rule", since=since)


def _ask_parser(judgement: Judgement, case: Case) -> None:
    since = time.monotonic()
    source = f"{case.engine} parser" if case.engine else "operator table"
    if not case.engine or not case.recipe.parse:
        note = "TensorRT is not installed: the operator table answers" if not case.engine else "turned off: it crashed"
        _tell_refused(judgement, replace(case, refusals=None), CheckState.UNAVAILABLE, source, note, since)
        return
    judgement.tell(PARSER, CheckState.RUNNING, (), source=source, since=since)
    so_far: list[Refusal] = []

    def on_batch(batch: Sequence[Refusal]) -> None:
        so_far.extend(batch)
        if not judgement.stop():
            _tell_refused(judgement, replace(case, refusals=tuple(so_far)), CheckState.RUNNING, source, "", since)

    try:
        refused = refusals(case.model, on_batch=on_batch, stop=judgement.stop)
    except EngineMissing as error:
        _tell_refused(judgement, replace(case, refusals=None), CheckState.UNAVAILABLE, source, str(error), since)
    except EngineCrashed as error:
        judgement.tell(PARSER, CheckState.FAILED, [_crash(error, source)], source=source, note=str(error), since=since)
    else:
        _tell_refused(judgement, replace(case, refusals=tuple(refused)), CheckState.DONE, source, "", since)


def _tell_refused(judgement: Judgement, case: Case, state: CheckState, source: str, note: str, since: float) -> None:
    try:
        findings = list(check_operators(case))
    except Exception as error:
        note = f"this check failed: {type(error).__name__}: {error}"
        judgement.tell(PARSER, CheckState.FAILED, (), source=source, note=note, since=since)
        return
    judgement.tell(PARSER, state, findings, source=source, note=note, since=since)


def _crash(error: EngineCrashed, source: str) -> Finding:
    return Finding(
        kind="engine/parser-crashed",
        severity=Severity.ERROR,
        tier=Tier.PARSER,
        title="TensorRT's parser crashed on this model",
        cause=f"The parser's process {error.how} while it read the model; nothing it would have said is known.",
        source=source,
        places=(Place(PlaceKind.MODEL, "model"),),
        fixes=(Fix("Fix what the other findings name first, then check again."), Fix("Try another TensorRT version.")),
        words=(EngineWords(source, error.last_words),) if error.last_words else (),
    )
