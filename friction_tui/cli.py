"""The command line. Nothing heavy is imported before a command needs it: `--version` answers in 0.1 s."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click
from click.shell_completion import CompletionItem

from friction_tui import __version__
from friction_tui.ending import end
from friction_tui.options import (
    Number,
    app_options,
    build_limits,
    by_profile,
    look_options,
    model_argument,
    name_option,
    record_option,
    shape_options,
    source_options,
)

if TYPE_CHECKING:
    from friction_tui.vocabulary.recipe import Recipe


class OpensByDefault(click.Group):
    """A group whose first argument may be a model instead of a command: `friction-tui MODEL` is `open MODEL`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put `open` before anything that is neither a command nor one of the group's own options."""
        own = {"--help", "-h", "--version"}
        args = by_profile(args)
        if ctx.resilient_parsing and not args:  # the first word is being completed
            return super().parse_args(ctx, args)
        if not args or (args[0] not in self.commands and args[0] not in own):
            args = ["open", *args]
        return super().parse_args(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Commands, and files: the first argument may be either."""
        return [*super().shell_complete(ctx, incomplete), CompletionItem(incomplete, type="file")]

    def main(self, *args: Any, standalone_mode: bool = True, **extra: Any) -> Any:
        """Run the command line and end the process, with a status that means what `end` says."""

        def run() -> Any:
            return super(OpensByDefault, self).main(*args, standalone_mode=False, **extra)  # type: ignore[call-overload]

        return sys.exit(end(run)) if standalone_mode else run()


@click.group(cls=OpensByDefault, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="friction-tui")
def main() -> None:
    """See, understand and remove the friction between a trained model and its TensorRT engine.

    \b
    friction-tui MODEL          open the app on a model
    friction-tui check MODEL    the same verdicts as a report, for CI
    """  # noqa: D301 - click reads the backslash


@main.command("open", hidden=True)
@app_options
@click.option("--share", "shared", is_flag=True, help="Let others join; see `friction-tui share --help`.")
def open_app(model: str, shared: bool, **chosen: Any) -> None:
    """Open the app on MODEL."""
    if shared:
        _share(model, chosen, name="", watch_only=False)
    worker, look = shlex.split(chosen["worker"]) or None, _look(chosen)
    if model.endswith(".toml"):
        _resume(Path(model), worker=worker, **look)
    recipe = _agreed(model, chosen) if model else None
    if chosen["record"] is not None:
        from friction_tui.commands.share import run_recorded

        sys.exit(run_recorded(recipe, chosen["record"], worker=worker, **look))
    _run_app(recipe, worker=worker, **look)


@main.command()
@model_argument("model", required=False, default="")
@look_options
@click.option("--worker", default="", metavar="COMMAND", help='A worker elsewhere: "ssh box friction-tui worker".')
def resume(model: str, worker: str, **look: Any) -> None:
    """Open the session that was saved last, of MODEL if named.

    Every session is kept in a file of its own; `friction-tui FILE.session.toml` opens an older one, and
    `friction-tui locate` says where they are.
    """
    from friction_tui.ui import sessions

    found = sessions.to_resume(_agreed(model, {}) if model else None)
    if found is None:
        raise click.UsageError(f"no session of {model} was saved" if model else "no session was saved yet")
    _resume(found[0], worker=shlex.split(worker) or None, **look)


@main.command()
@app_options
@name_option
@click.option("--watch-only", is_flag=True, help="Those who join can look but change nothing.")
def share(model: str, name: str, watch_only: bool, **chosen: Any) -> None:
    """Open the app on MODEL, for several people at once.

    It shows the command with which others join, from the same account on this machine. The session lasts until the
    last of them leaves.
    """
    _share(model, chosen, name=name, watch_only=watch_only)


@main.command()
@click.argument("code")
@name_option
@click.option("--watch-only", is_flag=True, help="Look, but change nothing.")
@record_option
@look_options
def join(code: str, **options: Any) -> None:
    """Join the session with this CODE, which is shown to whoever shares it."""
    from friction_tui.commands.share import run_joined

    sys.exit(run_joined(code, **options))


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--speed",
    type=Number(0.1, 100),
    default=1.0,
    show_default=True,
    help="How many times faster than it was recorded.",
)
@look_options
def replay(file: Path, **options: Any) -> None:
    """Show a session that was recorded with --record, without its model."""
    from friction_tui.commands.share import run_replay

    sys.exit(run_replay(file, **options))


@main.command()
@click.option("--list", "only_list", is_flag=True, help="Only list the samples.")
@click.argument("name", default="")
@look_options
def demo(name: str, only_list: bool, **look: Any) -> None:
    """Open the app on a sample model with real friction; without a terminal, print the report."""
    from friction_tui.samples import DEMO, SAMPLES, sample

    name = name or DEMO
    if only_list:
        for sample_name, about in SAMPLES.items():
            click.echo(f"{sample_name:22} {about}")
        return
    path = sample(name)
    if path is None:
        raise click.UsageError(f"there is no sample {name!r}; the samples are {', '.join(SAMPLES)}")
    if sys.stdin.isatty() and sys.stdout.isatty():
        _run_app(_agreed(str(path), {}), **look)
    report = ["check", str(path), "--fail-on", "never"]  # findings are not a failure of a demo
    main.main(report, prog_name="friction-tui")


@main.command()
@model_argument("models", nargs=-1)
@shape_options
@source_options
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "sarif", "junit", "markdown", "github"]),
    default="text",
    show_default=True,
)
@click.option("--output", type=click.Path(path_type=Path), help="Write the report to this file, not to stdout.")
@click.option("--fail-on", type=click.Choice(["error", "warn", "info", "never"]), default="error", show_default=True)
@click.option("--baseline", type=click.Path(exists=True, path_type=Path), help="Report and fail only on what is new.")
@click.option("--write-baseline", type=click.Path(path_type=Path), help="Write today's findings as the baseline.")
@click.option("--build", is_flag=True, help="Also build the engine, and report what the builder refuses.")
@build_limits
@click.option("--jobs", type=click.IntRange(1), default=2, show_default=True, help="Models judged at the same time.")
@click.option(
    "--timeout",
    type=Number(1, 1e9),
    default=7200,
    show_default=True,
    metavar="SECONDS",
    help="End a model that takes longer, report what was found until then, and go on with the next.",
)
@click.option(
    "--also",
    multiple=True,
    metavar="PYTHON",
    help="Ask the TensorRT of another Python environment too; friction-tui need not be installed in it.",
)
def check(models: tuple[str, ...], **options: Any) -> None:
    """Print what stands between MODELS and TensorRT.

    MODELS are files, folders, patterns or module:factory; without any, the current folder is searched. Exit status: 0
    no error, 1 errors found, 2 a model could not be judged or the command is wrong.
    """
    from friction_tui.worker.client import spawn

    models = models or (".",)
    # The worker needs longer for its imports than this process for its own: it starts first.
    first = models[0] if models[0].endswith(".onnx") and Path(models[0]).is_file() else ""
    early = spawn(first=first, drawn=False) if first else None

    from friction_tui.commands.check import run

    sys.exit(run(models, options, _recipe, early))


@main.command()
@model_argument("models", nargs=-1)
@click.option("--target", default="", metavar="SM89", help="The GPU architecture that engines are built for.")
@click.option("--tensorrt", multiple=True, metavar="10.3", help="A TensorRT version that must take the models.")
@click.option(
    "--ci",
    type=click.Choice(["auto", "github", "gitlab", "none"]),
    default="auto",
    show_default=True,
    help="Whose workflow to write; auto looks at the repository's remote.",
)
@click.option("--force", is_flag=True, help="Write files anew that are there already.")
def init(models: tuple[str, ...], **options: Any) -> None:
    """Set up a repository: a friction.toml for each of MODELS, a pre-commit hook and a workflow for CI.

    MODELS are files, folders or patterns; without any, the current folder is searched. Ranges are those that the
    model tells or that were guessed, and the opset is pinned; nothing that is there is overwritten. Exit status: 0 the
    files are there, 2 a model could not be judged or a file could not be written.
    """
    from friction_tui.commands.init import run

    sys.exit(run(models or (".",), recipe_of=_recipe, **options))


@main.command()
@model_argument("model")
@click.option("--width", type=click.IntRange(40, 10_000), help="Columns to draw in; by default the terminal's.")
@click.option("--ascii", "ascii_only", is_flag=True, help="Draw without box characters.")
@click.option("--open", "unfolded", is_flag=True, help="Unfold every module.")
@shape_options
@source_options
def graph(model: str, width: int | None, ascii_only: bool, unfolded: bool, **chosen: Any) -> None:
    """Print MODEL's graph, refused nodes marked, as the app draws it."""
    from friction_tui.commands.graph import run

    sys.exit(run(_agreed(model, chosen), width, ascii_only=ascii_only, unfolded=unfolded, allow=chosen["allow_code"]))


@main.command()
@model_argument("model")
@click.option("--save", type=click.Path(path_type=Path), help="Write the engine to this file.")
@click.option("--log", "show_log", is_flag=True, help="Print TensorRT's log as it comes.")
@build_limits
@shape_options
@source_options
def build(model: str, save: Path | None, show_log: bool, **chosen: Any) -> None:
    """Build MODEL's TensorRT engine and print phases, sizes and planned memory."""
    from friction_tui.commands.build import run

    sys.exit(run(_agreed(model, chosen), save, show_log=show_log, allow=chosen["allow_code"]))


@main.command()
@model_argument("model")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="The HTML file to write.")
@click.option("--build", is_flag=True, help="Build the engine first, for its times, sizes and planned memory.")
@click.option("--measure", is_flag=True, help="Measure latency too.")
@click.option("--anonymise", is_flag=True, help="Number nodes, modules, tensors and dimensions; leave out free text.")
@shape_options
@source_options
def report(model: str, output: Path, build: bool, measure: bool, anonymise: bool, **chosen: Any) -> None:
    """Write one HTML file about MODEL, for a browser or an issue: findings, graph, shapes, memory. No weights.

    It opens from disk and asks no network. Exit status: 0 it was written, 2 the model could not be judged.
    """
    from friction_tui.commands.report import run

    asked = {"build": build, "measure": measure, "anonymise": anonymise, "allow": chosen["allow_code"]}
    sys.exit(run(_agreed(model, chosen), output, **asked))


@main.command()
@model_argument("before")
@model_argument("after")
@click.option("--format", "form", type=click.Choice(["text", "json", "html"]), default="text", show_default=True)
@click.option("--output", type=click.Path(path_type=Path), help="Write the report to this file, not to stdout.")
@click.option("--build", is_flag=True, help="Build both engines too, and compare what that came to.")
@shape_options
@source_options
def diff(before: str, after: str, form: str, output: Path | None, build: bool, allow_code: bool, **chosen: Any) -> None:
    """Compare two models, exports, or a model BEFORE and AFTER its fixes: findings, nodes, builds.

    Nodes are matched by what they write, then by name, then by structure. Exit status: 0 AFTER has no error that BEFORE
    has not, 1 it has, 2 one of them could not be judged.
    """
    from friction_tui.commands.diff import run

    pair = _agreed(before, chosen), _agreed(after, chosen)
    sys.exit(run(*pair, form=form, output=output, build=build, allow=allow_code))


@main.command()
@model_argument("model")
@click.option("--gpu", "gpus", multiple=True, metavar="NAME|SIZE", help="L4, 8GB, 6.5GB …; a table of GPUs without.")
@click.option("--batch", type=click.IntRange(1), help="Size of the first free dimension, or of the one of --along.")
@click.option("--along", default="", metavar="DIMENSION", help="Which dimension to stretch, such as N or x[0].")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@shape_options
@source_options
def memory(model: str, gpus: tuple[str, ...], batch: int | None, along: str, form: str, **chosen: Any) -> None:
    """Predict the GPU memory that MODEL's engine needs, whether it fits, and up to which size.

    Predicted from the shapes, without a build and without a GPU: `friction-tui build` says what TensorRT plans. Exit
    status: 0 it fits every --gpu, 1 it does not fit one of them, 2 nothing could be predicted.
    """
    from friction_tui.commands.memory import run

    asked = {"gpus": gpus, "batch": batch, "along": along, "form": form, "allow": chosen["allow_code"]}
    sys.exit(run(_agreed(model, chosen), **asked))


@main.command()
@model_argument("model")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write the fixed model to this file.")
@click.option("--safe", "level", flag_value="safe", help="Only fixes that keep the results.")
@click.option("--all", "level", flag_value="all", help="Mend warnings and notes too.")
@click.option("--only", multiple=True, metavar="KIND", help="Mend findings of this kind only, such as types/float64.")
@click.option(
    "--cut",
    is_flag=True,
    help="Where TensorRT still refuses nodes, cut -o NAME.onnx: NAME.head.onnx for TensorRT, NAME.tail.onnx for ONNX "
    "Runtime (NAME.middle.onnx where a tail can run on TensorRT again), and NAME_run.py, which runs all of them.",
)
@click.option("--diff", is_flag=True, help="Print what was taken out, put in and changed.")
@click.option(
    "--script",
    type=click.Path(path_type=Path),
    metavar="SCRIPT.py",
    help="Write a Python script that repeats the edits on the original with onnx and numpy only.",
)
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@shape_options
@source_options
def fix(model: str, output: Path | None, level: str | None, form: str, **chosen: Any) -> None:
    """Mend what TensorRT refuses in MODEL, and what makes it invalid ONNX, by rewriting it, and verify each step.

    Without --safe a fix that changes results as it says is used where nothing safer mends an error. Exit status: 0 no
    error remains, 1 some do (also where they were cut off), 2 the model could not be judged or written.
    """
    from friction_tui.commands.fix import run

    asked = {name: chosen.pop(name) for name in ("only", "script", "diff", "cut")}
    asked |= {"level": level or "", "form": form, "allow": chosen["allow_code"]}
    sys.exit(run(_agreed(model, chosen), output, **asked))


@main.command()
@model_argument("model")
@click.argument("node")
@click.option(
    "-o", "--output", "folder", type=click.Path(path_type=Path), required=True, help="The folder to write it into."
)
@shape_options
def plugin(model: str, node: str, folder: Path, **chosen: Any) -> None:
    """Write the skeleton of a TensorRT plug-in (IPluginV3) for a NODE of the ONNX file MODEL.

    NODE is a node's name or its first output. Its tensors, types, attributes and output sizes are filled in, in Python
    (plugin.py) and C++ (plugin.cpp, CMakeLists.txt); what it computes is left for you.
    """
    from friction_tui.commands.plugin import run

    sys.exit(run(_agreed(model, chosen), node, folder))


@main.command()
@click.argument("libraries", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--model", default="", help="Say which refused operators of this model they implement.")
@click.option("--allow-code", is_flag=True, help="Allow the libraries' code to run: loading one runs it.")
def creators(libraries: tuple[Path, ...], model: str, allow_code: bool) -> None:
    """List the plug-in creators that LIBRARIES register with TensorRT, loaded in a process of their own.

    Exit status: 0 every operator of --model that needs a plug-in has a creator, and the parser takes the model with
    the libraries loaded; 1 not so; 2 a library was not loaded.
    """
    from friction_tui.commands.creators import run

    sys.exit(run(libraries, _agreed(model, {}) if model else None, allow=allow_code))


@main.command()
@model_argument("model")
@shape_options
def ranges(model: str, **chosen: Any) -> None:
    """Find the widest range of each free dimension of the ONNX file MODEL in which all shapes work.

    The others keep their opt sizes meanwhile, chosen (--shapes) or guessed. Shapes are followed, nothing is built, and
    memory is not looked at. Exit status: 0 all were found, 1 the shapes do not work at an opt size.
    """
    from friction_tui.commands.ranges import run

    sys.exit(run(_agreed(model, chosen)))


@main.command()
@model_argument("model")
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write the failing part to this file.")
@click.option(
    "--build-timeout",
    "limit_s",
    type=Number(1, 1e6),
    default=300,
    show_default=True,
    metavar="SECONDS",
    help="A build that takes longer hangs, and is reduced as one.",
)
@shape_options
@source_options
def reduce(model: str, output: Path | None, limit_s: float, **chosen: Any) -> None:
    """Find the smallest part of MODEL that TensorRT's parser or builder refuses, dies of or hangs on, in the same way.

    Of a model that builds, find the part that ONNX Runtime fails to run on example inputs; they are written too (.npz).

    Exit status: 0 it was found, 2 nothing fails or the model could not be judged.
    """
    from friction_tui.commands.reduce import run

    sys.exit(run(_agreed(model, chosen), output, limit_s, allow=chosen["allow_code"]))


@main.command()
@model_argument("model")
@click.option("--tolerance", type=Number(0, min_open=True), help="Relative error allowed; default 0.01, bf16 0.05.")
@click.option("--write", is_flag=True, help="Write the result into the friction.toml beside the model.")
@shape_options
@source_options
def precision(model: str, tolerance: float | None, write: bool, **chosen: Any) -> None:
    """Find the nodes of MODEL that must stay float32 when the rest is fp16 (or --precision bf16).

    Tried out in ONNX Runtime on random inputs, or on your own: --input data.npz, an array for every input.
    """
    from friction_tui.commands.precision import run

    data = [text for text in chosen["inputs"] if text.endswith(".npz")]
    chosen["inputs"] = tuple(text for text in chosen["inputs"] if text not in data)
    if len(data) > 1:
        raise click.UsageError("--input: give one .npz with an array for every input")
    recipe = _agreed(model, chosen)
    sys.exit(run(recipe, tolerance or 0.0, data[0] if data else "", write=write, allow=chosen["allow_code"]))


@main.command()
@click.argument("model")
@click.option(
    "--against",
    default="unoptimized",
    show_default=True,
    metavar="SIDE",
    help="What runs beside MODEL in ONNX Runtime: unoptimized, reference (ONNX's own Python), fp16 or bf16 (the model "
    "turned into it), tensorrt (on a GPU), torch (as compared at its export), or another ONNX file.",
)
@click.option("--tolerance", type=Number(0, min_open=True), help="Relative error allowed; 1e-4, fp16 0.01, bf16 0.05.")
@click.option("--save", type=click.Path(path_type=Path), help="Write inputs, outputs and the result into this folder.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
@shape_options
@source_options
def compare(model: str, against: str, tolerance: float | None, save: Path | None, form: str, **chosen: Any) -> None:
    """Run MODEL in two ways on the same inputs and compare the outputs; where they differ, find the first tensor.

    Inputs are random with known seeds, at min, opt and max; or your own: --input data.npz, an array for every input,
    may be repeated. Exit status: 0 the outputs are the same within the tolerance, 1 they differ, 2 they could not be
    compared.
    """
    from friction_tui.commands.compare import run

    data = tuple(text for text in chosen["inputs"] if text.endswith(".npz"))
    chosen["inputs"] = tuple(text for text in chosen["inputs"] if text not in data)
    asked: dict[str, Any] = {"against": against, "tolerance": tolerance or 0.0, "data": data, "save": save}
    sys.exit(run(_agreed(model, chosen), **asked, form=form, allow=chosen["allow_code"]))


@main.command()
@click.option("--json", "as_json", is_flag=True, help="The table as JSON.")
@click.option("--lock", type=click.Path(path_type=Path), help="Write the whole stack's versions to this file.")
@click.option("--diff", type=click.Path(exists=True, path_type=Path), help="Compare with a lock written earlier.")
def doctor(as_json: bool, lock: Path | None, diff: Path | None) -> None:
    """Show the installed stack and which of it does not fit together."""
    from friction_tui.commands.doctor import run

    sys.exit(run(as_json=as_json, lock=lock, diff=diff))


@main.command()
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def options(form: str) -> None:
    """List the builder options: values, what each does, and whether the TensorRT installed here offers it.

    Choose them with --builder OPTION=VALUE, in friction.toml ([builder]), or with `T` in the app.
    """
    from friction_tui.commands.options import run

    sys.exit(run(form))


@main.command()
@click.argument("kind", required=False)
def explain(kind: str | None) -> None:
    """Explain a KIND of finding, such as dynamic/baked-reshape; without one, list them all."""
    from friction_tui.commands.explain import run

    sys.exit(run(kind))


@main.command()
def locate() -> None:
    """Print where settings, sessions and logs are kept."""
    from friction_tui.locations import all_places

    for name, path in all_places().items():
        click.echo(f"{name:10} {path}")


@main.command()
@click.option(
    "--keep",
    "keep_s",
    type=Number(1, 1e6),
    default=600,
    show_default=True,
    metavar="SECONDS",
    help="How long the worker goes on while its line is cut.",
)
def worker(keep_s: float) -> None:
    """Run as a worker on stdin and stdout, for an app at the other end of ssh.

    It is for `friction-tui MODEL --worker "ssh box friction-tui worker"`. When the line is cut, the worker and its jobs
    go on, and the app comes back to them by itself.
    """
    from friction_tui.worker.relay import relay

    sys.exit(relay(keep_s))


@main.command()
@click.option("--allow-code", is_flag=True, help="Agree to run the Python code of models that are opened.")
@click.option(
    "--folder",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path(),
    help="Files are written below this folder only; the current one by default.",
)
@click.option("--skill", "only_skill", is_flag=True, help="Print how an agent works a model through, and end.")
def mcp(allow_code: bool, folder: Path, only_skill: bool) -> None:
    """Serve check, fix, build and more to a coding agent: Model Context Protocol on stdin and stdout."""
    from friction_tui.commands.mcp import run, skill

    if only_skill:
        click.echo(skill())
        return
    run(_recipe, allow_code=allow_code, folder=folder)


@main.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script: eval "$(friction-tui completion bash)"."""
    from click.shell_completion import get_completion_class

    found = get_completion_class(shell)
    if found is None:
        raise click.UsageError(f"no completion for {shell}")
    click.echo(found(main, {}, "friction-tui", "_FRICTION_TUI_COMPLETE").source())


def _look(chosen: Mapping[str, Any]) -> dict[str, Any]:
    return {name: chosen[name] for name in ("ascii_only", "theme", "watch", "allow_code") if name in chosen}


def _share(model: str, chosen: Mapping[str, Any], *, name: str, watch_only: bool) -> NoReturn:
    from friction_tui.commands.share import run_shared

    worker = shlex.split(chosen["worker"]) or None
    recipe = _agreed(model, chosen) if model else None
    given: dict[str, Any] = {"record": chosen["record"], "name": name, "watch_only": watch_only}
    sys.exit(run_shared(recipe, worker=worker, **given, **_look(chosen)))


def _run_app(recipe: Recipe | None, *, worker: list[str] | None = None, **options: Any) -> NoReturn:
    """Run the app. Its worker is spawned first: both take a moment to import what they need, at the same time."""
    from friction_tui.worker.client import spawn

    early = spawn(worker, _first(recipe))

    from friction_tui.ui.app import run_app

    sys.exit(run_app(recipe, worker=worker, early=early, **options))


def _resume(file: Path, *, worker: list[str] | None, **look: Any) -> NoReturn:
    from friction_tui.ui import sessions

    try:
        session = sessions.load(file)
    except sessions.BrokenSessionError as error:
        raise click.UsageError(str(error)) from None
    _run_app(session.recipe, worker=worker, session=file, **look)


def _first(recipe: Recipe | None) -> str:
    """The ONNX file that a recipe opens, which the worker can read before it is asked; "" for any other source."""
    source = recipe.source if recipe is not None else None
    return source.path if source is not None and source.path.endswith(".onnx") and not source.factory else ""


def _agreed(model: str, chosen: Mapping[str, Any]) -> Recipe:
    """The recipe of a command line and the friction.toml beside the model; a wrong one ends the command."""
    from friction_tui.friction_toml import RecipeFileError, with_file
    from friction_tui.vocabulary.recipe.text import RecipeTextError

    try:
        return with_file(_recipe(model, chosen))[0]
    except (RecipeTextError, RecipeFileError) as error:
        raise click.UsageError(str(error)) from None


def _recipe(model: str, chosen: Mapping[str, Any]) -> Recipe:
    """The recipe that a command line describes. Raises click.UsageError or RecipeTextError naming the flag."""
    from friction_tui.vocabulary.recipe import InputSpec, Precision, Profile, Recipe, Source, SourceKind
    from friction_tui.vocabulary.recipe.export_options import parse_options
    from friction_tui.vocabulary.recipe.text import SHAPE_FLAGS, parse_example, parse_profiles

    if not model.strip():
        raise click.UsageError("the name of the model is empty")
    profiles = parse_profiles({flag: chosen.get(_parameter(flag)) or () for flag in SHAPE_FLAGS})
    first, *more = profiles or (Profile(),)
    profile: Profile | None = first
    if chosen.get("no_profile"):
        if profiles:
            raise click.UsageError("--no-profile and shapes contradict each other: give one of them")
        profile = None
    inputs: tuple[InputSpec, ...] = tuple(parse_example(text) for text in chosen.get("inputs") or ())
    source = Source(model, SourceKind.AUTO, inputs=inputs, state_dict=chosen.get("state_dict") or "")
    return Recipe(
        source=source,
        profile=profile,
        others=tuple(more),
        opset=chosen.get("opset"),
        target=(chosen.get("target") or "").upper(),
        precision=Precision(chosen.get("precision") or "as-exported"),
        keep_float32=tuple(chosen.get("keep_float32") or ()),
        export=parse_options(chosen.get("export_options") or ()),
        builder=_builder(chosen),
    )


def _builder(chosen: Mapping[str, Any]) -> dict[str, Any]:
    """The builder options of a command line; None for one that is to be the default whatever friction.toml says."""
    from friction_tui.vocabulary.recipe.builder_options import parse_builder, placed

    limits = {"build_timeout": chosen.get("build_timeout"), "build_memory": chosen.get("build_memory")}
    factors = {"build_timeout": 1, "build_memory": 10**9}
    given = {name: max(int(limit * factors[name]), 1) for name, limit in limits.items() if limit}
    return {**placed(parse_builder(chosen.get("builder") or ()), Path.cwd()), **given}


def _parameter(flag: str) -> str:
    """The name under which click hands over a flag's values."""
    return flag.removeprefix("--").replace("-", "_").lower()
