"""`friction-tui creators`: the plug-in creators of libraries, and which refused operators they implement."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import msgspec

from friction_tui.commands.ask import judged
from friction_tui.commands.failing import CouldNotRun
from friction_tui.drawing.width import visible
from friction_tui.plugin_libraries import digest
from friction_tui.processes.begin import command
from friction_tui.processes.child import run as run_child
from friction_tui.vocabulary.protocol import EngineInfo, Findings
from friction_tui.vocabulary.recipe import Recipe

_LIMIT_S = 120.0
_MODULES = {"TensorRT": "tensorrt", "TensorRT-RTX": "tensorrt_rtx"}
_ABOUT_PLUGINS = ("operators/plugin", "operators/needs-plugin", "operators/plugin-missing", "operators/misspelt")


class Library(msgspec.Struct):
    """What a library registers: creators as name, version, namespace; why it was not loaded, "" where it was."""

    library: str
    creators: list[tuple[str, str, str]]
    error: str


class Loaded(msgspec.Struct):
    """All libraries, and what the parser says of the model with them; None where it was not asked."""

    libraries: list[Library]
    errors: list[str] | None


def run(libraries: Sequence[Path], recipe: Recipe | None, *, allow: bool) -> int:
    """List them; with a model: 0 every operator that needs a plug-in has a creator and parses, 1 one does not."""
    _agreed(libraries, allow=allow)
    refused: dict[str, list[str]] = {}
    model = ""
    if recipe is not None:
        answer = judged(recipe, allow=allow)
        refused = _refused(answer.checks.get("parser"))
        edited = recipe.rewrites or recipe.opset is not None
        model = recipe.source.path if recipe.source.path.endswith(".onnx") and not edited else ""
        engine = next((one for one in answer.hello.engines if one.decides), None) if answer.hello else None
    else:
        engine = None
    loaded = _loaded(engine, str(Path(model).absolute()) if model else "", libraries)
    for line in _lines(loaded, refused, with_model=recipe is not None):
        click.echo(visible(line))
    names = {name for one in loaded.libraries for name, *_ in one.creators}
    if any(one.error for one in loaded.libraries):
        return 2
    return int(bool(set(refused) - names or loaded.errors))


def _agreed(libraries: Sequence[Path], *, allow: bool) -> None:
    """End the command where a library cannot be read, or nobody agreed that its code runs."""
    for library in libraries:
        try:
            agreed_to = digest(str(library))
        except OSError as error:
            raise CouldNotRun(f"{library} cannot be read: {error.strerror}") from None
        if not allow:
            raise CouldNotRun(
                f"loading {library} (SHA-256 {agreed_to[:12]}…) runs its code. Nothing was loaded; agree with "
                "--allow-code if you trust it"
            )


def _loaded(engine: EngineInfo | None, model: str, libraries: Sequence[Path]) -> Loaded:
    name = _MODULES.get(engine.name if engine else "", "")
    arguments = (name, model, *(str(library.absolute()) for library in libraries))
    done = run_child(command("friction_tui.engines.tensorrt.creators_job", *arguments), limit_s=_LIMIT_S)
    if done.code is None:
        raise CouldNotRun(f"loading the libraries took longer than {_LIMIT_S:.0f} s and was ended")
    if done.code != 0:
        raise CouldNotRun(f"loading the libraries failed: the process {done.how}: {visible(done.last_line)}")
    return msgspec.json.decode(done.out, type=Loaded)


def _refused(check: Findings | None) -> dict[str, list[str]]:
    """The operators that the parser refuses for want of a plug-in, each with the names of its nodes."""
    found: dict[str, list[str]] = {}
    for finding in check.findings if check is not None else ():
        for place in finding.locations if finding.kind in _ABOUT_PLUGINS else ():
            found.setdefault(place.op, []).append(place.name)
    return found


def _lines(loaded: Loaded, refused: dict[str, list[str]], *, with_model: bool) -> Iterator[str]:
    for one in loaded.libraries:
        count = f"{len(one.creators)} creator{'' if len(one.creators) == 1 else 's'}"
        yield f"{one.library}: {one.error or count}"
        for name, version, namespace in one.creators:
            places = refused.get(name, [])
            used = f"   implements {len(places)} refused node{'s' if len(places) > 1 else ''}: {', '.join(places[:4])}"
            yield f"  {name} version {version} namespace {namespace or 'none'}{used if places else ''}"
            if places and (version != "1" or namespace):
                yield "    the parser looks for version 1 in no namespace, unless the node says otherwise"
                yield "    (attributes plugin_version and plugin_namespace)"
    if not with_model:
        return
    names = {name for one in loaded.libraries for name, *_ in one.creators}
    for op, places in refused.items():
        if op not in names:
            yield f"no creator for {op}: {', '.join(places[:4])}"
    if not refused:
        yield "no operator of the model is refused for want of a plug-in"
    if loaded.errors is not None:
        yield "with the libraries loaded the parser takes the model" if not loaded.errors else "with them loaded:"
        yield from (f"  {error}" for error in loaded.errors)
