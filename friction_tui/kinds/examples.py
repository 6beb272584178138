"""Inputs that show a kind of finding, as plain data: each says what to judge, not how.

They stand in the kind's declaration, on its page of the documentation, and in the test that walks the registry
(`tests/kinds/test_examples.py`), which judges them as a whole: parser, rules and deduplication together.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass, field, replace
from typing import Any

from friction_tui.vocabulary.recipe import ExportOptions, Precision, Profile, Range, Values


@dataclass(frozen=True, slots=True)
class Weights:
    """An initializer filled with one value, or with `values` in row order (repeated to the size of `shape`)."""

    name: str
    shape: tuple[int, ...]
    values: tuple[float, ...] = (1.0,)
    dtype: str = "float32"
    """A NumPy or ml_dtypes name."""


@dataclass(frozen=True, slots=True)
class ModelText:
    """A model in ONNX's text form, and what it is judged with.

    `graph` starts at the graph (`g (float[n,4] x) => …`); where it starts with `<` it is a whole model with its header.
    `metadata` are recorded properties of the nodes, by node name. `parsed` False judges without TensorRT's parser.
    """

    graph: str
    opset: int = 17
    ir_version: int = 9
    ranges: dict[str, tuple[int, int, int]] = field(default_factory=lambda: {"n": (1, 2, 4)})
    values: dict[str, Values] = field(default_factory=dict)
    weights: tuple[Weights, ...] = ()
    precision: Precision = Precision.AS_EXPORTED
    target: str = ""
    guessed: bool = False
    """Whether the sizes are the tool's guess instead of `ranges`."""
    parsed: bool = True

    @property
    def profile(self) -> Profile:
        """The optimization profile of `ranges` and `values`."""
        return Profile(ranges={key: Range(*sizes) for key, sizes in self.ranges.items()}, values=dict(self.values))


@dataclass(frozen=True, slots=True)
class Message:
    """A message of an engine: what it decodes to is the finding's kind."""

    text: str


@dataclass(frozen=True, slots=True)
class FileBytes:
    """A file by its name and its content; other files lie beside it. A text is UTF-8."""

    name: str
    content: bytes | str
    beside: dict[str, bytes | str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Built:
    """Python source that makes the model: `model() -> onnx.ModelProto`, for what ONNX's text form cannot say.

    It may use `numpy as np`, `onnx`, `helper`, `numpy_helper` and `TensorProto`, which are defined for it.
    `around` holds what it is judged with; its graph is not used.
    """

    source: str
    around: ModelText = ModelText("")


@dataclass(frozen=True, slots=True)
class TorchModule:
    """A Python file with `create()` giving (module, example inputs), exported with PyTorch as a user would."""

    source: str
    ranges: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    opset: int | None = None
    options: ExportOptions = field(default_factory=ExportOptions)


def net(members: str, inputs: str = "torch.randn(2, 8),", **judged_with: Any) -> TorchModule:
    """A file whose module `Net` has these members, in evaluation mode, and is exported with `inputs`.

    `judged_with` are further fields of `TorchModule`.
    """
    body = textwrap.indent(members.strip("\n"), "    ")
    source = f"""
import torch

class Net(torch.nn.Module):
{body}

def create():
    return Net().eval(), ({inputs})
"""
    return TorchModule(source, **judged_with)


@dataclass(frozen=True, slots=True)
class Stack:
    """Facts about an installation, as the doctor collects them: package versions, driver, GPUs."""

    facts: dict[str, object]


@dataclass(frozen=True, slots=True)
class Shown:
    """A test that shows it, for what needs more than data (a TensorFlow export, a killed process): its pytest id."""

    test: str


Example = ModelText | Built | Message | FileBytes | TorchModule | Stack | Shown


class But:
    """The example that it stands beside, in which each `old, new` of `fragments` is replaced and `fields` are others.

    An `old` is a part of the text of the graph or of the source that stands there once.
    """

    def __init__(self, *fragments: str, **fields: Any) -> None:
        self._fragments, self._fields = fragments, fields

    def of(self, shown: Example) -> Example:
        """The example close to `shown`. Raises ValueError without a text, and for an `old` that is not there once."""
        name = "graph" if isinstance(shown, ModelText) else "source"
        if not isinstance(shown, ModelText | Built | TorchModule):
            raise ValueError(f"{shown} has no text to replace something in")
        text: str = getattr(shown, name)
        for old, new in zip(self._fragments[::2], self._fragments[1::2], strict=True):
            if text.count(old) != 1:
                raise ValueError(f"{old!r} does not stand once in {text}")
            text = text.replace(old, new)
        return replace(shown, **{name: text, **self._fields})
