"""Asking the builder about the model under judgement: a dry build, nodes at risk, and a build to the end.

A dry build answers for shapes and layers. Whether there are kernels is known from compiling only: of the whole model
for a chosen target, in the background, or on request; else of the nodes for which kernels were seen to be missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from friction_tui.engines.base import DRY_LIMIT_S, BuilderAnswer, EngineCrashed, EngineMissing, Probed, Refusal, Terms
from friction_tui.engines.engine import Question
from friction_tui.engines.found import builder
from friction_tui.engines.profiles import resolved
from friction_tui.model.opened import OpenedModel
from friction_tui.model.shapes.profile import shape_tensor_inputs
from friction_tui.plugin_libraries import agreed, not_agreed
from friction_tui.processes.child import Stop
from friction_tui.rewrites.apply import edits_types
from friction_tui.rules.context import CheckContext
from friction_tui.rules.engine.builder import answer_findings, build_findings, ended_without_result
from friction_tui.rules.engine.options import of_the_engine
from friction_tui.vocabulary.finding import Finding, fix_first
from friction_tui.vocabulary.protocol import CheckState, JobEnded, JobKind
from friction_tui.vocabulary.recipe import POINTS, Recipe
from friction_tui.vocabulary.recipe.builder_options import affecting_engine, refused

KERNELS_S = 30.0
"""How long kernels are compiled in a check for a chosen target. Refusals come early: within 8 s on all models seen."""
CONFIRM_S = 20.0
"""How long the whole model is compiled where a node alone was refused."""
BACKGROUND_S = 120.0
"""How long kernels are compiled in the background."""
LOCATED_UP_TO_S = 15.0
"""How long a build may have taken for its place to be looked for afterwards."""
LAYERS_TAKEN = "shapes and layers: taken"


@dataclass(frozen=True, slots=True)
class Step:
    """What is known so far: findings, and in `note` what was asked and what was not.

    `kernels` tells that they were compiled, for all of the model.
    """

    state: CheckState
    note: str
    findings: tuple[Finding, ...] = ()
    kernels: bool = False


def terms_of(context: CheckContext) -> Terms:
    """What the model under judgement is to be built for."""
    weak = context.builder is not None and context.builder.weak_types
    return terms_for(context.model, context.recipe, weak_types=weak)


def terms_for(model: OpenedModel, recipe: Recipe, *, weak_types: bool) -> Terms:
    """What the recipe says that `model` is to be built for. `weak_types`: precision may be a flag of the builder."""
    return Terms(
        profiles=tuple(one for profile in recipe.profiles for one in resolved(model, profile)),
        target=recipe.target,
        precision=recipe.precision.value,
        typed=edits_types(recipe, weak_types=weak_types),
        options=affecting_engine(recipe.builder),
        libraries=agreed(recipe),
    )


def why_not(context: CheckContext) -> str:
    """Why the builder cannot be asked about the model as it is to be built; "" when it can.

    Sizes that were guessed and do not fit together prove nothing, so it is not asked at those.
    """
    engine, recipe = context.builder, context.recipe
    if engine is None:
        return "no engine that builds is installed here"
    if not engine.can_build:
        return f"{engine.label} does not build here" + (f": {engine.why_not}" if engine.why_not else "")
    if recipe.target and engine.targets and recipe.target not in engine.targets:
        return f"{engine.label} does not build for {recipe.target}"
    if recipe.precision.value not in engine.precisions:
        return f"{engine.label} does not take {recipe.precision.value} as a flag"
    stray = refused(recipe.builder, engine.options)
    if stray:
        return f"{engine.label} does not offer {', '.join(stray)}"
    if not_agreed(recipe):
        return f"not loaded: {', '.join(not_agreed(recipe))}"
    if recipe.profile is None:
        return ""
    unsized = _unsized(context)
    if unsized:
        return f"no size is known for the input {unsized}"
    if recipe.profile.guessed and any(context.table.at(point).failures for point in POINTS):
        return "at the sizes that were guessed, shapes do not fit together; choose sizes"
    return ""


def _unsized(context: CheckContext) -> str:
    """An input that a profile gives no sizes, or no values where it is read as a shape; "" when there is none."""
    read_as_shapes = shape_tensor_inputs(context.model)
    tensors = [value.name for value in context.model.index.inputs if value.type.HasField("tensor_type")]
    for one in terms_of(context).profiles:
        for name in tensors:
            if name not in (one.values if name in read_as_shapes else one.shapes):
                return name
    return ""


def ask(
    question: Question,
    context: CheckContext,
    stop: Stop,
    *,
    limit_s: float = DRY_LIMIT_S,
    compiles: bool = True,
) -> Iterator[Step]:
    """What the builder says, step by step: shapes and layers first, then kernels of what is at risk.

    With a target all kernels are compiled, unless that `compiles` is False: it is done later then. What was built to
    the end before is not asked again. Raises what `Question.ask` raises.
    """
    terms = terms_of(context)
    known = question.remembered(terms)
    if known is not None:
        yield _compiled(known, context, "before")
        return
    answer = question.ask(terms, limit_s=limit_s, stop=stop, table=context.table)
    found = tuple(answer_findings(context, answer))
    if answer.verdict == "timeout":
        yield Step(CheckState.FAILED, f"the builder gave no answer within {limit_s:.0f} s", found)
        return
    if answer.verdict != "taken":
        yield Step(CheckState.DONE, "", found)
        return
    whole = bool(terms.target) and compiles
    yield Step(CheckState.RUNNING, f"{LAYERS_TAKEN}; kernels{_for(context)}: compiling", found)
    if whole:
        compiled = question.ask(terms, dry=False, limit_s=KERNELS_S, stop=stop, table=context.table)
        if compiled.verdict != "timeout":
            yield _compiled(compiled, context)
            return
    probed = question.at_risk(terms, context.table, stop=stop)
    if probed.failing and not whole:
        # A node alone that is refused where the whole model builds is nothing to show.
        compiled = question.ask(terms, dry=False, limit_s=CONFIRM_S, stop=stop, table=context.table)
        if compiled.verdict != "timeout":
            yield _compiled(_placed(compiled, probed), context)
            return
    alone = tuple(finding for one in probed.failing for finding in answer_findings(context, one))
    if whole and not alone:
        note = f"{LAYERS_TAKEN}; kernels{_for(context)}: not compiled to the end, {KERNELS_S:.0f} s were not enough"
        yield Step(CheckState.FAILED, note, found)
        return
    yield Step(CheckState.DONE, f"{LAYERS_TAKEN}; kernels{_for(context)}: {_of_forms(probed)}", (*found, *alone))


def ask_in_background(question: Question, context: CheckContext, before: Step, stop: Stop) -> Step:
    """Build the model to the end at low priority, in a process of its own; `before` is what is known already.

    Raises what `Question.ask` raises.
    """
    terms = terms_of(context)
    answer = question.ask(
        terms,
        dry=False,
        limit_s=BACKGROUND_S,
        stop=stop,
        table=context.table,
        background=True,
    )
    if answer.verdict == "timeout":
        late = f"{LAYERS_TAKEN}; kernels{_for(context)}: not compiled to the end within {BACKGROUND_S:.0f} s"
        return replace(before, state=CheckState.DONE, note=late)
    return _compiled(answer, context)


def _compiled(answer: BuilderAnswer, context: CheckContext, when: str = "") -> Step:
    """What a build to the end says, whose warnings are those of the dry build too."""
    found = tuple(answer_findings(context, answer))
    if answer.verdict != "taken":
        return Step(CheckState.DONE, "", found)
    how = f"compiled {when}".rstrip()
    note = f"{LAYERS_TAKEN}; kernels{_for(context)}: {how} ({answer.seconds:.1f} s)"
    return Step(CheckState.DONE, note, found, kernels=True)


def _placed(answer: BuilderAnswer, probed: Probed) -> BuilderAnswer:
    """The whole model's answer with the place that the nodes alone give, where it has none."""
    if answer.verdict == "taken" or answer.located or any(said.nodes for said in answer.refusals):
        return answer
    return replace(answer, located=probed.failing[0].located, alone=True)


def _of_forms(probed: Probed) -> str:
    """What is known of kernels from nodes alone: `not compiled; 3 of 4 forms at risk are taken alone`."""
    if not probed.forms:
        return "not compiled"
    forms = f"{probed.forms} form{'' if probed.forms == 1 else 's'} of nodes at risk"
    if probed.taken == probed.forms:
        return f"not compiled, but for {forms}: taken"
    return f"not compiled, but for {probed.forms - probed.unknown} of {forms}, {probed.taken} taken"


def _for(context: CheckContext) -> str:
    """For which target kernels are chosen, and that they are without a GPU to time them on."""
    target = f" for {context.recipe.target}" if context.recipe.target else ""
    return target + (" (CPU-only mode)" if context.builder is not None and context.builder.cpu_only else "")


def after_build(context: CheckContext, ended: JobEnded) -> tuple[Finding, ...]:
    """The findings of a build that is over: its messages read against the model, or that it ended without a result.

    One that names no node is asked again in parts, for the node with which it begins. One that succeeded is kept.
    """
    if ended.kind is not JobKind.BUILD or ended.cancelled:
        return ()
    if ended.build is not None:
        if ended.build.ok:
            builder(context.builder).question(context.model).built(terms_of(context), ended.build)
        not_offered = tuple(of_the_engine(context))
        if not_offered and not ended.build.ok:
            return not_offered
        found = build_findings(context, ended.build)
        again = not ended.build.ok and not any(one.node_paths for one in found)
        placed = _in_parts(context, ended.seconds) if again else ()
        return tuple(fix_first(placed or found))
    if not ended.died:
        return ()
    limited = "memory" in ended.died or ended.late
    placed = () if limited else _in_parts(context, ended.seconds)
    source = f"{context.engine} builder"
    late = bool(ended.late)
    return placed or (ended_without_result(context, ended.died, source, ended.error, timed_out=late),)


def _in_parts(context: CheckContext, seconds: float) -> tuple[Finding, ...]:
    """A build that failed, tried again for its place; () where it cannot be, or took too long the first time."""
    if seconds > LOCATED_UP_TO_S or why_not(context):
        return ()
    limit = 2 * seconds + 2
    try:
        asked = builder(context.builder).question(context.model)
        answer = asked.ask(terms_of(context), dry=False, limit_s=limit, table=context.table)
    except (EngineMissing, EngineCrashed):
        return ()
    return tuple(answer_findings(context, answer)) if answer.verdict in ("refused", "crashed") else ()


def refused_by_builder(context: CheckContext, refused: Sequence[Refusal] | None) -> list[Finding]:
    """The builder's findings, for a model whose parser was asked (not None); [] where it cannot be."""
    if refused is None or refused or why_not(context):
        return []
    *_, last = ask(builder(context.builder).question(context.model), context, lambda: False)
    return list(last.findings)
