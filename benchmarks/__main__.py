"""Every benchmark that needs nothing but this machine, one after the other; see docs/benchmarks.md.

    python -m benchmarks

Each runs in a process of its own, as `python -m benchmarks.NAME` does. Exits 1 when one of them missed its budget.
"""

from __future__ import annotations

import subprocess
import sys

NAMES = ("first_screen", "verdicts", "drawing", "tui", "export", "python_to_engine", "forecast")


def main() -> int:
    """Run them all, even after one that failed."""
    missed = []
    for name in NAMES:
        print(f"\n== python -m benchmarks.{name}", flush=True)
        if subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=False).returncode:
            missed.append(name)
    if missed:
        print(f"\nfailed or missed a budget: {', '.join(missed)}")
    return int(bool(missed))


if __name__ == "__main__":
    sys.exit(main())
