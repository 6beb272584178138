"""Where output cannot go and input cannot be read: exit status 2, one sentence, nothing half written."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from benchmarks.hardening.running import Ended, Tally, command, environment, run

LIMIT_S = 300
_MODEL_COMMANDS = (
    ("ranges", "m.onnx"),
    ("memory", "m.onnx"),
    ("fix", "m.onnx"),
    ("compare", "m.onnx"),
    ("options",),
    ("plugin", "m.onnx", "post/Sigmoid", "-o", "p"),
)
"""What prints its answer."""


def statuses(folder: Path, model: bytes) -> Tally:
    """Every way to fail that is not the model's, with the status it must have."""
    tally = Tally("exit statuses")
    folder.mkdir(parents=True)
    (folder / "m.onnx").write_bytes(model)
    (folder / "nested.json").write_text("[" * 100_000)
    (folder / "deep.toml").write_text("a = " + "[" * 50_000)
    (folder / "a-folder").mkdir()
    for name in ("fifo.onnx", "fifo.npz"):
        os.mkfifo(folder / name)
    long_name = "n" * 300
    failing: tuple[tuple[str, ...], ...] = (
        ("check", "m.onnx", "--output", "/dev/full"),
        ("check", "m.onnx", "--output", "/proc/none/report"),
        ("check", "m.onnx", "--output", "a-folder"),
        ("check", "m.onnx", "--output", long_name),
        ("check", "m.onnx", "--write-baseline", "/dev/full"),
        ("check", "m.onnx", "--baseline", "nested.json"),
        ("check", "m.onnx", "--baseline", "m.onnx"),
        ("check", f"{long_name}.onnx"),
        ("check", "missing.onnx"),
        ("check", "fifo.onnx"),
        ("check", "a-folder"),
        ("check", "m.onnx", "--timeout", "nan"),
        ("graph", f"{long_name}.onnx"),
        ("graph", "fifo.onnx"),
        ("fix", "m.onnx", "-o", "/dev/full"),
        ("fix", "m.onnx", "-o", f"{long_name}.onnx"),
        ("fix", "m.onnx", "-o", "/proc/none/fixed.onnx"),
        ("build", "m.onnx", "--save", f"{long_name}.plan"),
        ("build", "m.onnx", "--save", "/proc/none/m.plan"),
        ("fix", "m.onnx", "-o", "fixed.onnx", "--script", f"{long_name}.py"),
        ("fix", "m.onnx", "-o", "fixed.onnx", "--script", "/dev/full"),
        ("fix", "m.onnx", "--all", "--cut", "-o", "/proc/none/cut.onnx"),
        ("fix", "m.onnx", "--cut"),
        ("fix", "m.onnx", "-o", "fixed-\udcff.onnx"),
        ("report", "m.onnx", "-o", "/dev/full"),
        ("report", "m.onnx", "-o", "/proc/none/report.html"),
        ("report", "m.onnx", "-o", "a-folder"),
        ("report", "missing.onnx", "-o", "missing.html"),
        ("reduce", "m.onnx", "-o", "/proc/none/part.onnx"),
        ("reduce", "m.onnx", "-o", f"{long_name}.onnx"),
        ("reduce", "m.onnx", "--build-timeout", "nan"),
        ("plugin", "m.onnx", "post/Sigmoid", "-o", "m.onnx"),
        ("plugin", "m.onnx", "post/Sigmoid", "-o", "/proc/none"),
        ("plugin", "m.onnx", "post/Sigmoid", "-o", long_name),
        ("plugin", "m.onnx", "no such node", "-o", "plugin"),
        ("ranges", "fifo.onnx"),
        ("ranges", "missing.onnx"),
        ("memory", "fifo.onnx"),
        ("memory", "m.onnx", "--gpu", "nan"),
        ("memory", "m.onnx", "--batch", "9" * 40),
        ("compare", "fifo.onnx"),
        ("compare", "m.onnx", "--against", "fifo.onnx"),
        ("compare", "m.onnx", "--input", "fifo.npz"),
        ("compare", "m.onnx", "--save", "m.onnx"),
        ("compare", "m.onnx", "--save", f"/proc/none/{long_name}"),
        ("compare", "m.onnx", "--tolerance", "nan"),
        ("creators", "fifo.onnx", "--allow-code"),
        ("creators", "m.onnx"),
        ("build", "m.onnx", "--builder", "workspace=9e99"),
        ("build", "m.onnx", "--builder", "plugins=fifo.onnx"),
        ("build", "m.onnx", "--builder", "no_such=1"),
        ("diff", "m.onnx", "fifo.onnx"),
        ("diff", "m.onnx", "m.onnx", "-o", "/dev/full"),
        ("precision", "m.onnx", "--input", "fifo.npz"),
        ("precision", "m.onnx", "--tolerance", "inf"),
        ("doctor", "--lock", "/dev/full"),
        ("doctor", "--diff", "nested.json"),
        ("explain", "no/such-kind"),
        ("replay", "nested.json"),
        ("replay", long_name),
    )
    for arguments in failing:
        _judge(tally, arguments, run(arguments, folder, limit_s=LIMIT_S), (2,))
    for arguments in (
        ("check", "m.onnx"),
        ("graph", "m.onnx"),
        ("doctor",),
        ("explain",),
        ("locate",),
        ("--help",),
        *_MODEL_COMMANDS,
    ):
        for variables in (
            {"PYTHONIOENCODING": "latin-1"},
            {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        ):
            _judge(tally, arguments, run(arguments, folder, limit_s=LIMIT_S, variables=variables), (0, 1))
        _judge(tally, (*arguments, "> /dev/full"), _into(arguments, folder, "/dev/full"), (2,))
        _judge(tally, (*arguments, ">&-"), _into(arguments, folder, ""), (0, 1, 2))
    left = sorted(path.name for path in folder.iterdir())
    unexpected = [name for name in left if name.endswith(".partial") or (folder / name).stat().st_size == 0]
    unexpected = [name for name in unexpected if not name.startswith("fifo.")]
    if unexpected:
        tally.fail(f"left behind: {unexpected}")
    return tally


def _into(arguments: Sequence[str], folder: Path, target: str) -> Ended:
    """Run it with stdout at a file that takes nothing, or closed for ""."""
    redirect = f'exec "$@" > {target}' if target else 'exec "$@" >&-'
    done = subprocess.run(
        ["sh", "-c", redirect, "sh", *command(*arguments)],
        env=environment(folder),
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        timeout=LIMIT_S,
        check=False,
    )
    return Ended(done.returncode, b"", done.stderr.decode(errors="replace"))


def _judge(tally: Tally, arguments: Sequence[str], ended: Ended, allowed: Sequence[int]) -> None:
    tally.tried += 1
    tally.kinds[f"status {ended.code}"] += 1
    fault = ended.fault(allowed)
    if fault:
        tally.fail(f"friction-tui {' '.join(arguments)[:80]}: {fault}")
