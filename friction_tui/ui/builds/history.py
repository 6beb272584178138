"""What earlier builds of a model took, kept between sessions so that a running build has an honest estimate.

A record belongs to a model by path and by size: a retrained model is comparable, another architecture is not.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from friction_tui.files import write_whole
from friction_tui.locations import state_dir
from friction_tui.state.app_state import Job
from friction_tui.vocabulary.protocol import ModelSummary, Phase
from friction_tui.vocabulary.recipe import Recipe
from friction_tui.vocabulary.units import seconds_text

KEPT = 50
"""Builds remembered for one model."""


class BuildRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One finished build. `ended` in seconds since the epoch, sizes in bytes."""

    ended: float
    seconds: float
    source: str
    ok: bool
    nodes: int
    weights_bytes: int
    recipe: Recipe
    phases: tuple[Phase, ...] = ()
    engine_bytes: int | None = None
    activation_bytes: tuple[int, ...] = ()


def history_file(recipe: Recipe) -> Path:
    """Where the builds of this source are kept."""
    full = str(Path(recipe.source.path).absolute()) + recipe.source.factory
    stem = Path(recipe.source.path).stem or "model"
    return state_dir() / "builds" / f"{stem}-{hashlib.sha256(full.encode()).hexdigest()[:8]}.json"


def record_of(job: Job, summary: ModelSummary) -> BuildRecord | None:
    """What is worth remembering of a build; None for one that was cancelled, gave nothing or was taken from a cache."""
    if job.build is None or job.cancelled or job.build.reused:
        return None
    return BuildRecord(
        ended=time.time(),
        seconds=job.build.seconds,
        source=job.build.source,
        ok=job.build.ok,
        nodes=summary.nodes,
        weights_bytes=summary.weights_bytes,
        recipe=job.recipe,
        phases=job.build.phases,
        engine_bytes=job.build.engine_bytes,
        activation_bytes=job.build.activation_bytes,
    )


def load(path: Path) -> tuple[BuildRecord, ...]:
    """The builds kept in a file, oldest first; a missing or damaged file holds none, it is only an estimate."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=tuple[BuildRecord, ...])
    except (OSError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ()


def add(path: Path, record: BuildRecord) -> tuple[BuildRecord, ...]:
    """Remember one more build; returns all that are kept. OSError where the state directory cannot be written."""
    kept = (*load(path), record)[-KEPT:]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, msgspec.json.encode(kept))
    return kept


def comparable(records: tuple[BuildRecord, ...], summary: ModelSummary) -> list[BuildRecord]:
    """The successful builds of a model of the same size, newest last."""
    return [r for r in records if r.ok and (r.nodes, r.weights_bytes) == (summary.nodes, summary.weights_bytes)]


class Timed(Protocol):
    """Something that took a while, phase by phase. `seconds` in all."""

    @property
    def seconds(self) -> float:
        """From start to end."""

    @property
    def phases(self) -> tuple[Phase, ...]:
        """In the order they began."""


def estimate(records: Sequence[Timed], elapsed: float, what: str = "build") -> str:
    """What the past says about a build that has run for `elapsed` seconds; never a percentage."""
    if not records:
        return f"first {what} of this model: no estimate"
    times = [record.seconds for record in records[-5:]]
    low, high = min(times), max(times)
    took = (
        seconds_text(low) if seconds_text(low) == seconds_text(high) else f"{seconds_text(low)} to {seconds_text(high)}"
    )
    builds = f"last {what} took" if len(times) == 1 else f"last {len(times)} {what}s took"
    if elapsed > high:
        return f"longer than before: {builds} {took}"
    return f"{builds} {took}"


def last_seconds(records: Sequence[Timed], phase: str) -> float | None:
    """How long a phase took in the newest build that had it."""
    for record in reversed(records):
        for past in record.phases:
            if past.name == phase and past.seconds is not None:
                return past.seconds
    return None
