"""The builder's options: what each TensorRT has, what is offered of it, and that each is really set."""

from __future__ import annotations

import enum
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from friction_tui.engines.tensorrt import settings
from friction_tui.engines.tensorrt.options import available, offered, settings_of
from friction_tui.engines.tensorrt.timing_cache import file_for, load, save
from friction_tui.vocabulary.recipe import Value
from friction_tui.vocabulary.recipe.builder_options import BY_NAME, ENTERPRISE, OPTIONS, RTX

RECORD: dict[str, Any] = json.loads(Path(__file__).with_name("tensorrt_api.json").read_text())
VERSIONS = ["10.16", "11.4"]


def recorded(version: str) -> Any:
    """A module with the recorded names of the real bindings; its configuration keeps what is set."""
    api = next(api for key, api in RECORD.items() if version in key)
    module = SimpleNamespace(__version__=version, __name__="tensorrt")
    module.IPluginRegistry = type("IPluginRegistry", (), {"load_library": None})
    for kind, members in api["enums"].items():
        setattr(module, kind, enum.IntEnum(kind, members))
    module.IBuilderConfig = type("IBuilderConfig", (Config,), dict.fromkeys(api["classes"]["IBuilderConfig"]))
    for name in vars(Config):
        if name in api["classes"]["IBuilderConfig"]:
            setattr(module.IBuilderConfig, name, vars(Config)[name])
    return module


class Config:
    """What IBuilderConfig documents: flags, pools and tactic sources that can be read back."""

    def __init__(self) -> None:
        self.set_flags, self.pools, self.sources = {6}, dict[int, int](), 0

    def set_flag(self, flag: int) -> None:
        self.set_flags.add(int(flag))

    def clear_flag(self, flag: int) -> None:
        self.set_flags.discard(int(flag))

    def get_flag(self, flag: int) -> bool:
        return int(flag) in self.set_flags

    def set_memory_pool_limit(self, pool: int, size: int) -> None:
        self.pools[pool] = size

    def get_memory_pool_limit(self, pool: int) -> int:
        return self.pools.get(pool, 0)

    def set_tactic_sources(self, sources: int) -> bool:
        self.sources = sources
        return True

    def get_tactic_sources(self) -> int:
        return self.sources


@pytest.mark.parametrize("version", VERSIONS)
def test_the_enterprise_editions_have_every_option(version: str) -> None:
    has = available(recorded(version))
    assert set(has) == set(BY_NAME)
    here = offered(ENTERPRISE, f"TensorRT {version}", has, gpu=True)
    assert not [name for name, one in here.items() if one.why_not]
    assert ("CUBLAS" in here["tactic_sources"].choices) == (version == "10.16")
    assert here["hardware_compatibility"].choices == ("none", "ampere_plus", "same_compute_capability")


@pytest.mark.parametrize("version", VERSIONS)
def test_every_option_is_set_through_names_that_the_bindings_have(version: str) -> None:
    trt = recorded(version)
    config = trt.IBuilderConfig()
    chosen: dict[str, Value] = {
        "workspace": 1 << 20,
        "optimization_level": 5,
        "sparsity": True,
        "tf32": False,
        "refit": True,
        "strip_weights": True,
        "weight_streaming": True,
        "version_compatible": True,
        "exclude_lean_runtime": True,
        "hardware_compatibility": "ampere_plus",
        "tactic_sources": ("JIT_CONVOLUTIONS",),
        "aux_streams": 2,
    }
    assert set(chosen) | {"timing_cache", "engine_cache", "build_timeout", "build_memory", "plugins"} == set(BY_NAME)
    assert settings.apply(trt, config, settings_of(chosen)) == []
    assert config.pools == {trt.MemoryPoolType.WORKSPACE: 1 << 20}
    assert config.builder_optimization_level == 5
    assert config.max_aux_streams == 2
    assert config.hardware_compatibility_level == trt.HardwareCompatibilityLevel.AMPERE_PLUS
    assert config.sources == 1 << int(trt.TacticSource.JIT_CONVOLUTIONS)
    flags = trt.BuilderFlag
    assert config.get_flag(flags.STRIP_PLAN)
    assert not config.get_flag(flags.TF32)


def test_what_the_configuration_does_not_keep_is_said() -> None:
    trt = recorded("11.4")

    class Forgetful(Config):
        def set_memory_pool_limit(self, pool: int, size: int) -> None:
            """An amount that is out of range: TensorRT logs an error and keeps what it had."""

    said = settings.apply(trt, Forgetful(), settings_of({"workspace": 1 << 60, "sparsity": True}))
    assert said == [f"WORKSPACE = {1 << 60} was not taken by the builder's configuration"]
    said = settings.apply(trt, trt.IBuilderConfig(), settings_of({"tactic_sources": ("CUDNN",)}))
    assert len(said) == 1
    assert "CUDNN" in said[0]


def test_an_option_that_the_api_lacks_is_not_offered() -> None:
    trt = recorded("11.4")
    has = {name: choices for name, choices in available(trt).items() if name != "weight_streaming"}
    assert "has no such option" in offered(ENTERPRISE, "TensorRT 11.4", has, gpu=True)["weight_streaming"].why_not


def test_rtx_offers_what_it_honours_and_says_why_not() -> None:
    trt = pytest.importorskip("tensorrt_rtx", reason="the RTX edition is part of the cpu extra, not of gpu")
    has = available(trt)
    here = offered(RTX, "TensorRT-RTX", has, gpu=False)
    why_not = {name for name, one in here.items() if one.why_not}
    assert {"refit", "strip_weights", "version_compatible", "timing_cache", "hardware_compatibility"} <= why_not
    assert not {"workspace", "optimization_level", "engine_cache", "build_memory"} & why_not
    assert all(one.nearest for one in here.values() if one.why_not)
    assert not offered(RTX, "TensorRT-RTX", has, gpu=True)["refit"].why_not
    assert here["tactic_sources"].choices == ("EDGE_MASK_CONVOLUTIONS", "JIT_CONVOLUTIONS")


def test_the_settings_of_every_option_are_known() -> None:
    for option in OPTIONS:
        assert option.setting.name or option.setting.how.value in ("tactics", "timing cache", "ours", "libraries"), (
            option.name
        )


class Cache:
    def __init__(self, content: bytes) -> None:
        self.content = content

    def serialize(self) -> bytes:
        return self.content


class TimingConfig:
    """Takes times that begin with `times`, and measures more of them."""

    def __init__(self) -> None:
        self.cache: Cache | None = None

    def create_timing_cache(self, content: bytes) -> Cache:
        return Cache(content)

    def set_timing_cache(self, cache: Cache, ignore_mismatch: bool) -> bool:
        assert not ignore_mismatch
        taken = not cache.content or cache.content.startswith(b"times")
        self.cache = cache if taken else self.cache
        return taken

    def get_timing_cache(self) -> Cache | None:
        return Cache(b"times of " + (self.cache.content if self.cache else b"")) if self.cache else None


def test_times_are_kept_for_each_version_and_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("friction_tui.engines.tensorrt.timing_cache.cache_dir", lambda: tmp_path)
    can = SimpleNamespace(name="tensorrt", version="11.4.0.106")
    assert file_for(can, ("NVIDIA L4, SM89",)) != file_for(can, ("NVIDIA A10, SM86",))  # type: ignore[arg-type]
    said: list[str] = []

    def hear(level: str, text: str) -> None:
        said.append(f"{level}: {text}")

    first = TimingConfig()
    file = load(first, can, hear)  # type: ignore[arg-type]
    assert file is not None
    assert "empty: no build by 11.4.0.106" in said[-1]
    save(first, file, hear)
    assert file.read_bytes() == b"times of "
    second = TimingConfig()
    load(second, can, hear)  # type: ignore[arg-type]
    assert "9 bytes" in said[-1]
    file.write_bytes(b"something else")
    third = TimingConfig()
    load(third, can, hear)  # type: ignore[arg-type]
    assert "begins anew" in said[-1]
    assert third.cache is not None
    assert third.cache.content == b""
