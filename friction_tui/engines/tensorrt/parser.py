"""Talking to the parser's process: start it, ask it, notice when it dies."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from friction_tui.engines.base import EngineCrashed, EngineMissing
from friction_tui.engines.tensorrt.module import preferred
from friction_tui.plugin_libraries import Libraries
from friction_tui.processes.begin import command
from friction_tui.processes.server import Server

TIMEOUT_S = 120.0
"""A parse that takes longer is taken for hung. The slowest seen: 5.8 s for 50,000 nodes."""

_POLL_S = 0.02


@dataclass(frozen=True, slots=True)
class ParserError:
    """One error of the parser, as it gives it. `node` indexes the main graph, -1 for none; see `IParserError`."""

    code: str
    desc: str
    file: str
    func: str
    node: int
    name: str
    op: str
    stack: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Parsed:
    """One answer: whether the model parsed, its errors, the error lines logged meanwhile, seconds it took."""

    ok: bool
    errors: tuple[ParserError, ...]
    log: tuple[str, ...]
    seconds: float


class Parser:
    """A parser process. Started on first use, started anew after a crash. Calls from several threads queue up.

    `name` is the module to load, "" for the preferred one. `python` is the interpreter of another environment, whose
    own TensorRT is asked; nothing else of that environment is used, and friction_tui need not be installed in it.
    `libraries` of plug-ins are loaded at its start.
    """

    def __init__(
        self, name: str = "", *, python: str = "", libraries: Libraries = (), timeout_s: float = TIMEOUT_S
    ) -> None:
        self._name, self._python, self._libraries = name, python, libraries
        self.module = self.version = ""
        """What answered: `tensorrt_rtx` and its version; "" before the first answer."""
        self._turn = threading.Lock()
        self._server = Server("TensorRT's parser", self._command, limit_s=timeout_s, died=EngineCrashed)

    @property
    def pid(self) -> int | None:
        """The id of its process, None before it was started."""
        return self._server.pid

    def prestart(self) -> None:
        """Begin starting the process, so that it is warm when the first model comes. Returns at once."""
        self._server.prestart()

    @contextmanager
    def turn(self, stop: Callable[[], bool]) -> Iterator[bool]:
        """Have the parser, and the network it keeps, to oneself; False when `stop` said yes before it was free."""
        while not self._turn.acquire(timeout=_POLL_S):
            if stop():
                yield False
                return
        try:
            yield True
        finally:
            self._turn.release()

    def parse(self, model: bytes, path: str = "", *, keep: bool = False) -> Parsed:
        """Parse a serialised model. `path` is a file beside which its external data lies.

        What is parsed with `keep` can be asked for `dims` until the next such call. Raises EngineCrashed when the
        process dies or is silent too long, EngineMissing when there is no TensorRT.
        """
        answer = self._ask({"bytes": len(model), "path": path, "keep": keep}, model)
        errors = tuple(ParserError(**{**error, "stack": tuple(error["stack"])}) for error in answer["errors"])
        return Parsed(answer["ok"], errors, tuple(answer["log"]), answer["seconds"])

    def dims(self, tensors: Sequence[tuple[str, int]]) -> list[tuple[int, ...] | None]:
        """Dims of (node name, output number) in the kept network as far as it was imported; -1 where dynamic."""
        answer = self._ask({"dims": list(tensors)})
        return [None if dims is None else tuple(dims) for dims in answer["dims"]]

    def close(self) -> None:
        """End the process, whatever it is doing."""
        self._server.close()

    def _command(self) -> list[str]:
        name = self._name or ("" if self._python else preferred().name)
        paths = [path for path, _ in self._libraries]
        return command("friction_tui.engines.tensorrt.parse_server", name, *paths, python=self._python)

    def _ask(self, question: Mapping[str, object], payload: bytes = b"") -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self._server.ask(question, payload))
        if "missing" in answer:
            raise EngineMissing(answer["missing"])
        self.module, self.version = answer["name"], answer["version"]
        return answer


_SHARED: dict[tuple[str, str, Libraries], Parser] = {}
_SHARED_LOCK = threading.Lock()


def shared(name: str = "", python: str = "", libraries: Libraries = ()) -> Parser:
    """The one parser of this process for a TensorRT module, environment and libraries; it ends with us."""
    with _SHARED_LOCK:
        asked = name, python, libraries
        if asked not in _SHARED:
            _SHARED[asked] = Parser(name, python=python, libraries=libraries)
        return _SHARED[asked]


def prestart(name: str = "") -> None:
    """Start the shared parser's process in the background, if there is a TensorRT to start."""
    with suppress(EngineMissing):
        shared(name).prestart()
