"""How many of the operators' own test models that TensorRT-RTX refuses `friction-tui fix` carries to an engine.

    python -m benchmarks.mending [--sample N] [--op NAME] [--unmended]

The models are the onnx package's node tests. Small inputs that a real model holds as constants (axes, sizes, pads) are
made initializers first. Counted is, per operator: refused before, built after, and the test's own expected outputs met
by the fixed model in ONNX Runtime. No GPU is used.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.backend.test.case.node import collect_testcases

from benchmarks.engine_answers import TENSORRT, Answers
from friction_tui.model.opened import from_proto
from friction_tui.rewrites.mending import mend
from friction_tui.rewrites.verification import not_run
from friction_tui.session.at_once import judged
from friction_tui.vocabulary.recipe import Profile, Recipe, Source

_SMALL = 64
"""Elements of an integer or bool vector up to which it is taken for a parameter."""
_TOLERANCE = 1e-3


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print a row per operator."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--sample", type=int, default=1, metavar="N", help="take every Nth model only")
    parser.add_argument("--op", default="", help="take the tests of one operator only")
    parser.add_argument("--unmended", action="store_true", help="print why each model that is left was not mended")
    chosen = parser.parse_args(arguments)
    answers = Answers()
    refused, built, equal = Counter[str](), Counter[str](), Counter[str]()
    for case in list(collect_testcases(None))[:: chosen.sample]:
        if case.model is None or not case.data_sets:
            continue
        op = case.model.graph.node[-1].op_type
        if chosen.op and chosen.op != op:
            continue
        model, feeds, expected = _baked(case.model, *case.data_sets[0])
        if not answers.of(TENSORRT, model.SerializeToString(), feeds).stage:
            continue
        refused[op] += 1
        with tempfile.TemporaryDirectory() as folder:
            opened = from_proto(model, Path(folder) / "model.onnx")
            recipe = Recipe(source=Source(str(opened.path)), profile=Profile())
            done = mend(
                opened,
                lambda edited: judged(edited, recipe),  # noqa: B023
                lambda *_: not_run("the test has results"),
            )
        answer = answers.of(TENSORRT, done.model.proto.SerializeToString(), feeds) if done.steps else None
        if answer is not None and not answer.stage:
            built[op] += 1
            equal[op] += _gives(done.model.proto, feeds, expected)
        elif chosen.unmended:
            print(
                f"  {case.name}: {[s.rewrite.name for s in done.steps]} {done.refused} {answer and answer.text[:200]}"
            )
    answers.save()
    for op in sorted(refused):
        print(f"{op:32} refused {refused[op]:4}  built {built[op]:4}  equal {equal[op]:4}")
    print(f"{'all':32} refused {refused.total():4}  built {built.total():4}  equal {equal.total():4}")


def _baked(
    model: onnx.ModelProto, inputs: Sequence[object], outputs: Sequence[object]
) -> tuple[onnx.ModelProto, dict[str, np.ndarray], list[np.ndarray]]:
    """The model with its small parameters as initializers, what is left to feed, and what it must give."""
    baked = onnx.ModelProto()
    baked.CopyFrom(model)
    feeds = {}
    for port, value in zip(list(baked.graph.input), inputs, strict=False):
        array = np.asarray(value) if isinstance(value, np.ndarray | np.generic) else None
        if array is None:
            continue
        parameter = array.ndim <= 1 and array.size <= _SMALL and array.dtype.kind in "iub"
        if parameter and len(inputs) > 1:
            baked.graph.initializer.append(numpy_helper.from_array(array, port.name))
            baked.graph.input.remove(port)
        else:
            feeds[port.name] = array
    return baked, feeds, [np.asarray(value) for value in outputs if isinstance(value, np.ndarray | np.generic)]


def _gives(model: onnx.ModelProto, feeds: dict[str, np.ndarray], expected: list[np.ndarray]) -> bool:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    try:
        session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        given = session.run(None, {port.name: feeds[port.name] for port in session.get_inputs()})
    except Exception:  # the bindings raise a class of their own for each status code
        return False
    return all(
        a.shape == b.shape and np.allclose(a.astype(np.float64), b.astype(np.float64), _TOLERANCE, _TOLERANCE, True)
        for a, b in zip(map(np.asarray, given), expected, strict=False)
        if b.dtype.kind in "fiub"
    )


if __name__ == "__main__":
    main()
