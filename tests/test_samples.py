"""What the README's table says about every sample model is what the tool says."""

from __future__ import annotations

from pathlib import Path

import pytest

from friction_tui.samples import SAMPLES, sample
from friction_tui.session.session import Session
from friction_tui.vocabulary.finding import Severity
from friction_tui.vocabulary.protocol import Event, Judged, Open
from friction_tui.vocabulary.recipe import Profile, Range, Recipe, Source

AT_FAULT: dict[str, set[str]] = {
    "detector": {"head/Reshape", "post/NonZero"},
    "baked_batch": {"classifier/Reshape"},
    "unet_skip": set(),
    "nms": {"post/NonMaxSuppression"},
    "boolean_mask": {"select/NonZero"},
    "qdq_asymmetric": {"quant/act/QuantizeLinear", "quant/act/DequantizeLinear"},
    "upsample9": set(),
    "training_mode": {"body/BatchNorm", "head/Dropout"},
    "growing_loop": {"decode/Loop", "append"},
    "wrong_types": set(),
    "fp16_hazard": set(),
    "torch_classifier": {"node_view"},
    "healthy_cnn": set(),
    "healthy_transformer": set(),
}
"""Sample to the nodes that an error must name, all of them and no others."""


def judged(name: str, folder: Path, profile: Profile | None = None) -> Judged:
    path = sample(name)
    assert path is not None
    events: list[Event] = []
    recipe = Recipe(source=Source(str(path)), profile=profile or Profile())
    Session(events.append, folder).open(Open(revision=1, recipe=recipe), lambda: False)
    return next(event for event in events if isinstance(event, Judged))


@pytest.mark.parametrize("name", SAMPLES)
def test_errors_name_what_is_wrong_and_nothing_else(name: str, tmp_path: Path) -> None:
    findings = judged(name, tmp_path).findings
    errors = [finding for finding in findings if finding.severity is Severity.ERROR]
    nodes = {location.name for finding in errors for location in finding.locations if location.kind == "node"}
    assert nodes == AT_FAULT[name]


@pytest.mark.parametrize("name", ["healthy_cnn", "healthy_transformer"])
def test_a_healthy_model_gets_no_warning(name: str, tmp_path: Path) -> None:
    loud = [f for f in judged(name, tmp_path).findings if f.severity is not Severity.NOTE]
    assert [finding.kind for finding in loud] == []


def test_the_unet_breaks_at_sizes_off_its_grid_and_the_multiple_is_named(tmp_path: Path) -> None:
    profile = Profile(ranges={"H": Range(64, 64, 66), "W": Range(64, 64, 64)})
    findings = [f for f in judged("unet_skip", tmp_path, profile).findings if f.severity is Severity.ERROR]
    assert {"up1/Concat", "up2/Concat"} & {name for finding in findings for name in finding.names}
    assert any("multiple" in finding.cause or "multiple" in fix.text for finding in findings for fix in finding.fixes)


def test_the_torch_sample_leads_to_its_line_of_python(tmp_path: Path) -> None:
    findings = judged("torch_classifier", tmp_path).findings
    line = next(f.line for f in findings if "node_view" in f.names and f.severity is Severity.ERROR)
    assert line is not None
    assert line.file.endswith("torch_classifier.py")
    assert "view(1, 1024)" in line.code


def test_hazards_are_warnings(tmp_path: Path) -> None:
    for name, word in (("wrong_types", "float64"), ("fp16_hazard", "head.weight")):
        warned = [f for f in judged(name, tmp_path / name).findings if f.severity is Severity.WARNING]
        assert any(word in f.cause or word in f.names for f in warned), name
