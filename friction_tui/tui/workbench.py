"""The workbench: the screen where everything happens. It arranges panels and passes messages on."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Protocol, cast, runtime_checkable

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Grid
from textual.events import DescendantFocus, Resize
from textual.screen import Screen

from friction_tui.finding import Finding
from friction_tui.tui import panel as said
from friction_tui.tui.actions import BY_ID, bindings, why_not
from friction_tui.tui.bars import KeyLine, MessageLine, PanelBar, StatusLine
from friction_tui.tui.build import BuildPanel
from friction_tui.tui.graph_view import GraphView
from friction_tui.tui.inspector import Inspector, findings_at
from friction_tui.tui.latency import LatencyPanel
from friction_tui.tui.layout import ARRANGEMENTS, BESIDE, DRAWER, PANELS, arrangement, shown
from friction_tui.tui.lines_panel import LinesPanel
from friction_tui.tui.memory import MemoryPanel
from friction_tui.tui.problems import Problems
from friction_tui.tui.search_bar import SearchBar
from friction_tui.tui.sessions import SavedSession
from friction_tui.tui.shapes import ShapesPanel
from friction_tui.tui.source import SourcePanel
from friction_tui.tui.state import AppState
from friction_tui.tui.why_screen import WhyScreen

if TYPE_CHECKING:
    from friction_tui.tui.app import FrictionApp


@runtime_checkable
class ShowsState(Protocol):
    """Whatever draws itself from the state."""

    def update_state(self, state: AppState) -> None:
        """Show the newest state."""


class Workbench(Screen[None]):
    """Graph, problems, inspector, shapes, build, memory, latency; beside each other or one at a time."""

    BINDINGS: ClassVar[list[BindingType]] = [*bindings()]
    AUTO_FOCUS = "#graph"

    def __init__(self, state: AppState, session: SavedSession | None = None) -> None:
        super().__init__()
        self.state = state
        self._session = session
        self._shows: list[ShowsState] = []
        self.current = PANELS[0]
        self.drawer = DRAWER[0]
        self.beside = BESIDE[0]
        self.zoomed = False

    @property
    def friction(self) -> FrictionApp:
        """The app."""
        return cast("FrictionApp", self.app)

    @property
    def graph(self) -> GraphView:
        """The graph panel."""
        return self.query_one(GraphView)

    @property
    def problems(self) -> Problems:
        """The problem list."""
        return self.query_one(Problems)

    def compose(self) -> ComposeResult:
        """Everything is mounted once; `lay_out` says what is shown."""
        yield StatusLine(id="status")
        yield PanelBar(id="panel-bar")
        with Grid(id="body"):
            yield GraphView(id="graph")
            yield Problems(id="problems")
            yield Inspector(id="inspector")
            yield SourcePanel(id="source")
            yield ShapesPanel(id="shapes")
            yield BuildPanel(id="build", classes="drawer")
            yield MemoryPanel(id="memory", classes="drawer")
            yield LatencyPanel(id="latency", classes="drawer")
        yield MessageLine(id="message")
        yield SearchBar()
        yield KeyLine(id="keys")

    def on_mount(self) -> None:
        """First arrangement and first state; a saved session is looked at as it was left."""
        self._shows = [widget for widget in self.query("*") if isinstance(widget, ShowsState)]
        if self._session is not None:
            self.graph.restore(self._session.open_folds, self._session.cursor)
            self.show_panel(self._session.panel if self._session.panel in PANELS else PANELS[0])
        self.lay_out()
        self.update_state(self.state)

    def on_resize(self, event: Resize) -> None:
        """What fits changes with the terminal."""
        self.lay_out(event.size.width, event.size.height)

    def update_state(self, state: AppState) -> None:
        """Hand the newest state to everything on the screen."""
        self.state = state
        for widget in self._shows:
            widget.update_state(state)

    # ------------------------------------------------------------------------------------------- layout

    def lay_out(self, width: int = 0, height: int = 0) -> None:
        """Show the panels that fit, the current one always."""
        width, height = width or self.app.size.width, height or self.app.size.height
        arranged, on_screen = shown(
            arrangement(width, height, zoomed=self.zoomed), self.current, self.drawer, self.beside
        )
        body = self.query_one("#body")
        for name in ARRANGEMENTS:
            body.set_class(name == arranged, f"-{name}")
        for name in PANELS:
            self.query_one(f"#{name}").display = name in on_screen
        bar = self.query_one(PanelBar)
        bar.current = self.current
        bar.display = arranged == "single" and height >= 8
        bar.refresh()
        self.query_one(MessageLine).display = height >= 10

    def show_panel(self, name: str, *, focus: bool = True) -> None:
        """Bring a panel to the front."""
        self._look_at(name)
        self.lay_out()
        if focus:
            self.query_one(f"#{name}").focus()

    def on_descendant_focus(self, event: DescendantFocus) -> None:
        """The panel with the focus is the current one."""
        for widget in event.widget.ancestors_with_self:
            if widget.id in PANELS and widget.id != self.current:
                self._look_at(widget.id)
                self.lay_out()

    def _look_at(self, name: str) -> None:
        self.current = name
        self.drawer = name if name in DRAWER else self.drawer
        self.beside = name if name in BESIDE else self.beside

    # ------------------------------------------------------------------------------------------- actions

    def panel_bindings(self) -> dict[str, list[Binding]]:
        """The keys of each panel, by the panel's name, for the help page."""
        kinds: list[type[said.Panel]] = [LinesPanel, *(type(self.query_one(f"#{name}", said.Panel)) for name in PANELS)]
        keys = {kind.NAME: [b for b in vars(kind).get("BINDINGS", []) if isinstance(b, Binding)] for kind in kinds}
        return {name or "every list": bindings for name, bindings in keys.items() if bindings}

    async def action_do(self, action: str) -> None:
        """Run an action of the registry, or say why it means nothing now."""
        wanted = BY_ID[action]
        if not wanted.when(self.state):
            self.friction.live.say(f"{wanted.label}: {why_not(wanted, self.state)}", "warning")
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
        self.friction.live.choose(finding)
        self.problems.select(finding)
        if explain and self.app.screen is self:
            self.app.push_screen(WhyScreen(self))

    def on_graph_view_selected(self, event: GraphView.Selected) -> None:
        """The graph's cursor moved. Said here: what this screen itself made a panel say goes no further up."""
        event.stop()
        self.friction.live.select(event.path)

    def on_graph_view_entered(self) -> None:
        """Enter on a node: explain what is wrong with it, else inspect it."""
        found = findings_at(self.state, self.state.selected)
        if found:
            self.choose(found[0], explain=True)
        else:
            self.show_panel("inspector")

    def on_lines_panel_chosen(self, event: Problems.Chosen) -> None:
        """Enter in the problem list: explain, or go to the place."""
        if event.panel is self.problems:
            self.problems.open_entry()

    # ------------------------------------------------------------------------------------------- search

    def open_search(self, purpose: str) -> None:
        """Show the search line."""
        self.query_one(SearchBar).open(purpose, self.problems.filter if purpose == "problems" else "")
        if purpose == "graph" and not self.graph.display:
            self.show_panel("graph", focus=False)

    def close_search(self) -> bool:
        """Hide the search line; says whether it was shown."""
        bar = self.query_one(SearchBar)
        was_open, bar.display = bool(bar.display), False
        return was_open

    def on_search_bar_typed(self, event: SearchBar.Typed) -> None:
        """Search as one types."""
        if event.purpose == "problems":
            self.problems.set_filter(event.text)
            count = f"{len(self.problems.shown())}"
        else:
            count = self.graph.search(event.text)
        self.query_one(SearchBar).count(count)

    def on_search_bar_step(self, event: SearchBar.Step) -> None:
        """Another match in the graph."""
        if event.purpose == "graph":
            self.query_one(SearchBar).count(self.graph.search_step(event.direction))

    def on_search_bar_closed(self, event: SearchBar.Closed) -> None:
        """Back to where the search was about."""
        if event.purpose == "problems" and not event.keep:
            self.problems.set_filter("")
        self.close_search()
        self.query_one("#problems" if event.purpose == "problems" else "#graph").focus()
