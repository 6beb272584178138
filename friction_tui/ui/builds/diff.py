"""Two builds beside each other: what was changed, what that did to sizes and times, which kernels differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from friction_tui.state.app_state import Job
from friction_tui.ui.dialogs.text_screen import TextScreen
from friction_tui.ui.look.lines import Line, Span, paragraph
from friction_tui.vocabulary.protocol import BuildResult, Kernel
from friction_tui.vocabulary.recipe.changes import changes
from friction_tui.vocabulary.units import NOT_SAID, change_text, seconds_text, size_text


def diff_screen(before: Job, after: Job, *, ascii_only: bool) -> TextScreen:
    """The comparison as a page."""
    return TextScreen(
        f"Build #{before.nth} and #{after.nth}", lambda width: page(before, after, width, ascii_only=ascii_only)
    )


def page(before: Job, after: Job, width: int, *, ascii_only: bool) -> list[Line]:
    """The comparison at `width` cells."""
    old, new = before.build, after.build
    assert old is not None
    assert new is not None
    what = changes(before.recipe, after.recipe)
    lines = [Line((("recipe", "strong"),))]
    for said in what or ["the same: differences below come from the builder itself"]:
        lines += paragraph(said, width, "text", indent=(("  ", "text"),))
    if old.source != new.source:
        lines += paragraph(f"built by {old.source}, then by {new.source}", width, "warning", indent=(("  ", "text"),))
    lines += [Line(), _heading(before, after), *_rows(old, new), Line()]
    return [*lines, *_kernels(old, new, width, ascii_only=ascii_only)]


def _heading(before: Job, after: Job) -> Line:
    return Line(
        (("sizes and times     ", "strong"), (f"{'#' + str(before.nth):>12}{'#' + str(after.nth):>12}", "muted"))
    )


def _rows(old: BuildResult, new: BuildResult) -> list[Line]:
    amounts: list[tuple[str, float | None, float | None, Callable[[float | None], str]]] = [
        ("build time", old.seconds, new.seconds, _seconds),
        ("engine", old.engine_bytes, new.engine_bytes, size_text),
        (
            "activations, planned",
            max(old.activation_bytes, default=None),
            max(new.activation_bytes, default=None),
            size_text,
        ),
        ("weights", old.weights_bytes, new.weights_bytes, size_text),
        ("scratch", old.scratch_bytes, new.scratch_bytes, size_text),
        ("device, persistent", old.device_persistent_bytes, new.device_persistent_bytes, size_text),
        ("peak host", old.peak_host_bytes, new.peak_host_bytes, size_text),
    ]
    lines = []
    for name, first, second, text in amounts:
        if first is None and second is None:
            continue
        moved = change_text(first, second) if text is size_text else ""
        role = "muted" if moved in ("", "same") else "warning" if moved.startswith("+") else "good"
        figures = f"{text(first):>12}{text(second):>12}"
        lines.append(Line(((f"  {name:<20}"[:22], "muted"), (figures, "text"), (f"  {moved}", role))))
    return lines


def _seconds(seconds: float | None) -> str:
    return NOT_SAID if seconds is None else seconds_text(seconds)


def _kernels(old: BuildResult, new: BuildResult, width: int, *, ascii_only: bool) -> list[Line]:
    """Kernels that hold the same ONNX nodes are the same; their names carry tactics that change from run to run."""
    first, second = Counter(map(_held, old.kernels)), Counter(map(_held, new.kernels))
    gone, come = _surplus(old.kernels, second), _surplus(new.kernels, first)
    same = (first & second).total()
    head = f"   {len(old.kernels)}, then {len(new.kernels)}; {same} hold the same ONNX nodes"
    lines = [Line((("kernels", "strong"), (head, "muted")))]
    if not gone and not come:
        return [*lines, *paragraph("the same nodes are fused in both", width, "muted", indent=(("  ", "text"),))]
    for mark, role, kernels in (("-", "warning", gone), ("+", "good", come)):
        for kernel in kernels:
            indent: tuple[Span, ...] = ((f"  {mark} ", role),)
            lines += paragraph(_kernel_text(kernel, ascii_only=ascii_only), width, "text", indent=indent)
    return lines


def _held(kernel: Kernel) -> frozenset[str]:
    return frozenset(kernel.onnx_nodes) or frozenset((kernel.name,))


def _surplus(kernels: tuple[Kernel, ...], others: Counter[frozenset[str]]) -> list[Kernel]:
    """The kernels for whose nodes the other build has no kernel left."""
    left, surplus = Counter(others), []
    for kernel in kernels:
        if left[_held(kernel)] > 0:
            left[_held(kernel)] -= 1
        else:
            surplus.append(kernel)
    return surplus


def _kernel_text(kernel: Kernel, *, ascii_only: bool) -> str:
    nodes = ", ".join(kernel.onnx_nodes)
    return f"{kernel.name} {'<-' if ascii_only else '←'} {nodes}" if nodes else f"{kernel.name} (TensorRT's own)"
