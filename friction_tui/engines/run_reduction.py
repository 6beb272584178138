"""The smallest part of a model with which ONNX Runtime fails when it runs, or crashes, or does not end.

Whether it fails depends on values, so a part is run on those that the model computes for its inputs up to there. The
node is the one that the message names; a crash and a hang name none, and it is found among beginnings of the graph.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx.external_data_helper import load_external_data_for_model

from friction_tui.engines.tensorrt.parts import Part, Parts
from friction_tui.model.graph import Node
from friction_tui.model.opened import OpenedModel
from friction_tui.model.shapes.shape_table import ShapeTable
from friction_tui.processes.begin import command
from friction_tui.processes.child import run as run_child
from friction_tui.processes.ended import how_it_ended
from friction_tui.processes.locks import temporary_folder

LIMIT_S = 60.0
"""How long a run may take; one that takes longer hangs."""
HOPS = 3
"""How far before the node that fails others are taken along where it does not fail alone."""
_NAMED = re.compile(r"Name:'(?P<name>[^']*)'|Node:(?P<loaded>\S+)|Node \((?P<other>[^)]*)\)")
_KIND = re.compile(r"\[ONNXRuntimeError\] : (?P<code>\d+)(?:.*?running (?P<op>\w+) node)?", re.DOTALL)

Feeds = Mapping[str, np.ndarray]


@dataclass(frozen=True, slots=True)
class FailedRun:
    """How a run failed: `text` in words, and `kind`, which is the same for two that fail in the same way."""

    text: str
    kind: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReducedRun:
    """The smallest part found, the `feeds` on which it fails, how, and after how many runs."""

    part: Part
    feeds: Feeds
    failure: FailedRun
    runs: int


def reduced_run(
    model: OpenedModel, table: ShapeTable, feeds: Feeds, say: Callable[[str], None] = lambda _: None
) -> ReducedRun | None:
    """The smallest part that fails as the model does on `feeds`; None for a model that runs on them."""
    with temporary_folder("runs") as folder:
        return _Search(model, table, feeds, folder, say).run()


class _Search:
    def __init__(
        self, model: OpenedModel, table: ShapeTable, feeds: Feeds, folder: Path, say: Callable[[str], None]
    ) -> None:
        self._model, self._feeds, self._folder, self._say = model, feeds, folder, say
        self._parts = Parts(model, table)
        self._runs = 0

    def run(self) -> ReducedRun | None:
        order = self._parts.order
        failure = self._run(self._model.proto, self._feeds)
        if failure is None:
            return None
        failing = self._named(failure) or self._by_beginnings(order, failure)
        before = self._parts.before(order, failing)
        best = self._alone([failing], before, failure)
        near = [failing]
        for _ in range(HOPS):
            if best is not None:
                break
            writers = [writer for node in near for name in self._parts.reads(node) if (writer := self._writer(name))]
            near = [node for node in before if node in (*near, *writers)]
            best = self._alone(near, before, failure)
        if best is None:
            part = self._parts.part(before) or self._parts.part(order)
            best = (part, self._feeds) if part is not None else None
        if best is None:
            return None
        part, values = best
        self._say(f"{len(self._model.index.nodes):,} nodes → {len(part.nodes):,}")
        return ReducedRun(part, values, failure, self._runs)

    def _named(self, failure: FailedRun) -> Node | None:
        """The node of the main graph that the message names; of one in a body, the node whose body it is."""
        found = _NAMED.search(failure.text)
        name = next(filter(None, found.groups()), "") if found else ""
        node = next((one for one in self._model.index.nodes if name and one.name == name), None)
        return self._model.index.by_path[node.path.split(".")[0]] if node and not node.graph.startswith("@") else None

    def _by_beginnings(self, order: Sequence[Node], failure: FailedRun) -> Node:
        works, broken = 0, len(order)
        while broken - works > 1:
            middle = (works + broken) // 2
            part = self._parts.part(order[:middle])
            fails = part is not None and self._kind_of(part.proto, self._feeds) == failure.kind
            works, broken = (works, middle) if fails else (middle, broken)
        return order[broken - 1]

    def _alone(self, nodes: Sequence[Node], before: Sequence[Node], failure: FailedRun) -> tuple[Part, Feeds] | None:
        """A part of `nodes` and the values of its inputs, if it fails in the same way; None if it does not."""
        part = self._parts.part(nodes)
        if part is None:
            return None
        wanted = [value.name for value in part.proto.graph.input]
        values = {name: self._feeds[name] for name in wanted if name in self._feeds}
        missing = [name for name in wanted if name not in values]
        if missing:
            values |= self._values(missing, before)
        if any(name not in values for name in wanted):
            return None
        return (part, values) if self._kind_of(part.proto, values) == failure.kind else None

    def _values(self, names: Sequence[str], before: Sequence[Node]) -> Feeds:
        """What the model computes for these tensors; those that it cannot compute are missing."""
        writers = {writer.path: writer for name in names if (writer := self._writer(name)) is not None}
        needed = {one.path: one for writer in writers.values() for one in self._parts.before(before, writer)}
        part = self._parts.part(needed.values())
        if part is None:
            return {}
        del part.proto.graph.output[:]
        part.proto.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
        kept = self._folder / "values.npz"
        kept.unlink(missing_ok=True)
        if self._run(part.proto, self._feeds, kept) is not None or not kept.exists():
            return {}
        with np.load(kept) as arrays:
            return {name: arrays[name] for name in names if name in arrays}

    def _writer(self, name: str) -> Node | None:
        return self._parts.writer(name)

    def _kind_of(self, proto: onnx.ModelProto, feeds: Feeds) -> tuple[str, ...]:
        failure = self._run(proto, feeds)
        return failure.kind if failure else ()

    def _run(self, proto: onnx.ModelProto, feeds: Feeds, keep: Path | None = None) -> FailedRun | None:
        """Run a model on those of `feeds` that are its inputs; None when it runs."""
        self._runs += 1
        whole = onnx.ModelProto()
        whole.CopyFrom(proto)
        load_external_data_for_model(whole, str(self._model.path.parent))
        file, arrays = self._folder / "model.onnx", self._folder / "feeds.npz"
        onnx.save_model(whole, file)
        inputs = {value.name for value in proto.graph.input}
        np.savez(arrays, **{name: array for name, array in feeds.items() if name in inputs})  # type: ignore[arg-type]
        asked = {"model": str(file), "feeds": str(arrays), "keep": str(keep or "")}
        done = run_child(
            command("friction_tui.engines.onnxruntime_run"), json.dumps(asked).encode() + b"\n", limit_s=LIMIT_S
        )
        if done.code == 0 and done.out:
            text = json.loads(done.out)["error"]
            return FailedRun(text, _kind(text)) if text else None
        if done.code is None:
            return FailedRun(f"it gave no result within {LIMIT_S:.0f} s", ("hangs",))
        return FailedRun(f"its process {how_it_ended(done.code, done.tail)}", ("crashed", str(done.code)))


def _kind(text: str) -> tuple[str, ...]:
    """What stays the same of a message when names and sizes change."""
    found = _KIND.search(text)
    return ("refused", found["code"], found["op"] or "") if found else ("refused", text[:80])
