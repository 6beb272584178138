"""One debugging session: a model that is opened, edited and judged; answers to questions about it; jobs on it.

Recipe in, events out; it keeps nothing that source and recipe do not give back. Used by the worker only, from
its judging thread (`open`, `apply`) and its answering thread (everything else).

What answers a question is imported when the question comes: most models are judged and asked nothing.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from pathlib import Path

from friction_tui import __version__
from friction_tui.engines.found import found
from friction_tui.measure.gpu_memory import NvmlMeter
from friction_tui.processes.child import Stopped
from friction_tui.rewrites.apply import RecipeRefused
from friction_tui.rules.shapes.dimensions import Dimensions
from friction_tui.session.asking import Stop
from friction_tui.session.editing import Editing
from friction_tui.session.first_look import FirstLook
from friction_tui.session.jobs import NOTHING_OPEN, Jobs
from friction_tui.vocabulary.protocol import (
    Apply,
    AskOthers,
    Detail,
    Event,
    Forecast,
    Forecasted,
    Hello,
    JobEnded,
    JobRequest,
    Open,
    Preview,
    Previewed,
    Refused,
    Saved,
    Sent,
    SourceText,
    StartJob,
    Stats,
    WidestFound,
)
from friction_tui.vocabulary.recipe import Profile


class Session:
    """The open model and what was done with it. `folder` is a directory for temporary results.

    `looked` is a model that was read already; it is used when that is what is opened first.
    """

    def __init__(self, emit: Callable[[Event], None], folder: Path, looked: FirstLook | None = None) -> None:
        self._emit = emit
        self._engines = found()
        self._editing = Editing(emit, folder, self._engines, looked)
        self._jobs = Jobs(folder, self._engines, self._editing.context)

    @property
    def watched(self) -> tuple[Path, ...]:
        """The files the open model came from."""
        return self._editing.watched

    @property
    def exporting(self) -> bool:
        """Whether an export runs now."""
        return self._editing.exporting

    def hello(self) -> Hello:
        """Who is here, which engines and GPUs it has."""
        meter = NvmlMeter()
        return Hello(
            version=__version__,
            pid=os.getpid(),
            machine=platform.node(),
            engines=self._engines,
            gpus=meter.names,
            no_gpu=meter.why_not,
        )

    def open(self, request: Open, stop: Stop) -> None:
        """Open the recipe's source and judge it."""
        self._editing.open(request, stop)

    def apply(self, request: Apply, stop: Stop) -> None:
        """Judge again after an edit."""
        self._editing.apply(request, stop)

    def inspect(self, path: str) -> Detail:
        """Everything about one node."""
        from friction_tui.model.inspect import node_detail

        current = self._editing.current
        return Detail(path=path, node=node_detail(current.model, current.table, path) if current else None)

    def ask_others(self, request: AskOthers, stop: Stop) -> None:
        """Put the model to the TensorRT of other environments, until `stop` or another model."""
        from friction_tui.session.other_engines import ask_others

        current = self._editing.current
        if current is None:
            self._emit(NOTHING_OPEN)
            return
        context = self._editing.context(current)
        asked = current.model

        def over() -> bool:
            return stop() or self._editing.current is None or self._editing.current.model is not asked

        ask_others(context, request.pythons, request.revision, self._emit, over)

    def preview(self, request: Preview, stop: Stop) -> Previewed | None:
        """What one more rewrite would change in the model; None when `stop` said yes before that was known."""
        from friction_tui.model.graph_diff import model_diff

        current = self._editing.current
        if current is None:
            return Previewed(request.revision, request.rewrite, why_not="no model is open")
        if current.base.hollow:
            why = "the weights are not on this machine yet; applying it fetches them"
            return Previewed(request.revision, request.rewrite, why_not=why)
        try:
            model = self._editing.with_rewrite(current, request.rewrite, stop)
        except RecipeRefused as error:
            return Previewed(request.revision, request.rewrite, why_not=f"{error.what}: {error.why}")
        except Stopped:
            return None
        return Previewed(request.revision, request.rewrite, model_diff(current.model.proto, model.proto))

    def initializer(self, name: str) -> Stats | Refused:
        """Statistics of one initializer's values."""
        from friction_tui.model.initializer_stats import initializer_stats

        current = self._editing.current
        return Stats(initializer_stats(current.model, name)) if current is not None else NOTHING_OPEN

    def source(self, file: str) -> SourceText:
        """A Python file of the model's project, with the nodes that its lines made."""
        from friction_tui.session.source_text import source_text

        current = self._editing.current
        model = current.model if current is not None else None
        return source_text(file, model, self._editing.source, self._editing.watched)

    def forecast(self, request: Forecast) -> Forecasted:
        """Memory along a dimension, predicted, and the largest size that fits each budget."""
        from friction_tui.model.memory import forecast

        current = self._editing.current
        if current is None:
            return Forecasted(None, "no model is open")
        try:
            profile = current.recipe.profile or Profile()
            return Forecasted(forecast(current.model, profile, request.key, request.budgets, request.at))
        except ValueError as error:
            return Forecasted(None, str(error))

    def widest(self, key: str) -> WidestFound:
        """The widest range of a dimension in which the shapes work."""
        from friction_tui.rules.shapes.widest import widest

        current = self._editing.current
        if current is None or current.recipe.profile is None:
            return WidestFound(key, None, "no model with a profile is open")
        dimensions = Dimensions(current.model, current.recipe.profile)
        if key not in dimensions.all:
            return WidestFound(key, None, "no free size of the model is called that")
        return widest(dimensions, key)

    def serialized(self) -> tuple[str, bytes]:
        """The model as the recipe makes it: (file name, bytes), external weights not included."""
        current = self._editing.current
        if current is None:
            raise ValueError("no model is open")
        model = current.model
        return model.path.name, model.proto.SerializeToString()

    def save_model(self, path: Path) -> Saved | Refused:
        """Write the model with the recipe applied; weights in external files come along as they were."""
        from friction_tui.session.saving import save_model

        current = self._editing.current
        return save_model(current.base, current.model, path) if current is not None else NOTHING_OPEN

    def save_script(self, path: Path) -> Saved | Refused:
        """Write a script that repeats the recipe's edits, and run it to see that it does."""
        from friction_tui.session.saving import save_script

        current = self._editing.current
        return save_script(current.base, current.model, path, current.recipe) if current is not None else NOTHING_OPEN

    def save_engine(self, path: Path) -> Saved | Refused:
        """Copy the plan of the present recipe to `path`; where there is none, the last one that was built."""
        from friction_tui.session.saving import save_engine

        current = self._editing.current
        return save_engine(self._jobs.plan_to_save(current.recipe) if current is not None else "", path)

    @property
    def hollow(self) -> bool:
        """Whether the open model's weights are still on the machine that it was sent from."""
        current = self._editing.current
        return current is not None and current.base.hollow

    def sent(self, sent: Sent) -> None:
        """The terminal has sent a file, or its weights."""
        self._editing.files.take(sent)

    def again(self) -> Apply | None:
        """The request to judge once more what was judged last; None before anything was."""
        return self._editing.again()

    def fetch_weights(self, stop: Stop) -> Apply | None:
        """Wait for the open model's weights; the request that then has it judged with them.

        Raises Stopped and NoWeights.
        """
        current = self._editing.current
        if current is not None and current.base.hollow:
            self._editing.files.whole(current.recipe.source.path, stop)
        return self._editing.again()

    def job_request(self, request: StartJob) -> JobRequest | Refused:
        """What a job process needs to know, or why it cannot start."""
        return self._jobs.request(request, self._editing.current)

    def job_ended(self, ended: JobEnded) -> JobEnded:
        """A job's end with its findings."""
        return self._jobs.ended(ended)

    def close(self) -> None:
        """Forget everything."""
        self._editing.current = None
