"""Mending a model: rewrites applied one after another until no error is left that one of them mends.

Each step is judged again by the engines and the rules, and kept only if the problem is gone, the new nodes are taken,
and both models give the same outputs (as far as the rewrite promises).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from friction_tui.kinds import KINDS
from friction_tui.kinds.answered import Verdict
from friction_tui.model.opened import OpenedModel, from_proto
from friction_tui.rewrites import REWRITES
from friction_tui.rewrites.apply import rewritten
from friction_tui.rewrites.base import CannotRewrite, Exactness, RewriteFault
from friction_tui.rewrites.offering import with_offers
from friction_tui.rewrites.verification import Verification
from friction_tui.vocabulary.finding import Finding, Fix, Severity, Tier, fix_first
from friction_tui.vocabulary.protocol import MendStep
from friction_tui.vocabulary.recipe import Rewrite

Judge = Callable[[OpenedModel], Verdict]
Verify = Callable[[OpenedModel, OpenedModel, str], Verification]
"""Compares the outputs of a model before and after the rewrite of that name."""
LARGEST = 64
"""Rewrites after which mending stops: a rewrite that makes its own problem again must not go on for ever."""


@dataclass(frozen=True, slots=True)
class Level:
    """How far mending may go: `exactness` that is allowed, and the severities of findings that are mended."""

    exactness: frozenset[Exactness]
    severities: frozenset[Severity]


LEVELS = {
    "exact": Level(frozenset({Exactness.EXACT}), frozenset({Severity.ERROR})),
    "safe": Level(frozenset({Exactness.EXACT, Exactness.ROUNDING}), frozenset({Severity.ERROR})),
    "": Level(frozenset(Exactness), frozenset({Severity.ERROR})),
    "all": Level(frozenset(Exactness), frozenset(Severity)),
}
"""`exact`: errors, by rewrites that give the very same results. `safe`: errors, by rewrites that keep the results.
"": errors, also by what changes results as it says, where nothing safer fits. `all`: warnings and notes as well.
What a warning says of invalid ONNX is mended at every level, by rewrites that are exact: other tools refuse it."""


@dataclass(slots=True)
class Mending:
    """The state of one run. `steps` are those that were kept, `refused` says why others were not.

    `unanswered` are the questions about `model` that have no answer.
    """

    model: OpenedModel
    findings: list[Finding]
    unanswered: tuple[str, ...] = ()
    steps: list[MendStep] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


def mend(
    model: OpenedModel,
    judge: Judge,
    verify: Verify,
    *,
    level: str = "",
    only: frozenset[str] = frozenset(),
    on_step: Callable[[MendStep], None] = lambda _: None,
) -> Mending:
    """Mend `model` as far as rewrites can; `judge` gives the verdict on it. `only` limits the kinds mended."""
    verdict = judge(model)
    mending = Mending(model, with_offers(model, verdict.findings), verdict.unanswered)
    tried: set[tuple[str, Rewrite]] = set()
    thorough = False
    while len(mending.steps) < LARGEST:
        if _one_step(mending, judge, verify, LEVELS[level], only, tried, on_step):
            thorough = False
        elif thorough:
            break
        else:
            # What was offered does not hold: the rewrites for any refusal are worth their time now.
            thorough = True
            mending.findings = with_offers(mending.model, mending.findings, thorough=True)
    return mending


def _one_step(
    mending: Mending,
    judge: Judge,
    verify: Verify,
    level: Level,
    only: frozenset[str],
    tried: set[tuple[str, Rewrite]],
    on_step: Callable[[MendStep], None],
) -> bool:
    """Apply the first fix that holds; False when there is none left to try."""
    for finding in fix_first(mending.findings):
        invalid = finding.severity is Severity.WARNING and "specification" in KINDS[finding.kind].matters
        if (finding.severity not in level.severities and not invalid) or (only and finding.kind not in only):
            continue
        allowed = level.exactness if finding.severity in level.severities else {Exactness.EXACT}
        for fix in _safest_first(finding.fixes):
            rewrite = Rewrite(fix.rewrite, fix.nodes)
            if REWRITES[fix.rewrite].exactness not in allowed or (finding.kind, rewrite) in tried:
                continue
            tried.add((finding.kind, rewrite))
            before = mending.model, mending.findings, mending.unanswered
            step = _tried(mending, finding, rewrite, judge, verify)
            if step is None:
                continue
            mending.steps.append(step)
            if REWRITES[fix.rewrite].prepares and _remains(finding, mending.findings):
                # It mends nothing by itself: what it makes way for must hold too, or it is taken back.
                follow: list[MendStep] = []
                same_kind = frozenset({finding.kind})
                if not _one_step(mending, judge, verify, level, same_kind, tried, follow.append):
                    mending.model, mending.findings, mending.unanswered = before
                    mending.steps.pop()
                    continue
                on_step(step)
                for following in follow:
                    on_step(following)
            else:
                on_step(step)
            return True
    return False


def _safest_first(fixes: Iterable[Fix]) -> Sequence[Fix]:
    applicable = [fix for fix in fixes if fix.rewrite in REWRITES]
    # Among those that keep the results the order is the rewrites' own: the one for the operator before the general one.
    return sorted(applicable, key=lambda fix: not REWRITES[fix.rewrite].keeps_outputs)


def _confirmed(declared: Exactness, verification: Verification) -> Exactness:
    """How exact the step was: a rewrite that is exact by design may still round in the engine that compared."""
    rounded = verification.max_difference > 0
    return Exactness.ROUNDING if declared is Exactness.EXACT and rounded else declared


def _tried(mending: Mending, finding: Finding, rewrite: Rewrite, judge: Judge, verify: Verify) -> MendStep | None:
    """The step if it mends the finding and keeps what it promises, the state then moved on; None if not."""
    rewriter, before = REWRITES[rewrite.name], mending.model
    try:
        after = from_proto(rewritten(before, rewrite), before.path)
    except CannotRewrite as error:
        mending.refused.append(f"{rewriter.name}: {error.why}")
        return None
    except Exception as error:
        mending.refused.append(f"{rewriter.name}: {RewriteFault(error).why}")
        return None
    verdict = judge(after)
    findings = verdict.findings
    why = "" if rewriter.prepares else _still_wrong(before, after, finding, mending.findings, findings)
    if why:
        mending.refused.append(f"{rewriter.name}: {why}")
        return None
    verification = verify(before, after, rewriter.name)
    if verification.holds is False:
        mending.refused.append(f"{rewriter.name}: {verification}")
        return None
    mending.model, mending.findings, mending.unanswered = after, with_offers(after, findings), verdict.unanswered
    return MendStep(
        kind=finding.kind,
        problem=finding.title,
        rewrite=rewrite,
        what=rewriter.title,
        exactness=_confirmed(rewriter.exactness, verification).value,
        changes=rewriter.changes,
        verified=str(verification),
        holds=verification.holds,
    )


def _remains(finding: Finding, now: Iterable[Finding]) -> list[Finding]:
    """The findings of the same kind that name one of its places."""
    names = set(finding.names)
    same = [one for one in now if one.kind == finding.kind and one.severity is finding.severity]
    return [one for one in same if not names or names & set(one.names)]


def _still_wrong(
    before: OpenedModel, after: OpenedModel, finding: Finding, known: Iterable[Finding], now: Iterable[Finding]
) -> str:
    """Why the edit did not help, "" when it did: the problem is there still, or what was put in is refused."""
    remaining = _remains(finding, now)
    if remaining and len(remaining[0].names) >= len(finding.names):
        return f"the problem remains: {remaining[0].title}"
    new = {node.name for node in after.index.nodes} - {node.name for node in before.index.nodes}
    # What was refused in a body or function stays refused when that is put in place of its caller, under another name.
    moved = {(one.kind, location.op) for one in known if one.severity is Severity.ERROR for location in one.locations}
    moved -= {(finding.kind, location.op) for location in finding.locations}
    said = {words.text for one in known for words in one.words}
    errors_before = {(one.kind, name) for one in known if one.severity is Severity.ERROR for name in one.names}
    for one in now:
        # What the builder says of the model as a whole it may have said before, beside another finding.
        repeated = one.tier is Tier.BUILDER and bool(one.words) and all(words.text in said for words in one.words)
        if one.severity is Severity.ERROR and not one.provisional:
            brought = [each for each in one.locations if each.name in new and (one.kind, each.op) not in moved]
            if brought and not repeated:
                return f"what it puts in has a problem of its own: {one.title}"
            if finding.severity is not Severity.ERROR and not {(one.kind, name) for name in one.names} & errors_before:
                return f"it makes another problem: {one.title}"
    return ""
