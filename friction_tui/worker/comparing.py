"""The job that runs a model in two ways on the same inputs and compares the results. Imported in a job process only.

A side is `onnxruntime` (with its own graph optimisation), `unoptimized` (without), `reference` (ONNX's definition of
the operators in Python), `fp16` or `bf16` (the model turned into it, in ONNX Runtime), `tensorrt` (an engine that is
built for it, on a GPU), or the path of another ONNX file with the same inputs and outputs.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx

from friction_tui.engines.found import builder, deciding, found, runner
from friction_tui.measure.differences import Array, apart
from friction_tui.measure.inputs import example_inputs
from friction_tui.model.opened import OpenedModel, from_proto, open_model, weights_bytes
from friction_tui.model.shapes.point_shapes import input_sizes
from friction_tui.rewrites.apply import apply, with_weights
from friction_tui.rewrites.half import HALVES
from friction_tui.rewrites.half_trials import CannotTry
from friction_tui.rewrites.running import first_line
from friction_tui.rewrites.verifying import LARGEST
from friction_tui.session.builder_verdict import terms_for
from friction_tui.vocabulary.protocol import Comparison, JobEnded, JobRequest, TensorApart
from friction_tui.vocabulary.recipe import POINTS, Precision
from friction_tui.worker.precision import TOLERANCES, given_arrays
from friction_tui.worker.progress import Progress

Outputs = dict[str, Array]
Feeds = Mapping[str, Array]
SAME = 1e-4
"""Relative difference of float32 results that counts as the same: sums in another order."""
SEEDS = (20, 21, 22)
"""Seeds of the inputs at opt; at min and max the first of them."""
LOCATING_S = 120.0
"""Seconds that the first tensor that differs is looked for."""
SIDES = ("onnxruntime", "unoptimized", "reference", "fp16", "bf16", "tensorrt")


@dataclass(frozen=True, slots=True)
class Side:
    """One way to run the model: `label` names what runs it. `probe` gives inner tensors, None where it has none."""

    label: str
    run: Callable[[Feeds], Outputs]
    proto: onnx.ModelProto
    probe: Callable[[Sequence[str], Feeds], Outputs] | None = None


def compare(request: JobRequest, progress: Progress) -> JobEnded:
    """Run the request's model as it is and as `request.against` says. Raises CannotTry with the reason."""
    started = time.monotonic()
    progress.begin("open")
    model = _model(request)
    feeds, inputs = _inputs(model, request)
    progress.end("open")
    progress.begin("load")
    first = _onnxruntime(model.proto, optimised=True)
    second = _side(request, model, progress)
    progress.end("load")
    tolerance = request.tolerance or TOLERANCES.get(request.against, SAME)
    progress.begin("run")
    outputs, kept = _outputs(first, second, feeds, progress)
    inputs = [
        f"{said}{'' if pair else ' (not compared: the first does not run on it)'}"
        for said, pair in zip(inputs, kept, strict=True)
    ]
    progress.end("run")
    result = Comparison(
        first=first.label, second=second.label, tolerance=tolerance, inputs=tuple(inputs), outputs=tuple(outputs)
    )
    if not result.same:
        progress.begin("locate")
        result = _located(result, model, (first, second), feeds)
        progress.end("locate")
    if request.output:
        result = msgspec.structs.replace(result, saved=_saved(result, Path(request.output), feeds, kept))
    return JobEnded(job=request.job, kind=request.kind, seconds=time.monotonic() - started, compared=result)


def _model(request: JobRequest) -> OpenedModel:
    """The model with the recipe's edits but for its precision, weights inside."""
    base = open_model(Path(request.model))
    if weights_bytes(base) > LARGEST:
        raise CannotTry("the weights are larger than 1 GiB; two models of that size are not run beside each other")
    proto = onnx.ModelProto()
    proto.CopyFrom(apply(base, msgspec.structs.replace(request.recipe, precision=Precision.AS_EXPORTED)).proto)
    return from_proto(with_weights(proto, base.path), base.path)


def _inputs(model: OpenedModel, request: JobRequest) -> tuple[list[Feeds], list[str]]:
    """The inputs and what each of them is, in words."""
    if request.inputs:
        return [given_arrays(model, Path(file)) for file in request.inputs], [f"given: {f}" for f in request.inputs]
    profile = request.recipe.profile
    feeds: list[Feeds] = []
    said: list[str] = []
    known: list[dict[str, tuple[int, ...]]] = []
    for point in ("opt", *(one for one in POINTS if one != "opt")):
        sizes = input_sizes(model, profile, point)
        if sizes in known or any(0 in shape for shape in sizes.values()):
            continue
        known.append(sizes)
        values = {name: chosen.at(point) for name, chosen in profile.values.items()} if profile else {}
        for seed in SEEDS if point == "opt" else SEEDS[:1]:
            try:
                feeds.append(_example(model.proto, sizes, values, seed))
            except KeyError as error:
                raise CannotTry(f"the size of input {error} is not known; choose it with --shapes") from None
            shapes = ", ".join(f"{name} {'x'.join(map(str, shape))}" for name, shape in sizes.items())
            said.append(f"seed {seed} at {point}: {shapes}")
    return feeds, said


def _example(
    proto: onnx.ModelProto, sizes: Mapping[str, tuple[int, ...]], values: Mapping[str, Sequence[int]], seed: int
) -> Feeds:
    """Example inputs; whole numbers are 0 with the first seed, else 0 to 2: small indices are valid nearly everywhere.

    Raises KeyError naming an input without a size.
    """
    arrays = example_inputs(proto, sizes, values, seed)
    rng = np.random.default_rng(seed)
    for name, array in arrays.items():
        if seed != SEEDS[0] and array.dtype.kind in "iu" and name not in values and not array.any():
            arrays[name] = rng.integers(0, 3, array.shape).astype(array.dtype)
    return arrays


# ------------------------------------------------------------------------------------------------------ the sides


def _side(request: JobRequest, model: OpenedModel, progress: Progress) -> Side:
    against = request.against or "unoptimized"
    if against in HALVES:
        edited = msgspec.structs.replace(request.recipe, precision=Precision(against), rewrites=(), opset=None)
        side = _onnxruntime(apply(model, edited).proto, optimised=True)
        kept = f", {len(edited.keep_float32)} nodes kept float32" if edited.keep_float32 else ""
        return Side(f"{side.label}, model in {against}{kept}", side.run, side.proto, side.probe)
    if against == "reference":
        return _reference(model.proto)
    if against == "tensorrt":
        return _tensorrt(request, model, progress)
    if against == "onnxruntime":
        return _onnxruntime(model.proto, optimised=True)
    if against == "unoptimized":
        return _onnxruntime(model.proto, optimised=False)
    other = open_model(Path(against))
    if other.file.kind != "onnx":
        known = ", ".join(SIDES)
        raise CannotTry(f"{against} is none of {known}, and no ONNX file: {other.file.error or 'it cannot be read'}")
    if weights_bytes(other) > LARGEST:
        raise CannotTry(f"the weights of {against} are larger than 1 GiB")
    proto = onnx.ModelProto()
    proto.CopyFrom(other.proto)
    side = _onnxruntime(with_weights(proto, other.path), optimised=True)
    return Side(f"{side.label}, {Path(against).name}", side.run, side.proto, side.probe)


def _onnxruntime(proto: onnx.ModelProto, *, optimised: bool) -> Side:
    import onnxruntime as ort

    label = f"ONNX Runtime {ort.__version__} CPU, {'its graph optimised' if optimised else 'not optimised'}"

    def session(model: onnx.ModelProto) -> Any:
        options = ort.SessionOptions()
        options.log_severity_level = 4
        levels = ort.GraphOptimizationLevel
        options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimised else levels.ORT_DISABLE_ALL
        try:
            return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise CannotTry(f"{label} does not load the model: {first_line(error)}") from error

    def run(held: Any, feeds: Feeds) -> Outputs:
        names = [port.name for port in held.get_outputs()]
        try:
            given = {port.name: _as(port.type, feeds[port.name]) for port in held.get_inputs()}
            return dict(zip(names, map(np.asarray, held.run(names, given)), strict=True))
        except KeyError as error:
            raise CannotTry(f"{label}: the model has an input {error} that the other has not") from error
        except Exception as error:
            raise CannotTry(f"{label} does not run the model: {first_line(error)}") from error

    whole = session(proto)

    def probe(names: Sequence[str], feeds: Feeds) -> Outputs:
        return run(session(_with_outputs(proto, names)), feeds)

    return Side(label, lambda feeds: run(whole, feeds), proto, probe)


def _reference(proto: onnx.ModelProto) -> Side:
    from onnx.reference import ReferenceEvaluator

    label = f"the reference implementation of onnx {onnx.__version__}"

    def run(model: onnx.ModelProto, feeds: Feeds) -> Outputs:
        try:
            evaluator = ReferenceEvaluator(model)
            given = evaluator.run(None, dict(feeds))
        except Exception as error:
            raise CannotTry(f"{label} does not run the model: {first_line(error)}") from error
        return dict(zip(evaluator.output_names, map(np.asarray, given), strict=True))

    return Side(label, lambda feeds: run(proto, feeds), proto, lambda n, feeds: run(_with_outputs(proto, n), feeds))


def _tensorrt(request: JobRequest, model: OpenedModel, progress: Progress) -> Side:
    """An engine of the recipe, built for this. Raises CannotTry where it can neither be built nor run here."""
    engine = deciding(found())
    if engine is None or not engine.can_run:
        raise CannotTry(f"{engine.label} cannot run here: {engine.why_not}" if engine else "TensorRT is not installed")
    edited = apply(
        model, msgspec.structs.replace(request.recipe, rewrites=(), opset=None), weak_types=engine.weak_types
    )
    terms = terms_for(edited, request.recipe, weak_types=engine.weak_types)
    plan = Path(request.folder) / "compared.plan"
    built = builder(engine).build(edited.proto.SerializeToString(), terms, plan, progress)
    if not built.ok:
        raise CannotTry(f"{engine.label} refuses the model; friction-tui build says why")

    def run(feeds: Feeds) -> Outputs:
        try:
            with runner(engine).loaded(plan, feeds) as loaded:
                loaded.run()
                return dict(loaded.results())
        except Exception as error:  # an engine's own errors
            raise CannotTry(f"{engine.label} does not run the engine: {first_line(error)}") from error

    return Side(engine.label, run, edited.proto)


def _as(kind: str, array: Array) -> Array:
    """The array in the type of an input of ONNX Runtime, such as `tensor(float16)`."""
    types = {"tensor(float)": np.float32, "tensor(float16)": np.float16, "tensor(double)": np.float64}
    wanted = types.get(kind)
    return array.astype(wanted) if wanted is not None and array.dtype != wanted else array


# ---------------------------------------------------------------------------------------------------- comparing


def _outputs(
    first: Side, second: Side, feeds: Sequence[Feeds], progress: Progress
) -> tuple[list[TensorApart], list[tuple[Outputs, Outputs] | None]]:
    """How far every output is apart for every set of inputs, and all outputs; None where the first does not run.

    Raises CannotTry where one of them does not run on the first inputs.
    """
    found: list[TensorApart] = []
    kept: list[tuple[Outputs, Outputs] | None] = []
    for number, arrays in enumerate(feeds):
        one = _tried(first, arrays, must=number == 0)
        two = _tried(second, arrays, must=number == 0)
        if isinstance(one, str):
            kept.append(None)
            continue
        if isinstance(two, str):
            kept.append((one, {}))
            found += [_unlike(name, number, f"the second does not run: {two}") for name in one]
            continue
        pair = one, two
        if number == 0:
            again = first.run(arrays)
            moved = [name for name, value in pair[0].items() if not apart(name, 0, value, again[name]).same(SAME)]
            if moved:
                raise CannotTry(f"{first.label} gives other results each time it runs: {', '.join(moved)}")
        shared = [name for name in pair[0] if name in pair[1]]
        if not shared:
            raise CannotTry(f"the models have no output in common: {', '.join(pair[0])} and {', '.join(pair[1])}")
        found += [apart(name, number, pair[0][name], pair[1][name]) for name in shared]
        kept.append(pair)
        progress.log("info", f"{number + 1} of {len(feeds)} inputs compared")
    if not any(value.size for both in kept if both for side in both for value in side.values()):
        raise CannotTry(
            "every output is empty on these inputs, which compares nothing: give your own, --input data.npz"
        )
    return found, kept


def _tried(side: Side, feeds: Feeds, *, must: bool) -> Outputs | str:
    """The outputs, or why it does not run on these inputs; raises CannotTry instead where it `must`."""
    try:
        return side.run(feeds)
    except CannotTry as error:
        if must:
            raise
        return str(error)


def _unlike(tensor: str, inputs: int, why: str) -> TensorApart:
    return TensorApart(tensor=tensor, inputs=inputs, absolute=None, relative=None, unlike=why)


def _located(result: Comparison, model: OpenedModel, sides: tuple[Side, Side], feeds: Sequence[Feeds]) -> Comparison:
    """The result with the first tensor that differs, looked for with a few tensors at a time."""
    worst = max(
        (one for one in result.outputs if not one.same(result.tolerance)),
        key=lambda one: float("inf") if one.relative is None or one.not_finite else one.relative,
    )
    first, second = sides
    if first.probe is None or second.probe is None:
        return msgspec.structs.replace(result, located="not looked for: an engine keeps no inner tensors")
    search = _Search(result, model, first, second, feeds[worst.inputs], worst)
    try:
        return search.run()
    except CannotTry as error:
        return msgspec.structs.replace(result, located=f"not found: {error}")


class _Search:
    """The first tensor that differs: halving the order of the nodes, then from node to node against the data's way."""

    def __init__(
        self, result: Comparison, model: OpenedModel, first: Side, second: Side, feeds: Feeds, worst: TensorApart
    ) -> None:
        self._result, self._feeds, self._worst = result, feeds, worst
        self._probes = (first.probe, second.probe)
        self._until = time.monotonic() + LOCATING_S
        self._runs = 0
        written = {name for node in second.proto.graph.node for name in node.output if name}
        order = [model.index.by_path[path] for path in model.index.order]
        self._maker = {name: node for node in order for name in node.outputs if name}
        self._common = [name for node in order for name in node.outputs[:1] if name in written]
        self._known: dict[str, TensorApart | None] = {}

    def run(self) -> Comparison:
        """The result with what was found, and in words how."""
        low, high = 0, len(self._common) - 1
        found: TensorApart | None = None
        while low <= high and not self._over():
            middle = (low + high) // 2
            one = self._apart([self._common[middle]]).get(self._common[middle])
            if one is not None and not one.same(self._result.tolerance):
                found, high = one, middle - 1
            else:
                low = middle + 1
        found = found or (self._worst if self._worst.tensor in self._maker else None)
        if found is None:
            return msgspec.structs.replace(
                self._result, located="not found: no tensor of both models differs by itself"
            )
        while not self._over():
            earlier = self._before(found.tensor)
            if earlier is None:
                break
            found = earlier
        node = self._maker[found.tensor]
        over = f"; time was over after {LOCATING_S:.0f} s, an earlier one may differ" if self._over() else ""
        said = f"by halving, one or a few tensors at a time ({self._runs} runs of both){over}"
        named = f"{node.proto.op_type} {node.name}".strip()
        return msgspec.structs.replace(self._result, diverges=found, node=named, located=said)

    def _before(self, tensor: str) -> TensorApart | None:
        """An input of the node that writes `tensor` that differs too; None where all that can be looked at agree."""
        inputs = [name for name in self._maker[tensor].inputs if name in self._maker]
        found = self._apart(inputs)
        return next((one for one in found.values() if one and not one.same(self._result.tolerance)), None)

    def _apart(self, names: Sequence[str]) -> Mapping[str, TensorApart | None]:
        wanted = [name for name in names if name not in self._known]
        if wanted:
            self._runs += 1
            for name, one in self._compared(wanted):
                self._known[name] = one
        return {name: self._known.get(name) for name in names}

    def _compared(self, names: Sequence[str]) -> Iterator[tuple[str, TensorApart | None]]:
        first, second = self._probes
        assert first is not None and second is not None
        try:
            pair = first(names, self._feeds), second(names, self._feeds)
        except CannotTry:  # a sequence, or a tensor that one of them does not have
            yield from ((name, None) for name in names)
            return
        for name in names:
            one, two = pair[0].get(name), pair[1].get(name)
            known = one is not None and two is not None
            yield name, apart(name, self._worst.inputs, one, two) if known else None  # type: ignore[arg-type]

    def _over(self) -> bool:
        return time.monotonic() > self._until


def _with_outputs(model: onnx.ModelProto, names: Sequence[str]) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.output[:]
    copy.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    return copy


def _saved(
    result: Comparison, folder: Path, feeds: Sequence[Feeds], kept: Sequence[tuple[Outputs, Outputs] | None]
) -> str:
    """Write inputs, outputs of both and the result; the folder, or why not. Raises CannotTry."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for number, arrays in enumerate(feeds):
            _keep(folder / f"inputs-{number}.npz", arrays)
            for side, outputs in zip(("first", "second"), kept[number] or (), strict=False):
                _keep(folder / f"outputs-{number}-{side}.npz", outputs)
        content = json.dumps(msgspec.to_builtins(result), indent=2)
        (folder / "comparison.json").write_text(content + "\n", encoding="utf-8")
    except OSError as error:
        raise CannotTry(f"the result was not written to {folder}: {error.strerror or error}") from error
    return str(folder)


def _keep(file: Path, arrays: Mapping[str, Array]) -> None:
    """Write arrays; types that numpy does not store as they are become float32."""
    plain = {name: one.astype(np.float32) if one.dtype.name == "bfloat16" else one for name, one in arrays.items()}
    np.savez(file, **{name: one for name, one in plain.items() if one.dtype.kind != "O"})  # type: ignore[arg-type]
