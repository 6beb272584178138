"""Cutting a model that TensorRT refuses: what it takes runs on TensorRT, the rest on ONNX Runtime.

The head holds nothing that is refused or computed from what is refused; a model may begin with refused nodes and have
none. The middle holds the refused nodes; after it a
tail runs on TensorRT again where that is worth it, else the middle is the tail. Each part is a model of its own.
"""

from __future__ import annotations

import enum
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import onnx

from friction_tui.engines.base import Refusal
from friction_tui.model import onnx_native
from friction_tui.model.graph import GraphIndex
from friction_tui.model.names import DTYPE_CODES
from friction_tui.model.opened import OpenedModel, from_proto
from friction_tui.model.shapes.shape_table import ShapeTable
from friction_tui.model.weightless import weightless
from friction_tui.processes.locks import temporary_folder
from friction_tui.rules.tensor_bytes import tensor_bytes
from friction_tui.vocabulary.finding import Finding, Severity, Tier

COSTLY = frozenset(
    (
        *("Conv", "ConvInteger", "ConvTranspose", "DeformConv", "FusedConv", "QLinearConv"),
        *("Einsum", "FusedMatMul", "Gemm", "MatMul", "MatMulInteger", "MatMulNBits", "QLinearMatMul"),
        *("Attention", "GroupQueryAttention", "MultiHeadAttention", "GRU", "LSTM", "RNN"),
    )
)
"""Operators that a GPU is for: they stay on TensorRT. What lies between them and the refused node goes to the side
where fewer bytes cross."""
UNKNOWN_BYTES = 1 << 40
"""What a tensor of unknown size counts for: a cut through it is the last choice."""
ROUNDS = 16
"""How often nodes that turn out to be refused inside a part are moved out of it."""
Ask = Callable[[OpenedModel], Sequence[Refusal]]


class CannotCut(Exception):
    """There is no cut; the text says why."""


class Engine(enum.StrEnum):
    """What runs a part."""

    TENSORRT = "TensorRT"
    ONNXRUNTIME = "ONNX Runtime"


@dataclass(frozen=True, slots=True)
class Part:
    """One part: `name` is `head`, `middle` or `tail`."""

    name: str
    engine: Engine
    model: OpenedModel


@dataclass(frozen=True, slots=True)
class Cut:
    """The parts in the order they run, the tensors that cross from one to a later one, their bytes at opt."""

    parts: tuple[Part, ...]
    tensors: tuple[str, ...]
    crossing_bytes: int


def refused_nodes(findings: Iterable[Finding]) -> set[str]:
    """Paths of the nodes that TensorRT's parser or builder does not take."""
    tiers = (Tier.PARSER, Tier.BUILDER)
    errors = (one for one in findings if one.severity is Severity.ERROR and one.tier in tiers)
    return {path for one in errors for path in one.node_paths}


def head_size(model: OpenedModel, refused: Iterable[str]) -> tuple[int, int]:
    """How many nodes do not depend on a refused one, and how many of them are costly."""
    head = _before(model.index, _outermost(model.index, refused))
    return len(head), sum(model.index.main[number].proto.op_type in COSTLY for number in head)


def cut(model: OpenedModel, refused: Iterable[str], table: ShapeTable, ask: Ask) -> Cut:
    """Cut `model` around the nodes at the paths `refused`. Raises CannotCut.

    `ask` gives what TensorRT refuses of a part; such nodes are moved out of it, until it is taken.
    """
    index = model.index
    if index.cycle:
        raise CannotCut(f"the graph has a cycle through {index.cycle[0]}")
    written = [name for node in index.main for name in node.outputs if name]
    if len(set(written)) < len(written):
        raise CannotCut("two nodes write the same tensor")
    bad = _outermost(index, refused)
    if not bad:
        raise CannotCut("no node is known that TensorRT refuses")
    cost = _costs(table)
    kinds = _kinds(model, table)
    with_tail = True
    for _ in range(ROUNDS):
        head = _head(index, bad, cost)
        tail = _tail(index, bad, head) if with_tail else set()
        if not head and not tail:
            raise CannotCut("nothing that is worth it can be parted from what TensorRT refuses")
        places = [head, {node.index for node in index.main} - head - tail, tail]
        found = _assembled(model, places, cost, kinds)
        worse = {part.name: _refused_in(part, ask, index) for part in found.parts if part.engine is Engine.TENSORRT}
        if not any(worse.values()):
            return found
        if worse.get("tail") and not worse.get("head"):
            with_tail = False  # what follows refused nodes is a gain only where it is taken as it is
        bad = bad | worse.get("head", set())
    raise CannotCut("TensorRT refuses the head however much is cut off")


def _outermost(index: GraphIndex, paths: Iterable[str]) -> set[int]:
    """Numbers of the main graph's nodes that are at those paths or hold them in a body or a function they call."""
    found: set[int] = set()
    for path in paths:
        first = path.partition(".")[0]
        if first.isdecimal() and int(first) < len(index.main):
            found.add(int(first))
        elif path.startswith("@"):
            found.update(node.index for node in index.main if (index.function_of(node.proto) or "@") in path)
    return found


def _readers(index: GraphIndex) -> list[list[int]]:
    readers: list[list[int]] = [[] for _ in index.main]
    for node in index.main:
        for name in index.reads(node):
            writer = index.producer.get(name)
            if writer is not None:
                readers[writer.index].append(node.index)
    return readers


def _reached(start: Iterable[int], following: Sequence[Sequence[int]]) -> set[int]:
    reached = set(start)
    pending = list(reached)
    while pending:
        for number in following[pending.pop()]:
            if number not in reached:
                reached.add(number)
                pending.append(number)
    return reached


def _writers(index: GraphIndex) -> list[list[int]]:
    found = ((index.producer.get(name) for name in index.reads(node)) for node in index.main)
    return [[writer.index for writer in writers if writer is not None] for writers in found]


def _before(index: GraphIndex, bad: set[int]) -> set[int]:
    """Every node that does not depend on a refused one."""
    return {node.index for node in index.main} - _reached(bad, _readers(index))


def _head(index: GraphIndex, bad: set[int], cost: Callable[[str], int]) -> set[int]:
    """What does not depend on a refused node, without the cheap nodes at its end that save bytes on the other side."""
    largest = _before(index, bad)
    costly = {number for number in largest if index.main[number].proto.op_type in COSTLY}
    if not costly:
        return largest
    fixed = _reached(costly, _writers(index))
    return fixed | (largest - fixed - _beyond_cheapest_cut(index, fixed, largest, cost))


def _beyond_cheapest_cut(index: GraphIndex, fixed: set[int], largest: set[int], cost: Callable[[str], int]) -> set[int]:
    """The nodes of `largest` behind the cheapest set of tensors that separates `fixed` from what reads `largest`.

    A maximum flow from `fixed` to the readers; a tensor is an edge whose capacity is its bytes, however many read it.
    Of equally cheap cuts the latest is taken, so that more runs on TensorRT.
    """
    source, sink = ("node", -1), ("node", -2)
    capacity: dict[object, dict[object, int]] = {}

    def edge(start: object, end: object, size: int) -> None:
        capacity.setdefault(start, {}).setdefault(end, 0)
        capacity[start][end] += size
        capacity.setdefault(end, {}).setdefault(start, 0)

    def place(number: int) -> object:
        return source if number in fixed else ("node", number) if number in largest else sink

    unbounded = 1 << 60
    readers = index.consumers
    for number in sorted(largest):
        for name in index.main[number].outputs:
            following = {place(reader.index) for reader in readers.get(name, ())} - {place(number)}
            if not name or not following:
                continue
            edge(place(number), ("in", name), unbounded)
            edge(("in", name), ("out", name), max(cost(name), 1))
            for end in sorted(following, key=str):
                edge(("out", name), end, unbounded)
                if end is not sink:
                    edge(end, place(number), unbounded)  # a node of the head reads only from the head
    while True:
        path = _augmenting(capacity, source, sink)
        if path is None:
            break
        room = min(capacity[start][end] for start, end in path)
        for start, end in path:
            capacity[start][end] -= room
            capacity[end][start] += room
    behind: set[object] = {sink}
    pending: list[object] = [sink]
    while pending:
        end = pending.pop()
        for start in capacity.get(end, ()):
            if capacity[start][end] > 0 and start not in behind:
                behind.add(start)
                pending.append(start)
    return {number for number in largest if ("node", number) in behind}


def _augmenting(
    capacity: Mapping[object, Mapping[object, int]], source: object, sink: object
) -> list[tuple[object, object]] | None:
    """A shortest path with room left, as edges; None when there is none."""
    came: dict[object, object] = {source: source}
    pending = deque([source])
    while pending:
        start = pending.popleft()
        for end, room in capacity.get(start, {}).items():
            if room > 0 and end not in came:
                came[end] = start
                if end == sink:
                    return _walked_back(came, source, sink)
                pending.append(end)
    return None


def _walked_back(came: Mapping[object, object], source: object, sink: object) -> list[tuple[object, object]]:
    path, end = [], sink
    while end != source:
        path.append((came[end], end))
        end = came[end]
    return path


def _tail(index: GraphIndex, bad: set[int], head: set[int]) -> set[int]:
    """What leads to no refused node and depends on one, where it holds a costly operator; nothing else."""
    writers = _writers(index)
    before_bad = _reached(bad, writers)
    tail = {node.index for node in index.main} - before_bad - head
    while True:  # a node that others outside of the tail read stays with them
        readers = _readers(index)
        early = {number for number in tail if any(reader not in tail for reader in readers[number])}
        if not early:
            break
        tail -= early
    costly = any(index.main[number].proto.op_type in COSTLY for number in tail)
    return tail if costly else set()


def _costs(table: ShapeTable) -> Callable[[str], int]:
    types = table.at("opt").types

    def cost(name: str) -> int:
        size = tensor_bytes(types.get(name))
        return size if size is not None else UNKNOWN_BYTES

    return cost


def _kinds(model: OpenedModel, table: ShapeTable) -> Callable[[str], onnx.ValueInfoProto | None]:
    """The declared, inferred or followed type of a tensor; sizes that vary stay free."""
    known = {value.name: value for value in (*model.proto.graph.value_info, *model.proto.graph.output)}
    with temporary_folder("cut") as folder:
        light = weightless(model.proto, folder, model.path.parent)
        try:
            inferred = onnx_native.infer_shapes(light).graph
            known.update({value.name: value for value in (*inferred.value_info, *inferred.output)})
        except (onnx_native.NativeRefused, onnx_native.NotAnswered):
            pass  # what cannot be inferred is followed below
    known.update({value.name: value for value in model.proto.graph.input})

    def kind(name: str) -> onnx.ValueInfoProto | None:
        found: onnx.ValueInfoProto | None = known.get(name)
        if found is not None and found.type.tensor_type.elem_type and found.type.tensor_type.HasField("shape"):
            return found
        followed = table.at("opt").types.get(name)
        if followed is None or followed.dtype not in DTYPE_CODES:
            return found
        dims = None if followed.dims is None else [f"{name}_{axis}" for axis in range(len(followed.dims))]
        made: onnx.ValueInfoProto = onnx.helper.make_tensor_value_info(name, DTYPE_CODES[followed.dtype], dims)
        return made

    return kind


def _assembled(
    model: OpenedModel,
    places: Sequence[set[int]],
    cost: Callable[[str], int],
    kind: Callable[[str], onnx.ValueInfoProto | None],
) -> Cut:
    """The models of the parts. Raises CannotCut where the type of a tensor that crosses is not known."""
    index, graph = model.index, model.proto.graph
    reads = [{name for number in place for name in index.reads(index.main[number])} for place in places]
    writes = [{name for number in place for name in index.main[number].outputs if name} for place in places]
    outputs = [value.name for value in graph.output]
    crossing: list[str] = []
    parts = []
    for at, place in enumerate(places):
        if not place:
            continue
        later = set().union(*reads[at + 1 :])
        handed = [name for number in sorted(place) for name in index.main[number].outputs if name and name in later]
        own = [name for name in outputs if name in writes[at]]
        if at == 1:  # an output that no node writes is an input or an initializer
            own += [name for name in outputs if not any(name in written for written in writes)]
        crossing += handed
        engine = Engine.ONNXRUNTIME if at == 1 else Engine.TENSORRT
        name = ("head", "middle" if places[2] else "tail", "tail")[at]
        proto = _part(model, place, reads[at] - writes[at], list(dict.fromkeys((*own, *handed))), kind)
        parts.append(Part(name, engine, from_proto(proto, model.path)))
    sizes = [cost(name) for name in crossing]
    return Cut(tuple(parts), tuple(crossing), sum(size for size in sizes if size < UNKNOWN_BYTES))


def _part(
    model: OpenedModel,
    place: set[int],
    outside: set[str],
    outputs: Sequence[str],
    kind: Callable[[str], onnx.ValueInfoProto | None],
) -> onnx.ModelProto:
    graph = model.proto.graph
    proto = onnx.ModelProto()
    for field, value in model.proto.ListFields():
        if field.name == "graph":
            continue
        if hasattr(value, "extend"):
            getattr(proto, field.name).extend(value)
        else:
            setattr(proto, field.name, value)
    proto.graph.name = graph.name
    proto.graph.node.extend(model.index.main[number].proto for number in model.index.sorted_in("") if number in place)
    wanted = outside | set(outputs)
    proto.graph.initializer.extend(one for one in graph.initializer if one.name in wanted)
    proto.graph.sparse_initializer.extend(one for one in graph.sparse_initializer if one.values.name in wanted)
    stored = model.index.initializers.keys()
    declared = [value.name for value in graph.input if value.name in wanted and value.name not in stored]
    computed = sorted(outside - stored - set(declared))
    for field, names in ((proto.graph.input, [*declared, *computed]), (proto.graph.output, list(outputs))):
        for name in names:
            value = kind(name)
            if value is None or not value.type.WhichOneof("value"):
                raise CannotCut(f"the type of {name}, where the cut would be, is not known")
            field.append(value)
    inside = {name for number in place for name in model.index.main[number].outputs}
    proto.graph.value_info.extend(value for value in graph.value_info if value.name in inside - set(outputs))
    return proto


def _refused_in(part: Part, ask: Ask, index: GraphIndex) -> set[int]:
    """The whole model's nodes that are refused in a part. Raises CannotCut where no node can be named."""
    found: set[int] = set()
    for refusal in ask(part.model):
        inner = part.model.index
        numbers = _outermost(inner, [refusal.path]) if refusal.path else set()
        names = {name for number in numbers for name in inner.main[number].outputs if name}
        if refusal.tensor and not numbers:
            names.add(refusal.tensor)
        writers = {writer.index for name in names if (writer := index.producer.get(name)) is not None}
        readers = {reader.index for name in names for reader in index.consumers.get(name, ())}
        if not (writers or readers):
            raise CannotCut(f"TensorRT refuses the {part.name}: {refusal.text}")
        found |= writers or readers
    return found


def runner_text(title: str, files: Sequence[tuple[str, Engine]], outputs: Sequence[str]) -> str:
    """A Python file that runs the parts one after another with ONNX Runtime; `files` lie beside it."""
    listed = "".join(f"    ({name!r}, {engine is Engine.TENSORRT}),\n" for name, engine in files)
    return f'''"""Run {title.replace(chr(92), "/").replace(chr(34), "'")}, cut in parts, with ONNX Runtime.

As a module: `Parts().run({{input name: array}})` gives {{output name: array}}.
On the command line: python THIS_FILE INPUTS.npz OUTPUTS.npz

Needs onnxruntime and numpy. The parts for TensorRT run there where ONNX Runtime has one of its providers
(onnxruntime-gpu with TensorRT, or the TensorRT-RTX provider), else on CUDA, else on the CPU.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime as ort

PARTS = (
{listed})
"""Each model file beside this one, and whether it is for TensorRT."""
OUTPUTS = {list(outputs)!r}
TENSORRT = ("NvTensorRTRTXExecutionProvider", "TensorrtExecutionProvider")


def providers(on_tensorrt: bool) -> list[str]:
    """The providers to run a part with, the best first."""
    wanted = (*(TENSORRT if on_tensorrt else ()), "CUDAExecutionProvider", "CPUExecutionProvider")
    available = ort.get_available_providers()
    return [name for name in wanted if name in available]


class Parts:
    """The whole model."""

    def __init__(self) -> None:
        folder = Path(__file__).resolve().parent
        self.sessions = [
            ort.InferenceSession(str(folder / name), providers=providers(on_tensorrt)) for name, on_tensorrt in PARTS
        ]

    def run(self, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """The outputs by name."""
        values = dict(feeds)
        for session in self.sessions:
            names = [port.name for port in session.get_outputs()]
            given = {{port.name: values[port.name] for port in session.get_inputs()}}
            values.update(zip(names, session.run(names, given), strict=True))
        return {{name: values[name] for name in OUTPUTS}}


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(f"usage: python {{sys.argv[0]}} INPUTS.npz OUTPUTS.npz")
    with np.load(sys.argv[1]) as inputs:
        results = Parts().run(dict(inputs))
    np.savez(sys.argv[2], **results)
'''
