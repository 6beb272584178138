"""What TensorRT-RTX's parser and builder, and ONNX Runtime, really say of a model: each asked in a process of its own.

Every question is a fork of a server that has the libraries loaded, so a crash or a hang costs one answer. Answers are
kept in a file of the user's cache folder, by the model's bytes, its inputs and the engines' versions.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import multiprocessing as mp
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs

from friction_tui.engines.base import EngineCrashed
from friction_tui.engines.tensorrt.parser import shared

TIMEOUT_S = 120.0
SAVED_EVERY = 100
"""Answers after which they are written down: a run that is stopped goes on from there."""
TENSORRT, ONNXRUNTIME = ENGINES = ("tensorrt_rtx", "onnxruntime")
Feeds = Mapping[str, Any]
"""Input name to value: an array, or a list of arrays for a sequence."""


@dataclass(frozen=True, slots=True)
class EngineAnswer:
    """`stage`: `parse`, `build` or `run` is where it failed, `died` that its process did, "" that all went well.

    `nodes` are the positions in the main graph that the parser gives with its errors, `text` its first error.
    """

    stage: str
    text: str = ""
    nodes: tuple[int, ...] = ()


class Answers:
    """The engines' answers, remembered."""

    def __init__(self) -> None:
        self.versions = {name: version(name.replace("_", "-")) for name in ENGINES}
        named = "-".join(f"{name}-{number}" for name, number in self.versions.items())
        self._file = Path(platformdirs.user_cache_dir("friction-tui")) / f"agreement-{named}.json"
        self._known: dict[str, dict[str, Any]] = {}
        with contextlib.suppress(OSError, ValueError):  # nothing asked yet
            self._known = json.loads(self._file.read_text(encoding="utf-8"))
        self._context = mp.get_context("forkserver")
        # Without __main__ among them each child would import the whole tool anew.
        self._context.set_forkserver_preload(["__main__", "friction_tui.engines.tensorrt.build", *ENGINES])

    def of(self, engine: str, model: bytes, feeds: Feeds) -> EngineAnswer:
        """What one of `ENGINES` answers to a serialised model fed with `feeds`."""
        key = f"{engine}-{_digest(model, feeds)}"
        if key not in self._known:
            refused = _parsed(model) if engine == TENSORRT else None
            self._known[key] = asdict(refused or self._ask(engine, model, feeds))
            if len(self._known) % SAVED_EVERY == 0:
                self.save()
        known = self._known[key]
        return EngineAnswer(known["stage"], known["text"], tuple(known["nodes"]))

    def save(self) -> None:
        """Write what was learnt."""
        self._file.parent.mkdir(parents=True, exist_ok=True)
        self._file.write_text(json.dumps(dict(self._known)), encoding="utf-8")

    def _ask(self, engine: str, model: bytes, feeds: Feeds) -> EngineAnswer:
        ours, theirs = self._context.Pipe(duplex=False)
        process = self._context.Process(target=_answer, args=(theirs, engine, model, feeds))
        process.start()
        theirs.close()
        try:
            answer = ours.recv() if ours.poll(TIMEOUT_S) else None
        except EOFError:
            answer = None
        if answer is None:
            process.kill()
        process.join()
        if isinstance(answer, EngineAnswer):
            return answer
        return EngineAnswer("died", f"its process ended with status {process.exitcode}")


def _parsed(model: bytes) -> EngineAnswer | None:
    """What the parser says against a model, None when it takes it."""
    try:
        parsed = shared(TENSORRT).parse(model)
    except EngineCrashed as error:
        return EngineAnswer("died", str(error))
    if parsed.ok:
        return None
    nodes = tuple(sorted({error.node for error in parsed.errors if error.node >= 0}))
    return EngineAnswer("parse", parsed.errors[0].desc if parsed.errors else "", nodes)


def _digest(model: bytes, feeds: Feeds) -> str:
    digest = hashlib.sha256(model)
    for name, value in feeds.items():
        arrays = value if isinstance(value, list) else [value]
        digest.update(name.encode())
        for array in arrays:
            digest.update(array.tobytes() if isinstance(array, np.ndarray) else repr(array).encode())
    return digest.hexdigest()[:32]


def _answer(out: Connection, engine: str, model: bytes, feeds: Feeds) -> None:
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    out.send(_built(model, feeds) if engine == TENSORRT else _onnxruntime(model, feeds))
    out.close()
    os._exit(0)  # exit handlers of native libraries can crash after the work is done


class _Silence:
    """Listens to a build and says nothing."""

    def begin(self, phase: str) -> None: ...
    def end(self, phase: str) -> None: ...
    def log(self, level: str, text: str) -> None: ...


def _built(model: bytes, feeds: Feeds) -> EngineAnswer:
    """Build at exactly the sizes of `feeds`."""
    from friction_tui.engines.profiles import ResolvedProfile
    from friction_tui.engines.tensorrt.build import build

    arrays = {name: value for name, value in feeds.items() if isinstance(value, np.ndarray)}
    shapes = {name: (array.shape,) * 3 for name, array in arrays.items()}
    whole = {name: tuple(array.ravel().tolist()) for name, array in arrays.items() if array.dtype.kind in "iu"}
    profile = ResolvedProfile(shapes, {name: (values,) * 3 for name, values in whole.items()})
    with tempfile.TemporaryDirectory() as folder:
        result = build(model, (profile,), Path(folder) / "plan", _Silence())
    said = next((words.text for found in result.findings for words in found.words), "")
    return EngineAnswer("") if result.ok else EngineAnswer("build", said)


def _onnxruntime(model: bytes, feeds: Feeds) -> EngineAnswer:
    """Load on the CPU, and run once."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    try:
        session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the bindings raise a class of their own for each status code
        return EngineAnswer("parse", str(error))
    try:
        session.run(None, dict(feeds))
    except Exception as error:
        return EngineAnswer("run", str(error))
    return EngineAnswer("")
