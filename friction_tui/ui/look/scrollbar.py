"""Scrollbars as strips at once: through Rich, as Textual draws them, one costs as much as six rows of a graph."""

from __future__ import annotations

from rich.style import Style as RichStyle
from textual.css.styles import RulesMap
from textual.scrollbar import ScrollBarRender
from textual.strip import Strip
from textual.style import Style
from textual.visual import RenderOptions, Visual


class QuickBar(ScrollBarRender):
    """What `ScrollBar.renderer` makes a bar with. A vertical one is drawn here, a horizontal one by Textual."""

    def visualize(self) -> Visual | ScrollBarRender:
        """See Textual's protocol of visuals."""
        return _Bar(self) if self.vertical and isinstance(self.style, RichStyle) else self


class _Bar(Visual):
    """A vertical bar. It has five different lines at most, each of which is made once."""

    def __init__(self, bar: ScrollBarRender) -> None:
        self._bar = bar

    def render_strips(
        self,
        width: int,
        height: int | None,
        style: Style,  # noqa: ARG002
        options: RenderOptions,  # noqa: ARG002
    ) -> list[Strip]:
        """`height` lines of `width` cells."""
        bar = self._bar
        assert isinstance(bar.style, RichStyle)
        back, colour = bar.style.bgcolor, bar.style.color
        assert back is not None
        assert colour is not None
        segments = bar.render_bar(
            size=height or 0,
            virtual_size=bar.virtual_size,
            window_size=bar.window_size,
            position=bar.position,
            thickness=width,
            back_color=back,
            bar_color=colour,
        ).segments
        lines = {id(segment): Strip([segment], width) for segment in {id(s): s for s in segments}.values()}
        return [lines[id(segment)] for segment in segments]

    def get_optimal_width(self, rules: RulesMap, container_width: int) -> int:  # noqa: ARG002
        """As thick as it is asked to be."""
        return self._bar.thickness

    def get_height(self, rules: RulesMap, width: int) -> int:  # noqa: ARG002
        """As long as what it stands beside."""
        return self._bar.window_size
