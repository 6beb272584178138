"""Quantization.

TensorRT quantizes symmetrically: zero points 0, scales finite and positive, one scale per output channel.
"""

from functools import partial

from friction_tui.kinds.examples import But, ModelText, Weights
from friction_tui.kinds.kind import Kind
from friction_tui.vocabulary.finding import Severity, Tier

_PAIR = "g (float[n,4] x) => (float[n,4] y) { q = QuantizeLinear (x, s, z) y = DequantizeLinear (q, s, z) }"

QuantizationKind = partial(
    Kind,
    matters=frozenset({"quantized type"}),
)
"""What the kinds of this family have in common, unless they say otherwise."""

ASYMMETRIC = QuantizationKind(
    id="quantization/asymmetric",
    summary="A zero point that is not 0",
    title="Zero point {tensor} is {value}, not 0",
    severities=(Severity.ERROR, Severity.WARNING),
    tiers=(Tier.PARSER, Tier.BUILDER),
    cause="""TensorRT supports symmetric quantization only: `Non-zero zero point is not supported`.""",
    evidence="""The zero point's value and type.""",
    example="""ONNX Runtime's default calibration of activations.""",
    fix="""`ActivationSymmetric` and `WeightSymmetric`, QInt8 for both; or NVIDIA ModelOpt.""",
    shows=ModelText(_PAIR, weights=(Weights("s", (), (0.1,)), Weights("z", (), (-7,), "int8"))),
    quiet=ModelText(_PAIR, weights=(Weights("s", (), (0.1,)), Weights("z", (), (0,), "int8"))),
    rewrites=(
        "uint8-to-int8",
        "quantization-in-float",
        "integer-kernels-in-float",
        "symmetric-int8",
    ),
)

NAN_SCALE = QuantizationKind(
    id="quantization/nan-scale",
    summary="A scale that is NaN",
    title="Scale {scale} is NaN",
    tiers=(Tier.PARSER,),
    cause="""The calibration saw NaN.""",
    evidence="""The scale and the channels.""",
    example="""Calibration data with an undecodable image.""",
    fix="""Recalibrate.""",
    shows=ModelText(_PAIR, weights=(Weights("s", (), (float("nan"),)), Weights("z", (), (0,), "int8"))),
    quiet=ModelText(_PAIR, weights=(Weights("s", (), (0.1,)), Weights("z", (), (0,), "int8"))),
    rewrites=("scales-from-weights",),
)

INFINITE_SCALE = QuantizationKind(
    id="quantization/infinite-scale",
    summary="A scale that is infinite",
    title="Scale {scale} is infinite (Inf)",
    tiers=(Tier.HAZARD,),
    cause="""TensorRT accepts it, and everything becomes 0 or NaN.""",
    evidence="""The scale and the channels.""",
    example="""A layer whose activations overflowed during calibration.""",
    fix="""Recalibrate.""",
    shows=ModelText(_PAIR, weights=(Weights("s", (), (float("inf"),)), Weights("z", (), (0,), "int8"))),
    quiet=ModelText(_PAIR, weights=(Weights("s", (), (0.1,)), Weights("z", (), (0,), "int8"))),
    rewrites=("scales-from-weights",),
)

SCALE_NOT_POSITIVE = QuantizationKind(
    id="quantization/scale-not-positive",
    summary="A scale that is zero or negative",
    title="Scale {scale} is zero or negative",
    severities=(Severity.ERROR, Severity.WARNING),
    tiers=(Tier.PARSER, Tier.BUILDER),
    cause="""`Scale coefficients must all be positive`.""",
    evidence="""The scale and the channels.""",
    example="""A channel whose weights are all 0.""",
    fix="""A small positive scale for such channels; recalibrate.""",
    shows=ModelText(_PAIR, weights=(Weights("s", (4,), (0.1, 0.0, 0.3, 0.4)), Weights("z", (4,), (0,), "int8"))),
    quiet=ModelText(_PAIR, weights=(Weights("s", (4,), (0.1, 1e-8, 0.3, 0.4)), Weights("z", (4,), (0,), "int8"))),
    rewrites=(
        "quantization-in-float",
        "integer-kernels-in-float",
        "scales-from-weights",
    ),
)

SCALE_LENGTH = QuantizationKind(
    id="quantization/scale-length",
    summary="More or fewer scales than channels",
    title="{scales} scales for {channels} channels",
    tiers=(Tier.PARSER,),
    cause="""The number of scales is not the size of the axis.""",
    evidence="""Both numbers, the axis, the shape.""",
    example="""64 scales with axis 1 on a weight of 64 × 3 × 3 × 3.""",
    fix="""Correct the axis, or calibrate again.""",
    shows=ModelText(_PAIR, weights=(Weights("s", (3,), (0.1, 0.2, 0.3)), Weights("z", (3,), (0,), "int8"))),
    quiet=ModelText(_PAIR, weights=(Weights("s", (4,), (0.1, 0.2, 0.3, 0.4)), Weights("z", (4,), (0,), "int8"))),
    reads_sizes=True,
    rewrites=(
        "scales-on-their-axis",
        "scales-from-weights",
    ),
)

AXIS_RANGE = QuantizationKind(
    id="quantization/axis-range",
    summary="An axis that does not exist",
    title="Axis {axis} does not exist",
    tiers=(Tier.PARSER,),
    cause="""The axis lies outside the tensor's dimensions.""",
    evidence="""The axis and the shape.""",
    example="""axis 4 on a matrix.""",
    fix="""The channel axis: 0 for a Conv weight.""",
    shows=ModelText(
        "g (float[n,4] x) => (float[n,4] y) { q = QuantizeLinear <axis = 4> (x, s, z)"
        " y = DequantizeLinear <axis = 4> (q, s, z) }",
        weights=(Weights("s", (4,), (0.1, 0.2, 0.3, 0.4)), Weights("z", (4,), (0,), "int8")),
    ),
    quiet=But("axis = 4> (x", "axis = -1> (x", "axis = 4> (q", "axis = -1> (q"),
    reads_sizes=True,
    rewrites=("scales-on-their-axis",),
    matters=frozenset({"axis"}),
)

AXIS = QuantizationKind(
    id="quantization/axis",
    summary="Scales along the input channels",
    title="Scales along axis {axis} of the weight of {node}",
    severities=(Severity.WARNING,),
    tiers=(Tier.HAZARD,),
    cause="""Legal, but no integer kernel can take such a scale out of its sum, so the weight is dequantized and the
layer computes in float.""",
    evidence="""The axis found and the one expected, the shape, the layer.""",
    example="""axis 1 for a Conv weight; axis 0 for a MatMul weight.""",
    fix="""Quantize along the output channel.""",
    shows=ModelText(
        "g (float[n,3,8,8] x) => (float[n,4,6,6] y) { d = DequantizeLinear <axis = 1> (w, s, z)"
        " [conv] y = Conv (x, d) }",
        weights=(
            Weights("w", (4, 3, 3, 3), dtype="int8"),
            Weights("s", (3,), (0.1, 0.2, 0.3)),
            Weights("z", (3,), (0,), "int8"),
        ),
    ),
    quiet=ModelText(
        "g (float[n,3,8,8] x) => (float[n,4,6,6] y) { d = DequantizeLinear <axis = 0> (w, s, z)"
        " [conv] y = Conv (x, d) }",
        weights=(
            Weights("w", (4, 3, 3, 3), dtype="int8"),
            Weights("s", (4,), (0.1, 0.2, 0.3, 0.4)),
            Weights("z", (4,), (0,), "int8"),
        ),
    ),
    reads_sizes=True,
)

UINT8 = QuantizationKind(
    id="quantization/uint8",
    summary="Quantized to uint8",
    title="{how} uint8",
    severities=(Severity.WARNING, Severity.ERROR),
    tiers=(Tier.HAZARD, Tier.PARSER),
    cause="""TensorRT makes int8 of it: what lies above 127 times the scale saturates. uint8 weights are refused.""",
    evidence="""The nodes.""",
    example="""QUInt8 activations with zero point 0 behind a ReLU.""",
    fix="""QInt8.""",
    shows=ModelText(_PAIR, weights=(Weights("s", (), (0.1,)), Weights("z", (), (0,), "uint8"))),
    quiet=ModelText(_PAIR, weights=(Weights("s", (), (0.1,)), Weights("z", (), (0,), "int8"))),
    rewrites=(
        "uint8-to-int8",
        "quantization-in-float",
        "integer-kernels-in-float",
        "symmetric-int8",
    ),
)

INT32_BIAS = QuantizationKind(
    id="quantization/int32-bias",
    summary="A dequantized int32 bias",
    title="An int32 bias is dequantized",
    tiers=(Tier.PARSER,),
    cause="""TensorRT's DequantizeLinear takes int8, int4 and fp8.""",
    evidence="""The node.""",
    example="""ONNX Runtime's static quantization with `QuantizeBias`.""",
    fix="""`QuantizeBias: False`.""",
    shows=ModelText(
        "g (float[n,4] x) => (float[n,4] y) { d = DequantizeLinear (b, s) y = Add (x, d) }",
        weights=(Weights("b", (4,), dtype="int32"), Weights("s", (), (0.1,))),
    ),
    quiet=But(weights=(Weights("b", (4,), dtype="int8"), Weights("s", (), (0.1,)))),
    rewrites=(
        "quantization-in-float",
        "integer-kernels-in-float",
    ),
)

COMPUTED_ZERO_POINT = QuantizationKind(
    id="quantization/computed-zero-point",
    summary="A zero point that is computed",
    title="Zero point {tensor} is computed",
    tiers=(Tier.BUILDER,),
    cause="""The parser accepts it, the builder wants an initializer.""",
    evidence="""The node and the tensor.""",
    example="""Dynamic quantization written out in the graph.""",
    fix="""Quantize statically.""",
    shows=ModelText(
        "g (float[n,4] x, int8 z) => (float[n,4] y) { q = QuantizeLinear (x, s, z) y = DequantizeLinear (q, s, z) }",
        weights=(Weights("s", (), (0.1,)),),
    ),
    quiet=ModelText(_PAIR, weights=(Weights("s", (), (0.1,)), Weights("z", (), (0,), "int8"))),
    rewrites=(
        "quantization-in-float",
        "integer-kernels-in-float",
    ),
)

_FP8 = "g (float[n,4] x) => (float[n,4] y) { q = QuantizeLinear (x, s, z) y = DequantizeLinear (q, t, z) }"

SCALE_TYPE = QuantizationKind(
    id="quantization/scale-type",
    summary="A float16 scale for float32 data in fp8",
    title="Scale {scale} is {dtype}, the data is {data}",
    tiers=(Tier.BUILDER,),
    cause="""From opset 23 on a scale may have another type than what it scales. TensorRT's parser accepts it; for
fp8 the builder says `Could not infer output types for operation: quantize`.""",
    evidence="""The scale, its type, the type of the data.""",
    example="""NVIDIA ModelOpt's fp8 weights in a model whose scales were converted to float16.""",
    fix="""Store both in one type.""",
    shows=ModelText(
        _FP8,
        opset=23,
        ir_version=11,
        weights=(
            Weights("s", (), (0.1,), "float16"),
            Weights("t", (), (0.1,)),
            Weights("z", (), (0,), "float8_e4m3fn"),
        ),
    ),
    quiet=But(weights=(Weights("s", (), (0.1,)), Weights("t", (), (0.1,)), Weights("z", (), (0,), "float8_e4m3fn"))),
    rewrites=("quantize-in-one-type",),
)
