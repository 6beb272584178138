"""Exports that do not start or do not end: the user's own code, what is not installed, and the process."""

from functools import partial

from friction_tui.kinds.examples import But, Shown, TorchModule, net
from friction_tui.kinds.kind import Kind
from friction_tui.vocabulary.finding import Severity, Tier

ProcessKind = partial(
    Kind,
    tiers=(Tier.EXPORT,),
    knows_why=True,
)
"""What the kinds of this family have in common, unless they say otherwise."""

NO_CONSENT = ProcessKind(
    id="export/no-consent",
    summary="The model's code was not run",
    title="The model's code was not run: there is no consent for it",
    cause="""
Opening this source runs code that came with it, and nobody agreed to these bytes, or they changed since.
""",
    evidence="""The file.""",
    example="""The first `friction-tui model.py:factory`.""",
    fix="""Look at it, then agree; the answer is remembered by SHA-256.""",
    shows=Shown(
        "tests/sources/test_export_process.py::test_nothing_runs_without_consent_and_a_changed_file_needs_a_new_one"
    ),
    quiet=Shown("tests/sources/test_export_process.py::test_a_small_model_is_exported_without_a_finding"),
)

NOT_FOUND = ProcessKind(
    id="export/not-found",
    summary="The source is not there",
    title="There is no {path}",
    cause="""Neither a file nor a module on the Python path has this name.""",
    evidence="""The name.""",
    example="""`friction-tui package.modle:make`.""",
    fix="""Correct it; start in the project's folder.""",
    shows=Shown("tests/sources/test_export_process.py::test_a_source_that_is_not_there_is_said_to_be_missing"),
    quiet=Shown("tests/sources/test_export_process.py::test_a_small_model_is_exported_without_a_finding"),
)

NOT_INSTALLED = ProcessKind(
    id="export/not-installed",
    summary="A package needed for this export is missing",
    title="This export needs {missing}",
    cause="""torch, TensorFlow, tf2onnx or transformers is not in the environment.""",
    evidence="""The import error and the interpreter.""",
    example="""A .keras file without the `tensorflow` extra.""",
    fix="""Install the extra named; `FRICTION_TENSORFLOW_PYTHON` names a separate environment's interpreter.""",
    shows=Shown("tests/sources/tensorflow/test_tensorflow.py::test_an_environment_that_cannot_be_used_is_named"),
    quiet=Shown("tests/sources/pytorch/test_torch_files.py::test_a_hugging_face_directory_is_exported"),
)

USER_CODE = ProcessKind(
    id="export/user-code",
    summary="The model could not be made",
    title="The model {outcome}: {reason}",
    severities=(Severity.ERROR, Severity.WARNING),
    cause="""The file, the factory or the checkpoint raised, or returned something that is not a module.""",
    evidence="""The line and the exception.""",
    example="""A package that is not installed; a state dict of another architecture.""",
    fix="""Install what is missing; name the right factory; give the checkpoint that belongs to it.""",
    shows=TorchModule(
        """
import torch
import a_package_nobody_has

def create():
    return torch.nn.Linear(2, 2).eval(), (torch.randn(1, 2),)
""",
    ),
    quiet=But("a_package_nobody_has", "json"),
)

MODEL_ERROR = ProcessKind(
    id="export/model-error",
    summary="The model fails on its own example input",
    title="The model's forward fails on its example input: {error}",
    cause="""forward raises without any export.""",
    evidence="""The line and the exception.""",
    example="""A `Linear(16, 8)` fed 12 features.""",
    fix="""Correct the example input, or the model.""",
    shows=net(
        """
def __init__(self):
    super().__init__()
    self.fc = torch.nn.Linear(16, 8)

def forward(self, x):
    return self.fc(x.flatten(1))
""",
        "torch.randn(2, 3, 4),",
    ),
    quiet=But("randn(2, 3", "randn(2, 4"),
)

TIMEOUT = ProcessKind(
    id="export/timeout",
    summary="The export took too long and was ended",
    title="The export took longer than {limit} and was ended",
    cause="""Its time limit was reached.""",
    evidence="""The limit and the stage it was in.""",
    example="""A Python loop of 10,000 rounds unrolled.""",
    fix="""A higher limit; a smaller configuration; a vectorised loop.""",
    shows=Shown("tests/sources/test_export_process.py::test_a_timeout_ends_it_and_names_the_stage"),
    quiet=Shown("tests/sources/test_export_process.py::test_a_small_model_is_exported_without_a_finding"),
)

OUT_OF_MEMORY = ProcessKind(
    id="export/out-of-memory",
    summary="The export ran out of memory",
    cause="""It reached its limit, or the system ended it.""",
    evidence="""The limit and the stage.""",
    example="""A model larger than the machine.""",
    fix="""A smaller configuration, a higher limit, a larger machine.""",
    shows=Shown("tests/sources/test_export_process.py::test_the_memory_limit_holds"),
    quiet=Shown("tests/sources/test_export_process.py::test_a_small_model_is_exported_without_a_finding"),
)

CRASHED = ProcessKind(
    id="export/crashed",
    summary="The export process crashed",
    cause="""Native code ended the process.""",
    evidence="""The signal, the stage, the last lines it wrote.""",
    example="""A segmentation fault in a custom extension.""",
    fix="""Run the factory and one forward pass alone.""",
    shows=Shown("tests/sources/test_export_process.py::test_a_crash_of_native_code_is_a_finding_with_its_last_words"),
    quiet=Shown("tests/sources/test_export_process.py::test_a_small_model_is_exported_without_a_finding"),
)

UNKNOWN = ProcessKind(
    id="export/unknown",
    summary="The export failed for a reason not known here",
    title="The export failed: {reason}",
    cause="""The exporter's message fits none of the kinds.""",
    evidence="""Its own message, and the last user line in its traceback.""",
    example="""An internal error of the exporter.""",
    fix="""Read the message; export submodules one by one to find the smallest that fails.""",
    shows=net(
        """
def forward(self, x):
    if torch.compiler.is_exporting():
        raise RuntimeError("not meant for an export")
    return x.relu()
""",
    ),
    quiet=But("is_exporting", "is_compiling() and not torch.compiler.is_exporting", "for an export", "to be compiled"),
)
