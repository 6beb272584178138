"""What passes between the hub of a shared session and its viewers, beside the requests and events themselves."""

from __future__ import annotations

import msgspec

from friction_tui.vocabulary.protocol.events import Event
from friction_tui.vocabulary.protocol.requests import Request
from friction_tui.vocabulary.recipe import Recipe


class Join(msgspec.Struct, frozen=True, kw_only=True, tag="join"):
    """The first line of a viewer. `token` is the secret part of the code that it was given."""

    token: str
    name: str
    protocol: int
    version: str
    watch_only: bool = False


class Synced(msgspec.Struct, frozen=True, tag="synced"):
    """A viewer has taken the snapshot of this number; what it sent before meant another state."""

    number: int


class Viewer(msgspec.Struct, frozen=True):
    """Somebody who is there. `colour` is a number that nobody else who is there has."""

    name: str
    watch_only: bool = False
    colour: int = 0


class Looking(msgspec.Struct, frozen=True, tag="looking"):
    """Where a viewer's cursor is, as the path of an item of the graph; "" for nowhere in it.

    `here` asks the others to look there too. The hub passes it on as `Looks`.
    """

    path: str
    here: bool = False


class Looks(msgspec.Struct, frozen=True, tag="looks"):
    """Where the cursor of another viewer is; `here`: "look here"."""

    by: str
    path: str
    here: bool = False


class Present(msgspec.Struct, frozen=True, kw_only=True, tag="present"):
    """Who is there, sent to each viewer whenever that changes, and part of its snapshots.

    `you` is the receiver's own name, `code` what the next one types after `friction-tui join`.
    """

    viewers: tuple[Viewer, ...]
    you: str
    code: str
    said: str = ""
    """`bo joined`, `ann left`."""

    @property
    def own(self) -> Viewer:
        """The receiver."""
        return next(viewer for viewer in self.viewers if viewer.name == self.you)


class Asked(msgspec.Struct, frozen=True, tag="asked"):
    """A request of another viewer that was granted. `recipe` is what a job of it was started on."""

    by: str
    request: Request
    recipe: Recipe | None = None


class Snapshot(msgspec.Struct, frozen=True, tag="snapshot"):
    """The whole state at once, for who has just come, was too slow or edited what had changed meanwhile.

    `why` says to the receiver what became of an edit that was not granted.
    """

    number: int
    state: msgspec.Raw
    why: str = ""


class TurnedAway(msgspec.Struct, frozen=True, tag="turned_away"):
    """The answer to a `Join` that cannot be."""

    why: str


class Ended(msgspec.Struct, frozen=True, tag="ended"):
    """The shared session is over. Made by the viewer's own end when the hub is gone without a word."""

    why: str


FromViewer = Request | Synced | Looking
ToViewer = Event | Asked | Looks | Present | Snapshot | TurnedAway | Ended
