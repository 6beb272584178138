"""What is installed of every engine, as JSON: a process of its own, for whoever may not import engines."""

from __future__ import annotations

import sys

import msgspec

from friction_tui.engines.found import found


def main() -> None:
    """Print it."""
    sys.stdout.write(msgspec.json.encode(found()).decode())


if __name__ == "__main__":
    main()
