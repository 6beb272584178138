"""Mutated models through `friction-tui check`: every one gets a verdict or a reason, whatever it is."""

from __future__ import annotations

import copy
import datetime
import json
import random
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.hardening.mutations import mutated, samples
from benchmarks.hardening.running import Ended, Tally, run

LIMIT_S = 300
"""Seconds that one model may take. The parser and ONNX Runtime have limits of their own below this."""
BATCH = 50


def models(count: int, first: int, folder: Path) -> Tally:
    """Check `count` mutated models, those with the numbers from `first` on, in batches."""
    tally = Tally("mutated models")
    known = samples()
    for start in range(first, first + count, BATCH):
        numbers = range(start, min(start + BATCH, first + count))
        batch = folder / f"batch-{start}"
        batch.mkdir(parents=True)
        for number in numbers:
            (batch / f"{number}.onnx").write_bytes(mutated(number, known))
        _check(batch, len(numbers), folder, tally)
        print(f"  {tally}", flush=True)
    return tally


def _check(batch: Path, count: int, home: Path, tally: Tally) -> None:
    arguments = ["check", str(batch), "--format", "json", "--timeout", str(LIMIT_S), "--jobs", "2"]
    ended = run(arguments, home, limit_s=LIMIT_S * 4)
    tally.tried += count
    fault = ended.fault()
    if fault:
        tally.fail(f"{batch.name}: {fault}")
        return
    try:
        told = json.loads(ended.out)["models"]
    except (ValueError, KeyError) as error:
        tally.fail(f"{batch.name}: the report cannot be read: {error}")
        return
    if len(told) != count:
        tally.fail(f"{batch.name}: {len(told)} of {count} models are in the report")
    errors = any(finding["level"] == "error" for model in told for finding in model["findings"])
    unanswered = sum("failure" in model or "unanswered" in model for model in told)
    if ended.code != (2 if unanswered else int(errors)):
        tally.fail(f"{batch.name}: exit status {ended.code} with {unanswered} not answered, errors: {errors}")
    for model in told:
        name = Path(model["path"]).name
        tally.kinds["judged" if "failure" not in model else "not judged"] += 1
        tally.kinds["a question that an engine left open"] += "unanswered" in model
        if "failure" in model:
            tally.fail(f"model {name}: {model['failure'][:300]}")
        for line in model["unchecked"]:
            if "this check failed" in line:
                tally.fail(f"model {name}: {line[:300]}")
            elif "its process died" in line:
                tally.fail(f"model {name}: the worker died: {line[:200]}")
            else:
                tally.kinds[f"without {line.partition(':')[0]}"] += 1
    for path in batch.iterdir():
        path.unlink()
    batch.rmdir()


_RECIPE: dict[str, Any] = {
    "opset": 18,
    "required_opset": 18,
    "opset_why": "x",
    "required_tensorrt": ["10.3"],
    "target": "SM89",
    "precision": "fp16",
    "keep_float32": ["post/Sigmoid"],
    "guessed": ["N"],
    "relations": ["total = past + seq"],
    "parse": True,
    "profile": {"N": {"min": 1, "opt": 2, "max": 4, "step": 1}},
    "values": {},
    "more_profiles": [{"ranges": {"N": {"min": 4, "opt": 5, "max": 6}}}],
    "rewrites": [],
    "export": {"timeout_s": 30.0, "memory_limit_mb": 1000},
    "allow": [{"kind": "types/float64", "names": ["a"], "until": datetime.date(2027, 1, 31), "why": "x"}],
    "also": [],
}
"""What may stand in the file, for the smallest sample."""
_PIECES = (b"\xff", b"\x00", b"inf", b"nan", b"-1", b"1e999", b"[", b"]", b'"', b"=", b"[[", b"9" * 400, b"{", b"\n")
_VALUES: tuple[Any, ...] = (
    *(0, -1, 1, 3, 2**31, 10**12, 2**63 - 1, -(2**63), float("inf"), float("nan"), 0.5, True, [], [[]], {}),
    *("", "x", "SM1", "\x1b[31m", "\u202e", "../x", "/bin/sh", "N", "a" * 100_000, "(" * 10_000, "N = N", "N = 1 / 0"),
    *(["/bin/sh"], ["x"] * 10_000, {"x": {"min": 1}}, {"N": {"min": -1, "opt": 0, "max": 2**62, "step": 0}}),
    *([{"name": "x"}], {"N": {"min": [1], "opt": [1, 2], "max": []}}, datetime.date(1, 1, 1)),
)


def recipe_files(count: int, seed: int, folder: Path) -> Tally:
    """Broken friction.toml files beside a model, bytes or a value replaced: an error that names it, or a verdict."""
    tally = Tally("mutated friction.toml")
    model = samples()[0]
    for number in range(seed, seed + count):
        place = folder / f"recipe-{number}"
        place.mkdir(parents=True)
        (place / "m.onnx").write_bytes(model)
        (place / "friction.toml").write_bytes(_broken_recipe(random.Random(number)))
        ended = run(["check", "m.onnx"], folder, cwd=place, limit_s=LIMIT_S)
        tally.tried += 1
        tally.kinds[f"status {ended.code}"] += 1
        fault = ended.fault()
        if fault:
            tally.fail(f"recipe {number}: {fault}")
        elif "fault of friction-tui" in ended.errors + ended.out.decode():
            tally.fail(f"recipe {number}: {ended.errors[-300:]}{ended.out.decode()[-300:]}")
        elif ended.code == 2 and not {"friction.toml", "opset"} & set(_words(ended)):
            tally.fail(f"recipe {number}: the file is not named: {ended.errors[-300:]}{ended.out.decode()[-300:]}")
    return tally


def _words(ended: Ended) -> list[str]:
    """What was said. Of an opset that the model cannot have the message names the opset, not the file."""
    return [word.strip(".,:") for word in (ended.errors + ended.out.decode()).replace("/", " ").split()]


def _broken_recipe(chance: random.Random) -> bytes:
    if chance.random() < 0.5:
        text = bytearray(msgspec.toml.encode(_RECIPE))
        for _ in range(chance.choice((1, 1, 2, 5))):
            at = chance.randrange(len(text))
            text[at : at + chance.choice((0, 1, 4))] = chance.choice(_PIECES)
        return bytes(text)
    recipe = copy.deepcopy(_RECIPE)
    for _ in range(chance.choice((1, 1, 2))):
        within: Any = recipe
        key = chance.choice(list(within))
        while within[key] and isinstance(within[key], dict | list) and chance.random() < 0.8:
            within = within[key]
            key = chance.choice(list(within)) if isinstance(within, dict) else chance.randrange(len(within))
        within[key] = chance.choice(_VALUES)
    return bytes(msgspec.toml.encode(recipe))
