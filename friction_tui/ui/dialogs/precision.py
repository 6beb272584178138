"""The search for nodes that must stay float32: how far it is, what it found, and Enter to keep it in the recipe."""

from __future__ import annotations

from typing import ClassVar

import msgspec
from textual.binding import Binding, BindingType

from friction_tui.report.precision import cells, summary
from friction_tui.state.app_state import AppState, Job
from friction_tui.ui.dialogs.choice import ChoiceScreen
from friction_tui.ui.look.lines import Line, paragraph
from friction_tui.ui.panel import Begin, Cancel, Edit, Reveal
from friction_tui.vocabulary.protocol import JobKind, PrecisionResult
from friction_tui.vocabulary.recipe import Precision, Recipe
from friction_tui.vocabulary.recipe.changes import changes
from friction_tui.vocabulary.units import seconds_text

TRIES_SHOWN = 8
COLUMN = 12
"""Cells of an error or an amount."""


class PrecisionScreen(ChoiceScreen):
    """Starts the search. Escape cancels it while it runs; Enter on a node shows it in the graph."""

    KEYS = "Enter chooses   Esc cancels, leaves"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "leave", "Leave", show=False, id="precision.leave", tooltip="Cancel the search and leave"),
    ]

    def __init__(self, state: AppState) -> None:
        self.state = state
        self._before = max((job.number for job in state.jobs), default=-1)
        super().__init__("What must stay float32", self._lines, "keep", state=state)

    def on_mount(self) -> None:
        """Begin."""
        self.post_message(Begin(JobKind.PRECISION))

    def state_changed(self, before: AppState) -> None:  # noqa: ARG002
        """Show how far it is."""
        self._list.rebuild(keep="keep" if self._list.cursor_key is None else None)

    @property
    def _job(self) -> Job | None:
        """The search this dialog began."""
        mine = [job for job in self.state.jobs if job.kind is JobKind.PRECISION and job.number > self._before]
        return mine[-1] if mine else None

    def _lines(self, width: int) -> list[Line]:
        job = self._job
        if job is None:
            return paragraph("starting", width, "muted")
        if job.running:
            return self._under_way(job, width)
        if job.precision is None:
            return paragraph(job.error or "cancelled: nothing was changed", width, "error" if job.error else "muted")
        return self._found(job.precision, job.recipe, width)

    def _under_way(self, job: Job, width: int) -> list[Line]:
        phase = next((phase.name for phase in reversed(job.phases) if phase.seconds is None), "start")
        lines = [Line(((f"{phase}  ", "strong"), (seconds_text(job.elapsed), "note")))]
        tries = job.lines[-TRIES_SHOWN:]
        return [*lines, *(line for tried in tries for line in paragraph(tried.text, width, "muted"))]

    def _found(self, found: PrecisionResult, recipe: Recipe, width: int) -> list[Line]:
        first, *rest = summary(found)
        lines = paragraph(first, width, "strong" if found.kept else "good")
        lines += [line for text in rest for line in paragraph(text, width, "muted")]
        room = max(width - 3 * COLUMN, 12)
        if found.kept:
            heading = f"{'in ' + found.precision:>{COLUMN}}{'kept':>{COLUMN}}{'weights':>{COLUMN}}"
            lines += [Line(), Line(((f"{'error at its output':<{room}}{heading}", "muted"),))]
        for node in found.kept:
            before, after, held = cells(node)
            name = f"{node.op} {node.name}"
            name = name if len(name) < room else f"{name[: room - 2]}…"
            lines.append(
                Line(
                    (
                        (f"{name:<{room}}", "name"),
                        (f"{before:>{COLUMN}}", "error" if node.before is None else "text"),
                        (f"{after:>{COLUMN}}", "text"),
                        (f"{held:>{COLUMN}}", "muted"),
                    ),
                    key=node.path,
                )
            )
        if len(found.kept) == found.nodes:
            return lines
        edited = _with(recipe, found)
        if edited == recipe:
            return [*lines, Line(), *paragraph("the recipe already says so", width, "muted")]
        kept = f" but for {'this node' if len(found.kept) == 1 else f'these {len(found.kept)} nodes'}"
        said = f"make it {found.precision}{kept if found.kept else ''}"
        return [*lines, Line(), Line(((f"{'>' if self.state.ascii else '▸'} {said}", "key"),), key="keep")]

    def chosen(self, key: object) -> None:
        """Put the result into the recipe, or show a node."""
        job, recipe = self._job, self.state.recipe
        if key == "keep" and job is not None and job.precision is not None and recipe is not None:
            edited = _with(recipe, job.precision)
            self.post_message(Edit(edited, ", ".join(changes(recipe, edited))))
            self.dismiss(None)
        elif isinstance(key, str):
            self.app.screen_stack[-2].post_message(Reveal(key))  # the workbench, behind this dialog
            self.dismiss(None)

    def action_leave(self) -> None:
        """Kill the search if it runs, and close."""
        job = self._job
        if job is not None and job.running:
            self.post_message(Cancel(job.number))
        self.dismiss(None)


def _with(recipe: Recipe, found: PrecisionResult) -> Recipe:
    names = tuple(dict.fromkeys(node.name for node in found.kept))
    return msgspec.structs.replace(recipe, precision=Precision(found.precision), keep_float32=names)
