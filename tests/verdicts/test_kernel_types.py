"""Which kernels are in half or int8, and why the others are not: of real builds, and of what TensorRT 10 says."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from friction_tui.cli import main
from friction_tui.engines.tensorrt.layers import kernels
from friction_tui.samples import sample
from friction_tui.verdicts.kernel_types import lines, reasons, share_text, type_of
from friction_tui.vocabulary.protocol import BuildResult, Kernel
from friction_tui.vocabulary.recipe import Precision, Recipe, Source

RECIPE = Recipe(source=Source("m.onnx"), precision=Precision.FP16, keep_float32=("n/Pow",))
CAST = Kernel("cast", ("c",), "kgen", ("float32",), ("float16",))
HALF = Kernel("conv", ("conv", "relu"), "correlation", ("float16", "float32"), ("float16",))
KEPT = Kernel("pow", ("n/Sqrt", "n/Pow"), "kgen", ("float32",), ("float32",))
OTHER = Kernel("nms", ("nms",), "kgen", ("float32",), ("int64",))
MOVED = Kernel("__myl_Tran", (), "kgen", ("float32",), ("float32",))
SHAPES = Kernel("shape", (), "shape_call", (), ())
INDICES = Kernel("gather", ("g",), "kgen", ("int64",), ("int64",))
TENSORRT_10 = (
    "Layers:\n"
    "Name: conv + relu, LayerType: CaskConvolution, Inputs: [ { Name: x, Location: Device, Dimensions: [1,3,32,32], "
    "Format/Datatype: Row major linear FP32 }], Outputs: [ { Name: y, Location: Device, Dimensions: [1,8,32,32], "
    "Format/Datatype: Channel major FP16 format where channel % 8 == 0 }], ParameterType: Convolution, "
    "TacticName: sm80_xmma, StreamId: 0, Metadata: [ONNX Layer: conv]\x1f[ONNX Layer: relu]\n"
)


def built(*found: Kernel, typed: bool = True) -> BuildResult:
    return BuildResult(ok=True, source="b", seconds=1.0, kernels=found, typed=typed)


def test_the_share_counts_kernels_that_read_numbers() -> None:
    build = built(CAST, HALF, HALF, KEPT, SHAPES, INDICES)
    assert share_text(build) == "kernels by what they read: 2 of 4 float16 (50%), 2 float32"
    assert [type_of(one) for one in (HALF, SHAPES, INDICES)] == ["float16", "", ""]
    assert list(lines(built(SHAPES), RECIPE)) == []


def test_every_float32_kernel_has_one_reason() -> None:
    assert reasons(built(CAST, HALF, KEPT, OTHER, MOVED), RECIPE) == [
        "turns float32 into the narrower type: 1 kernel, c",
        "kept float32 by the recipe: 1 kernel, n/Pow",
        "its operator stays float32 when a model is turned into fp16: 1 kernel, nms",
        "moves data between layouts of TensorRT's own: 1 kernel, __myl_Tran",
    ]
    (said,) = reasons(built(HALF, OTHER, typed=False), RECIPE)
    assert said.startswith("chosen by the builder, which does not say why")
    as_exported = Recipe(source=Source("m.onnx"))
    assert reasons(built(OTHER, MOVED), as_exported) == ["the model is float32, and no other precision was chosen"]
    assert reasons(built(HALF), RECIPE) == []
    (said,) = reasons(built(Kernel("q", ("a",), "", ("int8",)), OTHER), as_exported)
    assert said.startswith("float32 in the model: no QuantizeLinear")


def test_many_nodes_are_counted() -> None:
    many = [Kernel(f"k{n}", (f"n{n}",), "", ("float32",), ("float32",)) for n in range(6)]
    (said,) = reasons(built(HALF, *many), RECIPE)
    assert said.endswith("6 kernels, n0, n1, n2, n3 and 2 more")


def test_the_inspector_of_tensorrt_10_names_types_within_formats() -> None:
    (kernel,) = kernels(TENSORRT_10)
    assert (kernel.reads, kernel.writes) == (("float32",), ("float16",))
    assert kernel.onnx_nodes == ("conv", "relu")


def test_a_real_build_says_what_became_half(tmp_path: Path) -> None:
    pytest.importorskip(
        "tensorrt_rtx", reason="builds with the RTX edition, which is part of the cpu extra, not of gpu"
    )
    path = sample("healthy_cnn")
    assert path is not None
    model = tmp_path / "net.onnx"
    model.write_bytes(path.read_bytes())
    as_exported = CliRunner().invoke(main, ["build", str(model)]).output
    assert "float32 (100%)" in as_exported
    assert "no other precision was chosen" in as_exported
    half = CliRunner().invoke(main, ["build", str(model), "--precision", "fp16"]).output
    assert " float16 (" in half
    assert "turns float32 into the narrower type" in half
