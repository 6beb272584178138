"""The opset dialog: which opsets there are, where the model stands, and what converting to one would mean."""

from __future__ import annotations

import msgspec

from friction_tui.recipe import SourceKind
from friction_tui.tui.choice import ChoiceScreen
from friction_tui.tui.lines import Line, Span, paragraph
from friction_tui.tui.panel import Edit
from friction_tui.tui.state import AppState

NEWEST = 28
"""Of ai.onnx in onnx 1.23, which converts."""
OLDEST = 7
"""ONNX Runtime runs models from opset 7 on: https://onnxruntime.ai/docs/reference/compatibility.html"""
FLOOR = 14
"""Below it onnx's converter refuses almost every model: it has few adapters downward."""
DOCUMENTED = {"TensorRT 11.": (9, 25)}
"""What NVIDIA documents for the parser of a release: https://docs.nvidia.com/deeplearning/tensorrt/latest/reference/"""
NEW = {
    11: "GatherND, ScatterND, CumSum, Range, Round",
    12: "Einsum, Celu, GreaterOrEqual",
    13: "per-channel quantization, axes as inputs of Squeeze and ReduceSum",
    14: "HardSwish, Trilu",
    15: "CastLike, Optional",
    16: "GridSample",
    17: "LayerNormalization, STFT",
    18: "GroupNormalization, Mish, Bitwise*, axes as inputs of Reduce*",
    19: "DeformConv, float8 quantization",
    20: "Gelu, AffineGrid",
    21: "int4, blocked quantization",
    23: "Attention, RMSNormalization, RotaryEmbedding, float4",
    24: "Swish, TensorScatter",
    26: "CumProd, BitCast",
    27: "LinearAttention, CausalConvWithState",
}
"""Notable additions, from onnx's own operator history (docs/Changelog.md)."""


class OpsetScreen(ChoiceScreen):
    """Enter converts; the model is judged again, and `u` takes it back."""

    def __init__(self, state: AppState) -> None:
        self._state = state
        self._own = state.summary.opsets.get("", state.summary.opsets.get("ai.onnx", 0)) if state.summary else 0
        self._present = (state.recipe.opset if state.recipe else None) or self._own
        super().__init__(f"Opset ─ now {self._present}", self._lines, self._present, ascii_only=state.ascii)

    def _lines(self, width: int) -> list[Line]:
        lines = []
        for opset in range(max(NEWEST, self._own), OLDEST - 1, -1):
            lines.append(self._entry(opset))
            if opset == self.chosen_now:
                lines += [
                    line
                    for text, role in self._meaning(opset)
                    for line in paragraph(text, width, role, indent=(("      ", "text"),), key=opset)
                ]
        return lines

    @property
    def chosen_now(self) -> object:
        """The opset under the cursor."""
        return self.current if self.current is not None else self._present

    def _entry(self, opset: int) -> Line:
        mark = (">" if self._state.ascii else "▸") if opset == self._present else " "
        tail: tuple[Span, ...] = ()
        if opset == self._present:
            tail = (("now", "good"),)
        if opset == self._own and opset != self._present:
            tail = (("as exported", "note"),)
        return Line(((f"{mark} ", "good"), (f"{opset:>2}  ", "strong"), (NEW.get(opset, ""), "muted")), tail, key=opset)

    def _meaning(self, opset: int) -> list[tuple[str, str]]:
        """What choosing it would do, and who is known to take it."""
        said: list[tuple[str, str]] = []
        if opset == self._own:
            said.append(("the model's own opset: nothing is converted", "text"))
        elif opset > self._own:
            said.append((f"converted upward by onnx from {self._own}; outputs are compared before it is kept", "text"))
        elif opset >= FLOOR:
            said.append(
                (
                    f"converted downward from {self._own}: adapters are missing for some operators; it is refused then",
                    "warning",
                )
            )
        else:
            said.append((f"below {FLOOR} the converter refuses almost every model", "warning"))
        if (
            opset < self._own
            and self._state.recipe is not None
            and self._state.recipe.source.kind is SourceKind.PYTORCH
        ):
            said.append(("this model comes from PyTorch: r exports it again at this opset, which is better", "note"))
        for engine in self._state.hello.engines if self._state.hello else ():
            known = next((span for release, span in DOCUMENTED.items() if engine.label.startswith(release)), None)
            if known is not None and not known[0] <= opset <= known[1]:
                said.append((f"outside {known[0]} to {known[1]}, which NVIDIA documents for {engine.label}", "warning"))
            elif known is not None:
                said.append((f"within {known[0]} to {known[1]}, which NVIDIA documents for {engine.label}", "muted"))
            elif engine.can_parse:
                said.append(
                    (f"no range is documented for {engine.label}: its parser is asked about every node", "muted")
                )
        return said

    def chosen(self, key: object) -> None:
        """Convert to it."""
        recipe = self._state.recipe
        if isinstance(key, int) and recipe is not None:
            wanted = None if key == self._own else key
            self.post_message(Edit(msgspec.structs.replace(recipe, opset=wanted), f"opset {self._present} → {key}"))
        self.dismiss(None)
