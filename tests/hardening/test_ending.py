"""1 means that errors were found in the model; whatever stops the command is one sentence and 2."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click
import pytest

from benchmarks.hardening.running import command, environment, run
from friction_tui.ending import end
from friction_tui.processes.child import run as run_child


def raising(error: BaseException) -> Callable[[], object]:
    def fail() -> object:
        raise error

    return fail


@pytest.mark.parametrize(
    ("error", "status", "says"),
    [
        (SystemExit(0), 0, ""),
        (SystemExit(1), 1, ""),
        (SystemExit("sentence"), 2, "sentence"),
        (click.UsageError("wrong flag"), 2, "wrong flag"),
        (click.ClickException("no"), 2, "no"),
        (click.Abort(), 2, "stopped"),
        (KeyboardInterrupt(), 2, "stopped"),
        (OSError(28, "No space left on device", "plan"), 2, "plan: No space left on device"),
        (BrokenPipeError(32, "Broken pipe"), 2, ""),
        (MemoryError(), 2, "out of memory"),
        (RecursionError("deep"), 2, "RecursionError: deep"),
        (ZeroDivisionError("x" * 10_000), 2, "fault of friction-tui"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_every_end_has_its_status(
    error: BaseException, status: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert end(raising(error)) == status
    told = capsys.readouterr().err
    assert says in told
    assert "Traceback" not in told
    assert len(told) < 2000


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("check", f"{'n' * 300}.onnx"), 2),
        (("check", "m.onnx", "--baseline", "nested.json"), 2),
        (("explain", "no/such-kind"), 2),
        (("explain",), 0),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_the_command_in_any_encoding(arguments: tuple[str, ...], status: int, encoding: str, tmp_path: Path) -> None:
    (tmp_path / "nested.json").write_text("[" * 100_000)
    (tmp_path / "m.onnx").write_bytes(b"")
    ended = run(arguments, tmp_path, limit_s=120, variables={"PYTHONIOENCODING": encoding})
    assert ended.fault((status,)) == ""


@pytest.mark.parametrize(("redirect", "status"), [("> /dev/full", 2), (">&-", 0)])
def test_output_that_goes_nowhere(redirect: str, status: int, tmp_path: Path) -> None:
    variables = environment(tmp_path)
    assigned = [f"{name}={variables[name]}" for name in ("HOME", "PYTHONPATH", "XDG_STATE_HOME")]
    shell = ["sh", "-c", f'exec "$@" {redirect}', "sh"]
    done = run_child(["env", *assigned, *shell, *command("explain")])
    assert done.code == status, done.tail
    assert "Traceback" not in done.tail
