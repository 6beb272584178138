"""The jobs of a session: which can be started on a model, what each is given, and what it found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import msgspec

from friction_tui.model.opened import OpenedModel
from friction_tui.rules.context import CheckContext
from friction_tui.session.builder_verdict import after_build
from friction_tui.session.editing import CurrentModel
from friction_tui.vocabulary.protocol import EngineInfo, JobEnded, JobKind, JobRequest, Refused, StartJob
from friction_tui.vocabulary.recipe import Recipe

NOTHING_OPEN = Refused(what="Nothing to do it with", why="no model is open", next="Open one first.")
INSTALL_TENSORRT = "pip install 'friction-tui[cpu]' (TensorRT-RTX, builds without a GPU) or 'friction-tui[gpu]'."


def why_not(kind: JobKind, base: OpenedModel, engines: Iterable[EngineInfo]) -> Refused | None:
    """Why a job of this kind cannot be started on `base`; None when it can. A plan can only be measured."""
    file = base.file
    if file.kind not in ("onnx", "truncated") and not (file.kind == "engine" and kind is JobKind.MEASURE):
        return Refused(what=f"There is nothing to {kind}", why=file.error.rstrip("."), next="Open an ONNX model.")
    if kind is JobKind.BUILD and not any(engine.can_build for engine in engines):
        return Refused(what="There is nothing to build with", why="no TensorRT is installed", next=INSTALL_TENSORRT)
    if not base.path.is_file():
        return Refused(
            what="The model can no longer be read",
            why=f"it was moved or deleted after it was opened: {base.path}",
            next="Put the file back, or open another model.",
        )
    return None


def _limit(request: StartJob, recipe: Recipe, name: str) -> int:
    """The limit that the recipe sets to a build; 0 for none and for other jobs."""
    limit = recipe.builder.get(name) if request.kind is JobKind.BUILD else None
    return limit if isinstance(limit, int) else 0


class Jobs:
    """The running jobs, each with the model it was started on. `context` gives what a check may read of a model."""

    def __init__(
        self, folder: Path, engines: Sequence[EngineInfo], context: Callable[[CurrentModel], CheckContext]
    ) -> None:
        self._folder, self._engines, self._context = folder, engines, context
        self._started: dict[int, CurrentModel] = {}
        self._plans: list[tuple[Recipe, str]] = []
        """The plans of the builds that succeeded, and the recipe that each was built from."""

    def plan_of(self, recipe: Recipe) -> str:
        """The plan that was built last from this recipe, "" where none was."""
        wanted = recipe.at_profile(0)
        return next((plan for built, plan in reversed(self._plans) if built.at_profile(0) == wanted), "")

    def plan_to_save(self, recipe: Recipe) -> str:
        """As `plan_of`; where there is none, the plan that was built last from the same source."""
        last = next((plan for built, plan in reversed(self._plans) if built.source == recipe.source), "")
        return self.plan_of(recipe) or last

    def request(self, request: StartJob, current: CurrentModel | None) -> JobRequest | Refused:
        """What a job process needs to know, or why it cannot start."""
        if current is None:
            return NOTHING_OPEN
        refused = why_not(request.kind, current.base, self._engines)
        if refused is not None:
            return refused
        self._started[request.job] = current
        file, folder = current.base.file, self._folder / f"job-{request.job}"
        folder.mkdir(exist_ok=True)
        return JobRequest(
            job=request.job,
            kind=request.kind,
            recipe=current.recipe,
            model=str(current.base.path),
            folder=str(folder),
            point=request.point,
            runs=request.runs,
            engine=str(file.path) if file.kind == "engine" else self.plan_of(current.recipe),
            tolerance=request.tolerance,
            limit_s=float(_limit(request, current.recipe, "build_timeout") or request.limit_s),
            memory=int(_limit(request, current.recipe, "build_memory") or request.memory),
            data=request.data,
            level=request.level,
            only=request.only,
            output=request.output,
            script=request.script,
            diff=request.diff,
            cut=request.cut,
            against=request.against,
            inputs=request.inputs,
        )

    def ended(self, ended: JobEnded) -> JobEnded:
        """A job's end with its findings: what the builder said, read against the model it was given."""
        current = self._started.pop(ended.job, None)
        if current is None:
            return ended
        if ended.build is not None and ended.build.ok:
            self._plans.append((current.recipe, ended.build.engine_path))
        return msgspec.structs.replace(ended, findings=(*ended.findings, *after_build(self._context(current), ended)))
