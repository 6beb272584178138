"""Whether our findings agree with the engines on every model of the onnx package's backend test suite.

    python -m benchmarks.agreement [--sample N] [--write]

TensorRT-RTX parses and builds each model at the sizes of the test's own inputs, and ONNX Runtime runs it on them.
What TensorRT-RTX refuses must have an error of ours that names the node; what it builds and ONNX Runtime runs must have
none. `--sample N` takes every Nth model, `--write` writes docs/agreement.md. Disagreements are told by rule, each
explained in agreement_explained.toml; exits 1 when one has no explanation. No GPU is used. The engines' answers are
remembered: the first run takes about fifteen minutes on two cores, another one three.
"""

from __future__ import annotations

import argparse
import fnmatch
import sys
import tomllib
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from benchmarks.engine_answers import ONNXRUNTIME, TENSORRT, Answers, EngineAnswer, Feeds
from friction_tui.engines.found import deciding, found
from friction_tui.engines.tensorrt.refusals import refusals
from friction_tui.model.opened import OpenedModel, from_proto
from friction_tui.model.shapes.profile import default_profile, free_dims, shape_tensor_inputs
from friction_tui.model.shapes.shape_table import ShapeTable
from friction_tui.rules.checks import diagnose
from friction_tui.rules.context import CheckContext
from friction_tui.rules.deduplicate import deduplicate
from friction_tui.session.builder_verdict import refused_by_builder
from friction_tui.vocabulary.finding import Finding, Severity, Tier
from friction_tui.vocabulary.recipe import Profile, Range, Recipe, Source, Values

DATA = Path(onnx.__file__).parent / "backend" / "test" / "data"
ASKED_AT_ONCE = 3
OTHERS = "\n# Other corpora"
"""The heading from which on the page is written by hand."""
PAGE = Path(__file__).parent.parent / "docs" / "agreement.md"


@dataclass(frozen=True, slots=True)
class BackendTest:
    """A model of the suite and what it is fed with."""

    name: str
    model: onnx.ModelProto
    feeds: Feeds


@dataclass(frozen=True, slots=True)
class Compared:
    """One model: what both engines say, and what we say."""

    name: str
    tensorrt: EngineAnswer
    onnxruntime: EngineAnswer
    errors: tuple[Finding, ...]
    open: bool
    """Whether we say that it cannot be known without a GPU."""

    @property
    def verdict(self) -> str:
        """`agrees`, `missed`, `unnamed`, `false alarm`, or `undecided` where the engines give nothing to hold us to."""
        if self.tensorrt.stage:
            if not self.errors:
                return "open" if self.open else "missed"
            named = {path.partition(".")[0] for finding in self.errors for path in finding.node_paths}
            refused = {str(number) for number in self.tensorrt.nodes}
            return "agrees" if not refused or named & refused else "unnamed"
        if self.onnxruntime.stage:
            return "undecided"
        return "false alarm" if self.errors else "agrees"


def backend_tests() -> Iterator[BackendTest]:
    """Every model of the suite: one-node models are generated, the others lie in the package."""
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tests of overflow overflow
        generated = collect_testcases(None)
    for context in generated:
        if context.model is not None:
            names = [value.name for value in context.model.graph.input]
            fed = context.data_sets[0][0] if context.data_sets else []
            arrays = [np.asarray(one) if isinstance(one, np.generic) else one for one in fed]
            yield BackendTest(context.name, context.model, dict(zip(names, arrays, strict=False)))
    for file in sorted(DATA.glob("*/*/model.onnx")):
        model = onnx.load(file)
        yield BackendTest(f"{file.parent.parent.name}/{file.parent.name}", model, _stored(model, file.parent))


def _stored(model: onnx.ModelProto, folder: Path) -> Feeds:
    constants = {tensor.name for tensor in model.graph.initializer}
    feeds = {}
    for number, value in enumerate(one for one in model.graph.input if one.name not in constants):
        file = folder / "test_data_set_0" / f"input_{number}.pb"
        if file.exists() and value.type.HasField("tensor_type"):
            feeds[value.name] = numpy_helper.to_array(onnx.TensorProto.FromString(file.read_bytes()))
    return feeds


def compare(test: BackendTest, answers: Answers) -> Compared:
    """Ask the engines and ourselves about one model."""
    data = test.model.SerializeToString()
    findings = ours(test)
    return Compared(
        test.name,
        answers.of(TENSORRT, data, test.feeds),
        answers.of(ONNXRUNTIME, data, test.feeds),
        tuple(finding for finding in findings if finding.severity is Severity.ERROR),
        any(finding.tier is Tier.UNKNOWN for finding in findings),
    )


def ours(test: BackendTest, *, builder: bool = False) -> list[Finding]:
    """Our findings at exactly the sizes the test feeds; with those of a dry build if `builder`."""
    model = from_proto(test.model, Path(f"{test.name.replace('/', '-')}.onnx"))
    profile = profile_of(test, model)
    recipe = Recipe(source=Source(str(model.path)), profile=profile)
    refused = tuple(refusals(model, on_batch=lambda _batch: None))
    engine = deciding(found())
    assert engine is not None
    rtx = engine.operator_table == "rtx"
    context = CheckContext(model, recipe, ShapeTable(model, profile), refused, engine.label, rtx, engine)
    by_builder = refused_by_builder(context, refused) if builder else []
    return deduplicate([*(finding for _, found in diagnose(context) for finding in found), *by_builder])


def profile_of(test: BackendTest, model: OpenedModel) -> Profile:
    """The sizes that the test feeds, as ranges of one size."""
    arrays = {name: value for name, value in test.feeds.items() if isinstance(value, np.ndarray)}
    ranges = {}
    for key, where in free_dims(model).items():
        sizes = [arrays[name].shape[axis] for name, axis in where if name in arrays and axis < arrays[name].ndim]
        if sizes:
            ranges[key] = Range(sizes[0], sizes[0], sizes[0])
    whole = {name: tuple(arrays[name].ravel().tolist()) for name in shape_tensor_inputs(model) if name in arrays}
    values = {name: Values(one, one, one) for name, one in whole.items()}
    return default_profile(model, Profile(ranges=ranges, values=values))


def explanations() -> dict[str, str]:
    """Test name, or a pattern of names, to why we and the engine do not agree on it."""
    text = Path(__file__).with_name("agreement_explained.toml").read_text(encoding="utf-8")
    return {pattern: entry["why"] for entry in tomllib.loads(text)["disagreement"] for pattern in entry["tests"]}


def explained(name: str, known: dict[str, str]) -> str:
    """Why we and the engine do not agree on this test, "" when nobody has said."""
    return next((why for pattern, why in known.items() if fnmatch.fnmatch(name, pattern)), "")


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare, tell, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--sample", type=int, default=1, metavar="N", help="take every Nth model only")
    parser.add_argument("--write", action="store_true", help="write docs/agreement.md")
    chosen = parser.parse_args(arguments)
    answers = Answers()
    tests = list(backend_tests())[:: chosen.sample]
    try:
        with ThreadPoolExecutor(ASKED_AT_ONCE) as pool:
            compared = list(pool.map(lambda test: compare(test, answers), tests))
    finally:
        answers.save()
    text = page(compared, answers.versions, explanations(), chosen.sample)
    print(text)
    if chosen.write:
        kept = PAGE.read_text(encoding="utf-8").partition(OTHERS)
        PAGE.write_text(text + "".join(kept[1:]), encoding="utf-8")
    return int(any(not explained(one.name, explanations()) for one in disagreements(compared)))


def disagreements(compared: Sequence[Compared]) -> list[Compared]:
    """The models on which we and TensorRT-RTX do not agree."""
    return [one for one in compared if one.verdict not in ("agrees", "undecided")]


def page(compared: Sequence[Compared], versions: dict[str, str], known: dict[str, str], sample: int) -> str:
    """docs/agreement.md."""
    refused = [one for one in compared if one.tensorrt.stage]
    runs = [one for one in compared if not one.tensorrt.stage and not one.onnxruntime.stage]
    where = Counter(one.tensorrt.stage for one in refused)
    told = Counter(one.verdict for one in refused)
    rules = Counter(finding.kind for one in refused for finding in one.errors[:1])
    return "\n".join(
        (
            "# Agreement with the engines",
            "",
            "The models of the onnx package's backend test suite, judged by us, parsed and built by TensorRT-RTX at",
            "the sizes of the test's own inputs, and run by ONNX Runtime on its CPU; no GPU. Written by",
            "",
            "    python -m benchmarks.agreement --write" + (f" --sample {sample}" if sample > 1 else ""),
            "",
            f"{len(compared):,} models" + (f", every {sample}th of the suite" if sample > 1 else "") + ". "
            f"onnx {onnx.__version__}, TensorRT-RTX {versions[TENSORRT]}, ONNX Runtime {versions[ONNXRUNTIME]}.",
            "",
            "| | models | agree | do not |",
            "|---|---:|---:|---:|",
            f"| TensorRT-RTX refuses it (parser {where['parse']}, builder {where['build']}, died {where['died']}): "
            f"an error of ours names the node | {len(refused)} | {told['agrees']} | {len(refused) - told['agrees']} |",
            f"| TensorRT-RTX builds it and ONNX Runtime runs it: no error of ours | {len(runs)} | "
            f"{sum(one.verdict == 'agrees' for one in runs)} | {sum(one.verdict == 'false alarm' for one in runs)} |",
            f"| TensorRT-RTX builds it, ONNX Runtime does not run it: nothing to hold us to | "
            f"{len(compared) - len(refused) - len(runs)} | | |",
            "",
            "## What the disagreements are",
            "",
            *_told(disagreements(compared), known),
            "## What we call the refusals we agree on",
            "",
            "The first error of each model:",
            "",
            "| kind | models |",
            "|---|---:|",
            *(f"| `{kind}` | {count} |" for kind, count in sorted(rules.items(), key=lambda one: (-one[1], one[0]))),
            "",
        )
    )


def _told(apart: Sequence[Compared], known: dict[str, str]) -> Iterator[str]:
    if not apart:
        yield from ("None.", "")
    for verdict in ("missed", "unnamed", "open", "false alarm"):
        these = [one for one in apart if one.verdict == verdict]
        if not these:
            continue
        yield from (f"### {TITLES[verdict]}", "")
        whys: dict[tuple[str, str], list[Compared]] = {}
        for one in these:
            kind = one.errors[0].kind if one.errors else "no rule"
            whys.setdefault((kind, explained(one.name, known)), []).append(one)
        for (kind, why), group in whys.items():
            said = group[0].tensorrt.text.splitlines()[0] if group[0].tensorrt.text else ""
            yield f"- `{kind}`: {', '.join(f'`{one.name}`' for one in group)}. {why or 'Not explained yet'}."
            if said:
                yield f"  TensorRT-RTX says: `{said}`"
        yield ""


TITLES = {
    "missed": "Refused, and we say nothing",
    "unnamed": "Refused, and we name another node",
    "open": "Refused without a GPU, and we say that only a GPU can tell",
    "false alarm": "Builds and runs, and we report an error",
}

if __name__ == "__main__":
    sys.exit(main())
