"""The target dialog: for which GPUs to judge and build, and in which precision."""

from __future__ import annotations

import msgspec

from friction_tui.state.app_state import AppState
from friction_tui.ui.dialogs.choice import ChoiceScreen
from friction_tui.ui.dialogs.precision import PrecisionScreen
from friction_tui.ui.look.lines import Line, Span, paragraph
from friction_tui.ui.panel import Edit
from friction_tui.vocabulary.gpus import GPUS
from friction_tui.vocabulary.protocol import EngineInfo
from friction_tui.vocabulary.recipe import Precision, Recipe
from friction_tui.vocabulary.recipe.changes import changes

ARCHITECTURES = {
    "SM75": "Turing",
    "SM80": "Ampere",
    "SM86": "Ampere",
    "SM87": "Orin",
    "SM89": "Ada",
    "SM90": "Hopper",
    "SM100": "Blackwell",
    "SM120": "Blackwell",
    "SM121": "Blackwell",
}
"""Compute capability to architecture: https://developer.nvidia.com/cuda-gpus"""
HALVES = (Precision.FP16, Precision.BF16)
PRECISIONS = {
    Precision.AS_EXPORTED: "the model's own types, strongly typed",
    Precision.FP16: "half the memory; overflows above 65504",
    Precision.BF16: "the range of float32, three digits",
    Precision.INT8: "8-bit integers; needs scales, from QDQ nodes or calibration",
    Precision.FP8: "8-bit floats; needs scales, from QDQ nodes",
}


def builder(state: AppState) -> EngineInfo | None:
    """The engine that builds."""
    engines = state.hello.engines if state.hello is not None else ()
    return next((e for e in engines if e.can_build), next((e for e in engines if e.can_parse), None))


class TargetScreen(ChoiceScreen):
    """Enter chooses a target or a precision and stays, so that both can be set; Escape leaves."""

    KEYS = "Enter chooses   Esc closes"

    def __init__(self, state: AppState) -> None:
        self._recipe = state.recipe
        self._engine = builder(state)
        super().__init__(
            "Target and precision",
            self._lines,
            ("target", state.recipe.target if state.recipe else ""),
            state=state,
        )

    def _lines(self, width: int) -> list[Line]:
        if self._recipe is None or self._engine is None:
            return paragraph(
                "no builder is installed here, so there is nothing to choose a target for", width, "warning"
            )
        engine = self._engine
        lines = [Line((("target", "strong"), (f"   {engine.label}", "muted")))]
        default = "every target it builds for by default"
        lines += self._entry(("target", ""), "default", default, width, chosen=not self._recipe.target)
        for target in engine.targets:
            known = ", ".join(gpu.name for gpu in GPUS if gpu.target == target)
            about = " · ".join(part for part in (ARCHITECTURES.get(target, ""), known) if part)
            lines += self._entry(("target", target), target, about, width, chosen=self._recipe.target == target)
        stray = self._recipe.target
        if stray and stray not in engine.targets:
            lines += self._entry(("target", stray), stray, f"not a target of {engine.label}", width, chosen=True)
        lines += [Line(), Line((("precision", "strong"),))]
        for precision, about in PRECISIONS.items():
            taken = precision.value in (engine.precisions or (Precision.AS_EXPORTED.value,))
            how = self._how(precision, engine)
            said = f"{about}{how}" if taken else "comes from QDQ nodes in the model, not from a switch here"
            key = ("precision", precision.value) if taken else None
            lines += self._entry(key, precision.value, said, width, chosen=self._recipe.precision is precision)
        return [*lines, *self._kept(self._recipe, width)]

    def _kept(self, recipe: Recipe, width: int) -> list[Line]:
        """The nodes that stay float32, and the search for them."""
        lines = [
            Line(),
            Line((("stays float32", "strong"), ("   where half precision would break the results", "muted"))),
        ]
        names = recipe.keep_float32
        idle = "" if recipe.precision in HALVES else f", while the precision is {recipe.precision}: no effect"
        if names:
            said = f"{len(names)} node{'s' if len(names) != 1 else ''}{idle}: {', '.join(names)}"
            lines += paragraph(said, width, "text", indent=(("  ", "text"),))
            lines.append(
                Line((("  none of them", "text"), ("   all nodes in half precision again", "muted")), key=("kept", ""))
            )
        wanted = recipe.precision if recipe.precision in HALVES else Precision.FP16
        about = f"   tries {wanted} with ONNX Runtime on the CPU"
        lines.append(Line((("  search for them", "key"), (about, "muted")), key=("kept", "search")))
        return lines

    def _how(self, precision: Precision, engine: EngineInfo) -> str:
        """On TensorRT 10 a precision is a wish to the builder; elsewhere the model's types are edited."""
        if precision is Precision.AS_EXPORTED:
            return ""
        return "; the builder may choose it per layer" if engine.weak_types else "; edits types"

    def _entry(self, key: tuple[str, str] | None, name: str, about: str, width: int, *, chosen: bool) -> list[Line]:
        ticked, empty = ("(x)", "( )") if self.state.ascii else ("●", "○")
        mark: Span = (f"{ticked if chosen else empty} ", "good" if chosen else "muted")
        role = "strong" if chosen else "text" if key is not None else "muted"
        return paragraph(about, width, "muted", indent=(mark, (f"{name:<13}", role)), key=key)

    def chosen(self, key: object) -> None:
        """Choose it at once; the dialog stays."""
        if not isinstance(key, tuple) or self._recipe is None:
            return
        what, value = key
        edited: Recipe
        if (what, value) == ("kept", "search"):
            self.dismiss(None)
            self.app.push_screen(PrecisionScreen(self.state))
            return
        if what == "kept":
            edited = msgspec.structs.replace(self._recipe, keep_float32=())
        elif what == "target":
            edited = msgspec.structs.replace(self._recipe, target=value)
        else:
            edited = msgspec.structs.replace(self._recipe, precision=Precision(value))
        if edited != self._recipe:
            self.post_message(Edit(edited, ", ".join(changes(self._recipe, edited))))
            self._recipe = edited
            self._list.rebuild()
