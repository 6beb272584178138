"""The adapter against TensorRT's own Python bindings, of the versions recorded and of the newest there is.

The bindings are 1 MB without their 2 GB of libraries, for which empty ones stand: classes and enums can be looked at,
and what is written in Python on top of them runs; nothing can be parsed or built.
"""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.engines.record_tensorrt_api import importable, names_in
from tests.engines.test_tensorrt_api import ADAPTER, BEHIND_A_CAPABILITY, CLASS_OF, RECORD, uses

ROOT = Path(__file__).parents[2]
PACKAGE = "tensorrt-cu13-bindings"
RECORDED = {key.split()[1]: names for key, names in RECORD.items() if key.startswith("tensorrt_cu13_bindings ")}
ALSO = {"maker": "Builder", "_builder": "Builder", "_context": "IExecutionContext"}
MADE_BY = {
    "Runtime": "Runtime",
    "create_engine_inspector": "EngineInspector",
    "OnnxParser": "OnnxParser",
    "get_error": "ParserError",
    "get_input": "ITensor",
}
"""What a call gives whose result is used at once."""
MISSING = """
import json, sys, tensorrt_bindings as trt
from functools import reduce
found = lambda path: reduce(getattr, path.split("."), trt) if path != "module" else trt
print(json.dumps([[kind, name] for kind, name in json.loads(sys.argv[1]) if not hasattr(found(kind), name)]))
"""
RUNS = """
import json, tensorrt_bindings as trt
from friction_tui.engines.tensorrt.build import _monitor
from friction_tui.engines.tensorrt.capabilities import capabilities, network_flags
from friction_tui.engines.tensorrt.native import logger

heard = []
log = logger(trt, lambda level, text: heard.append([level, text]))
for severity in (trt.ILogger.ERROR, trt.ILogger.WARNING, trt.ILogger.INFO, trt.ILogger.VERBOSE):
    log.log(severity, "said")
steps = []
monitor = _monitor(trt, lambda name, count: steps.append(name), steps.append, steps.append)
monitor.phase_start("compile", None, 3)
assert monitor.step_complete("compile", 1)
monitor.phase_finish("compile")
can = capabilities(trt)
flags = [network_flags(trt), network_flags(trt, strongly_typed=True)]
told = {"heard": heard, "steps": steps, "precisions": can.precisions, "targets": can.targets, "flags": flags}
print(json.dumps(told))
"""


@pytest.fixture(scope="module", params=[*RECORDED, "newest"])
def bindings(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """(The wheel, the environment to import it in)."""
    if shutil.which("cc") is None:
        pytest.skip("no C compiler (cc) here to make the empty libraries")
    folder = tmp_path_factory.mktemp(request.param)
    wanted = PACKAGE if request.param == "newest" else f"{PACKAGE}=={request.param}"
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), wanted]
    try:
        done = subprocess.run(pip, capture_output=True, text=True, check=False, timeout=120)
    except subprocess.TimeoutExpired:
        pytest.skip(f"pip does not download {wanted} within two minutes")
    if done.returncode:
        pytest.skip(f"pip cannot download {wanted}: {done.stderr.strip().splitlines()[-1]}")
    (wheel,) = folder.glob("*.whl")
    environment = importable(wheel, folder / "unpacked")
    return wheel, environment | {"PYTHONPATH": f"{environment['PYTHONPATH']}:{ROOT}"}


def everything_used() -> set[tuple[str, str]]:
    """(class, enum or "module", attribute) of all that the adapter takes from TensorRT."""
    found: set[tuple[str, str]] = set()
    for file in ADAPTER.glob("*.py"):
        tree = ast.parse(file.read_text())
        native = any(isinstance(node, ast.Name) and node.id == "Native" for node in ast.walk(tree))
        found |= (uses(tree) | _more(tree)) if native else set()
    return {(kind, name) for kind, name in found if name not in {*BEHIND_A_CAPABILITY, "__name__", "__version__"}}


def _more(tree: ast.AST) -> set[tuple[str, str]]:
    """Members of TensorRT's enums, and attributes of what a call has just given."""
    found = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute):
            continue
        owner = node.value
        if isinstance(owner, ast.Attribute) and _name(owner.value).removeprefix("_") == "trt":
            found.add((owner.attr, node.attr))
        elif isinstance(owner, ast.Call) and _name(owner.func) in MADE_BY:
            found.add((MADE_BY[_name(owner.func)], node.attr))
        elif _name(owner) in ALSO:
            found.add((ALSO[_name(owner)], node.attr))
    return found


def _name(node: ast.AST) -> str:
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


def missing(environment: dict[str, str], used: Iterable[tuple[str, str]]) -> list[list[str]]:
    arguments = [sys.executable, "-c", MISSING, json.dumps(sorted(used))]
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    answer: list[list[str]] = json.loads(done.stdout)
    return answer


@pytest.mark.network
def test_every_attribute_that_the_adapter_uses_is_there(bindings: tuple[Path, dict[str, str]]) -> None:
    _, environment = bindings
    used = everything_used()
    assert {kind for kind, _ in used} >= {"module", *CLASS_OF.values(), "Runtime", "EngineInspector", "TensorIOMode"}
    assert missing(environment, used) == []
    renamed = [("ICudaEngine", "device_memory_sizes"), ("TensorIOMode", "IN"), ("module", "OnnxParsers")]
    assert missing(environment, renamed) == [list(each) for each in sorted(renamed)]


@pytest.mark.network
def test_the_adapters_logger_monitor_and_capabilities_run_on_it(bindings: tuple[Path, dict[str, str]]) -> None:
    wheel, environment = bindings
    done = subprocess.run(
        [sys.executable, "-c", RUNS], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert [level for level, _ in told["heard"]][:2] == ["error", "warning"]
    assert told["steps"] == ["compile"] * 3
    assert told["targets"] == []
    weak = wheel.name.split("-")[1].startswith("10.")
    assert (told["precisions"], told["flags"]) == ((["fp16", "bf16", "int8", "fp8"], [0, 2]) if weak else ([], [1, 1]))


@pytest.mark.network
def test_the_record_is_what_the_bindings_have(bindings: tuple[Path, dict[str, str]]) -> None:
    wheel, _ = bindings
    recorded = RECORDED.get(wheel.name.split("-")[1])
    if recorded is None:
        pytest.skip(f"{wheel.name} is newer than those recorded")
    names = names_in(wheel)
    names.pop("version")
    assert names == recorded
