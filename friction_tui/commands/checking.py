"""Headless checking: which models, what was found in them, what of it is new, and whether that fails the run."""

from __future__ import annotations

import glob
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from friction_tui.files import read_whole
from friction_tui.kinds import KINDS, file, unknown
from friction_tui.kinds import profile as kinds
from friction_tui.kinds.answered import unanswered
from friction_tui.onnx_folder import instead
from friction_tui.processes.stdio import printable
from friction_tui.report.verdict import NAME, Judged, ModelVerdict, fingerprint, shortened
from friction_tui.verdicts.side_by_side import engine_verdicts, own_label, with_others
from friction_tui.vocabulary.finding import Location, LocationKind, Severity
from friction_tui.vocabulary.protocol import CheckState, Exported, JobKind
from friction_tui.vocabulary.recipe import Profile, Recipe
from friction_tui.vocabulary.recipe.builder_options import words_of
from friction_tui.worker.headless import Answer

MODEL_SUFFIXES = (".onnx",)
"""What a folder is searched for. Other kinds of source run code or take long, so they are named one by one."""


class NothingToCheckError(Exception):
    """A path or pattern that leads to no model."""


def expand(arguments: Iterable[str]) -> list[str]:
    """Files, folders and patterns as a list of models, in a stable order, without repeats.

    A folder is searched for .onnx files at any depth, unless it is a model itself (SavedModel, Hugging Face).
    Raises NothingToCheckError for an argument that leads nowhere.
    """
    found: dict[str, None] = {}
    for argument in arguments:
        if not argument.strip():
            raise NothingToCheckError("the name of a model is empty")
        path = Path(argument)
        if path.is_dir() and not any((path / name).exists() for name in ("saved_model.pb", "config.json")):
            inside = sorted(str(file) for file in path.rglob("*") if file.suffix in MODEL_SUFFIXES and file.is_file())
            if not inside:
                raise NothingToCheckError(f"{argument}: no .onnx file in this folder. {instead(path)}")
            found |= dict.fromkeys(inside)
        elif path.exists() or not glob.has_magic(argument):
            found[argument] = None
        else:
            matched = sorted(glob.glob(argument, recursive=True))  # noqa: PTH207 - Path.glob takes no absolute pattern
            if not matched:
                raise NothingToCheckError(f"{argument}: nothing matches this pattern")
            found |= dict.fromkeys(matched)
    return list(found)


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


def refused_profile(path: str, why: str) -> ModelVerdict:
    """The verdict on a profile that breaks TensorRT's rule before any model is opened."""
    finding = kinds.INVALID.finding(
        cause=f"{why}. TensorRT takes a profile whose sizes are in order only: min <= opt <= max everywhere.",
        locations=(Location(LocationKind.PROFILE, _named(why)),),
        fixes=("Put min, opt and max of every dimension in rising order.",),
    )
    return ModelVerdict(path=path, findings=(finding,))


def _named(why: str) -> str:
    """The input (or symbol) a message about a profile quotes, else what stands before its colon."""
    quoted = re.search(r"'([^']+)'", why)
    return quoted[1] if quoted else why.split(":", maxsplit=1)[0].split("[", maxsplit=1)[0]


def only_new(verdict: ModelVerdict, baseline: frozenset[str]) -> ModelVerdict:
    """The verdict without what the baseline already knows."""
    from dataclasses import replace

    fresh = tuple(finding for finding in verdict.findings if fingerprint(verdict.path, finding) not in baseline)
    return replace(verdict, findings=fresh)


def read_baseline(path: Path) -> frozenset[str]:
    """Fingerprints of a baseline made by `as_baseline`.

    Raises ValueError naming the file when it is not a baseline, or names a kind that does not exist.
    """
    try:
        document = json.loads(read_whole(path))
        known = {str(entry["fingerprint"]): str(entry["kind"]) for entry in document["known"]}
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{path} is not a baseline of friction-tui: {error}") from error
    for kind in known.values():
        if kind not in KINDS:
            raise ValueError(f"{path}: {unknown(kind)}")
    return frozenset(known)


def as_baseline(verdicts: Sequence[ModelVerdict]) -> bytes:
    """What is known today, as the content of a baseline file."""
    known = [
        {"fingerprint": fingerprint(v.path, f), "model": v.path, "kind": f.kind, "names": list(f.names)}
        for v in verdicts
        for f in v.findings
    ]
    return (json.dumps({"schema": 1, "known": known}, indent=2, ensure_ascii=False) + "\n").encode()


def exit_code(verdicts: Sequence[ModelVerdict], fail_on: frozenset[Severity]) -> int:
    """0 nothing that counts, 1 findings that count, 2 a model that could not be judged or is not there.

    A build that ended without a result is a question without an answer: 2, whatever the baseline knows.
    """
    nothing = any(finding.kind == file.MISSING.id for one in verdicts for finding in one.findings)
    if nothing or any(one.open_question for one in verdicts):
        return 2
    return int(any(finding.severity in fail_on for verdict in verdicts for finding in verdict.findings))


def fail_on(level: str) -> frozenset[Severity]:
    """The severities that fail a run for `--fail-on` error, warn, info or never."""
    ranks = {"never": 0, "error": 1, "warn": 2, "info": 3}
    return frozenset([Severity.ERROR, Severity.WARNING, Severity.NOTE][: ranks[level]])


def _guesses(profile: Profile | None) -> tuple[str, ...]:
    if profile is None:
        return ()
    ranges = {key: f"{key} {r.min}..{r.opt}..{r.max}" for key, r in profile.ranges.items()}
    values = {key: f"{key} = {list(v.opt)}" for key, v in profile.values.items()}
    return tuple({**ranges, **values}.get(key, key)[:NAME] for key in profile.guessed)
