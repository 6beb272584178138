"""The build panel: the running build against the last ones, its result, log, kernels, and all builds so far."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.timer import Timer

from friction_tui.state.app_state import AppState, Job, NoticeLevel
from friction_tui.ui.builds import history as build_history
from friction_tui.ui.builds import views as build_views
from friction_tui.ui.dialogs.path_prompt import PathPrompt
from friction_tui.ui.dialogs.text_screen import TextScreen
from friction_tui.ui.lines_panel import SearchedLines
from friction_tui.ui.look.lines import Line, Span, paragraph
from friction_tui.ui.look.pace import chart_seconds
from friction_tui.ui.panel import Ask, Reveal, Say
from friction_tui.vocabulary.protocol import JobKind, Kernel, LogLevel, LogLine, SaveEngine

VIEWS = ("result", "log", "kernels", "history")
TITLE_WIDTH = 58
"""Columns from which all views are named in the title."""


class BuildPanel(SearchedLines):
    """Left and right choose the view. `/` searches the log and the kernels, `v` chooses the log's levels."""

    DEFAULT_CSS = "BuildPanel { scrollbar-gutter: stable; }"
    NAME = "Build"
    READS = frozenset({"jobs", "findings", "recipe", "summary", "hello", "ascii"})
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "view(-1)", "View", show=False, id="build.view-left", tooltip="Result, log, kernels, history"),
        Binding("right", "view(1)", "View", show=False, id="build.view-right", tooltip="Result, log, kernels, history"),
        Binding("v", "levels", "Levels", show=False, id="build.levels", tooltip="Errors only, … , the verbose log"),
        Binding("s", "save", "Save engine", show=False, id="build.save", tooltip="Save the engine to a file"),
    ]

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.clock: Callable[[], float] = time.monotonic
        self.view = VIEWS[0]
        self._levels = 3
        """How many of `LEVELS` are shown."""
        self._past: tuple[build_history.BuildRecord, ...] = ()
        self._kept: set[int] = set()
        self._heard = 0.0
        self._timer: Timer | None = None

    # ------------------------------------------------------------------------------------------ state

    def on_mount(self) -> None:
        """The clock runs only while a build does: TensorRT itself is silent for most of it."""
        super().on_mount()
        self._timer = self.set_interval(chart_seconds(), self._tick, pause=True)

    def on_resize(self) -> None:
        """The title has as many words as fit."""
        self.border_title = self.title()
        super().on_resize()

    def state_changed(self, before: AppState) -> None:
        """Remember finished builds; start and stop the clock."""
        if self.state.summary is not before.summary and not self.state.builds:
            recipe = self.state.recipe
            self._past = build_history.load(build_history.history_file(recipe)) if recipe is not None else ()
            self._kept = set()
        self._remember()
        if self._timer is not None:
            running = self.state.running(JobKind.BUILD)
            self._heard = self.clock()
            (self._timer.resume if running else self._timer.pause)()
        follow = self.view == "log" and (not self._spans or self._cursor == len(self._spans) - 1)
        super().state_changed(before)
        if follow and self._spans:
            self._go(len(self._spans) - 1)

    def _remember(self) -> None:
        if self.state.summary is None:
            return
        for job in self.state.builds:
            record = None if job.number in self._kept else build_history.record_of(job, self.state.summary)
            self._kept.add(job.number)
            if record is not None:
                try:
                    build_history.add(build_history.history_file(job.recipe), record)
                except OSError as error:
                    self.post_message(Say(f"this build was not added to the history: {error}", NoticeLevel.WARNING))

    def _tick(self) -> None:
        if self.view == "result":
            self.border_title = self.title()
            self.rebuild()

    @property
    def _job(self) -> Job | None:
        builds = [job for job in self.state.jobs if job.kind is JobKind.BUILD]
        return self.state.running(JobKind.BUILD) or self.state.of_present(builds)

    @property
    def _comparable(self) -> list[build_history.BuildRecord]:
        if self.state.summary is None:
            return []
        made = [build_history.record_of(job, self.state.summary) for job in self.state.builds]
        return build_history.comparable((*self._past, *(record for record in made if record)), self.state.summary)

    def _elapsed(self, job: Job) -> float:
        return job.elapsed + (self.clock() - self._heard if job.running else 0.0)

    # ---------------------------------------------------------------------------------------- drawing

    def title(self) -> str:
        """`Build #3 ─ ▸result · log · kernels · history`, the view shown being marked."""
        job, mark = self._job, ">" if self.state.ascii else "▸"
        names = (" | " if self.state.ascii else " · ").join(
            f"{mark}{view}" if view == self.view else view for view in VIEWS
        )
        if self.size.width < TITLE_WIDTH:
            names = f"< {self.view} >" if self.state.ascii else f"◂ {self.view} ▸"
        if job is None:
            return f"{self.NAME} ─ {names}"
        state = "running" if job.running else "stale" if self.state.is_stale(job) else ""
        return f"{self.NAME} #{job.nth}{' ' + state if state else ''} ─ {names}"

    def lines(self, width: int) -> list[Line]:
        """The chosen view."""
        ascii_only, job = self.state.ascii, self._job
        if self.view == "history":
            made = build_views.history(self.state.builds, self._past, width, ascii_only=ascii_only)
            return made or paragraph("no build of this model yet", width, "muted")
        if job is None:
            return self._none(width)
        if self.view == "log":
            levels = frozenset(build_views.LEVELS[: self._levels])
            made = build_views.log(job.lines, levels, self.sought, ascii_only=ascii_only)
            shown = f"{build_views.LEVELS[self._levels - 1]} and worse" if self._levels < 4 else "everything"
            return [self._filter(f"{shown}, v changes"), *(made or paragraph("no such line", width, "muted"))]
        if self.view == "kernels":
            found = job.build.kernels if job.build is not None else ()
            made = build_views.kernels(found, self.sought, width, ascii_only=ascii_only)
            if not found:
                return paragraph("kernels are known after a successful build", width, "muted")
            return [self._filter(f"{len(found)} kernels"), *(made or paragraph("no such kernel", width, "muted"))]
        past = [record for record in self._comparable if not (job.build and record.recipe is job.recipe)]
        known = () if self.state.is_stale(job) else self.state.findings
        lines = build_views.result(job, self.state.recipe, known, width, ascii_only=ascii_only)
        lines += build_views.phases(job, past, self._elapsed(job), ascii_only=ascii_only)
        if job.running:
            lines += self._newest(job)
        elif job.build is not None and job.build.engine_path:
            lines += paragraph("saves the engine; it is temporary until then", width, "muted", indent=(("s ", "key"),))
        return lines

    def _newest(self, job: Job) -> list[Line]:
        lines = [Line((("Esc", "key"), (" cancels", "muted")))]
        said = next((line for line in reversed(job.lines) if line.level is not LogLevel.VERBOSE), None)
        newest = build_views.log([said], frozenset(build_views.LEVELS), "", ascii_only=self.state.ascii) if said else []
        return [*lines, *(replace(line, key=None) for line in newest)]

    def _none(self, width: int) -> list[Line]:
        hello = self.state.hello
        builder = next((engine for engine in hello.engines if engine.can_build), None) if hello is not None else None
        if hello is not None and builder is None:
            why = "; ".join(f"{engine.label}: {engine.why_not}" for engine in hello.engines if engine.why_not)
            return paragraph(f"nothing here can build an engine{': ' + why if why else ''}", width, "warning")
        if self.state.summary is not None and not self.state.summary.nodes:
            return paragraph("nothing to build: there is no graph in this file", width, "muted")
        by = f" with {builder.label}" if builder is not None else ""
        lines = paragraph(f"no build yet; b builds{by}, B rebuilds after every edit", width, "muted")
        past = self._comparable
        return [*lines, *(paragraph(build_history.estimate(past, 0), width, "muted") if past else [])]

    def _filter(self, about: str) -> Line:
        spans: list[Span] = (
            [(f"only with “{self.sought}”", "note")] if self.sought else [("/", "key"), (" searches", "muted")]
        )
        return Line(tuple(spans), ((about, "muted"),))

    # ---------------------------------------------------------------------------------------- actions

    def action_view(self, step: int) -> None:
        """Another view."""
        self.show_view(VIEWS[(VIEWS.index(self.view) + step) % len(VIEWS)])

    def show_view(self, view: str) -> None:
        """Show one of `VIEWS`, from its start; the log from its end."""
        self.view, self._cursor = view, 0
        self.border_title = self.title()
        self.rebuild()
        self.scroll_to(y=0, animate=False, force=True, immediate=True)
        if view == "log" and self._spans:
            self._go(len(self._spans) - 1)

    def action_levels(self) -> None:
        """Errors only, then warnings too, then information, then everything."""
        self._levels = self._levels % len(build_views.LEVELS) + 1
        self.show_view("log")

    def search(self, text: str) -> str:
        """Show only the lines or kernels with this text; from the result or the history, those of the log."""
        if text.strip() and self.view not in ("log", "kernels"):
            self.show_view("log")
        self.sought = text.strip()
        self.rebuild()
        return super().search(text)

    def action_choose(self) -> None:
        """A log line in full; the first ONNX node of a kernel in the graph; a build compared with the newest."""
        key = self.cursor_key
        if isinstance(key, LogLine):
            self.app.push_screen(
                TextScreen(f"{key.level}, {key.t:.2f} s", lambda width: paragraph(key.text, width, "code"))
            )
        elif isinstance(key, Kernel):
            self._reveal(key)
        elif isinstance(key, int):
            self.compare(key)

    def _reveal(self, kernel: Kernel) -> None:
        graph = self.state.graph
        found = graph is not None and next(
            (p for n, p in zip(graph.names, graph.paths, strict=True) if n in kernel.onnx_nodes), ""
        )
        if found:
            self.post_message(Reveal(found))
        else:
            self.post_message(Say(f"{kernel.name} has no node of its own in the graph", NoticeLevel.INFO))

    def compare(self, number: int | None = None) -> None:
        """Compare build `number`, or the last but one, with the newest."""
        from friction_tui.ui.builds.diff import diff_screen

        builds = self.state.builds
        newest = builds[-1] if builds else None
        chosen = (
            next((job for job in builds if job.number == number), None)
            if number
            else (builds[-2] if len(builds) > 1 else None)
        )
        if chosen is None or newest is None or chosen is newest:
            self.post_message(
                Say("there is no other build of this session to compare with", NoticeLevel.INFO, "b builds")
            )
            return
        self.app.push_screen(diff_screen(chosen, newest, ascii_only=self.state.ascii))

    def action_save(self) -> None:
        """Ask where to, and save the engine of the present recipe, or the newest."""
        job = self.state.of_present([job for job in self.state.builds if job.build and job.build.engine_path])
        if job is None:
            self.post_message(Say("there is no engine to save", NoticeLevel.WARNING, "b builds one"))
            return
        proposed = Path(job.recipe.source.path).with_suffix(".engine")
        stale = " It is stale: the recipe has changed since." if self.state.is_stale(job) else ""
        question = f"Save the engine of build #{job.nth}.{stale}"
        self.app.push_screen(PathPrompt(question, proposed), self._save)

    def _save(self, path: Path | None) -> None:
        if path is not None:
            self.post_message(Ask(SaveEngine(path=str(path))))
