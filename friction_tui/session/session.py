"""One debugging session: opens a source, applies a recipe, has it judged, answers questions about it.

Recipe in, events out; it keeps nothing that source and recipe do not give back. Used by the worker only, from
its judging thread (`open`, `apply`) and its answering thread (everything else).
"""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from friction_tui import __version__
from friction_tui.drawing.order import with_order
from friction_tui.engines.found import found
from friction_tui.measure.gpu_memory import NvmlMeter
from friction_tui.model.graph_data import graph_data
from friction_tui.model.inspect import initializer_stats, node_detail
from friction_tui.model.memory import forecast
from friction_tui.model.opened import OpenedModel, open_model, summarize
from friction_tui.model.shapes.shape_table import ShapeTable
from friction_tui.model.shapes.symbolic import infer_symbolic, known_symbolic
from friction_tui.processes.child import Stopped
from friction_tui.rewrites.apply import RecipeRefused
from friction_tui.rewrites.edited import edited
from friction_tui.rewrites.proving import proof_of
from friction_tui.rules.context import CheckContext
from friction_tui.rules.engine.builder import build_findings
from friction_tui.session.asking import ParserQuestion, ProfileFreeResults, Stop, without_profile
from friction_tui.session.edits import edits, exports, same_export
from friction_tui.session.exporting import Origin, consent, export, understood
from friction_tui.session.first_look import FirstLook
from friction_tui.session.jobs import NOTHING_OPEN, why_not
from friction_tui.session.judging import Judgement, judge, report_from_table
from friction_tui.session.opening import complete, row_labels
from friction_tui.session.other_engines import ask_others
from friction_tui.session.saving import save_engine, save_model
from friction_tui.session.source_text import source_text
from friction_tui.sources.target import NotASource
from friction_tui.vocabulary.finding import Finding, Tier, fix_first
from friction_tui.vocabulary.protocol import (
    Apply,
    AskOthers,
    ConsentNeeded,
    Detail,
    EngineInfo,
    Event,
    Forecasted,
    GraphData,
    GraphReady,
    Hello,
    JobEnded,
    JobRequest,
    Open,
    Opened,
    Proved,
    Refused,
    RowLabels,
    Saved,
    SourceText,
    StartJob,
    Stats,
)
from friction_tui.vocabulary.recipe import Precision, Profile, Recipe, Source
from friction_tui.vocabulary.recipe.export_sizes import Limits, why_export_again


@dataclass(frozen=True, slots=True)
class Current:
    """The model on the table: as the source gave it, and as the recipe makes it."""

    base: OpenedModel
    model: OpenedModel
    recipe: Recipe
    table: ShapeTable


class Session:
    """The open model and what was done with it. `folder` is a directory for temporary results.

    `looked` is a model that was read already; it is used when that is what is opened first.
    """

    def __init__(self, emit: Callable[[Event], None], folder: Path, looked: FirstLook | None = None) -> None:
        self._emit, self._folder, self._looked = emit, folder, looked
        self._engines = found()
        self.watched: tuple[Path, ...] = ()
        """The files the open model came from."""
        self.exporting = False
        """Whether an export runs now."""
        self._source: Source | None = None
        """What was opened last, whether or not a model came of it."""
        self._current: Current | None = None
        self._kept: ProfileFreeResults | None = None
        self._graph: GraphData | None = None
        self._labels: list[str] = []
        self._export_findings: list[Finding] = []
        self._failed: Recipe | None = None
        """What the last export was asked, when it gave no model."""
        self._limits: Limits = {}
        """The sizes that the open model was exported for."""
        self._engine_path = ""
        self._jobs: dict[int, Current] = {}

    # ------------------------------------------------------------------------------------ opening, editing

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

    def open(self, request: Open, stop: Stop, because: str = "") -> None:
        """Open the recipe's source, exporting it first where it is not ONNX yet, and judge it.

        What was open stays until the new model is there; a failed export leaves it and tells its findings. `because` is
        why an edit exports.
        """
        try:
            allowed = consent(request.revision, understood(request.recipe), keep=request.remember)
        except NotASource as error:
            self._emit(Refused(what=error.what, why=error.why, next=error.hint, revision=request.revision))
            return
        if isinstance(allowed, ConsentNeeded):
            self._emit(allowed)
            return
        origin = self._export(request.revision, allowed, stop, because)
        if stop():
            return
        judgement = Judgement(request.revision, self._emit, stop)
        judgement.by_check["export"] = self._export_findings = list(origin.findings)
        self.watched = origin.files
        self._failed = allowed if origin.path is None else None
        if origin.path is None:
            judgement.finish()
            return
        looked, self._looked = self._looked, None
        if looked is None or looked.model.path != origin.path:
            looked = None
        base, self._limits = looked.model if looked else open_model(origin.path), origin.limits
        unedited = msgspec.structs.replace(origin.recipe, rewrites=(), opset=None, precision=Precision.AS_EXPORTED)
        weights = dict.fromkeys(file.path for file in base.external if not file.escapes)
        self.watched = origin.files or (base.path, *weights)
        self._current = Current(base, base, unedited, ShapeTable(base, unedited.profile))
        self._show(base, request.revision, looked)
        if edits(unedited) == edits(origin.recipe):
            self._ask_parser(judgement, base, origin.recipe)
        recipe = complete(base, origin.recipe)  # takes its time on a large graph, which is on the screen by now
        self._emit(Opened(revision=request.revision, summary=summarize(base), recipe=recipe))
        self._judge(judgement, recipe)

    def _export(self, revision: int, recipe: Recipe, stop: Stop, because: str) -> Origin:
        self._source, self.exporting = recipe.source, True
        try:
            return export(revision, recipe, self._folder, self._emit, stop, because)
        finally:
            self.exporting = False

    def apply(self, request: Apply, stop: Stop) -> None:
        """Judge again after an edit. An edit that cannot be applied is refused and leaves everything as it was."""
        if self._failed is not None and same_export(request.recipe, self._failed):
            self._apply_without_export(request, stop, self._failed)
            return
        if self._current is None and self._source is not None and exports(request.recipe):
            self.open(Open(revision=request.revision, recipe=request.recipe), stop)  # other inputs may help
            return
        if self._current is None:
            nothing = "There is nothing to change"
            self._emit(Refused(nothing, why="no model is open", next="Open one first.", revision=request.revision))
            return
        if exports(request.recipe) != exports(self._current.recipe):
            self.open(Open(revision=request.revision, recipe=request.recipe), stop)
            return
        because = self._why_export_again(request.recipe)
        if because:
            self.open(Open(revision=request.revision, recipe=request.recipe), stop, f"exporting again: {because}")
            return
        judgement = Judgement(request.revision, self._emit, stop)
        judgement.by_check["export"] = self._export_findings
        self._judge(judgement, request.recipe)

    def _apply_without_export(self, request: Apply, stop: Stop, failed: Recipe) -> None:
        """An edit of what does not decide the export that failed. Ranges do when it failed at one, and only then."""
        about_sizes = any(found.tier is Tier.SHAPES or "/dim-" in found.kind for found in self._export_findings)
        if about_sizes and request.recipe.profile != failed.profile:
            because = "exporting again: the export failed at the sizes asked for, and these have changed"
            self.open(Open(revision=request.revision, recipe=request.recipe), stop, because)
            return
        if self._why_export_again(request.recipe) != self._why_export_again(failed):
            because = "exporting again: other sizes are to be free than in the export that failed"
            self.open(Open(revision=request.revision, recipe=request.recipe), stop, because)
            return
        judgement = Judgement(request.revision, self._emit, stop)
        judgement.by_check["export"] = self._export_findings
        if self._current is None:
            judgement.finish()
        else:
            self._judge(judgement, request.recipe)

    def _why_export_again(self, recipe: Recipe) -> str:
        if self._current is None:
            return ""
        return why_export_again(summarize(self._current.base).inputs, recipe, self._limits)

    def _judge(self, judgement: Judgement, recipe: Recipe) -> None:
        assert self._current is not None
        revision = judgement.revision
        try:
            current = self._edited(self._current, recipe, judgement.stop)
        except Stopped:
            return
        except RecipeRefused as error:
            self._emit(Refused(error.what, error.why, error.next_step, error.location, revision))
            return
        if current.model is not self._current.model:
            self._show(current.model, revision)
        self._current = current
        kept = self._kept
        if kept is None or kept.model is not current.model or kept.asks != self._asks(recipe):
            kept = self._ask_parser(judgement, current.model, recipe)
        self._kept = kept = kept.under(recipe)
        context = self._case(current.model, recipe, current.table)
        if judge(judgement, context, kept, lambda: self._label(revision, current)) is not None:
            self._prove(revision, current, judgement.stop)
            self._name_dims(revision, current, judgement.stop)

    def _ask_parser(self, judgement: Judgement, model: OpenedModel, recipe: Recipe) -> ProfileFreeResults:
        """Begin what is asked once of a model, and say what the operator table knows meanwhile."""
        if self._kept is not None and self._kept.question is not None:
            self._kept.question.forget()
        question = ParserQuestion(model) if self._asks(recipe) else None
        self._kept = ProfileFreeResults(model, without_profile(recipe), question)
        if question is not None:
            report_from_table(judgement, self._case(model, recipe, ShapeTable(model, recipe.profile)))
        return self._kept

    def _asks(self, recipe: Recipe) -> bool:
        return self._tensorrt is not None and recipe.parse

    def _case(self, model: OpenedModel, recipe: Recipe, table: ShapeTable) -> CheckContext:
        engine = self._tensorrt
        label, rtx = (engine.label, "RTX" in engine.label) if engine else ("", True)
        return CheckContext(model, recipe, table, None, label, rtx)

    def _label(self, revision: int, current: Current) -> None:
        assert self._graph is not None
        self._labels = row_labels(current.model, self._graph, current.table)
        self._emit(RowLabels(revision=revision, labels=self._labels))

    def _edited(self, current: Current, recipe: Recipe, stop: Stop) -> Current:
        """The model and its shapes under `recipe`, keeping what the edit does not touch."""
        if edits(recipe) == edits(current.recipe):
            model = current.model
        else:
            out = self._folder / "edited.onnx"
            model = edited(current.base, edits(recipe), out, weak_types=self._weak_types, stop=stop)
        same = model is current.model and recipe.profile == current.recipe.profile
        table = current.table if same else ShapeTable(model, recipe.profile)
        return Current(current.base, model, recipe, table)

    def _name_dims(self, revision: int, current: Current, stop: Stop) -> None:
        """Send the labels again with sizes as expressions of the input symbols, where some are left as ranges."""
        if known_symbolic(current.model) or not any(".." in label for label in self._labels):
            return
        with contextlib.suppress(Stopped):
            if infer_symbolic(current.model, stop):
                table = ShapeTable(current.model, current.recipe.profile)
                self._current = current = replace(current, table=table)
                self._label(revision, current)

    def _prove(self, revision: int, current: Current, stop: Stop) -> None:
        """Say whether the rewrites keep the results, after the verdict: it takes longer than judging."""
        names = tuple(rewrite.name for rewrite in current.recipe.rewrites)
        with contextlib.suppress(Stopped):
            proof = proof_of(current.base, current.recipe, stop)
            if proof is not None:
                self._emit(Proved(revision=revision, rewrites=names, holds=proof.holds, text=str(proof)))

    def _show(self, model: OpenedModel, revision: int, looked: FirstLook | None = None) -> None:
        why = "" if model.file.kind == "onnx" else model.file.error
        self._graph = looked.graph if looked else with_order(graph_data(model))
        if looked is None or looked.shown_for != revision:
            self._emit(GraphReady(revision=revision, graph=self._graph, open_file_only=why))

    @property
    def _tensorrt(self) -> EngineInfo | None:
        return next((engine for engine in self._engines if engine.name.startswith("TensorRT")), None)

    @property
    def _weak_types(self) -> bool:
        return bool(self._tensorrt and "int8" in self._tensorrt.precisions)

    # ------------------------------------------------------------------------------------------ questions

    def inspect(self, path: str) -> Detail:
        """Everything about one node."""
        current = self._current
        return Detail(path=path, node=node_detail(current.model, current.table, path) if current else None)

    def ask_others(self, request: AskOthers, stop: Stop) -> None:
        """Put the model to the TensorRT of other environments, until `stop` or another model."""
        current = self._current
        if current is None:
            self._emit(NOTHING_OPEN)
            return
        context = self._case(current.model, current.recipe, current.table)
        asked = current.model

        def over() -> bool:
            return stop() or self._current is None or self._current.model is not asked

        ask_others(context, request.pythons, request.revision, self._emit, over)

    def initializer(self, name: str) -> Stats | Refused:
        """Statistics of one initializer's values."""
        if self._current is None:
            return NOTHING_OPEN
        return Stats(initializer_stats(self._current.model, name))

    def source(self, file: str) -> SourceText:
        """A Python file of the model's project, with the nodes that its lines made."""
        model = self._current.model if self._current else None
        return source_text(file, model, self._source, self.watched)

    def forecast(self, key: str) -> Forecasted:
        """Activation memory along a dimension, predicted."""
        current = self._current
        if current is None:
            return Forecasted(None, "no model is open")
        try:
            return Forecasted(forecast(current.model, current.recipe.profile or Profile(), key))
        except ValueError as error:
            return Forecasted(None, str(error))

    def serialized(self) -> tuple[str, bytes]:
        """The model as the recipe makes it: (file name, bytes), external weights not included."""
        if self._current is None:
            raise ValueError("no model is open")
        model = self._current.model
        return model.path.name, model.proto.SerializeToString()

    def save_model(self, path: Path) -> Saved | Refused:
        """Write the model with the recipe applied; weights in external files come along as they were."""
        return save_model(self._current.base, self._current.model, path) if self._current else NOTHING_OPEN

    def save_engine(self, path: Path) -> Saved | Refused:
        """Copy the last built plan to `path`."""
        return save_engine(self._engine_path, path)

    # ----------------------------------------------------------------------------------------------- jobs

    def job_request(self, request: StartJob) -> JobRequest | Refused:
        """What a job process needs to know, or why it cannot start."""
        if self._current is None:
            return NOTHING_OPEN
        refused = why_not(request.kind, self._current.base, self._engines)
        if refused is not None:
            return refused
        self._jobs[request.job] = self._current
        file, folder = self._current.base.file, self._folder / f"job-{request.job}"
        folder.mkdir(exist_ok=True)
        return JobRequest(
            job=request.job,
            kind=request.kind,
            recipe=self._current.recipe,
            model=str(self._current.base.path),
            folder=str(folder),
            point=request.point,
            runs=request.runs,
            engine=str(file.path) if file.kind == "engine" else self._engine_path,
            tolerance=request.tolerance,
            data=request.data,
            level=request.level,
            only=request.only,
            output=request.output,
            script=request.script,
            diff=request.diff,
            cut=request.cut,
        )

    def job_ended(self, ended: JobEnded) -> JobEnded:
        """A job's end with its findings: what the builder said, read against the model it was given."""
        current = self._jobs.pop(ended.job, None)
        if current is None or ended.build is None:
            return ended
        if ended.build.ok:
            self._engine_path = ended.build.engine_path
        context = self._case(current.model, current.recipe, current.table)
        return msgspec.structs.replace(ended, findings=tuple(fix_first(build_findings(context, ended.build))))

    def close(self) -> None:
        """Forget everything."""
        self._current = None
