"""Operators.

What TensorRT's parser or builder has no importer, plug-in or kernel for. An installed TensorRT is asked, node by node,
also inside If and Loop bodies and local functions; where none is installed, a table answers and signs as one.
"""

from friction_tui.kinds.examples import Shown
from friction_tui.kinds.kind import Kind
from friction_tui.vocabulary.finding import Severity, Tier

UNSUPPORTED = Kind(
    id="operators/unsupported",
    summary="The operator has no importer",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""It is a proper ONNX operator, and this TensorRT has no importer for it. The parser's own text is the word
`false`: the check that failed, printed.""",
    evidence="""The operator and every node it stands for; which TensorRT, if any, takes it.""",
    example="""`Det` on a batch of 3×3 matrices: `UNSUPPORTED_NODE: false`.""",
    fix="""Replace it by other operators (the finding says by which), move it outside the model, or write a plug-in.""",
    shows=Shown(""),
    quiet=Shown(""),
)

DATA_DEPENDENT = Kind(
    id="operators/data-dependent",
    summary="The output shape depends on values",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""How many elements come out is known only when the values are: NonZero, Unique, Compress, NonMaxSuppression,
and `x[mask]`, which exports as NonZero, Transpose, GatherND. TensorRT-RTX has no implementation of any of them; the
enterprise edition takes NonZero and NonMaxSuppression since 8.5.""",
    evidence="""The node, and which edition takes it.""",
    example="""`y = x[x > 0]`.""",
    fix="""
Keep the full shape: `torch.where(mask, x, 0)`, or multiply by the mask. Take a fixed number with TopK. Or select
outside the model.
""",
    shows=Shown(""),
    quiet=Shown(""),
)

SEQUENCE = Kind(
    id="operators/sequence",
    summary="Lists of tensors",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""
SequenceEmpty, SequenceInsert, SplitToSequence, ConcatFromSequence and their kin work on lists; TensorRT has
tensors only. They come from scripted Python lists.
""",
    evidence="""All sequence nodes of the graph.""",
    example="""`outputs.append(step(x))` in a scripted loop.""",
    fix="""
Export with the dynamo exporter, or replace the list by one tensor: Split and Slice instead of SplitToSequence
and SequenceAt, Concat instead of ConcatFromSequence.
""",
    shows=Shown(""),
    quiet=Shown(""),
)

STRINGS = Kind(
    id="operators/strings",
    summary="Text in the graph",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""
TensorRT has no string type: tokenizers, class labels and regular expressions cannot be part of an engine.
""",
    evidence="""The node, and the string tensor.""",
    example="""StringNormalizer before an embedding; the label lookup at the end of a scikit-learn export.""",
    fix="""Feed token ids and return class indices; `zipmap=False` in skl2onnx.""",
    shows=Shown(""),
    quiet=Shown(""),
    matters=frozenset({"element type"}),
)

BITWISE = Kind(
    id="operators/bitwise",
    summary="Bits of integers",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""
BitShift, BitwiseAnd and the like have no importer, and unsigned integers are not computed with. They mostly
unpack 4-bit weights or hash ids.
""",
    evidence="""The node and its type.""",
    example="""`weights >> 4` on uint8.""",
    fix="""Unpack before exporting and use DequantizeLinear on INT4 or int8; Mod and Div by powers of two on int32.""",
    shows=Shown(""),
    quiet=Shown(""),
)

FOURIER = Kind(
    id="operators/fourier",
    summary="Fourier transforms",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""DFT and STFT are not taken in most releases; ONNX has no complex numbers either.""",
    evidence="""The node, and the release that takes it.""",
    example="""`torch.stft` in an audio front end.""",
    fix="""A MatMul or Conv1d with the constant sine and cosine basis; or compute the spectrogram outside.""",
    shows=Shown(""),
    quiet=Shown(""),
)

INTEGER_QUANTIZED = Kind(
    id="operators/integer-quantized",
    summary="Operator-oriented quantization",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""
QLinearConv, MatMulInteger, DynamicQuantizeLinear are how ONNX Runtime's `QOperator` format writes a quantized
model. TensorRT reads the QDQ format only.
""",
    evidence="""The nodes.""",
    example="""`quantize_dynamic(...)`, or `quantize_static(quant_format=QuantFormat.QOperator)`.""",
    fix="""`quantize_static(quant_format=QuantFormat.QDQ)` with symmetric activations.""",
    shows=Shown(""),
    quiet=Shown(""),
)

SAMPLING = Kind(
    id="operators/sampling",
    summary="Random sampling",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""Multinomial and Bernoulli draw random numbers; TensorRT does not take them.""",
    evidence="""The node.""",
    example="""Sampling the next token inside the model.""",
    fix="""Return the logits and sample outside; or feed random numbers as an input.""",
    shows=Shown(""),
    quiet=Shown(""),
)

LOSS = Kind(
    id="operators/loss",
    summary="A training loss",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""The graph computes a loss, which inference does not need.""",
    evidence="""The node.""",
    example="""SoftmaxCrossEntropyLoss.""",
    fix="""Export the model without it.""",
    shows=Shown(""),
    quiet=Shown(""),
)

NEEDS_PLUGIN = Kind(
    id="operators/needs-plugin",
    summary="Implemented as a plug-in",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""TensorRT implements the operator (DeformConv) as a plug-in, and this edition does not contain it.""",
    evidence="""The node, and the release that contains it.""",
    example="""DeformConv on TensorRT-RTX.""",
    fix="""Use the enterprise edition, load the plug-in library, or replace it (GridSample and Conv).""",
    shows=Shown(""),
    quiet=Shown(""),
)

PLUGIN_MISSING = Kind(
    id="operators/plugin-missing",
    summary="A plug-in of TensorRT's own is missing",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""The importer looked for a plug-in that belongs to TensorRT and is not registered.""",
    evidence="""The parser's text: `... plugin creator version 1 was not found in plugin registry`.""",
    example="""NonZero on TensorRT-RTX.""",
    fix="""Use the enterprise edition, or load its plug-in library before parsing.""",
    shows=Shown(""),
    quiet=Shown(""),
)

PLUGIN = Kind(
    id="operators/plugin",
    summary="A custom operator",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""The operator is in a domain of its own, or has the name of a TensorRT plug-in. TensorRT needs a plug-in of
exactly that name, version and namespace, and none is loaded. (It says the same of every operator it does not know.)""",
    evidence="""Operator and domain.""",
    example="""`MMCVModulatedDeformConv2d` of `mmdeploy`; `EfficientNMS_TRT` without `init_libnvinfer_plugins`.""",
    fix="""Load the library that implements it before parsing, or re-export with standard operators.""",
    shows=Shown(""),
    quiet=Shown(""),
)

MISSPELT = Kind(
    id="operators/misspelt",
    summary="Almost the name of an ONNX operator",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""
No opset of ONNX has an operator of this name, and one has nearly it. A script that edits graphs wrote it.
""",
    evidence="""Both names.""",
    example="""`LeakyReLU` for `LeakyRelu`.""",
    fix="""Rename it (the tool does), and mend the script.""",
    shows=Shown(""),
    quiet=Shown(""),
)

UNKNOWN = Kind(
    id="operators/unknown",
    summary="Not an ONNX operator",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""
No opset of ONNX has an operator of this name and nothing tells where it comes from. TensorRT takes it for a
plug-in and says `Plugin not found`.
""",
    evidence="""The name, and who produced the model.""",
    example="""A custom op exported without a domain.""",
    fix="""Replace it, load a plug-in of that name, or put it into a domain of its own.""",
    shows=Shown(""),
    quiet=Shown(""),
    matters=frozenset({"specification"}),
)

ATEN = Kind(
    id="operators/aten",
    summary="PyTorch's own operator was left in the graph",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""The exporter had no ONNX translation and fell back to ATen, PyTorch's operator library. It is not ONNX.""",
    evidence="""The ATen name, and what ONNX calls it.""",
    example="""`grid_sampler` from an export at opset 11; ONNX has GridSample from opset 16 on.""",
    fix="""Re-export at an opset that has it, without `ONNX_ATEN_FALLBACK`; or rewrite the line.""",
    shows=Shown(""),
    quiet=Shown(""),
)

TENSORFLOW = Kind(
    id="operators/tensorflow",
    summary="TensorFlow's own operator was left in the graph",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""
tf2onnx could not convert it and left it. `PartitionedCall` and `StatefulPartitionedCall` are function calls
that were not inlined.
""",
    evidence="""The operator, and that tf2onnx made the model.""",
    example="""`StatefulPartitionedCall` from a SavedModel.""",
    fix="""A newer tf2onnx, `--opset 18`, a frozen SavedModel; or leave that layer outside.""",
    shows=Shown(""),
    quiet=Shown(""),
    vague=True,
)

ORT_OPTIMISED = Kind(
    id="operators/ort-optimised",
    summary="Saved by ONNX Runtime after optimising",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""
Operators of `com.microsoft` are ONNX Runtime's own. The file was written after its optimiser fused standard
operators into them, or after its quantizer. (TensorRT-RTX reads a few of them; those are not reported.)
""",
    evidence="""The operators of that domain.""",
    example="""`SkipLayerNormalization`, `FastGelu` from `optimizer.optimize_model(...).save_model_to_file`.""",
    fix="""Use the model from before that step.""",
    shows=Shown(""),
    quiet=Shown(""),
)

CLASSICAL_ML = Kind(
    id="operators/classical-ml",
    summary="Classical machine learning",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""Operators of `ai.onnx.ml` (trees, scalers, encoders) are not neural network layers.""",
    evidence="""The operators.""",
    example="""`TreeEnsembleClassifier` from skl2onnx.""",
    fix="""Run them in ONNX Runtime; or convert with hummingbird-ml.""",
    shows=Shown(""),
    quiet=Shown(""),
)

TRAINING_DOMAIN = Kind(
    id="operators/training-domain",
    summary="An operator for training",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""The operator is of a training domain (gradients, optimizers).""",
    evidence="""The operator and its domain.""",
    example="""`Adam` of `ai.onnx.preview.training`.""",
    fix="""Export the inference graph.""",
    shows=Shown(""),
    quiet=Shown(""),
)

DOMAIN_IGNORED = Kind(
    id="operators/domain-ignored",
    summary="A foreign operator that would be read as ONNX's",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""
TensorRT's parser looks at the operator's name and not at its domain. A custom operator called like an ONNX one
is imported as that, whatever it computes: no error, a wrong result. `com.microsoft.nchwc.Conv` has reordered weights.
""",
    evidence="""Operator and domain.""",
    example="""A model saved by ONNX Runtime at optimisation level ALL.""",
    fix="""Use the original model; give custom operators names of their own.""",
    shows=Shown(""),
    quiet=Shown(""),
)

EXTRA_OUTPUT = Kind(
    id="operators/extra-output",
    summary="An output TensorRT does not compute",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""The operator is taken, but only its first output.""",
    evidence="""The outputs that are used.""",
    example="""MaxPool's Indices for MaxUnpool (SegNet): `doesn't support mode than 1 outputs for MaxPool nodes`.""",
    fix="""Resize or ConvTranspose instead of MaxUnpool; eval mode for BatchNormalization.""",
    shows=Shown(""),
    quiet=Shown(""),
    matters=frozenset({"training"}),
)

ATTRIBUTE = Kind(
    id="operators/attribute",
    summary="Supported, but not with this attribute",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""The operator is taken; this value of one attribute is not.""",
    evidence="""The node's attributes.""",
    example="""Resize with `antialias=1`, AveragePool with dilations, ScatterND with `reduction=add`.""",
    fix="""As the finding says; often a preprocessing step that belongs outside the model.""",
    shows=Shown(""),
    quiet=Shown(""),
    matters=frozenset({"element type", "specification"}),
)

DTYPE = Kind(
    id="operators/dtype",
    summary="Supported, but not for this element type",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""The operator is taken; the element type it gets here is not.""",
    evidence="""Operator and type.""",
    example="""ReduceMax on bool; Mod with `fmod=0` on floats.""",
    fix="""Cast before, and back after.""",
    shows=Shown(""),
    quiet=Shown(""),
    matters=frozenset({"element type", "quantized type"}),
)

NEEDS_CONSTANT = Kind(
    id="operators/needs-constant",
    summary="An operand must be a constant",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""
TensorRT needs the value when it builds (axes, K, scales, a zero point), and it is computed or fed at run time.
""",
    evidence="""The operand.""",
    example="""ReduceSum with axes as a graph input.""",
    fix="""Make it an initializer; fold constants if it follows from constants.""",
    shows=Shown(""),
    quiet=Shown(""),
)

NO_IMPLEMENTATION = Kind(
    id="operators/no-implementation",
    summary="Parsed, and no kernel for it",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""The parser takes the operator and the builder finds no implementation: not in this edition, not in this
precision, or not within the workspace limit.""",
    evidence="""The builder's text: `has no runners that implement it`.""",
    example="""Attention (opset 23) in fp32; in fp16 it builds.""",
    fix="""Another precision or edition; write it with simpler operators; raise the workspace.""",
    shows=Shown(""),
    quiet=Shown(""),
)

LOW_PRECISION_CAST = Kind(
    id="operators/low-precision-cast",
    summary="A Cast to or from FP8, FP4 or INT4",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""
These types exist only between QuantizeLinear and DequantizeLinear. The parser takes a Cast to one; the builder
refuses: `has datatype FP8 but is not produced by IQuantizeLayer`.
""",
    evidence="""The Cast, the tensor and its type.""",
    example="""`x.to(torch.float8_e4m3fn)` as the model's last operation.""",
    fix="""QuantizeLinear and DequantizeLinear; float16 at the border.""",
    shows=Shown(""),
    quiet=Shown(""),
)

NEEDS_GPU = Kind(
    id="operators/needs-gpu",
    summary="Cannot be judged without a GPU",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""The operator (RoiAlign) is a plug-in that registers only when a GPU is present.""",
    evidence="""The log line `cudaError 35` beside the refusal.""",
    example="""RoiAlign on a machine without a GPU.""",
    fix="""Check again where there is one.""",
    shows=Shown(""),
    quiet=Shown(""),
)

BATCH_FIRST_LAYOUT = Kind(
    id="operators/batch-first-layout",
    summary="A recurrent layer that is batch first",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""`layout=1` is implemented by TensorRT-RTX, not by ONNX Runtime's CPU provider nor, by its documentation, by
enterprise TensorRT.""",
    evidence="""The node.""",
    example="""LSTM with `layout=1`.""",
    fix="""`layout=0` with a Transpose before and after.""",
    shows=Shown(""),
    quiet=Shown(""),
)

REFUSED = Kind(
    id="operators/refused",
    summary="Refused for a reason of its own",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""The parser refuses the node in words nothing else here explains; they are given as they are.""",
    evidence="""The text.""",
    example="""An assertion of one operator's importer.""",
    fix="""Change what the message names, or replace the operator.""",
    shows=Shown(""),
    quiet=Shown(""),
    vague=True,
)

PARTITIONS = Kind(
    id="operators/partitions",
    summary="What TensorRT would take without the refused nodes",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""
Not a fault: the subgraphs that remain when the graph is cut at the refused nodes, such that no path leaves one
and comes back. Every cut costs a copy of the tensors that cross.
""",
    evidence="""Nodes per subgraph; tensors and bytes that cross at opt.""",
    example="""`TensorRT would take 410 of 412 nodes in 2 subgraphs`.""",
    fix="""Remove the refused nodes; or run in ONNX Runtime with its TensorRT provider, which cuts like this.""",
    shows=Shown(""),
    quiet=Shown(""),
    gives_reason=False,
)

SIZE_LIMIT = Kind(
    id="operators/size-limit",
    summary="More than a layer can do",
    title="{title}",
    severities=(Severity.ERROR,),
    tiers=(Tier.MODEL,),
    cause="""The layer has a limit that only the builder knows: the parser takes it.""",
    evidence="""The size and the limit.""",
    example="""TopK with K = 5000; the limit is 3840.""",
    fix="""Stay below the limit, or do it in two steps.""",
    shows=Shown(""),
    quiet=Shown(""),
)
