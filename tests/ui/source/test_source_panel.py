"""The export loop on the screen: consent, progress, failure, cancel, the diff, and Python beside its nodes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from textual.pilot import Pilot

from friction_tui.state.app_state import AppState
from friction_tui.state.derived import graph_change
from friction_tui.ui.app import FrictionApp
from friction_tui.ui.look.python_lines import coloured
from friction_tui.ui.source.inputs_dialog import InputsScreen
from friction_tui.ui.source.panel import SourcePanel
from friction_tui.ui.why_screen import WhyScreen
from friction_tui.vocabulary.finding import Finding, Location, LocationKind, Severity, SourceLine, Tier
from friction_tui.vocabulary.protocol import (
    EXPORT_JOB,
    Apply,
    CancelJob,
    CheckState,
    ConsentNeeded,
    Detail,
    Event,
    Exported,
    Findings,
    GraphData,
    GraphReady,
    Hello,
    JobEnded,
    JobKind,
    JobProgress,
    Judged,
    LogLevel,
    LogLine,
    Open,
    Phase,
    ReadSource,
    Request,
    SourceChanged,
    SourceText,
)
from friction_tui.vocabulary.protocol.evidence import ExportEvidence, ExportStep, ProgramLine, StepState
from friction_tui.vocabulary.recipe import InputSpec, Recipe, Source, SourceKind
from tests.ui.bench import bench_of, screen_text, settled

FILE = "/models/model.py"
TEXT = '"""A head."""\n\n\ndef forward(self, x):\n    x = x.view(1, 256)  # one image\n    return self.fc(x)\n'
RECIPE = Recipe(source=Source(FILE, SourceKind.PYTORCH, "model", consent_hash="0" * 64))
SOURCE = SourceText(file=FILE, text=TEXT, nodes={5: ["8"], 6: ["9", "10"]}, names=("", FILE, "model.py"), files=(FILE,))
BRANCH = Finding(
    kind="export/data-dependent-control-flow",
    severity=Severity.ERROR,
    tier=Tier.MODEL,
    title="Python `if` on a tensor's value",
    cause="A Python if decides on a value that is only known at run time.",
    source="torch.onnx.export (torch 2.13.0)",
    locations=(Location(LocationKind.FILE, "model.py:5", source=SourceLine(FILE, 5, "forward", "if x.sum() > 0:")),),
    evidence=("     4  def forward(self, x):", ">    5      if x.sum() > 0:", "     6          return x"),
)


class Sent:
    """What the app sent to the worker."""

    def __init__(self) -> None:
        self.requests: list[Request] = []

    def of(self, kind: type[Request]) -> list[Request]:
        return [request for request in self.requests if isinstance(request, kind)]


Running = Callable[..., AbstractAsyncContextManager[tuple[FrictionApp, Pilot[None], Sent]]]
"""`async with running(watch=True) as (app, pilot, sent)`: a source that is code has been opened, nothing said yet."""


@pytest.fixture
def running(hello: Hello, silent_worker: list[str], monkeypatch: pytest.MonkeyPatch) -> Running:
    @asynccontextmanager
    async def run(
        *, watch: bool = False, allow_code: bool = False
    ) -> AsyncIterator[tuple[FrictionApp, Pilot[None], Sent]]:
        app, sent = FrictionApp(RECIPE, worker=silent_worker, watch=watch, allow_code=allow_code), Sent()
        async with app.run_test(size=(130, 36)) as pilot:
            monkeypatch.setattr(app.live._client, "send", sent.requests.append)
            await hear(app, pilot, hello)
            sent.requests.clear()
            yield app, pilot, sent

    return run


def exporting(elapsed: float = 3.2) -> JobProgress:
    phases = (Phase("import torch", 2.1), Phase("Capture the graph"))
    lines = (LogLine(LogLevel.INFO, "hello from the model", 2.2),)
    return JobProgress(job=EXPORT_JOB, kind=JobKind.EXPORT, phases=phases, lines=lines, elapsed=elapsed)


def over(revision: int, path: str = "/tmp/e.onnx", *, guessed: bool = False) -> list[Event]:
    error = "" if path else "Python `if` on a tensor's value (model.py:5)"
    inputs = (InputSpec("x", (2, 256)),)
    return [
        JobEnded(job=EXPORT_JOB, kind=JobKind.EXPORT, seconds=4.0, error=error),
        Exported(revision=revision, onnx_path=path, seconds=4.0, inputs=inputs, inputs_guessed=guessed),
    ]


def failed(revision: int) -> list[Event]:
    findings = Findings(
        revision=revision, check="export", state=CheckState.FAILED, findings=[BRANCH], seconds=4.0, source="export"
    )
    return [findings, *over(revision, ""), Judged(revision=revision, findings=[BRANCH], seconds=0.0)]


async def hear(app: FrictionApp, pilot: Pilot[None], *events: Event) -> None:
    for event in events:
        app.live.hear(event)
    await settled(pilot)


async def test_progress_then_a_failure_that_names_the_line(running: Running) -> None:
    async with running() as (app, pilot, sent):
        await hear(app, pilot, exporting())
        text = screen_text(app)
        assert "exporting model.py" in text and "Capture the graph" in text and "hello from the model" in text
        assert "first export of this model: no estimate" in text and "Esc cancel export" in text
        await hear(app, pilot, *failed(1))
        text = screen_text(app)
        assert "The export failed; there is no graph to show." in text and f"{FILE}:5" in text
        await pilot.press("W")
        await settled(pilot)
        assert isinstance(app.screen, WhyScreen)
        assert ">    5      if x.sum() > 0:" in screen_text(app)
        await pilot.press("escape", "8")
        await settled(pilot)
        assert sent.of(ReadSource)
        await hear(app, pilot, SOURCE)
        text = screen_text(app)
        assert "model.py ─ of the failed export" in text and "✗   5      x = x.view(1, 256)" in text
        assert bench_of(app).query_one(SourcePanel).line_shown == 5


async def test_cancelling_leaves_the_old_model(running: Running, worker_events: Callable[..., list[Event]]) -> None:
    async with running() as (app, pilot, sent):
        await hear(app, pilot, *over(1), *worker_events())
        await pilot.press("r")
        await hear(app, pilot, exporting())
        assert app.live.state.revision == 2 and app.live.state.stale
        await pilot.press("escape")
        assert sent.of(CancelJob) == [CancelJob(job=EXPORT_JOB)]
        ended = JobEnded(job=EXPORT_JOB, kind=JobKind.EXPORT, seconds=3.3, cancelled=True)
        await hear(app, pilot, ended, Exported(revision=2, onnx_path="", seconds=3.3, cancelled=True))
        text = screen_text(app)
        assert "the export was cancelled" in text and "checked 0.14 s" in text and "✗ 2" in text
        assert not app.live.state.stale and not app.live.state.export_failed


async def test_a_save_exports_again_and_says_what_changed(
    running: Running, worker_events: Callable[..., list[Event]]
) -> None:
    async with running(watch=True) as (app, pilot, sent):
        await hear(app, pilot, *over(1), *worker_events())
        await hear(app, pilot, SourceChanged((FILE,)))
        assert [request.revision for request in sent.of(Open) if isinstance(request, Open)] == [2]
        graph = app.live.state.graph
        assert graph is not None
        more = GraphData(
            names=[*graph.names, "node_relu"],
            ops=[*graph.ops, "Relu"],
            paths=[*graph.paths, "13"],
            inputs=[*graph.inputs, []],
            scopes=[*graph.scopes, 0],
            scope_table=graph.scope_table,
            order=[*graph.order, len(graph.names)],
            main=graph.main + 1,
        )
        kept = [finding for finding in app.live.state.findings if finding.kind != "dynamic/baked-reshape"]
        await hear(
            app, pilot, *over(2), GraphReady(revision=2, graph=more), Judged(revision=2, findings=kept, seconds=0.1)
        )
        assert "exported again: 1 node added (Relu node_relu); fixed head/Reshape" in screen_text(app)
        await hear(app, pilot, SourceChanged((FILE,)), *failed(3))
        kinds = {finding.kind for finding in app.live.state.findings}
        assert BRANCH.kind in kinds and "operator/nonzero" in kinds, "what was said of the model shown still holds"
        assert "the previous model is still shown" in screen_text(app)


async def test_code_agreed_to_on_the_command_line_is_not_asked_about(running: Running) -> None:
    async with running(allow_code=True) as (app, pilot, sent):
        asked = ConsentNeeded(revision=1, recipe=RECIPE, files=(FILE,), sha256="0" * 64, runs="model.py is run")
        await hear(app, pilot, asked)
        assert len(sent.of(Open)) == 1 and app.live.state.consent is None
        other = msgspec.structs.replace(RECIPE, source=Source("other.py", SourceKind.PYTORCH, "model"))
        await hear(app, pilot, msgspec.structs.replace(asked, recipe=other))
        assert len(sent.of(Open)) == 1, "only what the command line named"


async def test_an_edited_file_is_asked_about_again_unless_the_session_is_trusted(
    running: Running,
) -> None:
    async with running() as (app, pilot, sent):
        asked = ConsentNeeded(revision=1, recipe=RECIPE, files=(FILE,), sha256="0" * 64, runs="model.py is run")
        await hear(app, pilot, asked)
        await pilot.press("enter")
        assert not sent.of(Open), "nobody agrees by accident"
        await pilot.press("s")
        await settled(pilot)
        assert len(sent.of(Open)) == 1
        edited = ConsentNeeded(revision=2, recipe=RECIPE, files=(FILE,), sha256="1" * 64, runs="model.py is run")
        await hear(app, pilot, edited)
        assert len(sent.of(Open)) == 2 and app.live.state.consent is None


async def test_not_agreeing_leaves_a_reason(running: Running) -> None:
    async with running() as (app, pilot, _):
        await hear(app, pilot, ConsentNeeded(revision=1, recipe=RECIPE, files=(FILE,), sha256="0" * 64, runs="it runs"))
        await pilot.press("escape")
        await settled(pilot)
        assert "you did not allow its code to run" in screen_text(app) and not app.live.state.checking


async def test_lines_and_nodes_lead_to_each_other(
    running: Running, worker_events: Callable[..., list[Event]], reshape_detail: Detail
) -> None:
    async with running() as (app, pilot, _):
        await hear(app, pilot, *over(1), *worker_events())
        await pilot.press("c")
        await settled(pilot)
        await hear(app, pilot, SOURCE)
        bench_of(app).graph.reveal("8")
        assert reshape_detail.node is not None
        node = msgspec.structs.replace(reshape_detail.node, source=SourceLine(FILE, 5))
        await hear(app, pilot, Detail(path="8", node=node))
        panel = bench_of(app).query_one(SourcePanel)
        assert panel.line_shown == 5 and "▸ 5" in screen_text(app)
        panel.focus()
        await pilot.press("down", "enter")
        await settled(pilot)
        assert app.live.state.selected == "9" and panel.line_shown == 6
        await pilot.press("enter")
        await settled(pilot)
        assert app.live.state.selected == "10" and "node 2 of 2" in screen_text(app)


async def test_guessed_inputs_are_edited_and_exported_again(
    running: Running, worker_events: Callable[..., list[Event]]
) -> None:
    async with running() as (app, pilot, sent):
        await hear(app, pilot, *over(1, guessed=True), *worker_events())
        await pilot.press("I")
        await settled(pilot)
        assert isinstance(app.screen, InputsScreen) and "They were guessed" in screen_text(app)
        await pilot.press(*["backspace"] * 20, *"x:4x", "enter")
        await settled(pilot)
        assert isinstance(app.screen, InputsScreen), "what cannot be read is not taken"
        await pilot.press(*["backspace"] * 4, *"x:4x256:float16", "enter")
        await settled(pilot)
        (request,) = sent.of(Apply)
        assert isinstance(request, Apply) and request.recipe.source.inputs == (InputSpec("x", (4, 256), "float16"),)


def test_a_renamed_node_is_the_same_node() -> None:
    def graph(*nodes: str) -> GraphData:
        count = len(nodes)
        ops = ["Relu" if "relu" in name else "Add" for name in nodes]
        return GraphData(list(nodes), ops, [str(i) for i in range(count)], [[]] * count, [0] * count, [()], [], count)

    change = graph_change(graph("relu", "relu_1"), graph("relu", "add", "relu_2", "relu_3"), 2)
    assert (len(change.added), change.removed) == (2, ()) and "Add add" in change.added


def test_coloured_lines_are_the_lines_of_the_file() -> None:
    text = "\n\n# c\ndef f(x):\n\treturn 'é' * 2\n\n\n"
    lines = ["".join(part for part, _ in spans) for spans in coloured(text)]
    assert lines == ["", "", "# c", "def f(x):", "    return 'é' * 2", "", ""]
    assert ("def", "keyword") in coloured(text)[3] and ("# c", "muted") in coloured(text)[2]


@pytest.mark.slow
async def test_a_real_source_is_exported_edited_and_followed(tmp_path: Path) -> None:
    net = tmp_path / "net.py"
    net.write_text(
        "import torch\n\n\nclass Net(torch.nn.Module):\n    def forward(self, x):\n        return x.relu()\n\n\n"
        "def model():\n    return Net().eval(), (torch.randn(2, 4),)\n"
    )
    app = FrictionApp(Recipe(source=Source(f"{net}:model", SourceKind.AUTO)), watch=True)

    async def until(ready: Callable[[], object]) -> None:
        for _ in range(900):
            if ready():
                return
            await asyncio.sleep(0.1)
        raise AssertionError(screen_text(app))

    async with app.run_test(size=(130, 36)) as pilot:

        def state() -> AppState:
            return app.live.state

        await until(lambda: state().consent)
        await settled(pilot)
        await pilot.press("s")
        await until(lambda: state().judged and not state().checking)
        assert not state().findings, state().findings
        await pilot.press("c")
        await until(lambda: str(net) in state().sources)
        assert state().sources[str(net)].nodes.keys() == {6}
        net.write_text(net.read_text().replace("x.relu()", "x.relu() + 1"))
        await until(lambda: state().revision > 2 and state().judged and not state().checking and not state().running())
        change = state().graph_change
        assert change is not None and len(change.added) == 1


async def test_the_evidence_of_an_export_leads_to_its_nodes(
    running: Running, worker_events: Callable[..., list[Event]]
) -> None:
    async with running() as (app, pilot, _):
        await hear(app, pilot, exporting(), *over(1)[:1], *worker_events())
        graph = app.live.state.graph
        assert graph is not None
        at = next(n for n, path in enumerate(graph.paths) if path == "9")
        line = SourceLine(FILE, 6, "forward", "return self.fc(x)")
        evidence = ExportEvidence(
            steps=(ExportStep("captured", StepState.DONE),),
            program=(ProgramLine("linear = aten.linear.default(x)", "1×4 float32", (graph.names[at],), line),),
            operators=1,
        )
        await hear(app, pilot, Exported(revision=1, onnx_path="/tmp/e.onnx", seconds=4.0, evidence=evidence), SOURCE)
        await pilot.press("8", "left")
        await settled(pilot)
        text = screen_text(app)
        assert "Source ─ export" in text and "captured program: 1 operators" in text
        await pilot.press("end", "enter")
        await settled(pilot)
        assert app.live.state.selected == "9"
