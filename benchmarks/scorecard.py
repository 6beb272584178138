"""What this tool and its peers say of models that anybody can get, against what TensorRT-RTX does with them.

    python -m benchmarks.scorecard [--write] [--seed 0] [--nodes 24] [--packages 5] [--peers FOLDER]

Three corpora: the sample models of this repository; models of onnx's backend tests, and ONNX files that packages of
PyPI ship, drawn with the seed. Bare TensorRT-RTX parses and builds each at one size, in a process without code of this
tool. Every peer is a command in an environment of its own (`PEERS`, installed with pip into build/peers, or FOLDER). A
tool catches a refusal when it reports an error; an error about a model that builds is a false alarm. `--write` writes
docs/scorecard.md up to the part that is written by hand. No GPU is used.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import onnx
import platformdirs
from onnx import helper

from benchmarks import real_models
from benchmarks.agreement import backend_tests
from benchmarks.bare_engines import Bare, ask
from benchmarks.machine import machine
from friction_tui.friction_toml import with_file
from friction_tui.model.opened import from_proto
from friction_tui.model.shapes.profile import default_profile
from friction_tui.vocabulary.recipe import Profile, Recipe, Source, SourceKind

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "scorecard.md"
BY_HAND = "\n## The tools side by side"
"""The heading from which on the page is written by hand."""
PEERS = {
    "polygraphy": "0.53.6",
    "onnx-graphsurgeon": "0.6.1",
    "colored": "2.3.2",
    "trtcheck": "1.1.0",
    "onnx-doctor": "0.2.0",
    "onnxslim": "0.1.98",
    "onnxsim": "0.8.1",
    "onnxruntime": version("onnxruntime"),
    "tensorrt-rtx": version("tensorrt-rtx"),
}
"""Package → version of the environment of the peers; the engine is the one that the truth comes from."""
BUILD_LIMIT_S, PEER_LIMIT_S, FIX_LIMIT_S = 60.0, 60.0, 120.0
FILES_OF_A_PACKAGE = 3
"""ONNX files taken of each package, the smallest first."""
LARGEST_BYTES = 60_000_000

ABOUT = """# Scorecard

What this tool and its peers say of models that anybody can get, against what bare TensorRT-RTX does with them at one
size. `make scorecard` writes this page:

    python -m benchmarks.scorecard --write {options}

{machine}, no GPU; {minutes} minutes, load {load:.1f}.
TensorRT-RTX {rtx}, ONNX Runtime {ort},
{peers}.

TensorRT-RTX is the measure because it builds without a GPU. `polygraphy inspect capability` asks the same parser, which
takes no sizes. trtcheck has rules about TensorRT 10.3, which takes some models that RTX refuses. `polygraphy check
lint` and onnx-doctor look for invalid ONNX and promise nothing about TensorRT: their rows show what somebody who runs
them before a build is told, not how good they are at their own task. The sample models were made for this tool; the
two other corpora were not.

## Verdicts

*Caught*: TensorRT-RTX refuses the model and the tool reports an error. *False alarms*: it builds, and the tool reports
one. *Silent*: the tool gave no answer: it crashed or took over 60 s. *Time*: the median wall time of one command; what
this tool remembers of earlier checks on a machine was not there.

"""
MENDING = """
## Mending

Sample models that TensorRT-RTX refuses at this size: does it build what the tool writes? The simplifiers promise a
smaller graph, not one for TensorRT.
"""

Feeds = dict[str, np.ndarray]
Command = Callable[[Path, Path], list[str]]


@dataclass(frozen=True, slots=True)
class Model:
    """A model file of a corpus, and the inputs whose sizes it is built at."""

    corpus: str
    name: str
    path: Path
    feeds: Feeds


@dataclass(frozen=True, slots=True)
class Said:
    """A tool's answer: whether it reports an error, None where it gave no answer, and its wall time in seconds."""

    error: bool | None
    seconds: float


@dataclass(slots=True)
class Scored:
    """One model with everybody's answer."""

    model: Model
    truth: Bare
    said: dict[str, Said] = field(default_factory=dict)
    mended: dict[str, bool] = field(default_factory=dict)
    """Whether bare TensorRT-RTX builds what a tool made of a model that it refuses."""


def samples(_: argparse.Namespace, __: Path) -> Iterator[Model]:
    """The sample models of this repository, at the optimum of their ranges."""
    for path in sorted((ROOT / "sample_models").glob("*.onnx")):
        yield Model("sample models", path.stem, path, _at_optimum(path))


def node_tests(chosen: argparse.Namespace, folder: Path) -> Iterator[Model]:
    """Models of onnx's backend tests whose inputs are all tensors, drawn with the seed."""
    tests = [test for test in backend_tests() if all(isinstance(value, np.ndarray) for value in test.feeds.values())]
    for test in random.Random(chosen.seed).sample(tests, chosen.nodes):
        path = folder / f"{test.name.replace('/', '-')}.onnx"
        onnx.save(test.model, path)
        feeds = {name: np.asarray(value) for name, value in test.feeds.items()}
        yield Model("onnx backend tests", test.name, path, feeds)


def shipped(chosen: argparse.Namespace, folder: Path) -> Iterator[Model]:
    """ONNX files of packages drawn with the seed, the smallest of each, at sizes with which ONNX Runtime runs them."""
    names = random.Random(chosen.seed).sample(sorted(real_models.PACKAGES), chosen.packages)
    for package, wheel in real_models.wheels(names, chosen.wheels):
        files = sorted(real_models.files_of(package, wheel, folder), key=lambda one: one.path.stat().st_size)
        for file in [one for one in files if one.path.stat().st_size < LARGEST_BYTES][:FILES_OF_A_PACKAGE]:
            yield Model("files of PyPI packages", f"{package}/{file.name}", file.path, real_models.feeds_of(file))


def _at_optimum(path: Path) -> Feeds:
    proto = onnx.load(path)
    recipe, _ = with_file(Recipe(source=Source(str(path), SourceKind.ONNX), profile=Profile()))
    guessed, agreed = default_profile(from_proto(proto, path)), recipe.profile or Profile()
    ranges, values = {**guessed.ranges, **agreed.ranges}, {**guessed.values, **agreed.values}
    rng, feeds = np.random.default_rng(0), {}
    stored = {tensor.name for tensor in proto.graph.initializer}
    for value in (one for one in proto.graph.input if one.name not in stored):
        tensor = value.type.tensor_type
        keys = [dim.dim_param or f"{value.name}[{axis}]" for axis, dim in enumerate(tensor.shape.dim)]
        shape = [dim.dim_value or ranges[key].opt for dim, key in zip(tensor.shape.dim, keys, strict=True)]
        dtype = helper.tensor_dtype_to_np_dtype(tensor.elem_type)
        drawn = np.array(values[value.name].opt) if value.name in values else rng.integers(0, 2, shape)
        feeds[value.name] = drawn.astype(dtype).reshape(shape)
    return feeds


def _run(command: Sequence[str], limit_s: float, **more: str) -> tuple[subprocess.CompletedProcess[str] | None, float]:
    started = time.monotonic()
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=limit_s, env={**os.environ, **more}
        )
    except subprocess.TimeoutExpired:
        return None, limit_s
    except FileNotFoundError:  # a peer that could not be installed gives no answer
        return None, 0.0
    return done, time.monotonic() - started


def ours(model: Model, _: Path) -> Said:
    """`friction-tui check` at the sizes of the truth, which are told for inputs that leave a size open."""
    values = onnx.load(model.path, load_external_data=False).graph.input
    free = {one.name for one in values if any(not dim.HasField("dim_value") for dim in one.type.tensor_type.shape.dim)}
    checked = real_models.check(model.path, {name: array for name, array in model.feeds.items() if name in free})
    return Said(bool(checked.errors) if checked.status in (0, 1, 2) else None, checked.seconds)


def polygraphy(model: Model, bin_folder: Path) -> Said:
    """`polygraphy inspect capability`, which asks the parser of the same TensorRT-RTX; it takes no sizes."""
    with tempfile.TemporaryDirectory() as folder:
        command = [f"{bin_folder}/polygraphy", "inspect", "capability", str(model.path), "-o", folder]
        done, seconds = _run(command, PEER_LIMIT_S, POLYGRAPHY_USE_TENSORRT_RTX="1")
    text = done.stdout + done.stderr if done else ""
    taken, refused = "Graph is fully supported" in text, "===== Summary" in text
    return Said(refused if taken or refused else None, seconds)


def trtcheck(model: Model, bin_folder: Path) -> Said:
    """`trtcheck`, rules about TensorRT 10.3: a critical issue is an error."""
    done, seconds = _run([f"{bin_folder}/trtcheck", str(model.path), "--format", "json"], PEER_LIMIT_S)
    document = _json(done)
    return Said(document["critical_count"] > 0 if isinstance(document, dict) else None, seconds)


def onnx_doctor(model: Model, bin_folder: Path) -> Said:
    """`onnx-doctor check`, rules about valid ONNX; TensorRT is not its subject."""
    command = [f"{bin_folder}/onnx-doctor", "check", str(model.path), "--output-format", "json"]
    done, seconds = _run(command, PEER_LIMIT_S)
    document = _json(done)
    found = [one for one in document if one.get("severity") == "error"] if isinstance(document, list) else None
    return Said(bool(found) if found is not None else None, seconds)


def lint(model: Model, bin_folder: Path) -> Said:
    """`polygraphy check lint`, ONNX Runtime on random inputs; TensorRT is not its subject."""
    done, seconds = _run([f"{bin_folder}/polygraphy", "check", "lint", str(model.path)], PEER_LIMIT_S)
    text = done.stdout + done.stderr if done else ""
    ended = "PASSED" in text or "FAILED" in text
    return Said("FAILED" in text if ended else None, seconds)


def _json(done: subprocess.CompletedProcess[str] | None) -> Any:
    try:
        return json.loads(done.stdout) if done is not None else None
    except ValueError:
        return None


JUDGES: dict[str, Callable[[Model, Path], Said]] = {
    "friction-tui check": ours,
    "polygraphy inspect capability": polygraphy,
    "polygraphy check lint": lint,
    "trtcheck": trtcheck,
    "onnx-doctor check": onnx_doctor,
}


def menders(bin_folder: Path) -> dict[str, Command]:
    """Commands that write another model of the same function."""
    fix = [sys.executable, "-m", "friction_tui", "fix"]
    sanitize = [f"{bin_folder}/polygraphy", "surgeon", "sanitize", "--fold-constants"]
    return {
        "friction-tui fix": lambda model, out: [*fix, str(model), "-o", str(out)],
        "polygraphy surgeon sanitize": lambda model, out: [*sanitize, str(model), "-o", str(out)],
        "onnxslim": lambda model, out: [f"{bin_folder}/onnxslim", str(model), str(out)],
        "onnxsim": lambda model, out: [f"{bin_folder}/onnxsim", str(model), str(out)],
    }


def score(model: Model, folder: Path, bin_folder: Path, *, mend: bool) -> Scored:
    """Everybody's answer about one model."""
    stored = folder / "feeds.npz"
    np.savez(stored, **model.feeds)  # type: ignore[arg-type]  # numpy declares a keyword of its own among them
    scored = Scored(model, ask("tensorrt", model.path, stored, BUILD_LIMIT_S))
    scored.said = {name: judge(model, bin_folder) for name, judge in JUDGES.items()}
    if mend and scored.truth.failed:
        for name, command in menders(bin_folder).items():
            out = folder / "mended.onnx"
            out.unlink(missing_ok=True)
            _run(command(model.path, out), FIX_LIMIT_S)
            scored.mended[name] = out.exists() and _builds(out, model.feeds, folder)
    return scored


def _builds(path: Path, feeds: Feeds, folder: Path) -> bool:
    """Whether TensorRT-RTX builds it at the same sizes; an input of another type is fed in that."""
    graph = onnx.load(path).graph
    typed = {
        one.name: feeds[one.name].astype(helper.tensor_dtype_to_np_dtype(one.type.tensor_type.elem_type))
        for one in graph.input
        if one.name in feeds
    }
    stored = folder / "mended.npz"
    np.savez(stored, **typed)  # type: ignore[arg-type]
    return not ask("tensorrt", path, stored, BUILD_LIMIT_S).failed


def environment(chosen: Path | None) -> Path:
    """The folder of the peers' commands; their environment is made where it is not given."""
    folder = chosen or ROOT / "build" / "peers"
    if not (folder / "bin").is_dir():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        wanted = [f"{name}=={number}" for name, number in PEERS.items()]
        subprocess.run([str(folder / "bin" / "pip"), "install", "--quiet", *wanted], check=True)
    return folder / "bin"


def page(done: Sequence[Scored], chosen: argparse.Namespace, seconds: float) -> str:
    """The tables, as Markdown."""
    names = ("polygraphy", "trtcheck", "onnx-doctor", "onnxslim", "onnxsim")
    about = ABOUT.format(
        options=f"--seed {chosen.seed} --nodes {chosen.nodes} --packages {chosen.packages}",
        machine=machine(),
        minutes=round(seconds / 60),
        load=os.getloadavg()[2],
        rtx=PEERS["tensorrt-rtx"],
        ort=PEERS["onnxruntime"],
        peers=", ".join(f"{name} {PEERS[name]}" for name in names),
    )
    return about + "\n".join((*_verdicts(done), *_mending(done), *_every_model(done))) + "\n"


def _verdicts(done: Sequence[Scored]) -> Iterator[str]:
    yield "| corpus | models | refused | tool | caught | false alarms | silent | time |"
    yield "|---|---:|---:|---|---:|---:|---:|---:|"
    for corpus in dict.fromkeys(one.model.corpus for one in done):
        of = [one for one in done if one.model.corpus == corpus]
        refused, built = [one for one in of if one.truth.failed], [one for one in of if not one.truth.failed]
        for tool in JUDGES:
            cells = (
                corpus,
                len(of),
                len(refused),
                tool,
                f"{sum(one.said[tool].error is True for one in refused)} of {len(refused)}",
                f"{sum(one.said[tool].error is True for one in built)} of {len(built)}",
                sum(one.said[tool].error is None for one in of),
                f"{median(one.said[tool].seconds for one in of):.1f} s",
            )
            yield f"| {' | '.join(map(str, cells))} |"


def _mending(done: Sequence[Scored]) -> Iterator[str]:
    mended = [one for one in done if one.mended]
    if not mended:
        return
    yield MENDING
    yield f"| model | {' | '.join(mended[0].mended)} |"
    yield "|---|" + "---|" * len(mended[0].mended)
    for one in mended:
        said = " | ".join("builds" if built else "no" for built in one.mended.values())
        yield f"| `{one.model.name}` | {said} |"


def _every_model(done: Sequence[Scored]) -> Iterator[str]:
    words = {True: "error", False: "no error", None: "silent"}
    yield "\n## Every model\n"
    yield f"| model | TensorRT-RTX | {' | '.join(JUDGES)} |"
    yield "|---|---|" + "---|" * len(JUDGES)
    for one in done:
        said = " | ".join(words[one.said[tool].error] for tool in JUDGES)
        yield f"| `{one.model.name}` | {f'refuses ({one.truth.failed})' if one.truth.failed else 'builds'} | {said} |"


def main(arguments: Sequence[str] | None = None) -> int:
    """Score, print, and write the page if asked; 1 where this tool misses a refusal or raises a false alarm."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn from the corpora")
    parser.add_argument("--nodes", type=int, default=24, help="models of onnx's backend tests")
    parser.add_argument("--packages", type=int, default=5, help="packages of PyPI")
    parser.add_argument("--peers", type=Path, metavar="FOLDER", help="an environment that has the peers")
    parser.add_argument("--wheels", type=Path, metavar="FOLDER", help="where the wheels of the packages lie")
    parser.add_argument("--write", action="store_true", help=f"write {PAGE.relative_to(ROOT)}")
    chosen = parser.parse_args(arguments)
    bin_folder, started, done = environment(chosen.peers), time.monotonic(), []
    chosen.wheels = chosen.wheels or Path(platformdirs.user_cache_dir("friction-tui")) / "real_models"
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as cache:
        os.environ["XDG_CACHE_HOME"] = cache  # nothing that a check compiled or was told before
        for corpus in (samples, node_tests, shipped):
            for model in corpus(chosen, Path(folder)):
                done.append(score(model, Path(folder), bin_folder, mend=corpus is samples))
                print(model.name, done[-1].truth, *(said.error for said in done[-1].said.values()), flush=True)
    text = page(done, chosen, time.monotonic() - started)
    print(text)
    if chosen.write:
        older = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
        _, found, by_hand = older.partition(BY_HAND)
        PAGE.write_text(text + found + by_hand, encoding="utf-8")
    wrong = [one for one in done if one.said["friction-tui check"].error is not bool(one.truth.failed)]
    for one in wrong:
        print(f"✗ {one.model.name}: TensorRT-RTX {one.truth}; friction-tui check {one.said['friction-tui check']}")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
