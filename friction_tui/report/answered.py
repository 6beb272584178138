"""What a report says of one model, made from everything that was said about it."""

from __future__ import annotations

from friction_tui.kinds.answered import unanswered
from friction_tui.processes.stdio import printable
from friction_tui.report.verdict import NAME, Judged, ModelVerdict, shortened
from friction_tui.verdicts.answer import Answer
from friction_tui.verdicts.side_by_side import engine_verdicts, own_label, with_others
from friction_tui.vocabulary.protocol import CheckState, Exported, JobKind
from friction_tui.vocabulary.recipe import Profile, Recipe
from friction_tui.vocabulary.recipe.builder_options import words_of


def name_of(recipe: Recipe) -> str:
    """How a model is called in a report: its file, with the factory where it has one."""
    return recipe.source.path + (f":{recipe.source.factory}" if recipe.source.factory else "")


def verdict_of(answer: Answer) -> ModelVerdict:
    """What a worker said about one model, ready to be reported."""
    path = printable(name_of(answer.recipe))
    if not answer.could_run:
        return ModelVerdict(
            path=path, failure=printable(answer.failure), findings=tuple(map(shortened, answer.findings))
        )
    assert answer.judged is not None
    summary = answer.opened.summary if answer.opened else None
    about = (
        _export_took(answer.exported),
        f"opset {summary.opsets.get('', '?')}" if summary and summary.nodes else "",
        f"{summary.nodes} nodes" if summary and summary.nodes else "",
        " + ".join(_asked(answer)),
        ", ".join(words_of(answer.recipe.builder)),
    )
    unchecked = tuple(
        f"{check.check}: {check.note or check.state.value}"
        for check in answer.checks.values()
        if check.state in (CheckState.FAILED, CheckState.UNAVAILABLE)
    )
    builder = answer.checks.get("builder")
    if answer.died:
        unchecked += (f"shapes that onnx infers: its process died inferring them, {answer.died.why}",)
    parser, others = answer.checks.get("parser"), answer.others.verdicts if answer.others else ()
    refused = parser.findings if parser else ()
    own = own_label(parser)
    # A build that did not begin leaves its question open; one that died is a finding.
    build = answer.jobs.get(JobKind.BUILD)
    not_built = build.error if build is not None and build.build is None and not build.findings else ""
    unchecked += (f"build: {not_built}",) if not_built else ()
    recipe = answer.recipe
    judged = Judged(
        opset=recipe.opset or (summary.opsets.get("") if summary else None),
        target=recipe.target,
        precision=recipe.precision.value,
        profiles=recipe.profiles,
        engines=_asked(answer),
        builder=tuple(words_of(recipe.builder)),
    )
    open_questions = unanswered(answer.checks.values(), answer.findings)
    open_questions += (f"build: {not_built}",) if not_built else ()
    return ModelVerdict(
        path=path,
        judged=judged,
        findings=tuple(
            map(shortened, with_others(own, refused, answer.findings, others) if others else answer.findings)
        ),
        engines=engine_verdicts(own, refused, others) if others else (),
        seconds=answer.judged.seconds,
        about=about,
        failure=answer.failure,
        guessed=_guesses(answer.recipe.profile),
        unchecked=unchecked,
        builder=builder.note if builder else "",
        asked_builder=builder is not None and builder.state is CheckState.DONE,
        kernels=(builder is not None and builder.kernels) or (answer.build is not None and answer.build.ok),
        unanswered=open_questions,
        build=answer.build,
    )


def _asked(answer: Answer) -> tuple[str, ...]:
    """The engines that took part, each once."""
    return tuple(dict.fromkeys(one.source for one in answer.checks.values() if one.source not in ("", "rule")))


def _export_took(exported: Exported | None) -> str:
    if exported is None:
        return ""
    return f"{'exported in' if exported.onnx_path else 'export failed after'} {exported.seconds:.1f} s"


def _guesses(profile: Profile | None) -> tuple[str, ...]:
    if profile is None:
        return ()
    ranges = {key: f"{key} {r.min}..{r.opt}..{r.max}" for key, r in profile.ranges.items()}
    values = {key: f"{key} = {list(v.opt)}" for key, v in profile.values.items()}
    return tuple({**ranges, **values}.get(key, key)[:NAME] for key in profile.guessed)
