"""The process of TensorRT's builder, and what it says of a model: a dry build of shapes and layers, or one to the end.

See `build_server` for what a dry build is, `question` for how a model is put to it.
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from friction_tui.engines.base import DRY_LIMIT_S, BuilderAnswer, EngineCrashed, EngineMissing, Said, Terms
from friction_tui.engines.nvidia import cannot_run
from friction_tui.engines.tensorrt.module import preferred
from friction_tui.engines.tensorrt.options import settings_of
from friction_tui.processes.begin import command
from friction_tui.processes.ended import how_it_ended
from friction_tui.processes.server import Server

Stop = Callable[[], bool]

_ANSWERS_WITHIN_S = 600.0
"""How long its process may be silent; a build has a limit of its own, which that process enforces."""
_MEMORY_SHARE = 0.8
"""The part of this machine's available memory that a build in a check may have."""
_LINE_OF_SOURCE = re.compile(r"[\w/]+\.(?:cpp|h):\d+")


class Builder:
    """The process that builds. Started on first use, started anew after its death. Calls from several threads queue up.

    `name` is the TensorRT module to load, "" for the preferred one.
    """

    def __init__(self, name: str = "") -> None:
        self._name = name
        self._server = Server("TensorRT's builder", self._command, limit_s=_ANSWERS_WITHIN_S, died=EngineCrashed)
        self._memory = _memory_limit()

    @property
    def pid(self) -> int | None:
        """Its process id, None before it was started."""
        return self._server.pid

    def prestart(self) -> None:
        """Begin starting the process. Returns at once."""
        with contextlib.suppress(EngineMissing):
            self._server.prestart()

    def build(
        self,
        model: bytes,
        terms: Terms,
        *,
        path: str = "",
        dry: bool = True,
        limit_s: float = DRY_LIMIT_S,
        stop: Stop = lambda: False,
        nice: int = 0,
        memory: int | None = None,
    ) -> dict[str, Any]:
        """The server's answer on a serialised model whose external data lies beside `path` (see `build_server`).

        `nice` is how much lower its priority is, `memory` how many bytes it may have instead of the usual share.

        Raises EngineMissing without a TensorRT that builds here, EngineCrashed when the server itself dies, and
        Stopped when `stop` says so.
        """
        question = {
            "bytes": len(model),
            "path": path,
            "profiles": [{"shapes": dict(one.shapes), "values": dict(one.values)} for one in terms.profiles],
            "target": terms.target,
            "precision": terms.precision,
            "typed": terms.typed,
            "options": settings_of(terms.options),
            "libraries": [path for path, _ in terms.libraries],
            "dry": dry,
            "limit_s": limit_s,
            "memory": self._memory if memory is None else memory,
            "nice": nice,
        }
        answer: dict[str, Any] = json.loads(self._server.ask(question, model, stop=stop))
        if "missing" in answer:
            raise EngineMissing(answer["missing"])
        return answer

    def close(self) -> None:
        """End the process, whatever it is doing; what it builds dies with it."""
        self._server.close()

    def _command(self) -> list[str]:
        return command("friction_tui.engines.tensorrt.build_server", self._name or preferred().name)


_SHARED: dict[str, Builder] = {}
_SHARED_LOCK = threading.Lock()


def shared() -> Builder:
    """The builder process that verdicts wait for, with the preferred TensorRT; it ends with us."""
    return _one_for("verdicts")


def in_background() -> Builder:
    """The builder process that compiles while nobody waits, so that the next verdict does not wait for it either."""
    return _one_for("background")


def _one_for(what: str) -> Builder:
    with _SHARED_LOCK:
        return _SHARED.setdefault(what, Builder())


def answer_of(
    answer: Mapping[str, Any],
    *,
    dry: bool = False,
    said: Callable[[str], Said] = Said,
    located: tuple[str, ...] = (),
    alone: bool = False,
) -> BuilderAnswer:
    """The server's answer in our terms; `said` finds the nodes that a message names."""
    return BuilderAnswer(
        verdict=answer["verdict"],
        label=preferred().label,
        seconds=answer["seconds"],
        dry=dry,
        refusals=tuple(map(said, answer["errors"])),
        cannot_run=tuple(map(said, answer["cannot_run"])),
        how=_how(answer),
        tail=answer["tail"],
        located=located,
        alone=alone,
        plan=answer["plan"],
        activation=tuple(answer["activation"]),
    )


def failure(answer: Mapping[str, Any]) -> tuple[str, ...]:
    """What kind of failure an answer is: its verdict, and the places in TensorRT's source that its first message names.

    Names and sizes in a message change with what is built; where it comes from does not. Of a build that was taken it
    is the verdict alone.
    """
    first = next(iter(answer["errors"]), "")
    return (answer["verdict"], *_LINE_OF_SOURCE.findall(first)[:2])


def _how(answer: Mapping[str, Any]) -> str:
    match answer["verdict"]:
        case "timeout":
            return f"gave no result within {answer['seconds']:.0f} s and was ended"
        case "memory":
            return "ran out of memory"
        case "crashed":
            return how_it_ended(answer["how"], answer["tail"])
    return ""


def _memory_limit() -> int:
    """Bytes of data that one build may have; 0, no limit, with a GPU, whose driver maps as much as it likes."""
    if not cannot_run():
        return 0
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(int(line.split()[1]) * 1024 * _MEMORY_SHARE)
    except (OSError, ValueError):
        pass
    return 0
