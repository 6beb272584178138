"""The workbench: the screen where everything happens. It arranges panels and passes messages on."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Grid
from textual.events import DescendantFocus, Resize

from friction_tui.state.app_state import AppState
from friction_tui.state.derived import changed_nodes
from friction_tui.state.user_actions import ChooseProblem, SelectItem
from friction_tui.ui import panel as said
from friction_tui.ui.actions.registry import BY_ID, bindings
from friction_tui.ui.bars import Bar, KeyLine, MessageLine, PanelBar, StatusLine
from friction_tui.ui.graph.inspector import findings_at
from friction_tui.ui.graph.view import GraphView
from friction_tui.ui.layout import (
    ARRANGEMENTS,
    BESIDE,
    DRAWER,
    ORDER,
    PANELS,
    ROOMY,
    WHY,
    arrangement,
    made,
    panel_type,
    row_heights,
    shown,
)
from friction_tui.ui.lines_panel import LinesPanel
from friction_tui.ui.screens import StateScreen
from friction_tui.ui.sessions import SavedSession
from friction_tui.vocabulary.finding import Finding, Location

if TYPE_CHECKING:
    from friction_tui.ui.app import FrictionApp
    from friction_tui.ui.graph.search_bar import SearchBar
    from friction_tui.ui.problems.panel import Problems
    from friction_tui.ui.source.panel import SourcePanel


BARS = 3
"""Rows of the lines above and below the panels, where panels stand beside each other."""


class Workbench(StateScreen[None]):
    """Graph, problems, inspector, shapes, build, memory, latency; beside each other or one at a time."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings()]
    AUTO_FOCUS = "#graph"

    def __init__(self, state: AppState, session: SavedSession | None = None) -> None:
        super().__init__(state)
        self._session = session
        self._panels: dict[str, said.Panel] = {}
        self._bars: list[Bar] = []
        self._search: SearchBar | None = None
        self.current = PANELS[0]
        self.drawer = DRAWER[0]
        self.beside = BESIDE[0]
        self._came_from = PANELS[0]
        """The panel that was looked at before the page beside the list."""
        self.zoomed = False
        self._followed_to = ""
        """Where the cursor was put because somebody else's is there."""
        self._rows, self._height = "", 0

    @property
    def friction(self) -> FrictionApp:
        """The app."""
        return cast("FrictionApp", self.app)

    @property
    def graph(self) -> GraphView:
        """The graph panel."""
        return cast("GraphView", self.panel("graph"))

    @property
    def problems(self) -> Problems:
        """The problem list."""
        return cast("Problems", self.panel("problems"))

    def compose(self) -> ComposeResult:
        """The lines above and below, and the panels of the first screen; the others come once that is painted."""
        self._bars = [StatusLine(id="status"), PanelBar(id="panel-bar"), MessageLine(id="message"), KeyLine(id="keys")]
        _, on_screen = self._arranged(*self.app.size)
        self._panels = {name: made(name) for name in ORDER if name in on_screen}
        yield from self._bars[:2]
        with Grid(id="body"):
            yield from self._panels.values()
        yield from self._bars[2:]

    def panel(self, name: str) -> said.Panel:
        """The panel of this name, made at its first use."""
        if name not in self._panels:
            new = made(name)
            before = next((p for n, p in self._panels.items() if ORDER.index(n) > ORDER.index(name)), None)
            self._panels[name] = new
            self._panels = {known: self._panels[known] for known in ORDER if known in self._panels}
            self.query_one("#body").mount(new, before=before)
            new.update_state(self.state)
        return self._panels[name]

    def _make_rest(self) -> None:
        """The panels that are not there yet, one between two paints, so that a key finds them made."""
        missing = next((name for name in ORDER if name not in self._panels), None)
        if missing is not None:
            self.panel(missing)
            self.call_after_refresh(self._make_rest)

    def on_mount(self) -> None:
        """First arrangement and first state; a saved session is looked at as it was left."""
        self.opened(self._session)
        self.lay_out()
        self.call_after_refresh(self._make_rest)

    def opened(self, session: SavedSession | None) -> None:
        """A model is being opened; a saved session is looked at as it was left."""
        if session is not None:
            self.graph.restore(session.open_folds, session.cursor, session.nodes)
            self.show_panel(session.panel if session.panel in PANELS else PANELS[0])

    def on_resize(self, event: Resize) -> None:
        """What fits changes with the terminal."""
        self.lay_out(event.size.width, event.size.height)

    def state_changed(self, before: AppState) -> None:
        """Hand the newest state to everything on the screen; a first problem needs room to be explained."""
        if bool(before.findings) != bool(self.state.findings):
            self.lay_out()
        for bar in self._bars:
            bar.update_state(self.state)
        for panel in self._panels.values():
            panel.update_state(self.state)
        self._follow(before)

    def _follow(self, before: AppState) -> None:
        """Go where the one is who is followed; to the graph if that is asked for."""
        state = self.state
        if not state.following:
            self._followed_to = ""
            return
        if state.pointed != before.pointed and state.pointed[1] == state.following:
            self.show_panel("graph", focus=False)
        path = state.looking.get(state.following, "")
        if path and path not in (self._followed_to, state.selected) and state.graph is not None:
            self._followed_to = path
            self.graph.reveal(path)

    # ------------------------------------------------------------------------------------------- layout

    def lay_out(self, width: int = 0, height: int = 0) -> None:
        """Show the panels that fit, the current one always."""
        width, height = width or self.app.size.width, height or self.app.size.height
        self._height = height
        arranged, on_screen = self._arranged(width, height)
        body = self.query_one("#body")
        for name in ARRANGEMENTS:
            body.set_class(name == arranged, f"-{name}")
        body.set_class(width >= ROOMY, "-roomy")
        body.set_class(WHY in on_screen, "-explained")
        body.set_class("source" in on_screen, "-sourced")
        self._share_rows(arranged)
        for name in ORDER:
            if name in on_screen or name in self._panels:
                self.panel(name).display = name in on_screen
        bar = self.query_one(PanelBar)
        bar.current = self.current
        bar.display = arranged == "single" and height >= 8
        bar.refresh()
        self.query_one(MessageLine).display = height >= 10

    def _share_rows(self, arranged: str) -> None:
        """Give each row of the grid what the panels in it hold."""
        body = self.query_one("#body")
        holds = {name: panel.holds for name, panel in self._panels.items() if isinstance(panel, LinesPanel)}
        rows = row_heights(arranged, self._height - BARS, holds, self.drawer)
        if rows != self._rows:
            self._rows = rows
            body.styles.grid_rows = rows or None

    def on_holds(self) -> None:
        """A panel holds more or less than before."""
        self._share_rows(self._arranged(*self.app.size)[0])

    def _arranged(self, width: int, height: int) -> tuple[str, set[str]]:
        arranged = arrangement(width, height, zoomed=self.zoomed)
        explained = bool(self.state.findings)
        return shown(arranged, self.current, self.drawer, self.beside, explained=explained)

    def show_panel(self, name: str, *, focus: bool = True) -> None:
        """Bring a panel to the front."""
        self._look_at(name)
        self.lay_out()
        if focus or (self.focused is not None and not self.focused.display):
            self.panel(name).focus()

    def on_descendant_focus(self, event: DescendantFocus) -> None:
        """The panel with the focus is the current one."""
        if event.widget is not self.focused:
            return  # the focus has moved on since
        if self._search is not None and self._search.display:
            self._hint(self._search.KEYS if self._search.typing else ())
        for widget in event.widget.ancestors_with_self:
            if widget.id in self._panels and widget.id != self.current:
                self._look_at(widget.id)
                self.lay_out()

    def _look_at(self, name: str) -> None:
        self.current = name
        self.drawer = name if name in DRAWER else self.drawer
        self.beside = name if name in BESIDE else self.beside

    # ------------------------------------------------------------------------------------------- actions

    def panel_bindings(self) -> dict[str, list[Binding]]:
        """The keys of each panel, by the panel's name, for the help page."""
        kinds: list[type[said.Panel]] = [LinesPanel, *map(panel_type, PANELS)]
        keys = {kind.NAME: [b for b in vars(kind).get("BINDINGS", []) if isinstance(b, Binding)] for kind in kinds}
        return {name or "every list": bindings for name, bindings in keys.items() if bindings}

    def show_help(self) -> None:
        """The help page, over this screen."""
        from friction_tui.ui.actions.help import help_screen

        self.app.push_screen(help_screen(self.panel_bindings(), self.state.keys, panel_type(self.current).NAME))

    async def action_do(self, action: str) -> None:
        """Run an action of the registry, or say why it means nothing now."""
        wanted = BY_ID[action]
        why_not = wanted.why_not(self.state)
        if why_not:
            self.friction.live.say(f"{wanted.label}: {why_not}")
            return
        done = wanted.do(self)
        if done is not None:
            await done

    # ------------------------------------------------------------------------------- what panels say

    def on_reveal(self, event: said.Reveal) -> None:
        """Show an item in the graph; the panel that asked keeps the focus where both are visible."""
        self.graph.reveal(event.path)

    def on_choose(self, event: said.Choose) -> None:
        """A panel chose a problem."""
        self.choose(event.finding, explain=event.explain)

    def choose(self, finding: Finding, *, explain: bool = False) -> None:
        """From now on this problem is the one to fix; `explain` opens its page, unless one is open."""
        self.friction.live.dispatch(ChooseProblem(finding))
        self.problems.select(finding)
        if not explain or self.app.screen is not self:
            return
        if self.panel(WHY).display:
            self._came_from = self.current if self.current != WHY else self._came_from
            self.show_panel(WHY)
        else:
            from friction_tui.ui.why_screen import WhyScreen

            self.app.push_screen(WhyScreen(self))

    def show_change(self) -> bool:
        """Show the graph where the previewed rewrite changes it first, in the upper half of the screen if it can be.

        Returns whether it is in the lower half, so that a dialog covers the other.
        """
        first = next(iter(changed_nodes(self.friction.live.state)), "")
        if not first:
            return False
        self.show_panel("graph", focus=False)
        self.graph.reveal(first, at_top=True)
        line = self.graph.content_region.y + self.graph.cursor - self.graph.scroll_offset.y
        return line >= self.app.size.height // 2

    def on_graph_view_selected(self, event: GraphView.Selected) -> None:
        """The graph's cursor moved. Said here: what this screen itself made a panel say goes no further up."""
        event.stop()
        if event.path != self.friction.live.state.selected:  # a graph drawn anew says where its cursor is
            by_user = event.moved and event.path != self._followed_to
            self.friction.live.dispatch(SelectItem(event.path, by_user=by_user))

    def on_graph_view_entered(self) -> None:
        """Enter on a node: explain what is wrong with it, else inspect it."""
        found = findings_at(self.state, self.state.selected)
        if found:
            self.choose(found[0], explain=True)
        else:
            self.show_panel("inspector")

    def leave_page(self) -> bool:
        """From the page beside the list to where it was asked for; says whether one was there."""
        if self.current == WHY:
            self.show_panel(self._came_from)
            return True
        return False

    def on_lines_panel_chosen(self, event: LinesPanel.Chosen) -> None:
        """Enter in the problem list: explain, or go to the location; on a line of the user's code: to the source."""
        if event.panel is self.problems:
            self.problems.open_entry()
        elif event.panel is self._panels.get(WHY):
            self.show_source(event.key)

    def show_source(self, key: object) -> bool:
        """Show a location that is a line of the user's code and no node; says whether it is one."""
        if not isinstance(key, Location) or key.source is None or key.node:
            return False
        self.show_panel("source")
        panel = cast("SourcePanel", self.panel("source"))
        panel.call_after_refresh(panel.go_to, key.source)
        return True

    # ------------------------------------------------------------------------------------------- search

    async def open_search(self, purpose: str) -> None:
        """Show the search line, made at its first use."""
        if self._search is None:
            from friction_tui.ui.graph.search_bar import SearchBar

            self._search = SearchBar()
            await self.mount(self._search, before="#keys")
        if self._search.display and self._search.purpose != purpose:
            self._leave_search(keep=False)
        if not self.panel(purpose).display:
            self.show_panel(purpose, focus=False)
        searched = self._searched(purpose)
        self._search.open(purpose, searched.sought if searched is not None else self.problems.filter)
        self._hint(self._search.KEYS)

    def _searched(self, purpose: str) -> said.Searched | None:
        panel = self.panel(purpose)
        return panel if isinstance(panel, said.Searched) else None

    def close_search(self) -> bool:
        """End the search; says whether there was one."""
        if self._search is None or not self._search.display:
            return False
        self._leave_search(keep=False)
        return True

    def _leave_search(self, *, keep: bool) -> None:
        """Out of the field; what was sought stays so if `keep`, and so does the line, which says with which keys."""
        assert self._search is not None
        searched = self._searched(self._search.purpose)
        if searched is None:
            self.problems.set_filter(self.problems.filter if keep else "")
        elif not keep:
            searched.search("")
        self._search.display = keep and searched is not None
        self._hint(())
        self.panel(self._search.purpose).focus()

    def _hint(self, keys: tuple[tuple[str, str], ...]) -> None:
        self.query_one(KeyLine).type(keys)

    def on_typing(self, event: said.Typing) -> None:
        """The key line says what keys mean while they are typed into a panel."""
        self._hint(event.keys)

    def on_sought(self, event: said.Sought) -> None:
        """A panel went to another match."""
        if event.over:
            self.close_search()
        elif self._search is not None:
            self._search.count(event.said, left=True)

    def on_search_bar_typed(self, event: SearchBar.Typed) -> None:
        """Search as one types."""
        searched = self._searched(event.purpose)
        if searched is None:
            self.problems.set_filter(event.text)
        count = searched.search(event.text) if searched is not None else f"{len(self.problems.shown())}"
        event.bar.count(count)

    def on_search_bar_jump(self, event: SearchBar.Jump) -> None:
        """Another match, while typing."""
        searched = self._searched(event.purpose)
        if searched is not None:
            event.bar.count(searched.search_step(event.direction))

    def on_search_bar_left(self, event: SearchBar.Left) -> None:
        """Back to what was searched."""
        searched = self._searched(event.purpose)
        if event.keep and searched is not None:
            event.bar.count(searched.search(searched.sought), left=True)
        self._leave_search(keep=event.keep)
