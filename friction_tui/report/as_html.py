"""One HTML file that opens from disk, without a network: findings, the graph, shapes, memory, engine, how to repeat it.

Weights are never inside. The page is `html/page.html` with `html/page.js`; what it shows is one JSON object.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import PurePath
from typing import Any

import msgspec

from friction_tui import __version__, friction_toml
from friction_tui.drawing.marks import ProblemMark, marks_of, notes_of
from friction_tui.drawing.order import with_order
from friction_tui.friction_toml import RecipeFile
from friction_tui.kinds import KINDS
from friction_tui.report.answered import verdict_of
from friction_tui.report.verdict import ModelVerdict, bounded
from friction_tui.verdicts.answer import Answer
from friction_tui.vocabulary.finding import Finding, Location, LocationKind, SourceLine
from friction_tui.vocabulary.protocol import GraphData, JobKind, LatencyResult, MemoryForecast, ModelSummary
from friction_tui.vocabulary.protocol.evidence import DECADES, ExportEvidence
from friction_tui.vocabulary.recipe import Recipe
from friction_tui.vocabulary.recipe.builder_options import words_of
from friction_tui.vocabulary.recipe.commands import check_command
from friction_tui.vocabulary.units import size_text

_MARKS = {ProblemMark.ERROR: "error", ProblemMark.WARNING: "warning", ProblemMark.UNKNOWN: "unknown"}
_LEVELS = {"error": "error", "warn": "warning", "warning": "warning", "info": "note", "note": "note"}
_PUBLIC_DOMAINS = frozenset(
    ["", "ai.onnx", "ai.onnx.ml", "ai.onnx.training", "ai.onnx.preview.training", "com.microsoft"]
)
_SHOWN_RUNS = 1000
"""So many runs of a measurement are drawn."""


@dataclass(frozen=True, slots=True)
class Reported:
    """All that a report is made from. `labels` are the shapes of the graph's items; what is None was not asked for."""

    verdict: ModelVerdict
    recipe: Recipe
    machine: str
    engines: tuple[str, ...]
    summary: ModelSummary | None = None
    graph: GraphData | None = None
    labels: Sequence[str] = ()
    memory: MemoryForecast | None = None
    latency: LatencyResult | None = None
    packages: Mapping[str, str] = field(default_factory=dict)
    evidence: ExportEvidence | None = None
    edits: Sequence[tuple[str, str]] = ()
    """What was changed in the session, in order, and what each change came to."""


def of_answer(answer: Answer, memory: MemoryForecast | None = None, edits: Sequence[tuple[str, str]] = ()) -> Reported:
    """What there is to report of everything that was said about one model."""
    measured = answer.jobs.get(JobKind.MEASURE)
    return Reported(
        verdict=verdict_of(answer),
        recipe=answer.recipe,
        machine=answer.hello.machine if answer.hello else "",
        engines=tuple(engine.label for engine in answer.hello.engines) if answer.hello else (),
        summary=answer.opened.summary if answer.opened else None,
        graph=answer.graph.graph if answer.graph else None,
        labels=answer.labels,
        memory=memory,
        latency=measured.latency if measured else None,
        evidence=answer.exported.evidence if answer.exported else None,
        edits=edits,
    )


def report(reported: Reported, *, anonymise: bool = False) -> str:
    """The page. With `anonymise` every name that the model's author chose is replaced or left out."""
    page = files("friction_tui.report").joinpath("html")
    data = _data(_anonymous(reported) if anonymise else reported, general=anonymise)
    # "<" in a string would end the script element; as an escape it reads back the same.
    text = json.dumps(bounded(data), ensure_ascii=True, separators=(",", ":")).replace("<", "\\u003c")
    html = page.joinpath("page.html").read_text(encoding="utf-8")
    script = page.joinpath("page.js").read_text(encoding="utf-8")
    return html.replace("/*SCRIPT*/", script).replace("/*DATA*/", text)


def _data(reported: Reported, *, general: bool) -> dict[str, Any]:
    verdict = reported.verdict
    return {
        "model": _model(reported),
        "findings": [_finding(finding, general=general) for finding in verdict.findings],
        "graph": _graph(reported, general=general),
        "shapes": _shapes(reported.recipe),
        "memory": _memory(reported.memory),
        "tables": [*_edited(reported), *_exported(reported.evidence), *_built(verdict), *_measured(reported.latency)],
        "latency": list(reported.latency.times_ms[:_SHOWN_RUNS]) if reported.latency else None,
        "environment": [
            ["friction_tui", __version__],
            *([["machine", reported.machine]] if reported.machine else []),
            *(["engine", engine] for engine in reported.engines),
            *([name, version] for name, version in reported.packages.items()),
        ],
        "reproduce": _reproduce(reported),
    }


def _model(reported: Reported) -> dict[str, Any]:
    verdict, summary = reported.verdict, reported.summary
    facts = []
    if summary is not None:
        facts += [f"opset {version}{f' of {domain}' if domain else ''}" for domain, version in summary.opsets.items()]
        facts += [
            f"{summary.nodes} nodes",
            f"weights {size_text(summary.weights_bytes)}",
            f"IR version {summary.ir_version}",
        ]
        facts += [f"made by {summary.producer}"] if summary.producer else []
    recipe = reported.recipe
    facts += [f"target {recipe.target or 'default'}", f"precision {recipe.precision.value}"]
    facts += words_of(recipe.builder)
    counts = ((verdict.errors, "error"), (verdict.warnings, "warning"), (verdict.notes, "note"))
    said = ", ".join(f"{count} {name}{'' if count == 1 else 's'}" for count, name in counts)
    level = "error" if verdict.errors or verdict.failure else "warning" if verdict.warnings else "note"
    if level == "note" and verdict.kernels and not verdict.guessed:  # green only where every question has an answer
        level = "good"
    asked_builder = f"builder: {verdict.builder}" if verdict.builder and verdict.build is None else ""
    unanswered = [verdict.failure, *verdict.unchecked, asked_builder]
    return {
        "name": PurePath(verdict.path).name,
        "facts": facts,
        "verdict": said,
        "level": level if not verdict.unanswered or level == "error" else "warning",
        "open": [
            *(f"not answered: {text}" for text in unanswered if text and not text.startswith("builder: ")),
            *(text for text in unanswered if text.startswith("builder: ")),
            *([f"sizes nobody chose, guessed: {', '.join(verdict.guessed)}"] if verdict.guessed else []),
        ],
    }


def _finding(finding: Finding, *, general: bool) -> dict[str, Any]:
    """A finding as the page shows it. `general`: what its kind always says, in place of texts that hold names."""
    kind = KINDS.get(finding.kind)
    shown = {
        "level": _LEVELS[finding.severity.value],
        "kind": finding.kind,
        "places": [{"text": _place(one), "path": _path(one)} for one in finding.locations],
        "source": finding.source,
    }
    if general:
        return shown | {
            "title": kind.summary if kind is not None else "",
            "cause": kind.cause if kind is not None else "",
            "fixes": [kind.fix] if kind is not None else [],
            "evidence": [],
            "engine": [],
        }
    return shown | {
        "title": finding.title,
        "cause": finding.cause,
        "fixes": [fix.text for fix in finding.fixes],
        "evidence": list(finding.evidence),
        "engine": [{"source": said.source, "text": said.text} for said in finding.words],
    }


def _place(location: Location) -> str:
    named = f"{location.op} {location.name}".strip() or location.kind.value
    source = location.source
    return f"{named} ({source.file}:{source.line})" if source is not None else named


def _path(location: Location) -> str:
    ports = {LocationKind.INPUT: "<", LocationKind.OUTPUT: ">"}
    return location.node or (ports[location.kind] + location.name if location.kind in ports else "")


def _graph(reported: Reported, *, general: bool) -> dict[str, Any]:
    empty = GraphData(names=[], ops=[], paths=[], inputs=[], scopes=[], scope_table=[], order=[], main=0)
    graph = reported.graph or empty
    graph = graph if graph.order else with_order(graph)
    marks = marks_of(reported.verdict.findings)
    notes = {} if general else notes_of(reported.verdict.findings)
    main = range(graph.main)
    return {
        "names": graph.names[: graph.main],
        "ops": graph.ops[: graph.main],
        "paths": graph.paths[: graph.main],
        "inputs": [[read for read in graph.inputs[item] if read < graph.main] for item in main],
        "scopes": graph.scopes[: graph.main],
        "scopeTable": [list(scope) for scope in graph.scope_table],
        "order": [item for item in graph.order if item < graph.main],
        "labels": [reported.labels[item] if item < len(reported.labels) else "" for item in main],
        "marks": [_MARKS[marks[path]] if (path := graph.paths[item]) in marks else "" for item in main],
        "notes": {item: notes[graph.paths[item]] for item in main if graph.paths[item] in notes},
        "count": graph.nodes or graph.main,
    }


def _shapes(recipe: Recipe) -> list[list[str]]:
    if recipe.profile is None:
        return []
    guessed = recipe.profile.guessed
    rows = [
        [key, str(chosen.min), str(chosen.opt), str(chosen.max), "guessed" if key in guessed else ""]
        for key, chosen in recipe.profile.ranges.items()
    ]
    rows += [
        [f"values of {key}", *(",".join(map(str, row)) for row in (given.min, given.opt, given.max)), ""]
        for key, given in recipe.profile.values.items()
    ]
    return rows


def _memory(forecast: MemoryForecast | None) -> dict[str, Any] | None:
    if forecast is None or not forecast.sizes:
        return None
    others = "".join(f", {name} = {size}" for name, size in forecast.others)
    at = f"{forecast.key} = {forecast.sizes[-1]}{others}" if forecast.key else "the model's own sizes"
    rows = [
        ["weights", size_text(forecast.weights), ""],
        ["activations", size_text(forecast.activations[-1]), f"at {at}"],
        *(["largest tensors", size_text(one.bytes), one.tensor] for one in forecast.largest[:5]),
    ]
    return {
        "about": f"{'at least; ' if forecast.unknown else ''}predicted from the shapes, as TensorRT-RTX 1.7 plans it",
        "along": forecast.key,
        "points": [[size, forecast.weights + forecast.activations[at]] for at, size in enumerate(forecast.sizes)],
        "rows": rows,
    }


def _edited(reported: Reported) -> list[dict[str, Any]]:
    """The changes of a session; of a recipe alone the rewrites that it makes."""
    rows = [list(edit) for edit in reported.edits] or [[f"+ {one.name}", ""] for one in reported.recipe.rewrites]
    about = "the findings and the graph are those of the model with these changes made"
    return [{"title": "Changes", "about": about, "head": ["change", "what it came to"], "rows": rows}] if rows else []


def _reproduce(reported: Reported) -> str:
    """The command, and the file beside the model that makes the changes which no option can express."""
    recipe = reported.recipe
    command = check_command(recipe, reported.summary.inputs if reported.summary else ())
    if not recipe.rewrites:
        return command
    beside = RecipeFile(rewrites=recipe.rewrites)
    return f"{command}\n\n# with this in friction.toml beside the model:\n{friction_toml.text(beside)}"


def _exported(evidence: ExportEvidence | None) -> list[dict[str, Any]]:
    """How the export went, how equal its outputs are, what it decided, and the program beside the graph."""
    if evidence is None:
        return []
    at = _source_place
    tables: list[dict[str, Any]] = [
        {
            "title": "Export",
            "about": "the steps of torch.onnx.export, then ONNX Runtime on the CPU against PyTorch",
            "head": ["step", "", ""],
            "rows": [[step.name, step.state.value, step.said] for step in evidence.steps],
        },
        {
            "title": "Outputs against PyTorch's",
            "about": "the largest difference of each output; elements are counted by their difference relative to the "
            "output's largest value",
            "head": [
                "output",
                "inputs",
                "absolute",
                "relative",
                "accepted",
                "worst element",
                "PyTorch",
                "ONNX",
                "counts",
            ],
            "rows": [
                [
                    one.output,
                    one.where,
                    f"{one.absolute:.3g}",
                    f"{one.relative:.3g}",
                    f"{one.accepted:g}",
                    str(list(one.index)),
                    f"{one.expected:.6g}",
                    f"{one.got:.6g}",
                    {"histogram": [[name, n] for name, n in zip(DECADES, one.counts, strict=True)]},
                ]
                for one in evidence.differences
            ],
        },
        {
            "title": "What the capture decided",
            "about": "values and sizes that torch.export could not leave open, the line, and its variables there",
            "head": ["expression", "went on with", "times met", "line", "variables"],
            "rows": [
                [
                    one.expression,
                    one.taken,
                    str(one.times),
                    f"{at(one.line)}  {one.line.code}" if one.line else "",
                    ", ".join(f"{name} {shape}" for name, shape in one.variables),
                ]
                for one in evidence.decisions
            ],
        },
        {
            "title": f"Captured program (operators: {evidence.operators})",
            "about": "each operator with the ONNX nodes that were made of it and the line of Python it comes from",
            "head": ["operator", "result", "ONNX nodes", "line"],
            "rows": [[one.text, one.shape, {"nodes": one.nodes}, at(one.line)] for one in evidence.program],
            "folded": True,
        },
    ]
    return [table for table in tables if table["rows"]]


def _source_place(line: SourceLine | None) -> str:
    return f"{PurePath(line.file).name}:{line.line}" if line else ""


def _built(verdict: ModelVerdict) -> list[dict[str, Any]]:
    build = verdict.build
    if build is None:
        return []
    rows = [
        ["result", "built" if build.ok else "refused"],
        ["time", f"{build.seconds:.1f} s"],
        *(["engine", size_text(build.engine_bytes)] for _ in range(int(build.engine_bytes is not None))),
        *([f"activations of profile {at}", size_text(planned)] for at, planned in enumerate(build.activation_bytes)),
        *([phase.name, f"{phase.seconds:.2f} s"] for phase in build.phases if phase.seconds is not None),
        ["kernels", str(len(build.kernels))],
    ]
    about = f"built by {build.source}; memory is planned, not measured"
    return [{"title": "Engine", "about": about, "head": ["what", ""], "rows": rows}]


def _measured(latency: LatencyResult | None) -> list[dict[str, Any]]:
    if latency is None:
        return []
    figures = (("p50", latency.p50), ("p90", latency.p90), ("p99", latency.p99), ("mean", latency.mean))
    rows = [[name, f"{ms:.4g} ms"] for name, ms in figures]
    about = f"measured by {latency.source} at {latency.point}, {len(latency.times_ms)} runs after {latency.warmup}"
    return [{"title": "Latency", "about": about, "head": ["what", ""], "rows": rows}]


def _anonymous(reported: Reported) -> Reported:
    """The same without a name of the author's, who named nodes, modules, tensors, dimensions, own operators and files.

    Texts that may hold names are replaced by what the kind of finding always says (`_finding`).
    """
    names: dict[str, str] = {}

    def numbered(name: str, what: str) -> str:
        return names.setdefault(name, f"{what}{len(names) + 1}") if name else ""

    own = set(reported.summary.own_operators) if reported.summary else set()

    def operator(name: str) -> str:
        return numbered(name, "operator") if name in own else name

    def place(location: Location) -> Location:
        source = location.source
        hidden = SourceLine(file="source.py", line=source.line) if source is not None else None
        return msgspec.structs.replace(
            location,
            name=numbered(location.name, "n"),
            op=operator(location.op),
            source=hidden,
            node=_hidden_path(location.node, numbered),
        )

    verdict = reported.verdict
    findings = tuple(
        msgspec.structs.replace(finding, locations=tuple(map(place, finding.locations))) for finding in verdict.findings
    )
    graph = reported.graph
    if graph is not None:
        graph = msgspec.structs.replace(
            graph if graph.order else with_order(graph),
            names=[numbered(name, "n") for name in graph.names],
            ops=[operator(op) for op in graph.ops],
            paths=[_hidden_path(path, numbered) for path in graph.paths],
            scope_table=[tuple(numbered(part, "m") for part in scope) for scope in graph.scope_table],
        )
    recipe, profile = reported.recipe, reported.recipe.profile
    if profile is not None:
        profile = msgspec.structs.replace(
            profile,
            ranges={numbered(key, "d"): chosen for key, chosen in profile.ranges.items()},
            values={numbered(key, "d"): given for key, given in profile.values.items()},
            guessed=tuple(numbered(key, "d") for key in profile.guessed),
            relations=(),
        )
    source = msgspec.structs.replace(recipe.source, path="model.onnx", factory="", state_dict="", inputs=())
    recipe = msgspec.structs.replace(
        recipe, source=source, profile=profile, others=(), keep_float32=(), rewrites=(), opset_why=""
    )
    memory = reported.memory
    if memory is not None:
        memory = msgspec.structs.replace(
            memory,
            key=numbered(memory.key, "d"),
            others=tuple((numbered(name, "d"), size) for name, size in memory.others),
            largest=tuple(
                msgspec.structs.replace(one, tensor=numbered(one.tensor, "t"), node=numbered(one.node, "n"))
                for one in memory.largest
            ),
        )
    clean = msgspec.structs.replace
    summary = reported.summary
    return Reported(
        verdict=ModelVerdict(
            path="model.onnx",
            findings=findings,
            guessed=profile.guessed if profile is not None else (),
            unanswered=verdict.unanswered,
            kernels=verdict.kernels,
            build=clean(verdict.build, kernels=()) if verdict.build is not None else None,
        ),
        recipe=recipe,
        machine="",
        engines=reported.engines,
        summary=_hidden_summary(summary) if summary else None,
        graph=graph,
        labels=[_without_symbols(label) for label in reported.labels],
        memory=memory,
        latency=reported.latency,
        packages=reported.packages,
        edits=[(f"+ {rewrite.name}", "") for rewrite in reported.recipe.rewrites],
    )


def _hidden_summary(summary: ModelSummary) -> ModelSummary:
    opsets = {domain: version for domain, version in summary.opsets.items() if domain in _PUBLIC_DOMAINS}
    nothing: dict[str, Any] = {"inputs": (), "outputs": (), "producer": "", "metadata": {}, "path": ""}
    return msgspec.structs.replace(summary, opsets=opsets, own_operators=(), **nothing)


def _hidden_path(path: str, numbered: Any) -> str:
    """A path without names: inputs, outputs and functions have theirs in it."""
    return path if not path or path[0].isdigit() else path[0] + numbered(path[1:], "n")


def _without_symbols(label: str) -> str:
    """A shape with numbers and signs only: a symbol is a name, too."""
    return " ".join(part if not any(char.isalpha() for char in part) else "?" for part in label.split(" "))
