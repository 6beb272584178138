"""One question to a worker, without a screen: open this, judge it, maybe build it, and be gone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from friction_tui.plugin_libraries import with_agreement
from friction_tui.verdicts.answer import Answer
from friction_tui.vocabulary.protocol import (
    EXPORT_JOB,
    AskOthers,
    ConsentNeeded,
    Event,
    Forecast,
    Forecasted,
    JobEnded,
    JobKind,
    Judged,
    Open,
    OtherVerdicts,
    Refused,
    Request,
    RowLabels,
    StartJob,
    StepsLost,
    WorkerDied,
)
from friction_tui.vocabulary.recipe import Profile, Recipe
from friction_tui.worker.client import Process, WorkerClient

_Told = TypeVar("_Told")
JobMaker = Callable[[int, JobKind], StartJob]
"""A job's number and kind to the request that starts it."""


def _plain(number: int, kind: JobKind) -> StartJob:
    return StartJob(job=number, kind=kind)


class Conversation:
    """A worker that is asked about one model after another; it starts with the first question.

    A model that kills it takes nobody else's answer with it: the next question starts a new one. Graphs come with the
    answers if they are to be `drawn`. `early` is a worker that was started already.
    """

    def __init__(
        self,
        command: Sequence[str] | None = None,
        *,
        allow_code: bool = False,
        drawn: bool = True,
        early: Process | None = None,
    ) -> None:
        self._command, self._allow_code, self._drawn, self._early = command, allow_code, drawn, early
        self._also: tuple[str, ...] = ()
        self._client: WorkerClient | None = None
        self._revision = self._job = 0
        self._agreed: set[str] = set()
        self._hear: Callable[[Event], None] = lambda _: None
        self._job_request: JobMaker = _plain

    async def ask(
        self,
        recipe: Recipe,
        *,
        jobs: Sequence[JobKind] = (),
        job_request: JobMaker = _plain,
        also: Sequence[str] = (),
        on_event: Callable[[Event], None] = lambda _: None,
        limit_s: float | None = None,
    ) -> Answer:
        """Open `recipe`, wait for the verdict, and for `jobs` after it, one after the other.

        `also` are the interpreters of other environments whose TensorRT is asked in between. The worker is ended after
        `limit_s` seconds; the answer has what it said until then.
        """
        answer, over = Answer(recipe), asyncio.Event()
        self._revision += 1
        self._agreed.clear()
        revision = self._revision

        def hear(event: Event) -> None:
            if getattr(event, "revision", revision) not in (revision, 0):
                return  # a late word about the model before
            answer.take(event)
            on_event(event)
            if self._is_over(event, answer, jobs):
                over.set()

        self._hear, self._job_request, self._also = hear, job_request, tuple(also)
        client = await self._worker()
        recipe = with_agreement(recipe) if self._allow_code else recipe
        client.send(Open(revision=revision, recipe=recipe, drawn=self._drawn))
        try:
            await asyncio.wait_for(over.wait(), limit_s)
        except TimeoutError:
            assert limit_s is not None
            answer.late = limit_s
        if answer.died or answer.late:
            await self.close()
        return answer

    async def put(self, request: Request, kind: type[_Told]) -> _Told:
        """The first event of `kind` after `request`, which is about the model that was asked about last.

        Raises ValueError when the worker refuses it or dies.
        """
        client, told = await self._worker(), asyncio.get_running_loop().create_future()

        def hear(event: Event) -> None:
            if told.done():
                return
            if isinstance(event, kind):
                told.set_result(event)
            elif isinstance(event, Refused):
                told.set_exception(ValueError(f"{event.what}: {event.why}"))
            elif isinstance(event, WorkerDied):
                told.set_exception(ValueError(f"the worker died: {event.why}"))

        self._hear = hear
        client.send(request)
        answer: _Told = await told
        return answer

    async def close(self) -> None:
        """End the worker."""
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _worker(self) -> WorkerClient:
        if self._client is None:
            self._client = WorkerClient(self._heard, self._command, self._early)
            self._early = None
            await self._client.start()
        return self._client

    def _heard(self, event: Event) -> None:
        self._hear(event)

    def _is_over(self, event: Event, answer: Answer, jobs: Sequence[JobKind]) -> bool:
        """Whether nothing more is to come, after sending on what the question needs next."""
        assert self._client is not None
        match event:
            case ConsentNeeded() if self._allow_code and event.sha256 not in self._agreed:
                self._agreed.add(event.sha256)  # asked again about the very same code, the answer changes nothing
                self._client.send(Open(revision=self._revision, recipe=event.recipe, drawn=self._drawn))
                return False
            case Judged():
                return event.complete and (answer.opened is None or not self._start_next(answer, jobs))
            case JobEnded():
                return event.job != EXPORT_JOB and not self._start_next(answer, jobs)
            case OtherVerdicts():
                return event.complete and not self._start_next(answer, jobs)
            case StepsLost():
                return answer.refused is not None
            case Refused():
                return answer.judged is None or bool(
                    self._also and (answer.others is None or not answer.others.complete)
                )
            case WorkerDied():
                return not event.restarted  # the next one judges the model with more care
        return isinstance(event, ConsentNeeded)

    def _start_next(self, answer: Answer, jobs: Sequence[JobKind]) -> bool:
        """Ask the other environments, then start the first of `jobs` that did not end yet; False when all is done."""
        if self._also and answer.others is None:
            assert self._client is not None
            self._client.send(AskOthers(self._revision, self._also))
            return True
        kind = next((kind for kind in jobs if kind not in answer.jobs), None)
        if kind is None:
            return False
        assert self._client is not None
        self._job += 1
        self._client.send(self._job_request(self._job, kind))
        return True


async def ask(
    recipe: Recipe,
    *,
    allow_code: bool = False,
    jobs: Sequence[JobKind] = (),
    job_request: JobMaker = _plain,
    on_event: Callable[[Event], None] = lambda _: None,
    on_finished: Callable[[Answer], None] = lambda _: None,
    command: Sequence[str] | None = None,
) -> Answer:
    """Ask a fresh worker one question. `allow_code` answers the question for consent with yes.

    `on_finished` is called while the worker and its temporary files still exist.
    """
    conversation = Conversation(command, allow_code=allow_code)
    try:
        answer = await conversation.ask(recipe, jobs=jobs, job_request=job_request, on_event=on_event)
        on_finished(answer)
    finally:
        await conversation.close()
    return answer


async def forecast(
    recipe: Recipe, question: Callable[[Profile], Forecast], *, allow_code: bool = False
) -> tuple[Answer, Forecasted | None]:
    """What a fresh worker predicts of a model's memory, without waiting for any verdict; None when it does not open.

    `question` is made from the profile that the model was opened with.
    """
    answer, over = Answer(recipe), asyncio.Event()
    found: list[Forecasted] = []

    def hear(event: Event) -> None:
        asked = bool(answer.labels) or answer.judged is not None
        answer.take(event)
        match event:
            case RowLabels() | Judged() if not asked:  # by then the recipe's edits are made and its sizes are chosen
                client.send(question(answer.recipe.profile or Profile()))
            case Forecasted():
                found.append(event)
                over.set()
            case ConsentNeeded() if allow_code:
                client.send(Open(revision=1, recipe=event.recipe))
            case ConsentNeeded() | Refused() | StepsLost():
                over.set()
            case WorkerDied() if not event.restarted:
                over.set()
            case _:
                pass

    client = WorkerClient(hear)
    await client.start()
    try:
        client.send(Open(revision=1, recipe=recipe))
        await over.wait()
    finally:
        await client.close()
    return answer, found[0] if found else None


async def ask_all(
    recipes: Sequence[Recipe],
    *,
    parallel: int,
    allow_code: bool = False,
    jobs: Sequence[JobKind] = (),
    job_request: JobMaker = _plain,
    also: Sequence[Sequence[str]] = (),
    on_begin: Callable[[int], None] = lambda _: None,
    on_event: Callable[[int, Event], None] = lambda _, __: None,
    on_answer: Callable[[int, Answer], None] = lambda _, __: None,
    limit_s: float | None = None,
    early: Process | None = None,
) -> list[Answer]:
    """Judge many models with `parallel` workers; answers in the order of `recipes`.

    `also` are the interpreters of other environments to ask, for each of `recipes`. One model may take
    `limit_s` seconds. What happens is told with the number of the recipe.
    """
    answers: dict[int, Answer] = {}
    waiting = iter(enumerate(recipes))

    async def work_through(early: Process | None = None) -> None:
        conversation = Conversation(allow_code=allow_code, drawn=False, early=early)
        try:
            for number, recipe in waiting:
                asked = also[number] if also else ()
                on_begin(number)
                answers[number] = await conversation.ask(
                    recipe,
                    jobs=jobs,
                    job_request=job_request,
                    also=asked,
                    on_event=partial(on_event, number),
                    limit_s=limit_s,
                )
                on_answer(number, answers[number])
        finally:
            await conversation.close()

    others = (work_through() for _ in range(min(parallel, len(recipes)) - 1))
    await asyncio.gather(work_through(early), *others)
    return [answers[number] for number in range(len(recipes))]
