"""`friction-tui mcp`: the verdicts, fixes and builds as tools of the Model Context Protocol, on stdin and stdout.

A coding agent in an editor starts it. Every tool asks a worker as the other commands do, and answers with the published
JSON. Code of a model runs only where the server was started with --allow-code, and files are written only below the
folder it was started in.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from friction_tui import __version__
from friction_tui.commands.failing import CouldNotRun
from friction_tui.commands.fix import document
from friction_tui.friction_toml import RecipeFileError, from_recipe, of_model, save, with_file
from friction_tui.kinds import KINDS, explain, unknown
from friction_tui.report import answered, as_json
from friction_tui.report.verdict import bounded
from friction_tui.verdicts.answer import Answer
from friction_tui.vocabulary.protocol import Detail, Inspect, JobKind, ReadSource, SourceText, StartJob
from friction_tui.vocabulary.recipe import Recipe
from friction_tui.vocabulary.recipe.text import RecipeTextError
from friction_tui.worker.headless import Conversation

if TYPE_CHECKING:
    from mcp.server import MCPServer

LARGEST_SLICE = 500
"""Nodes or lines that one answer has at most: an agent reads every one of them."""
LIMIT_S = 3600.0
"""Seconds that a tool may take."""

RecipeOf = Callable[[str, Mapping[str, Any]], Recipe]


def skill() -> str:
    """How an agent works a model through, in Markdown; also what the server tells its client."""
    return files("friction_tui.commands").joinpath("skill.md").read_text(encoding="utf-8")


def run(recipe_of: RecipeOf, *, allow_code: bool, folder: Path) -> None:
    """Serve until stdin ends. Raises CouldNotRun when the `mcp` package is missing."""
    server(Tools(recipe_of, allow_code=allow_code, folder=folder)).run("stdio")


def server(tools: Tools) -> MCPServer[Any]:
    """The server with all of its tools."""
    try:
        from mcp.server import MCPServer
    except ImportError:
        raise CouldNotRun("the package mcp is missing. Install it with: pip install 'friction-tui[mcp]'") from None
    served: MCPServer[Any] = MCPServer("friction-tui", version=__version__, instructions=skill())
    for tool in tools.all():
        served.add_tool(_telling(tool), structured_output=True)
    return served


def _telling(tool: Callable[..., Any]) -> Callable[..., Any]:
    """The tool, whose ValueErrors are an answer: of other errors the server tells its client nothing."""
    from mcp.server.mcpserver.exceptions import ToolError

    @functools.wraps(tool)
    async def told(**arguments: Any) -> Any:
        try:
            return bounded(await tool(**arguments))
        except ValueError as error:
            raise ToolError(str(error)) from None

    return told


class Tools:
    """What an agent can ask for. One worker answers, one question after the other."""

    def __init__(self, recipe_of: RecipeOf, *, allow_code: bool, folder: Path) -> None:
        self._recipe_of, self._folder = recipe_of, folder.resolve()
        self._conversation = Conversation(allow_code=allow_code)
        self._turn = asyncio.Lock()

    def all(self) -> tuple[Callable[..., Any], ...]:
        """The tools, in the order in which they are listed."""
        return (
            self.check,
            self.explain,
            self.fix,
            self.build,
            self.reduce,
            self.graph,
            self.node,
            self.source,
            self.set_ranges,
        )

    async def check(
        self,
        model: str,
        shapes: list[str] | None = None,
        target: str = "",
        precision: str = "",
        opset: int | None = None,
        builder: list[str] | None = None,
    ) -> dict[str, Any]:
        """Judge a model (an .onnx file, a PyTorch or TensorFlow source) against TensorRT, without a GPU.

        `shapes` are ranges such as "x:1x3x64x64..4x3x64x64..8x3x64x64" (min..opt..max); without them the friction.toml
        beside the model counts, and sizes that nobody chose are guessed. `target` is an architecture such as SM89,
        `precision` one of fp16, bf16, `builder` are options such as "workspace=512MiB". Findings come with the fixes
        that the tool `fix` can make.
        """
        chosen: dict[str, Any] = {"target": target, "precision": precision, "opset": opset, "builder": builder or []}
        recipe = self._recipe(model, shapes=shapes or [], **chosen)
        answer = await self._ask(recipe)
        return as_json.model(answered.verdict_of(answer))

    async def explain(self, kind: str) -> dict[str, Any]:
        """Explain a kind of finding, such as dynamic/baked-reshape: cause, evidence, fix and an example."""
        if kind not in KINDS:
            raise ValueError(unknown(kind))
        return {"kind": kind, "text": explain(kind) or ""}

    async def fix(
        self,
        model: str,
        output: str = "",
        only: list[str] | None = None,
        safe: bool = False,
        warnings_too: bool = False,
        shapes: list[str] | None = None,
    ) -> dict[str, Any]:
        """Mend a model by rewrites, each verified against the original; without `output` this is a preview.

        The answer has the steps with how they were verified, the difference of the graphs, and what remains. `only`
        limits it to kinds of finding, `safe` to rewrites that keep the results, `warnings_too` mends more than errors.
        """
        self._check_kinds(only or [])
        path = str(self._output(output)) if output else ""
        level = "safe" if safe else "all" if warnings_too else ""

        def request(number: int, kind: JobKind) -> StartJob:
            return StartJob(job=number, kind=kind, level=level, only=tuple(only or ()), output=path, diff=True)

        answer = await self._ask(self._recipe(model, shapes=shapes or []), JobKind.FIX, request)
        ended = answer.jobs.get(JobKind.FIX)
        if ended is None or ended.mended is None:
            raise ValueError(answer.job_error or "the source gave no model to fix")
        return document(ended.mended)

    async def build(
        self,
        model: str,
        shapes: list[str] | None = None,
        target: str = "",
        precision: str = "",
        builder: list[str] | None = None,
    ) -> dict[str, Any]:
        """Build the TensorRT engine, to the end: what the builder refuses, else times, sizes and planned memory.

        `builder` are options of the builder, such as "workspace=512MiB" or "optimization_level=5".
        """
        chosen: dict[str, Any] = {"target": target, "precision": precision, "builder": builder or []}
        recipe = self._recipe(model, shapes=shapes or [], **chosen)
        return as_json.model(answered.verdict_of(await self._ask(recipe, JobKind.BUILD)))

    async def reduce(self, model: str, output: str, shapes: list[str] | None = None) -> dict[str, Any]:
        """Write the smallest part of a model that fails as the whole does, to look at or to attach to a bug report."""
        path = str(self._output(output))

        def request(number: int, kind: JobKind) -> StartJob:
            return StartJob(job=number, kind=kind, output=path)

        recipe = msgspec.structs.replace(self._recipe(model, shapes=shapes or []), parse=False)
        answer = await self._ask(recipe, JobKind.REDUCE, request)
        ended = answer.jobs.get(JobKind.REDUCE)
        if ended is None or ended.reduced is None:
            raise ValueError(answer.job_error or "the source gave no model to reduce")
        found: dict[str, Any] = msgspec.to_builtins(ended.reduced)
        return found

    async def graph(self, model: str, first: int = 0, count: int = 100, contains: str = "") -> dict[str, Any]:
        """Nodes of a model in the order of its graph, `count` of them from number `first`.

        `contains` keeps those whose name, operator or module has this text.
        """
        answer = await self._ask(self._recipe(model))
        if answer.graph is None:
            raise ValueError("the source gave no graph")
        shown = answer.graph.graph
        rows = [
            {
                "path": shown.paths[item],
                "name": shown.names[item],
                "op": shown.ops[item],
                "module": "/".join(shown.scope_table[shown.scopes[item]]),
                "reads": [shown.names[read] or shown.paths[read] for read in shown.inputs[item]],
            }
            for item in shown.order
        ]
        rows = [row for row in rows if contains in f"{row['name']} {row['op']} {row['module']}"]
        count = min(count, LARGEST_SLICE)
        return {"total": len(rows), "first": first, "nodes": rows[first : first + count]}

    async def node(self, model: str, path: str) -> dict[str, Any]:
        """One node with attributes, tensors, types and shapes at min, opt and max; `path` as `graph` gives it."""
        async with self._turn:
            await self._opened(self._recipe(model))
            detail = await self._conversation.put(Inspect(path), Detail)
        if detail.node is None:
            raise ValueError(f"the model has no node {path!r}; `graph` lists the paths")
        found: dict[str, Any] = msgspec.to_builtins(detail.node)
        return found

    async def source(self, model: str, file: str = "", first: int = 1, count: int = 100) -> dict[str, Any]:
        """Lines of the Python that a model came from, with the nodes that each made; `file` "" is the main one."""
        async with self._turn:
            await self._opened(self._recipe(model))
            text = await self._conversation.put(ReadSource(file), SourceText)
        if text.error:
            raise ValueError(text.error)
        lines = text.text.splitlines()
        last = first + min(count, LARGEST_SLICE)
        shown = [
            {"line": number, "text": line, "nodes": text.nodes.get(number, [])}
            for number, line in enumerate(lines, 1)
            if first <= number < last
        ]
        return {"file": text.file, "files": list(text.files), "total": len(lines), "lines": shown}

    async def set_ranges(self, model: str, shapes: list[str]) -> dict[str, Any]:
        """Write ranges such as "x:1x3x64x64..4x3x64x64..8x3x64x64" into the friction.toml beside the model, and judge.

        From then on every tool, and everybody else who checks the model, judges it at these ranges.
        """
        answer = await self._ask(self._recipe(model, shapes=shapes))
        place, older = of_model(Path(model))
        self._output(str(place))
        if answer.could_run:
            save(from_recipe(answer.recipe, older), place)
        return as_json.model(answered.verdict_of(answer)) | {"saved": str(place) if answer.could_run else ""}

    async def close(self) -> None:
        """End the worker."""
        await self._conversation.close()

    def _recipe(self, model: str, **chosen: Any) -> Recipe:
        try:
            return with_file(self._recipe_of(model, chosen))[0]
        except (RecipeTextError, RecipeFileError) as error:
            raise ValueError(str(error)) from None

    def _output(self, path: str) -> Path:
        """Where a file is written. Raises ValueError for a place outside of the server's folder."""
        full = (self._folder / path).resolve()
        if not full.is_relative_to(self._folder):
            raise ValueError(f"{path} lies outside of {self._folder}, the folder that this server may write to")
        if full.suffix == ".onnx" and full.exists():
            raise ValueError(f"{path} is there already; name a new file")
        return full

    @staticmethod
    def _check_kinds(kinds: Sequence[str]) -> None:
        for kind in kinds:
            if kind not in KINDS:
                raise ValueError(unknown(kind))

    async def _ask(
        self, recipe: Recipe, job: JobKind | None = None, request: Callable[[int, JobKind], StartJob] | None = None
    ) -> Answer:
        async with self._turn:
            return await self._opened(recipe, job, request)

    async def _opened(
        self, recipe: Recipe, job: JobKind | None = None, request: Callable[[int, JobKind], StartJob] | None = None
    ) -> Answer:
        """The worker's answer about a model, with the result of a job on it. Raises ValueError when there is none."""
        answer = await self._conversation.ask(
            recipe, jobs=(job,) if job else (), job_request=request or StartJob, limit_s=LIMIT_S
        )
        if answer.consent is not None:
            raise ValueError(
                f"{answer.consent.runs}. The user has not agreed to that: start the server with --allow-code."
            )
        if not answer.could_run:
            raise ValueError(answer.failure)
        return answer
