"""`friction-tui diff`: two models side by side: verdicts, inputs and outputs, nodes, and what their builds came to."""

from __future__ import annotations

import asyncio
import html
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import msgspec

from friction_tui.commands import checking
from friction_tui.commands.failing import CouldNotRun, write
from friction_tui.drawing.width import visible, visible_lines
from friction_tui.processes import child
from friction_tui.processes.begin import command
from friction_tui.processes.locks import temporary_folder
from friction_tui.processes.stdio import printable
from friction_tui.report import answered, as_json
from friction_tui.report.difference import lines
from friction_tui.report.verdict import ModelVerdict, bounded, bounded_line
from friction_tui.verdicts.answer import Answer
from friction_tui.vocabulary.finding import Finding, Severity
from friction_tui.vocabulary.protocol import BuildResult, JobKind
from friction_tui.vocabulary.protocol.differences import Compared, ModelDifference, Pair
from friction_tui.vocabulary.recipe import Recipe
from friction_tui.vocabulary.units import size_text
from friction_tui.worker.headless import ask_all

LIMIT_S = 300.0
"""Seconds that comparing two graphs may take; 10,000 nodes take about one."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What one model has and the other has not. `nodes` None: one of them has no graph, `why_not` says which."""

    before: ModelVerdict
    after: ModelVerdict
    gone: tuple[Finding, ...]
    new: tuple[Finding, ...]
    stay: tuple[Finding, ...]
    nodes: ModelDifference | None
    why_not: str

    @property
    def builds(self) -> tuple[tuple[str, str, str], ...]:
        """A figure of the builds, before, after; () where one was not built."""
        one, other = self.before.build, self.after.build
        if one is None or other is None:
            return ()
        return tuple(zip(_FIGURES, _figures(one), _figures(other), strict=True))


_FIGURES = ("built", "seconds", "engine", "activation memory", "weights", "kernels")


def _figures(result: BuildResult) -> tuple[str, ...]:
    sizes = (result.engine_bytes, max(result.activation_bytes, default=None), result.weights_bytes)
    return (
        "yes" if result.ok else "no",
        f"{result.seconds:.1f} s",
        *("?" if size is None else size_text(size) for size in sizes),
        str(len(result.kernels)) if result.kernels else "?",
    )


def run(before: Recipe, after: Recipe, *, form: str, output: Path | None, build: bool, allow: bool) -> int:
    """Print what differs; 0 `after` has no error that `before` has not, 1 it has, 2 one was not wholly judged."""
    found = _compared(before, after, build=build, allow=allow)
    match form:
        case "json":
            text = as_json.escaped(json.dumps(bounded(_document(found)), indent=2, ensure_ascii=False))
        case "html":
            text = _page(found)
        case _:
            text = "\n".join(_lines(found))
    if output is not None:
        write(output, f"{text}\n".encode(), "the report")
    else:
        click.echo(text)
    if checking.exit_code([found.before, found.after], frozenset()):
        return 2
    return int(any(finding.severity is Severity.ERROR for finding in found.new))


def _compared(before: Recipe, after: Recipe, *, build: bool, allow: bool) -> Difference:
    jobs = (JobKind.BUILD,) if build else ()
    with temporary_folder("diff") as folder:
        files = [before.source.path, after.source.path]

        def keep(number: int, answer: Answer) -> None:
            """Copy what was exported while the worker lives: its files go with it."""
            if answer.exported is not None and answer.exported.onnx_path:
                files[number] = str(folder / f"{number}.onnx")
                shutil.copyfile(answer.exported.onnx_path, files[number])

        pair = asyncio.run(ask_all([before, after], parallel=1, allow_code=allow, jobs=jobs, on_answer=keep))
        for answer in pair:
            if not answer.could_run:
                name = answered.name_of(answer.recipe)
                raise CouldNotRun(visible_lines(printable(f"{name}: {answer.failure}")))
        nodes, why_not = _nodes(*files)
    one, other = map(answered.verdict_of, pair)
    known, told = {_key(finding) for finding in one.findings}, {_key(finding) for finding in other.findings}
    return Difference(
        before=one,
        after=other,
        gone=tuple(finding for finding in one.findings if _key(finding) not in told),
        new=tuple(finding for finding in other.findings if _key(finding) not in known),
        stay=tuple(finding for finding in other.findings if _key(finding) in known),
        nodes=nodes,
        why_not=why_not,
    )


def _nodes(before: str, after: str) -> tuple[ModelDifference | None, str]:
    """What differs in the graphs of two files, or why that is not known."""
    question = msgspec.json.encode(Pair(before, after))
    done = child.run(command("friction_tui.model.comparing"), question, limit_s=LIMIT_S)
    if done.code != 0:
        return None, f"the graphs were not compared: {done.last_line or f'it took longer than {LIMIT_S:g} s'}"
    compared = msgspec.json.decode(done.out, type=Compared)
    return compared.difference, f"there is no graph of {compared.no_graph} to compare" if compared.no_graph else ""


def _key(finding: Finding) -> tuple[str, tuple[str, ...]]:
    """What makes findings of two models the same one: the kind and the names at fault, not the wording."""
    return finding.kind, tuple(sorted(finding.names))


def _lines(found: Difference) -> Iterator[str]:
    yield from map(bounded_line, _every_line(found))


def _every_line(found: Difference) -> Iterator[str]:
    yield f"- {visible(found.before.path)}"
    yield f"+ {visible(found.after.path)}"
    yield f"@@ findings: {len(found.gone)} gone, {len(found.new)} new, {len(found.stay)} stay @@"
    yield from (f"- {_finding(finding)}" for finding in found.gone)
    yield from (f"+ {_finding(finding)}" for finding in found.new)
    if found.builds:
        yield "@@ builds @@"
        for name, one, other in found.builds:
            yield f"  {name:18} {one:>12} → {other}"
    yield from lines(found.nodes) if found.nodes is not None else [visible(found.why_not)]


def _finding(finding: Finding) -> str:
    names = f": {', '.join(finding.names[:3])}" if finding.names else ""
    return visible(f"{finding.severity.value} {finding.title} ({finding.kind}){names}")


def _document(found: Difference) -> dict[str, Any]:
    groups: Mapping[str, Sequence[Finding]] = {"gone": found.gone, "new": found.new, "stay": found.stay}
    return {
        "schema": as_json.SCHEMA,
        "before": as_json.model(found.before),
        "after": as_json.model(found.after),
        "findings": {name: [as_json.finding_of(finding) for finding in group] for name, group in groups.items()},
        "nodes": msgspec.to_builtins(found.nodes) if found.nodes is not None else None,
        "why_not": found.why_not,
    }


def _page(found: Difference) -> str:
    """One page without scripts: it shows in any browser, and in a mail."""
    rows = "".join(_html(line) for line in _lines(found))
    title = html.escape(visible(f"{found.before.path} → {found.after.path}"))
    return _PAGE.format(title=title, rows=rows)


def _html(line: str) -> str:
    kind = {"-": "gone", "+": "new", "@": "part", "~": "changed"}.get(line.lstrip()[:1], "same")
    return f'<div class="{kind}">{html.escape(line)}</div>\n'


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 14px/1.5 ui-monospace, monospace; margin: 2rem; }}
div {{ white-space: pre-wrap; overflow-wrap: anywhere; }}
.gone {{ color: light-dark(#a40e26, #ff8182); }} .new {{ color: light-dark(#116329, #7ee787); }}
.part {{ font-weight: bold; margin-top: 1rem; }} .changed {{ color: light-dark(#7d4e00, #f2cc60); }}
</style></head><body>
<h1>{title}</h1>
{rows}</body></html>"""
