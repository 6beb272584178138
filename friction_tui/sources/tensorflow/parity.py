"""Whether the ONNX model computes what the TensorFlow model computes, at the example's sizes and at others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from friction_tui.sources.second_opinion import Cause, cause_of_difference, runtime_differs
from friction_tui.sources.tensorflow import findings as found
from friction_tui.vocabulary.finding import Finding
from friction_tui.vocabulary.recipe import InputSpec, Profile, dim_key

Array = np.ndarray[Any, Any]
Feed = Mapping[str, Array]

_BATCH, _FREE = 2, 32
"""Sizes for unknown dimensions of a test input: the first axis, and any other."""
_OTHER = {_BATCH: 3, _FREE: 48}
"""The second sizes, where the recipe has no range: another batch, and a multiple of 16 that is not a power of two."""
_GROWTH = 4
"""No test size is larger than this many times the example's: the range's maximum may not fit this machine."""
_RANDOM_OPS = {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial"}
_QUANTIZED_OPS = {"DynamicQuantizeLinear", "QuantizeLinear"}
_TOLERANCE, _QUANTIZED_TOLERANCE = 1e-3, 0.1
"""Largest difference allowed, of the output's largest value.

A layer that is quantized at run time rounds its input to 8 bits at a scale that TFLite chooses per row and ONNX per
tensor, layer after layer; what a wrong conversion does is of the size of the output itself.
"""


def inputs(proto: onnx.ModelProto, profile: Profile | None, given: Sequence[InputSpec]) -> tuple[InputSpec, ...]:
    """Test inputs: as the user gave them, else at the profile's opt sizes, else of small sizes."""
    named = {spec.name: spec for spec in given}
    return tuple(
        named.get(port.name) or InputSpec(port.name, _shape(port, profile, "opt"), _dtype(port))
        for port in _ports(proto)
    )


def check(
    proto: onnx.ModelProto,
    path: Path,
    run: Callable[[Feed], Sequence[Array]],
    first: tuple[InputSpec, ...],
    profile: Profile | None,
    source: str,
    say: Callable[[str], None],
) -> Iterator[Finding]:
    """Findings where outputs differ, or the ONNX model, which lies at `path`, fails where the original runs.

    `first` are the example inputs; `say` gets a line a comparison.
    """
    drawn = sorted({node.op_type for node in proto.graph.node} & _RANDOM_OPS)
    if drawn:
        say(f"parity not checked: the model draws random numbers ({', '.join(drawn)})")
        return
    engine, compute = _evaluator(proto)
    quantized = any(node.op_type in _QUANTIZED_OPS for node in proto.graph.node)
    tolerance = _QUANTIZED_TOLERANCE if quantized else _TOLERANCE
    names = [port.name for port in proto.graph.output]
    for specs in _rounds(proto, first, profile):
        at = ", ".join(f"{spec.name} {'x'.join(map(str, spec.shape)) or 'scalar'}" for spec in specs)
        feed = _random(specs)
        try:
            expected = run(feed)
        except Exception as error:
            say(f"parity not checked at {at}: the TensorFlow model itself refuses it ({type(error).__name__})")
            continue
        try:
            got = compute(feed)
        except Exception as error:
            yield found.does_not_run(f"{type(error).__name__}: {str(error).splitlines()[0][:400]}", at, engine, source)
            return
        findings = list(_differing(names, expected, got, tolerance, at, f"{engine} against {source}"))
        if findings:
            cause = cause_of_difference(path, feed, partial(_agree, names, expected, tolerance))
            if cause is Cause.MODEL:
                yield from findings
                return
            yield runtime_differs(f"At {at} {findings[0].title}", cause, source)
            continue
        say(f"parity: equal within {tolerance:.1g} of the largest value at {at} ({engine} against {source})")


def _agree(names: Sequence[str], expected: Sequence[Array], tolerance: float, got: Sequence[Array]) -> bool:
    return not any(True for _ in _differing(names, expected, got, tolerance, "", ""))


def _differing(
    names: Sequence[str], expected: Sequence[Array], got: Sequence[Array], tolerance: float, at: str, source: str
) -> Iterator[Finding]:
    for name, want, have in zip(names, expected, got, strict=True):
        if want.dtype.kind in "OSU":
            continue
        if want.shape != have.shape:
            yield found.shape_differs(name, want.shape, have.shape, at, source)
            continue
        # Infinities and NaN must agree in place; what is left is compared by size.
        finite = np.isfinite(want) & np.isfinite(have)
        odd = not np.array_equal(want[~finite], have[~finite], equal_nan=want.dtype.kind in "fc")
        wide = np.result_type(want.dtype, np.float64)
        gap = np.inf if odd else float(np.abs(want[finite].astype(wide) - have[finite].astype(wide)).max(initial=0.0))
        scale = max(float(np.abs(want[finite].astype(wide)).max(initial=0.0)), 1e-3)
        if gap > tolerance * scale:
            yield found.differs(name, gap, gap / scale, at, source)


def _rounds(
    proto: onnx.ModelProto, first: tuple[InputSpec, ...], profile: Profile | None
) -> Iterator[tuple[InputSpec, ...]]:
    """The example's sizes, then others within the range: its ends, or a second guess for what has no range."""
    yield first
    seen = {first}
    for point in ("min", "max"):
        specs = []
        for port, example in zip(_ports(proto), first, strict=True):
            wanted = _shape(port, profile, point)
            capped = tuple(min(size, _GROWTH * max(at, 1)) for size, at in zip(wanted, example.shape, strict=False))
            specs.append(InputSpec(example.name, capped, example.dtype))
        if tuple(specs) not in seen:
            seen.add(tuple(specs))
            yield tuple(specs)


def _shape(port: onnx.ValueInfoProto, profile: Profile | None, point: str) -> tuple[int, ...]:
    ranges = profile.ranges if profile else {}
    shape = []
    for axis, dim in enumerate(port.type.tensor_type.shape.dim):
        chosen = ranges.get(dim_key(port.name, axis, "")) or ranges.get(dim.dim_param)
        guess = _BATCH if axis == 0 else _FREE
        free = chosen.at(point) if chosen else (_OTHER[guess] if point == "max" else guess)
        shape.append(dim.dim_value if dim.HasField("dim_value") else free)
    return tuple(shape)


def _ports(proto: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    weights = {tensor.name for tensor in proto.graph.initializer}
    return [port for port in proto.graph.input if port.name not in weights]


def _dtype(port: onnx.ValueInfoProto) -> str:
    return str(onnx.helper.tensor_dtype_to_np_dtype(port.type.tensor_type.elem_type).name)


def _random(specs: Sequence[InputSpec]) -> dict[str, Array]:
    """Values that any model takes: normal floats, integers small enough for a vocabulary, the whole range of 8 bits."""
    generator = np.random.default_rng(0)
    feed: dict[str, Array] = {}
    for spec in specs:
        if spec.dtype.startswith("float"):
            feed[spec.name] = generator.standard_normal(spec.shape).astype(spec.dtype)
        elif spec.dtype in {"int8", "uint8"}:
            limits = np.iinfo(spec.dtype)
            feed[spec.name] = generator.integers(limits.min, limits.max + 1, spec.shape).astype(spec.dtype)
        else:
            feed[spec.name] = generator.integers(0, 4, spec.shape).astype(spec.dtype)
    return feed


def _evaluator(proto: onnx.ModelProto) -> tuple[str, Callable[[Feed], Sequence[Array]]]:
    """ONNX Runtime when it is in this environment, else ONNX's own evaluator; made when it is first asked."""
    try:
        import onnxruntime
    except ImportError:
        from onnx.reference import ReferenceEvaluator

        return f"ONNX {onnx.__version__} reference", lambda feed: ReferenceEvaluator(proto).run(None, dict(feed))  # type: ignore[return-value]
    made: list[Any] = []

    def compute(feed: Feed) -> Sequence[Array]:
        if not made:
            options = onnxruntime.SessionOptions()
            options.log_severity_level = 4
            made.append(
                onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
            )
        outputs: Sequence[Array] = made[0].run(None, dict(feed))
        return outputs

    return f"ONNX Runtime {onnxruntime.__version__} CPU", compute
