"""Messages as engines really print them, and what they mean."""

import pytest

from friction_tui.kinds import engine
from friction_tui.rules.engine.decode import decode


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        ("false", "operators/unsupported", "not supported"),
        (
            "std::equal(activations.begin(), activations.begin() + NUM_ACTIVATIONS, activations.begin() + "
            'NUM_ACTIVATIONS) && "The parser does not currently support cases where activations for the reverse pass '
            'of the LSTM do not match the forward pass."',
            "operators/attribute",
            "two directions",
        ),
        (
            "Assertion failed: canUseNDResize(scaleSize, scalesVec.data(), 2): This version of TensorRT only supports "
            "cubic resizing on the outermost 2 dimensions.",
            "operators/attribute",
            "last 2 dimensions",
        ),
        (
            "ILRNLayer::setWindowSize: Error Code 3: API Usage Error (Parameter check failed, condition: (windowSize "
            ">= kLRN_MIN_WINDOW && windowSize <= kLRN_MAX_WINDOW && (windowSize & 0x1)).",
            "operators/attribute",
            "odd number",
        ),
        (
            "Only FLOAT and HALF are supported in GlobalLpPool. The current type = INT32",
            "operators/dtype",
            "gets INT32",
        ),
        (
            "Assertion failed: (output_tensor_ptr->getType() != nvinfer1::DataType::kINT32 || output_trt_dtype == "
            "nvinfer1::DataType::kINT32): For output tensor y, the parsed type is int32",
            "types/mismatch",
            "state of a Loop",
        ),
        ("Axis must be in the range [0, nbDims (2)]. Provided axis is: 5", "dynamic/axis", "not one of"),
        ("Rank of sequence_lens must be one. Current rank of sequence lens = 2", "dynamic/cannot-work", "dimensions"),
        (
            "graph.cpp::symbolicExecute::539] Error Code 4: Internal Error (/OneHot: an IIOneHotLayer cannot be used "
            "to compute a shape tensor)",
            "operators/needs-constant",
            "10.7",
        ),
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
    assert reading.kind.id == kind
    assert words in reading.cause


@pytest.mark.parametrize(
    ("text", "kind", "words"),
    [
        (
            "No importer registered for op: Foo. Attempting to import as plugin.",
            "operators/unknown",
            "importer for Foo;",
        ),
        ("could not find plugin: MultiHeadAttention", "operators/unknown", "a foreign domain"),
        ("Found unsupported datatype (11) when importing initializer: x", "operators/dtype", "DOUBLE"),
        ("Unsupported ONNX data type: UINT8 (2)", "operators/dtype", "UINT8"),
        ("NonZero has no runners that implement it", "operators/no-implementation", "not supported here"),
        (
            "Failed to load library libonnxruntime_providers_tensorrt.so with error: libnvinfer.so.8: cannot open "
            "shared object file: No such file or directory",
            "stack/provider-library-missing",
            "libnvinfer.so.8",
        ),
        ("Target GPU SM 120 is not supported by this TensorRT release", "stack/gpu-not-supported", "(SM 120)"),
        (
            "Could not find any implementation for node {ForeignNode[/a/MatMul.../b/Softmax]}.",
            "engine/foreign-node",
            "does not say which",
        ),
        (
            "In node -1 with name:  and operator:  (importInput): UNSUPPORTED_NODE: Assertion failed: convertDtype("
            'onnxDtype.elem_type(), &trtDtype) && "Failed to convert ONNX date type to TensorRT data type."',
            "types/unsupported-input",
            "given as -1",
        ),
        (
            "[network.cpp::validate] Failed to import initializer: fc.weight",
            "engine/initializer",
            "node is given as -1",
        ),
        (
            "onnx2trt_utils.cpp:1571: Failed to open file: transformer.wte.weight",
            "external/missing",
            "beside the .onnx",
        ),
        (
            "model expected the shape of dimension 0 to be between 1 and 1 but received 32",
            "engine/serving-range",
            "32",
        ),
        ("Unsupported model IR version: 10, max supported IR version: 9", "versions/ir-too-new", "reads up to 9"),
        ("adapter_lookup: Assertion `false` failed: No Adapter From Version $14 for Relu", "engine/no-adapter", "Relu"),
        ("No Previous Version of LayerNormalization exists", "engine/no-adapter", "LayerNormalization"),
        ("Axis 3 has mismatched dimensions of 68 and 67", "dynamic/concat", "68 and 67"),
        ("kv_slice: optimization profile is missing values for shape input", "profile/shape-values", "kv_slice"),
        ("std::all_of(dims.d, dims.d + dims.nbDims, [](int32_t x) { return x > 0; })", "profile/zero-length", "is 0"),
        ("cannot do non-empty gather from an empty axis", "dynamic/index-range", "length 0"),
        ("TRT only supports symmetric quantization - zeroPt must be all zeros", "quantization/asymmetric", "not 0"),
        ("No ONNX function found for <OpOverload(op='aten.foo', overload='default')>", "engine/no-onnx-op", "aten.foo"),
        ("Couldn't export Python operator DeformConvFunction", "engine/no-onnx-op", "DeformConvFunction"),
        (
            "Not all values of batch = L['x'].size()[0] in the specified range are valid because batch was inferred to "
            "be a constant (1)",
            "export/dim-constraint",
            "batch, which was declared dynamic, to 1",
        ),
        (
            "Could not guard on data-dependent expression u1 < 0 (unhinted: u1 < 0)",
            "export/data-dependent-control-flow",
            "(u1 < 0)",
        ),
        (
            "Error Code 4: API Usage Error (?: Input dimensions with this name have different constant values or have "
            "contradictory IOptimizationProfile values.",
            "profile/same-symbol",
            "share a name",
        ),
        (
            "[graphScope.cpp::analyze::471] Error Code 2: Internal Error (Assertion tScope.getType() != "
            "ScopeType::kUNDEFINED failed.  In analyze at /_src/optimizer/common/graphScope.cpp:471)",
            "control/nested-if",
            "in a branch of another If",
        ),
        (
            "Tensorflow op [StatefulPartitionedCall: StatefulPartitionedCall] is not supported",
            "export/tf-function-left",
            "not inlined",
        ),
    ],
)
def test_messages_people_ask_about(text: str, kind: str, words: str) -> None:
    reading = decode(text)
    assert reading.kind.id == kind
    assert words in reading.cause
    assert reading.fixes


@pytest.mark.parametrize(
    "text", ["Running layernorm after self-attention in FP16 may cause overflow", "Detected subnormal FP16 values"]
)
def test_a_hazard_of_float16_is_not_taken_for_the_reason(text: str) -> None:
    assert decode(text).harmless


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
    assert reading.kind.id == "types/mismatch"
    assert "Int64" in reading.cause
    assert reading.names == ("cat/Concat",)


def test_an_unknown_text_comes_back_as_it_is() -> None:
    reading = decode("the flux capacitor is misaligned")
    assert reading.kind is engine.OTHER
    assert "flux capacitor" in reading.cause
