"""The options that commands share, and how click reads them."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

Command = TypeVar("Command", bound=Callable[..., Any])


def model_argument(name: str, **more: Any) -> Callable[[Command], Command]:
    """An argument that is a model: a shell completes it with files."""

    def files(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return [CompletionItem(incomplete, type="file")]

    return click.argument(name, shell_complete=files, **more)


class Number(click.FloatRange):
    """A finite number within bounds: `nan` is in every range, for it compares with nothing."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The number. Fails as click does."""
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number", param, ctx)
        return number


def by_profile(args: list[str]) -> list[str]:
    """The arguments with each shape flag's value marked by the `--profile` before it, which click would forget."""
    from friction_tui.vocabulary.recipe.text import PROFILE_MARK, SHAPE_FLAGS

    marked: list[str] = []
    profile = ""
    for at, word in enumerate(args):
        flag, equals, value = word.partition("=")
        before = args[at - 1] if at else ""
        if before == "--profile":
            profile = word
        elif flag == "--profile" and equals:
            profile = value
        elif before in SHAPE_FLAGS and profile:
            marked.append(f"{profile}{PROFILE_MARK}{word}")
        elif flag in SHAPE_FLAGS and equals and profile:
            marked.append(f"{flag}={profile}{PROFILE_MARK}{value}")
        elif word != "--profile":
            marked.append(word)
    if args and args[-1] == "--profile":
        raise click.UsageError("--profile needs a name or number, such as --profile 1")
    return marked


def shape_options(command: Any) -> Any:
    """The options that say which sizes the inputs take, in our own spelling and in trtexec's."""
    return _with(
        command,
        click.option(
            "--shapes",
            multiple=True,
            metavar="INPUT:MIN..OPT..MAX",
            help='Sizes of an input: "x:1x3x224x224..4x3x224x224..8x3x224x224"; one shape stands for all three. '
            'With a step, "x:1x64..1x128..1x512 step 1x8", only such sizes are promised.',
        ),
        click.option(
            "--shape-values",
            multiple=True,
            metavar="INPUT:MIN..OPT..MAX",
            help='Values of an input that TensorRT reads as a shape, such as "k:1,2..4,4..8,8".',
        ),
        click.option("--minShapes", multiple=True, metavar="SPEC", help="As trtexec takes it: x:1x3x224x224,y:1x8"),
        click.option("--optShapes", multiple=True, metavar="SPEC", help="As trtexec takes it."),
        click.option("--maxShapes", multiple=True, metavar="SPEC", help="As trtexec takes it."),
        click.option(
            "--relation",
            multiple=True,
            metavar="EQUATION",
            help='Sizes that depend on each other: "total = past + seq".',
        ),
        click.option("--profile", expose_value=False, metavar="N", help="Profile of the shape flags after it."),
        click.option("--no-profile", is_flag=True, help="Give TensorRT no optimization profile, on purpose."),
        click.option("--opset", type=click.IntRange(1), help="Convert the model to this opset first."),
        click.option("--target", default="", metavar="SMxx", help="Compute capability to judge and build for."),
        click.option(
            "--precision",
            type=click.Choice(["as-exported", "fp16", "bf16", "int8", "fp8"]),
            default="as-exported",
            show_default=True,
            help="Precision to build in, as far as the installed TensorRT supports it.",
        ),
        click.option(
            "--keep-float32", multiple=True, metavar="NODE", help="Keep this node in float32 under fp16 or bf16."
        ),
        click.option(
            "--builder",
            multiple=True,
            metavar="OPTION=VALUE",
            help="Option of the builder, such as workspace=512MiB; `friction-tui options` lists them.",
        ),
    )


def build_limits(command: Any) -> Any:
    """The limits of a build, which are builder options too."""
    return _with(
        command,
        click.option(
            "--build-timeout",
            type=Number(1, 1e6),
            metavar="SECONDS",
            help="End a build that takes longer; that is an error. 3600 by default in a check, else 12 hours.",
        ),
        click.option(
            "--build-memory",
            type=Number(0.1, 1e6),
            metavar="GB",
            help="End a build that uses more memory of this machine; 90% of what it has by default.",
        ),
    )


def source_options(command: Any) -> Any:
    """The options that say how a PyTorch or TensorFlow source is exported."""
    return _with(
        command,
        click.option(
            "--input", "inputs", multiple=True, metavar="NAME:SHAPE:DTYPE", help="Example input for an export."
        ),
        click.option("--state-dict", default="", metavar="FILE", help="Weights to load into the factory's module."),
        click.option(
            "--export",
            "export_options",
            multiple=True,
            metavar="OPTION=VALUE",
            help="legacy, optimize=no, external_data=no, keep_initializers, timeout_s=60 or memory_limit_mb=8000.",
        ),
        click.option("--allow-code", is_flag=True, help="Allow code that comes with the model to run."),
    )


def look_options(command: Any) -> Any:
    """The options that say how the app looks."""
    return _with(
        command,
        click.option("--ascii", "ascii_only", is_flag=True, help="Draw without box characters."),
        click.option("--theme", default="", help="dark, light or ansi."),
    )


def app_options(command: Any) -> Any:
    """What opens the app on a model, alone or shared."""
    return _with(
        command,
        model_argument("model", required=False, default=""),
        shape_options,
        source_options,
        look_options,
        click.option("--watch", is_flag=True, help="Read or export the source again whenever it is saved."),
        click.option(
            "--worker", default="", metavar="COMMAND", help='A worker elsewhere: "ssh box friction-tui worker".'
        ),
        record_option,
    )


def _with(command: Any, *options: Any) -> Any:
    """The command with the options, which `--help` lists in this order."""
    for decorate in reversed(options):
        command = decorate(command)
    return command


record_option = click.option(
    "--record", type=click.Path(path_type=Path), help="Write the session to this file, for `friction-tui replay`."
)
name_option = click.option("--name", default="", help="What the others see; by default your login name.")
