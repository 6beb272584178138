"""Each rule about an installed stack, on facts made up for it: the offending pair is named, a sound stack is not."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from friction_tui.kinds import stack
from friction_tui.kinds.kind import Kind
from friction_tui.stack.rules import TESTED, CudaUser, Facts, Gpu, ProviderFile, judge
from friction_tui.vocabulary.finding import Severity

L4 = Gpu("NVIDIA L4", 89, 23 << 30)
SOUND = Facts(
    driver="580.95.05",
    driver_cuda="13.0",
    gpus=(L4,),
    cuda_users=(CudaUser("torch", "2.13.0", "13.0"), CudaUser("tensorrt", "10.16.0", "13")),
    tensorrts=(("TensorRT", "10.16.0"),),
    onnxruntimes=(("onnxruntime-gpu", "1.31.0"),),
    providers=(ProviderFile("cuda", (), ()),),
    cudnns=(("nvidia-cudnn-cu13", "9"),),
    wheel_parts=(("tensorrt-cu13", "10.16.0"), ("tensorrt-cu13-libs", "10.16.0")),
    onnx="1.23.2",
)


def with_(**changes: object) -> Facts:
    from dataclasses import replace

    return replace(SOUND, **changes)  # type: ignore[arg-type]


def test_a_sound_stack_gives_no_finding() -> None:
    assert list(judge(SOUND)) == []


@pytest.mark.parametrize(
    ("facts", "kind", "names", "words"),
    [
        (with_(driver="550.54.14"), stack.DRIVER_TOO_OLD, ("torch", "driver"), ("550.54.14", "580.65", "12.x")),
        (
            with_(tensorrts=(("TensorRT", "10.4.0"),), gpus=(Gpu("RTX 5090", 120, 1),)),
            stack.GPU_NOT_SUPPORTED,
            ("TensorRT", "RTX 5090"),
            ("SM120", "SM70 to SM90", "10.8"),
        ),
        (
            with_(
                tensorrts=(("TensorRT-RTX", "1.7.1"),),
                targets=(("TensorRT-RTX", (75, 80, 86, 89, 120)),),
                gpus=(Gpu("H100", 90, 1),),
            ),
            stack.GPU_NOT_SUPPORTED,
            ("TensorRT-RTX", "H100"),
            ("SM90",),
        ),
        (
            with_(cuda_users=(CudaUser("torch", "2.6.0", "12.4"),), gpus=(Gpu("RTX 5090", 120, 1),)),
            stack.CUDA_AND_GPU,
            ("torch", "RTX 5090"),
            ("12.8", "no kernel image"),
        ),
        (
            with_(gpus=(Gpu("Tesla V100", 70, 1),), tensorrts=()),
            stack.CUDA_AND_GPU,
            ("torch", "Tesla V100"),
            ("SM70", "older CUDA"),
        ),
        (
            with_(onnxruntimes=(("onnxruntime", "1.32.0"), ("onnxruntime-gpu", "1.31.0"))),
            stack.TWO_ONNXRUNTIMES,
            ("onnxruntime", "onnxruntime-gpu"),
            ("pip uninstall",),
        ),
        (
            with_(
                providers=(ProviderFile("tensorrt", ("libnvinfer.so.10",), ()),),
                tensorrts=(("TensorRT", "11.4.0"),),
                system_libraries=("libnvinfer.so.11",),
            ),
            stack.PROVIDER_LIBRARY_MISSING,
            ("onnxruntime-gpu",),
            ("libnvinfer.so.10", "libnvinfer.so.11", "11.4.0", "falls back"),
        ),
        (
            with_(wheel_parts=(("tensorrt-cu13", "10.16.0"), ("tensorrt-cu13-libs", "10.15.1"))),
            stack.MIXED_TENSORRT,
            ("tensorrt-cu13", "tensorrt-cu13-libs"),
            ("10.15.1", "10.16.0"),
        ),
        (
            with_(system_libraries=("libnvinfer.so.8",)),
            stack.TWO_TENSORRTS,
            ("TensorRT", "libnvinfer.so.8"),
            ("10.16.0", "cannot be loaded"),
        ),
        (
            with_(cuda_users=(CudaUser("torch", "2.13.0", "13.0"), CudaUser("onnxruntime-gpu", "1.22.0", "12.8"))),
            stack.MIXED_CUDA,
            ("torch", "onnxruntime-gpu"),
            ("CUDA 12", "CUDA 13"),
        ),
        (
            with_(cudnns=(("nvidia-cudnn-cu12", "9"), ("libcudnn.so.8", "8"))),
            stack.MIXED_CUDNN,
            ("nvidia-cudnn-cu12", "libcudnn.so.8"),
            ("cuDNN 9", "cuDNN 8"),
        ),
        (
            with_(runtime_refuses="IR version 14 is newer than 9"),
            stack.ONNX_NEWER_THAN_RUNTIME,
            ("onnx", "onnxruntime-gpu"),
            ("1.23.2", "IR version 14 is newer than 9"),
        ),
    ],
)
def test_the_offending_pair_is_named(facts: Facts, kind: Kind, names: tuple[str, ...], words: tuple[str, ...]) -> None:
    (finding,) = [one for one in judge(facts) if one.kind == kind.id]
    assert set(names) <= set(finding.names)
    said = " ".join([finding.title, finding.cause, *(fix.text for fix in finding.fixes)])
    assert all(word in said for word in words), said
    assert msgspec.json.decode(msgspec.json.encode(finding))


def test_libraries_in_wheels_are_a_hazard_with_a_way_out() -> None:
    facts = with_(providers=(ProviderFile("cuda", ("libcudnn.so.9",), ("libcudnn.so.9",)),))
    (finding,) = judge(facts)
    assert finding.severity is Severity.WARNING
    assert "preload_dlls" in finding.fixes[0].text


def test_without_a_driver_engines_are_built_where_there_is_tensorrt_rtx() -> None:
    facts = with_(driver="", no_driver="no NVIDIA driver", gpus=(), tensorrts=())
    (note,) = [one for one in judge(facts) if one.kind == "stack/no-driver"]
    assert "built ahead" not in note.cause


def test_no_driver_is_a_note_and_nothing_else() -> None:
    facts = with_(driver="", no_driver="no NVIDIA driver: libcuda.so.1 not found", gpus=())
    assert [finding.severity for finding in judge(facts)] == [Severity.NOTE]


def test_the_tested_versions_are_those_of_the_constraints() -> None:
    root = Path(__file__).parents[2]
    lines = [(root / name).read_text().splitlines() for name in ("constraints-oldest.txt", "constraints.txt")]
    oldest, newest = ({line.partition("==")[0]: line.partition("==")[2] for line in each} for each in lines)
    assert TESTED["onnx"] == (oldest["onnx"], newest["onnx"])
    assert TESTED["onnxruntime"] == (oldest["onnxruntime"], newest["onnxruntime"])
    assert TESTED["torch"][1] == newest["torch"]


@pytest.mark.parametrize(("version", "said"), [("2.9.1", True), ("2.13.0+cpu", False), ("2.14.0", True)])
def test_another_torch_than_the_tested_one_is_a_note(version: str, said: bool) -> None:
    found = list(judge(with_(cuda_users=(CudaUser("torch", version, "13.0"),))))
    assert any(one.kind == "stack/untested-version" for one in found) is said
    assert all(one.severity is Severity.NOTE for one in found)
