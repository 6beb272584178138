"""Latency as measured: figures, distribution, the run over time, and the runs before with their difference.

What ran it stands beside every figure; ONNX Runtime's time is never shown as TensorRT's.
"""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType

from friction_tui.state.app_state import Job
from friction_tui.ui.look.charts import Axis, Chart, Series, drawn, round_steps
from friction_tui.ui.look.lines import Line, Span, cut, packed, paragraph
from friction_tui.ui.measured.chart_panel import ChartPanel
from friction_tui.ui.measured.noise import TEST, compare
from friction_tui.ui.panel import Begin
from friction_tui.vocabulary.protocol import JobKind, LatencyResult
from friction_tui.vocabulary.recipe import POINTS
from friction_tui.vocabulary.recipe.changes import changes
from friction_tui.vocabulary.units import milliseconds_text, seconds_text

BESIDE = 80
"""Columns from which distribution and time series stand beside each other."""
USUAL = 4
"""How many times the way from p50 to p90 the distribution goes beyond p50, at most up to p99."""
RUNS_SHOWN = 8


class LatencyPanel(ChartPanel):
    """Figures and charts of one measurement; up and down choose it among the runs."""

    DEFAULT_CSS = "LatencyPanel { scrollbar-gutter: stable; }"
    NAME = "Latency"
    READS = frozenset({"jobs", "recipe", "hello", "ascii"})
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "point(-1)", "Smaller", show=False, id="latency.smaller", tooltip="Measure at a smaller point"),
        Binding("right", "point(1)", "Larger", show=False, id="latency.larger", tooltip="Measure at a larger point"),
        Binding("s", "measure", "Measure there", show=False, id="latency.here", tooltip="Measure at the chosen point"),
    ]

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.point = "opt"

    def title(self) -> str:
        """`Latency ─ measured by ONNX Runtime 1.32 CPU, 2 threads`."""
        if self.state.running(JobKind.MEASURE):
            return f"{self.NAME} ─ measuring"
        job = self.state.of_present(self.state.latencies)
        if job is None or job.latency is None:
            return self.NAME
        return f"{self.NAME} ─ measured by {job.latency.source}" + (" ─ stale" if self.state.is_stale(job) else "")

    @property
    def _chosen(self) -> Job | None:
        runs = self.state.latencies
        return next((job for job in runs if job.number == self.cursor_key), self.state.of_present(runs))

    def lines(self, width: int) -> list[Line]:
        """What runs now, the chosen run, then all runs."""
        lines = self._under_way(width)
        chosen = self._chosen
        if chosen is not None and chosen.latency is not None:
            lines += self._figures(chosen, chosen.latency, width)
            lines += self._charts(chosen.latency, width)
            lines += self._runs(width)
        elif not lines:
            lines = self._nothing(width)
        return lines

    def _under_way(self, width: int) -> list[Line]:
        job = self.state.running(JobKind.MEASURE)
        if job is not None:
            phase = next((phase.name for phase in reversed(job.phases) if phase.seconds is None), "start")
            return paragraph(f"measuring: {phase}, {seconds_text(job.elapsed)}   Esc cancels", width, "note")
        ended = [job for job in self.state.jobs if job.kind is JobKind.MEASURE and not job.running]
        if ended and ended[-1].error:
            return paragraph(f"the last measurement failed: {ended[-1].error}", width, "error", indent=self._cross())
        return []

    def _cross(self) -> tuple[Span, ...]:
        return (("X " if self.state.ascii else "✗ ", "error"),)

    def _nothing(self, width: int) -> list[Line]:
        elsewhere = f", s at {self.point}" if self.point != "opt" else ""
        lines = paragraph(f"nothing measured yet; m measures at opt{elsewhere}", width, "muted")
        if self.state.hello is not None and self.state.hello.no_gpu:
            lines += paragraph(f"TensorRT cannot be timed: {self.state.hello.no_gpu}", width, "muted")
        return lines

    def _figures(self, job: Job, result: LatencyResult, width: int) -> list[Line]:
        stale = self.state.is_stale(job)
        role = "stale" if stale else "strong"
        figures: list[list[Span]] = [
            [(f"{name} ", "muted"), (milliseconds_text(value), role)]
            for name, value in (("p50", result.p50), ("p90", result.p90), ("p99", result.p99))
        ]
        figures.append([(f"{result.per_second:,.1f}", role), (" inferences/s", "muted")])
        figures += [[("stale", "stale")]] if stale else []
        lines = packed(figures, width)
        sizes = ", ".join(f"{name} {'×'.join(map(str, shape)) or 'scalar'}" for name, shape in result.shapes.items())
        sizes = sizes.replace("×", "x") if self.state.ascii else sizes
        runs = f"{len(result.times_ms)} runs"
        lines += paragraph(f"measured by {result.source} · {result.point} · {runs}", width, "muted")
        warm = f"{result.warmup} to warm up · loaded in {milliseconds_text(result.load_ms)}"
        lines += paragraph(f"{sizes} · {warm}", width, "muted")
        if result.note:
            lines += paragraph(result.note, width, "note", indent=(("? ", "note"),))
        if stale and self.state.recipe is not None:
            since = ", ".join(changes(job.recipe, self.state.recipe))
            lines += paragraph(f"stale: changed since: {since}; m measures again", width, "stale")
        return lines

    def _charts(self, result: LatencyResult, width: int) -> list[Line]:
        height = max(min(self.scrollable_content_region.height - 6, 16), 6)
        if width < BESIDE:
            return [*self._distribution(result, width, height), *self._series(result, width, height)]
        half = (width - 2) // 2
        left, right = self._distribution(result, half, height), self._series(result, half, height)
        return [
            Line((*cut(a.spans, half), (" " * (half + 2 - _cells(a)), "text"), *b.spans))
            for a, b in zip(left, right, strict=False)
        ]

    def _distribution(self, result: LatencyResult, width: int, height: int) -> list[Line]:
        """A histogram of what is usual: the few slowest runs would flatten everything else."""
        low = min(result.times_ms)
        high = max(min(result.p99, result.p50 + USUAL * (result.p90 - result.p50)), low * 1.001)
        bins = max(min(width // 2, len(result.times_ms) // 4, 40), 4)
        size = (high - low) / bins
        counts = [0] * bins
        for time in result.times_ms:
            if time <= high:
                counts[min(int((time - low) / size), bins - 1)] += 1
        beyond = sum(time > high for time in result.times_ms)
        edges = tuple(low + size * edge for edge in range(bins + 1))
        chart = Chart(
            (Series(edges, tuple(map(float, counts)), "note", "bars"),),
            Axis(low, high, _ticks(low, high, 4, " ms")),
            Axis(0, max(counts) or 1, _ticks(0, max(counts), 3)),
        )
        rest = f"; {beyond} slower" if beyond else ""
        return [
            _caption(f"runs by time, to {milliseconds_text(high)}{rest}", width),
            *drawn(chart, width, height - 1, ascii_only=self.state.ascii),
        ]

    def _series(self, result: LatencyResult, width: int, height: int) -> list[Line]:
        """Times in the order measured, thinned to what the columns can show by the slowest of each stretch."""
        times, columns = result.times_ms, max(width * 2 - 20, 10)
        stride = max(1, -(-len(times) // columns))
        slowest = [max(times[at : at + stride]) for at in range(0, len(times), stride)]
        xs = tuple(float(at * stride) for at in range(len(slowest)))
        high = max(times) * 1.05
        chart = Chart(
            (Series(xs, tuple(slowest), "good"),),
            Axis(0, max(xs[-1], 1), _ticks(0, xs[-1], 4)),
            Axis(0, high, _ticks(0, high, 3, " ms")),
        )
        what = "time of each run, in order" if stride == 1 else f"slowest of every {stride} runs, in order"
        return [_caption(what, width), *drawn(chart, width, height - 1, ascii_only=self.state.ascii)]

    def _runs(self, width: int) -> list[Line]:
        """All runs, newest first, each against the chosen one where that compares like with like."""
        runs = [job for job in self.state.latencies if job.latency is not None]
        chosen = self._chosen
        if len(runs) < 2 or chosen is None or chosen.latency is None:
            return []
        lines = [Line(), Line((("runs", "strong"), ("   against the one under the cursor", "muted")))]
        compared = False
        for job in list(reversed(runs))[:RUNS_SHOWN]:
            assert job.latency is not None
            result = job.latency
            mark = (">" if self.state.ascii else "▸") if job is chosen else " "
            head = f"{mark} #{job.nth:<3} {milliseconds_text(result.p50):>10} p50  {result.point}  {result.source}"
            tail: tuple[Span, ...] = (("this one", "muted"),)
            if job is not chosen:
                tail, tested = _against(chosen.latency, result)
                compared = compared or tested
            role = "stale" if self.state.is_stale(job) else "text"
            what = ", ".join(changes(chosen.recipe, job.recipe))
            lines.append(Line(((head, role), (f"  {what}", "muted")), tail, key=job.number))
        return [*lines, *(paragraph(f"more than noise: {TEST}", width, "muted") if compared else [])]

    def _go(self, index: int) -> None:
        super()._go(index)
        self.rebuild()

    def action_point(self, step: int) -> None:
        """Choose where in the range to measure."""
        self.point = POINTS[(POINTS.index(self.point) + step) % len(POINTS)]
        self.border_subtitle = f"s measures at {self.point}"
        self.rebuild()

    def action_measure(self) -> None:
        """Measure at the chosen point."""
        if self.state.recipe is not None and self.state.running(JobKind.MEASURE) is None:
            self.post_message(Begin(JobKind.MEASURE, point=self.point))


def _against(chosen: LatencyResult, other: LatencyResult) -> tuple[tuple[Span, ...], bool]:
    """How another run compares with the chosen one, and whether a test was made."""
    if (chosen.source, chosen.point) != (other.source, other.point):
        return (("not comparable", "muted"),), False
    found = compare(chosen.times_ms, other.times_ms)
    text = f"{found.change:+.1%}"
    if found.p is None:
        return ((f"{text}, too few runs to tell", "muted"),), False
    if not found.real:
        return ((f"{text}, within noise", "muted"),), True
    return ((f"{text}, {'slower' if found.change > 0 else 'faster'}", "warning" if found.change > 0 else "good"),), True


def _ticks(low: float, high: float, count: int, unit: str = "") -> tuple[tuple[float, str], ...]:
    return tuple((at, f"{at:g}{unit}") for at in round_steps(low, high, count))


def _caption(text: str, width: int) -> Line:
    return Line(tuple(cut(((text, "muted"),), width)))


def _cells(line: Line) -> int:
    return sum(len(text) for text, _ in line.spans)
