"""From refused to built by keys alone, with the real worker, parser, rewrites and builder."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper
from textual.pilot import Pilot

from friction_tui.friction_toml import with_file
from friction_tui.samples import DEMO, sample
from friction_tui.state.app_state import AppState, Job
from friction_tui.ui import sessions
from friction_tui.ui.app import FrictionApp
from friction_tui.ui.problems.fixes import FixesScreen
from friction_tui.vocabulary.finding import Severity
from friction_tui.vocabulary.protocol import JobKind, Verified
from friction_tui.vocabulary.recipe import Precision, Recipe, Source, SourceKind
from tests.rewrites.mended import model_of
from tests.ui.bench import screen_text, settled

pytest.importorskip("tensorrt_rtx", reason="builds with the RTX edition, which is part of the cpu extra, not of gpu")
pytestmark = pytest.mark.slow

REFUSED = ("baked_batch", "boolean_mask", "detector", "nms", "qdq_asymmetric", "torch_classifier")
"""The samples that are refused, or break at some size, and have a rewrite that keeps the results."""
MOST_FIXES = 6
PATIENCE_S = 120.0


def opened(name: str, **others: Any) -> FrictionApp:
    path = sample(name)
    assert path is not None
    return FrictionApp(Recipe(source=Source(path=str(path), kind=SourceKind.AUTO), **others))


async def until(app: FrictionApp, pilot: Pilot[None], true: Callable[[AppState], bool]) -> None:
    """Wait for a state: the worker is a process of its own. Only a fault makes it take as long as this."""
    async with asyncio.timeout(PATIENCE_S):
        while not true(app.live.state):
            await asyncio.sleep(0.05)
    for _ in range(4):
        await pilot.pause()


def judged(state: AppState) -> bool:
    """Judged, with the fixes that are offered, and compared where something was rewritten."""
    recipe = state.recipe
    compared = recipe is not None and (not recipe.rewrites or state.current_verification is not None)
    return state.judged is not None and not state.checking and compared


def past(state: AppState) -> int:
    """How many edits there were."""
    return len(state.history.past) if state.history is not None else 0


def made(state: AppState, *, edits: int) -> bool:
    """Whether so many edits were made, and the last one judged."""
    return past(state) == edits and judged(state)


def errors(state: AppState) -> int:
    return state.count(Severity.ERROR)


async def built(app: FrictionApp, pilot: Pilot[None]) -> Job:
    await pilot.press("b")
    await until(app, pilot, lambda state: any(j.kind is JobKind.BUILD and not j.running for j in state.jobs))
    return next(job for job in app.live.state.jobs if job.kind is JobKind.BUILD)


KINDS: dict[str, tuple[str, int]] = {
    "a mask that selects rows": (
        "g (float[N,8] x) => (float[K,8] y) { s = ReduceSum<keepdims=0>(x, one) m = Greater(s, zero) "
        "z = NonZero(m) t = Transpose(z) y = GatherND(x, t) }",
        17,
    ),
    "a sum scattered": (
        'g (float[N,8] x, int64[N,8] i, float[N,8] u) => (float[N,8] y) { y = ScatterElements<axis=1, reduction="add">'
        "(x, i, u) }",
        18,
    ),
    "bits of uint8": (
        'g (uint8[N,8] x) => (float[N,8] y) { s = BitShift<direction="RIGHT">(x, four) y = Cast<to=1>(s) }',
        17,
    ),
    "pooling with places, and back": (
        "g (float[N,2,8,8] x) => (float[N,2,8,8] y) { p, i = MaxPool<kernel_shape=[2,2], strides=[2,2]>(x) "
        "y = MaxUnpool<kernel_shape=[2,2], strides=[2,2]>(p, i) }",
        17,
    ),
    "an antialiased resize": (
        'g (float[N,2,8,8] x) => (float[N,2,16,16] y) { y = Resize<mode="cubic", exclude_outside=1, antialias=1>'
        "(x, , scales) }",
        18,
    ),
    "integers of two widths": ("g (int32[N,8] x) => (int64[N,8] y) { y = Add(x, wide) }", 17),
    "a sequence": (
        "g (float[N,8] x) => (float[N,8] y) { s = SplitToSequence<axis=1>(x, parts) a = SequenceAt(s, nought) "
        "b = SequenceAt(s, first) y = Concat<axis=1>(a, b) }",
        17,
    ),
    "attention of a new opset": (
        "g (float[N,5,24] x) => (float[N,5,24] y) "
        "{ y = Attention<q_num_heads=3, kv_num_heads=3, softcap=4.0>(x, x, x) }",
        23,
    ),
    "a determinant": ("g (float[N,3,3] x) => (float[N] y) { y = Det(x) }", 17),
    "an attribute of an older opset": ("g (float[N,8] x) => (float[N,1] y) { y = ReduceSum<axes=[1]>(x) }", 17),
}
"""Further kinds of refusal, by what is in the model."""
STORED: dict[str, np.ndarray] = {
    "one": np.array([1]),
    "zero": np.array(0, np.float32),
    "four": np.array(4, np.uint8),
    "scales": np.array([1, 1, 2, 2], np.float32),
    "wide": np.arange(8),
    "parts": np.array([4, 4]),
    "nought": np.array(0),
    "first": np.array(1),
}


@pytest.mark.parametrize("kind", KINDS)
async def test_other_kinds(kind: str, tmp_path: Path) -> None:
    """`x` for each error until none is left, then `b`."""
    text, opset = KINDS[kind]
    model = model_of(text, opset=opset)
    read = {name for node in model.proto.graph.node for name in node.input}
    stored = [numpy_helper.from_array(value, name) for name, value in STORED.items() if name in read]
    model.proto.graph.initializer.extend(stored)
    path = tmp_path / "model.onnx"
    onnx.save(model.proto, str(path))
    verified = await fixed_by_keys(FrictionApp(Recipe(source=Source(path=str(path), kind=SourceKind.AUTO))))
    # Invalid ONNX runs nowhere, so there is nothing to compare with.
    assert verified.holds or verified.text.startswith("not verified: the original does not load")


@pytest.mark.parametrize("name", REFUSED)
async def test_fix_by_fix(name: str) -> None:
    verified = await fixed_by_keys(opened(name))
    assert verified.holds is True


async def fixed_by_keys(app: FrictionApp) -> Verified:
    """From refused to built: the fix under the cursor for each error, then the build; what was verified."""
    async with app.run_test(size=(80, 24)) as pilot:
        await until(app, pilot, judged)
        assert errors(app.live.state) > 0
        for _ in range(MOST_FIXES):
            if not errors(app.live.state):
                break
            await pilot.press("n", "x")
            await until(app, pilot, lambda _: isinstance(app.screen, FixesScreen))
            edits = past(app.live.state) + 1
            await pilot.press("enter")
            await until(app, pilot, partial(made, edits=edits))
            await pilot.press("enter")
            await until(app, pilot, lambda _: app.screen is app.workbench)
        assert errors(app.live.state) == 0
        verification = app.live.state.current_verification
        assert verification is not None
        job = await built(app, pilot)
        assert job.build is not None and job.build.ok, job.error
        return verification


async def test_leaving_training_mode_changes_the_results_as_it_says() -> None:
    app = opened("training_mode")
    async with app.run_test(size=(80, 24)) as pilot:
        await until(app, pilot, judged)
        await pilot.press("n", "x")
        await until(app, pilot, lambda _: isinstance(app.screen, FixesScreen))
        assert isinstance(app.screen, FixesScreen)
        number = next(offer.number for offer in app.screen.offers if offer.fix.rewrite == "eval-mode")
        await pilot.press(str(number), "x")
        await until(app, pilot, lambda state: bool(state.recipe and state.recipe.rewrites) and judged(state))
        await pilot.press("b")
        await until(app, pilot, lambda state: any(j.kind is JobKind.BUILD and not j.running for j in state.jobs))
        verification = app.live.state.current_verification
        assert errors(app.live.state) == 0 and verification is not None and verification.holds is None
        job = next(job for job in app.live.state.jobs if job.kind is JobKind.BUILD)
        assert job.build is not None and job.build.ok, job.error


@pytest.mark.parametrize(
    ("name", "others"),
    [*((name, {}) for name in REFUSED), ("boolean_mask", {"precision": Precision.FP16}), ("nms", {"opset": 18})],
)
async def test_every_exact_fix_at_once(name: str, others: dict[str, Any]) -> None:
    """Also where the recipe has another precision or opset already."""
    app = opened(name, **others)
    async with app.run_test(size=(120, 30)) as pilot:
        await until(app, pilot, judged)
        before = app.live.state.recipe
        await pilot.press("X")
        await until(app, pilot, lambda state: state.recipe != before and judged(state))
        assert errors(app.live.state) == 0
        assert app.live.state.history is not None and len(app.live.state.history.past) == 1, "one edit"
        assert any(" fixed, no error remains; u undoes" in notice.text for notice in app.live.state.notices)
        job = await built(app, pilot)
        assert job.build is not None and job.build.ok, job.error
        await pilot.press("u")
        await until(app, pilot, lambda state: state.recipe == before and judged(state))
        assert errors(app.live.state) > 0


class Newcomer:
    """Presses only what the screen says at that moment, and counts the keys."""

    def __init__(self, app: FrictionApp, pilot: Pilot[None]) -> None:
        self.app, self.pilot, self.keys = app, pilot, 0

    async def press(self, key: str, said: str) -> None:
        await until(self.app, self.pilot, lambda _: said in screen_text(self.app))
        await self.pilot.press(key)
        await settled(self.pilot)
        self.keys += 1


@pytest.mark.parametrize("size", [(80, 24), (160, 45)], ids=["80x24", "160x45"])
async def test_a_newcomer_gets_from_refused_to_saved_by_what_the_screen_says(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    """Open, refused, fixed, verified, built, measured, saved. The sample is the one that `demo` opens."""
    demo = sample(DEMO)
    assert demo is not None
    for file in demo.parent.glob(f"{demo.stem}.*"):  # the ranges come with it
        shutil.copy(file, tmp_path)
    source = Source(path=str(tmp_path / demo.name), kind=SourceKind.AUTO)
    app = FrictionApp(with_file(Recipe(source=source))[0])
    async with app.run_test(size=size) as pilot:
        newcomer = Newcomer(app, pilot)
        await until(app, pilot, judged)
        assert errors(app.live.state) == 2
        await newcomer.press("X", "X fix all")
        await until(app, pilot, partial(made, edits=1))
        assert errors(app.live.state) == 0
        assert app.live.state.current_verification is not None and app.live.state.current_verification.holds
        await newcomer.press("x", "x fix")
        await newcomer.press("enter", "Enter x apply")
        await until(app, pilot, partial(made, edits=2))
        assert app.live.state.findings == (), "every problem had a fix by key"
        await newcomer.press("b", "b build")
        await until(app, pilot, lambda state: bool(state.builds))
        assert app.live.state.builds[-1].build is not None and app.live.state.builds[-1].build.ok
        await newcomer.press("m", "m measure")
        await until(app, pilot, lambda state: bool(state.latencies))
        assert newcomer.keys == 5, "refused, fixed, built and measured in five keys"
        await newcomer.press("S", "S save model")
        await newcomer.press("enter", "Enter writes a new file")
        await until(app, pilot, lambda _: (tmp_path / "detector-edited.onnx").exists())
        await pilot.press("q")
    assert newcomer.keys <= 15
    ((_, saved),) = sessions.recent()
    assert saved.verdict == "no error, built, results verified"
