"""A broken node and its explanation as a finding: how severe it is, in which words, with which ranges as a fix."""

from __future__ import annotations

from friction_tui.model.provenance import location_of
from friction_tui.rules.context import CheckContext
from friction_tui.rules.shapes.dials import Dial, Setting
from friction_tui.rules.shapes.shape_study import Broken, Study
from friction_tui.rules.shapes.shape_view import Explanation
from friction_tui.vocabulary.finding import RULE, Finding, Fix, Severity, Tier


def shape_finding(context: CheckContext, broken: Broken, studied: Study, explained: Explanation) -> Finding:
    """What there is to say about one node."""
    node = broken.node
    sizes, ranges = (_sizes(studied), _ranges(studied)) if explained.by_size else ("", ())
    breaks = _breaks(studied) if explained.by_size or studied.together else _does_not_follow(studied)
    locations = dict.fromkeys((location_of(context.model, node), *explained.locations))
    return Finding(
        kind=explained.kind,
        severity=severity(broken, studied, explained),
        tier=Tier.SHAPES,
        title=f"{node.proto.op_type} {node.name} {breaks}",
        cause=" ".join(part for part in (_sentence(broken.message), _capital(explained.words), sizes) if part),
        source=RULE,
        locations=tuple(locations),
        evidence=tuple(f"at {_where(label, setting)}: {text}" for label, (setting, text) in broken.at.items())[:3]
        if len(broken.at) > 1 and studied.dials
        else (),
        fixes=(*explained.fixes, *ranges),
    )


def severity(broken: Broken, studied: Study, explained: Explanation) -> Severity:
    """As severe as is true: what only a guessed size breaks is no error, a size that was chosen and fails is one."""
    dials = studied.dials
    if not dials:
        return Severity.ERROR
    if explained.kind == "dynamic/must-be-equal" and (not broken.at_points or all(dial.guessed for dial in dials)):
        return Severity.NOTE  # they are equal wherever the user said so; only our own sizes are not
    kinds = {pattern.kind for _, pattern in studied.blamed.values()}
    guessed = all(dial.guessed for dial in dials)
    if not explained.by_size:
        told = bool(broken.at_points) and not guessed
        baked = explained.kind == "dynamic/baked-reshape" and any(dial.is_batch for dial in dials)
        return Severity.ERROR if told or baked else Severity.WARNING
    if kinds == {"only"}:
        # Declared dynamic, and only one size works: that is wrong whoever chose the sizes.
        return Severity.ERROR if not guessed or any(dial.is_batch for dial in dials) else Severity.WARNING
    if guessed:
        return Severity.WARNING if kinds == {"none"} else Severity.NOTE
    if broken.at_points:
        return Severity.ERROR
    # Every size that was named works. Ranges cannot say "multiples of 32 only", so keeping to them is no fault.
    return Severity.NOTE if studied.together or kinds == {"multiples"} else Severity.WARNING


def _does_not_follow(studied: Study) -> str:
    return f"does not follow {' and '.join(dial.key for dial in studied.dials)}" if studied.dials else "cannot work"


def _breaks(studied: Study) -> str:
    if not studied.dials:
        return "cannot work"
    if studied.together:
        return f"breaks where sizes differ: {', '.join(dial.key for dial in studied.together)}"
    key, (_, pattern) = next(iter(studied.blamed.items()))
    keys = " and ".join(studied.blamed)
    return {
        "only": f"works only at {key} = {pattern.size}",
        "multiples": f"is sure to work only at multiples of {pattern.size} of {keys}"
        if pattern.rounded
        else f"needs {keys} to be a multiple of {pattern.size}",
        "at-most": f"breaks for {key} above {pattern.size}",
        "at-least": f"breaks for {key} below {pattern.size}",
        "none": f"breaks at every size of {keys}",
        "unclear": f"breaks at some sizes of {keys}",
    }[pattern.kind]


def _where(label: str, setting: Setting) -> str:
    sizes = ", ".join(f"{key}={size}" for key, size in setting.items())
    return f"{label} ({sizes})" if sizes else label


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!")) else f"{text}."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _sizes(studied: Study) -> str:
    """Which sizes work, and who chose the ones that do not."""
    if not studied.blamed or not studied.searched:
        return ""
    told = [pattern.words(key) for key, (_, pattern) in studied.blamed.items() if pattern.kind != "unclear"]
    if not told:
        return ""
    joined = "; ".join(told)
    if studied.square:
        joined = f"{joined} (turned together)"
    guessed = all(dial.guessed for dial in studied.dials)
    prefix = (
        "The size that breaks was guessed by the tool, not chosen; which sizes work: "
        if guessed
        else "Which sizes work: "
    )
    return f"{prefix}{joined}."


def _ranges(studied: Study) -> tuple[Fix, ...]:
    """The nearest ranges in which the node works, ready to be applied."""
    ranges = {}
    for key, (dial, pattern) in studied.blamed.items():
        found = pattern.range_within(dial.range)
        if found is not None and found != dial.range:
            ranges[key] = found
    if not ranges:
        return ()
    told = "; ".join(_told(studied.blamed[key][0], found.min, found.opt, found.max) for key, found in ranges.items())
    multiple = next((p.size for _, p in studied.blamed.values() if p.kind == "multiples"), 0)
    extra = f" and feed only multiples of {multiple}" if multiple else ""
    return (Fix(f"Set the range of {told}{extra}.", ranges=ranges),)


def _told(dial: Dial, low: int, opt: int, high: int) -> str:
    return f"{dial.key} to {low}" if low == high else f"{dial.key} to {low}..{high} (opt {opt})"
