"""Charts as lines of spans, drawn by plotext into a matrix of characters and given our roles for colours.

Panels show them like any other line, so a chart scrolls, resizes and follows the theme as text does.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

from friction_tui.ui.look.lines import Line, Span
from friction_tui.ui.look.roles import LOOKS

_COLOUR = re.compile(r"\x1b\[(?:38;5;(\d+)|0|(48;[\d;]*))m")
_ROLES = tuple(LOOKS)
_FIRST_COLOUR = 100
"""Palette numbers from here on stand for roles; they never reach a terminal."""
_ASCII = str.maketrans({"│": "|", "┤": "|", "├": "|", "┼": "+", "└": "+", "┬": "+", "─": "-", "┴": "+", "┘": "+"})


@dataclass(frozen=True, slots=True)
class Series:
    """Points to draw. `style` is `line`, `points`, `bars` or `band`.

    A band goes from `floor` up to `ys`. Bars have one more x than heights: the edges between them.
    """

    xs: tuple[float, ...]
    ys: tuple[float, ...]
    role: str
    style: str = "line"
    floor: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Axis:
    """What an axis spans, and the numbers written at it."""

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]


@dataclass(frozen=True, slots=True)
class Chart:
    """Series in drawing order, later ones on top. `levels` are horizontal lines: height and role."""

    series: tuple[Series, ...]
    x: Axis
    y: Axis
    levels: tuple[tuple[float, str], ...] = ()


@lru_cache(maxsize=32)
def drawn(chart: Chart, width: int, height: int, *, ascii_only: bool = False) -> tuple[Line, ...]:
    """The chart in at most `width` × `height` cells; nothing where there is no room for it."""
    if width < 20 or height < 4:
        return ()
    import plotext

    figure = plotext.figure  # one per process: everything that was on it goes
    figure.clear()
    figure.theme("colorless")
    figure.canvas("default")
    figure.plot_size(width, height)
    figure.axes(False, side=1)
    for axis, name in ((chart.x, "x"), (chart.y, "y")):
        figure.ruler(name).lim(axis.low, axis.high)
        figure.ruler(name).ticks([at for at, _ in axis.ticks], [text for _, text in axis.ticks])
    for level, role in chart.levels:
        figure.line(level, "horizontal", pixel=_pixel(plotext, role))
    for series in chart.series:
        for signal in _signals(plotext, series, ascii_only=ascii_only):
            figure.draw(signal)
    text = figure.build().string()
    if ascii_only:
        text = text.translate(_ASCII)
    return tuple(Line(tuple(_spans(row))) for row in text.splitlines()[:height])


def _signals(plotext: Any, series: Series, *, ascii_only: bool) -> list[Any]:
    """What plotext draws for a series."""
    pixel = _pixel(plotext, series.role)
    marks = {"line": "braille", "bars": "hd", "points": "●", "band": "░"}
    plain = {"line": "*", "bars": "#", "points": "o", "band": ":"}
    marker = plotext.marker((plain if ascii_only else marks)[series.style], pixel)
    figure, xs, ys = plotext.figure, list(series.xs), list(series.ys)
    match series.style:
        case "bars":
            edges = [at for left, right in pairwise(xs) for at in (left, right)]
            heights = [height for height in ys for _ in range(2)]
            return [figure.signal(edges, heights, marker=marker).lines().fillx().density("full", "both")]
        case "points":
            return [figure.signal(xs, ys, marker=marker)]
        case "band":
            floor = figure.signal(xs, list(series.floor), marker=marker)
            return [figure.signal(xs, ys, marker=marker).lines().fill(floor).density("full", "both")]
    return [figure.signal(xs, ys, marker=marker).lines().density("full", "line")]


def _pixel(plotext: Any, role: str) -> Any:
    return plotext.pixel(_FIRST_COLOUR + _ROLES.index(role))


def _spans(row: str) -> list[Span]:
    """A row of plotext's text: colours become roles, what has none (axes, numbers) is muted."""
    spans: list[Span] = []
    role, end = "muted", 0
    for found in _COLOUR.finditer(row):
        if found.start() > end:
            spans.append((row[end : found.start()], role))
        end = found.end()
        if found[2]:
            continue  # a background, which plotext gives its lines: the theme has its own
        number = int(found[1]) - _FIRST_COLOUR if found[1] else -1
        role = _ROLES[number] if 0 <= number < len(_ROLES) else "muted"
    spans.append((row[end:], role))
    while spans and not spans[-1][0].strip():
        spans.pop()
    return spans


def round_steps(low: float, high: float, count: int) -> list[float]:
    """About `count` round numbers that cover `low` to `high` evenly: multiples of 1, 2 or 5 times a power of ten."""
    span = high - low
    if span <= 0 or count < 1:
        return [low]
    raw = span / count
    power = 10 ** math.floor(math.log10(raw))
    step = next((factor * power for factor in (1, 2, 5) if factor * power >= raw), 10 * power)
    first = math.ceil(low / step - 1e-9)
    return [index * step for index in range(first, math.floor(high / step + 1e-9) + 1)]
