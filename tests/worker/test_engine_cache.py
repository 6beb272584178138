"""Engines that are kept: what makes another key, what a miss says, and what happens to a damaged file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest
from click.testing import CliRunner
from onnx import numpy_helper
from onnx.external_data_helper import convert_model_to_external_data

from friction_tui.cli import main
from friction_tui.engines.base import Terms
from friction_tui.engines.profiles import ResolvedProfile
from friction_tui.model.opened import open_model
from friction_tui.samples import sample
from friction_tui.vocabulary.protocol import BuildResult, EngineInfo
from friction_tui.worker.engine_cache import EngineCache, parts_of

ENGINE = EngineInfo(
    name="TensorRT-RTX", label="TensorRT-RTX 1.7.1", version="1.7.1", can_parse=True, can_build=True, can_run=False,
    targets=("SM89",),
)  # fmt: skip
TERMS = Terms(profiles=(ResolvedProfile({"x": ((1, 4), (2, 4), (8, 4))}, {}),), target="SM89")
RESULT = BuildResult(ok=True, source="TensorRT-RTX 1.7.1 builder", seconds=3.0, engine_bytes=6)


def weighted(folder: Path, scale: float, *, outside: bool = False) -> Path:
    folder.mkdir(exist_ok=True)
    proto = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17]> g (float[N,4] x) => (float[N,8] y) { y = MatMul(x, w) }'
    )
    proto.graph.initializer.append(numpy_helper.from_array(np.full((4, 8), scale, np.float32), "w"))
    if outside:
        convert_model_to_external_data(proto, location="weights.bin", size_threshold=0)
    path = folder / "net.onnx"
    onnx.save(proto, path)
    return path


def parts(path: Path, terms: Terms = TERMS, engine: EngineInfo = ENGINE) -> dict[str, object]:
    model = open_model(path)
    return parts_of(model, model, terms, engine)


@pytest.fixture
def cache(tmp_path: Path) -> Iterator[EngineCache]:
    yield EngineCache(tmp_path / "engines")


def kept(cache: EngineCache, tmp_path: Path, path: Path, terms: Terms = TERMS) -> None:
    plan = tmp_path / "built.plan"
    plan.write_bytes(b"engine")
    assert cache.keep(parts(path, terms), plan, path, RESULT).endswith("is kept")


def test_the_same_question_takes_the_engine_that_is_kept(cache: EngineCache, tmp_path: Path) -> None:
    path = weighted(tmp_path, 1.0)
    result, said = cache.take(parts(path), tmp_path / "a.plan", path)
    assert (result, said) == (None, "engine cache: no engine of this model is kept yet")
    kept(cache, tmp_path, path)
    elsewhere = weighted(tmp_path / "copy", 1.0)
    result, said = cache.take(parts(elsewhere), tmp_path / "a.plan", elsewhere)
    assert result is not None
    assert (result.seconds, result.engine_path) == (3.0, str(tmp_path / "a.plan"))
    assert result.reused.endswith("in 3.0 s")
    assert (tmp_path / "a.plan").read_bytes() == b"engine"


def test_a_miss_names_every_part_that_differs(cache: EngineCache, tmp_path: Path) -> None:
    path = weighted(tmp_path, 1.0)
    kept(cache, tmp_path, path)

    def missed(terms: Terms = TERMS, engine: EngineInfo = ENGINE) -> str:
        result, said = cache.take(parts(path, terms, engine), tmp_path / "b.plan", path)
        assert result is None
        return said.partition(" differ: ")[2]

    import msgspec

    assert missed(replace(TERMS, target="SM86")) == "target SM89 → SM86"
    assert missed(replace(TERMS, precision="fp16", typed=True)) == "precision as-exported → fp16, how types are chosen"
    assert missed(replace(TERMS, options={"workspace": 1 << 30})) == "workspace default → 1GiB"
    assert missed(replace(TERMS, profiles=())) == "the shape ranges"
    newer = msgspec.structs.replace(ENGINE, version="1.8.0")
    assert missed(engine=newer) == "engine TensorRT-RTX 1.7.1 → TensorRT-RTX 1.8.0"
    weighted(tmp_path, 2.0)
    assert missed() == "the model's bytes"


def test_the_nearest_engine_is_the_one_compared(cache: EngineCache, tmp_path: Path) -> None:
    path = weighted(tmp_path, 1.0)
    kept(cache, tmp_path, path)
    kept(cache, tmp_path, path, replace(TERMS, target="SM86", precision="fp16"))
    asked = replace(TERMS, target="SM86", precision="bf16")
    _, said = cache.take(parts(path, asked), tmp_path / "c.plan", path)
    assert said.endswith("differ: precision fp16 → bf16")


def test_what_changes_no_engine_changes_no_key(tmp_path: Path) -> None:
    path = weighted(tmp_path, 1.0)
    limits = replace(TERMS, options={"build_timeout": 60, "engine_cache": True, "timing_cache": True})
    assert parts(path, limits) == parts(path)


def test_weights_beside_the_model_are_part_of_it(tmp_path: Path) -> None:
    path = weighted(tmp_path, 1.0, outside=True)
    before = parts(path)
    data = bytearray((tmp_path / "weights.bin").read_bytes())
    data[0] ^= 1
    (tmp_path / "weights.bin").write_bytes(data)
    assert parts(path)["model"] != before["model"]


def test_a_damaged_engine_is_built_again(cache: EngineCache, tmp_path: Path) -> None:
    path = weighted(tmp_path, 1.0)
    kept(cache, tmp_path, path)
    (plan,) = (tmp_path / "engines").glob("*.plan")
    plan.write_bytes(b"engina")
    result, said = cache.take(parts(path), tmp_path / "d.plan", path)
    assert result is None
    assert "damaged" in said
    (manifest,) = (tmp_path / "engines").glob("*.json")
    manifest.write_bytes(b"{")
    assert cache.take(parts(path), tmp_path / "d.plan", path)[0] is None


def test_the_engines_used_least_make_room(cache: EngineCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("friction_tui.worker.engine_cache.KEPT_BYTES", 6)
    path = weighted(tmp_path, 1.0)
    kept(cache, tmp_path, path)
    kept(cache, tmp_path, path, replace(TERMS, target="SM86"))
    left = [file.suffix for file in (tmp_path / "engines").iterdir()]
    assert sorted(left) == [".json", ".plan"]


def test_a_real_build_is_taken_again_and_says_why_not_when_something_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(
        "tensorrt_rtx", reason="builds with the RTX edition, which is part of the cpu extra, not of gpu"
    )
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = sample("healthy_cnn")
    assert path is not None

    def build(*words: str) -> str:
        done = CliRunner().invoke(main, ["build", str(path), "--builder", "engine_cache", *words])
        assert done.exit_code == 0, done.output
        return done.output

    first = build("--save", str(tmp_path / "first.plan"))
    assert "no engine of this model is kept yet" in first
    again = build("--save", str(tmp_path / "again.plan"))
    assert "taken from the engine cache: built" in again
    assert (tmp_path / "first.plan").read_bytes() == (tmp_path / "again.plan").read_bytes()
    assert first.partition("planned by")[2].replace("first", "again") == again.partition("planned by")[2]
    assert "precision as-exported → fp16" in build("--precision", "fp16")
    assert "differ: optimization_level default → 0" in build("--builder", "optimization_level=0")
    assert "engine cache" not in CliRunner().invoke(main, ["build", str(path)]).output
