"""The long campaign; prints tried and failed for each class, and exits 1 when anything failed.

    python -m benchmarks.hardening --models 3000 --kills 200 --keys 10000 --recipes 200

The seed decides everything but the moments at which the machine is slower or faster.
"""

from __future__ import annotations

import argparse
import shlex
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.hardening.keys import keys
from benchmarks.hardening.kills import kills
from benchmarks.hardening.lines import lines
from benchmarks.hardening.models import models, recipe_files
from benchmarks.hardening.mutations import SAMPLES, samples
from benchmarks.hardening.planted import planted
from benchmarks.hardening.running import Tally
from benchmarks.hardening.statuses import statuses


def main() -> int:
    """Run the classes that were asked for."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--models", type=int, default=3000)
    options.add_argument("--recipes", type=int, default=200)
    options.add_argument("--kills", type=int, default=200)
    options.add_argument("--lines", type=int, default=200)
    options.add_argument("--line", default="", metavar="COMMAND", help="of the class lines: `ssh box`, by default none")
    options.add_argument("--keys", type=int, default=10_000)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--only", action="append", default=[], help="a class, such as kills; may be repeated")
    chosen = options.parse_args()
    detector = SAMPLES / "detector.onnx"
    tallies: list[Tally] = []
    with tempfile.TemporaryDirectory(prefix="friction-hardening-") as made:
        folder = Path(made)
        small = samples()[0]
        classes: dict[str, Callable[[], Tally]] = {
            "statuses": lambda: statuses(folder / "statuses", small),
            "planted": lambda: planted(folder / "planted", small),
            "kills": lambda: kills(chosen.kills, chosen.seed, folder / "kills", detector),
            "lines": lambda: lines(
                chosen.lines,
                chosen.seed,
                folder / "lines",
                SAMPLES / "baked_batch.onnx",
                shlex.split(chosen.line),
            ),
            "keys": lambda: keys(chosen.keys, chosen.seed, folder / "keys", detector),
            "recipes": lambda: recipe_files(chosen.recipes, chosen.seed, folder / "recipes"),
            "models": lambda: models(chosen.models, chosen.seed, folder / "models"),
        }
        for name, attempt in classes.items():
            if chosen.only and name not in chosen.only:
                continue
            print(f"== {name}", flush=True)
            since = time.monotonic()
            tallies.append(attempt())
            print(f"  {time.monotonic() - since:.0f} s", flush=True)
    print()
    for tally in tallies:
        print(tally)
    return int(any(tally.failed for tally in tallies))


if __name__ == "__main__":
    sys.exit(main())
