"""Memory: what the model needs along one dimension, predicted and planned, and what a GPU really uses.

A line of dots is a prediction, a point is TensorRT's own plan from a build, a line over time is measured through NVML.
"""

from __future__ import annotations

from typing import ClassVar

import msgspec
from rich.markup import escape
from textual.binding import Binding, BindingType

from friction_tui.state.app_state import AppState, Job
from friction_tui.ui.dialogs.text_prompt import TextPrompt
from friction_tui.ui.look.charts import Axis, Chart, Series, drawn, round_steps
from friction_tui.ui.look.lines import Line, Span, cut, packed, paragraph, width_of
from friction_tui.ui.measured.chart_panel import ChartPanel
from friction_tui.ui.panel import Ask
from friction_tui.vocabulary.gpus import GPUS, RESERVE, Gpu, extrapolated, fits_up_to, named, needed
from friction_tui.vocabulary.protocol import EngineInfo, Forecast, GpuSample, MemoryForecast, WatchGpu
from friction_tui.vocabulary.recipe import Range
from friction_tui.vocabulary.units import seconds_text, size_text

BESIDE = 96
"""Columns from which the live chart stands beside the forecast."""
WATCH_EVERY = 1.0
"""Seconds between NVML samples."""
FAR = 32
"""Times the largest size tried, from where an extrapolated figure would only pretend to know."""
DOUBT = 0.3
"""How far, relatively, a plan may be from the forecast before the panel says so; 7 % is the most that was measured."""
PLANNED_ONLY = "predicted and planned figures only: "
NO_GPU = "no NVIDIA GPU here"
NVML = "NVML"
MISSING = {"process": "this process", "others": "other processes", "utilization": "busy"}
"""The figures that go by another name on the screen."""


class MemoryPanel(ChartPanel):
    """Left and right choose the dimension the forecast runs along."""

    DEFAULT_CSS = "MemoryPanel { scrollbar-gutter: stable; }"
    NAME = "Memory"
    READS = frozenset(
        {"forecast", "forecast_note", "forecast_revision", "revision", "judged", "jobs", "gpu", "hello", "ascii"}
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "left",
            "along(-1)",
            "Dimension",
            show=False,
            id="memory.previous",
            tooltip="Forecast along another dimension",
        ),
        Binding(
            "right", "along(1)", "Dimension", show=False, id="memory.next", tooltip="Forecast along the next dimension"
        ),
        Binding("g", "own", "Your GPU", show=False, id="memory.own", tooltip="Say how much memory your GPU has"),
    ]

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._key = ""
        self._asked: tuple[int, str] | None = None
        self._own: Gpu | None = None
        self._watching = False
        self._seen = False
        """Whether someone can see it: forecasts of large models take time, so they are asked for only when shown."""

    # ------------------------------------------------------------------------------------- questions

    def state_changed(self, before: AppState) -> None:
        """Ask for a forecast of every new verdict while someone looks, and for samples where there is a GPU."""
        self._ask()
        super().state_changed(before)

    def on_show(self) -> None:
        """Ask for what was not asked while hidden."""
        self._seen = True
        self._ask()

    def on_hide(self) -> None:
        """Ask no more."""
        self._seen = False

    def _ask(self) -> None:
        state = self.state
        if not self._seen or state.summary is None:
            return
        wanted = (state.revision, self._key)
        judged = state.judged is not None and state.judged.revision == state.revision
        if judged and wanted != self._asked:
            self._asked = wanted
            self.post_message(Ask(Forecast(key=self._key)))
        if state.hello is not None and state.hello.gpus and not self._watching:
            self._watching = True
            self.post_message(Ask(WatchGpu(interval=WATCH_EVERY)))

    @property
    def _keys(self) -> list[str]:
        recipe = self.state.recipe
        return list(recipe.profile.ranges) if recipe is not None and recipe.profile is not None else []

    def _range(self, key: str) -> Range | None:
        recipe = self.state.recipe
        return recipe.profile.ranges.get(key) if recipe is not None and recipe.profile is not None else None

    # --------------------------------------------------------------------------------------- drawing

    def title(self) -> str:
        """`Memory ─ along N ─ predicted and planned`."""
        parts = [self.NAME]
        if self.state.forecast is not None:
            parts += [f"along {self.state.forecast.key}"] if self.state.forecast.key else []
            if self._stale(self.state):
                parts.append("stale")
        return escape(" ─ ".join(parts))

    @staticmethod
    def _stale(state: AppState) -> bool:
        return state.forecast is not None and state.forecast_revision != state.revision

    def lines(self, width: int) -> list[Line]:
        """What fits, the forecast and its chart, the live chart, the largest tensors."""
        forecast = self.state.forecast
        if forecast is not None and not forecast.sizes:
            forecast = None
        height = max(min(self.scrollable_content_region.height - 6, 16), 7)
        left = width if width < BESIDE or not self.state.gpu else (width - 2) * 3 // 5
        lines = self._fits(forecast, width) if forecast is not None else []
        lines += self._plan(width)
        planned = self._forecast(forecast, left, height) if forecast is not None else self._no_forecast(left)
        live = self._live(width - left - 2 if left < width else width, height)
        if left < width:
            rows = max(len(planned), len(live))
            planned += [Line()] * (rows - len(planned))
            live += [Line()] * (rows - len(live))
            lines += [_beside(a, b, left) for a, b in zip(planned, live, strict=True)]
        else:
            lines += [*planned, *live]
        return [*lines, *(self._largest(forecast, width) if forecast is not None else [])]

    def _plan(self, width: int) -> list[Line]:
        """What the last build planned, in one line."""
        job = self.state.of_present(self.state.builds)
        if job is None:
            return paragraph("planned: nothing yet; b builds, then TensorRT reports its plan", width, "muted")
        build = job.build
        assert build is not None
        if not build.ok:
            return paragraph(f"planned: nothing, {build.source} refused build #{job.nth}", width, "muted")
        stale = self.state.is_stale(job)
        role = "stale" if stale else "strong"
        items: list[list[Span]] = [[(f"build #{job.nth} planned{' (stale)' if stale else ''}", role)]]
        for at, planned in enumerate(build.activation_bytes):
            profile = f" of profile {at}" if len(build.activation_bytes) > 1 else ""
            items.append([(size_text(planned), role), (f" activations{profile} at max", "muted")])
        items.append([(size_text(build.weights_bytes), role), (" weights", "muted")])
        lines = packed([*items, [(build.source, "muted")]], width, gap=2)
        return [*lines, *(self._questioned(job, width) if not stale else [])]

    def _questioned(self, job: Job, width: int) -> list[Line]:
        """A doubt about a plan that is far from the forecast at the same sizes."""
        forecast, build = self.state.forecast, job.build
        assert build is not None
        if forecast is None or self._stale(self.state) or len(build.activation_bytes) != 1 or not forecast.sizes:
            return []
        chosen = self._range(forecast.key)
        planned, predicted = build.activation_bytes[0], forecast.activations[-1]
        if chosen is not None and chosen.max != forecast.sizes[-1]:
            return []
        if abs(planned - predicted) <= DOUBT * predicted:
            return []
        largest = forecast.largest[0] if forecast.largest else None
        beside = f"; its largest tensor {largest.tensor} alone is {size_text(largest.bytes)}" if largest else ""
        how = "under" if planned < predicted else "over"
        text = f"the plan is {abs(planned - predicted) / predicted:.0%} {how} the forecast{beside}"
        return paragraph(text, width, "warning", indent=(("! ", "warning"),))

    def _no_forecast(self, width: int) -> list[Line]:
        if self.state.forecast_note:
            return paragraph(f"no forecast: {self.state.forecast_note}", width, "muted")
        if self.state.forecast is not None:
            text = f"no forecast: no size of {self.state.forecast.key or 'the inputs'} is known to give all shapes"
            return paragraph(text, width, "muted")
        return paragraph("forecast: waiting for the shapes to be known", width, "muted")

    def _forecast(self, forecast: MemoryForecast, width: int, height: int) -> list[Line]:
        """Predicted bytes against the size, a point for each build's plan, a line for the weights, GPUs as levels."""
        sizes = tuple(map(float, forecast.sizes))
        figures = tuple(float(needed(forecast, at)) for at in range(len(sizes)))
        series = [Series(sizes, figures, "note"), Series(sizes, (float(forecast.weights),) * len(sizes), "name")]
        dots = [(float(size), float(planned + forecast.weights)) for size, planned in self._plans(forecast)]
        if dots:
            series.append(Series(tuple(x for x, _ in dots), tuple(y for _, y in dots), "strong", "points"))
        if len(sizes) == 1:
            at = f"at {forecast.key} = {forecast.sizes[0]}" if forecast.key else "at the model's own sizes"
            return paragraph(f"predicted {size_text(figures[0])}, weights included, {at}", width, "note")
        high = max(*figures, *(y for _, y in dots), 1.0) * 1.08
        limits = [gpu for gpu in GPUS if high / 4 < gpu.usable < high]
        limits = limits[:: max(len(limits) // 2, 1)][:2]
        levels = tuple((float(gpu.usable), "warning") for gpu in limits)
        chosen = self._range(forecast.key)
        marks = sorted({sizes[0], sizes[-1], *((float(chosen.max),) if chosen else ())})
        chart = Chart(
            tuple(series),
            Axis(sizes[0], max(sizes[-1], sizes[0] + 1), tuple((at, f"{at:g}") for at in marks)),
            Axis(0, high, tuple((at, size_text(at)) for at in round_steps(0, high, 4))),
            levels,
        )
        line, dot, level = ("*", "o", "-") if self.state.ascii else ("⠒", "●", "─")
        legend: list[list[Span]] = [[("stale", "stale")]] if self._stale(self.state) else []
        legend += [[(f"{line} ", "note"), ("predicted", "muted")], [(f"{line} ", "name"), ("weights", "muted")]]
        legend += [[(f"{dot} ", "strong"), ("planned by TensorRT", "muted")]] if dots else []
        names = ", ".join(gpu.name for gpu in limits)
        legend += [[(f"{level} ", "warning"), (names, "muted")]] if limits else []
        return [
            *packed(legend, width, gap=2),
            *drawn(chart, width, height, ascii_only=self.state.ascii),
        ]

    def _plans(self, forecast: MemoryForecast) -> list[tuple[int, int]]:
        """(size, bytes) of each build of this model that planned for the sizes of the forecast."""
        found: dict[int, int] = {}
        recipe = self.state.recipe
        if recipe is None or recipe.profile is None:
            return []
        others = dict(forecast.others)
        for job in self.state.builds:
            same = {"profile": recipe.profile, "others": recipe.others, "position": recipe.position}
            if job.build is None or msgspec.structs.replace(job.recipe, **same) != recipe:
                continue
            for profile, planned in zip(job.recipe.profiles, job.build.activation_bytes, strict=False):
                planned_for = {key: chosen.max for key, chosen in profile.ranges.items() if key != forecast.key}
                if forecast.key in profile.ranges and planned_for == others:
                    found[profile.ranges[forecast.key].max] = planned
        return sorted(found.items())

    def _fits(self, forecast: MemoryForecast, width: int) -> list[Line]:
        """Up to which size each GPU holds it: by TensorRT's plan where this recipe was built, else as predicted."""
        engine = self._engine
        about: tuple[Span, ...] = ((f"targets of {engine.label}", "muted"),) if engine is not None else ()
        at = f" at {', '.join(f'{name} = {size}' for name, size in forecast.others)}" if forecast.others else ""
        least = " at least" if forecast.unknown else ""
        lines = [Line((("fits", "strong"),), about)]
        lines += paragraph(f"predicted{least}{at}; {size_text(RESERVE)} left for CUDA", width, "muted")
        chosen = self._range(forecast.key)
        wanted = chosen.max if chosen is not None else forecast.sizes[-1]
        planned = dict(self._plans(forecast)).get(wanted) if not self._stale(self.state) else None
        answers = {gpu: _fit(forecast, gpu.usable, wanted, planned) for gpu in self._gpus}
        common = set(answers.values())
        if len(common) == 1 and self._own is None:  # one sentence for all of them
            said, role = common.pop()
            mark = {"warning": "!", "good": "+" if self.state.ascii else "✓"}[role]
            text = f"{said}, on every GPU known here, {GPUS[0].name} ({GPUS[0].gigabytes} GB) to {GPUS[-1].name}"
            lines += paragraph(text, width, role, indent=((f"{mark} ", role),))
            answers = {}
        for gpu, (said, role) in answers.items():
            foreign = engine is not None and gpu.target not in engine.targets
            tail: Span = (f"{gpu.target}, not a target", "warning") if foreign else (gpu.target, "muted")
            if not gpu.target:
                tail = ("yours", "muted")
            mark = {"warning": "!", "good": "+" if self.state.ascii else "✓"}[role]
            name = f"{gpu.name} ({gpu.gigabytes:g} GB)" if "GB" not in gpu.name else gpu.name
            lines.append(Line(((f"{mark} ", role), (f"{name:<17}", "text"), (said, role)), (tail,)))
        if forecast.sizes[-1] < wanted:
            known = f"nothing above {forecast.key} = {forecast.sizes[-1]} works in all operators: Problems says why"
            lines += paragraph(known, width, "warning", indent=(("! ", "warning"),))
        return [*(Line(tuple(cut(line.spans, width)), line.tail) for line in lines), Line()]

    @property
    def _gpus(self) -> tuple[Gpu, ...]:
        """The GPUs to answer for: the user's own budget first."""
        return (self._own, *GPUS) if self._own is not None else GPUS

    @staticmethod
    def _largest(forecast: MemoryForecast, width: int) -> list[Line]:
        if not forecast.largest:
            return []
        at = f"{forecast.key} = {forecast.sizes[-1]}" if forecast.key else "the model's own sizes"
        heading: list[list[Span]] = [[("largest tensors", "strong")], [(f"predicted, at {at}", "muted")]]
        lines = [Line(), *packed(heading, width, gap=3)]
        lines += [
            Line(tuple(cut([(f"  {one.tensor}", "name")], width - 10)), ((size_text(one.bytes), "text"),))
            for one in forecast.largest
        ]
        return lines

    @property
    def _engine(self) -> EngineInfo | None:
        engines = self.state.hello.engines if self.state.hello is not None else ()
        return next((engine for engine in engines if engine.can_build and engine.targets), None)

    def _live(self, width: int, height: int) -> list[Line]:
        """Each GPU's memory over time, as NVML measures it."""
        hello = self.state.hello
        if not self.state.gpu:
            if hello is None:
                return []
            text = "waiting for the first NVML sample" if hello.gpus else f"{PLANNED_ONLY}{hello.no_gpu or NO_GPU}"
            return paragraph(text, width, "muted")
        by_part: dict[tuple[int, str], list[GpuSample]] = {}
        for sent in self.state.gpu:
            for sample in sent.samples:
                by_part.setdefault((sample.device, sample.part), []).append(sample)
        now = {(sample.device, sample.part) for sample in self.state.gpu[-1].samples}
        height = max(height // max(len(by_part), 1), 7)
        lines: list[Line] = []
        for part, samples in by_part.items():
            lines += self._device(samples, width, height, numbered=len(by_part) > 1, listed=part in now)
        return lines

    def _device(self, samples: list[GpuSample], width: int, height: int, *, numbered: bool, listed: bool) -> list[Line]:
        """One GPU or MIG slice: its figures, the chart of those that are told, and why the others are not."""
        last, start = samples[-1], samples[0].t
        lines = packed(_figures(last, numbered=numbered), width, gap=2)
        series = [*_lines_of(samples, "used", "warning"), *_lines_of(samples, "process", "good")]
        if series:
            end = max(last.t - start, 1)
            high = max(1.0, *(y * 1.15 for one in series for y in one.ys))
            chart = Chart(
                tuple(series),
                Axis(0, end, tuple((at, f"{at:g} s") for at in round_steps(0, end, 4))),
                Axis(0, high, tuple((at, size_text(at)) for at in round_steps(0, high, 3))),
            )
            lines += drawn(chart, width, height, ascii_only=self.state.ascii)
        phases = _phases(samples, start)
        lines += paragraph(f"phases: {phases}", width, "muted") if phases else []
        if not listed:
            text = f"not listed by NVML any more since {seconds_text(last.t - start)}"
            lines += paragraph(text, width, "warning", indent=(("! ", "warning"),))
        return [*lines, *_reasons(samples, width)]

    def action_own(self) -> None:
        """Ask for the GPU to answer for, and put it first."""
        proposed = self._own.name if self._own is not None else "8GB"
        self.app.push_screen(TextPrompt("Which GPU or memory must it fit?", proposed, _gpu), self._answer_for)

    def _answer_for(self, gpu: Gpu | None) -> None:
        if gpu is not None:
            self._own = gpu
            self.rebuild()

    def action_along(self, step: int) -> None:
        """Forecast along another dimension."""
        keys = self._keys
        if keys:
            shown = self.state.forecast.key if self.state.forecast is not None else keys[0]
            at = keys.index(shown) if shown in keys else 0
            self._key = keys[(at + step) % len(keys)]
            self._ask()


def _gpu(text: str) -> tuple[Gpu | None, str]:
    gpu = named(text)
    if gpu is None:
        return None, f"type memory such as 6.5GB, or one of {', '.join(one.name for one in GPUS)}"
    if gpu.usable <= 0:
        return None, f"{size_text(RESERVE)} of it go to CUDA: nothing is left"
    return gpu, f"{gpu.gigabytes:g} GB, of which {size_text(gpu.usable)} are left for the model"


def _fit(forecast: MemoryForecast, usable: int, wanted: int, planned: int | None) -> tuple[str, str]:
    """Up to which size so many bytes suffice, and the role it is said in: a warning below the size `wanted`.

    `planned` are the activation bytes that TensorRT planned for `wanted`; they go before the forecast.
    """
    key, largest = forecast.key, forecast.sizes[-1]
    size = fits_up_to(forecast, usable)
    if planned is not None:
        total = planned + forecast.weights
        if total <= usable:
            return f"fits at {key} = {wanted}, as planned", "good"
        size = max((one for one in forecast.sizes if one < wanted and one <= (size or 0)), default=None)
        until = f"; predicted to fit up to {key} = {size}" if size is not None else ""
        return f"does not fit at {key} = {wanted}, as planned{until}", "warning"
    if not key:
        return ("fits", "good") if size is not None else ("does not fit", "warning")
    if size is None:
        return f"does not fit, not even at {key} = {forecast.sizes[0]}", "warning"
    if size < largest:
        return f"fits up to {key} = {size}", "warning" if size < wanted else "good"
    beyond = extrapolated(forecast, usable)
    if beyond is not None and beyond > FAR * largest:
        return f"fits up to {key} = {largest} and far beyond", "good"
    if beyond is not None and beyond > largest:
        return f"fits up to {key} = {beyond:,}, extrapolated", "good"
    return f"fits up to {key} = {largest}, the largest tried", "good"


def _figures(sample: GpuSample, *, numbered: bool) -> list[list[Span]]:
    """The name of a GPU or slice and every figure that is told of it."""
    which = " ".join([f"GPU {sample.device}" if numbered else "", sample.part]).strip()
    said: list[list[Span]] = [[(f"{which} ", "muted"), (sample.name, "strong")] if which else [(sample.name, "strong")]]
    if sample.used is not None:
        of = f" of {size_text(sample.total)}" if sample.total is not None else ""
        shared = ", shared with the CPU" if sample.source != NVML else ""
        said.append([(f"used {size_text(sample.used)}", "warning"), (f"{of}{shared}", "muted")])
    if sample.reserved:
        said.append([("reserved ", "muted"), (size_text(sample.reserved), "text")])
    if sample.process is not None:
        said.append([("this process ", "muted"), (size_text(sample.process), "good")])
    if sample.other_processes:
        count = f"{sample.other_processes} other process{'es' if sample.other_processes > 1 else ''}"
        figure: list[Span] = [(f" {size_text(sample.others)}", "text")] if sample.others is not None else []
        said.append([(count, "muted"), *figure])
    if sample.utilization is not None:
        said.append([("busy ", "muted"), (f"{sample.utilization} %", "text")])
    said += [[(sample.phase, "note")]] if sample.phase else []
    if "gpu" not in sample.missing:
        said.append([(f"measured, {NVML}{f' and {sample.source}' if sample.source != NVML else ''}", "muted")])
    return said


def _lines_of(samples: list[GpuSample], figure: str, role: str) -> list[Series]:
    """A figure over time: a line for each stretch in which it was told, so that none is drawn where it was not."""
    stretches: list[list[tuple[float, float]]] = [[]]
    for sample in samples:
        value: int | None = getattr(sample, figure)
        if value is not None:
            stretches[-1].append((sample.t - samples[0].t, float(value)))
        elif stretches[-1]:
            stretches.append([])
    return [Series(tuple(x for x, _ in told), tuple(y for _, y in told), role) for told in stretches if told]


def _reasons(samples: list[GpuSample], width: int) -> list[Line]:
    """Why figures of the last sample are missing or not whole, each reason once; a GPU without any is a warning."""
    last = samples[-1]
    if lost := last.missing.get("gpu"):
        since = next((one.t for one in reversed(samples) if "gpu" not in one.missing), None)
        when = f" since {seconds_text(since - samples[0].t)}" if since is not None else ""
        return paragraph(f"no figures{when}: {lost}", width, "warning", indent=(("! ", "warning"),))
    by_reason: dict[str, list[str]] = {}
    for name, reason in last.missing.items():
        by_reason.setdefault(reason, []).append(MISSING.get(name, name))
    return [
        line
        for reason, names in by_reason.items()
        for line in paragraph(f"{', '.join(names)}: {reason}", width, "muted")
    ]


def _phases(samples: list[GpuSample], start: float) -> str:
    """When each phase of a job began: `build 3.0 s, run 9.2 s`."""
    said: list[str] = []
    before = ""
    for sample in samples:
        if sample.phase and sample.phase != before:
            said.append(f"{sample.phase} at {seconds_text(sample.t - start)}")
        before = sample.phase
    return ", ".join(said[-4:])


def _beside(left: Line, right: Line, width: int) -> Line:
    room = width - width_of(left.tail)
    spans = cut(left.spans, room)
    gap = " " * (room - width_of(spans))
    return Line((*spans, (gap, "text"), *left.tail, ("  ", "text"), *right.spans), right.tail)
