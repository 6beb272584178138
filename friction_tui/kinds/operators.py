"""Operators.

What TensorRT's parser or builder has no importer, plug-in or kernel for. An installed TensorRT is asked, node by node,
also inside If and Loop bodies and local functions; where none is installed, a table answers and signs as one.
"""

from functools import partial

from friction_tui.kinds.examples import But, Message, ModelText, Shown, Weights
from friction_tui.kinds.kind import Kind
from friction_tui.vocabulary.finding import Severity, Tier

OperatorsKind = partial(
    Kind,
    tiers=(Tier.PARSER,),
)
"""What the kinds of this family have in common, unless they say otherwise."""

UNSUPPORTED = OperatorsKind(
    id="operators/unsupported",
    summary="The operator has no importer",
    title="{nodes} is not supported",
    cause="""It is an operator of ONNX, and this TensorRT has no importer for it. The parser's own text is `false`:
the check that failed, printed.""",
    evidence="""The operator and every node it stands for; which TensorRT, if any, takes it.""",
    example="""`Det` on a batch of 3×3 matrices: `UNSUPPORTED_NODE: false`.""",
    fix="""Replace it by other operators (the finding says by which), move it outside the model, or write a plug-in.""",
    shows=ModelText("g (float[2,3,3] x) => (float[2] y) { y = Det (x) }"),
    quiet=But("{ y = Det", "{ y = ReduceMax <axes = [1, 2], keepdims = 0>"),
)

DATA_DEPENDENT = OperatorsKind(
    id="operators/data-dependent",
    summary="The output shape depends on values",
    title="{nodes} is data-dependent and not supported",
    severities=(Severity.ERROR, Severity.WARNING),
    tiers=(Tier.PARSER, Tier.BUILDER),
    cause="""How many elements come out is known only when the values are: NonZero, Unique, Compress, NonMaxSuppression,
and `x[mask]`, which exports as NonZero, Transpose, GatherND. TensorRT-RTX has no implementation of any of them; the
enterprise edition takes NonZero and NonMaxSuppression since 8.5.""",
    evidence="""The node, and which edition takes it.""",
    example="""`y = x[x > 0]`.""",
    fix="""
Keep the full shape: `torch.where(mask, x, 0)`, or multiply by the mask. Take a fixed number with TopK. Or select
outside the model.
""",
    shows=ModelText("g (float[4] x, bool[4] c) => (float[m] y) { y = Compress (x, c) }"),
    quiet=ModelText("g (float[4] x, bool[4] c) => (float[4] y) <float zero = {0}> { y = Where (c, x, zero) }"),
    rewrites=("nonzero-mask",),
)

SEQUENCE = OperatorsKind(
    id="operators/sequence",
    summary="Lists of tensors",
    title="{nodes} is not supported",
    cause="""
SequenceEmpty, SequenceInsert, SplitToSequence, ConcatFromSequence and similar operators work on lists; TensorRT has
tensors only. They come from scripted Python lists.
""",
    evidence="""All sequence nodes of the graph.""",
    example="""`outputs.append(step(x))` in a scripted loop.""",
    fix="""
Export with the dynamo exporter, or replace the list by one tensor: Split and Slice instead of SplitToSequence
and SequenceAt, Concat instead of ConcatFromSequence.
""",
    shows=ModelText("""
g (float[2,4] x) => (float[m,4] y) {
  s = SplitToSequence <axis = 0> (x)
  y = ConcatFromSequence <axis = 0> (s)
}
"""),
    quiet=ModelText("""
g (float[2,4] x) => (float[2,4] y) {
  a, b = Split <axis = 0> (x)
  y = Concat <axis = 0> (a, b)
}
"""),
)

STRINGS = OperatorsKind(
    id="operators/strings",
    summary="Text in the graph",
    title="{nodes} is not supported",
    cause="""
TensorRT has no string type: tokenizers, class labels and regular expressions cannot be part of an engine.
""",
    evidence="""The node, and the string tensor.""",
    example="""StringNormalizer before an embedding; the label lookup at the end of a scikit-learn export.""",
    fix="""Feed token ids and return class indices; `zipmap=False` in skl2onnx.""",
    shows=ModelText("""
g (int64[4] x) => (float[2] y) {
  y = TfIdfVectorizer <mode = "TF", min_gram_length = 1, max_gram_length = 1, max_skip_count = 0, ngram_counts = [0],
    ngram_indexes = [0, 1], pool_int64s = [1, 2]> (x)
}
"""),
    quiet=ModelText("g (int64[2] ids) => (float[2,4] y) { y = Gather (w, ids) }", weights=(Weights("w", (8, 4)),)),
    matters=frozenset({"element type"}),
)

BITWISE = OperatorsKind(
    id="operators/bitwise",
    summary="Bits of integers",
    title="{nodes} is not supported",
    cause="""
BitShift, BitwiseAnd and the like have no importer, and unsigned integers are not computed with. They mostly
unpack 4-bit weights or hash ids.
""",
    evidence="""The node and its type.""",
    example="""`weights >> 4` on uint8.""",
    fix="""Unpack before exporting and use DequantizeLinear on INT4 or int8; Mod and Div by powers of two on int32.""",
    shows=ModelText("g (int32[4] x) => (int32[4] y) { y = BitwiseNot (x) }", opset=18),
    quiet=But("BitwiseNot", "Neg"),
)

FOURIER = OperatorsKind(
    id="operators/fourier",
    summary="Fourier transforms",
    title="{nodes} is not supported",
    cause="""DFT and STFT are not taken in most releases; ONNX has no complex numbers either.""",
    evidence="""The node, and the release that takes it.""",
    example="""`torch.stft` in an audio front end.""",
    fix="""A MatMul or Conv1d with the constant sine and cosine basis; or compute the spectrogram outside.""",
    shows=ModelText("g (float[1,8,1] x) => (float[1,8,2] y) { y = DFT <axis = 1> (x) }"),
    quiet=ModelText(
        "g (float[1,8] x) => (float[1,10] y) { y = MatMul (x, basis) }", weights=(Weights("basis", (8, 10)),)
    ),
)

INTEGER_QUANTIZED = OperatorsKind(
    id="operators/integer-quantized",
    summary="Operator-oriented quantization",
    title="{nodes} is not supported",
    cause="""
QLinearConv, MatMulInteger, DynamicQuantizeLinear are how ONNX Runtime's `QOperator` format writes a quantized
model. TensorRT reads the QDQ format only.
""",
    evidence="""The nodes.""",
    example="""`quantize_dynamic(...)`, or `quantize_static(quant_format=QuantFormat.QOperator)`.""",
    fix="""`quantize_static(quant_format=QuantFormat.QDQ)` with symmetric activations.""",
    shows=ModelText("""
g (float[4] x) => (float[4] y) {
  q, s, z = DynamicQuantizeLinear (x)
  y = DequantizeLinear (q, s, z)
}
"""),
    quiet=ModelText("""
g (float[4] x) => (float[4] y) <float s = {0.5}, int8 z = {0}> {
  q = QuantizeLinear (x, s, z)
  y = DequantizeLinear (q, s, z)
}
"""),
)

SAMPLING = OperatorsKind(
    id="operators/sampling",
    summary="Random sampling",
    title="{nodes} is not supported",
    cause="""Multinomial and Bernoulli draw random numbers; TensorRT does not take them.""",
    evidence="""The node.""",
    example="""Sampling the next token inside the model.""",
    fix="""Return the logits and sample outside; or feed random numbers as an input.""",
    shows=ModelText("g (float[1,16] x) => (float[1,16] y) { y = Bernoulli (x) }"),
    quiet=ModelText("g (float[1,16] x, float[1,16] noise) => (bool[1,16] y) { y = Less (noise, x) }"),
)

LOSS = OperatorsKind(
    id="operators/loss",
    summary="A training loss",
    title="{nodes} is not supported",
    cause="""The graph computes a loss, which inference does not need.""",
    evidence="""The node.""",
    example="""SoftmaxCrossEntropyLoss.""",
    fix="""Export the model without it.""",
    shows=ModelText("g (float[2,4] x, int64[2] t) => (float y) { y = SoftmaxCrossEntropyLoss (x, t) }"),
    quiet=ModelText("g (float[2,4] x) => (float[2,4] y) { y = LogSoftmax (x) }"),
)

NEEDS_PLUGIN = OperatorsKind(
    id="operators/needs-plugin",
    summary="Implemented as a plug-in",
    title="{nodes} is not supported",
    severities=(Severity.ERROR, Severity.WARNING),
    tiers=(Tier.PARSER, Tier.BUILDER),
    cause="""TensorRT implements the operator (DeformConv) as a plug-in, and this edition does not contain it.""",
    evidence="""The node, and the release that contains it.""",
    example="""DeformConv on TensorRT-RTX.""",
    fix="""Use the enterprise edition, load the plug-in library, or replace it (GridSample and Conv).""",
    shows=ModelText(
        "g (float[1,1,3,3] x, float[1,8,2,2] offset) => (float[1,1,2,2] y) { y = DeformConv (x, w, offset) }",
        opset=19,
        weights=(Weights("w", (1, 1, 2, 2)),),
    ),
    quiet=ModelText(
        "g (float[1,1,3,3] x) => (float[1,1,2,2] y) { y = Conv (x, w) }",
        opset=19,
        weights=(Weights("w", (1, 1, 2, 2)),),
    ),
)

PLUGIN_MISSING = OperatorsKind(
    id="operators/plugin-missing",
    summary="A plug-in of TensorRT's own is missing",
    title="{nodes} is not supported",
    severities=(Severity.ERROR, Severity.WARNING),
    tiers=(Tier.BUILDER, Tier.PARSER),
    cause="""The importer looked for a plug-in that belongs to TensorRT and is not registered.""",
    evidence="""The parser's text: `... plugin creator version 1 was not found in plugin registry`.""",
    example="""NonZero on TensorRT-RTX.""",
    fix="""Use the enterprise edition, or load its plug-in library before parsing.""",
    shows=Message("NonZero plugin creator version 1 was not found in plugin registry."),
    quiet=Message("No importer registered for op: Foo. Attempting to import as plugin."),
)

PLUGIN = OperatorsKind(
    id="operators/plugin",
    summary="A custom operator",
    title="{nodes} needs a plugin",
    cause="""The operator is in a domain of its own, or has the name of a TensorRT plug-in. TensorRT needs a plug-in of
exactly that name, version and namespace, and none is loaded. (Its message is the same for every operator that it does
not know.)""",
    evidence="""Operator and domain.""",
    example="""`MMCVModulatedDeformConv2d` of `mmdeploy`; `EfficientNMS_TRT` without `init_libnvinfer_plugins`.""",
    fix="""Load the library that implements it before parsing, or re-export with standard operators.""",
    shows=ModelText("""
<ir_version: 8, opset_import: ["" : 17, "mmdeploy" : 1]>
g (float[2] x) => (float[2] y) { y = mmdeploy.Rotated (x) }
"""),
    quiet=ModelText("g (float[2] x) => (float[2] y) { y = Relu (x) }"),
)

MISSPELT = OperatorsKind(
    id="operators/misspelt",
    summary="Almost the name of an ONNX operator",
    title="{nodes} is not an ONNX operator: misspelt?",
    cause="""
No opset of ONNX has an operator of this name, and one has nearly it. A script that edits graphs wrote it.
""",
    evidence="""Both names.""",
    example="""`LeakyReLU` for `LeakyRelu`.""",
    fix="""Rename it (the tool can), and correct the script.""",
    shows=ModelText("g (float[2] x) => (float[2] y) { y = LeakyReLU (x) }"),
    quiet=But("LeakyReLU", "LeakyRelu"),
    rewrites=("rename-op",),
)

UNKNOWN = OperatorsKind(
    id="operators/unknown",
    summary="Not an ONNX operator",
    title="{nodes} is not supported",
    severities=(Severity.ERROR, Severity.WARNING),
    tiers=(Tier.PARSER, Tier.BUILDER),
    cause="""
No opset of ONNX has an operator of this name, and its origin is not known. TensorRT takes it for a
plug-in and says `Plugin not found`.
""",
    evidence="""The name, and who produced the model.""",
    example="""A custom op exported without a domain.""",
    fix="""Replace it, load a plug-in of that name, or put it into a domain of its own.""",
    shows=ModelText("g (float[2] x) => (float[2] y) { y = FluxCapacitor (x) }"),
    quiet=But("FluxCapacitor", "Tanh"),
    matters=frozenset({"specification"}),
)

ATEN = OperatorsKind(
    id="operators/aten",
    summary="PyTorch's own operator was left in the graph",
    title="{nodes} is PyTorch's, not ONNX",
    cause="""The exporter had no ONNX translation and fell back to ATen, PyTorch's operator library. It is not ONNX.""",
    evidence="""The ATen name, and what ONNX calls it.""",
    example="""`grid_sampler` from an export at opset 11; ONNX has GridSample from opset 16 on.""",
    fix="""Re-export at an opset that has it, without `ONNX_ATEN_FALLBACK`; or rewrite the line.""",
    shows=ModelText("g (float[1,1,4,4] x, float[1,2,2,2] grid) => (float[1,1,2,2] y) { y = grid_sampler (x, grid) }"),
    quiet=But("grid_sampler", "GridSample"),
    rewrites=("rename-op",),
)

TENSORFLOW = OperatorsKind(
    id="operators/tensorflow",
    summary="TensorFlow's own operator was left in the graph",
    title="{nodes} is TensorFlow's, not ONNX",
    cause="""
tf2onnx could not convert it and left it. `PartitionedCall` and `StatefulPartitionedCall` are function calls
that were not inlined.
""",
    evidence="""The operator, and that tf2onnx made the model.""",
    example="""`StatefulPartitionedCall` from a SavedModel.""",
    fix="""A newer tf2onnx, `--opset 18`, a frozen SavedModel; or leave that layer outside.""",
    shows=ModelText("g (float[2] x) => (float[2] y) { y = StatefulPartitionedCall (x) }"),
    quiet=ModelText("g (float[2] x) => (float[2] y) { y = Softplus (x) }"),
    vague=True,
)

ORT_OPTIMISED = OperatorsKind(
    id="operators/ort-optimised",
    summary="Saved by ONNX Runtime after optimising",
    title="{nodes} is ONNX Runtime's, not ONNX",
    cause="""
Operators of `com.microsoft` are ONNX Runtime's own. The file was written after its optimiser fused standard
operators into them, or after its quantizer. (TensorRT-RTX reads a few of them; those are not reported.)
""",
    evidence="""The operators of that domain.""",
    example="""`SkipLayerNormalization`, `FastGelu` from `optimizer.optimize_model(...).save_model_to_file`.""",
    fix="""Use the model from before that step.""",
    shows=ModelText("""
<ir_version: 8, opset_import: ["" : 17, "com.microsoft" : 1]>
g (float[2] x) => (float[2] y) { y = com.microsoft.FastGelu (x) }
"""),
    quiet=ModelText("g (float[2] x) => (float[2] y) { y = Gelu (x) }", opset=20),
)

CLASSICAL_ML = OperatorsKind(
    id="operators/classical-ml",
    summary="Classical machine learning",
    title="{nodes} is not supported",
    cause="""Operators of `ai.onnx.ml` (trees, scalers, encoders) are not neural network layers.""",
    evidence="""The operators.""",
    example="""`TreeEnsembleClassifier` from skl2onnx.""",
    fix="""Run them in ONNX Runtime; or convert with hummingbird-ml.""",
    shows=ModelText("""
<ir_version: 8, opset_import: ["" : 17, "ai.onnx.ml" : 3]>
g (float[2] x) => (float[2] y) { y = ai.onnx.ml.Scaler <offset = [1.0], scale = [2.0]> (x) }
"""),
    quiet=ModelText("g (float[2] x) => (float[2] y) <float one = {1}> { y = Sub (x, one) }"),
)

TRAINING_DOMAIN = OperatorsKind(
    id="operators/training-domain",
    summary="An operator for training",
    title="{nodes} is not supported",
    cause="""The operator is of a training domain (gradients, optimizers).""",
    evidence="""The operator and its domain.""",
    example="""`Adam` of `ai.onnx.preview.training`.""",
    fix="""Export the inference graph.""",
    shows=ModelText("""
<ir_version: 8, opset_import: ["" : 17, "ai.onnx.preview.training" : 1]>
g (float r, int64 t, float[2] x, float[2] g, float[2] h) => (float[2] y, float[2] i) {
  y, i = ai.onnx.preview.training.Adagrad (r, t, x, g, h)
}
"""),
    quiet=ModelText("g (float[2] x, float[2] g) => (float[2] y) { y = Sub (x, g) }"),
)

DOMAIN_IGNORED = OperatorsKind(
    id="operators/domain-ignored",
    summary="A foreign operator that would be read as ONNX's",
    title="{ops} of {domains} would be read as ONNX's own",
    severities=(Severity.WARNING,),
    tiers=(Tier.HAZARD,),
    cause="""
TensorRT's parser looks at the operator's name and not at its domain. A custom operator called like an ONNX one
is imported as that, whatever it computes: no error, a wrong result. `com.microsoft.nchwc.Conv` has reordered weights.
""",
    evidence="""Operator and domain.""",
    example="""A model saved by ONNX Runtime at optimisation level ALL.""",
    fix="""Use the original model; give custom operators names of their own.""",
    rewrites=("plain-channels-16", "plain-channels-8"),
    shows=ModelText("""
<ir_version: 8, opset_import: ["" : 17, "my.domain" : 1]>
g (float[2] x) => (float[2] y) { y = my.domain.Relu (x) }
"""),
    quiet=ModelText("g (float[2] x) => (float[2] y) { y = Relu (x) }"),
)

EXTRA_OUTPUT = OperatorsKind(
    id="operators/extra-output",
    summary="An output TensorRT does not compute",
    title="{nodes} has an output that is not supported",
    cause="""The operator is taken, but only its first output.""",
    evidence="""The outputs that are used.""",
    example="""MaxPool's Indices for MaxUnpool (SegNet): `doesn't support mode than 1 outputs for MaxPool nodes`.""",
    fix="""Resize or ConvTranspose instead of MaxUnpool; eval mode for BatchNormalization.""",
    shows=ModelText("""
g (float[1,1,4,4] x) => (float[1,1,2,2] y, int64[1,1,2,2] i) {
  y, i = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (x)
}
"""),
    quiet=ModelText(
        "g (float[1,1,4,4] x) => (float[1,1,2,2] y) { y = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (x) }"
    ),
    matters=frozenset({"training"}),
)

ATTRIBUTE = OperatorsKind(
    id="operators/attribute",
    summary="Supported, but not with this attribute",
    title="{nodes} has an attribute that is not supported",
    cause="""The operator is taken; this value of one attribute is not.""",
    evidence="""The node's attributes.""",
    example="""Resize with `antialias=1`, AveragePool with dilations, ScatterND with `reduction=add`.""",
    fix="""As the finding says; often a preprocessing step that belongs outside the model.""",
    shows=ModelText("g (float[2,3,3] x) => (float[2,3,2] y) { y = LpPool <kernel_shape = [2], p = 3> (x) }"),
    quiet=But("], p = 3>", "], p = 2>"),
    matters=frozenset({"element type", "specification"}),
)

DTYPE = OperatorsKind(
    id="operators/dtype",
    summary="Supported, but not for this element type",
    title="{nodes} is not supported for this element type",
    cause="""The operator is taken; the element type it gets here is not.""",
    evidence="""Operator and type.""",
    example="""ReduceMax on bool; Mod with `fmod=0` on floats.""",
    fix="""Cast before, and back after.""",
    shows=ModelText("g (bool[2,4] x) => (bool[2,1] y) <int64[1] axes = {1}> { y = ReduceMax (x, axes) }", opset=20),
    quiet=But("g (bool[2,", "g (float[2,", "> (bool[2,", "> (float[2,"),
    matters=frozenset({"element type", "quantized type"}),
)

NEEDS_CONSTANT = OperatorsKind(
    id="operators/needs-constant",
    summary="An operand must be a constant",
    title="{nodes} needs a constant",
    tiers=(Tier.PARSER, Tier.BUILDER),
    cause="""
TensorRT needs the value when it builds (axes, K, scales, a zero point), and it is computed or fed at run time.
""",
    evidence="""The operand.""",
    example="""ReduceSum with axes as a graph input.""",
    fix="""Make it an initializer; fold constants if it follows from constants.""",
    shows=ModelText(
        """
g (float[1,4,8,8] x, float[4] scales) => (float[1,4,h,w] y) {
  y = Resize <mode = "linear"> (x, , scales)
}
""",
        ranges={},
    ),
    quiet=ModelText("""
g (float[1,4,8,8] x) => (float[1,4,16,16] y) <float[4] s = {1, 1, 2, 2}> {
  y = Resize <mode = "linear"> (x, , s)
}
"""),
    reads_sizes=True,
)

NO_IMPLEMENTATION = OperatorsKind(
    id="operators/no-implementation",
    summary="Parsed, and no kernel for it",
    title="{node} has no kernel",
    tiers=(Tier.BUILDER,),
    cause="""The parser takes the operator and the builder finds no implementation: not in this edition, not in this
precision, or not within the workspace limit.""",
    evidence="""The builder's text: `has no runners that implement it`.""",
    example="""Attention (opset 23) in fp32; in fp16 it builds.""",
    fix="""Another precision or edition; write it with simpler operators; raise the workspace.""",
    shows=ModelText(
        """
g (float[1,2,4,16] q, float[1,2,4,16] k, float[1,2,4,16] v) => (float[1,2,4,16] y) {
  y = Attention (q, k, v)
}
""",
        opset=23,
        ir_version=10,
    ),
    quiet=ModelText(
        """
g (float16[1,2,4,16] q, float16[1,2,4,16] k, float16[1,2,4,16] v) => (float16[1,2,4,16] y) {
  y = Attention (q, k, v)
}
""",
        opset=23,
        ir_version=10,
    ),
    reads_sizes=True,
)

LOW_PRECISION_CAST = OperatorsKind(
    id="operators/low-precision-cast",
    summary="A Cast to or from FP8, FP4 or INT4",
    title="{node} {role} {dtype}",
    tiers=(Tier.BUILDER,),
    cause="""
These types exist only between QuantizeLinear and DequantizeLinear. The parser takes a Cast to one; the builder
refuses: `has datatype FP8 but is not produced by IQuantizeLayer`.
""",
    evidence="""The Cast, the tensor and its type.""",
    example="""`x.to(torch.float8_e4m3fn)` as the model's last operation.""",
    fix="""QuantizeLinear and DequantizeLinear; float16 at the inputs and outputs of the model.""",
    shows=ModelText("g (float[1,8] x) => (float[1,8] y) { q = Cast <to = 17> (x) y = Cast <to = 1> (q) }", opset=19),
    quiet=ModelText("g (float[1,8] x) => (float[1,8] y) { h = Cast <to = 10> (x) y = Cast <to = 1> (h) }", opset=19),
)

NEEDS_GPU = OperatorsKind(
    id="operators/needs-gpu",
    summary="Cannot be judged without a GPU",
    title="{nodes} cannot be judged without a GPU",
    severities=(Severity.NOTE,),
    tiers=(Tier.UNKNOWN,),
    cause="""The operator (RoiAlign) is a plug-in that registers only when a GPU is present.""",
    evidence="""The log line `cudaError 35` beside the refusal.""",
    example="""RoiAlign on a machine without a GPU.""",
    fix="""Check again where there is one.""",
    shows=Shown("tests/rules/operators/test_operators.py::test_what_only_a_gpu_can_tell_is_a_note"),
    quiet=Shown("tests/rules/operators/test_operators.py::test_an_operator_is_traced_to_where_it_comes_from"),
)

BATCH_FIRST_LAYOUT = OperatorsKind(
    id="operators/batch-first-layout",
    summary="A recurrent layer that is batch first",
    title="{node} is batch first (layout=1)",
    severities=(Severity.WARNING,),
    tiers=(Tier.HAZARD,),
    cause="""`layout=1` is implemented by TensorRT-RTX, not by ONNX Runtime's CPU provider nor, by its documentation, by
enterprise TensorRT.""",
    evidence="""The node.""",
    example="""LSTM with `layout=1`.""",
    fix="""`layout=0` with a Transpose before and after.""",
    shows=ModelText(
        "g (float[2,3,4] x) => (float[2,3,1,4] y) { y = GRU <hidden_size = 4, layout = 1> (x, w, r) }",
        weights=(Weights("w", (1, 12, 4)), Weights("r", (1, 12, 4))),
    ),
    quiet=But("float[2,3,1", "float[2,1,3", ", layout = 1", ""),
)

REFUSED = OperatorsKind(
    id="operators/refused",
    summary="Refused for another reason",
    title="{nodes} is refused",
    cause="""The parser refuses the node with a message that is not in the table of messages; it is given as it is.""",
    evidence="""The text.""",
    example="""An assertion of one operator's importer.""",
    fix="""Change what the message names, or replace the operator.""",
    shows=ModelText(
        """
g (float[2,3,4] x) => (float[2,1,3,4] y) {
  y = GRU <hidden_size = 4, activations = ["Foo", "Tanh"]> (x, w, r)
}
""",
        weights=(Weights("w", (1, 12, 4)), Weights("r", (1, 12, 4))),
    ),
    quiet=ModelText(
        "g (float[2,3,4] x) => (float[2,1,3,4] y) { y = GRU <hidden_size = 4> (x, w, r) }",
        weights=(Weights("w", (1, 12, 4)), Weights("r", (1, 12, 4))),
    ),
    vague=True,
)

PARTITIONS = OperatorsKind(
    id="operators/partitions",
    summary="What TensorRT would take without the refused nodes",
    title="TensorRT would take {taken} of {nodes} nodes in {subgraphs}",
    severities=(Severity.NOTE,),
    cause="""
Not a fault: the subgraphs that remain when the graph is cut at the refused nodes, such that no path leaves one
and comes back. Every cut costs a copy of the tensors that cross.
""",
    evidence="""Nodes per subgraph; tensors and bytes that cross at opt.""",
    example="""`TensorRT would take 410 of 412 nodes in 2 subgraphs`.""",
    fix="""Remove the refused nodes; or run in ONNX Runtime with its TensorRT provider, which cuts like this.""",
    shows=ModelText("""
g (float[2,3,3] x) => (float[2] y) {
  a = Relu (x)
  b = Neg (a)
  c = Abs (b)
  d = Exp (c)
  e = Det (d)
  f = Relu (e)
  h = Neg (f)
  y = Abs (h)
}
"""),
    quiet=ModelText("g (float[2,3,3] x) => (float[2] y) { y = Det (x) }"),
    gives_reason=False,
    reads_sizes=True,
)

SIZE_LIMIT = OperatorsKind(
    id="operators/size-limit",
    summary="More than a layer can do",
    title="{node} asks for {size}",
    tiers=(Tier.BUILDER,),
    cause="""The layer has a limit that only the builder knows: the parser takes it.""",
    evidence="""The size and the limit.""",
    example="""TopK with K = 5000; the limit is 3840.""",
    fix="""Stay below the limit, or do it in two steps.""",
    shows=ModelText(
        "g (float[1,8000] x) => (float[1,4000] y, int64[1,4000] i) <int64[1] k = {4000}> { y, i = TopK (x, k) }"
    ),
    quiet=ModelText(
        "g (float[1,8000] x) => (float[1,3840] y, int64[1,3840] i) <int64[1] k = {3840}> { y, i = TopK (x, k) }"
    ),
)
