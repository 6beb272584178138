"""Messages as engines really print them, and what they mean."""

import pytest

from friction_tui.diagnosis.decode import UNREAD, decode


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("false", "operators/unsupported", "not supported"),
        ("UNSUPPORTED_NODE: false", "operators/unsupported", "not supported"),
        (
            'creator && "Plugin not found, are the plugin name, version, and namespace correct?"',
            "operators/unknown",
            "misspelt",
        ),
        ("getPluginCreator could not find plugin: NonZero version: 1", "operators/unknown", "NonZero"),
        (
            "No importer registered for op: GridSample. Attempting to import as plugin.",
            "operators/unknown",
            "GridSample",
        ),
        (
            "This version of TensorRT doesn't support mode than 1 outputs for MaxPool nodes!",
            "operators/extra-output",
            "MaxPool",
        ),
        (
            "Assertion failed: creator && getPluginCreatorVersion(creator) == CreatorVersion::kV3ONE: "
            "NonZero plugin creator version 1 was not found in plugin registry.",
            "operators/plugin-missing",
            "NonZero",
        ),
        (
            "IBuilder::buildSerializedNetwork: Error Code 4: Internal Error (kOPT values for profile 0 violate shape "
            "constraints: IShuffleLayer head/Reshape: reshaping failed for tensor: stem_r reshape would change volume "
            "1024 to 256 In executeReshape at /_src/runtime/core/shapeMachine.cpp:348)",
            "dynamic/baked-reshape",
            "1024",
        ),
        (
            "Skipping tactic 3 due to insufficient memory on requested size of 68719476736 detected for tactic 60.",
            "engine/out-of-memory",
            "not an unsupported",
        ),
        (
            "'tensorrt.IBuilderConfig' object has no attribute 'max_workspace_size'",
            "engine/removed-api",
            "max_workspace",
        ),
        ("'ICudaEngine' object has no attribute 'num_bindings'", "engine/removed-api", "num_bindings"),
        (
            "The engine plan file is not compatible with this version of TensorRT, expecting library version 8.0.0 got "
            "8.0.1, please rebuild.",
            "engine/plan-version",
            "8.0.1",
        ),
        ("CUDA initialization failure with error: 35", "engine/no-gpu", "driver"),
        (
            "inputs to IRecurrenceLayer have different dimensions. First input has dimensions [3,1] and second [3,2]",
            "control/growing-state",
            "[3,1]",
        ),
        (
            "(Unnamed Layer* 10) [Recurrence]: IRecurrenceLayer must have inputs with same shape. First input xr has "
            "shape [3,1] and second input sto has shape [3,2].",
            "control/growing-state",
            "[3,2]",
        ),
        (
            "IIfConditionalOutputLayer inputs must have the same shape. Shapes are [2] and [1].",
            "control/if-branches",
            "[2]",
        ),
    ],
)
def test_known_messages(text: str, kind: str, words: str) -> None:
    reading = decode(text)
    assert reading.kind == kind
    assert words in reading.cause


def test_a_harmless_warning_is_marked() -> None:
    text = "Your ONNX model has been generated with INT64 weights, while TensorRT does not natively support INT64."
    assert decode(text).harmless


def test_names_are_returned_and_the_missing_gpu_is_no_cause() -> None:
    text = (
        "Invalid Node - cat/Concat\nITensor::getDimensions: Error Code 4: API Usage Error (cat/Concat: "
        "IConcatenationLayer `inputs` must all be of the same type. inputs[1] is of type Int64 but inputs[0] is of "
        "type Int32.)\n[checkMacros.cpp::catchCudaError::250] Error Code 1: Cuda Runtime (cudaError 35: CUDA driver "
        "version is insufficient for CUDA runtime version)"
    )
    reading = decode(text)
    assert reading.kind == "types/mismatch"
    assert "Int64" in reading.cause
    assert reading.names == ("cat/Concat",)


def test_an_unknown_text_comes_back_as_it_is() -> None:
    reading = decode("the flux capacitor is misaligned")
    assert reading.kind == UNREAD
    assert "flux capacitor" in reading.cause
