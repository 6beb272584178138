"""Real builds with TensorRT-RTX, each in a process of its own as in the product."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import onnx
import onnx.parser
import pytest
from onnx import numpy_helper

from friction_tui.engines.profiles import resolved
from friction_tui.engines.tensorrt.plan import read_plan
from friction_tui.model.opened import from_proto
from friction_tui.processes.child import Child
from friction_tui.vocabulary.finding import Severity, Tier
from friction_tui.vocabulary.protocol import BuildResult
from friction_tui.vocabulary.recipe import Profile, Range, Values

pytest.importorskip("tensorrt_rtx", reason="builds with the RTX edition, which is part of the cpu extra, not of gpu")

JOB = """
import json, sys, threading
from pathlib import Path
import msgspec
from friction_tui.engines.tensorrt.build import build
from friction_tui.engines.profiles import ResolvedProfile

class Progress:
    heard = []
    def begin(self, phase):
        self.heard.append(f"begin {phase}")
        if phase == stop_at:
            print(phase, flush=True)
            threading.Event().wait()
    def end(self, phase): self.heard.append(f"end {phase}")
    def log(self, level, text): self.heard.append(f"{level}: {text}")

ask = json.loads(sys.argv[1])
stop_at = ask.pop("stop_at", "")
profiles = [ResolvedProfile(chosen["shapes"], chosen["values"]) for chosen in ask.pop("profiles")]
result = build(Path(ask.pop("model")), profiles, Path(ask.pop("plan")), Progress(), name="tensorrt_rtx", **ask)
print("ANSWER", msgspec.json.encode({"result": result, "heard": Progress.heard}).decode())
"""

CONV = """g (float[N,3,32,32] x) => (float[N,8,32,32] y) {
    a = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x, w)  b = Relu(a)  y = Sigmoid(b) }"""
BAKED = "g (float[N,4] x) => (float[a,b] y) <int64[2] s = {1, 16}> { y = Reshape(x, s) }"


def saved(folder: Path, text: str) -> Path:
    proto = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> {text}')
    if "Conv" in text:
        weights = np.random.default_rng(0).standard_normal((8, 3, 3, 3)).astype(np.float32)
        proto.graph.initializer.append(numpy_helper.from_array(weights, "w"))
        for node in proto.graph.node:
            node.name = f"net/{node.op_type}"
    onnx.save(proto, folder / "model.onnx")
    return folder / "model.onnx"


def asked(model: Path, *profiles: Profile | None, **more: Any) -> dict[str, Any]:
    opened = from_proto(onnx.load(model), model)
    chosen = [one for profile in profiles for one in resolved(opened, profile)]
    plan = str(model.with_suffix(".plan"))
    return {
        "model": str(model),
        "plan": plan,
        "profiles": [{"shapes": one.shapes, "values": one.values} for one in chosen],
        **more,
    }


def built(ask: dict[str, Any]) -> tuple[BuildResult, list[str]]:
    done = subprocess.run(
        [sys.executable, "-c", JOB, json.dumps(ask)], capture_output=True, text=True, timeout=120, check=False
    )
    line = next((line for line in done.stdout.splitlines() if line.startswith("ANSWER ")), None)
    assert line, done.stderr
    answer = json.loads(line.removeprefix("ANSWER "))
    return msgspec.convert(answer["result"], BuildResult), answer["heard"]


def n(low: int, opt: int, high: int) -> Profile:
    return Profile(ranges={"N": Range(low, opt, high)})


def test_a_build_says_what_it_made(tmp_path: Path) -> None:
    model = saved(tmp_path, CONV)
    result, heard = built(asked(model, n(1, 4, 8), n(1, 4, 16), target="SM89"))
    assert result.ok
    assert result.source.startswith("TensorRT-RTX ")
    assert result.source.endswith(" builder")
    assert [phase.name for phase in result.phases] == ["parse", "graph", "compile", "serialize"]
    assert sum(phase.seconds or 0.0 for phase in result.phases) <= result.seconds
    small, large = result.activation_bytes
    assert small < large
    assert result.weights_bytes
    assert result.engine_bytes == Path(result.engine_path).stat().st_size
    assert not list(tmp_path.glob("*.part"))
    fused = {name for kernel in result.kernels for name in kernel.onnx_nodes}
    assert fused == {"net/Conv", "net/Relu", "net/Sigmoid"}
    steps = [line for line in heard if line.startswith(("begin", "end"))]
    assert steps == [
        f"{what} {name}" for name in ("parse", "graph", "compile", "serialize") for what in ("begin", "end")
    ]
    assert not any(line.startswith("verbose:") for line in heard)
    assert "verbose or empty log lines are not shown" in heard[-1]
    assert result.findings == ()


def test_the_plan_says_whose_it_is(tmp_path: Path) -> None:
    model = saved(tmp_path, CONV)
    result, _ = built(asked(model, n(1, 4, 8), target="SM86"))
    facts = read_plan(Path(result.engine_path))
    assert facts is not None
    assert (facts.edition, facts.targets, facts.truncated) == ("tensorrt_rtx", ("SM86",), False)
    assert f"{facts.label} builder" == result.source
    short = tmp_path / "short.plan"
    short.write_bytes(Path(result.engine_path).read_bytes()[:1000])
    cut = read_plan(short)
    assert cut is not None
    assert cut.truncated
    assert read_plan(model) is None


def test_an_engine_that_cannot_run_is_an_error(tmp_path: Path) -> None:
    result, _ = built(asked(saved(tmp_path, BAKED), n(1, 4, 8)))
    assert result.ok
    assert {(f.severity, f.tier) for f in result.findings} == {(Severity.ERROR, Tier.SHAPES)}
    texts = " ".join(f.words[0].text for f in result.findings)
    assert "kMIN values are not self-consistent" in texts
    assert "volume 32 to 16" in texts


def test_an_invalid_profile_beside_a_valid_one_is_not_dropped(tmp_path: Path) -> None:
    result, _ = built(asked(saved(tmp_path, CONV), n(1, 4, 8), n(4, 2, 8)))
    assert not result.ok
    (finding,) = result.findings
    assert "MIN<=OPT<=MAX" in finding.words[0].text
    assert "cudaError" not in finding.words[0].text


def test_shape_tensors_take_values(tmp_path: Path) -> None:
    model = saved(tmp_path, "g (float[N,3] x, int64[2] s) => (float[a,b] y) { y = Reshape(x, s) }")
    assert not built(asked(model, n(1, 2, 8)))[0].ok
    with_values = Profile(ranges={"N": Range(1, 2, 8)}, values={"s": Values((1, 3), (2, 3), (8, 3))})
    assert built(asked(model, with_values))[0].ok


def test_no_profile_on_purpose(tmp_path: Path) -> None:
    result, _ = built(asked(saved(tmp_path, CONV), None))
    assert not result.ok
    assert "no optimization profile has been defined" in result.findings[0].words[0].text


def test_a_refused_model_gives_the_parsers_own_errors(tmp_path: Path) -> None:
    result, _ = built(asked(saved(tmp_path, "g (float[2,3] x) => (float[a,b] y) { b = Foo(x)  y = NonZero(x) }")))
    assert not result.ok
    assert result.engine_path == ""
    assert [phase.name for phase in result.phases] == ["parse"]
    assert result.findings[0].kind == "engine/message"
    assert "Plugin not found" in result.findings[0].words[0].text


@pytest.mark.parametrize(("more", "says"), [({"target": "SM90"}, "it offers SM75"), ({"precision": "bf16"}, "casts")])
def test_what_this_tensorrt_cannot_do_is_said(tmp_path: Path, more: dict[str, str], says: str) -> None:
    result, _ = built(asked(saved(tmp_path, CONV), n(1, 4, 8), **more))
    assert not result.ok
    assert says in result.findings[0].cause


@pytest.mark.parametrize("phase", ["compile", "serialize"])
def test_a_killed_build_leaves_no_plan(tmp_path: Path, phase: str) -> None:
    model = saved(tmp_path, CONV)
    job = Child([sys.executable, "-c", JOB, json.dumps(asked(model, n(1, 4, 8), stop_at=phase))])
    assert phase.encode() + b"\n" in iter(job.stdout.readline, b"")
    job.kill()
    assert job.wait() == -signal.SIGKILL
    assert not model.with_suffix(".plan").exists()


def test_a_refused_build_ends_with_the_phase_that_failed(tmp_path: Path) -> None:
    uneven = "g (float[N,8,H] x, float[N,8,7] y) => (float[N,8,H] z) { z = Add(x, y) }"
    profile = Profile(ranges={"N": Range(1, 1, 1), "H": Range(5, 5, 5)})
    result, _ = built(asked(saved(tmp_path, uneven), profile))
    assert not result.ok
    assert "serialize" not in [phase.name for phase in result.phases]


def test_a_build_that_the_shapes_stop_fails_before_kernels_are_compiled(tmp_path: Path) -> None:
    """TensorRT enters the later phases without a step in them, and says the error at the very end."""
    baked = "g (float[N,4] x) => (float[1,4] y) <int64[2] s = {1, 4}> { y = Reshape(x, s) }"
    result, _ = built(asked(saved(tmp_path, baked), n(1, 4, 8)))
    assert not result.ok
    assert [phase.name for phase in result.phases] == ["parse", "graph"]
