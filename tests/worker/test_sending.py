"""A model of this machine is judged on another: without its weights first, with them when they are needed."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from msgspec.structs import replace
from onnx import TensorProto, helper, numpy_helper

from friction_tui.vocabulary.protocol import (
    Apply,
    CheckState,
    Event,
    Findings,
    JobEnded,
    JobKind,
    Judged,
    LineChanged,
    Open,
    Opened,
    Sending,
    StartJob,
)
from friction_tui.vocabulary.protocol.line import Offer, Part
from friction_tui.vocabulary.recipe import Precision, Recipe, Source
from friction_tui.worker.client import WorkerClient
from friction_tui.worker.packing import pack
from friction_tui.worker.store import Store, key_of, read_span
from tests.worker.test_client import Ear
from tests.worker.test_remote import cut, heard, line, own_places

__all__ = ["line", "own_places"]


def with_weights(path: Path, *, external: bool = False, megabytes: int = 4) -> Path:
    """A model of two layers whose weights have a NaN, which only who has them can find."""
    side = 512 * int(megabytes**0.5)
    weights = np.random.default_rng(1).standard_normal((side, side)).astype(np.float32)
    weights[3, 4] = np.nan
    nodes = [helper.make_node("MatMul", ["x", "w"], ["m"], "mm"), helper.make_node("Relu", ["m"], ["y"], "relu")]
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", side]) for name in ("x", "y")]
    graph = helper.make_graph(nodes, "g", ports[:1], ports[1:], [numpy_helper.from_array(weights, "w")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path, save_as_external_data=external, location=f"{path.stem}.bin" if external else None)
    return path


def findings_of(event: Event) -> set[str]:
    assert isinstance(event, Judged)
    return {finding.kind for finding in event.findings}


@pytest.mark.parametrize("external", [False, True])
async def test_judged_without_weights_first_and_with_them_for_a_job(
    line: tuple[WorkerClient, Ear], tmp_path: Path, *, external: bool
) -> None:
    client, ear = line
    path = with_weights(tmp_path / "big.onnx", external=external)
    client.send(Open(revision=1, recipe=Recipe(source=Source(str(path)))))
    await heard(ear, lambda event: isinstance(event, Judged) and event.complete)
    weights = [event for event in ear.events if isinstance(event, Findings) and event.check == "weights"]
    assert [event.state for event in weights] == [CheckState.UNAVAILABLE]
    assert "not on this machine" in weights[0].note
    kept = tmp_path / "cache/friction-tui/sent"
    assert sum(file.stat().st_blocks * 512 for file in kept.rglob("*") if file.is_file()) < 10**6
    client.send(StartJob(job=1, kind=JobKind.MEASURE, runs=1))
    (ended,) = await ear.wait_for(JobEnded)
    assert isinstance(ended, JobEnded)
    assert ended.latency is not None
    await heard(ear, lambda event: isinstance(event, Judged) and "weights/nan" in findings_of(event))
    (opened,) = await ear.wait_for(Opened)
    assert isinstance(opened, Opened)
    assert opened.recipe.source.path == str(path), "the model is called as the terminal calls it"
    assert kept.stat().st_mode & 0o777 == 0o700


async def test_an_edit_of_values_waits_for_them(line: tuple[WorkerClient, Ear], tmp_path: Path) -> None:
    client, ear = line
    path = with_weights(tmp_path / "big.onnx")
    recipe = Recipe(source=Source(str(path)))
    client.send(Open(revision=1, recipe=recipe))
    (opened,) = await ear.wait_for(Opened)
    await heard(ear, lambda event: isinstance(event, Judged) and event.complete)
    assert isinstance(opened, Opened)
    client.send(Apply(revision=2, recipe=replace(opened.recipe, precision=Precision.FP16)))
    judged = await heard(ear, lambda event: isinstance(event, Judged) and event.revision == 2)
    assert "weights/nan" in findings_of(judged)


@pytest.mark.slow
async def test_a_transfer_that_is_cut_goes_on_and_the_job_after_it_runs(
    line: tuple[WorkerClient, Ear], tmp_path: Path
) -> None:
    client, ear = line
    path = with_weights(tmp_path / "big.onnx", megabytes=64)
    client.send(Open(revision=1, recipe=Recipe(source=Source(str(path)))))
    await heard(ear, lambda event: isinstance(event, Judged) and event.complete)
    client.send(StartJob(job=1, kind=JobKind.MEASURE, runs=1))
    for number in range(3):
        since = len(ear.events)
        while not any(isinstance(event, Sending) for event in ear.events[since:]):
            await asyncio.sleep(0.02)
        cut()
        await ear.wait_for(LineChanged, 3 + 2 * number)
    (ended,) = await ear.wait_for(JobEnded)
    assert isinstance(ended, JobEnded)
    assert ended.latency is not None
    assert ended.error == ""


async def test_a_model_that_is_only_there_is_looked_for_there(line: tuple[WorkerClient, Ear]) -> None:
    client, ear = line
    client.send(Open(revision=1, recipe=Recipe(source=Source("only-there.onnx"))))
    judged = await heard(ear, lambda event: isinstance(event, Judged) and event.complete)
    assert findings_of(judged) == {"file/missing"}


def parcel(folder: Path, name: str, content: bytes) -> tuple[Offer, tuple[Part, ...]]:
    (folder / name).write_bytes(content)
    parts = (Part(name, len(content), ((0, len(content)),)),)
    return Offer(key=key_of(parts, folder), parts=parts), parts


def test_a_store_goes_on_where_it_was_cut_and_believes_nothing_but_the_hash(tmp_path: Path) -> None:
    content = os.urandom(3_000_000)
    offer, parts = parcel(tmp_path, "m.onnx", content)
    store = Store(tmp_path / "store")
    assert store.take(offer).done == 0
    assert store.put(offer.key, 0, read_span(parts, tmp_path, 0, 1_000_000)).done == 1_000_000
    assert store.put(offer.key, 2_000_000, b"later").done == 1_000_000, "what leaves a gap is not taken"
    other = Store(tmp_path / "store")
    assert other.take(offer).busy
    store.pause()  # its line is cut
    assert other.take(offer).done == 1_000_000
    other.put(offer.key, 1_000_000, b"x" * 2_000_000)
    assert "not what was sent" in other.whole(offer.key).why_not
    assert other.take(offer).done == 0
    other.put(offer.key, 0, content)
    whole = other.whole(offer.key)
    assert Path(whole.path).read_bytes() == content
    third = Store(tmp_path / "store")
    assert third.take(offer).path == whole.path, "what is whole is used by many"


@pytest.mark.parametrize("name", ["../out", "/etc/passwd", "a/../../b", "", ".lock"])
def test_names_that_would_leave_the_folder_are_not_taken(tmp_path: Path, name: str) -> None:
    store = Store(tmp_path / "store")
    answer = store.take(Offer(key="0" * 64, parts=(Part(name, 1, ((0, 1),)),)))
    assert answer.why_not
    assert not (tmp_path / "store").exists()


def test_a_store_is_bounded_and_what_was_used_longest_ago_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("friction_tui.worker.store.MOST", 2_500_000)
    keys = []
    for number in range(4):
        store = Store(tmp_path / "store")
        content = bytes([number]) * 1_000_000
        offer, _ = parcel(tmp_path, f"{number}.onnx", content)
        assert not store.take(offer).why_not
        store.put(offer.key, 0, content)
        assert store.whole(offer.key).path
        os.utime(tmp_path / "store" / offer.key, (number, number))
        keys.append(offer.key)
        store.close()
    assert {place.name for place in (tmp_path / "store").iterdir()} == set(keys[2:])
    too_large, _ = parcel(tmp_path, "huge.onnx", b"h" * 3_000_000)
    assert "at most" in Store(tmp_path / "store").take(too_large).why_not


def test_a_light_copy_is_the_same_model_without_its_large_values(tmp_path: Path) -> None:
    for external in (False, True):
        path = with_weights(tmp_path / f"m{external}.onnx", external=external)
        packed = pack(path)
        assert [part.name for part in packed.whole] == [part.name for part in packed.light]
        folder = tmp_path / f"light{external}"
        folder.mkdir()
        for part in packed.light:
            with (folder / part.name).open("wb") as file:
                for offset, length in part.segments:
                    file.seek(offset)
                    file.write((tmp_path / part.name).read_bytes()[offset : offset + length])
                file.truncate(part.size)
        light, whole = onnx.load(folder / path.name), onnx.load(path)
        assert not numpy_helper.to_array(light.graph.initializer[0]).any()
        del light.graph.initializer[:], whole.graph.initializer[:]
        assert light == whole
