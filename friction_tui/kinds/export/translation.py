"""What has no translation to ONNX, in PyTorch and in TensorFlow."""

from functools import partial

from friction_tui.kinds.examples import But, Shown, net
from friction_tui.kinds.kind import Kind
from friction_tui.vocabulary.finding import Severity, Tier

TranslationKind = partial(
    Kind,
    tiers=(Tier.EXPORT,),
    knows_why=True,
)
"""What the kinds of this family have in common, unless they say otherwise."""

MISSING_ONNX_FUNCTION = TranslationKind(
    id="export/missing-onnx-function",
    summary="An operator has no translation to ONNX",
    title="{op} has no ONNX function",
    cause="""The exporter's registry has no ONNX function for it: `No ONNX function found for <OpOverload ...>`, in the
legacy exporter `Exporting the operator ... is not supported`, in tf2onnx `Tensorflow op ... is not supported`.""",
    evidence="""
Every such operator of the model, not only the first, each with the lines (or Keras layer) that use it and
the lowest opset that has it.
""",
    example="""`torch.linalg.svd(x)`.""",
    fix="""
Raise the opset when a higher one has it; replace the operator; add an entry to `custom_translation_table`; or
compute that part outside the model.
""",
    shows=net(
        """
def __init__(self):
    super().__init__()
    self.register_buffer("edges", torch.linspace(0, 1, 9))

def forward(self, x):
    return torch.searchsorted(self.edges, x)
""",
        "torch.rand(2, 8),",
    ),
    quiet=But("torch.searchsorted(self.edges, x", "(x.unsqueeze(-1) > self.edges).sum(-1"),
)

MISSING_DECOMPOSITION = TranslationKind(
    id="export/missing-decomposition",
    summary="An operator came out of a decomposition and has no translation",
    title="{op} has no ONNX function",
    cause="""A torch operator was taken apart into `prims` operators, one of which has no ONNX function.""",
    evidence="""The `prims` operator and the line whose call became it.""",
    example="""`torch.special.i1(x)` becomes `prims::bessel_i1`.""",
    fix="""As for a missing ONNX function: replace the call, or translate it with `custom_translation_table`.""",
    shows=net(
        """
def forward(self, x):
    return torch.special.i1(x)
""",
    ),
    quiet=But("special.i1", "special.expit"),
)

COMPLEX = TranslationKind(
    id="export/complex",
    summary="Complex tensors",
    title="Complex tensors: {problem}",
    severities=(Severity.ERROR, Severity.NOTE),
    cause="""ONNX has no complex type. The exporter carries real and imaginary part in a last dimension of 2 and
translates a few operators for it.""",
    evidence="""The operator and its line; or the input that changed shape.""",
    example="""`torch.fft.fft(x).tanh()`.""",
    fix="""Real arithmetic on `torch.view_as_real(z)`; a DFT as a matrix product; or outside the model.""",
    shows=net(
        """
def forward(self, x):
    return torch.fft.fft(x).tanh().abs()
""",
    ),
    quiet=But("torch.fft.", "torch.view_as_real(torch.fft.", ".tanh().abs", ").tanh"),
)

INVALID_MODEL = TranslationKind(
    id="export/invalid-model",
    summary="The exporter wrote a model that is not valid",
    title="The exporter wrote a model that is not valid: {part}",
    cause="""
The exporter's translation of an operator gives a node with types or attributes that ONNX does not allow, and
the export ends without an error.
""",
    evidence="""ONNX Runtime's message when it loads the file, the node, and the line it came from.""",
    example="""`torch.istft`: a ScatterND with int32 indices.""",
    fix="""Other operators on that line; `optimize` off; the legacy exporter.""",
    shows=net(
        """
def __init__(self):
    super().__init__()
    self.register_buffer("window", torch.hann_window(64))

def forward(self, wave):
    spectrum = torch.stft(wave, 64, 16, window=self.window, return_complex=True)
    return torch.istft(spectrum * 0.5, 64, 16, window=self.window)
""",
        "torch.randn(1, 512),",
    ),
    quiet=But("istft(spectrum", "view_as_real(spectrum)", ", 64, 16, window=self.window)", ""),
)

TF_FUNCTION_LEFT = TranslationKind(
    id="export/tf-function-left",
    summary="A TensorFlow function call was not inlined",
    title="A TensorFlow function call ({op}) was not inlined",
    cause="""A nested tf.function with a resource or a custom gradient stays as `PartitionedCall`.""",
    evidence="""The node and its layer.""",
    example="""`StatefulPartitionedCall` in the ONNX graph.""",
    fix="""Save again with `model.export(folder)`.""",
    shows=Shown("tests/sources/tensorflow/test_findings.py::test_a_call_that_was_not_inlined_is_named_with_its_layer"),
    quiet=Shown("tests/sources/tensorflow/test_findings.py::test_operators_that_onnx_knows_are_not_reported"),
)

NHWC_TRANSPOSES = TranslationKind(
    id="export/nhwc-transposes",
    summary="Transposes between channels-last and channels-first",
    title="{transposes} between channels-last and channels-first{where}",
    severities=(Severity.NOTE,),
    tiers=(Tier.HAZARD,),
    cause="""TensorFlow works on NHWC, ONNX convolutions on NCHW.""",
    evidence="""The transposes.""",
    example="""A Transpose in front of the first Conv.""",
    fix="""`inputs_as_nchw` of tf2onnx, and channels-first data.""",
    shows=Shown("tests/sources/tensorflow/test_findings.py::test_transposes_between_layouts_are_counted"),
    quiet=Shown("tests/sources/tensorflow/test_findings.py::test_operators_that_onnx_knows_are_not_reported"),
)
