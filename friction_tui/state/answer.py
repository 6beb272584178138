"""The session as one answer about its model: what a report is made from."""

from __future__ import annotations

from friction_tui.state.app_state import AppState, Job
from friction_tui.verdicts.answer import Answer
from friction_tui.vocabulary.protocol import GraphReady, JobEnded, Opened


def answer_of(state: AppState) -> Answer | None:
    """What was said about the present recipe, None while no model is open.

    Builds and measurements of another recipe are left out: they say nothing about this one.
    """
    recipe = state.recipe
    if recipe is None:
        return None
    over = [job for job in (*state.builds, *state.latencies) if not state.is_stale(job)]
    return Answer(
        recipe=recipe,
        hello=state.hello,
        opened=Opened(state.revision, state.summary, recipe) if state.summary is not None else None,
        exported=state.exported,
        graph=GraphReady(state.revision, state.graph) if state.graph is not None else None,
        labels=state.labels,
        checks=dict(state.checks),
        judged=None if state.stale else state.judged,
        others=state.others if state.others is not None and state.others.revision == state.revision else None,
        jobs={job.kind: _ended(job) for job in over},
        refused=state.refused,
    )


def _ended(job: Job) -> JobEnded:
    return JobEnded(
        job=job.number,
        kind=job.kind,
        seconds=job.elapsed,
        error=job.error,
        build=job.build,
        latency=job.latency,
        findings=job.findings,
    )
