"""Talking to the parser's process: start it, ask it, notice when it dies."""

from __future__ import annotations

import atexit
import json
import select
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from friction_tui.engines.base import EngineCrashed, EngineMissing
from friction_tui.engines.tensorrt.module import preferred

TIMEOUT_S = 120.0
"""A parse that takes longer is taken for hung. The slowest seen: 5.8 s for 50,000 nodes."""

_POLL_S = 0.02

PACKAGE = str(Path(__file__).parents[2])
ELSEWHERE = """
import importlib.util, sys
folder = sys.argv.pop(1)
spec = importlib.util.spec_from_file_location("friction_tui", folder + "/__init__.py")
sys.modules["friction_tui"] = package = importlib.util.module_from_spec(spec)
package.__path__ = [folder]
spec.loader.exec_module(package)
from friction_tui.engines.tensorrt.parse_server import main
main()
"""
"""Runs the parser's process in another environment: of ours it sees this package only, which there needs nothing but
Python 3.10 and TensorRT. Our site-packages on its path would hide its own TensorRT behind ours."""


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
    """

    def __init__(self, name: str = "", *, python: str = "", timeout_s: float = TIMEOUT_S) -> None:
        self._name = name
        self._python = python
        self.module = self.version = ""
        """What answered: `tensorrt_rtx` and its version; "" before the first answer."""
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._words: IO[bytes] | None = None
        self._greeted = False

    def prestart(self) -> None:
        """Begin starting the process, so that it is warm when the first model comes. Returns at once."""
        with self._lock:
            self._start()

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
        answer = self._ask({"dims": list(tensors)}, b"")
        return [None if dims is None else tuple(dims) for dims in answer["dims"]]

    def close(self) -> None:
        """End the process, whatever it is doing."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()

    def _start(self) -> None:
        if self._process is not None and self._process.poll() is None:
            return
        name = self._name or ("" if self._python else preferred().name)
        run = ["-c", ELSEWHERE, PACKAGE] if self._python else ["-m", "friction_tui.engines.tensorrt.parse_server"]
        self._words = tempfile.TemporaryFile()  # noqa: SIM115  (lives as long as the process)
        self._process = subprocess.Popen(
            [self._python or sys.executable, *run, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._words,
        )
        self._greeted = False

    def _ask(self, header: Mapping[str, object], payload: bytes) -> dict[str, Any]:
        with self._lock:
            self._start()
            process = self._process
            assert process is not None and process.stdin is not None
            deadline = time.monotonic() + self._timeout_s
            if not self._greeted:
                greeting = self._answer(process, deadline)
                if "missing" in greeting:
                    raise EngineMissing(greeting["missing"])
                self.module, self.version = greeting["name"], greeting["version"]
                self._greeted = True
            text = json.dumps(header).encode()
            try:
                process.stdin.write(struct.pack(">I", len(text)) + text)
                process.stdin.write(payload)
                process.stdin.flush()
            except BrokenPipeError:
                raise self._crashed(process) from None
            return self._answer(process, deadline)

    def _answer(self, process: subprocess.Popen[bytes], deadline: float) -> dict[str, Any]:
        length = struct.unpack(">I", self._read(process, 4, deadline))[0]
        answer: dict[str, Any] = json.loads(self._read(process, length, deadline))
        return answer

    def _read(self, process: subprocess.Popen[bytes], size: int, deadline: float) -> bytes:
        assert process.stdout is not None
        stream = process.stdout
        got = bytearray()
        while len(got) < size:
            ready, _, _ = select.select([stream], [], [], max(0.0, deadline - time.monotonic()))
            chunk = stream.raw.read(size - len(got)) if ready else None  # type: ignore[attr-defined]
            if not chunk:
                raise self._crashed(process, timed_out=not ready)
            got += chunk
        return bytes(got)

    def _crashed(self, process: subprocess.Popen[bytes], *, timed_out: bool = False) -> EngineCrashed:
        if timed_out:
            process.kill()
        code = process.wait()
        self._process = None
        return EngineCrashed("TensorRT's parser", None if timed_out else code, self._last_words())

    def _last_words(self) -> str:
        if self._words is None:
            return ""
        size = self._words.seek(0, 2)
        self._words.seek(max(0, size - 4000))
        return self._words.read().decode(errors="replace")


_SHARED: dict[tuple[str, str], Parser] = {}
_SHARED_LOCK = threading.Lock()


def shared(name: str = "", python: str = "") -> Parser:
    """The one parser of this process for a TensorRT module and environment; it ends with us."""
    with _SHARED_LOCK:
        if (name, python) not in _SHARED:
            _SHARED[name, python] = Parser(name, python=python)
            atexit.register(_SHARED[name, python].close)
        return _SHARED[name, python]


def prestart(name: str = "") -> None:
    """Start the shared parser's process in the background, if there is a TensorRT to start."""
    with suppress(EngineMissing):
        shared(name).prestart()
