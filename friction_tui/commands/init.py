"""`friction-tui init`: a repository's models get their friction.toml, and a check in CI."""

from __future__ import annotations

import asyncio
import datetime
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from friction_tui import __version__
from friction_tui.commands import checking
from friction_tui.commands.failing import CouldNotRun, write
from friction_tui.drawing.width import visible, visible_lines
from friction_tui.friction_toml import FILE_NAME, RecipeFile, RecipeFileError, from_recipe, of_model, save, with_file
from friction_tui.processes import child
from friction_tui.processes.stdio import printable
from friction_tui.verdicts.answer import Answer
from friction_tui.vocabulary.finding import Severity
from friction_tui.vocabulary.recipe import Profile, Recipe
from friction_tui.worker.headless import ask_all

INSTALL = f"friction-tui[cpu]=={__version__}"

GITHUB = f"""\
name: models
on: [push, pull_request]

permissions:
  contents: read

jobs:
  friction:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
        with:
          lfs: true
      - uses: actions/setup-python@v5
        with:
          python-version: "3.11"
      - uses: actions/cache@v4
        with:
          path: |
            ~/.cache/pip
            ~/.cache/friction-tui
          key: friction-tui-${{{{ runner.os }}}}-{__version__}
      - run: pip install '{INSTALL}'
      - run: friction-tui check --format github MODELS
"""

GITLAB = f"""\
friction-tui:
  image: python:3.11
  variables:
    XDG_CACHE_HOME: $CI_PROJECT_DIR/.cache
    GIT_LFS_SKIP_SMUDGE: "0"
  cache:
    key: friction-tui-{__version__}
    paths: [.cache]
  script:
    - pip install '{INSTALL}'
    - friction-tui check --format junit --output friction.xml MODELS
  artifacts:
    when: always
    reports:
      junit: friction.xml
"""

PRE_COMMIT = f"""\
repos:
  - repo: local
    hooks:
      - id: friction-tui
        name: friction-tui check
        entry: friction-tui check
        language: python
        additional_dependencies: ['{INSTALL}']
        files: \\.onnx$
        require_serial: true
"""

GIT_LIMIT_S = 10.0
CI_FILES = {"github": (Path(".github/workflows/friction.yml"), GITHUB), "gitlab": (Path(".gitlab-ci.yml"), GITLAB)}


def run(
    models: Sequence[str],
    *,
    target: str,
    tensorrt: tuple[str, ...],
    ci: str,
    force: bool,
    recipe_of: Callable[[str, Mapping[str, Any]], Recipe],
) -> int:
    """Write the files, print what each holds; 0 all were written, 2 a model could not be judged."""
    try:
        paths = checking.expand(models)
    except checking.NothingToCheckError as error:
        raise click.UsageError(str(error)) from None
    try:
        recipes = [with_file(recipe_of(path, {"target": target}))[0] for path in paths]
    except RecipeFileError as error:
        raise click.UsageError(str(error)) from None
    answers = asyncio.run(ask_all(recipes, parallel=2))
    failed = False
    for path, answer in zip(paths, answers, strict=True):
        if not answer.could_run or answer.opened is None or not answer.opened.summary.opsets:
            failed = True
            broken = next((finding.cause for finding in answer.findings), "it is no model")
            _say(f"{path}: no file was written for it: {printable(answer.failure or broken)}")
            continue
        alone = sum(Path(other).parent == Path(path).parent for other in paths) == 1
        for line in _model(Path(path), answer, tensorrt, alone=alone, force=force):
            _say(line)
    for file, text in _ci_files(ci, models):
        _say(_written(file, text, force=force))
    _say("Next: correct the ranges that were guessed, then run: friction-tui check " + " ".join(_named(models)))
    return 2 if failed else 0


def _model(path: Path, answer: Answer, tensorrt: tuple[str, ...], *, alone: bool, force: bool) -> Iterator[str]:
    """Write a model's friction.toml, and say what is in it and what was found. `alone` in its folder or not."""
    place, older = of_model(path)
    if older is None and not alone:
        place = path.with_name(f"{path.stem}.{FILE_NAME}")
    if place.exists() and not force:
        yield f"{place}: is there already and was kept (--force writes it anew)"
        return
    try:
        save(_agreed(answer, tensorrt, older), place)
    except OSError as error:
        raise CouldNotRun(f"{place} was not written: {error.strerror}") from None
    profile = answer.recipe.profile or Profile()
    yield f"{place}: written"
    for key, sizes in profile.ranges.items():
        guessed = ", guessed" if key in profile.guessed else ""
        yield f"  {key}: min {sizes.min}, opt {sizes.opt}, max {sizes.max}{guessed}"
    counts = [(severity.name.lower(), sum(f.severity is severity for f in answer.findings)) for severity in Severity]
    found = ", ".join(f"{count} {name}{'' if count == 1 else 's'}" for name, count in counts if count)
    yield f"  found now: {found or 'nothing'}"


def _agreed(answer: Answer, tensorrt: tuple[str, ...], older: RecipeFile | None) -> RecipeFile:
    """The model's recipe as it was judged, its opset pinned."""
    recipe = answer.recipe
    opset = answer.opened.summary.opsets.get("") if answer.opened is not None else None
    if opset is not None and recipe.opset is None and recipe.required_opset is None:
        today = datetime.datetime.now().astimezone().date()
        why = f"the opset on {today}, when this file was made: another one comes from another exporter"
        recipe = msgspec.structs.replace(recipe, required_opset=opset, opset_why=why)
    if tensorrt:
        recipe = msgspec.structs.replace(recipe, required_tensorrt=tensorrt)
    return from_recipe(recipe, older)


def _ci_files(ci: str, models: Sequence[str]) -> Iterator[tuple[Path, str]]:
    if ci == "none":
        return
    file, text = CI_FILES[_host() if ci == "auto" else ci]
    yield file, text.replace("MODELS", " ".join(_named(models)))
    yield Path(".pre-commit-config.yaml"), PRE_COMMIT


def _host() -> str:
    """Where the repository is hosted, by the address of its remote; GitHub where that does not tell."""
    try:
        asked = child.run(["git", "remote", "-v"], limit_s=GIT_LIMIT_S)
    except OSError:  # git is not installed
        return "github"
    return "gitlab" if b"gitlab" in asked.out else "github"


def _written(file: Path, text: str, *, force: bool) -> str:
    if file.exists() and not force:
        return f"{file}: is there already and was kept; add this to it:\n\n{text}"
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CouldNotRun(f"{file} was not written: {error.strerror}") from None
    write(file, text.encode(), "the file")
    return f"{file}: written"


def _named(models: Sequence[str]) -> list[str]:
    """The models as they stand on a command line."""
    return [shlex.quote(Path(model).as_posix()) for model in models]


def _say(text: str) -> None:
    click.echo(visible_lines(text) if "\n" in text else visible(text))
