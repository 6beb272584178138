"""Which rewrites fit the problems that were found: added to the findings as fixes that the tool carries out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
import onnx

from friction_tui.kinds import KINDS
from friction_tui.model.opened import OpenedModel
from friction_tui.model.weightless import weightless
from friction_tui.processes.begin import command
from friction_tui.processes.child import run
from friction_tui.processes.locks import temporary_folder
from friction_tui.vocabulary.finding import Finding, Severity, Tier

REFUSALS = (Tier.PARSER, Tier.BUILDER)
LIMIT_S = 20.0
"""Seconds that trying rewrites may take; a model of 1,000 nodes takes about one."""


class Asked(msgspec.Struct, frozen=True):
    """What the child is asked: which rewrites fit `findings` of the model at `path`."""

    path: str
    findings: tuple[Finding, ...]


def may_be_mended(finding: Finding) -> bool:
    """Whether any rewrite could fit, from the finding alone."""
    refused = finding.tier in REFUSALS and finding.severity is Severity.ERROR
    return bool(KINDS[finding.kind].rewrites) or (refused and bool(finding.node_paths))


def offered(model: OpenedModel, findings: Sequence[Finding], *, stop: Callable[[], bool]) -> list[Finding]:
    """`with_offers` in a child process, which onnx's native code may take down or keep busy.

    The findings as they are where that happens or LIMIT_S is over. Raises Stopped when `stop` says so.
    """
    if not any(map(may_be_mended, findings)):
        return list(findings)
    with temporary_folder("offers") as folder:
        path = folder / "offers.onnx"
        onnx.save(weightless(model.proto, path.parent, model.path.parent), str(path))
        question = msgspec.json.encode(Asked(str(path), tuple(findings)))
        done = run(command("friction_tui.rewrites.offering"), question, stop=stop, limit_s=LIMIT_S)
    return msgspec.json.decode(done.out, type=list[Finding]) if done.code == 0 else list(findings)
