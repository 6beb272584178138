"""The adapter against the APIs of TensorRT 10.16, 11.4 and the installed RTX, name by name."""

from __future__ import annotations

import ast
import enum
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import friction_tui.engines.tensorrt
from friction_tui.engines.tensorrt.capabilities import capabilities, network_flags

RECORD: dict[str, Any] = json.loads(Path(__file__).with_name("tensorrt_api.json").read_text())
ADAPTER = Path(friction_tui.engines.tensorrt.__file__).parent
CLASS_OF = {
    "builder": "Builder",
    "config": "IBuilderConfig",
    "network": "INetworkDefinition",
    "tensor": "ITensor",
    "profile": "IOptimizationProfile",
    "parser": "OnnxParser",
    "error": "ParserError",
    "engine": "ICudaEngine",
    "context": "IExecutionContext",
    "loaded": "ICudaEngine",
}
"""What the adapter calls its variables, and what they hold."""
BEHIND_A_CAPABILITY = {"ComputeCapability", "num_compute_capabilities", "set_compute_capability"}
"""Names the adapter uses only after asking whether they exist."""


def recorded(name: str) -> Any:
    """A module that has the recorded names and nothing else."""
    api = next(api for key, api in RECORD.items() if key.startswith(name))
    version = next(key for key in RECORD if key.startswith(name)).split()[-1]
    module = SimpleNamespace(__version__=version, **dict.fromkeys(api["module"], object))
    for kind, members in api["enums"].items():
        setattr(module, kind, enum.IntEnum(kind, members))
    return module


def uses(tree: ast.AST) -> set[tuple[str, str]]:
    """(class or "module", attribute) of everything the code takes from TensorRT's objects."""
    found = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute):
            continue
        owner = node.value
        name = owner.id if isinstance(owner, ast.Name) else owner.attr if isinstance(owner, ast.Attribute) else ""
        if name.removeprefix("_") == "trt":
            found.add(("module", node.attr))
        elif isinstance(owner, ast.Name) and name in CLASS_OF:
            found.add((CLASS_OF[name], node.attr))
    return found


@pytest.mark.parametrize("version", ["tensorrt_cu13_bindings 10.16", "tensorrt_cu13_bindings 11.4"])
@pytest.mark.parametrize(
    "file",
    [
        *("parse_server.py", "native.py", "build.py", "build_server.py", "run.py", "capabilities.py"),
        *("settings.py", "options.py", "timing_cache.py"),
    ],
)
def test_every_name_the_adapter_uses_exists(file: str, version: str) -> None:
    api = next(api for key, api in RECORD.items() if key.startswith(version))
    known = {"module": {*api["module"], "__name__", "__version__"}, **api["classes"]}
    used = uses(ast.parse((ADAPTER / file).read_text()))
    assert used
    missing = {(kind, name) for kind, name in used if name not in known[kind] and name not in BEHIND_A_CAPABILITY}
    assert not missing


def test_tensorrt_10_is_weakly_typed_and_takes_precision_flags() -> None:
    trt = recorded("tensorrt_cu13_bindings 10.16")
    can = capabilities(trt)
    assert (can.name, can.precisions, can.targets) == ("tensorrt", ("fp16", "bf16", "int8", "fp8"), ())
    assert network_flags(trt) == 0
    assert network_flags(trt, strongly_typed=True) == 1 << 1


def test_tensorrt_11_is_strongly_typed_with_another_bit() -> None:
    trt = recorded("tensorrt_cu13_bindings 11.4")
    can = capabilities(trt)
    assert (can.precisions, can.strongly_typed) == ((), True)
    assert network_flags(trt) == 1 << 0


def test_rtx_tells_its_targets() -> None:
    trt = pytest.importorskip("tensorrt_rtx", reason="the RTX edition is part of the cpu extra, not of gpu")
    can = capabilities(trt)
    assert can.name == "tensorrt_rtx"
    assert "SM89" in can.targets
    assert "CURRENT" not in can.targets
    assert network_flags(trt) == 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
