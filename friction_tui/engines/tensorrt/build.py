"""Building one engine, in a process that does nothing else and may be killed at any moment.

The logger is global, a failed build can poison the next one, and most of the time the builder is silent: so a
build gets its own process, reports through a `Progress`, and is cancelled by killing it. The plan appears at its
path only when it is complete.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from friction_tui.engines.engine import Progress
from friction_tui.engines.nvidia import cannot_run
from friction_tui.engines.profiles import ResolvedProfile
from friction_tui.engines.tensorrt import layers, log, module, native, plugins, settings, timing_cache
from friction_tui.engines.tensorrt.build_server import COMPILE
from friction_tui.engines.tensorrt.capabilities import Capabilities, capabilities, members, network_flags
from friction_tui.engines.tensorrt.module import Native
from friction_tui.engines.tensorrt.options import available, offered, settings_of
from friction_tui.kinds.engine import MESSAGE
from friction_tui.plugin_libraries import Libraries
from friction_tui.vocabulary.finding import EngineWords, Finding, Location, LocationKind, Severity, Tier
from friction_tui.vocabulary.protocol import BuildResult, Kernel, Phase
from friction_tui.vocabulary.recipe import Precision, Value
from friction_tui.vocabulary.recipe.builder_options import refused

SHOWN_LINES, LINE_LENGTH = 2000, 2000
"""How many log lines of a build are passed on, and how much of each."""


def build(
    model: Path | bytes,
    profiles: Sequence[ResolvedProfile],
    plan: Path,
    progress: Progress,
    *,
    origin: Path | None = None,
    target: str = "",
    precision: Precision = Precision.AS_EXPORTED,
    strongly_typed: bool = False,
    options: Mapping[str, Value] | None = None,
    libraries: Libraries = (),
    name: str = "",
) -> BuildResult:
    """Build an engine and write it to `plan`. Never raises for a model TensorRT refuses: see `BuildResult.findings`.

    `model` is a file, or a serialised model whose external data lies beside `origin`. No `profiles` means
    deliberately none. `target` is a compute capability such as `SM89`, "" for the module's default. `strongly_typed`:
    the model's own types count, whatever the edition; `precision` is then no wish any more. `options` are those of the
    builder; `libraries` of plug-ins are loaded before. `name` is the module to use, "" for the preferred one. Raises
    EngineMissing without one that can build.
    """
    trt = module.load(name)
    wish = Precision.AS_EXPORTED if strongly_typed else precision
    build = _Build(trt, plan, progress, strongly_typed=strongly_typed)
    return build.run(model, profiles, origin, target, wish, options or {}, libraries)


class _Build:
    """One build's state: phases, figures and messages as they come in."""

    def __init__(self, trt: Native, plan: Path, progress: Progress, *, strongly_typed: bool) -> None:
        self._strongly_typed = strongly_typed
        self._trt, self._plan, self._progress = trt, plan, progress
        self._can: Capabilities = capabilities(trt)
        self._label = module.label(self._can.name, self._can.version)
        self._started = time.monotonic()
        self._phases: dict[str, Phase] = {}
        self._open: tuple[str, float] | None = None
        self._figures = log.Figures()
        self._kernels: tuple[Kernel, ...] = ()
        self._errors: list[str] = []
        self._warnings: list[str] = []
        self._failing = ""
        """The phase in which the first error was heard."""
        self._shown = self._hidden = 0
        self._log = native.logger(trt, self._hear)
        self._steps = self._steps_done = 0
        """Steps of compiling kernels that were announced and that were done."""
        self._monitor = _monitor(trt, self._phase_started, self._phase_finished, self._stepped)

    def run(
        self,
        model: Path | bytes,
        profiles: Sequence[ResolvedProfile],
        origin: Path | None,
        target: str,
        precision: Precision,
        options: Mapping[str, Value],
        libraries: Libraries,
    ) -> BuildResult:
        builder = native.builder(self._trt, self._log, self._errors)
        not_loaded = plugins.load(self._trt, [path for path, _ in libraries])
        if not_loaded:
            self._errors[:] = not_loaded
            return self._result(engine_bytes=None)
        network = builder.create_network(network_flags(self._trt, strongly_typed=self._strongly_typed))
        self._enter("parse")
        if not self._parse(network, model, origin):
            return self._result(engine_bytes=None)
        config = self._config(builder, target, precision)
        if (
            config is None
            or not self._set_options(config, options)
            or not self._add_profiles(builder, config, network, profiles)
        ):
            return self._result(engine_bytes=None)
        cache = timing_cache.load(config, self._can, self._hear) if options.get("timing_cache") else None
        self._enter("graph")
        engine = builder.build_serialized_network(network, config)
        size = None
        if engine is not None:
            if cache is not None:
                timing_cache.save(config, cache, self._hear)
            self._enter("serialize")
            size = _write(self._plan, engine)
            if not self._kernels:
                self._kernels = self._inspected(engine)
        return self._result(engine_bytes=size)

    # --------------------------------------------------------------------------------------------- the steps

    def _parse(self, network: Native, model: Path | bytes, origin: Path | None) -> bool:
        parser = self._trt.OnnxParser(network, self._log)
        if isinstance(model, Path):
            ok = parser.parse_from_file(str(model))
        else:
            ok = parser.parse(model, str(origin)) if origin else parser.parse(model)
        if not ok:
            # The log repeats each error in pieces; the parser's own list is what counts.
            self._errors[:] = [parser.get_error(number).desc() for number in range(parser.num_errors)]
        return bool(ok)

    def _config(self, builder: Native, target: str, precision: Precision) -> Native | None:
        trt = self._trt
        config = builder.create_builder_config()
        native.set_cpu_only(trt, config)
        if native.is_cpu_only():
            self._hear("warning", f"{self._label} builds in its CPU-only mode: kernels are chosen without timing them")
        config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
        config.progress_monitor = self._monitor
        if target and target in self._can.targets:
            config.num_compute_capabilities = 1
            config.set_compute_capability(members(trt, "ComputeCapability")[target], 0)
        elif target and self._can.targets:
            self._errors.append(f"{self._label} does not build for {target}: it offers {', '.join(self._can.targets)}")
            return None
        elif target:
            self._hear("warning", f"{self._label} builds for the GPU it finds; the target {target} is not used")
        if precision in self._can.precisions:
            config.set_flag(members(trt, "BuilderFlag")[precision.upper()])
        elif precision is not Precision.AS_EXPORTED:
            self._errors.append(
                f"{self._label} has no builder flag for {precision}: its networks are strongly typed, so precision "
                "is an edit of the model (casts, Q/DQ nodes)"
            )
            return None
        return config

    def _set_options(self, config: Native, options: Mapping[str, Value]) -> bool:
        """Set the options; one that is not offered, or not taken, is an error."""
        here = offered(module.NAMES[self._can.name], self._label, available(self._trt), gpu=not cannot_run())
        self._errors += [
            f"{self._label} does not offer {name}: {one.why_not}" + (f"; {one.nearest}" if one.nearest else "")
            for name, one in refused(options, here).items()
        ]
        if not self._errors:
            self._errors += settings.apply(self._trt, config, settings_of(options))
        return not self._errors

    def _add_profiles(
        self, builder: Native, config: Native, network: Native, profiles: Sequence[ResolvedProfile]
    ) -> bool:
        inputs = {tensor.name: tensor for tensor in map(network.get_input, range(network.num_inputs))}
        for number, chosen in enumerate(profiles):
            profile = builder.create_optimization_profile()
            for name, points in chosen.shapes.items():
                if name in inputs and not inputs[name].is_shape_tensor:
                    profile.set_shape(name, *points)
            for name, values in chosen.values.items():
                if name in inputs and inputs[name].is_shape_tensor:
                    profile.set_shape_input(name, *values)
            # An invalid profile beside a valid one is dropped without a word by add_optimization_profile.
            if not profile or config.add_optimization_profile(profile) < 0:
                if not self._errors:
                    self._errors.append(f"optimization profile {number} is not valid")
                return False
        return True

    def _inspected(self, engine: Native) -> tuple[Kernel, ...]:
        """The layers from the engine itself, where it can be deserialised: on a machine with a GPU."""
        known = len(self._errors)
        loaded = self._trt.Runtime(self._log).deserialize_cuda_engine(engine)
        del self._errors[known:]
        if loaded is None:
            return ()
        report = loaded.create_engine_inspector().get_engine_information(self._trt.LayerInformationFormat.ONELINE)
        return layers.kernels(report)

    # ------------------------------------------------------------------------------------------- what is heard

    def _hear(self, level: str, text: str) -> None:
        if layers.is_layer_report(text):
            self._kernels = layers.kernels(text)
        if level == "info":
            self._figures.read(text)
        elif level == "error":
            self._errors.append(text)
            self._failing = self._failing or (self._open[0] if self._open else "")
        elif level == "warning":
            self._warnings.append(text)
        if not log.worth_showing(level, text) or (self._shown >= SHOWN_LINES and level != "error"):
            self._hidden += 1
            return
        self._shown += 1
        self._progress.log(level, text[:LINE_LENGTH])

    def _phase_started(self, name: str, steps: int) -> None:
        if name == COMPILE:
            self._steps += steps
        if name == COMPILE and self._open and self._open[0] == "graph":
            self._enter("compile")

    def _stepped(self, name: str) -> None:
        self._steps_done += name == COMPILE

    def _phase_finished(self, name: str) -> None:
        if name == COMPILE and self._open and self._open[0] == "compile":
            self._enter("serialize")

    def _enter(self, phase: str) -> None:
        if self._open and self._open[0] == phase:
            return
        self._leave()
        if phase not in self._phases:
            self._phases[phase] = Phase(phase)
            self._progress.begin(phase)
        self._open = (phase, time.monotonic())

    def _leave(self) -> None:
        if self._open:
            phase, since = self._open
            before = self._phases[phase].seconds or 0.0
            self._phases[phase] = Phase(phase, before + time.monotonic() - since)
            self._progress.end(phase)
            self._open = None

    # -------------------------------------------------------------------------------------------- the result

    def _result(self, engine_bytes: int | None) -> BuildResult:
        self._leave()
        if self._hidden:
            self._progress.log("info", f"{self._hidden:,} verbose or empty log lines are not shown")
        figures, ok = self._figures, engine_bytes is not None
        return BuildResult(
            ok=ok,
            source=f"{self._label} builder",
            seconds=time.monotonic() - self._started,
            engine_bytes=engine_bytes,
            activation_bytes=tuple(figures.activation),
            weights_bytes=figures.weights,
            scratch_bytes=figures.scratch,
            host_persistent_bytes=figures.host_persistent,
            device_persistent_bytes=figures.device_persistent,
            peak_host_bytes=figures.peak_host,
            phases=self._phases_until(None if ok else self._failed_in()),
            kernels=self._kernels,
            findings=tuple(self._findings(ok=ok)),
            typed=self._strongly_typed or self._can.strongly_typed,
            engine_path=str(self._plan) if ok else "",
        )

    def _failed_in(self) -> str:
        """The phase that failed. TensorRT goes on without a step into those after it, and says the error at the end."""
        if self._failing in ("compile", "serialize") and self._steps_done < self._steps:
            return "compile" if self._steps_done else "graph"
        return self._failing

    def _phases_until(self, failing: str | None) -> tuple[Phase, ...]:
        """The phases up to the one that failed: TensorRT goes through the rest of them without doing anything."""
        names = list(self._phases)
        last = names.index(failing) + 1 if failing in self._phases else len(names)
        return tuple(self._phases[name] for name in names[:last])

    def _findings(self, *, ok: bool) -> list[Finding]:
        """Every message that counts, verbatim: errors in order, then warnings that mean the engine cannot run."""
        source = f"{self._label} builder"
        grave = Severity.WARNING if ok else Severity.ERROR
        found = [_finding(source, text, grave, Tier.BUILDER) for text in log.worth_keeping(self._errors)]
        for text in dict.fromkeys(self._warnings):
            if log.CANNOT_RUN.search(text):
                found.append(_finding(source, text, Severity.ERROR, Tier.SHAPES))
        return found


def _finding(source: str, text: str, severity: Severity, tier: Tier) -> Finding:
    builder = tier is Tier.BUILDER
    return MESSAGE.finding(
        outcome="The builder refuses the model" if builder else "The engine cannot run in the whole profile",
        severity=severity,
        tier=tier,
        cause=text,
        source=source,
        locations=(Location(LocationKind.MODEL, ""),),
        fixes=(),
        words=(EngineWords(source, text),),
    )


def _write(plan: Path, engine: Native) -> int:
    """Write the plan under another name first: a killed build leaves no half plan behind."""
    part = plan.with_name(plan.name + ".part")
    with part.open("wb") as stream:
        stream.write(memoryview(engine))
    part.replace(plan)
    return plan.stat().st_size


def _monitor(
    trt: Native, started: Callable[[str, int], None], finished: Callable[[str], None], stepped: Callable[[str], None]
) -> Native:
    class Monitor(trt.IProgressMonitor):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)

        def phase_start(self, phase: str, parent: str | None, steps: int) -> None:  # noqa: ARG002
            started(phase, steps)

        def phase_finish(self, phase: str) -> None:
            finished(phase)

        def step_complete(self, phase: str, step: int) -> bool:  # noqa: ARG002
            stepped(phase)
            return True

    return Monitor()
