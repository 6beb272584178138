"""The open model under its recipe: the source is opened, edits are applied, and every state is judged."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from friction_tui.drawing.order import with_order
from friction_tui.engines.engine import Parses
from friction_tui.engines.found import deciding, parser
from friction_tui.kinds import READING_SIZES
from friction_tui.model.graph_data import graph_data
from friction_tui.model.opened import OpenedModel, open_model
from friction_tui.model.shapes.inference import leave_out_native
from friction_tui.model.shapes.shape_table import ShapeTable
from friction_tui.model.shapes.symbolic import infer_symbolic, known_symbolic
from friction_tui.model.summary import summarize
from friction_tui.plugin_libraries import agreed
from friction_tui.processes.child import Stopped
from friction_tui.rewrites.apply import RecipeRefused
from friction_tui.rewrites.edited import edited
from friction_tui.rules.context import CheckContext, context_for
from friction_tui.session.asking import ParserQuestion, ProfileFreeResults, Stop, without_profile
from friction_tui.session.exporting import READ_AS_THEY_ARE, LocatedModel, consent, export, understood
from friction_tui.session.first_look import FirstLook
from friction_tui.session.judging import Judgement, compile_in_background, judge, report_from_table
from friction_tui.session.lost import remaining, with_others
from friction_tui.session.opening import complete, row_labels
from friction_tui.session.sent_files import NoWeights, SentFiles
from friction_tui.sources.consent import fingerprint
from friction_tui.sources.target import NotASource
from friction_tui.vocabulary.finding import Finding, Tier
from friction_tui.vocabulary.protocol import (
    Apply,
    ConsentNeeded,
    EngineInfo,
    Event,
    GraphData,
    GraphReady,
    LostStep,
    Open,
    Opened,
    Refused,
    RowLabels,
    StepsLost,
    Verified,
)
from friction_tui.vocabulary.recipe import Precision, Recipe, Rewrite, Source, SourceKind
from friction_tui.vocabulary.recipe.export_sizes import Limits, why_export_again


def edits(recipe: Recipe) -> Recipe:
    """The recipe as far as it edits the ONNX model. An exported source is exported at its opset instead."""
    converted = recipe.opset if recipe.source.kind in READ_AS_THEY_ARE else None
    kept = recipe.keep_float32 if recipe.precision in (Precision.FP16, Precision.BF16) else ()
    return Recipe(
        source=recipe.source,
        opset=converted,
        precision=recipe.precision,
        keep_float32=kept,
        rewrites=recipe.rewrites,
    )


def same_export(recipe: Recipe, other: Recipe) -> bool:
    """Whether both ask for the same export, the sizes apart. The kind of a source may still have to be worked out."""
    try:
        return exports(understood(recipe)) == exports(other) != ()
    except NotASource:
        return False


def exports(recipe: Recipe) -> tuple[object, ...]:
    """The part of a recipe that decides what an export gives; empty for a source that needs none."""
    if recipe.source.kind in READ_AS_THEY_ARE:
        return ()
    agreed_apart = msgspec.structs.replace(recipe.source, consent_hash="")
    return agreed_apart, recipe.opset, recipe.export


@dataclass(frozen=True, slots=True)
class CurrentModel:
    """The open model: as the source gave it, and as the recipe makes it.

    `asked` is the whole recipe, `recipe` the part of it that the model allows.
    """

    base: OpenedModel
    model: OpenedModel
    recipe: Recipe
    table: ShapeTable
    asked: Recipe
    lost: tuple[LostStep, ...] = ()


class Editing:
    """Opens a source and applies edits; what comes of it is emitted.

    `folder` is a directory for temporary results. `looked` is a model that was read already; it is used when that is
    what is opened first.
    """

    def __init__(
        self,
        emit: Callable[[Event], None],
        folder: Path,
        engines: Sequence[EngineInfo],
        looked: FirstLook | None = None,
    ) -> None:
        self._emit, self._folder, self._engines, self._looked = emit, folder, engines, looked
        self.watched: tuple[Path, ...] = ()
        """The files the open model came from."""
        self.exporting = False
        """Whether an export runs now."""
        self.source: Source | None = None
        """What was opened last, whether or not a model came of it."""
        self.current: CurrentModel | None = None
        self._kept: ProfileFreeResults | None = None
        self._graph: GraphData | None = None
        self._drawn = True
        self._labels: list[str] = []
        self._export_findings: list[Finding] = []
        self._failed: Recipe | None = None
        """What the last export was asked, when it gave no model."""
        self._ever_lost: set[Rewrite | str] = set()
        """Steps of the recipe that did not apply when the model was opened; an undo may bring them back."""
        self._background = False
        """Whether kernels are compiled in the background once a verdict stands."""
        self.files = SentFiles(emit)
        self._newest: tuple[int, Recipe] | None = None
        """Revision and recipe that were asked for last."""
        self._limits: Limits = {}
        """The sizes that the open model was exported for."""

    def context(self, current: CurrentModel) -> CheckContext:
        """What a check may read of a model under its recipe."""
        return self._context_of(current.model, current.recipe, current.table)

    def _context_of(self, model: OpenedModel, recipe: Recipe, table: ShapeTable) -> CheckContext:
        return context_for(self._engine, model, recipe, table)

    def open(self, request: Open, stop: Stop, because: str = "") -> None:
        """Open the recipe's source, exporting it first where it is not ONNX yet, and judge it.

        What was open stays until the new model is there; a failed export leaves it and tells its findings. `because` is
        why an edit exports.
        """
        sent = self.files.where(request.recipe.source.path)
        if sent is not None:
            source = msgspec.structs.replace(request.recipe.source, kind=SourceKind.ONNX)
            request = msgspec.structs.replace(request, recipe=msgspec.structs.replace(request.recipe, source=source))
        self._newest = request.revision, request.recipe
        leave_out_native(request.careful)
        self._drawn = request.drawn
        self._background = request.kernels
        try:
            allowed = consent(request.revision, understood(request.recipe), keep=request.remember)
        except NotASource as error:
            self._emit(Refused(what=error.what, why=error.why, next=error.hint, revision=request.revision))
            return
        if isinstance(allowed, ConsentNeeded):
            self._emit(allowed)
            return
        origin = self._export(request.revision, allowed, stop, because)
        if sent is not None:
            origin = replace(origin, path=Path(sent.stored), files=(Path(sent.stored),))
        if stop():
            return
        if origin.unagreed and fingerprint(allowed.source) != allowed.source.consent_hash:
            self.open(request, stop, "it imports more than was agreed to")
            return
        judgement = self._judgement(request.revision, stop)
        judgement.by_check["export"] = self._export_findings = list(origin.findings)
        self.watched = origin.files
        self._failed = allowed if origin.path is None else None
        if origin.path is None:
            judgement.finish()
            return
        looked, self._looked = self._looked, None
        if looked is None or looked.model.path != origin.path:
            looked = None
        hollow = sent is not None and sent.light
        base, self._limits = looked.model if looked else open_model(origin.path, hollow=hollow), origin.limits
        unedited = msgspec.structs.replace(origin.recipe, rewrites=(), opset=None, precision=Precision.AS_EXPORTED)
        weights = dict.fromkeys(file.path for file in base.external if not file.escapes)
        self.watched = origin.files or (base.path, *weights)
        self.current = CurrentModel(base, base, unedited, ShapeTable(base, unedited.profile), unedited)
        self._show(base, request.revision, looked)
        if edits(unedited) == edits(origin.recipe):
            self._ask_parser(judgement, base, origin.recipe)
        recipe = complete(base, origin.recipe)  # takes its time on a large graph, which is on the screen by now
        self._newest = request.revision, recipe
        self._emit(Opened(revision=request.revision, summary=summarize(base), recipe=recipe))
        self._ever_lost.clear()
        self._judge(judgement, recipe, just_opened=True)

    def _export(self, revision: int, recipe: Recipe, stop: Stop, because: str) -> LocatedModel:
        self.source, self.exporting = recipe.source, True
        try:
            return export(revision, recipe, self._folder, self._emit, stop, because)
        finally:
            self.exporting = False

    def apply(self, request: Apply, stop: Stop) -> None:
        """Judge again after an edit. An edit that cannot be applied is refused and leaves everything as it was."""
        self._newest = request.revision, request.recipe
        if self._failed is not None and same_export(request.recipe, self._failed):
            self._apply_without_export(request, stop, self._failed)
            return
        if self.current is None and self.source is not None and exports(request.recipe):
            self.open(self._reopening(request), stop)  # other inputs may help
            return
        if self.current is None:
            nothing = "There is nothing to change"
            self._emit(Refused(nothing, why="no model is open", next="Open one first.", revision=request.revision))
            return
        if exports(request.recipe) != exports(self.current.recipe):
            self.open(self._reopening(request), stop)
            return
        because = self._why_export_again(request.recipe)
        if because:
            self.open(self._reopening(request), stop, f"exporting again: {because}")
            return
        judgement = self._judgement(request.revision, stop)
        judgement.by_check["export"] = self._export_findings
        self._judge(judgement, request.recipe)

    def _apply_without_export(self, request: Apply, stop: Stop, failed: Recipe) -> None:
        """An edit of what does not decide the export that failed. Ranges do when it failed at one, and only then."""
        about_sizes = any(found.tier is Tier.SHAPES or found.kind in READING_SIZES for found in self._export_findings)
        if about_sizes and request.recipe.profile != failed.profile:
            because = "exporting again: the export failed at the sizes asked for, and these have changed"
            self.open(self._reopening(request), stop, because)
            return
        if self._why_export_again(request.recipe) != self._why_export_again(failed):
            because = "exporting again: other sizes are to be free than in the export that failed"
            self.open(self._reopening(request), stop, because)
            return
        judgement = self._judgement(request.revision, stop)
        judgement.by_check["export"] = self._export_findings
        if self.current is None:
            judgement.finish()
        else:
            self._judge(judgement, request.recipe)

    def _why_export_again(self, recipe: Recipe) -> str:
        if self.current is None:
            return ""
        return why_export_again(summarize(self.current.base).inputs, recipe, self._limits)

    def _judge(self, judgement: Judgement, recipe: Recipe, *, just_opened: bool = False) -> None:
        assert self.current is not None
        try:
            self._fill(self.current, recipe, judgement.stop)
        except Stopped:
            return
        except NoWeights as error:
            why = "Try again once the other machine can be reached."
            self._emit(Refused("The edit needs the weights", str(error), why, revision=judgement.revision))
            return
        revision, lost = judgement.revision, self.current.lost
        try:
            current = self._edited(self.current, recipe, judgement.stop, just_opened=just_opened)
        except Stopped:
            return
        except RecipeRefused as error:
            self._emit(Refused(error.what, error.why, error.next_step, error.location, revision))
            return
        if current.model is not self.current.model:
            self._show(current.model, revision)
        self.current, recipe = current, current.recipe
        if current.lost or lost:
            self._emit(StepsLost(revision, current.lost))
        kept = self._kept
        asks = self._parser(recipe) is not None
        other = kept is None or kept.asks != asks or (asks and kept.libraries != agreed(recipe))
        if kept is None or kept.model is not current.model or other:
            kept = self._ask_parser(judgement, current.model, recipe)
        self._kept = kept = kept.under(recipe)
        context = self.context(current)
        if judge(judgement, context, kept, lambda: self._label(revision, current)) is not None:
            self._verify(revision, current, judgement.stop)
            self._name_dims(revision, current, judgement.stop)
            if judgement.background:
                compiling = (judgement, context, kept)
                threading.Thread(target=compile_in_background, args=compiling, name="kernels", daemon=True).start()

    def again(self) -> Apply | None:
        """The request to judge once more what was judged last."""
        return Apply(*self._newest) if self._newest is not None else None

    def _fill(self, current: CurrentModel, recipe: Recipe, stop: Stop) -> None:
        """Take the weights of a model that was sent without them, once they are there; an edit waits for them."""
        if not current.base.hollow:
            return
        source = current.recipe.source.path
        sent = self.files.where(source)
        if sent is None or (sent.light and edits(recipe) == edits(current.asked)):
            return
        base = open_model(self.files.whole(source, stop))
        self.watched = (base.path, *dict.fromkeys(file.path for file in base.external if not file.escapes))
        table = ShapeTable(base, current.recipe.profile)
        self.current, self._kept = replace(current, base=base, model=base, table=table), None

    def _reopening(self, request: Apply) -> Open:
        return Open(revision=request.revision, recipe=request.recipe, kernels=self._background)

    def _judgement(self, revision: int, stop: Stop) -> Judgement:
        return Judgement(revision, self._emit, stop, background=self._background)

    def _ask_parser(self, judgement: Judgement, model: OpenedModel, recipe: Recipe) -> ProfileFreeResults:
        """Begin what is asked once of a model, and say what the operator table knows meanwhile."""
        if self._kept is not None and self._kept.question is not None:
            self._kept.question.forget()
        asked = self._parser(recipe)
        question = ParserQuestion(asked, model, agreed(recipe)) if asked is not None else None
        self._kept = ProfileFreeResults(model, without_profile(recipe), question)
        if question is not None:
            report_from_table(judgement, self._context_of(model, recipe, ShapeTable(model, recipe.profile)))
        return self._kept

    def _parser(self, recipe: Recipe) -> Parses | None:
        return parser(self._engine) if recipe.parse else None

    def _label(self, revision: int, current: CurrentModel) -> None:
        if self._graph is None:
            return
        self._labels = row_labels(current.model, self._graph, current.table)
        self._emit(RowLabels(revision=revision, labels=self._labels))

    def _edited(self, current: CurrentModel, recipe: Recipe, stop: Stop, *, just_opened: bool) -> CurrentModel:
        """The model and its shapes under `recipe`, keeping what the edit does not touch.

        A step that the model does not allow is left out if it came with the source that was just opened, from a saved
        session, a file, or from before an export; RecipeRefused where it is a new edit.
        """
        if edits(recipe) == edits(current.asked):
            model, lost = current.model, current.lost
        else:
            model, lost = self._without_lost(current.base, recipe, stop, just_opened=just_opened)
        same = model is current.model and recipe.profile == current.recipe.profile
        table = current.table if same else ShapeTable(model, recipe.profile)
        return CurrentModel(current.base, model, remaining(recipe, lost), table, recipe, lost)

    def _without_lost(
        self, base: OpenedModel, recipe: Recipe, stop: Stop, *, just_opened: bool
    ) -> tuple[OpenedModel, tuple[LostStep, ...]]:
        found: list[LostStep] = []
        while True:
            out = self._folder / "edited.onnx"
            asked = edits(remaining(recipe, found))
            try:
                model = edited(base, asked, out, weak_types=self._weak_types, stop=stop)
            except RecipeRefused as error:
                steps: set[Rewrite | str] = {error.rewrite} if error.rewrite is not None else set(error.kept)
                if not steps or not (just_opened or steps <= self._ever_lost):
                    raise
                self._ever_lost |= steps
                found += [LostStep(error.why, rewrite=step) for step in steps if isinstance(step, Rewrite)]
                found += [LostStep(error.why, kept=step) for step in error.kept]
            else:
                return model, tuple(with_others(model, step) for step in found)

    def with_rewrite(self, current: CurrentModel, rewrite: Rewrite, stop: Stop) -> OpenedModel:
        """The model with one more rewrite, which it does not keep.

        Raises RecipeRefused where it does not apply, Stopped when `stop` says so.
        """
        recipe = current.recipe
        if rewrite in recipe.rewrites:
            return current.model
        recipe = msgspec.structs.replace(recipe, rewrites=(*recipe.rewrites, rewrite))
        out = self._folder / "preview.onnx"
        return edited(current.base, edits(recipe), out, weak_types=self._weak_types, stop=stop)

    def _name_dims(self, revision: int, current: CurrentModel, stop: Stop) -> None:
        """Send the labels again with sizes as expressions of the input symbols, where some are left as ranges."""
        if known_symbolic(current.model) or not any(".." in label for label in self._labels):
            return
        with contextlib.suppress(Stopped):
            if infer_symbolic(current.model, stop):
                table = ShapeTable(current.model, current.recipe.profile)
                self.current = current = replace(current, table=table)
                self._label(revision, current)

    def _verify(self, revision: int, current: CurrentModel, stop: Stop) -> None:
        """Say whether the rewrites keep the results, after the verdict: it takes longer than judging."""
        names = tuple(rewrite.name for rewrite in current.recipe.rewrites)
        if not names:
            return
        from friction_tui.rewrites.verifying import verification_of

        with contextlib.suppress(Stopped):
            verification = verification_of(current.base, current.recipe, stop)
            if verification is not None:
                self._emit(
                    Verified(revision=revision, rewrites=names, holds=verification.holds, text=str(verification))
                )

    def _show(self, model: OpenedModel, revision: int, looked: FirstLook | None = None) -> None:
        if not self._drawn:
            return
        why = "" if model.file.kind == "onnx" else model.file.error
        self._graph = looked.graph if looked and looked.graph else with_order(graph_data(model))
        if looked is None or looked.shown_for != revision:
            self._emit(GraphReady(revision=revision, graph=self._graph, open_file_only=why))

    @property
    def _engine(self) -> EngineInfo | None:
        return deciding(self._engines)

    @property
    def _weak_types(self) -> bool:
        return bool(self._engine and self._engine.weak_types)
