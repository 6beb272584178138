"""One question to a worker, without a screen: open this, judge it, maybe build it, and be gone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from friction_tui.finding import Finding
from friction_tui.protocol import (
    EXPORT_JOB,
    ConsentNeeded,
    Event,
    Findings,
    GraphReady,
    Hello,
    JobEnded,
    JobKind,
    Judged,
    Open,
    Opened,
    Refused,
    RowLabels,
    StartJob,
    WorkerDied,
)
from friction_tui.recipe import Recipe
from friction_tui.worker.client import WorkerClient


@dataclass(slots=True)
class Answer:
    """Everything the worker said about one model. `refused` or `died` is set when it could not be judged."""

    recipe: Recipe
    hello: Hello | None = None
    opened: Opened | None = None
    graph: GraphReady | None = None
    labels: list[str] = field(default_factory=list)
    checks: dict[str, Findings] = field(default_factory=dict)
    judged: Judged | None = None
    job: JobEnded | None = None
    refused: Refused | None = None
    consent: ConsentNeeded | None = None
    died: WorkerDied | None = None

    @property
    def findings(self) -> list[Finding]:
        """The verdict, with what a build found."""
        return [*(self.judged.findings if self.judged else ()), *(self.job.findings if self.job else ())]

    @property
    def failure(self) -> str:
        """Why there is no verdict, in words; "" when there is one."""
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
            case GraphReady():
                self.graph = event
            case RowLabels():
                self.labels = event.labels
            case Findings():
                self.checks[event.check] = event
            case Judged():
                self.judged = event
            case JobEnded() if event.job != EXPORT_JOB:
                self.job = event
            case Refused():
                self.refused = event
            case ConsentNeeded():
                self.consent = event
            case WorkerDied():
                self.died = event
            case _:
                pass


async def ask(
    recipe: Recipe,
    *,
    allow_code: bool = False,
    job: JobKind | None = None,
    until_labels: bool = False,
    on_event: Callable[[Event], None] = lambda _: None,
    on_finished: Callable[[Answer], None] = lambda _: None,
    command: Sequence[str] | None = None,
) -> Answer:
    """Open `recipe` in a fresh worker and wait for the verdict, and for `job` after it when one is given.

    `allow_code` answers the question for consent with yes. `on_finished` is called before the worker ends.
    """
    answer = Answer(recipe)
    over = asyncio.Event()

    def hear(event: Event) -> None:
        answer.take(event)
        on_event(event)
        match event:
            case ConsentNeeded() if allow_code:
                client.send(Open(revision=1, recipe=event.recipe))
            case ConsentNeeded() | WorkerDied():
                over.set()
            case Judged() if job is not None and answer.opened is not None:
                client.send(StartJob(job=1, kind=job))
            case Judged() if not until_labels or answer.opened is None:
                over.set()
            case JobEnded() if event.job != EXPORT_JOB:
                over.set()
            case RowLabels() if until_labels:
                over.set()
            case Refused() if answer.judged is None:
                over.set()

    client = WorkerClient(hear, command)
    await client.start()
    client.send(Open(revision=1, recipe=recipe))
    try:
        await over.wait()
        on_finished(answer)
    finally:
        await client.close()
    return answer


async def ask_all(
    recipes: Sequence[Recipe],
    *,
    parallel: int,
    allow_code: bool = False,
    job: JobKind | None = None,
    on_answer: Callable[[Answer], None] = lambda _: None,
) -> list[Answer]:
    """Judge many models, `parallel` workers at a time; answers in the order of `recipes`."""
    free = asyncio.Semaphore(parallel)

    async def one(recipe: Recipe) -> Answer:
        async with free:
            answer = await ask(recipe, allow_code=allow_code, job=job)
            on_answer(answer)
            return answer

    return list(await asyncio.gather(*(one(recipe) for recipe in recipes)))
