"""Everything the user can do, once: key, footer word, help, palette entry, and when it is valid.

The bindings of the workbench, the key line, the command palette and the help page are all made from `ACTIONS`.
Keys stay single letters that arrive over SSH and tmux; every one has its palette command beside it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from textual.binding import Binding

from friction_tui.state.app_state import AppState
from friction_tui.ui.actions import commands, edit_commands
from friction_tui.vocabulary.protocol import JobKind
from friction_tui.vocabulary.recipe import SourceKind

if TYPE_CHECKING:
    from friction_tui.ui.workbench import Workbench

When = Callable[[AppState], bool]


def always(_: AppState) -> bool:
    """Valid at any time."""
    return True


def has_model(state: AppState) -> bool:
    """A model is open."""
    return state.summary is not None


def is_exported(state: AppState) -> bool:
    """The source is code that was exported, or that should have been."""
    return state.exported is not None


def has_nodes(state: AppState) -> bool:
    """A model is open, and there is something in it."""
    return state.summary is not None and state.summary.nodes > 0


def is_here(state: AppState) -> bool:
    """The worker has read the model, and can do something with it."""
    return state.graph is not None and not state.reopening


def has_recipe(state: AppState) -> bool:
    """Something was opened, whether or not it could be read."""
    return state.recipe is not None


def has_graph(state: AppState) -> bool:
    """There is a graph to look at."""
    return state.graph is not None


def has_problems(state: AppState) -> bool:
    """There is a finding."""
    return bool(state.findings)


def can_undo(state: AppState) -> bool:
    """There is an edit to take back."""
    return state.history is not None and bool(state.history.past)


def can_redo(state: AppState) -> bool:
    """There is an undone edit."""
    return state.history is not None and bool(state.history.future)


def is_plan(state: AppState) -> bool:
    """A built engine is open: it has no graph, and can be run."""
    return state.recipe is not None and state.recipe.source.kind is SourceKind.ENGINE


def can_build(state: AppState) -> bool:
    """A builder is installed, and no build runs."""
    builder = state.hello is not None and any(engine.can_build for engine in state.hello.engines)
    return has_nodes(state) and is_here(state) and builder and state.running(JobKind.BUILD) is None


def can_measure(state: AppState) -> bool:
    """Something can run the model or the plan, and no measurement runs."""
    runner = state.hello is not None and any(engine.can_run for engine in state.hello.engines)
    return (has_nodes(state) or is_plan(state)) and is_here(state) and runner and state.running(JobKind.MEASURE) is None


def has_job(state: AppState) -> bool:
    """A job runs."""
    return state.running() is not None


def has_builds(state: AppState) -> bool:
    """There are two builds to compare."""
    return len(state.builds) > 1


def has_engine(state: AppState) -> bool:
    """The last build gave an engine."""
    return bool(state.builds) and state.builds[-1].build is not None and bool(state.builds[-1].build.engine_path)


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
    when: When = always
    rank: int = 9
    """The key line shows low ranks first; 9 never."""

    @property
    def key(self) -> str:
        """The key as people write it."""
        first = self.keys.split(",", maxsplit=1)[0]
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
        has_recipe,
    ),
    Action("panel.zoom", "z", "zoom", "Give the panel the whole screen, and back", "Panel", commands.zoom, rank=8),
    Action(
        "problem.next",
        "n",
        "next",
        "Go to the next problem, opening folds on the way",
        "Problem",
        commands.next_problem,
        has_problems,
        rank=1,
    ),
    Action(
        "problem.previous",
        "p",
        "previous",
        "Go to the previous problem",
        "Problem",
        commands.previous_problem,
        has_problems,
    ),
    Action(
        "problem.why",
        "W",
        "why",
        "Explain the chosen problem: evidence, who says so, what to do",
        "Problem",
        commands.explain,
        has_problems,
        rank=1,
    ),
    Action(
        "graph.search",
        "slash",
        "search",
        "Find a node by name or operator",
        "Graph",
        commands.search,
        has_graph,
        rank=4,
    ),
    Action("graph.around", "G", "around", "Draw the nodes around this one", "Graph", commands.around, has_nodes),
    Action(
        "problem.filter", "F", "filter", "Show only some problems", "Problem", commands.filter_problems, has_problems
    ),
    Action(
        "problem.fix", "x", "fix", "Fixes for the chosen problem", "Problem", edit_commands.fix, has_problems, rank=1
    ),
    Action("shapes.edit", "e", "edit", "Edit the shape ranges", "Recipe", edit_commands.edit_shapes, has_nodes, rank=2),
    Action(
        "recipe.opset",
        "o",
        "opset",
        "Convert to another opset",
        "Recipe",
        edit_commands.choose_opset,
        has_nodes,
        rank=7,
    ),
    Action(
        "recipe.target",
        "t",
        "target",
        "Choose the GPU to build for, and the precision",
        "Recipe",
        edit_commands.choose_target,
        has_nodes,
        rank=7,
    ),
    Action(
        "recipe.copy",
        "y",
        "copy",
        "Copy as a trtexec, polygraphy, torch.onnx.export or CI command",
        "Recipe",
        edit_commands.copy_as,
        has_model,
        rank=5,
    ),
    Action(
        "recipe.file",
        "",
        "write friction.toml",
        "Write the recipe to a file beside the model",
        "Recipe",
        edit_commands.save_recipe,
        has_model,
    ),
    Action("recipe.undo", "u", "undo", "Take the last edit back", "Recipe", commands.undo, can_undo, rank=3),
    Action("recipe.redo", "ctrl+r", "redo", "Do the undone edit again", "Recipe", commands.redo, can_redo),
    Action("build.start", "b", "build", "Build the TensorRT engine", "Build", commands.build, can_build, rank=2),
    Action(
        "build.auto",
        "B",
        "rebuild on edit",
        "Rebuild after every edit, or stop doing so",
        "Build",
        commands.toggle_auto_build,
        has_model,
    ),
    Action(
        "build.diff",
        "d",
        "diff",
        "Compare the last two builds",
        "Build",
        edit_commands.compare_builds,
        has_builds,
        rank=6,
    ),
    Action("build.save", "", "save engine", "Save the last engine", "Build", edit_commands.save_engine, has_engine),
    Action(
        "model.save",
        "",
        "save model",
        "Write the model with the recipe applied",
        "Model",
        edit_commands.save_model,
        has_model,
    ),
    Action("latency.measure", "m", "measure", "Measure latency", "Latency", commands.measure, can_measure, rank=2),
    Action("job.cancel", "", "cancel", "Stop what runs (Esc)", "Build", commands.cancel_job, has_job),
    Action(
        "model.export",
        "r",
        "re-export",
        "Read the source again, exporting it where it is code",
        "Model",
        commands.export,
        has_recipe,
    ),
    Action(
        "model.inputs",
        "I",
        "inputs",
        "Confirm or edit the example inputs of the export, and export again",
        "Model",
        edit_commands.edit_inputs,
        is_exported,
    ),
    Action(
        "session.save",
        "w",
        "save",
        "Save this session: edits, folds, cursor",
        "Session",
        commands.save,
        has_model,
        rank=6,
    ),
    Action(
        "model.netron", "N", "Netron", "Open this model in Netron, in a browser", "Model", commands.netron, has_model
    ),
    Action("session.who", "", "who is here", "Who shares this session, and how to join", "Session", commands.who),
    Action(
        "engines.others",
        "",
        "other TensorRTs",
        "Put this model to the TensorRT of other Python environments",
        "Model",
        edit_commands.other_engines,
        has_nodes,
    ),
    Action("messages.show", "l", "messages", "Show every message so far", "Session", commands.messages),
    Action("app.ascii", "", "ASCII drawing", "Draw with ASCII characters only, or not", "Look", commands.toggle_ascii),
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


def why_not(action: Action, state: AppState) -> str:
    """Why an action means nothing now, for the message line."""
    if state.recipe is None or (state.summary is None and action.when not in (has_recipe, is_exported)):
        return "the model is still being read" if state.recipe and state.refused is None else "no model is open"
    if action.when is has_problems and state.checking:
        return "no problem so far; it is still being checked"
    needs_graph = action.when in (has_nodes, can_build) or (action.when is can_measure and not is_plan(state))
    if needs_graph and not has_nodes(state):
        return "there is no graph in this file; Problems says why"
    if action.when in (can_build, can_measure):
        kind = JobKind.BUILD if action.when is can_build else JobKind.MEASURE
        if state.running(kind) is not None:
            return f"a {kind} runs already; Esc stops it"
        if state.hello is None or not is_here(state):
            return "the worker is still starting" if state.hello is None else "the worker is still reading the model"
        return (
            "; ".join(f"{e.label}: {e.why_not}" for e in state.hello.engines if e.why_not) or "nothing here can do it"
        )
    reasons = {
        has_problems: "there is no problem",
        has_graph: "there is no graph",
        can_undo: "there is nothing to undo",
        can_redo: "there is nothing to redo",
        has_job: "nothing runs",
        is_exported: "this model is read as it is, so nothing is exported",
        has_builds: "it takes two builds to compare",
    }
    return next((reason for when, reason in reasons.items() if when is action.when), "not possible now")


def valid(state: AppState) -> list[Action]:
    """The actions that mean something now."""
    return [action for action in ACTIONS if action.when(state)]
