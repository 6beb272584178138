"""The opset dialog: which opsets there are, where the model stands, and what converting to one would mean."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import msgspec
from textual.binding import Binding, BindingType

from friction_tui.state.app_state import AppState, Job, NoticeLevel
from friction_tui.ui.dialogs.choice import ChoiceScreen
from friction_tui.ui.look.lines import Line, Span, paragraph
from friction_tui.ui.panel import Begin, Cancel, Edit, Say
from friction_tui.vocabulary.protocol import JobKind, OpsetPlan
from friction_tui.vocabulary.recipe import SourceKind

NEWEST = 28
"""Of ai.onnx in onnx 1.23, which converts."""
OLDEST = 7
"""ONNX Runtime runs models from opset 7 on: https://onnxruntime.ai/docs/reference/compatibility.html"""
SHOWN = 4
"""Nodes named of each kind; the others are counted."""
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
    """Every opset is tried out while one looks. Enter converts; the model is judged again, and `u` takes it back."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "leave", "Leave", show=False, id="opset.leave", tooltip="Leave without converting"),
    ]

    def __init__(self, state: AppState) -> None:
        self.state = state
        self._before = max((job.number for job in state.jobs), default=-1)
        self._own = state.summary.opsets.get("", state.summary.opsets.get("ai.onnx", 0)) if state.summary else 0
        self._present = (state.recipe.opset if state.recipe else None) or self._own
        super().__init__(self._title(), self._lines, self._present, state=state)

    def _title(self) -> str:
        """`Opset ─ now 17 ─ trying 21 · 1 of 20`."""
        job = self._job
        tried = job.lines[-1].text if job is not None and job.running and job.lines else ""
        return f"Opset ─ now {self._present}" + (f" ─ trying {tried}" if tried else "")

    @property
    def _converts(self) -> bool:
        """Whether an opset is reached by conversion; code is exported again at it."""
        recipe = self.state.recipe
        return recipe is not None and recipe.source.kind in (SourceKind.ONNX, SourceKind.AUTO)

    def on_mount(self) -> None:
        """Begin to try the opsets."""
        if self._converts:
            self.post_message(Begin(JobKind.OPSETS))

    def state_changed(self, before: AppState) -> None:
        """Show what is known by now."""
        if before.jobs is not self.state.jobs:
            self._list.entitle(self._title())
            self._list.rebuild()

    @property
    def _job(self) -> Job | None:
        mine = [job for job in self.state.jobs if job.kind is JobKind.OPSETS and job.number > self._before]
        return mine[-1] if mine else None

    @property
    def _plans(self) -> dict[int, OpsetPlan]:
        return {plan.opset: plan for plan in self._job.plans} if self._job is not None else {}

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
        mark = (">" if self.state.ascii else "▸") if opset == self._present else " "
        plan = self._plans.get(opset)
        tail: tuple[Span, ...] = _verdict(plan, ascii_only=self.state.ascii) if plan is not None else ()
        if opset == self._present:
            tail = (("now", "good"),)
        if opset == self._own and opset != self._present:
            tail = (("as exported", "note"),)
        return Line(((f"{mark} ", "good"), (f"{opset:>2}  ", "strong"), (NEW.get(opset, ""), "muted")), tail, key=opset)

    def _meaning(self, opset: int) -> list[tuple[str, str]]:
        """What choosing it would do, and who is known to take it."""
        said: list[tuple[str, str]] = []
        plan, job = self._plans.get(opset), self._job
        if opset == self._own:
            said.append(("the model's own opset: nothing is converted", "text"))
        elif not self._converts:
            said.append(("the source is exported again at this opset", "text"))
        elif plan is not None:
            said += explained(plan)
        elif job is not None and not job.running:
            said.append((job.error or "not tried: the search was cancelled", "warning"))
        else:
            said.append((f"converting from {self._own} to see what it gains and loses", "muted"))
        for engine in self.state.hello.engines if self.state.hello else ():
            known = next((span for release, span in DOCUMENTED.items() if engine.label.startswith(release)), None)
            if known is not None and not known[0] <= opset <= known[1]:
                said.append((f"outside {known[0]} to {known[1]}, which NVIDIA documents for {engine.label}", "warning"))
            elif known is not None:
                said.append((f"within {known[0]} to {known[1]}, which NVIDIA documents for {engine.label}", "muted"))
        return said

    def chosen(self, key: object) -> None:
        """Convert to it; where that is known to fail, say so and stay."""
        recipe = self.state.recipe
        plan = self._plans.get(key) if isinstance(key, int) else None
        if plan is not None and plan.refusal:
            self.post_message(Say(f"not converted: {plan.refusal}", NoticeLevel.WARNING, "the model is unchanged"))
            return
        if isinstance(key, int) and recipe is not None:
            wanted = None if key == self._own else key
            self.post_message(Edit(msgspec.structs.replace(recipe, opset=wanted), f"opset {self._present} → {key}"))
        self.action_leave()

    def action_leave(self) -> None:
        """Close; what is not tried yet stays untried."""
        if self._job is not None and self._job.running:
            self.post_message(Cancel(self._job.number))
        self.dismiss(None)


def _verdict(plan: OpsetPlan, *, ascii_only: bool) -> tuple[Span, ...]:
    """The short word at the end of an opset's line."""
    cross, tick = ("X", "+") if ascii_only else ("✗", "✓")
    if plan.refusal:
        return ((f"{cross} {plan.adapter or 'does not convert'}", "error"),)
    if plan.holds is False:
        return (("! outputs differ", "warning"),)
    if plan.lost:
        return ((f"! {len(plan.lost)} more refused", "warning"),)
    if plan.gained:
        return ((f"{tick} {len(plan.gained)} less refused", "good"),)
    return ((f"{tick} converts", "good"),)


def explained(plan: OpsetPlan) -> list[tuple[str, str]]:
    """What an opset gains and loses, as texts with their roles."""
    if plan.refusal:
        return [(plan.refusal, "error"), ("export again at this opset instead; the model stays as it is", "muted")]
    said: list[tuple[str, str]] = []
    said += [(f"gains: {plan.source} takes {_few(plan.gained)}", "good")] if plan.gained else []
    said += [(f"loses: {plan.source} refuses {_few(plan.lost)}", "warning")] if plan.lost else []
    if plan.source and not plan.gained and not plan.lost:
        same = f"refuses the same {plan.refused} as now" if plan.refused else "takes every node, as now"
        said.append((f"{plan.source} {same}", "text"))
    if plan.standard:
        said.append((f"standard there: {_few(plan.standard)}, which this model has from another domain", "note"))
    said += [(f"operators: {'; '.join(plan.became)}", "note")] if plan.became else []
    said += [(f"become inputs: {_few(plan.inputs)}", "note")] if plan.inputs else []
    return [*said, (f"outputs: {plan.verification}", "warning" if plan.holds is False else "muted")]


def _few(names: Sequence[str]) -> str:
    """The first of them, and how many more."""
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
