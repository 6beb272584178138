"""What the command line cannot use is one sentence and status 2, before anything is started or waited for."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from friction_tui.cli import main
from friction_tui.commands.failing import CouldNotRun
from friction_tui.commands.plugin import run as plugin
from friction_tui.commands.ranges import run as ranges
from friction_tui.files import read_whole
from friction_tui.model.opened import LARGEST, open_model
from friction_tui.rewrites.half_trials import CannotTry
from friction_tui.vocabulary.protocol import JobEnded, JobKind, Refused, Request, StartJob
from friction_tui.vocabulary.recipe import Recipe, Source
from friction_tui.worker import precision
from friction_tui.worker.client import WorkerClient
from friction_tui.worker.host import _unreadable

FLOATS = (
    ("check", "--timeout"),
    ("check", "--build-timeout"),
    ("check", "--build-memory"),
    ("build", "--build-timeout"),
    ("build", "--build-memory"),
    ("compare", "--tolerance"),
    ("reduce", "--build-timeout"),
    ("precision", "--tolerance"),
    ("replay", "--speed"),
    ("worker", "--keep"),
)


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e999", "-1"])
@pytest.mark.parametrize(("command", "option"), FLOATS)
def test_no_number_is_without_end(command: str, option: str, value: str) -> None:
    done = CliRunner().invoke(main, [command, "missing.onnx", option, value], standalone_mode=False)
    assert done.exception is not None
    assert option in str(getattr(done.exception, "param", "") and done.exception.param.opts)  # type: ignore[attr-defined]


def test_every_float_of_the_command_line_is_in_that_list() -> None:
    found = {
        (name, parameter.opts[0])
        for name, command in main.commands.items()
        for parameter in command.params
        if "float" in parameter.type.name
    }
    assert found == set(FLOATS)


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    """A pipe that nobody writes to: to open it is to wait."""
    path = tmp_path / "pipe.npz"
    os.mkfifo(path)
    return path


def test_only_regular_files_of_a_bounded_size_are_read(pipe: Path, tmp_path: Path) -> None:
    huge = tmp_path / "friction.toml"
    huge.touch()
    os.truncate(huge, 100 << 30)
    for path, why in ((pipe, "regular"), (Path("/dev/zero"), "regular"), (tmp_path, "directory"), (huge, "larger")):
        with pytest.raises(OSError, match=why):
            read_whole(path)
    (tmp_path / "a").write_bytes(b"text")
    assert read_whole(tmp_path / "a") == b"text"


def test_the_inputs_of_a_search_are_a_regular_file(pipe: Path, tmp_path: Path) -> None:
    (tmp_path / "not.npz").write_bytes(b"PK\x03\x04 and no more")
    model = open_model(Path("sample_models/nms.onnx"))
    for path in (pipe, tmp_path / "not.npz", tmp_path / "missing.npz"):
        with pytest.raises(CannotTry, match="cannot be read"):
            precision.given_arrays(model, path)


def test_a_file_beyond_what_protobuf_reads_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(b"\x08\x09")
    os.truncate(path, LARGEST + 1)
    opened = open_model(path)
    assert opened.file.kind == "too-large"
    assert "external data" in opened.file.error


@pytest.mark.parametrize("run", [ranges, lambda recipe: plugin(recipe, "n", Path("p"))], ids=["ranges", "plugin"])
@pytest.mark.parametrize(("path", "why"), [("/dev/zero", "regular"), ("missing", "no file"), ("a\udcff", "UTF-8")])
def test_what_is_no_model_has_no_ranges_and_no_plugin(run: Callable[[Recipe], int], path: str, why: str) -> None:
    with pytest.raises(CouldNotRun, match=why):
        run(Recipe(source=Source(path)))


async def test_a_job_that_cannot_be_sent_has_ended() -> None:
    heard: list[object] = []
    client = WorkerClient(heard.append)
    await client.start()
    try:
        client.send(StartJob(7, JobKind.FIX, output="o\udcff.onnx"))
        while not any(isinstance(event, JobEnded) for event in heard):
            await _soon()
    finally:
        await client.close()
    ended = next(event for event in heard if isinstance(event, JobEnded))
    assert (ended.job, ended.kind) == (7, JobKind.FIX)
    assert "UTF-8" in ended.error


async def _soon() -> None:
    import asyncio

    await asyncio.sleep(0.01)


def test_a_job_that_cannot_be_read_has_ended() -> None:
    line = msgspec.json.encode(StartJob(3, JobKind.REDUCE, limit_s=float("nan")))  # JSON has no nan
    with pytest.raises(msgspec.ValidationError) as error:
        msgspec.json.decode(line, type=Request)
    refused, ended = _unreadable(line, str(error.value))
    assert isinstance(refused, Refused)
    assert isinstance(ended, JobEnded)
    assert (ended.job, ended.kind) == (3, JobKind.REDUCE)
    assert len(list(_unreadable(b"{", "no"))) == 1
