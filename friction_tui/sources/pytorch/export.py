"""From a PyTorch module to an ONNX file: capture, convert, compare with what was asked. Runs in the export process."""

from __future__ import annotations

import inspect
import io
import re
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import msgspec
import onnx
import torch

from friction_tui.kinds.export import GUESSED_INPUTS, MUTATION, TRAINING_MODE
from friction_tui.sources.channel import Channel
from friction_tui.sources.export_request import Done, Evidenced, Exported, ExportRequest, InputsUsed
from friction_tui.sources.failure import read
from friction_tui.sources.pytorch import (
    asked_wrongly,
    assumptions,
    compare_request,
    example_of_one,
    failed_export,
    guards,
    kept_state,
    large_constants,
    legacy,
    legacy_trial,
    outputs,
    parity,
    shared_example,
    torch_version,
    training_parts,
    user_code,
)
from friction_tui.sources.pytorch.compare_request import Came
from friction_tui.sources.pytorch.dynamic_shapes import AskedDim, plan, relaxed
from friction_tui.sources.pytorch.evidence import Evidence
from friction_tui.sources.pytorch.example_inputs import described
from friction_tui.sources.pytorch.own_failure import model_fails, user_code_fails
from friction_tui.sources.pytorch.sizes import Sizes, points
from friction_tui.sources.pytorch.user_code import Built, CannotBuild
from friction_tui.sources.source_lines import definition, of_exception
from friction_tui.sources.time_limit import at_most
from friction_tui.sources.watch import project_files
from friction_tui.vocabulary.finding import Finding, Location, LocationKind, Severity, SourceLine, Tier

_OWN_OPTIONS = {"input_names", "output_names", "dynamic_axes", "custom_translation_table"}
"""What `export_kwargs()` may set beside `dynamic_shapes`, `kwargs` and `opset_version`, which the recipe overrides."""

_AFTERMATH_S = 60.0
_SECOND_CAPTURE_S = 30.0
"""Seconds a second capture may take that is only made to name lines."""
_OTHER_VALUES = 4
"""How many other values are tried where the capture relied on a number of elements that depends on values."""

_STAGES = {
    "Run decompositions": "decompose",
    "Translate the graph into ONNX": "translate to ONNX",
    "Optimize the ONNX graph": "optimize",
}


def export(request: ExportRequest, channel: Channel) -> Done:
    """Export, telling the channel everything on the way. Never raises for what the user's code or the exporter does."""
    channel.stage("load the model")
    with _prints_logged(channel):
        try:
            built = user_code.build(request.source)
        except (Exception, SystemExit) as error:
            _out_of_memory(error)
            line = of_exception(error)
            channel.found(user_code_fails(error, line, request.source, raised=not isinstance(error, CannotBuild)))
            return Done(None, channel.elapsed)
        return export_built(request, channel, built)


def export_built(request: ExportRequest, channel: Channel, built: Built) -> Done:
    """Export a module that is already made."""
    if too_old := torch_version.too_old(torch.__version__):
        channel.found(too_old)
        return Done(None, channel.elapsed)
    if request.opset is None and "opset_version" in built.options:
        request = msgspec.structs.replace(request, opset=int(built.options["opset_version"]))
    unused = sorted(built.options.keys() - _OWN_OPTIONS - {"dynamic_shapes", "kwargs", "opset_version"})
    if unused:
        channel.log("info", f"not taken from export_kwargs(), the recipe decides: {', '.join(unused)}")
    channel.send(InputsUsed(described(built.bound), built.guessed))
    if built.guessed:
        channel.found(_guessed(built, request.source.factory))
    source = source_label(request)
    if misfits := asked_wrongly.findings(built, source):
        channel.found(*misfits)
        return _done(None, channel, built)
    if shared := shared_example.names(built):
        built = shared_example.apart(built)
        channel.found(shared_example.finding(shared, source, built.made_at))
    given = built.bound
    shapes, asked = _planned(request, built)
    if ones := example_of_one.dimensions(asked):
        larger = example_of_one.with_two(built, ones)
        if larger is not None:
            built = larger
            shapes, asked = _planned(request, built)
            channel.found(example_of_one.finding(ones, source, built.made_at))
    channel.stage("set up the exporter")
    evidence = Evidence()
    warned: list[warnings.WarningMessage] = []
    program = None
    failed: Exception | None = None
    kept = kept_state.snapshot(built.module)
    try:
        with _warnings(warned):
            if legacy.is_used(request):
                legacy.export(request, built, asked)
            else:
                program = _dynamo(request, built, shapes)
    except Exception as error:
        failed = error
    made = kept_state.grown(kept)
    kept_state.restore(kept)
    if failed is not None:  # no longer handled: what is tried now must not be chained to it
        _out_of_memory(failed)
        if made:
            channel.found(kept_state.made_in_forward(made, source))
            return _done(None, channel, built)
        channel.stage("explain")
        forward = _forward_line(built.module)
        evidence.failed(read(failed, source, forward))
        for finding in failed_export.findings(failed, request, built, shapes, source, forward, channel, evidence):
            channel.found(finding)  # one by one: those behind the first take their time
            channel.send(Evidenced(evidence.said))
        channel.send(Evidenced(evidence.said))
        return _done(None, channel, built)
    output = Path(request.output)
    came = Came(onnx.load(output, load_external_data=False), program, source)
    # The legacy exporter traces the example: it decides nothing by the sizes asked for.
    limits = {} if legacy.is_used(request) else {dim.key: (min(dim.min, dim.example), dim.max) for dim in asked}
    done = msgspec.structs.replace(_done(str(output), channel, built, program, came.model), limits=limits)
    channel.send(Exported(str(output), channel.elapsed, done))
    evidence.exported(program, came.model)
    channel.stage("compare with what was asked", _limit(channel))
    asking = _Asking(request, built, given, shapes, asked, came)
    found = list(asking.compared(channel))
    if legacy.is_used(request):
        found += legacy.findings(request, warned, source)
    channel.found(*found)
    if asking.looked:
        evidence.decisions = guards.decisions(asking.guards)
    channel.send(Evidenced(evidence.said))
    if request.aftermath:
        channel.stage("parity", _limit(channel))
        verdict = asking.check_parity(channel, output, found)
        evidence.compared(verdict, verdict.findings)
        channel.send(Evidenced(evidence.said))
    return msgspec.structs.replace(done, seconds=channel.elapsed)


def _planned(request: ExportRequest, built: Built) -> tuple[Any, tuple[AskedDim, ...]]:
    if isinstance(built.module, torch.export.ExportedProgram):
        return None, ()
    return plan(built.bound, built.options.get("dynamic_shapes"), request.profile)


def _limit(channel: Channel) -> float:
    """Seconds for what is done once the file is there: as long as the export took, and a minute at least."""
    return max(_AFTERMATH_S, channel.elapsed)


def _out_of_memory(error: BaseException) -> None:
    """Raise MemoryError for what torch raises instead, a RuntimeError of its allocator."""
    if isinstance(error, MemoryError) or re.search(r"can't allocate memory|std::bad_alloc", str(error)):
        raise MemoryError(str(error)) from error


def source_label(request: ExportRequest) -> str:
    """Who gives the verdicts: `torch.onnx.export (torch 2.13.0)`."""
    exporter = ", legacy exporter" if legacy.is_used(request) else ""
    return f"torch.onnx.export (torch {torch.__version__.partition('+')[0]}{exporter})"


def _dynamo(request: ExportRequest, built: Built, shapes: Any) -> torch.export.ExportedProgram | None:
    options: dict[str, Any] = {key: value for key, value in built.options.items() if key in _OWN_OPTIONS}
    program = torch.onnx.export(
        built.module,
        built.args,
        request.output,
        kwargs={**built.kwargs, **built.options.get("kwargs", {})} or None,
        dynamo=True,
        verbose=True,  # its progress lines become stages
        opset_version=request.opset,
        dynamic_shapes=shapes,
        optimize=request.options.optimize,
        external_data=request.options.external_data,
        keep_initializers_as_inputs=request.options.keep_initializers,
        **options,
    )
    return program.exported_program if program is not None else None


@dataclass(frozen=True)
class _Asking:
    """An export that gave a file, against what was asked. `given` are the user's own example inputs."""

    request: ExportRequest
    built: Built
    given: dict[str, Any]
    shapes: Any
    asked: tuple[AskedDim, ...]
    came: Came

    @cached_property
    def together(self) -> Sizes:
        """Which of the sizes asked for belong together."""
        return Sizes(self.came.program, self.asked)

    @cached_property
    def guards(self) -> tuple[guards.Guard, ...]:
        """What a second capture assumes, with lines; nothing when it takes too long."""
        try:
            with at_most(_SECOND_CAPTURE_S):
                return guards.of_capture(self.built.module, self.built.args, self.built.kwargs, relaxed(self.shapes))
        except TimeoutError:
            return ()

    @property
    def looked(self) -> bool:
        """Whether a second capture was made."""
        return "guards" in self.__dict__

    def compared(self, channel: Channel) -> Iterator[Finding]:
        """Everything that came out other than asked, or that only training needs."""
        module, source, came = self.built.module, self.came.source, self.came

        def added_guards() -> tuple[guards.Guard, ...]:
            if not self.looked:
                channel.stage("look for the lines", 2 * _SECOND_CAPTURE_S)
            return self.guards

        yield from compare_request.opset(came, self.request.opset)
        narrowed = compare_request.dimensions(came, self.asked, added_guards)
        yield from narrowed
        if not narrowed:
            yield from assumptions.dropped(came, self.asked, self.together, added_guards)
        yield from compare_request.inputs(came, self.built.bound, _forward_line(module))
        if isinstance(module, torch.nn.Module):
            yield from training_parts.training_mode(module, self.built.made_at, self.request.source.factory, source)
            if came.program is not None:
                yield from training_parts.training_nodes(came.program, module, source)
                yield from training_parts.training_only(came.program, source)
                yield from kept_state.lost_state(came.program, module, source)
                yield from large_constants.findings(came, module)

    def check_parity(self, channel: Channel, output: Path, found: Sequence[Finding]) -> parity.Verdict:
        """Run both models. State that forward keeps, and sizes already known not to work, are left out."""
        try:
            verdict = self._parity(channel, output, found)
        except Exception as error:
            verdict = parity.Verdict([parity.unanswered(f"Comparing failed ({type(error).__name__}: {error}).")])
        channel.found(*verdict.findings)
        if verdict.exporter_at_fault:
            wrong_ones = [one for one in verdict.findings if one.severity is Severity.ERROR]
            channel.found(*legacy_trial.offered(wrong_ones, self.request, channel))
        counted = any(True for _ in assumptions.counts(self.came, self.asked))
        wrong = verdict.refused or any(one.severity is Severity.ERROR for one in verdict.findings)
        if counted and (wrong or not verdict.agreed):
            tried = f"PyTorch itself refused {verdict.refused} of the values tried." if verdict.refused else ""
            channel.found(*assumptions.assumed_counts(self.came, self.asked, lambda: self.guards, tried))
        return verdict

    def _parity(self, channel: Channel, output: Path, found: Sequence[Finding]) -> parity.Verdict:
        module = self.built.module
        known = any(f.tier is Tier.SHAPES and f.severity is Severity.ERROR for f in found)
        # A size that was fixed is that of the example that was exported, which may be larger than the user's.
        bound = self.built.bound if known else self.given
        if any(finding.kind == TRAINING_MODE.id for finding in found):
            return parity.Verdict([parity.unanswered("It runs in training mode, where results differ between runs.")])
        kept = kept_state.snapshot(module)
        before = kept_state.attributes(module) if isinstance(module, torch.nn.Module) else {}
        expected = _outputs(module, bound, channel)
        if expected is None:
            return parity.Verdict()
        after = kept_state.attributes(module) if isinstance(module, torch.nn.Module) else {}
        matters = False
        changed = kept_state.changed(before, after)
        if changed:
            matters = outputs.differ(expected, outputs.torch_outputs(module, bound))
            source = f"torch {torch.__version__.partition('+')[0]}"
            channel.found(*kept_state.changed_attributes(module, changed, source, matters=matters))
        stateful = matters or any(finding.kind == MUTATION.id for finding in found)
        counted = any(True for _ in assumptions.counts(self.came, self.asked))
        return parity.check(
            module,
            bound,
            expected,
            output,
            self.came,
            () if known else tuple(points(self.together)),
            lambda text: channel.log("info", text),
            draws=_OTHER_VALUES if counted else 0,
            given=self.built.further,
            repeatable=not stateful,
            anew=lambda: kept_state.restore(kept),
        )


def _outputs(module: Any, bound: dict[str, Any], channel: Channel) -> list[Any] | None:
    """What the model gives on its example; None, with a finding, when it fails there though its capture did not."""
    try:
        return outputs.torch_outputs(module, bound)
    except Exception as error:
        failure = read(error, f"torch {torch.__version__.partition('+')[0]}", _forward_line(module))
        channel.found(model_fails(failure))
        return None


def _done(
    path: str | None,
    channel: Channel,
    built: Built,
    program: torch.export.ExportedProgram | None = None,
    model: onnx.ModelProto | None = None,
) -> Done:
    watched = project_files(built.root) if built.root else ()
    return Done(
        path,
        channel.elapsed,
        tuple(str(file) for file in watched),
        sum(node.op == "call_function" for node in program.graph.nodes) if program is not None else 0,
        len(model.graph.node) if model is not None else 0,
    )


def _forward_line(module: Any) -> SourceLine | None:
    owner = type(module)
    try:
        file = inspect.getsourcefile(owner)
    except TypeError:
        return None
    return definition(file, owner.__name__, "forward") if file else None


def _guessed(built: Built, factory: str) -> Finding:
    used = described(built.bound)
    listed = ", ".join(f"{spec.name}: {'×'.join(map(str, spec.shape))} {spec.dtype}" for spec in used)
    typed = " ".join(f"`--input {spec.name}:{'x'.join(map(str, spec.shape))}:{spec.dtype}`" for spec in used)
    return GUESSED_INPUTS.finding(
        what="The example input",
        guess=listed,
        cause="Nobody gave example inputs, so these were made to fit the model. Confirm them, or give your own. A size "
        "that gets no range stays what it is here.",
        locations=tuple(Location(LocationKind.INPUT, spec.name) for spec in used),
        fixes=(f"Give it: {typed}" + (", or return `(model, (x,))` from the factory." if factory else "."),),
    )


@contextmanager
def _warnings(warned: list[warnings.WarningMessage]) -> Iterator[None]:
    with warnings.catch_warnings(record=True) as recorded:
        warnings.simplefilter("always")
        try:
            yield
        finally:
            warned.extend(recorded)


@contextmanager
def _prints_logged(channel: Channel) -> Iterator[None]:
    """What is printed becomes log lines; the exporter's own progress becomes stages."""
    stdout = sys.stdout
    sys.stdout = _Lines(lambda text: _progress(channel, text))
    try:
        yield
    finally:
        sys.stdout = stdout


def _stage(said: str) -> str:
    """The exporter's own name for a step, shorter; Dynamo is what it tries when the plain capture fails."""
    if said.startswith("Obtain model graph"):
        return "capture with Dynamo" if "strict=True" in said else "capture"
    return _STAGES.get(said, said)


def _progress(channel: Channel, text: str) -> None:
    step = re.fullmatch(r"\[torch\.onnx\] (.+?)\.\.\.", text)
    if step:
        channel.stage(_stage(step.group(1)))
    elif not text.startswith("[torch.onnx]"):
        channel.log("info", text)


class _Lines(io.TextIOBase):
    """A text stream that hands on whole lines."""

    def __init__(self, take: Callable[[str], None]) -> None:
        self._take, self._rest = take, ""

    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            if line.strip():
                self._take(line)
        return len(text)
