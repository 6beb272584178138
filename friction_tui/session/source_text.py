"""The Python a model came from, line by line beside the nodes it made.

A model file may name any path as its source. Only Python files that the export itself imported are read, and those
that lie in the project around the opened source, so that a model from elsewhere cannot ask for others.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from friction_tui.model.opened import OpenedModel
from friction_tui.model.provenance import own_frames
from friction_tui.sources.consent import code_files
from friction_tui.sources.watch import is_installed, project_root
from friction_tui.vocabulary.protocol import SourceText
from friction_tui.vocabulary.recipe import Source

_LARGEST = 2_000_000
"""Bytes of a file that is still shown: nobody reads more, and a terminal should not have to colour it."""


def source_text(file: str, model: OpenedModel | None, source: Source | None, exported: tuple[Path, ...]) -> SourceText:
    """The text of `file` ("" for the main one) with the nodes of each line; its `error` says why it is not shown."""
    if source is None:
        return SourceText(file=file, error="no model is open")
    known = _Project(model, source, exported)
    wanted = known.path(file) if file else known.main()
    files = tuple(str(path) for path in known.files())
    if wanted is None or wanted not in known.files():
        what = f"{file} is not a Python file of this model's project ({known.root})" if file else _NO_SOURCE
        return SourceText(file=file, files=files, error=what)
    try:
        if wanted.stat().st_size > _LARGEST:
            return SourceText(file=str(wanted), files=files, error=f"{wanted} is larger than {_LARGEST:,} bytes")
        text = wanted.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        return SourceText(file=str(wanted), files=files, error=f"{wanted} cannot be read: {error.strerror}")
    nodes, callers = known.nodes(wanted)
    names = {str(wanted), file, *(name for name, path in known.named.items() if path == wanted)}
    return SourceText(
        file=str(wanted), text=text, nodes=nodes, callers=callers, names=tuple(sorted(names)), files=files
    )


_NO_SOURCE = "this model does not say which Python made it: torch.onnx.export (dynamo) records that, others do not"


class _Project:
    """The files around a source, and what the model's nodes say of them."""

    def __init__(self, model: OpenedModel | None, source: Source, exported: tuple[Path, ...]) -> None:
        own = code_files(source) or (Path(source.path),)
        self.root = project_root(own[0])
        self.own = [path.resolve() for path in (*own, *exported) if path.suffix == ".py"]
        nodes = model.index.nodes if model is not None else []
        self.frames = [(node.path, frames) for node in nodes if (frames := own_frames(node.proto))]
        self.named = {frame.file: self.path(frame.file) for _, frames in self.frames for frame in frames}

    def path(self, name: str) -> Path | None:
        """The file that a name means, relative to the project or to here; None where there is none."""
        for start in (self.root, Path.cwd()):
            path = (start / name).resolve()
            if path.is_file():
                return path
        return None

    def files(self) -> list[Path]:
        """Every file that may be shown, the source's own first."""
        met = [path for path in self.named.values() if path is not None and self._may_be_shown(path)]
        own = [
            path for path in self.own if path.is_file() and path.stat().st_size
        ]  # an empty __init__.py shows nothing
        return list(dict.fromkeys((*own, *met)))

    def main(self) -> Path | None:
        """The file that made most nodes; the source's own where no node says."""
        made = Counter(self.named[frames[-1].file] for _, frames in self.frames)
        allowed = self.files()
        known = [path for path, _ in made.most_common() if path in allowed]
        return next(iter(known or allowed), None)

    def nodes(self, file: Path) -> tuple[dict[int, list[str]], dict[int, list[str]]]:
        """Line to the nodes it made itself, and to those made by what it calls."""
        made: dict[int, list[str]] = {}
        called: dict[int, list[str]] = {}
        for path, frames in self.frames:
            for depth, frame in enumerate(reversed(frames)):
                if self.named[frame.file] == file:
                    (called if depth else made).setdefault(frame.line, []).append(path)
        return made, called

    def _may_be_shown(self, path: Path) -> bool:
        return path.suffix == ".py" and path.is_relative_to(self.root) and not is_installed(path)
