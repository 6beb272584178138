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
from friction_tui.onnx_folder import instead
from friction_tui.report.verdict import ModelVerdict, fingerprint
from friction_tui.vocabulary.finding import Location, LocationKind, Severity

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
