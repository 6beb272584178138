"""The export process: one ExportRequest in, ExportEvents out.

The user's code runs here and nowhere else: after consent, under a memory limit, in a process that is killed to cancel.
"""

from __future__ import annotations

import contextlib
import os
import resource
import sys
import traceback
from pathlib import Path
from typing import Any

import msgspec

from friction_tui.kinds import export
from friction_tui.kinds.kind import Kind
from friction_tui.sources import consent, stack_sample
from friction_tui.sources.agreed_code import Agreed, NotAgreed, enforce
from friction_tui.sources.channel import Channel
from friction_tui.sources.export_request import Done, ExportRequest
from friction_tui.sources.failure import location_of, plain
from friction_tui.sources.source_lines import context, of_exception
from friction_tui.sources.time_limit import be_patient
from friction_tui.vocabulary.finding import EngineWords, Finding, Location, LocationKind
from friction_tui.vocabulary.recipe import Source, SourceKind
from friction_tui.vocabulary.units import size_text

_SHARE = 0.9
"""Part of the free memory an export may take when no limit was given: the rest keeps the machine answering."""


def main() -> None:
    """Entry point."""
    channel = Channel()
    request = msgspec.json.decode(sys.stdin.buffer.readline(), type=ExportRequest)
    stack_sample.answer(request.output)
    be_patient(request.patience)
    channel.stage("start")
    channel.send(_run(request, channel))
    # torch's and TensorFlow's exit handlers take seconds and can crash after the work is done.
    sys.stderr.flush()
    os._exit(0)


def _run(request: ExportRequest, channel: Channel) -> Done:
    source, agreed = request.source, Agreed(Path(f"{request.output}.agreed"))
    inside = Path(source.path) if Path(source.path).is_dir() else None
    consent.also_seen(source, request.imported)
    try:
        if not consent.is_given(source, lambda file: agreed.take(file, inside)):
            channel.found(_refusal(source))
            return Done(None, channel.elapsed)
        if consent.needs_consent(source):
            enforce(agreed)
        done = Done(None, channel.elapsed)
        with contextlib.suppress(NotAgreed):
            done = _export(request, channel)
        unagreed = agreed.refused(failed=done.onnx_path is None)
        return Done(None, channel.elapsed, unagreed=tuple(map(str, unagreed))) if unagreed else done
    finally:
        agreed.close()


def _export(request: ExportRequest, channel: Channel) -> Done:
    limit = _limit_memory(request.options.memory_limit_mb)
    try:
        match request.source.kind:
            case SourceKind.TENSORFLOW:
                channel.stage("import TensorFlow")
                from friction_tui.sources.tensorflow import export as tensorflow

                return tensorflow.export(request, channel)
            case SourceKind.HUGGING_FACE:
                channel.stage("import transformers")
                from friction_tui.sources.pytorch import hugging_face

                return hugging_face.export(request, channel)
            case _:
                channel.stage("import torch")
                from friction_tui.sources.pytorch import export as pytorch

                return pytorch.export(request, channel)
    except ImportError as error:
        channel.found(_not_installed(request, error))
    except MemoryError as error:
        channel.found(_out_of_memory(request, limit, error))
    except Exception as error:
        channel.found(_unexpected(request, error))
    return Done(None, channel.elapsed)


def _refusal(source: Source) -> Finding:
    """Why nothing may run: no consent for these bytes, or nothing there to give it for."""
    files = consent.code_files(source)
    named = ", ".join(str(file) for file in files[:3]) or source.path
    if not files:
        return _finding(
            export.NOT_FOUND,
            f"Neither a file nor a module on the Python path is called {source.path}.",
            source.path,
            "Check the path; for package.module:factory start friction-tui in the project's folder.",
            path=source.path,
        )
    changed = bool(source.consent_hash)
    return _finding(
        export.NO_CONSENT,
        (f"{named} changed since you agreed to run it." if changed else f"Exporting runs the code in {named}.")
        + " Nothing of it was executed.",
        str(files[0]),
        "Look at the file, then agree in the app, which remembers it by SHA-256, or pass `--allow-code`.",
    )


def _limit_memory(megabytes: int) -> int:
    """Limit this process's own memory; returns the limit in bytes. Address space is not limited: torch maps plenty.

    A megabyte is 1,000,000 bytes, as everywhere on the screen.
    """
    limit = megabytes * 1_000_000 if megabytes else int(_free_memory() * _SHARE)
    if limit:
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    return limit


def _free_memory() -> int:
    """Free memory in bytes as Linux estimates it, 0 when it does not say."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), 0)


def _not_installed(request: ExportRequest, error: ImportError) -> Finding:
    extra = "tensorflow" if request.source.kind is SourceKind.TENSORFLOW else "torch"
    also = " transformers" if request.source.kind is SourceKind.HUGGING_FACE else ""
    apart = (
        " It may have an environment of its own, whose Python FRICTION_TENSORFLOW_PYTHON names."
        if extra != "torch"
        else ""
    )
    return _finding(
        export.NOT_INSTALLED,
        f"{type(error).__name__}: {error} (interpreter {sys.executable})",
        error.name or request.source.path,
        f"Install it: `pip install 'friction-tui[{extra}]'{also}`.{apart}",
        missing=f"{error.name or 'a package'}, which is not installed",
    )


def _out_of_memory(request: ExportRequest, limit: int, error: Exception) -> Finding:
    line = of_exception(error)
    found = _finding(
        export.OUT_OF_MEMORY,
        f"It needed more than its limit of {size_text(limit)}"
        + (
            ", as asked."
            if request.options.memory_limit_mb
            else f", {_SHARE:.0%} of the memory that was free on this machine when it began."
        ),
        request.source.path,
        "Raise the limit with `--export memory_limit_mb=...` (I in the app), export a smaller configuration, or "
        "use a machine with more memory."
        if request.options.memory_limit_mb
        else "End what else uses memory here, export a smaller configuration, or use a machine with more memory.",
    )
    if line is None:
        return found
    return msgspec.structs.replace(found, locations=(location_of(line),), evidence=context(line))


def _unexpected(request: ExportRequest, error: Exception) -> Finding:
    if "can't allocate memory" in str(error) or "std::bad_alloc" in str(error):
        return _out_of_memory(request, resource.getrlimit(resource.RLIMIT_DATA)[0], error)
    finding = _finding(
        export.UNKNOWN,
        plain(str(error)).strip().split("\n", 1)[0] or type(error).__name__,
        request.source.path,
        "Read the traceback below; if it names friction_tui, please report it.",
        reason=f"it stopped with {type(error).__name__}",
    )
    words = plain("".join(traceback.format_exception(error)))[-4000:]
    return msgspec.structs.replace(finding, words=(EngineWords("export process", words),))


def _finding(kind: Kind, cause: str, name: str, fix: str, **title: Any) -> Finding:
    return kind.finding(
        cause=cause, source="export process", locations=(Location(LocationKind.FILE, name),), fixes=(fix,), **title
    )
