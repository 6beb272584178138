"""Quantization.

TensorRT quantizes symmetrically: zero points 0, scales finite and positive, one scale per output channel.
"""

from friction_tui.kinds.examples import Shown
from friction_tui.kinds.kind import Kind
from friction_tui.vocabulary.finding import Severity, Tier

ASYMMETRIC = Kind(
    id="quantization/asymmetric",
    summary="A zero point that is not 0",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""TensorRT supports symmetric quantization only: `Non-zero zero point is not supported`.""",
    evidence="""The zero point's value and type.""",
    example="""ONNX Runtime's default calibration of activations.""",
    fix="""`ActivationSymmetric` and `WeightSymmetric`, QInt8 for both; or NVIDIA ModelOpt.""",
    shows=Shown(""),
    quiet=Shown(""),
    matters=frozenset({"quantized type"}),
)

NAN_SCALE = Kind(
    id="quantization/nan-scale",
    summary="A scale that is NaN",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""The calibration saw NaN.""",
    evidence="""The scale and the channels.""",
    example="""Calibration data with an undecodable image.""",
    fix="""Recalibrate.""",
    shows=Shown(""),
    quiet=Shown(""),
    matters=frozenset({"quantized type"}),
)

INFINITE_SCALE = Kind(
    id="quantization/infinite-scale",
    summary="A scale that is infinite",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""TensorRT accepts it, and everything becomes 0 or NaN.""",
    evidence="""The scale and the channels.""",
    example="""A layer whose activations overflowed during calibration.""",
    fix="""Recalibrate.""",
    shows=Shown(""),
    quiet=Shown(""),
    matters=frozenset({"quantized type"}),
)

SCALE_NOT_POSITIVE = Kind(
    id="quantization/scale-not-positive",
    summary="A scale that is zero or negative",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""`Scale coefficients must all be positive`.""",
    evidence="""The scale and the channels.""",
    example="""A channel whose weights are all 0.""",
    fix="""A small positive scale for such channels; recalibrate.""",
    shows=Shown(""),
    quiet=Shown(""),
    matters=frozenset({"quantized type"}),
)

SCALE_LENGTH = Kind(
    id="quantization/scale-length",
    summary="More or fewer scales than channels",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""The number of scales is not the size of the axis.""",
    evidence="""Both numbers, the axis, the shape.""",
    example="""64 scales with axis 1 on a weight of 64 × 3 × 3 × 3.""",
    fix="""Correct the axis, or calibrate again.""",
    shows=Shown(""),
    quiet=Shown(""),
    matters=frozenset({"quantized type"}),
)

AXIS_RANGE = Kind(
    id="quantization/axis-range",
    summary="An axis that does not exist",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""The axis lies outside the tensor's dimensions.""",
    evidence="""The axis and the shape.""",
    example="""axis 4 on a matrix.""",
    fix="""The channel axis: 0 for a Conv weight.""",
    shows=Shown(""),
    quiet=Shown(""),
    matters=frozenset({"quantized type"}),
)

AXIS = Kind(
    id="quantization/axis",
    summary="Scales along the input channels",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""Legal, but no integer kernel can take such a scale out of its sum, so the weight is dequantized and the
layer computes in float.""",
    evidence="""The axis found and the one expected, the shape, the layer.""",
    example="""axis 1 for a Conv weight; axis 0 for a MatMul weight.""",
    fix="""Quantize along the output channel.""",
    shows=Shown(""),
    quiet=Shown(""),
    matters=frozenset({"quantized type"}),
)

UINT8 = Kind(
    id="quantization/uint8",
    summary="Quantized to uint8",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""TensorRT makes int8 of it: what lies above 127 times the scale saturates. uint8 weights are refused.""",
    evidence="""The nodes.""",
    example="""QUInt8 activations with zero point 0 behind a ReLU.""",
    fix="""QInt8.""",
    shows=Shown(""),
    quiet=Shown(""),
    matters=frozenset({"quantized type"}),
)

INT32_BIAS = Kind(
    id="quantization/int32-bias",
    summary="A dequantized int32 bias",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""TensorRT's DequantizeLinear takes int8, int4 and fp8.""",
    evidence="""The node.""",
    example="""ONNX Runtime's static quantization with `QuantizeBias`.""",
    fix="""`QuantizeBias: False`.""",
    shows=Shown(""),
    quiet=Shown(""),
    matters=frozenset({"quantized type"}),
)

COMPUTED_ZERO_POINT = Kind(
    id="quantization/computed-zero-point",
    summary="A zero point that is computed",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""The parser accepts it, the builder wants an initializer.""",
    evidence="""The node and the tensor.""",
    example="""Dynamic quantization written out in the graph.""",
    fix="""Quantize statically.""",
    shows=Shown(""),
    quiet=Shown(""),
    matters=frozenset({"quantized type"}),
)
