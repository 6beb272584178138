"""A session on real models: opened, edited, undone, rewritten with a verification, saved, refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TypeVar

import msgspec
import onnx
import onnx.parser
import pytest

from friction_tui.model.graph_diff import model_diff
from friction_tui.samples import sample
from friction_tui.session.session import Session
from friction_tui.sources.consent import with_consent
from friction_tui.vocabulary.protocol import (
    Apply,
    BuildResult,
    CheckState,
    ConsentNeeded,
    Event,
    Exported,
    Findings,
    Forecast,
    GraphReady,
    JobEnded,
    JobKind,
    JobRequest,
    Judged,
    Open,
    Opened,
    Preview,
    Refused,
    RowLabels,
    Saved,
    StartJob,
    StepsLost,
    Verified,
)
from friction_tui.vocabulary.recipe import (
    InputSpec,
    Precision,
    Profile,
    Range,
    Recipe,
    Rewrite,
    Source,
    SourceKind,
    Values,
)

E = TypeVar("E")


class Desk:
    """A session and what it said."""

    def __init__(self, folder: Path) -> None:
        self.events: list[Event] = []
        self.session = Session(self.events.append, folder)
        self.revision = 0
        self.last_recipe: Recipe

    def open(self, recipe: Recipe) -> None:
        self.revision += 1
        self.session.open(Open(revision=self.revision, recipe=recipe), lambda: False)
        self.last_recipe = next((e.recipe for e in reversed(self.events) if isinstance(e, Opened)), recipe)

    def apply(self, recipe: Recipe) -> None:
        self.revision += 1
        self.session.apply(Apply(revision=self.revision, recipe=recipe), lambda: False)

    def last(self, kind: type[E]) -> E:
        return next(event for event in reversed(self.events) if isinstance(event, kind))

    def last_of(self, check: str) -> Findings:
        return next(e for e in reversed(self.events) if isinstance(e, Findings) and e.check == check)

    @property
    def kinds(self) -> set[str]:
        return {finding.kind for finding in self.last(Judged).findings}


def of_sample(name: str) -> Recipe:
    path = sample(name)
    assert path is not None
    return Recipe(source=Source(str(path), SourceKind.AUTO))


def test_opening_streams_graph_verdicts_and_labels(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.open(of_sample("detector"))
    order = [type(event) for event in desk.events]
    assert (
        order.index(GraphReady)
        < order.index(Findings)
        < order.index(Opened)
        < order.index(RowLabels)
        < order.index(Judged)
    )
    recipe = desk.last(Opened).recipe
    assert recipe.profile is not None
    assert set(recipe.profile.guessed) == {"N", "H", "W"}
    assert len(desk.last(RowLabels).labels) == len(desk.last(GraphReady).graph.names)
    refused = [f for f in desk.last(Judged).findings if "post/NonZero" in f.names]
    assert refused
    assert any("TensorRT-RTX" in f.source for f in refused)


def test_an_edit_is_judged_and_undone(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.open(of_sample("baked_batch"))
    assert any("classifier/Reshape" in f.names for f in desk.last(Judged).findings)
    recipe = desk.last(Opened).recipe
    desk.apply(recipe.with_range("N", Range(1, 1, 1)))
    assert not any("classifier/Reshape" in f.names for f in desk.last(Judged).findings)
    desk.apply(recipe)
    assert any("classifier/Reshape" in f.names for f in desk.last(Judged).findings)


def test_sizes_left_as_ranges_become_expressions_after_the_verdict(tmp_path: Path) -> None:
    text = """<ir_version: 10, opset_import: ["" : 21]> g (float[A,8] x, float[B,8] y) => (float u, float v)
    { u = Relu(x)
      v = Relu(y) }"""
    onnx.save(onnx.parser.parse_model(text), tmp_path / "alike.onnx")
    recipe = Recipe(source=Source(str(tmp_path / "alike.onnx")))
    desk = Desk(tmp_path)
    desk.open(recipe.with_range("A", Range(1, 4, 8)).with_range("B", Range(1, 4, 8)))
    first, again = (event.labels for event in desk.events if isinstance(event, RowLabels))
    relu = desk.last(GraphReady).graph.ops.index("Relu")
    assert (first[relu], again[relu]) == ("1..8 × 8", "A × 8")
    assert isinstance(desk.events[-1], RowLabels)


def test_an_edit_of_a_range_asks_the_parser_and_the_rules_without_sizes_only_once(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.open(of_sample("detector"))
    first = {event.check: event for event in desk.events if isinstance(event, Findings)}
    desk.events.clear()
    desk.apply(desk.last_recipe.with_range("N", Range(1, 1, 1)))
    again = [event for event in desk.events if isinstance(event, Findings)]
    assert {event.check for event in again} == set(first)
    assert [event.state for event in again if event.check == "parser"] == [CheckState.DONE]
    refused = [f for f in first["parser"].findings if f.kind != "operators/partitions"]
    parser = next(event for event in again if event.check == "parser")
    assert [f for f in parser.findings if f.kind != "operators/partitions"] == refused
    # Turned off and on again, it is asked anew.
    desk.apply(msgspec.structs.replace(desk.last_recipe, parse=False))
    assert desk.last_of("parser").state is CheckState.UNAVAILABLE
    desk.apply(desk.last_recipe)
    assert desk.last_of("parser").state is CheckState.DONE


def test_a_rewrite_shows_a_new_graph_and_its_verification(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.open(of_sample("baked_batch"))
    graphs = sum(isinstance(event, GraphReady) for event in desk.events)
    recipe = desk.last(Opened).recipe
    finding = next(f for f in desk.last(Judged).findings if "classifier/Reshape" in f.names)
    fix = next(fix for fix in finding.fixes if fix.rewrite)
    desk.apply(msgspec.structs.replace(recipe, rewrites=(Rewrite(fix.rewrite, fix.nodes),)))
    assert sum(isinstance(event, GraphReady) for event in desk.events) == graphs + 1
    assert not any("classifier/Reshape" in f.names for f in desk.last(Judged).findings)
    verified = desk.last(Verified)
    assert verified.holds
    assert verified.text.startswith("verified on")
    assert "max difference 0" in verified.text


def test_a_preview_says_what_a_rewrite_would_change_and_changes_nothing(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.open(of_sample("boolean_mask"))
    finding = next(f for f in desk.last(Judged).findings if "select/NonZero" in f.names)
    fix = next(fix for fix in finding.fixes if fix.rewrite)
    said = len(desk.events)
    request = Preview(desk.revision, Rewrite(fix.rewrite, fix.nodes))
    answer = desk.session.preview(request, lambda: False)
    assert answer is not None and answer.difference is not None
    (graph,) = answer.difference.graphs
    assert [node.name for node in graph.removed] == ["select/NonZero"]
    assert graph.removed[0].path in finding.node_paths and graph.added
    assert len(desk.events) == said
    gone = desk.session.preview(Preview(desk.revision, Rewrite(fix.rewrite, ("nowhere",))), lambda: False)
    assert gone is not None and gone.difference is None and "does not apply" in gone.why_not
    assert desk.session.preview(Preview(desk.revision, Rewrite(fix.rewrite, fix.nodes)), lambda: True) is None
    nothing = Session(desk.events.append, tmp_path).preview(request, lambda: False)
    assert nothing is not None and nothing.why_not == "no model is open"


def test_an_opset_that_cannot_be_reached_names_the_node_and_changes_nothing(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.open(of_sample("healthy_transformer"))
    before = desk.session.serialized()
    recipe = desk.last(Opened).recipe
    desk.apply(msgspec.structs.replace(recipe, opset=14))
    refused = desk.last(Refused)
    assert "LayerNorm" in refused.why
    assert desk.session.serialized() == before
    desk.apply(msgspec.structs.replace(recipe, opset=19))
    assert onnx.load_from_string(desk.session.serialized()[1]).opset_import[0].version == 19


def test_code_is_not_run_without_consent(tmp_path: Path) -> None:
    trap, proof = tmp_path / "trap.py", tmp_path / "it_ran"
    trap.write_text(f"open({str(proof)!r}, 'w')\ndef model():\n    return None\n")
    desk = Desk(tmp_path / "work")
    desk.open(Recipe(source=Source(f"{trap}:model", SourceKind.AUTO)))
    question = desk.last(ConsentNeeded)
    assert question.files == (str(trap),)
    assert len(question.sha256) == 64
    assert not proof.exists()
    assert not any(isinstance(event, Opened) for event in desk.events)


def test_what_is_not_a_model_still_opens_with_a_finding(tmp_path: Path) -> None:
    page = tmp_path / "model.onnx"
    page.write_text("<!doctype html><html><body>404 not found</body></html>")
    desk = Desk(tmp_path)
    desk.open(Recipe(source=Source(str(page), SourceKind.AUTO)))
    assert desk.kinds == {"file/html"}
    assert desk.last(GraphReady).open_file_only


def test_a_model_deleted_while_open_is_said_when_it_matters(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    source = sample("healthy_cnn")
    assert source is not None
    file.write_bytes(source.read_bytes())
    desk = Desk(tmp_path)
    desk.open(Recipe(source=Source(str(file), SourceKind.AUTO)))
    file.unlink()
    recipe = desk.last(Opened).recipe
    desk.apply(recipe.with_range("N", Range(2, 2, 2)))  # needs no file
    assert desk.last(Judged).revision == desk.revision
    desk.apply(msgspec.structs.replace(recipe, opset=19))  # needs it
    assert str(file) in desk.last(Refused).why


def test_a_build_job_gets_the_recipe_and_its_end_is_read(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    assert isinstance(desk.session.job_request(StartJob(job=1, kind=JobKind.BUILD)), Refused)
    desk.open(of_sample("healthy_cnn"))
    request = desk.session.job_request(StartJob(job=1, kind=JobKind.BUILD))
    assert isinstance(request, JobRequest)
    assert request.recipe == desk.last(Opened).recipe
    ended = desk.session.job_ended(JobEnded(job=1, kind=JobKind.BUILD, seconds=0.1, cancelled=True))
    assert ended.cancelled
    assert isinstance(desk.session.save_engine(tmp_path / "e.plan"), Refused)


def test_the_edited_model_is_saved(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.open(of_sample("training_mode"))
    recipe = desk.last(Opened).recipe
    desk.apply(msgspec.structs.replace(recipe, rewrites=(Rewrite("eval-mode"),)))
    out = tmp_path / "fixed.onnx"
    desk.session.save_model(out)
    assert not any(node.op_type == "Dropout" for node in onnx.load(str(out)).graph.node)
    assert "training/dropout" not in desk.kinds
    assert out.stat().st_size < 10_000


@pytest.mark.parametrize("precision", [Precision.AS_EXPORTED, Precision.FP16])
def test_a_script_repeats_every_edit_of_the_recipe(tmp_path: Path, precision: Precision) -> None:
    desk = Desk(tmp_path)
    original = sample("boolean_mask")
    assert original is not None
    desk.open(of_sample("boolean_mask"))
    node = next(node for node in onnx.load(str(original)).graph.node if node.op_type == "NonZero")
    rewrite = Rewrite("nonzero-scatter", (f"{node.output[0]} = NonZero({node.name})",))
    recipe = desk.last(Opened).recipe
    desk.apply(msgspec.structs.replace(recipe, rewrites=(rewrite,), opset=18, precision=precision))
    script, edited, repeated = tmp_path / "edits.py", tmp_path / "edited.onnx", tmp_path / "repeated.onnx"
    saved = desk.session.save_script(script)
    assert isinstance(saved, Saved), saved
    assert saved.note == "repeats the edits: the same model"
    desk.session.save_model(edited)
    text = script.read_text()
    assert "friction_tui" not in text
    assert "nonzero-scatter, exact" in text
    assert "convert to opset 18" in text
    subprocess.run([sys.executable, "-I", script, original, repeated], check=True)
    assert model_diff(onnx.load(str(edited)), onnx.load(str(repeated))).empty


def test_a_failing_check_takes_nothing_else_with_it(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.open(of_sample("detector"))
    failed = [e for e in desk.events if isinstance(e, Findings) and e.state is CheckState.FAILED]
    assert [(e.check, e.note) for e in failed] == []


def test_a_fault_of_one_profile_names_it_and_fixes_the_other_no_ranges(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.open(of_sample("unet_skip"))
    good = {"H": Range(64, 64, 64), "W": Range(64, 64, 64)}
    bad = {"H": Range(64, 66, 68), "W": Range(64, 64, 64)}
    profiles = Profile(ranges=good), Profile(ranges=bad)
    for shown in (0, 1):
        desk.apply(desk.last_recipe.with_profiles(profiles, shown))
        found = [f for f in desk.last(Judged).findings if f.kind == "dynamic/stride-multiple"]
        assert found and all(finding.title.endswith("(profile 1)") for finding in found)
        assert any(fix.ranges for finding in found for fix in finding.fixes) == (shown == 1)
    desk.apply(desk.last_recipe.with_profiles((profiles[1], profiles[1]), 0))
    assert not any("(profile" in finding.title for finding in desk.last(Judged).findings)


def test_numbers_given_for_a_shape_tensor_are_its_values(tmp_path: Path) -> None:
    text = '<ir_version: 8, opset_import: ["" : 17]> g (float[6] x, int64[2] k) => (float[a,b] y) { y = Reshape(x, k) }'
    onnx.save(onnx.parser.parse_model(text), tmp_path / "m.onnx")
    given = {"k[0]": Range(1, 2, 3), "k[1]": Range(6, 6, 6)}
    desk = Desk(tmp_path)
    desk.open(Recipe(source=Source(str(tmp_path / "m.onnx")), profile=Profile(ranges=given)))
    profile = desk.last_recipe.profile
    assert profile is not None
    assert (profile.ranges, profile.values) == ({}, {"k": Values((1, 6), (2, 6), (3, 6))})


def test_a_model_without_free_dimensions_has_a_forecast(tmp_path: Path) -> None:
    text = '<ir_version: 8, opset_import: ["" : 17]> g (float[4,8] x) => (float[4,8] y) { a = Relu(x)  y = Neg(a) }'
    onnx.save(onnx.parser.parse_model(text), tmp_path / "m.onnx")
    desk = Desk(tmp_path)
    desk.open(Recipe(source=Source(str(tmp_path / "m.onnx"))))
    forecast = desk.session.forecast(Forecast()).forecast
    assert forecast is not None
    assert (forecast.key, forecast.sizes, forecast.activations) == ("", (1,), (0,))


@pytest.mark.slow
def test_a_failed_export_is_tried_again_only_for_what_may_help(tmp_path: Path) -> None:
    code = tmp_path / "net.py"
    code.write_text("def model():\n    raise ValueError('no weights here')\n")
    source = with_consent(Source(str(code), SourceKind.PYTORCH, "model"))
    desk = Desk(tmp_path)
    desk.open(Recipe(source=source))

    def exports() -> int:
        return sum(isinstance(event, Exported) for event in desk.events)

    assert exports() == 1 and desk.last(Exported).onnx_path == ""
    desk.apply(Recipe(source=source, profile=Profile(ranges={"x[0]": Range(1, 2, 4)})))
    assert exports() == 1, "no range mends code that raises"
    assert [found.kind for found in desk.last(Judged).findings] == ["export/user-code"]
    desk.apply(Recipe(source=msgspec.structs.replace(source, inputs=(InputSpec("x", (2, 4)),))))
    assert exports() == 2, "other inputs may"


@pytest.mark.slow
def test_a_range_for_a_fixed_size_exports_again_and_its_undo_too(tmp_path: Path) -> None:
    code = tmp_path / "net.py"
    code.write_text(
        "import torch\n\n\nclass Net(torch.nn.Module):\n    def forward(self, x):\n        return x.relu()\n\n\n"
        "def model():\n    return Net().eval(), (torch.randn(2, 4),)\n"
    )
    recipe = Recipe(source=with_consent(Source(str(code), SourceKind.PYTORCH, "model")))
    desk = Desk(tmp_path)
    desk.open(recipe)

    def exports() -> int:
        return sum(isinstance(event, Exported) for event in desk.events)

    def first_dim() -> int | None:
        return (desk.last(Opened).summary.inputs[0].dims or ())[0].size

    assert exports() == 1 and first_dim() == 2
    desk.apply(recipe.with_range("x[0]", Range(1, 4, 8)))
    assert exports() == 2 and first_dim() is None and not desk.last(Judged).findings
    freed = desk.last(Opened).recipe
    desk.apply(freed.with_range("x_0", Range(1, 2, 6)))
    assert exports() == 2, "the model was exported for these sizes"
    desk.apply(recipe)
    assert exports() == 3 and first_dim() == 2


def two_reshapes(path: Path, *, front: bool = False, renamed: bool = False) -> Recipe:
    """A model with two Reshapes; with one more in `front`, the first of the others numbered anew, or gone."""
    text = """
    <ir_version: 8, opset_import: ["" : 17]>
    two (float[2,3,4] x) => (float[2,12] a, float[6,4] b)
    <int64[2] s = {2, 12}, int64[2] t = {6, 4}, int64[3] u = {2, 3, 4}>
    {
        h = Relu (x)
        a = Reshape (h, s)
        b = Reshape (h, t)
    }
    """
    model = onnx.parser.parse_model(text)
    for node, name in zip(model.graph.node, ("relu", "first", "second"), strict=True):
        node.name = name
    if front:
        more = onnx.helper.make_node("Reshape", ["x", "u"], ["x2"], name="front")
        model.graph.node.insert(0, more)
        model.graph.node[1].input[0] = "x2"
    if renamed:
        model.graph.node[1].name = "another"
    onnx.save(model, path)
    return Recipe(source=Source(str(path), SourceKind.AUTO))


FREED = ("a = Reshape(first)",)


def test_a_rewrite_stays_on_its_node_when_one_comes_in_front(tmp_path: Path) -> None:
    rewrite = Rewrite("reshape-minus-one", FREED)
    desk = Desk(tmp_path)
    for front in (False, True):
        desk.open(msgspec.structs.replace(two_reshapes(tmp_path / "m.onnx", front=front), rewrites=(rewrite,)))
        assert not [event for event in desk.events if isinstance(event, StepsLost)]
        out = tmp_path / "edited.onnx"
        desk.session.save_model(out)
        shapes = {node.name: node.input[1] for node in onnx.load(str(out)).graph.node if node.op_type == "Reshape"}
        assert shapes["second"] == "t" and shapes["first"] != "s"


def test_a_rewrite_whose_node_is_gone_is_left_out_and_said_and_can_be_moved(tmp_path: Path) -> None:
    rewrite = Rewrite("reshape-minus-one", FREED)
    asked = msgspec.structs.replace(two_reshapes(tmp_path / "m.onnx", renamed=True), rewrites=(rewrite,))
    desk = Desk(tmp_path)
    desk.open(asked)
    (lost,) = desk.last(StepsLost).lost
    assert lost.rewrite == rewrite and lost.node == FREED[0]
    assert lost.why == "Reshape(first) is not in the model any more"
    assert [other.label for other in lost.others] == ["Reshape another", "Reshape second"]
    recipe = desk.last(Opened).recipe
    assert recipe.rewrites == (rewrite,), "only the user drops it"
    request = desk.session.job_request(StartJob(job=1, kind=JobKind.BUILD))
    assert isinstance(request, JobRequest) and request.recipe.rewrites == ()
    assert not [event for event in desk.events if isinstance(event, Refused | Verified)]
    desk.apply(recipe.with_range("N", Range(1, 1, 1)))
    assert desk.last(StepsLost).lost == (lost,), "an edit of something else leaves it as it is"
    moved = Rewrite(rewrite.name, (lost.others[0].reference,))
    desk.apply(msgspec.structs.replace(recipe, rewrites=(moved,)))
    assert desk.last(StepsLost).lost == ()
    assert desk.last(Verified).rewrites == (rewrite.name,)
    desk.apply(recipe)
    assert desk.last(StepsLost).lost == (lost,), "undone: left out again, not refused"


def test_a_new_rewrite_that_does_not_apply_is_refused(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.open(two_reshapes(tmp_path / "m.onnx"))
    desk.apply(msgspec.structs.replace(desk.last_recipe, rewrites=(Rewrite("reshape-minus-one", ("gone",)),)))
    assert "the node that writes gone is not in the model any more" in desk.last(Refused).why


def test_a_node_to_be_kept_in_float32_that_is_gone_is_left_out_and_said(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    recipe = two_reshapes(tmp_path / "m.onnx")
    desk.open(msgspec.structs.replace(recipe, precision=Precision.FP16, keep_float32=("relu", "secund")))
    (lost,) = desk.last(StepsLost).lost
    assert lost.kept == "secund" and [other.label for other in lost.others] == ["second"]
    assert desk.last(Judged).revision == desk.revision


def test_a_measurement_gets_the_engine_of_its_own_recipe(tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    desk.open(two_reshapes(tmp_path / "m.onnx"))
    first = desk.last_recipe
    second = msgspec.structs.replace(first, opset=18)

    def built(number: int) -> None:
        assert isinstance(desk.session.job_request(StartJob(job=number, kind=JobKind.BUILD)), JobRequest)
        result = BuildResult(ok=True, source="builder", seconds=1.0, engine_path=f"{number}.plan")
        desk.session.job_ended(JobEnded(job=number, kind=JobKind.BUILD, seconds=1.0, build=result))

    def given() -> str:
        request = desk.session.job_request(StartJob(job=9, kind=JobKind.MEASURE))
        assert isinstance(request, JobRequest)
        return request.engine

    built(1)
    desk.apply(second)
    assert given() == "", "an engine of another recipe says nothing of this one"
    built(2)
    assert given() == "2.plan"
    desk.apply(first)
    assert given() == "1.plan"
