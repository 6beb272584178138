"""What the editing and measuring panels look like, at the sizes people have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from friction_tui.state.app_state import AppState, Job
from friction_tui.ui.builds.panel import BuildPanel
from friction_tui.ui.measured.latency import LatencyPanel
from friction_tui.ui.measured.memory import MemoryPanel
from friction_tui.ui.panel import Panel
from friction_tui.ui.shapes.panel import ShapesPanel
from friction_tui.vocabulary.protocol import JobKind
from tests.ui.bench import Bench
from tests.ui.builds.test_build_panel import built
from tests.ui.measured.test_measuring_panels import FORECAST, NO_GPU, latency, recipe_of
from tests.ui.shapes.test_shapes_panel import state_of


def shapes() -> tuple[Panel, AppState]:
    return ShapesPanel(id="shapes"), state_of()


def build() -> tuple[Panel, AppState]:
    base = state_of()
    return BuildPanel(id="build"), replace(base, jobs=(built(1, recipe_of(base)),))


def memory() -> tuple[Panel, AppState]:
    base = state_of()
    return MemoryPanel(id="memory"), replace(base, hello=NO_GPU, forecast=FORECAST, forecast_revision=1)


def latencies() -> tuple[Panel, AppState]:
    base = state_of()
    jobs = tuple(Job(n, JobKind.MEASURE, recipe_of(base), running=False, latency=latency(n)) for n in (1, 2))
    return LatencyPanel(id="latency"), replace(base, jobs=jobs)


@pytest.mark.parametrize(
    ("make", "size", "keys"),
    [
        (shapes, (80, 24), ("down", "enter", "9")),
        (build, (80, 24), ()),
        (memory, (120, 30), ()),
        (latencies, (120, 30), ()),
    ],
    ids=["shapes-refusing", "build-result", "memory", "latency"],
)
def test_panel_looks(
    snap_compare: Any, make: Callable[[], tuple[Panel, AppState]], size: tuple[int, int], keys: tuple[str, ...]
) -> None:
    panel, state = make()

    async def show(pilot: Any) -> None:
        pilot.app.show(state)
        await pilot.press(*keys)
        await pilot.pause()

    assert snap_compare(Bench(panel), terminal_size=size, run_before=show)
