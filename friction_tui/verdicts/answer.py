"""Everything that was said about one model, whoever asked: one question of a command, or a session on the screen."""

from __future__ import annotations

from dataclasses import dataclass, field

from friction_tui.verdicts.after_build import with_build
from friction_tui.vocabulary.finding import Finding, fix_first
from friction_tui.vocabulary.protocol import (
    EXPORT_JOB,
    BuildResult,
    ConsentNeeded,
    Event,
    Exported,
    Findings,
    GraphReady,
    Hello,
    JobEnded,
    JobKind,
    Judged,
    Opened,
    OtherVerdicts,
    Refused,
    RowLabels,
    StepsLost,
    WorkerDied,
)
from friction_tui.vocabulary.recipe import Recipe


@dataclass(slots=True)
class Answer:
    """Everything the worker said about one model. `refused` or `died` is set when it could not be judged."""

    recipe: Recipe
    hello: Hello | None = None
    opened: Opened | None = None
    exported: Exported | None = None
    graph: GraphReady | None = None
    labels: list[str] = field(default_factory=list)
    checks: dict[str, Findings] = field(default_factory=dict)
    judged: Judged | None = None
    others: OtherVerdicts | None = None
    jobs: dict[JobKind, JobEnded] = field(default_factory=dict)
    refused: Refused | None = None
    consent: ConsentNeeded | None = None
    died: WorkerDied | None = None
    late: float = 0.0
    """The limit in seconds within which the worker did not come to an end; 0 when it did."""

    @property
    def findings(self) -> list[Finding]:
        """The verdict, or as much of it as there is, with what a build found."""
        known = [finding for check in self.checks.values() for finding in check.findings]
        listed = list(self.judged.findings if self.judged else fix_first(known))
        for ended in self.jobs.values():
            listed = with_build(listed, ended.build, ended.findings)
        return listed

    @property
    def build(self) -> BuildResult | None:
        """What the build gave, if one was asked for and came to a result."""
        ended = self.jobs.get(JobKind.BUILD)
        return ended.build if ended else None

    @property
    def job_error(self) -> str:
        """Why a job gave no result, "" when none failed."""
        return next((ended.error for ended in self.jobs.values() if ended.error), "")

    @property
    def failure(self) -> str:
        """Why there is no verdict, or not all of it, in words; "" when there is one."""
        if self.late:
            return f"it took longer than {self.late:g} s and was ended (--timeout)"
        if self.could_run:
            return ""
        if self.consent:
            return f"{self.consent.runs}. Nothing was run; agree with --allow-code if you trust it"
        if self.refused:
            return f"{self.refused.what}: {self.refused.why}. {self.refused.next}".strip()
        if self.died:
            return f"the worker died: {self.died.why}\n{self.died.last_words}".strip()
        return "the worker gave no verdict"

    @property
    def could_run(self) -> bool:
        """Whether there is a verdict at all."""
        return self.judged is not None

    def take(self, event: Event) -> None:
        """Keep what an event says."""
        match event:
            case Hello():
                self.hello = event
            case Opened():
                self.opened, self.recipe, self.consent = event, event.recipe, None
            case Exported():
                self.exported = event
            case GraphReady():
                self.graph = event
            case RowLabels():
                self.labels = event.labels
            case Findings():
                self.checks[event.check] = event
            case Judged():
                self.judged = event
            case OtherVerdicts():
                self.others = event
            case JobEnded() if event.job != EXPORT_JOB:
                self.jobs[event.kind] = event
            case Refused():
                self.refused = event
            case StepsLost() if event.lost:  # without a person to decide, nothing is judged that was not asked for
                first = event.lost[0]
                self.refused = Refused(f"{first.name} does not apply any more", first.why, "Correct friction.toml.")
            case ConsentNeeded():
                self.consent = event
            case WorkerDied():
                self.died = event
            case _:
                pass
