"""Mutated models through `friction-tui check`: every one gets a verdict or a reason, whatever it is."""

from __future__ import annotations

import json
import random
from pathlib import Path

from benchmarks.hardening.mutations import mutated, samples
from benchmarks.hardening.running import Tally, run

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
    failures = [model for model in told if "failure" in model]
    if ended.code != (2 if failures else int(errors)):
        tally.fail(f"{batch.name}: exit status {ended.code} with {len(failures)} failures, errors: {errors}")
    for model in told:
        name = Path(model["path"]).name
        tally.kinds["judged" if "failure" not in model else "not judged"] += 1
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


def recipe_files(count: int, seed: int, folder: Path) -> Tally:
    """Broken friction.toml files beside a model: an error that names the file, or a verdict."""
    tally = Tally("mutated friction.toml")
    whole = (
        b'opset = 17\nprecision = "fp16"\nkeep_float32 = ["a"]\n[profile.N]\nmin = 1\nopt = 2\nmax = 4\n'
        b'[export]\ntimeout_s = 30\n[[allow]]\nkind = "types/float64"\nuntil = 2027-01-31\nwhy = "x"\n'
    )
    pieces = (b"\xff", b"\x00", b"inf", b"nan", b"-1", b"1e999", b"[", b"]", b'"', b"=", b"[[", b"9" * 400, b"{", b"\n")
    model = samples()[0]
    for number in range(seed, seed + count):
        chance = random.Random(number)
        text = bytearray(whole)
        for _ in range(chance.choice((1, 1, 2, 5))):
            at = chance.randrange(len(text))
            text[at : at + chance.choice((0, 1, 4))] = chance.choice(pieces)
        place = folder / f"recipe-{number}"
        place.mkdir(parents=True)
        (place / "m.onnx").write_bytes(model)
        (place / "friction.toml").write_bytes(text)
        ended = run(["check", "m.onnx"], folder, cwd=place, limit_s=LIMIT_S)
        tally.tried += 1
        tally.kinds[f"status {ended.code}"] += 1
        fault = ended.fault()
        if fault:
            tally.fail(f"recipe {number}: {fault}")
        elif ended.code == 2 and "friction.toml" not in ended.errors:
            tally.fail(f"recipe {number}: the message does not name the file: {ended.errors[-200:]}")
    return tally
