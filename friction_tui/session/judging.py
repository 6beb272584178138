"""From a model and a recipe to findings: asks the engines, runs the checks, streams what is known.

The operator table answers first, the parser's static pass and cheap rules next, everything that needs shapes
after them, then the builder, ONNX Runtime and the checker.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from friction_tui.engines.base import EngineCrashed, EngineMissing, Opinion
from friction_tui.engines.found import builder, second_opinion
from friction_tui.kinds.engine import PARSER_CRASHED
from friction_tui.model.opened import OpenedModel
from friction_tui.model.shapes.point_shapes import input_sizes
from friction_tui.model.shapes.steps import not_inferred
from friction_tui.processes.child import Stopped
from friction_tui.rewrites.offers import offered
from friction_tui.rules.check import Check
from friction_tui.rules.checks import CHECKS
from friction_tui.rules.context import CheckContext
from friction_tui.rules.deduplicate import deduplicate
from friction_tui.rules.engine.second_opinion import claims_to_run, confirmed_by_run, objections, with_second_opinion
from friction_tui.rules.operators import operators
from friction_tui.rules.operators.refused_nodes import TABLE
from friction_tui.rules.shapes.several_profiles import in_every_profile
from friction_tui.session import builder_verdict
from friction_tui.session.asking import OpinionQuestion, ProfileFreeResults, Stop
from friction_tui.vocabulary.finding import RULE, EngineWords, Finding, Location, LocationKind, fix_first
from friction_tui.vocabulary.protocol import CheckState, Event, Findings, Judged
from friction_tui.vocabulary.recipe import Precision

PARSER = "parser"
"""The check that waits for the engine's parser."""
WEIGHTS = "weights"
"""The check that reads stored values."""
SHAPES = "shapes"
"""The check after which every point of the ranges is known."""
READS_WEIGHTS = frozenset({WEIGHTS, "impossible constants", "half precision", "lost values", "quantization"})
"""The checks that say nothing of a model whose weights are on another machine."""
NO_WEIGHTS = "the weights are not on this machine yet; what needs them, such as a build, fetches them"
NOT_INFERRED = "shapes that onnx infers"
"""Reported as a check that failed when onnx's native code gave no answer."""
SECOND_OPINION = "second opinion"
"""The check that asks ONNX Runtime and ONNX's checker."""
BUILDER = "builder"
"""The check that asks the engine's builder."""
BUILDER_WAIT_S = 1.0
"""How long a verdict waits for the builder when all else is known. After that it is sent without the builder's answer,
and again with it."""
SETTLED_S = 1.0
"""How long no edit came before kernels are compiled in the background."""
HEAD_START_S = 0.5
"""How long the rules wait at most for the parser's first answer: asking it takes the interpreter as they do."""


@dataclass(slots=True)
class Judgement:
    """The findings of one revision, by check, as they come in."""

    revision: int
    emit: Callable[[Event], None]
    stop: Stop
    started: float = field(default_factory=time.monotonic)
    by_check: dict[str, list[Finding]] = field(default_factory=dict)
    opinion: Opinion | None = None
    parsed: bool = False
    """Whether the parser has answered in full and refuses nothing."""
    background: bool = False
    """Whether kernels are compiled in the background, after the verdict."""
    builder: builder_verdict.Step | None = None
    """What the builder said last."""
    offers: bool = True
    """Whether the rewrites that fit are looked for."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def report(
        self,
        check: str,
        state: CheckState,
        findings: Iterable[Finding],
        *,
        source: str,
        note: str = "",
        since: float,
        kernels: bool = False,
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
                kernels=kernels,
            )
        )

    def deduplicated(self) -> list[Finding]:
        """The findings of all checks so far, without repeats."""
        return deduplicate([f for found in self.by_check.values() for f in found])

    def finish(self, model: OpenedModel | None = None, *, complete: bool = True) -> list[Finding]:
        """Deduplicate, add the rewrites that fit `model`, sort and send everything.

        `complete` False when the builder's answer is still to come.
        """
        findings = self.deduplicated()
        if self.opinion is not None:
            findings = with_second_opinion(findings, self.opinion, *second_opinion().labels())
        if model is not None and self.offers:
            with contextlib.suppress(Stopped):
                findings = offered(model, findings, stop=self.stop)
        findings = fix_first(findings)
        seconds = time.monotonic() - self.started
        self.emit(Judged(revision=self.revision, findings=findings, seconds=seconds, complete=complete))
        return findings


def report_from_table(judgement: Judgement, context: CheckContext) -> None:
    """Send what the operator table knows while the parser, just asked, works it out."""
    since = time.monotonic()
    note = f"looked up, until {context.engine} has answered"
    judgement.report(
        PARSER, CheckState.RUNNING, operators.from_the_table(context), source=TABLE, note=note, since=since
    )


def judge(
    judgement: Judgement, context: CheckContext, kept: ProfileFreeResults, on_shapes: Callable[[], None]
) -> list[Finding] | None:
    """Run every check on `context`, streaming; returns all findings, or None when stopped for a newer edit.

    What `kept` holds already is not computed again, what does not depend on the profile is added to it. The parser's
    answer is awaited beside the rules; a crash of it is a finding, not the end. `on_shapes` is called as soon as the
    shapes at min, opt and max are known.
    """
    waiting = threading.Thread(target=_await_parser, args=(judgement, context, kept), name="parser wait", daemon=True)
    waiting.start()
    building = threading.Thread(
        target=_await_builder, args=(judgement, context, kept, waiting), name="builder wait", daemon=True
    )
    building.start()
    if kept.question is not None:
        kept.question.wait(HEAD_START_S)
    second_opinion().prestart_opinion()
    for check in CHECKS:
        if judgement.stop():
            return None
        if check.name != PARSER:
            _run_check(judgement, check, context, kept)
        if check.name == SHAPES:
            on_shapes()
    not_followed = not_inferred(context.model)
    if not_followed:
        judgement.report(
            NOT_INFERRED, CheckState.FAILED, (), source=RULE, note="; ".join(not_followed), since=judgement.started
        )
    if kept.opinion is None and context.model.file.kind == "onnx":
        kept.opinion = OpinionQuestion(second_opinion(), context.model)
    while waiting.is_alive():
        waiting.join(0.05)
        if judgement.stop():
            return None
    if not judgement.stop():
        _second_opinion(judgement, context, kept)
    building.join(BUILDER_WAIT_S)
    if building.is_alive() and not judgement.stop():
        judgement.finish(context.model, complete=False)
    while building.is_alive():
        building.join(0.05)
        if judgement.stop():
            return None
    return None if judgement.stop() else judgement.finish(context.model)


def _run_check(judgement: Judgement, check: Check, context: CheckContext, kept: ProfileFreeResults) -> None:
    since = time.monotonic()
    name = check.name
    if context.model.hollow and name in READS_WEIGHTS:
        judgement.report(name, CheckState.UNAVAILABLE, (), source=RULE, note=NO_WEIGHTS, since=since)
        return
    findings = kept.findings.get(name)
    if findings is None:
        try:
            findings = list(in_every_profile(check, context) if check.reads_sizes else check(context))
        except Exception as error:
            # One faulty rule must not take the verdicts of all the others with it.
            note = f"this check failed: {type(error).__name__}: {error}"
            judgement.report(name, CheckState.FAILED, (), source=RULE, note=note, since=since)
            return
        if not check.reads_sizes:
            kept.findings[name] = findings
    judgement.report(name, CheckState.DONE, findings, source=RULE, since=since)


def _await_parser(judgement: Judgement, context: CheckContext, kept: ProfileFreeResults) -> None:
    since = time.monotonic()
    source = f"{context.engine} parser" if context.engine else TABLE
    if kept.question is None:
        note = (
            "TensorRT is not installed: the operator table answers" if not context.engine else "turned off: it crashed"
        )
        _report_refused(judgement, context, CheckState.UNAVAILABLE, source, note, since)
        return
    try:
        for refused, complete in kept.question.answers(judgement.stop):
            state = CheckState.DONE if complete else CheckState.RUNNING
            _report_refused(judgement, replace(context, refusals=refused), state, source, "", since)
            judgement.parsed = complete and not refused
    except EngineMissing as error:
        _report_refused(judgement, context, CheckState.UNAVAILABLE, source, str(error), since)
    except EngineCrashed as error:
        judgement.report(
            PARSER, CheckState.FAILED, [_crash(error, source)], source=source, note=str(error), since=since
        )
    except Exception as error:
        note = f"this check failed: {type(error).__name__}: {error}"
        judgement.report(PARSER, CheckState.FAILED, (), source=source, note=note, since=since)


def _await_builder(
    judgement: Judgement, context: CheckContext, kept: ProfileFreeResults, parsing: threading.Thread
) -> None:
    """Ask the builder as soon as the parser has taken the model; it is not asked about a model that is refused."""
    parsing.join()
    since, source = time.monotonic(), f"{context.engine} builder" if context.engine else ""

    def report(state: CheckState, note: str, findings: Iterable[Finding] = (), *, kernels: bool = False) -> None:
        asked = source if state not in (CheckState.UNAVAILABLE, CheckState.PENDING) else ""
        judgement.report(BUILDER, state, findings, source=asked, note=note, since=since, kernels=kernels)

    if judgement.stop() or context.model.file.kind != "onnx":
        return
    try:
        reason = builder_verdict.why_not(context) or ("" if kept.question else "the parser was not asked")
        if reason:
            report(CheckState.UNAVAILABLE, reason)
            return
        if not judgement.parsed:
            report(CheckState.PENDING, "asked once the parser takes the model")
            return
        if kept.builder is None:
            kept.builder = builder(context.builder).question(context.model)
        for step in builder_verdict.ask(kept.builder, context, judgement.stop, compiles=not judgement.background):
            report(step.state, step.note, step.findings, kernels=step.kernels)
            judgement.builder = step
    except Stopped:
        return
    except EngineMissing as error:
        report(CheckState.UNAVAILABLE, str(error))
    except Exception as error:
        report(CheckState.FAILED, f"this check failed: {type(error).__name__}: {error}")


def compile_in_background(judgement: Judgement, context: CheckContext, kept: ProfileFreeResults) -> None:
    """Compile kernels at low priority once no edit came for a while, until the next one; then the verdict again.

    Only of a model whose shapes and layers the builder takes and whose kernels are not known.
    """
    before, question = judgement.builder, kept.builder
    if before is None or question is None or before.kernels or before.state is not CheckState.DONE or not before.note:
        return
    until = time.monotonic() + SETTLED_S
    while time.monotonic() < until:
        if judgement.stop():
            return
        time.sleep(0.05)
    since, source = time.monotonic(), f"{context.engine} builder"

    def report(step: builder_verdict.Step) -> None:
        judgement.report(
            BUILDER, step.state, step.findings, source=source, note=step.note, since=since, kernels=step.kernels
        )

    running = f"{builder_verdict.LAYERS_TAKEN}; kernels: compiling in the background"
    report(replace(before, state=CheckState.RUNNING, note=running))
    try:
        step = builder_verdict.ask_in_background(question, context, before, judgement.stop)
    except Stopped:
        return
    except (EngineMissing, EngineCrashed) as error:
        step = replace(before, note=f"{builder_verdict.LAYERS_TAKEN}; kernels: {error}")
    if judgement.stop():
        return
    report(step)
    judgement.builder = step
    if step.findings != before.findings:
        judgement.finish(context.model)


def _report_refused(
    judgement: Judgement, context: CheckContext, state: CheckState, source: str, note: str, since: float
) -> None:
    judgement.report(PARSER, state, operators.CHECK(context), source=source, note=note, since=since)


def _second_opinion(judgement: Judgement, context: CheckContext, kept: ProfileFreeResults) -> None:
    """Ask ONNX Runtime and the checker, when all else is known. Without them the verdict stays as it is."""
    if kept.opinion is None:
        return
    since = time.monotonic()
    try:
        label, checker = second_opinion().labels()
    except EngineMissing:
        return
    try:
        opinion = kept.opinion.answer(judgement.stop)
    except Stopped:
        return
    except (EngineCrashed, OSError, ValueError) as error:
        judgement.report(SECOND_OPINION, CheckState.FAILED, (), source=label, note=str(error), since=since)
        return
    if opinion is None:
        return
    judgement.opinion = opinion
    _run_what_is_claimed(judgement, context, label)
    alone = objections(context.model, judgement.deduplicated(), opinion, label, checker)
    judgement.report(SECOND_OPINION, CheckState.DONE, alone, source=label, since=since)


def _run_what_is_claimed(judgement: Judgement, context: CheckContext, label: str) -> None:
    """Run the model once where a finding claims that its outputs are not finite; an edited model is not on disk."""
    found, recipe = judgement.by_check.get(WEIGHTS, []), context.recipe
    edited = recipe.rewrites or recipe.opset is not None or recipe.precision is not Precision.AS_EXPORTED
    if edited or not claims_to_run(found):
        return
    values = {name: given.opt for name, given in (recipe.profile.values if recipe.profile else {}).items()}
    since = time.monotonic()
    ran = second_opinion().run_once(context.model, input_sizes(context.model, recipe.profile, "opt"), values)
    if ran is not None:
        judgement.report(WEIGHTS, CheckState.DONE, confirmed_by_run(found, ran, label), source=RULE, since=since)


def _crash(error: EngineCrashed, source: str) -> Finding:
    return PARSER_CRASHED.finding(
        cause=f"The parser's process {error.how} while it read the model; nothing it would have said is known.",
        source=source,
        locations=(Location(LocationKind.MODEL, "model"),),
        fixes=("Fix what the other findings name first, then check again.", "Try another TensorRT version."),
        words=(EngineWords(source, error.tail),) if error.tail else (),
    )
