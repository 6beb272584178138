"""The "Why" page as a screen of its own: it needs the width."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from friction_tui.state.app_state import AppState
from friction_tui.ui.bars import Bar
from friction_tui.ui.lines_panel import LinesPanel
from friction_tui.ui.look.lines import Line
from friction_tui.ui.panel import Reveal
from friction_tui.ui.problems.why import Why
from friction_tui.ui.screens import StateScreen

if TYPE_CHECKING:
    from friction_tui.ui.workbench import Workbench


class WhyKeys(Bar):
    """What the keys do here."""

    READS = frozenset({"problem"})

    def line(self, width: int) -> Line:  # noqa: ARG002
        """Only what applies to this problem."""
        problem = self.state.problem
        spans = [("Esc", "key"), (" back  ", "muted")]
        if problem is not None and any(fix.applicable for fix in problem.fixes):
            spans += [("x", "key"), (" fix  ", "muted")]
        spans += [("n", "key"), (" next  ", "muted"), ("Enter", "key"), (" go there  ", "muted")]
        spans += [("v", "key"), (" engine's message  ", "muted")] if problem is not None and problem.words else []
        spans += [("a", "key"), (" about this kind", "muted")]
        return Line(tuple(spans))


class WhyScreen(StateScreen[None]):
    """Explains one problem; `n` and `p` go through the others."""

    CSS_PATH = "why_screen.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "back", "Back", show=False, id="why.back", tooltip="Back to the workbench"),
        Binding("n", "pass_on('problem.next')", "Next", show=False, id="why.next", tooltip="Next problem"),
        Binding(
            "p", "pass_on('problem.previous')", "Previous", show=False, id="why.previous", tooltip="Problem before"
        ),
        Binding("x", "leave_for('problem.fix')", "Fix", show=False, id="why.fix", tooltip="Fixes for this problem"),
        Binding("u", "pass_on('recipe.undo')", "Undo", show=False, id="why.undo", tooltip="Undo the last edit"),
        Binding("e", "leave_for('shapes.edit')", "Edit", show=False, id="why.edit", tooltip="Edit the shape ranges"),
        Binding("r", "leave_for('model.export')", "Re-export", show=False, id="why.export", tooltip="Export again"),
    ]
    AUTO_FOCUS = "#why"

    def __init__(self, bench: Workbench) -> None:
        super().__init__(bench.state)
        self._bench = bench

    def compose(self) -> ComposeResult:
        """The page and its keys."""
        yield Why(id="why")
        yield WhyKeys()

    def state_changed(self, before: AppState) -> None:  # noqa: ARG002
        """Show the newest state."""
        self.query_one(Why).update_state(self.state)
        self.query_one(WhyKeys).update_state(self.state)

    def on_reveal(self, event: Reveal) -> None:
        """Back to the graph, at that location."""
        self.dismiss()
        self._bench.show_panel("graph")
        self._bench.graph.reveal(event.path)

    def on_lines_panel_chosen(self, event: LinesPanel.Chosen) -> None:
        """A location in the user's code that is not a node: to its line in the source panel."""
        if self._bench.show_source(event.key):
            self.dismiss()

    def action_back(self) -> None:
        """Back to the workbench."""
        self.dismiss()

    async def action_pass_on(self, action: str) -> None:
        """An action of the workbench that leaves this page open."""
        await self._bench.action_do(action)

    async def action_leave_for(self, action: str) -> None:
        """An action of the workbench, on the workbench."""
        self.dismiss()
        await self._bench.action_do(action)
