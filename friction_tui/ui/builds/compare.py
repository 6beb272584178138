"""Which two builds to compare: the one that is marked, and the one under the cursor."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType

from friction_tui.state.app_state import AppState, Job
from friction_tui.ui.builds import views
from friction_tui.ui.builds.diff import diff_screen
from friction_tui.ui.dialogs.choice import ChoiceScreen
from friction_tui.ui.look.lines import Line


class CompareScreen(ChoiceScreen):
    """Enter compares, the older of the two first; Space marks another. The newest is marked at first."""

    KEYS = "Enter compares with the marked one   Space marks   Esc leaves"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "mark", "Mark", show=False, id="compare.mark", tooltip="Mark the build to compare with"),
    ]

    def __init__(self, state: AppState) -> None:
        self.state = state
        self._marked = state.builds[-1].number
        super().__init__("Compare two builds", self._lines, state.builds[-2].number, state=state)

    def _lines(self, width: int) -> list[Line]:
        """As the history lists them, with a mark before the one that is compared with."""
        made = views.history(self.state.builds, (), width - 2, ascii_only=self.state.ascii)
        mark = "> " if self.state.ascii else "▸ "
        marked = [line.key == self._marked and line.spans[0][0].strip() != "" for line in made]
        return [
            Line(((mark if here else "  ", "key"), *line.spans), line.tail, key=line.key)
            for line, here in zip(made, marked, strict=True)
        ]

    def action_mark(self) -> None:
        """The build under the cursor is the one to compare with."""
        if isinstance(self.current, int):
            self._marked = self.current
            self._list.rebuild()

    def chosen(self, key: object) -> None:
        """Compare the two; the list stays behind the page."""
        two: list[Job] = [job for job in self.state.builds if job.number in (key, self._marked)]
        if len(two) == 2:
            self.app.push_screen(diff_screen(*two, ascii_only=self.state.ascii))
