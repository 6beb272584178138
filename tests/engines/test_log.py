"""The builder's log, with lines as TensorRT-RTX 1.7.1 and TensorRT 10 print them."""

from __future__ import annotations

from friction_tui.engines.tensorrt import log
from friction_tui.engines.tensorrt.layers import is_layer_report, kernels

RTX = """
Opset version:    17
Detected 1 inputs and 1 output network tensors.
Compiler backend is used during engine build.
Total Host Persistent Memory: 80 bytes
Total Device Persistent Memory: 0 bytes
Max Scratch Memory: 8978432 bytes
[BlockAssignment] Algorithm ShiftNTopDown took 0.023473ms to assign 1 blocks to 1 nodes requiring 8978432 bytes.
Total Activation Memory: 8978432 bytes
Total Host Persistent Memory: 80 bytes
Total Device Persistent Memory: 0 bytes
Max Scratch Memory: 9764864 bytes
Total Activation Memory: 9764864 bytes
Total Weights Memory: 6592 bytes
Engine generation completed in 0.09774 seconds.
[MemUsageStats] Peak memory usage of TRT CPU/GPU memory allocators: CPU 0 MiB, GPU 0 MiB
""".strip().splitlines()

LAYERS = (
    "Layers:\n"
    "Name: __mye89_0_myl0_0, LayerType: shape_call, Inputs: [], Constants: [], Outputs: [], TacticName: , "
    "StreamId: 0, Metadata: \n"
    "Name: conv1_myl0_2, LayerType: correlation, Inputs: [ { Name: b.1_7_myl0, Dimensions: [-1,3,32,32], "
    "Strides: [3072,1,96,3], StrideOrder: [3,0,2,1], Datatype: Float, Format: (NHWC) Channel major format }], "
    "Constants: [], Outputs: [], TacticName: __myelin_CASK_STUB, StreamId: 0, "
    "Metadata: [ONNX Layer: conv1]\x1f[ONNX Layer: relu[1]]\x1e[ONNX Layer: conv1]\n"
    "\n"
    "I/O Tensors:\n"
    " Name: x, IOMode: Input, DataType: Float, Dimensions: [-1,3,32,32], Location: Device\n"
)


def test_figures_of_a_build_with_two_profiles() -> None:
    found = log.figures(RTX)
    assert found.activation == [8978432, 9764864]
    assert (found.scratch, found.weights, found.host_persistent, found.device_persistent) == (9764864, 6592, 80, 0)
    assert found.seconds == 0.09774
    assert found.peak_host is None


def test_peak_in_both_wordings() -> None:
    for line in (
        "[MemUsageStats] Peak memory usage of TRT CPU/GPU memory allocators: CPU 12 MiB, GPU 300 MiB",
        "[MemUsageStats] Peak memory usage during Engine building and serialization: CPU: 12 MiB",
    ):
        assert log.figures([line]).peak_host == 12 * 2**20


def test_what_is_worth_showing() -> None:
    shown = [line for line in ("----------------", "Producer name:    ", "", *RTX) if log.worth_showing("info", line)]
    assert shown == RTX
    assert not log.worth_showing("verbose", "Trying tactic")


def test_the_missing_gpu_is_not_the_reason_unless_it_is_the_only_one() -> None:
    noise = "[checkMacros.cpp::catchCudaError::250] Error Code 1: Cuda Runtime (cudaError 35: CUDA driver version)"
    assert log.worth_keeping([noise, "Error Code 4: volume", noise, "Error Code 4: volume"]) == ["Error Code 4: volume"]
    assert log.worth_keeping([noise]) == [noise]


def test_kernels_and_the_onnx_nodes_in_them() -> None:
    assert is_layer_report(LAYERS)
    moved, conv = kernels(LAYERS)
    assert (moved.kind, moved.onnx_nodes) == ("shape_call", ())
    assert (conv.name, conv.kind, conv.onnx_nodes) == ("conv1_myl0_2", "correlation", ("conv1", "relu[1]"))
