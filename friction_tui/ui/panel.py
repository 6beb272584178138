"""What every panel of the workbench is: a view of the newest `AppState`, with a titled border.

A panel names the fields it draws from in `READS`; it is only woken when one of them is another object than
before. What the user does in it leaves as one of the messages below, which the app turns into a new state.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from rich.markup import escape
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.scrollbar import ScrollBar
from textual.widget import Widget

from friction_tui.state.app_state import AppState, NoticeLevel
from friction_tui.ui.look.scrollbar import QuickBar
from friction_tui.vocabulary.finding import Finding
from friction_tui.vocabulary.protocol import JobKind, Request
from friction_tui.vocabulary.recipe import Recipe

ScrollBar.renderer = QuickBar
BORDER = 6
"""Columns of a border line that a text in it cannot have."""


class Edit(Message):
    """The user chose another recipe. One edit is one step of undo; `what` is said back ("N max 8 → 16")."""

    def __init__(self, recipe: Recipe, what: str = "") -> None:
        super().__init__()
        self.recipe = recipe
        self.what = what


class Ask(Message):
    """The panel wants something from the worker that changes no recipe (`Inspect`, `Forecast`, `SaveEngine`…)."""

    def __init__(self, request: Request) -> None:
        super().__init__()
        self.request = request


class Begin(Message):
    """The user started a job; the app numbers it. `level` says how far a run of fixes may go."""

    def __init__(self, kind: JobKind, point: str = "opt", runs: int = 0, level: str = "") -> None:
        super().__init__()
        self.kind = kind
        self.point = point
        self.runs = runs
        self.level = level


class Cancel(Message):
    """The user cancelled a job."""

    def __init__(self, job: int) -> None:
        super().__init__()
        self.job = job


class Reveal(Message):
    """Show this item in the graph, opening folds on the way, and put the cursor on it."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path


class Choose(Message):
    """Make this finding the one that x fixes from now on; `explain` opens its "Why" page too."""

    def __init__(self, finding: Finding, *, explain: bool = False) -> None:
        super().__init__()
        self.finding = finding
        self.explain = explain


class Say(Message):
    """A line for the user. `level` is `error`, `warning` or `info`."""

    def __init__(self, text: str, level: NoticeLevel = NoticeLevel.INFO, detail: str = "") -> None:
        super().__init__()
        self.text = text
        self.level = level
        self.detail = detail


def differs(before: AppState, state: AppState, fields: Iterable[str]) -> bool:
    """Whether one of the fields is another object than before."""
    return any(getattr(before, name) is not getattr(state, name) for name in fields)


class Holds(Message):
    """A panel needs another number of rows for what it holds than before."""

    def can_replace(self, message: Message) -> bool:
        """Whoever handles it looks at all panels."""
        return isinstance(message, Holds)


class Typing(Message):
    """Keys are typed into the panel from now on, and mean these; () : they mean what they always do."""

    def __init__(self, keys: tuple[tuple[str, str], ...]) -> None:
        super().__init__()
        self.keys = keys


class Sought(Message):
    """The search of a panel is at another match, `said` in words, or over."""

    def __init__(self, said: str, *, over: bool = False) -> None:
        super().__init__()
        self.said = said
        self.over = over


class Panel(Widget, can_focus=True):
    """A bordered view of the state. Subclasses set the class variables and override `state_changed`.

    Bindings of a panel are `Binding`s with `id` and `tooltip`, single letters that the workbench does not use.
    """

    NAME: ClassVar[str] = ""
    """The word in the border."""
    READS: ClassVar[frozenset[str]] = frozenset()
    """Fields of `AppState` (or its `recipe`) that this panel draws from."""
    hints: tuple[str, ...] = ()
    """Its own keys with what they do, the most useful first: written below it while keys go to it."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.state = AppState()

    def on_mount(self) -> None:
        """Title before the first state arrives."""
        self.border_title = self.title()

    def on_focus(self) -> None:
        """Say which keys it has."""
        self._show_hints(on=True)

    def on_blur(self) -> None:
        """Its keys mean nothing now."""
        self._show_hints(on=False)

    def on_resize(self) -> None:
        """As many keys as there is room for."""
        self._show_hints(on=self.has_focus)

    def _show_hints(self, *, on: bool) -> None:
        if not self.hints:
            return
        fitting = ""
        for hint in self.hints if on else ():
            longer = f"{fitting}   {hint}" if fitting else hint
            if len(longer) > self.outer_size.width - BORDER:
                break
            fitting = longer
        self.border_subtitle = escape(fitting)

    def update_state(self, state: AppState) -> None:
        """Take the newest snapshot; redraw only if it differs in what this panel reads."""
        before, self.state = self.state, state
        if differs(before, state, self.READS):
            self.border_title = self.title()
            self.state_changed(before)

    def title(self) -> str:
        """The border title with its live counts. Escape `[` of names: Textual reads markup in titles."""
        return self.NAME

    def state_changed(self, before: AppState) -> None:  # noqa: ARG002
        """Draw `self.state`; `before` is the state drawn so far."""
        self.refresh(layout=False)


class Searched(Panel):
    """A panel that `/` searches, the same way everywhere.

    Enter leaves the field. From then on `n` and `N` go to the next and previous match and Escape ends the search; while
    nothing is sought these keys are left to the workbench.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "match(1)", "Next match", show=False, id="search.forward", tooltip="Next match of a search"),
        Binding("N", "match(-1)", "Match before", show=False, id="search.back", tooltip="Previous match of a search"),
        Binding("escape", "end_search", "End search", show=False, id="search.end", tooltip="End a search"),
    ]
    sought: str = ""
    """What is searched for, "" while nothing is."""

    def search(self, text: str) -> str:
        """Go to the first match from here on; says which of how many it is. An empty text ends the search."""
        raise NotImplementedError

    def search_step(self, direction: int) -> str:
        """Go to the next or previous match, seen from the cursor."""
        raise NotImplementedError

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """The keys of a search mean something only during one."""
        if action in ("match", "end_search"):
            return bool(self.sought)
        return super().check_action(action, parameters)

    def action_match(self, direction: int) -> None:
        """Another match."""
        self.post_message(Sought(self.search_step(direction)))

    def action_end_search(self) -> None:
        """No more search."""
        self.search("")
        self.post_message(Sought("", over=True))
