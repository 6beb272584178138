"""Consent holds for exact bytes and a named factory, and outlives the session in a private file."""

from __future__ import annotations

import stat
from pathlib import Path

from friction_tui.sources import consent
from friction_tui.vocabulary.recipe import Source, SourceKind


def test_consent_is_for_these_bytes_and_this_factory(tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_text("a = 1\n")
    source = Source(str(file), SourceKind.PYTORCH, "model")
    assert not consent.is_given(source)
    agreed = consent.with_consent(source)
    assert consent.is_given(agreed)
    assert not consent.is_given(Source(str(file), SourceKind.PYTORCH, "other", consent_hash=agreed.consent_hash))
    file.write_text("a = 2\n")
    assert not consent.is_given(agreed)


def test_a_yes_is_remembered_in_a_private_file(tmp_path: Path) -> None:
    file, store = tmp_path / "net.py", tmp_path / "state" / "consent.json"
    file.write_text("a = 1\n")
    source = Source(str(file), SourceKind.PYTORCH, "model")
    assert not consent.remembered(source, store)
    consent.remember(source, store)
    assert consent.remembered(source, store)
    assert stat.S_IMODE(store.stat().st_mode) == 0o600
    store.write_text("not json")
    assert not consent.remembered(source, store)


def test_a_directory_is_covered_whole(tmp_path: Path) -> None:
    (tmp_path / "variables").mkdir()
    (tmp_path / "saved_model.pb").write_bytes(b"graph")
    source = Source(str(tmp_path), SourceKind.TENSORFLOW)
    before = consent.fingerprint(source)
    (tmp_path / "variables" / "data").write_bytes(b"weights")
    assert consent.fingerprint(source) != before


def test_a_module_is_found_without_importing_its_parents() -> None:
    assert consent.module_file("friction_tui.sources.consent") == Path(consent.__file__)
    assert consent.module_file("no_such_package.at_all") is None


def test_data_needs_no_consent() -> None:
    assert consent.is_given(Source("model.onnx"))
    assert consent.is_given(Source("model.engine", SourceKind.ENGINE))
    assert not consent.is_given(Source("traced.pt", SourceKind.TORCHSCRIPT))


def test_a_changed_module_that_the_file_imports_asks_again(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").touch()
    package = tmp_path / "nets"
    (package / "parts").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "parts" / "__init__.py").touch()
    (package / "parts" / "head.py").write_text("import math\nfrom ..common import size\n")
    (package / "common.py").write_text("size = 3\n")
    (package / "unused.py").write_text("size = 3\n")
    file = package / "main.py"
    file.write_text("import torch\n\ndef model():\n    from nets.parts import head\n    return head\n")
    source = Source(str(file), SourceKind.PYTORCH, "model")
    assert [path.name for path in consent.code_files(source)] == [
        "main.py",
        "__init__.py",
        "common.py",
        "__init__.py",
        "head.py",
    ]
    agreed = consent.with_consent(source)
    (package / "unused.py").write_text("size = 4\n")
    assert consent.is_given(agreed)
    (package / "common.py").write_text("size = 4\n")
    assert not consent.is_given(agreed)
