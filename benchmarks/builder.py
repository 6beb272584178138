"""The builder's verdict: how long it takes, what one-node builds find of it, how small and how fast failures reduce.

    python -m benchmarks.builder

Times are of a transformer of 1,008 nodes with two free dimensions. The failures are made here: six kinds that only
compiling finds, each at several sizes, in the middle of other nodes; that they build dry and fail in full is measured.
Healthy models are those of onnx's backend tests that build, the ones with nodes at risk first. Prints tables for
docs/agreement.md. Exits 1 when a budget is missed or a node alone is refused of a model that builds.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper, parser

from benchmarks.agreement import BackendTest, backend_tests, profile_of
from benchmarks.machine import machine
from friction_tui.engines.base import Terms
from friction_tui.engines.profiles import resolved
from friction_tui.engines.tensorrt.answers import Answers
from friction_tui.engines.tensorrt.builder import Builder
from friction_tui.engines.tensorrt.forms import forms_at_risk
from friction_tui.engines.tensorrt.parts import Parts
from friction_tui.engines.tensorrt.question import BuilderQuestion
from friction_tui.engines.tensorrt.reduction import reduced
from friction_tui.engines.tensorrt.refusals import refusals
from friction_tui.model.opened import OpenedModel, from_proto
from friction_tui.model.shapes.profile import default_profile
from friction_tui.model.shapes.shape_table import ShapeTable
from friction_tui.vocabulary.recipe import Profile, Range

HEALTHY = 100
COLD_S, WARM_S = 10.0, 0.3
"""Budgets of the verdict to the end on the transformer, asked for the first time and again in another process."""
REDUCED_S, REDUCED_PARSER_S, NODES = 20.0, 2.0, 3
_LAYERS, _WIDTH = 42, 128
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Failing:
    """A model that only compiling refuses or crashes on, for `target`; `bad` are the names of its faulty nodes."""

    kind: str
    text: str
    bad: tuple[str, ...]
    ranges: tuple[tuple[str, Range], ...] = ()
    target: str = ""
    opset: int = 23

    def model(self) -> OpenedModel:
        """The model."""
        head = f'<ir_version: 10, opset_import: ["" : {self.opset}]>\n'
        return from_proto(parser.parse_model(head + self.text), Path("model.onnx"))


def failing() -> Iterator[Failing]:
    """At least five of each kind."""
    for dtype in ("float16", "float"):
        for heads, steps, size in ((8, 16, 64), (4, 32, 64), (2, 8, 32)):
            shape = f"{dtype}[1,{heads},{steps},{size}]"
            crash = f"g ({shape} x) => ({shape} y) {{ [in] s = Relu(x) [bad] a = Attention(s, s, x) [out] y = Neg(a) }}"
            yield Failing("Attention, query is key", crash, ("bad",))
            body = (
                "[bad] i = If(c) <then_branch = t () => (a) { [inner] a = Attention(s, r, r) }, "
                "else_branch = e () => (b) { b = Neg(s) }>"
            )
            inside = f"g ({shape} x, bool c) => ({shape} y) {{ s = Relu(x) r = Neg(x) {body} [out] y = Neg(i) }}"
            yield Failing("Attention in an If", inside, ("bad", "inner"))
    chosen = "[bad] i = If(c) <then_branch = t () => (a) { a = Relu(s) }, else_branch = e () => (b) { b = Neg(s) }>"
    for channels, low in ((3, 8), (1, 16), (4, 24)):
        sides = f"float[1,{channels},h,16]"
        for between in ("r = Identity(i)", "r = Transpose<perm=[0,1,3,2]>(i)"):
            text = (
                f"g ({sides} x, bool c) => (float[1,{channels},p,q] y) <float[4] z = {{1,1,2,2}}> "
                f'{{ s = Relu(x) {chosen} {between} [rs] u = Resize<mode="cubic">(r, , z) [out] y = Neg(u) }}'
            )
            yield Failing("cubic Resize of an If", text, ("bad", "rs"), (("h", Range(low, 2 * low, 4 * low)),))
    for width in (8, 16, 32):
        for reducer in ("ReduceMax", "ReduceMin"):
            text = (
                f"g (float[n,{width}] x, int64[n] ids) => (float[n,d] y) <float[2] v = {{0,1}}> "
                f"{{ m = {reducer}<keepdims=0>(ids) [bad] o = OneHot(ids, m, v) [out] y = Neg(o) }}"
            )
            yield Failing("OneHot, depth from data", text, ("bad",), (("n", Range(1, 2, 4)),))
    products = {
        "MatMul": "MatMul(s, w)",
        "Gemm": "Gemm(s, w)",
        "Einsum": 'Einsum<equation="ij,jk->ik">(s, w)',
    }
    for op, call in products.items():
        for rows in (4, 32):
            ports = f"(float[{rows},8] x, float[8,4] w) => (float[{rows},4] y)"
            text = f"g {ports} {{ s = Relu(x) [bad] m = {call} [out] y = Neg(m) }}"
            yield Failing(f"float32 product for SM75 ({op})", text, ("bad",), target="SM75")
    for scale, target in (("float16", ""), ("float", "SM75"), ("float", "SM80"), ("float", "SM86")):
        for width in (16, 64):
            half = 14336 if scale == "float16" else 0.5  # the text form has float16 by its bits
            text = (
                f"g ({scale}[4,{width}] x, {scale}[{width},8] w) => ({scale}[4,8] y) <{scale} z = {{{half}}}> "
                "{ s = Relu(x) [q] a = QuantizeLinear<output_dtype=17>(s, z) [bad] b = DequantizeLinear(a, z) "
                "[out] y = MatMul(b, w) }"
            )
            yield Failing("FP8", text, ("q", "bad"), target=target)


def transformer(bad: str = "") -> onnx.ModelProto:
    """1,008 nodes; `bad` adds some on a side branch in the middle: a `pair` for the builder, one for the `parser`."""
    random = np.random.default_rng(20)
    square: tuple[int, ...] = (_WIDTH, _WIDTH)
    sizes = dict.fromkeys(("wq", "wk", "wv", "wo"), square)
    sizes |= {"w1": (_WIDTH, 4 * _WIDTH), "w2": (4 * _WIDTH, _WIDTH), "g": (_WIDTH,), "b": (_WIDTH,)}
    weights = [
        numpy_helper.from_array((0.02 * random.standard_normal(size)).astype(np.float32), name)
        for name, size in sizes.items()
    ]
    weights += [numpy_helper.from_array(np.array([0, 0, 4, _WIDTH // 4]), "heads")]
    weights += [numpy_helper.from_array(np.array([0, 0, _WIDTH]), "flat")]
    weights += [numpy_helper.from_array(np.array(0.2, np.float32), "scale")]
    nodes: list[onnx.NodeProto] = []

    def add(op: str, inputs: list[str], output: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(op, inputs, [output], name=f"/{output.replace('.', '/')}", **attributes))
        return output

    current = "x"
    for layer in range(_LAYERS):
        at = f"layers.{layer}."
        normal = add("LayerNormalization", [current, "g", "b"], at + "norm1")
        heads = []
        for name in ("wq", "wk", "wv"):
            product = add("MatMul", [normal, name], at + name)
            split = add("Reshape", [product, "heads"], product + ".split")
            heads.append(add("Transpose", [split], split + ".t", perm=[0, 2, 1, 3]))
        query, keys, values = heads
        keys = add("Transpose", [keys], at + "keys", perm=[0, 1, 3, 2])
        scores = add("Mul", [add("MatMul", [query, keys], at + "qk"), "scale"], at + "scaled")
        mixed = add("MatMul", [add("Softmax", [scores], at + "softmax", axis=-1), values], at + "mixed")
        joined = add("Reshape", [add("Transpose", [mixed], at + "back", perm=[0, 2, 1, 3]), "flat"], at + "joined")
        current = add("Add", [current, add("MatMul", [joined, "wo"], at + "out")], at + "sum1")
        normal = add("LayerNormalization", [current, "g", "b"], at + "norm2")
        hidden = add("Relu", [add("MatMul", [normal, "w1"], at + "up")], at + "relu")
        current = add("Add", [current, add("MatMul", [hidden, "w2"], at + "down")], at + "sum2")
        if bad and layer == _LAYERS // 2:
            _add_bad(bad, nodes)
    ports = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", "T", _WIDTH])]
    outputs = [helper.make_tensor_value_info(current, TensorProto.FLOAT, ["N", "T", _WIDTH])]
    if bad == "parser":
        ports.append(helper.make_tensor_value_info("square", TensorProto.FLOAT, [4, 4]))
        outputs.append(helper.make_tensor_value_info("bad", TensorProto.FLOAT, []))
    if bad == "pair":
        weights.append(numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "twice"))
        ports.append(helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, "H", 16]))
        ports.append(helper.make_tensor_value_info("condition", TensorProto.BOOL, []))
        outputs.append(helper.make_tensor_value_info("bad", TensorProto.FLOAT, None))
    graph = helper.make_graph(nodes, "transformer", ports, outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=10)


def _add_bad(bad: str, nodes: list[onnx.NodeProto]) -> None:
    if bad == "parser":
        nodes.append(helper.make_node("Det", ["square"], ["bad"], name="/bad/Det"))
        return
    branches = {}
    for name, op in (("then_branch", "Relu"), ("else_branch", "Neg")):
        result = helper.make_tensor_value_info(f"{name}_y", TensorProto.FLOAT, None)
        inner = helper.make_node(op, ["image"], [f"{name}_y"], name=f"/bad/{op}")
        branches[name] = helper.make_graph([inner], name, [], [result])
    nodes.append(helper.make_node("If", ["condition"], ["chosen"], name="/bad/If", **branches))
    nodes.append(helper.make_node("Transpose", ["chosen"], ["turned"], name="/bad/Transpose", perm=[0, 1, 3, 2]))
    nodes.append(helper.make_node("Resize", ["turned", "", "twice"], ["bad"], name="/bad/Resize", mode="cubic"))


class Bench:
    """One builder process, and the ranges that the models are asked at."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.builder = folder, Builder()
        self.builder.build(transformer().SerializeToString(), Terms(), limit_s=0.1)  # the process is up
        self.missed: list[str] = []

    def question(self, model: OpenedModel, kept: str) -> BuilderQuestion:
        """The model, with the answers in the file called `kept`."""
        return BuilderQuestion(model, self.builder, Answers(self.folder / f"{kept}.sqlite"))

    def budget(self, what: str, measured: float, allowed: float) -> None:
        """Remember what took longer than it may."""
        if measured > allowed:
            self.missed.append(f"{what}: {measured:.2f}, {allowed:g} allowed")


def _table(model: OpenedModel, ranges: dict[str, Range]) -> ShapeTable:
    return ShapeTable(model, default_profile(model, Profile(ranges=ranges)))


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    started = time.perf_counter()
    return work(), time.perf_counter() - started


def _ignored(_: object) -> None:
    """What is found is of no interest here, only how long it takes."""


def times(bench: Bench) -> Iterator[str]:
    """The transformer: parser, dry build, build to the end, and the same again."""
    data = transformer().SerializeToString()
    ranges = {"N": Range(1, 1, 2), "T": Range(16, 32, 64)}
    model = from_proto(onnx.ModelProto.FromString(data), Path("model.onnx"))
    table = _table(model, ranges)
    refusals(model, on_batch=_ignored)
    _, parsing = _timed(lambda: refusals(model, on_batch=_ignored))
    terms = Terms(resolved(model, table.profile))
    _, dry = _timed(lambda: bench.question(model, "times").ask(terms))
    answer, cold = _timed(lambda: bench.question(model, "times").ask(terms, dry=False))
    known, warm = _timed(lambda: bench.question(model, "times").remembered(terms))
    for point in ("min", "opt", "max"):
        table.at(point)
    probed, forms = _timed(lambda: bench.question(model, "times").at_risk(terms, table))
    assert known is not None
    yield f"| parser, every node | {parsing:.2f} s |"
    yield f"| dry build: shapes and layers | {dry:.2f} s |"
    yield f"| build to the end, first time ({answer.verdict}) | {cold:.2f} s |"
    yield f"| the same, known from before | {warm:.2f} s |"
    yield f"| nodes at risk: {probed.forms} forms | {forms:.2f} s |"
    bench.budget("verdict to the end, cold", cold, COLD_S)
    bench.budget("verdict to the end, warm", warm, WARM_S)


def recall(bench: Bench) -> Iterator[str]:
    """Of models that only compiling fails on: which of them nodes alone show, and with the right place."""
    rows: dict[str, Counter[str]] = {}
    for one in failing():
        model = one.model()
        table = _table(model, dict(one.ranges))
        terms = Terms(resolved(model, table.profile), one.target)
        question = bench.question(model, "failing")
        row = rows.setdefault(one.kind.split(" (")[0], Counter())
        if question.ask(terms).verdict != "taken":
            row["dry"] += 1
            continue
        whole = question.ask(terms, dry=False, table=table)
        if whole.verdict == "taken":
            row["builds"] += 1
            continue
        row["fail"] += 1
        probed = bench.question(model, "probes").at_risk(terms, table)
        places = {model.index.by_path[path].name for answer in probed.failing for path in answer.located}
        row["found"] += bool(probed.failing)
        row["place"] += bool(places & set(one.bad))
        named = {path for said in whole.refusals for path in said.nodes} | set(whole.located)
        row["whole place"] += bool({model.index.by_path[path].name for path in named} & set(one.bad))
    for kind, row in rows.items():
        other = f" ({row['dry']} refused dry, {row['builds']} build: not counted)" if row["dry"] + row["builds"] else ""
        yield f"| {kind}{other} | {row['fail']} | {row['found']} | {row['place']} | {row['whole place']} |"
    total = sum(rows.values(), Counter[str]())
    yield f"| all | {total['fail']} | {total['found']} | {total['place']} | {total['whole place']} |"
    if total["found"] < total["fail"]:
        bench.missed.append(f"{total['fail'] - total['found']} failures that no node alone shows")


def healthy(bench: Bench) -> Iterator[str]:
    """Of models that build: how many have a node that is refused alone. There should be none."""
    counted, alarms = Counter[str](), []
    for test in _risky_first():
        if counted["models"] == HEALTHY:
            break
        model = from_proto(test.model, Path("model.onnx"))
        table = ShapeTable(model, profile_of(test, model))
        terms = Terms(resolved(model, table.profile))
        question = bench.question(model, "healthy")
        if question.ask(terms).verdict != "taken" or question.ask(terms, dry=False, locating_s=0).verdict != "taken":
            continue
        probed = bench.question(model, "probes").at_risk(terms, table)
        counted.update(models=1, forms=probed.forms, taken=probed.taken, unknown=probed.unknown)
        counted["at risk"] += bool(probed.forms)
        if probed.failing:
            alarms.append(test.name)
    yield f"| models | {counted['models']} |"
    yield f"| of these with a node at risk | {counted['at risk']} |"
    yield f"| forms asked: taken, not known | {counted['taken']}, {counted['unknown']} |"
    yield f"| false alarms | {len(alarms)}{': ' + ', '.join(alarms) if alarms else ''} |"
    bench.missed += [f"false alarm: {name}" for name in alarms]


def _risky_first() -> Iterator[BackendTest]:
    rest = []
    for test in backend_tests():
        model = from_proto(test.model, Path("model.onnx"))
        if any(forms_at_risk(Parts(model, ShapeTable(model, profile_of(test, model))))):
            yield test
        else:
            rest.append(test)
    yield from rest[::10]


def reductions(bench: Bench) -> Iterator[str]:
    """The transformer with one bad place, reduced."""
    ranges = {"N": Range(1, 1, 2), "T": Range(16, 32, 64), "H": Range(8, 16, 32)}
    for bad, allowed in (("pair", REDUCED_S), ("parser", REDUCED_PARSER_S)):
        model = from_proto(transformer(bad), Path("model.onnx"))
        table = _table(model, ranges)
        terms = Terms(resolved(model, table.profile))
        for point in ("min", "opt", "max"):
            table.at(point)
        started = time.perf_counter()
        found = reduced(model, table, terms, bench.builder)
        took, left = time.perf_counter() - started, len(found.nodes)
        ops = ", ".join(node.proto.op_type for node in found.nodes)
        yield f"| {bad} | {len(model.index.nodes):,} | {left} ({ops}) | {found.builds} | {took:.1f} s |"
        bench.budget(f"reduction of a {bad} fault", took, allowed)
        bench.budget(f"nodes left of a {bad} fault", left, NODES)


def main() -> int:
    """Measure and print; 1 when a budget was missed."""
    print(machine(), "\n")
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        try:
            print("| transformer, 1,008 nodes | time |\n|---|---:|")
            print(*times(bench), sep="\n", end="\n\n", flush=True)
            print("| kind | fail | nodes alone | with the place | place from the whole |\n|---|---:|---:|---:|---:|")
            print(*recall(bench), sep="\n", end="\n\n", flush=True)
            print("| fault | nodes | left | builds | time |\n|---|---:|---|---:|---:|")
            print(*reductions(bench), sep="\n", end="\n\n", flush=True)
            print("| onnx's backend tests that build | |\n|---|---:|")
            print(*healthy(bench), sep="\n", flush=True)
        finally:
            bench.builder.close()
    print(*(f"missed: {one}" for one in bench.missed), sep="\n")
    return int(bool(bench.missed))


if __name__ == "__main__":
    sys.exit(main())
