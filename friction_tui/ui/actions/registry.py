"""Everything the user can do, once: key, its name in the key line, help, palette entry, and when it is available.

The bindings of the workbench, the key line, the command palette and the help page are all made from `ACTIONS`.
Keys stay single letters that arrive over SSH and tmux; every one has its palette command beside it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.binding import Binding

from friction_tui.state.app_state import AppState
from friction_tui.ui.actions import commands, edit_commands
from friction_tui.vocabulary.finding import Severity
from friction_tui.vocabulary.protocol import JobKind
from friction_tui.vocabulary.recipe import SourceKind

if TYPE_CHECKING:
    from friction_tui.ui.workbench import Workbench

EXACT = "exact"
"""What a rewrite promises that gives the very same results, as `friction_tui.rewrites.base.Exactness` names it."""

WhyNot = Callable[[AppState], str]
"""Why an action is not available in a state, "" when it is."""


def always(_: AppState) -> str:
    """Available at any time."""
    return ""


def needs_source(state: AppState) -> str:
    """Something was opened, whether or not it could be read."""
    return "" if state.recipe is not None else "no model is open"


def needs_model(state: AppState) -> str:
    """A model is open."""
    if state.summary is not None:
        return ""
    return "the model is still being read" if state.recipe and state.refused is None else "no model is open"


def needs_nodes(state: AppState) -> str:
    """A model is open, and there is something in it."""
    if state.summary is not None and state.summary.nodes > 0:
        return ""
    return needs_model(state) or "there is no graph in this file; Problems says why"


def needs_graph(state: AppState) -> str:
    """There is a graph to look at."""
    return "" if state.graph is not None else needs_model(state) or "there is no graph"


def needs_export(state: AppState) -> str:
    """The source is code that was exported, or that should have been."""
    if state.exported is not None:
        return ""
    return needs_source(state) or "this model needs no export"


def needs_problem(state: AppState) -> str:
    """There is a finding."""
    if state.findings:
        return ""
    checking = "no problem so far; it is still being checked" if state.checking else "there is no problem"
    return needs_model(state) or checking


def needs_verdict(state: AppState) -> str:
    """The present recipe was judged, or the source was refused whole."""
    waiting = state.checking or (state.judged is None and state.refused is None)
    return needs_source(state) or ("it is still being checked" if waiting else "")


def needs_exact_fix(state: AppState) -> str:
    """An error has a fix that keeps the results exactly, and the worker can try it."""
    offered = any(
        finding.severity is Severity.ERROR and any(fix.rewrite and fix.exactness == EXACT for fix in finding.fixes)
        for finding in state.findings
    )
    if state.running(JobKind.FIX) is not None:
        return "fixes are being tried already; Esc stops"
    none = "no error has an exact fix; x shows what else there is"
    if state.checking:  # fixes are looked for last
        none = "fixes are still being looked for"
    return needs_problem(state) or _needs_idle_worker(state, JobKind.FIX) or ("" if offered else none)


def needs_taken_back(state: AppState) -> str:
    """The last edit was taken back because the results changed."""
    return "" if state.taken_back is not None else needs_model(state) or "no fix was taken back"


def needs_past(state: AppState) -> str:
    """There is an edit to take back."""
    return "" if state.history is not None and state.history.past else needs_model(state) or "there is nothing to undo"


def needs_lost(state: AppState) -> str:
    """A step of the recipe does not apply."""
    return "" if state.lost else needs_model(state) or "every step of the recipe applies"


def needs_future(state: AppState) -> str:
    """There is an undone edit."""
    return (
        "" if state.history is not None and state.history.future else needs_model(state) or "there is nothing to redo"
    )


def needs_job(state: AppState) -> str:
    """A job runs."""
    return "" if state.running() is not None else needs_model(state) or "nothing is running"


def needs_lost_worker(state: AppState) -> str:
    """Nobody answers."""
    return "" if state.line_lost or state.worker_lost else "the worker is there"


def needs_others(state: AppState) -> str:
    """Somebody else looks at this session."""
    if state.present is None:
        return "this session is not shared"
    return "" if len(state.present.viewers) > 1 else "nobody else is here"


def needs_two_builds(state: AppState) -> str:
    """There are two builds to compare."""
    return "" if len(state.builds) > 1 else needs_model(state) or "two builds are needed for a comparison"


def needs_engine(state: AppState) -> str:
    """A build gave an engine."""
    built = any(job.build is not None and job.build.engine_path for job in state.builds)
    return "" if built else needs_model(state) or "no build gave an engine; b builds one"


def needs_builder(state: AppState) -> str:
    """A builder is installed, the worker has read the model, and no build runs."""
    builds = any(engine.can_build for engine in state.hello.engines) if state.hello is not None else False
    return needs_nodes(state) or _needs_idle_worker(state, JobKind.BUILD) or ("" if builds else _no_engine(state))


def needs_runner(state: AppState) -> str:
    """Something can run the model or the plan, the worker has read it, and no measurement runs."""
    runs = any(engine.can_run for engine in state.hello.engines) if state.hello is not None else False
    # A built engine has no graph, and can be run.
    plan = state.recipe is not None and state.recipe.source.kind is SourceKind.ENGINE
    nothing = "" if plan else needs_nodes(state)
    return nothing or _needs_idle_worker(state, JobKind.MEASURE) or ("" if runs else _no_engine(state))


def _needs_idle_worker(state: AppState, kind: JobKind) -> str:
    if state.line_lost:
        return f"nobody is there: {state.line_lost}"
    if state.running(kind) is not None:
        return f"a {kind} is already running; Esc stops it"
    if state.hello is None:
        return "the worker is still starting"
    return "" if state.graph is not None and not state.reopening else "the worker is still reading the model"


def _no_engine(state: AppState) -> str:
    engines = state.hello.engines if state.hello is not None else ()
    return "; ".join(f"{e.label}: {e.why_not}" for e in engines if e.why_not) or "no engine here can do it"


@dataclass(frozen=True, slots=True)
class Action:
    """One thing the user can do."""

    id: str
    keys: str
    """Comma separated, the first is shown; empty for palette only."""
    label: str
    """The word beside the key."""
    tooltip: str
    """One line of help."""
    noun: str
    """What it is about: the palette shows `noun: label`, help groups by it."""
    do: Callable[[Workbench], Awaitable[None] | None]
    why_not: WhyNot = always
    """Why it is not available now."""
    rank: int = 9
    """The key line shows low ranks first; 9 never."""

    def key(self, chosen: Mapping[str, str]) -> str:
        """The key as people write it; `chosen` are the user's own by action."""
        first = chosen.get(self.id, self.keys).split(",", maxsplit=1)[0]
        names = {"slash": "/", "question_mark": "?", "escape": "Esc", "enter": "Enter", "space": "Space"}
        return names.get(first, first.replace("ctrl+", "^"))


ACTIONS: tuple[Action, ...] = (
    Action("panel.graph", "1", "Graph", "Show the graph", "Panel", commands.show("graph")),
    Action("panel.problems", "2", "Problems", "Show what is wrong", "Panel", commands.show("problems")),
    Action("panel.shapes", "3", "Shapes", "Show the shape ranges", "Panel", commands.show("shapes")),
    Action("panel.build", "4", "Build", "Show builds, their log and history", "Panel", commands.show("build")),
    Action("panel.memory", "5", "Memory", "Show planned and measured memory", "Panel", commands.show("memory")),
    Action("panel.latency", "6", "Latency", "Show measured latency", "Panel", commands.show("latency")),
    Action("panel.inspector", "7,i", "Inspector", "Inspect the selected node", "Panel", commands.show("inspector")),
    Action(
        "panel.source",
        "8,c",
        "Source",
        "Show the Python that made the selected node, and the export",
        "Panel",
        commands.show("source"),
        needs_source,
    ),
    Action("panel.zoom", "z", "zoom", "Show the panel on the whole screen, or go back", "Panel", commands.zoom, rank=8),
    Action(
        "problem.next",
        "n",
        "next",
        "Go to the next problem, opening folds on the way",
        "Problem",
        commands.next_problem,
        needs_problem,
        rank=1,
    ),
    Action(
        "problem.previous",
        "p",
        "previous",
        "Go to the previous problem",
        "Problem",
        commands.previous_problem,
        needs_problem,
    ),
    Action(
        "problem.why",
        "W",
        "why",
        "Explain the chosen problem: evidence, sources, what to do",
        "Problem",
        commands.explain,
        needs_problem,
        rank=1,
    ),
    Action(
        "graph.search",
        "slash",
        "search",
        "Find a node by name or operator; in Build and Source a line; then n and N, Esc ends it",
        "Graph",
        commands.search,
        needs_graph,
        rank=4,
    ),
    Action(
        "graph.overview",
        "M",
        "map",
        "Draw the whole graph: its groups, how much is in each, and where the problems are",
        "Graph",
        commands.whole_graph,
        needs_nodes,
    ),
    Action("graph.around", "G", "around", "Draw the nodes around this one", "Graph", commands.around, needs_nodes),
    Action(
        "problem.filter", "F", "filter", "Show only some problems", "Problem", commands.filter_problems, needs_problem
    ),
    Action(
        "problem.fix", "x", "fix", "Fixes for the chosen problem", "Problem", edit_commands.fix, needs_problem, rank=1
    ),
    Action(
        "problem.fix-all",
        "X",
        "fix all",
        "Apply every fix that keeps the results exactly, as one edit",
        "Problem",
        edit_commands.fix_all,
        needs_exact_fix,
        rank=1,
    ),
    Action(
        "problem.keep",
        "K",
        "keep anyway",
        "Keep the fix that was taken back because the results changed",
        "Problem",
        edit_commands.keep_fix,
        needs_taken_back,
        rank=1,
    ),
    Action(
        "shapes.edit", "e", "edit", "Edit the shape ranges", "Recipe", edit_commands.edit_shapes, needs_nodes, rank=2
    ),
    Action(
        "recipe.opset",
        "o",
        "opset",
        "Convert to another opset",
        "Recipe",
        edit_commands.choose_opset,
        needs_nodes,
        rank=7,
    ),
    Action(
        "recipe.target",
        "t",
        "target",
        "Choose the GPU to build for, and the precision",
        "Recipe",
        edit_commands.choose_target,
        needs_nodes,
        rank=7,
    ),
    Action(
        "recipe.builder",
        "T",
        "builder options",
        "Choose workspace, optimisation level, sparsity and the other options of the builder",
        "Recipe",
        edit_commands.choose_builder_options,
        needs_nodes,
    ),
    Action(
        "recipe.copy",
        "y",
        "copy",
        "Copy as a trtexec, polygraphy, torch.onnx.export or CI command",
        "Recipe",
        edit_commands.copy_as,
        needs_model,
        rank=5,
    ),
    Action(
        "session.report",
        "Y",
        "report",
        "Write this session as one HTML file: findings, graph, changes, build, measurement",
        "Session",
        edit_commands.write_report(anonymise=False),
        needs_verdict,
    ),
    Action(
        "session.anonymous-report",
        "",
        "report without names",
        "The same without a name that the model's author chose, to attach to a public issue",
        "Session",
        edit_commands.write_report(anonymise=True),
        needs_verdict,
    ),
    Action(
        "recipe.file",
        "",
        "write friction.toml",
        "Write the recipe to a file beside the model",
        "Recipe",
        edit_commands.save_recipe,
        needs_model,
    ),
    Action(
        "recipe.lost",
        "A",
        "adapt",
        "Drop or move the fixes that do not apply any more",
        "Recipe",
        edit_commands.lost_steps,
        needs_lost,
        rank=1,
    ),
    Action("recipe.undo", "u", "undo", "Undo the last edit", "Recipe", commands.undo, needs_past, rank=3),
    Action("recipe.redo", "ctrl+r", "redo", "Redo the undone edit", "Recipe", commands.redo, needs_future),
    Action("build.start", "b", "build", "Build the TensorRT engine", "Build", commands.build, needs_builder, rank=2),
    Action(
        "build.auto",
        "B",
        "rebuild on edit",
        "Rebuild after every edit, or stop doing so",
        "Build",
        commands.toggle_auto_build,
        needs_model,
    ),
    Action(
        "build.diff",
        "d",
        "diff",
        "Compare any two builds",
        "Build",
        edit_commands.compare_builds,
        needs_two_builds,
        rank=6,
    ),
    Action("build.save", "", "save engine", "Save the last engine", "Build", edit_commands.save_engine, needs_engine),
    Action(
        "model.save",
        "S",
        "save model",
        "Write the model with the recipe applied",
        "Model",
        edit_commands.save_model,
        needs_model,
        rank=4,
    ),
    Action(
        "recipe.script",
        "",
        "write script",
        "Write a Python script that repeats the edits on the original model",
        "Model",
        edit_commands.save_script,
        needs_model,
    ),
    Action("latency.measure", "m", "measure", "Measure latency", "Latency", commands.measure, needs_runner, rank=2),
    Action("job.cancel", "", "cancel", "Stop the running job (Esc)", "Build", commands.cancel_job, needs_job),
    Action(
        "model.export",
        "r",
        "re-export",
        "Read the source again; code is exported again",
        "Model",
        commands.export,
        needs_source,
    ),
    Action(
        "model.inputs",
        "I",
        "inputs",
        "Confirm or edit the example inputs of the export, and export again",
        "Model",
        edit_commands.edit_inputs,
        needs_export,
    ),
    Action(
        "session.save",
        "w",
        "save",
        "Save this session: edits, folds, cursor",
        "Session",
        commands.save,
        needs_model,
        rank=6,
    ),
    Action(
        "model.netron", "N", "Netron", "Open this model in Netron, in a browser", "Model", commands.netron, needs_model
    ),
    Action(
        "session.reconnect",
        "R",
        "reconnect",
        "Try now to reach the worker again",
        "Session",
        commands.reconnect,
        needs_lost_worker,
        rank=1,
    ),
    Action(
        "session.follow",
        "f",
        "follow",
        "Let the graph follow somebody else's cursor: the next of them, or nobody",
        "Session",
        commands.follow,
        needs_others,
        rank=7,
    ),
    Action(
        "session.point",
        "L",
        "look here",
        "Show the others where you are; it moves those who follow you",
        "Session",
        commands.point,
        needs_others,
        rank=7,
    ),
    Action("session.who", "", "who is here", "Who shares this session, and how to join", "Session", commands.who),
    Action(
        "engines.others",
        "",
        "other TensorRTs",
        "Check this model with the TensorRT of other Python environments",
        "Model",
        edit_commands.other_engines,
        needs_nodes,
    ),
    Action(
        "model.open",
        "O",
        "open",
        "Open another model, or go back to the list",
        "Model",
        commands.open_other,
    ),
    Action(
        "session.journal",
        "J",
        "journal",
        "Every edit with what it came to; go back to any of them",
        "Session",
        edit_commands.journal,
        needs_model,
    ),
    Action("messages.show", "l", "messages", "Show every message so far", "Session", commands.messages),
    Action(
        "app.ascii", "", "ASCII drawing", "Draw with ASCII characters only, on or off", "Look", commands.toggle_ascii
    ),
    Action("app.light", "", "light or dark", "Change between light and dark", "Look", commands.toggle_light),
    Action("app.help", "question_mark", "help", "Every key and what it does", "App", commands.show_help, rank=0),
    Action("app.back", "escape", "back", "Stop the running job, close, or leave zoom", "App", commands.back),
    Action("app.suspend", "ctrl+z", "suspend", "Back to the shell; `fg` returns", "App", commands.suspend),
    Action("app.quit", "q", "quit", "Save the session and leave", "App", commands.leave),
)
BY_ID = {action.id: action for action in ACTIONS}


def bindings() -> list[Binding]:
    """The registry as Textual bindings."""
    return [
        Binding(action.keys, f"do('{action.id}')", action.label, show=False, id=action.id, tooltip=action.tooltip)
        for action in ACTIONS
        if action.keys
    ]


def available(state: AppState) -> list[Action]:
    """The actions that can be used now."""
    return [action for action in ACTIONS if not action.why_not(state)]
