"""The process that asks TensorRT's builder about one model after another without dying of it.

It imports TensorRT once and makes a fork of itself for every question, so that a crash, a hang or a lack of memory
costs one fork (2 to 4 ms) and nothing else. Before the fork it creates nothing: CUDA does not survive a fork.

A *dry* build is cancelled when the phase `Computing profile costs` begins, before kernels are chosen and compiled. By
then the builder has said everything about shapes, types and layers that a full build says: on 313 models that build
there was no false alarm.

A question is a line of JSON and the bytes of a serialised ModelProto, an answer a line of JSON:

- in: `bytes` of the model, `path` where relative names of external data start, `profiles` (each `shapes` and `values`
  of inputs at min, opt and max), `target`, `precision`, `typed` (whether the network is strongly typed), `options` (see
  `settings`), `libraries` (paths of plug-in libraries to load before), `dry`, `limit_s`, `memory` (bytes of data a
  build may have, 0 for no limit), `nice` (how much lower its priority is);
- out: `verdict` (`taken`, `refused`, `crashed`, `timeout` or `memory`), `errors`, `cannot_run` (warnings that mean that
  the engine fails somewhere in its profile), `phase` in which the first error came, `how` a fork ended (its status,
  negative for a signal), `tail` of what it wrote to stderr, `seconds`, `plan` (bytes), `activation` (planned bytes).

Imports TensorRT and the standard library only. Ends when stdin does.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import select
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from typing import IO, Any

from friction_tui.engines.base import EngineMissing
from friction_tui.engines.tensorrt import log, module, plugins, settings
from friction_tui.engines.tensorrt.capabilities import capabilities, members, network_flags
from friction_tui.engines.tensorrt.module import Native
from friction_tui.engines.tensorrt.native import builder, logger, set_cpu_only
from friction_tui.processes.ended import out_of_memory

COMPILE = "Computing profile costs"
"""TensorRT's own name for the phase in which kernels are chosen and compiled."""
_CANCELLED = "BuildCanceled"
_OUT_OF_MEMORY = 77
"""Exit status of a fork in which Python found no memory."""
_PR_SET_PDEATHSIG = 1
LINES, LINE_LENGTH, TAIL = 50, 4000, 2000
"""How many messages an answer has at most, how long each may be, and how much of stderr is kept."""

Question = Mapping[str, Any]
Answer = dict[str, Any]


def main() -> None:
    """Serve until stdin ends."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # TensorRT prints some of its errors straight to fd 1
    trt, missing = None, ""
    try:
        trt = module.load(sys.argv[1])
    except EngineMissing as error:
        missing = str(error)
    while line := sys.stdin.buffer.readline():
        question = json.loads(line)
        model = sys.stdin.buffer.read(question["bytes"])
        answer = {"missing": missing} if trt is None else _in_a_fork(trt, question, model)
        out.write(json.dumps(answer).encode() + b"\n")
        out.flush()


def _in_a_fork(trt: Native, question: Question, model: bytes) -> Answer:
    started = time.monotonic()
    with tempfile.TemporaryFile() as words:
        reading, writing = os.pipe()
        parent, prctl = os.getpid(), ctypes.CDLL(None).prctl
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL))
            if os.getppid() != parent:
                os._exit(1)
            _be_the_fork(trt, question, model, writing, words.fileno())
        os.close(writing)
        said, in_time = _read(reading, started + question["limit_s"])
        os.close(reading)
        if not in_time:
            os.kill(pid, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        answer = _answer_of(said, status, in_time=in_time, tail=_tail(words))
    return {**answer, "seconds": time.monotonic() - started}


def _be_the_fork(trt: Native, question: Question, model: bytes, writing: int, words: int) -> None:
    """Build, write the answer, and end without running any exit handler of native libraries."""
    os.dup2(words, 2)
    os.dup2(words, 1)
    os.nice(question["nice"])
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if question["memory"]:
        resource.setrlimit(resource.RLIMIT_DATA, (question["memory"], question["memory"]))
    status = 0
    try:
        answer = json.dumps(_Build(trt, question).run(model)).encode() + b"\n"
        while answer:
            answer = answer[os.write(writing, answer) :]
    except MemoryError:
        status = _OUT_OF_MEMORY
    except Exception as error:
        os.write(2, f"{type(error).__name__}: {error}\n".encode())
        status = 1
    os._exit(status)


def _read(stream: int, deadline: float) -> tuple[bytes, bool]:
    """Return all that is written to a pipe, and whether it was closed before the deadline."""
    said = bytearray()
    while (left := deadline - time.monotonic()) > 0 and select.select([stream], [], [], left)[0]:
        chunk = os.read(stream, 1 << 16)
        if not chunk:
            return bytes(said), True
        said += chunk
    return bytes(said), False


def _tail(words: IO[bytes]) -> str:
    size = words.seek(0, 2)
    words.seek(max(0, size - TAIL))
    return words.read().decode(errors="replace").strip()


def _answer_of(said: bytes, status: int, *, in_time: bool, tail: str) -> Answer:
    if said.endswith(b"\n"):
        return dict(json.loads(said))
    ended = {"errors": [], "cannot_run": [], "phase": "", "how": status, "tail": tail, "plan": None, "activation": []}
    if not in_time:
        return {**ended, "verdict": "timeout"}
    no_memory = status == _OUT_OF_MEMORY or out_of_memory(status, tail)
    return {**ended, "verdict": "memory" if no_memory else "crashed"}


class _Build:
    """One build in a fork."""

    def __init__(self, trt: Native, question: Question) -> None:
        self._trt, self._question = trt, question
        self._errors: list[str] = []
        self._cannot_run: list[str] = []
        self._figures = log.Figures()
        self._phase = self._failing = ""
        self._cancel = False
        self._log = logger(trt, self._hear)

    def run(self, model: bytes) -> Answer:
        trt, question = self._trt, self._question
        can = capabilities(trt)
        try:
            maker = builder(trt, self._log, self._errors)
        except EngineMissing as error:
            return {"missing": str(error)}
        not_loaded = plugins.load(trt, question["libraries"])
        if not_loaded:
            self._errors += not_loaded
            self._failing = "options"
            return self._answer(plan=None)
        network = maker.create_network(network_flags(trt, strongly_typed=question["typed"]))
        parser = trt.OnnxParser(network, self._log)
        path = question["path"]
        if not (parser.parse(model, path) if path else parser.parse(model)):
            self._errors[:] = [parser.get_error(number).desc() for number in range(parser.num_errors)]
            self._failing = "parse"
            return self._answer(plan=None)
        config = maker.create_builder_config()
        set_cpu_only(trt, config)
        if question["target"] in can.targets:
            config.num_compute_capabilities = 1
            config.set_compute_capability(members(trt, "ComputeCapability")[question["target"]], 0)
        if question["precision"] in can.precisions:
            config.set_flag(members(trt, "BuilderFlag")[question["precision"].upper()])
        not_taken = settings.apply(trt, config, question["options"])
        if not_taken:
            self._errors += not_taken
            self._failing = "options"
            return self._answer(plan=None)
        monitor = _monitor(trt, self._enter, lambda: self._cancel)
        config.progress_monitor = monitor
        if not self._add_profiles(maker, config, network):
            self._failing = "profile"
            return self._answer(plan=None)
        plan = maker.build_serialized_network(network, config)
        return self._answer(plan=None if plan is None else plan.nbytes)

    def _add_profiles(self, maker: Native, config: Native, network: Native) -> bool:
        inputs = {tensor.name: tensor for tensor in map(network.get_input, range(network.num_inputs))}
        for number, chosen in enumerate(self._question["profiles"]):
            profile = maker.create_optimization_profile()
            for name, points in chosen["shapes"].items():
                if name in inputs and not inputs[name].is_shape_tensor:
                    profile.set_shape(name, *points)
            for name, values in chosen["values"].items():
                if name in inputs and inputs[name].is_shape_tensor:
                    profile.set_shape_input(name, *values)
            if not profile or config.add_optimization_profile(profile) < 0:
                if not self._errors:
                    self._errors.append(f"optimization profile {number} is not valid")
                return False
        return True

    def _enter(self, phase: str) -> None:
        self._phase = phase
        if self._question["dry"] and phase == COMPILE:
            self._cancel = True

    def _hear(self, level: str, text: str) -> None:
        if level == "error" and len(self._errors) < LINES:
            self._errors.append(text[:LINE_LENGTH])
            self._failing = self._failing or self._phase or "graph"
        elif level == "warning" and log.CANNOT_RUN.search(text) and len(self._cannot_run) < LINES:
            self._cannot_run.append(text[:LINE_LENGTH])
        elif level == "info":
            self._figures.read(text)

    def _answer(self, plan: int | None) -> Answer:
        errors = self._errors
        if self._cancel:  # what is said from the cancellation on is said because of it
            at = next((number for number, text in enumerate(errors) if _CANCELLED in text), len(errors))
            errors = errors[:at]
        errors = log.worth_keeping(errors)
        taken = plan is not None or (self._cancel and not any(map(log.without_cuda, errors)))
        return {
            "verdict": "taken" if taken else "refused",
            "errors": [] if taken else errors,
            "cannot_run": list(dict.fromkeys(self._cannot_run)),
            "phase": "" if taken else self._failing,
            "how": 0,
            "tail": "",
            "plan": plan,
            "activation": self._figures.activation,
        }


def _monitor(trt: Native, started: Callable[[str], None], cancelled: Callable[[], bool]) -> Native:
    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)

        def phase_start(self, phase: str, parent: str | None, steps: int) -> None:  # noqa: ARG002
            started(phase)

        def phase_finish(self, phase: str) -> None:
            pass

        def step_complete(self, phase: str, step: int) -> bool:  # noqa: ARG002
            return not cancelled()

    return Monitor()


if __name__ == "__main__":
    main()
