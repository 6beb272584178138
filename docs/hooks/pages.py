"""Pages of the documentation site made from the code: one for each kind of finding, and one of all rewrites."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

from friction_tui.kinds import FAMILIES, KINDS
from friction_tui.kinds.examples import Built, Example, FileBytes, Message, ModelText, Shown, TorchModule
from friction_tui.kinds.kind import Kind
from friction_tui.rewrites import REWRITES
from friction_tui.vocabulary.recipe.builder_options import OPTIONS

ROOT = Path(__file__).parents[2]


def on_files(files: Files, config: Any) -> Files:
    """Add the generated pages, and README and the contributing guide as pages of the site."""
    for name, text in generated():
        files.append(File.generated(config, name, content=text))
    return files


def generated() -> Iterator[tuple[str, str]]:
    """Path below docs/ and Markdown text of every generated page."""
    yield "index.md", _with_site_links((ROOT / "README.md").read_text(encoding="utf-8"))
    yield "contributing.md", _with_site_links((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    yield "kinds/index.md", "\n".join(_overview())
    for kind in KINDS.values():
        yield f"kinds/{kind.id}.md", "\n".join(_page(kind))
    yield "rewrites.md", "\n".join(_rewrites())
    yield "builder_options.md", "\n".join(_builder_options())


def _builder_options() -> Iterator[str]:
    yield "# Builder options\n"
    yield (
        "Choose them with `--builder OPTION=VALUE`, under `[builder]` in friction.toml, or with `T` in the app; "
        "`friction-tui options` says what the TensorRT installed here does with each. One that the engine does not "
        "honour is an error, never left out.\n"
    )
    for option in OPTIONS:
        yield f"## `{option.name}`\n\n{option.does}\n"
        yield f"- takes {option.values}; default: {option.default}"
        yield from (f"- needs `{needed}`" for needed in (option.needs,) if needed)
        for engine, known in option.known.items():
            instead = f"; {known.nearest}" if known.nearest else ""
            yield f"- {engine}: " + (f"not offered: {known.why_not}{instead}" if known.why_not else known.remark)
        yield ""


def _with_site_links(text: str) -> str:
    """README's links as seen from inside docs/; its pictures stay in the repository."""
    without_pictures = re.sub(r"^!\[.*\n", "", text, flags=re.MULTILINE)
    return without_pictures.replace("](docs/", "](")


def _overview() -> Iterator[str]:
    yield "# Kinds of finding\n"
    for module in FAMILIES:
        heading, _, introduction = (module.__doc__ or "").partition("\n")
        kinds = [value for value in vars(module).values() if isinstance(value, Kind)]
        yield f"## {heading.rstrip('.')}\n{introduction}"
        yield from (f"- [`{kind.id}`]({kind.id}.md) {kind.summary}" for kind in kinds)
        yield ""


def _page(kind: Kind) -> Iterator[str]:
    yield f"# {kind.summary}\n\n`{kind.id}`, since {kind.since}\n\n{kind.page}\n"
    fixing = [REWRITES[name] for name in kind.rewrites if name in REWRITES]
    if fixing:
        yield "## Rewrites that can mend it\n"
        yield from (f"- `{rewrite.name}`: {rewrite.title} ({rewrite.exactness})" for rewrite in fixing)
        yield ""
    yield f"## A minimal example\n\n{_shown(kind.shows)}\n"
    yield f"Close to it, and not a case of it:\n\n{_shown(kind.quiet)}\n"


def _shown(example: Example) -> str:
    match example:
        case ModelText():
            return f"```\n{example.graph.strip()}\n```"
        case Built() | TorchModule():
            return f"```python\n{example.source.strip()}\n```"
        case Message():
            return f"```\n{example.text.strip()}\n```"
        case FileBytes():
            return f"A file `{example.name}` of {len(example.content)} bytes."
        case Shown():
            return f"The test `{example.test}` shows it."
    return "Facts about an installation."


def _rewrites() -> Iterator[str]:
    yield "# Rewrites\n\nWhat `x` and `friction-tui fix` can carry out.\n"
    yield "| name | what it does | results | operators |\n|---|---|---|---|"
    for rewrite in REWRITES.values():
        ops = ", ".join(f"{domain}.{op}" if domain else op for domain, op in rewrite.ops)
        changes = f": {rewrite.changes}" if rewrite.changes else ""
        yield f"| `{rewrite.name}` | {rewrite.title} | {rewrite.exactness}{changes} | {ops} |"
