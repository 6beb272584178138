"""Our verdict on random models against what TensorRT-RTX's parser and builder do with them.

    python -m benchmarks.fuzz [--count N] [--seed S] [--opinfo] [--show]

Models come from `random_models`, or with `--opinfo` from the samples that PyTorch tests its own operators with,
exported (these need the package expecttest). TensorRT-RTX parses and builds each, ONNX Runtime runs it. What the
former refuses must have an error of ours; what it builds and ONNX Runtime runs must have none. `--show` prints the
models on which we differ. Exits 1 if there is one, or if judging one raised an exception. No GPU is used.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from benchmarks.agreement import BackendTest, Compared, ours
from benchmarks.engine_answers import ONNXRUNTIME, Answers, EngineAnswer, Feeds
from benchmarks.machine import machine
from benchmarks.random_models import random_model
from friction_tui.engines.base import Terms
from friction_tui.engines.profiles import ResolvedProfile
from friction_tui.engines.tensorrt.builder import shared
from friction_tui.vocabulary.finding import Severity, Tier

LIMIT_S = 120.0
"""Seconds that one build may take."""
OPINFO_STEP = 7
"""Take every so-manieth operator of PyTorch's list, so that a short run sees all families."""


def generated(count: int, seed: int) -> Iterator[BackendTest]:
    """Random models that have a node, by number."""
    number, made = seed, 0
    while made < count:
        model, feeds = random_model(number)
        if model.graph.node:
            yield BackendTest(f"random-{number}", model, feeds)
            made += 1
        number += 1


def opinfo(seed: int) -> Iterator[BackendTest]:
    """The first samples of PyTorch's operator tests that export: one model each."""
    import torch
    from torch.testing._internal.common_methods_invocations import op_db

    class One(torch.nn.Module):
        def __init__(self, call: object, arguments: Sequence[object], named: dict[str, object]) -> None:
            super().__init__()
            self.call, self.arguments, self.named = call, arguments, named

        def forward(self, x: torch.Tensor) -> object:
            return self.call(x, *self.arguments, **self.named)  # type: ignore[operator]

    for start in range(OPINFO_STEP):
        chosen: list[Any] = op_db[(start + seed) % OPINFO_STEP :: OPINFO_STEP]
        for info in chosen:
            if torch.float32 not in info.supported_dtypes("cpu"):
                continue
            try:
                samples = list(islice(info.sample_inputs("cpu", torch.float32, requires_grad=False), 2))
            except Exception:  # samples of some operators need a GPU or optional packages
                continue
            for number, sample in enumerate(samples):
                if not isinstance(sample.input, torch.Tensor) or not sample.input.numel() or sample.input.ndim == 0:
                    continue
                call = One(info.op, sample.args, sample.kwargs)
                with tempfile.TemporaryDirectory() as folder:
                    file = Path(folder) / "model.onnx"
                    try:
                        torch.onnx.export(call, (sample.input,), file, opset_version=18, dynamo=False, verbose=False)
                    except Exception:  # the exporter raises errors of many types for what it cannot export
                        continue
                    model = onnx.load(file)
                if model.graph.node and model.graph.input:
                    feeds = {model.graph.input[0].name: sample.input.numpy()}
                    yield BackendTest(f"{info.name}-{number}", model, feeds)


def compare(test: BackendTest, answers: Answers) -> Compared:
    """Ask both engines and ourselves, as `check` does with its dry build.

    ONNX Runtime is asked only where its answer counts: about an error of ours that TensorRT-RTX does not share.
    """
    findings = ours(test, builder=True)
    errors = tuple(finding for finding in findings if finding.severity is Severity.ERROR)
    data = test.model.SerializeToString()
    tensorrt = parsed_and_built(data, test.feeds)
    asked = bool(errors) and not tensorrt.stage
    runs = answers.of(ONNXRUNTIME, data, test.feeds) if asked else EngineAnswer("")
    return Compared(test.name, tensorrt, runs, errors, any(finding.tier is Tier.UNKNOWN for finding in findings))


def parsed_and_built(model: bytes, feeds: Feeds) -> EngineAnswer:
    """TensorRT-RTX's answer to the model as it is, built to the end at the sizes of `feeds` in a fork of its own."""
    arrays = {name: value for name, value in feeds.items() if isinstance(value, np.ndarray)}
    shapes = {name: (array.shape,) * 3 for name, array in arrays.items()}
    whole = {name: tuple(array.ravel().tolist()) for name, array in arrays.items() if array.dtype.kind in "iu"}
    profile = ResolvedProfile(shapes, {name: (values,) * 3 for name, values in whole.items()})
    answer = shared().build(model, Terms((profile,)), dry=False, limit_s=LIMIT_S)
    if answer["verdict"] == "taken":
        return EngineAnswer("")
    stage = "died" if answer["verdict"] == "crashed" else "parse" if answer["phase"] == "parse" else "build"
    return EngineAnswer(stage, next(iter(answer["errors"]), answer["tail"]))


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--count", type=int, default=300, metavar="N", help="models to try")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="number of the first model")
    parser.add_argument("--opinfo", action="store_true", help="samples of PyTorch's operator tests, exported")
    parser.add_argument("--show", action="store_true", help="print the models on which we differ")
    chosen = parser.parse_args(arguments)
    warnings.simplefilter("ignore")
    answers, verdicts, operators = Answers(), Counter[str](), Counter[str]()
    refused = slow = 0
    unknown = Counter[str]()
    tests = islice(opinfo(chosen.seed), chosen.count) if chosen.opinfo else generated(chosen.count, chosen.seed)
    print(machine(), flush=True)
    for test in tests:
        operators.update({node.op_type for node in test.model.graph.node})
        started = time.monotonic()
        try:
            compared = compare(test, answers)
        except Exception:  # a crash of ours is what is looked for
            verdicts["crashed"] += 1
            print(f"✗ {test.name}: {traceback.format_exc(limit=-4)}", flush=True)
            continue
        slow = max(slow, round(time.monotonic() - started))
        refused += bool(compared.tensorrt.stage)
        verdict = compared.verdict
        verdicts[verdict] += 1
        unknown.update(one.cause[:100] for one in compared.errors if one.kind == "engine/other")
        if verdict not in ("agrees", "undecided"):
            print(f"✗ {test.name}: {verdict}: {_about(compared)}", flush=True)
            if chosen.show:
                print(onnx.printer.to_text(test.model), {name: np.shape(value) for name, value in test.feeds.items()})
    answers.save()
    differ = sum(count for verdict, count in verdicts.items() if verdict not in ("agrees", "undecided"))
    print(f"{verdicts.total()} models of {len(operators)} operators tried, {refused} refused by TensorRT-RTX; ", end="")
    print(
        f"{verdicts['agrees']} agree, {verdicts['undecided']} decide nothing (ONNX Runtime does not run them), ", end=""
    )
    print(f"{differ} disagree; {unknown.total()} messages that no rule knows")
    for text, count in unknown.most_common():
        print(f"  {count} × {text}")
    return int(differ > 0)


def _about(compared: Compared) -> str:
    theirs = " ".join(compared.tensorrt.text.split())[:200]
    return f"{compared.tensorrt.stage} {theirs} | ours: {[(one.kind, one.title) for one in compared.errors[:2]]}"


if __name__ == "__main__":
    sys.exit(main())
