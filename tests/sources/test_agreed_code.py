"""Only the bytes that were agreed to run, and what else the project imports is asked about."""

from __future__ import annotations

import py_compile
import zipfile
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from friction_tui.session.session import Session
from friction_tui.sources import consent
from friction_tui.sources.export_request import ExportRequest
from friction_tui.sources.runner import ExportOutcome, run_export
from friction_tui.vocabulary.protocol import ConsentNeeded, Event, Exported, Open
from friction_tui.vocabulary.recipe import Recipe, Source, SourceKind

NET = "def model():\n    import torch\n    return torch.nn.Linear(4, 2).eval(), (torch.randn(2, 4),)\n"


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "pyproject.toml").touch()
    return folder


def marks(folder: Path, name: str) -> str:
    """Python code that leaves a mark when it runs."""
    return f"open({str(folder / name)!r}, 'w')\n"


def agreed(file: Path, kind: SourceKind = SourceKind.PYTORCH, factory: str = "model") -> Source:
    return consent.with_consent(Source(str(file), kind, factory))


def exported(source: Source) -> ExportOutcome:
    output = Path(source.path).parent / "out.onnx"
    return run_export(ExportRequest(source=source, output=str(output), aftermath=False))


def test_the_same_bytes_in_another_folder_are_asked_about(project: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    for folder in (project, other):
        (folder / "net.py").write_text(NET)
    given = agreed(project / "net.py")
    assert consent.is_given(given)
    assert not consent.is_given(msgspec.structs.replace(given, path=str(other / "net.py")))


@pytest.mark.slow
def test_a_compiled_copy_of_other_code_does_not_run(project: Path, tmp_path: Path) -> None:
    """Python believes a compiled copy whose header says that it is not to be checked."""
    part = project / "part.py"
    part.write_text(marks(tmp_path, "planted"))
    mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
    compiled = py_compile.compile(str(part), invalidation_mode=mode)
    assert compiled is not None
    part.write_text(marks(tmp_path, "agreed"))
    (project / "net.py").write_text(f"import part\n{NET}")
    before = sorted(project.rglob("*.pyc"))
    outcome = exported(agreed(project / "net.py"))
    assert outcome.onnx_path is not None, outcome.findings
    assert (tmp_path / "agreed").exists()
    assert not (tmp_path / "planted").exists()
    assert sorted(project.rglob("*.pyc")) == before


CHANGES: dict[str, str] = {
    "import": "import part",
    "importlib": "import importlib\nimportlib.import_module('part')",
    "loader": "import importlib.util as u\ns = u.spec_from_file_location('part', {part!r})\n"
    "m = u.module_from_spec(s)\ns.loader.exec_module(m)",
    "run_path": "import runpy\nrunpy.run_path({part!r})",
}


@pytest.mark.slow
@pytest.mark.parametrize("way", CHANGES)
def test_code_that_is_changed_after_it_was_hashed_does_not_run(project: Path, tmp_path: Path, way: str) -> None:
    """The agreed file itself changes the other one, as anybody could between hashing and import."""
    part = project / "part.py"
    part.write_text(marks(tmp_path, "agreed"))
    how = CHANGES[way].format(part=str(part))
    change = f"import pathlib\npathlib.Path({str(part)!r}).write_text({marks(tmp_path, 'changed')!r})\n"
    (project / "net.py").write_text(f"if not __name__:\n    import part\n{change}{how}\n{NET}")
    outcome = exported(agreed(project / "net.py"))
    assert outcome.onnx_path is not None, outcome.findings
    assert (tmp_path / "agreed").exists()
    assert not (tmp_path / "changed").exists()


@pytest.mark.slow
@pytest.mark.parametrize("way", [*CHANGES, "caught", "other folder"])
def test_what_was_not_agreed_to_does_not_run_and_is_named(project: Path, tmp_path: Path, way: str) -> None:
    part = project / "part.py"
    if way == "other folder":
        part = tmp_path / "library" / "part.py"
        part.parent.mkdir()
        how = f"import sys\nsys.path.insert(0, {str(part.parent)!r})\n__import__('part')"
    else:
        how = CHANGES.get(way, "try:\n    __import__('part')\nexcept Exception:\n    pass").format(part=str(part))
        how = how.replace("import part", "__import__('part')")  # which reading the syntax does not find
    part.write_text(marks(tmp_path, "ran"))
    (project / "net.py").write_text(f"{how}\n{NET}")
    source = agreed(project / "net.py")
    assert part not in consent.code_files(source)
    outcome = exported(source)
    assert outcome.onnx_path is None
    assert outcome.unagreed == (part,)
    assert not (tmp_path / "ran").exists()


def linked_file(project: Path, elsewhere: Path, code: str) -> tuple[Path, str]:
    elsewhere.joinpath("part.py").write_text(code)
    (project / "other.py").symlink_to(elsewhere / "part.py")
    return elsewhere / "part.py", "__import__('other')"


def linked_package(project: Path, elsewhere: Path, code: str) -> tuple[Path, str]:
    elsewhere.joinpath("__init__.py").write_text(code)
    (project / "other").symlink_to(elsewhere)
    return elsewhere / "__init__.py", "__import__('other')"


def archive(project: Path, elsewhere: Path, code: str) -> tuple[Path, str]:
    file = project / "parts.zip"
    with zipfile.ZipFile(file, "w") as stream:
        stream.writestr("part.py", code)
    return file, f"import sys\nsys.path.insert(0, {str(file)!r})\n__import__('part')"


def like_installed(project: Path, elsewhere: Path, code: str) -> tuple[Path, str]:
    file = project / "site-packages" / "part.py"
    file.parent.mkdir()
    file.write_text(code)
    return file, f"import sys\nsys.path.insert(0, {str(file.parent)!r})\n__import__('part')"


def like_generated(project: Path, elsewhere: Path, code: str) -> tuple[Path, str]:
    file = project / "__autograph_generated_file1.py"
    file.write_text(code)
    return file, f"__import__({file.stem!r})"


@pytest.mark.slow
@pytest.mark.parametrize("way", [linked_file, linked_package, archive, like_installed, like_generated])
def test_a_disguise_is_asked_about_and_runs_once_it_was_agreed_to(
    project: Path, tmp_path: Path, way: Callable[[Path, Path, str], tuple[Path, str]]
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    file, code = way(project, elsewhere, marks(tmp_path, "ran"))
    (project / "net.py").write_text(f"{code}\n{NET}")
    source = agreed(project / "net.py")
    outcome = exported(source)
    assert outcome.unagreed == (file,)
    assert not (tmp_path / "ran").exists()
    consent.also_imports(source, outcome.unagreed)
    assert file in consent.code_files(source)
    again = ExportRequest(
        source=consent.with_consent(source), output=str(project / "out.onnx"), imported=(str(file),), aftermath=False
    )
    assert run_export(again).onnx_path is not None
    assert (tmp_path / "ran").exists()


@pytest.mark.slow
def test_a_module_that_an_installed_package_tries_is_not_run_and_not_asked_about(project: Path, tmp_path: Path) -> None:
    (project / "tabulate.py").write_text(marks(tmp_path, "ran"))
    tries = "import code\ncode.InteractiveInterpreter().runsource('import tabulate')\n"
    (project / "net.py").write_text(tries + NET)
    outcome = exported(agreed(project / "net.py"))
    assert outcome.onnx_path is not None, outcome.findings
    assert outcome.unagreed == ()
    assert not (tmp_path / "ran").exists()


@pytest.mark.slow
def test_a_pickle_is_loaded_from_what_was_hashed_and_its_classes_are_asked_about(project: Path) -> None:
    code = "import torch\nclass Net(torch.nn.Linear):\n    pass\n"
    (project / "parts.py").write_text(code)
    (project / "save.py").write_text(
        f"import torch, parts\ntorch.save(parts.Net(4, 2), {str(project / 'm.pt')!r})\n{NET}"
    )
    assert exported(agreed(project / "save.py")).onnx_path is not None
    source = agreed(project / "m.pt", factory="")
    first = exported(source)
    assert first.unagreed == (project / "parts.py",)
    consent.also_imports(source, first.unagreed)
    again = run_export(
        ExportRequest(
            source=consent.with_consent(source),
            output=str(project / "again.onnx"),
            imported=tuple(map(str, consent.imported(source))),
        )
    )
    assert again.unagreed == ()
    assert not list(project.glob("*.agreed"))
    assert "example inputs" in " ".join(found.title for found in again.findings) or again.onnx_path


@pytest.mark.slow
def test_the_session_asks_again_and_remembers(project: Path, tmp_path: Path) -> None:
    (project / "part.py").write_text(marks(tmp_path, "ran"))
    (project / "net.py").write_text(f"__import__('part')\n{NET}")
    events: list[Event] = []

    def opened(recipe: Recipe, *, remember: bool = False, name: str = "work") -> type[Event]:
        events.clear()
        (tmp_path / name).mkdir(exist_ok=True)
        session = Session(events.append, tmp_path / name, None)
        session.open(Open(revision=1, recipe=recipe, remember=remember), lambda: False)
        return next(
            type(event)
            for event in events
            if isinstance(event, ConsentNeeded | Exported) and not getattr(event, "cancelled", False)
        )

    plain = Recipe(source=Source(str(project / "net.py"), SourceKind.PYTORCH, "model"))
    assert opened(plain) is ConsentNeeded
    first = last(events)
    assert opened(first.recipe) is ConsentNeeded
    second = last(events)
    assert str(project / "part.py") in second.files
    assert not (tmp_path / "ran").exists()
    assert opened(second.recipe, remember=True) is Exported
    assert (tmp_path / "ran").exists()
    assert opened(plain, name="later") is Exported


def last(events: list[Event]) -> ConsentNeeded:
    return next(event for event in reversed(events) if isinstance(event, ConsentNeeded))
