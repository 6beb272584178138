"""`friction-tui compare`: real models run in two ways, where they part, and what cannot be compared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest
from click.testing import CliRunner, Result
from onnx import numpy_helper

from friction_tui.cli import main
from friction_tui.engines.nvidia import cannot_run
from friction_tui.samples import sample

HEAD = '<ir_version: 8, opset_import: ["" : 17]> '
CHAIN = """g (float[N,8] x) => (float[N,8] y) {
    a = Relu(x)  b = MatMul(a, w0)  c = Add(b, k0)  d = Tanh(c)  e = MatMul(d, w1)  f = Add(e, a)  y = Sigmoid(f) }"""


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["compare", *map(str, arguments)])


def compared(*arguments: str | Path) -> dict[str, Any]:
    done = run(*arguments, "--format", "json")
    assert done.exit_code in (0, 1), done.output
    found: dict[str, Any] = json.loads(done.output)
    assert found["same"] == (done.exit_code == 0)
    return found


def chain(path: Path, *, bias: float = 0.0, text: str = CHAIN) -> Path:
    rng = np.random.default_rng(1)
    proto = onnx.parser.parse_model(HEAD + text)
    for number, node in enumerate(proto.graph.node):
        node.name = f"n{number}"
    weights = {name: (rng.standard_normal((8, 8)) / 3).astype(np.float32) for name in ("w0", "w1")}
    weights["k0"] = np.full(8, bias, np.float32)
    used = {name for node in proto.graph.node for name in node.input}
    proto.graph.initializer.extend(numpy_helper.from_array(v, n) for n, v in weights.items() if n in used)
    onnx.save(proto, path)
    return path


def test_an_optimised_model_gives_the_same_on_several_inputs(tmp_path: Path) -> None:
    found = compared(chain(tmp_path / "net.onnx"), "--shapes", "x:1x8..4x8..8x8")
    assert found["same"] is True
    assert [said.split(":")[0] for said in found["inputs"]] == [
        *("seed 20 at opt", "seed 21 at opt", "seed 22 at opt"),
        *("seed 20 at min", "seed 20 at max"),
    ]
    assert all(one["cosine"] > 0.999 for one in found["outputs"])
    assert found["diverges"] is None


def test_onnx_s_own_implementation_is_a_side(tmp_path: Path) -> None:
    found = compared(chain(tmp_path / "net.onnx"), "--against", "reference")
    assert found["same"] is True
    assert "reference implementation of onnx" in found["second"]


def test_the_first_tensor_that_differs_is_found_between_two_files(tmp_path: Path) -> None:
    first, second = chain(tmp_path / "a.onnx"), chain(tmp_path / "b.onnx", bias=0.5)
    found = compared(first, "--against", second)
    assert found["same"] is False
    assert (found["diverges"]["tensor"], found["node"]) == ("c", "Add n2")
    assert found["diverges"]["absolute"] == pytest.approx(0.5)
    done = run(first, "--against", second)
    assert done.exit_code == 1
    assert "first to differ: c, written by Add n2" in done.output


def test_a_difference_that_is_gone_again_in_between_is_still_found(tmp_path: Path) -> None:
    text = """g (float[N,8] x) => (float[N,8] y) {
        a = Add(x, k0)  b = Sub(a, k0)  c = Relu(b)  d = Tanh(c)  e = Exp(d)  y = Add(e, a) }"""
    found = compared(chain(tmp_path / "a.onnx", text=text), "--against", chain(tmp_path / "b.onnx", bias=2, text=text))
    assert (found["diverges"]["tensor"], found["node"]) == ("a", "Add n0")


def test_a_hazard_of_half_precision_is_located_with_what_is_not_finite() -> None:
    path = sample("fp16_hazard")
    assert path is not None
    found = compared(path, "--against", "fp16")
    assert found["same"] is False
    assert found["node"] == "Mul scale/Mul"
    assert {one["what"] for one in found["diverges"]["not_finite"]} == {"Inf", "-Inf"}
    assert "Inf in" in run(path, "--against", "fp16").output


def test_nodes_kept_in_float32_are_kept_on_the_half_side(tmp_path: Path) -> None:
    path = sample("fp16_hazard")
    assert path is not None
    names = [node.name for node in onnx.load(path).graph.node]
    kept = [word for name in names for word in ("--keep-float32", name)]
    assert compared(path, "--against", "fp16", *kept)["same"] is True


def test_inputs_can_be_given_and_everything_is_saved(tmp_path: Path) -> None:
    model, folder = chain(tmp_path / "net.onnx"), tmp_path / "saved"
    given = [tmp_path / "one.npz", tmp_path / "two.npz"]
    for number, file in enumerate(given):
        np.savez(file, x=np.full((number + 2, 8), number + 1, np.float32))
    words = [word for file in given for word in ("--input", str(file))]
    found = compared(model, *words, "--save", folder)
    assert found["inputs"] == [f"given: {file}" for file in given]
    assert np.load(folder / "inputs-1.npz")["x"].shape == (3, 8)
    first, second = (np.load(folder / f"outputs-0-{side}.npz")["y"] for side in ("first", "second"))
    np.testing.assert_allclose(first, second, atol=1e-5)
    assert json.loads((folder / "comparison.json").read_text())["tolerance"] == 1e-4


def test_an_input_on_which_only_one_runs_is_a_difference(tmp_path: Path) -> None:
    text = "g (float[N,8] x) => (float[M,8] y) { y = Identity(x) }"
    fixed = "g (float[N,8] x) => (float[M,8] y) <int64[2] s = {4, 8}> { y = Reshape(x, s) }"
    done = run(
        chain(tmp_path / "a.onnx", text=text),
        *("--against", chain(tmp_path / "b.onnx", text=fixed), "--shapes", "x:1x8..4x8..8x8"),
    )
    assert done.exit_code == 1
    assert "the second does not run" in done.output


def test_what_cannot_be_compared_ends_with_2_and_the_reason(tmp_path: Path) -> None:
    model = chain(tmp_path / "net.onnx")
    noise = "g (float[N,8] x) => (float[N,8] y) { r = RandomNormalLike(x)  y = Add(x, r) }"
    none = (
        "g (float[N,8] x) => (int64[2,M] y) { k = Constant <value = float {0}>()  b = Greater(x, x)  y = NonZero(b) }"
    )
    for words, said in (
        ((chain(tmp_path / "none.onnx", text=none),), "every output is empty"),
        ((model, "--against", tmp_path / "gone.onnx"), "There is no file"),
        ((model, "--against", "fp8"), "none of onnxruntime, unoptimized"),
        ((model, "--against", "torch"), "needs a PyTorch source"),
        ((chain(tmp_path / "noise.onnx", text=noise),), "other results each time it runs"),
        ((model, "--input", tmp_path / "gone.npz"), "cannot be read"),
    ):
        done = run(*words)
        assert (done.exit_code, said in done.output) == (2, True), done.output


@pytest.mark.skipif(not cannot_run(), reason="there is a GPU: TensorRT would run")
def test_tensorrt_says_that_it_cannot_run_here(tmp_path: Path) -> None:
    done = run(chain(tmp_path / "net.onnx"), "--against", "tensorrt")
    assert done.exit_code == 2
    assert "cannot run here" in done.output or "not installed" in done.output


@pytest.mark.slow
def test_pytorch_is_compared_as_at_the_export() -> None:
    pytest.importorskip("torch")
    source = Path(__file__).parents[2] / "sample_models" / "torch_classifier.py"
    factory = next(line for line in source.read_text().splitlines() if line.startswith("def "))
    name = factory.removeprefix("def ").partition("(")[0]
    found = compared(f"{source}:{name}", "--against", "torch", "--allow-code")
    assert found["same"] is True
    assert found["first"] == "PyTorch, at the export"
