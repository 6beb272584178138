"""The command palette: every action that means something now, as `Noun: verb`, with its key and help."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from textual.command import DiscoveryHit, Hit, Hits, Provider

from friction_tui.ui.actions.registry import Action, available

if TYPE_CHECKING:
    from friction_tui.ui.app import FrictionApp


def entry(action: Action) -> str:
    """`Build: build  (b)`."""
    key = f"  ({action.key})" if action.key else ""
    return f"{action.noun}: {action.label}{key}"


class Commands(Provider):
    """Feeds the palette from the registry."""

    @property
    def _friction(self) -> FrictionApp:
        return cast("FrictionApp", self.app)

    def _run(self, action: Action) -> None:
        bench = self._friction.workbench
        if bench is not None:
            bench.call_later(bench.action_do, action.id)

    async def discover(self) -> Hits:
        """Everything valid, before anything is typed."""
        for action in available(self._friction.live.state):
            yield DiscoveryHit(entry(action), lambda action=action: self._run(action), help=action.tooltip)

    async def search(self, query: str) -> Hits:
        """What matches by name or help."""
        matcher = self.matcher(query)
        for action in available(self._friction.live.state):
            text = entry(action)
            score = max(matcher.match(text), 0.6 * matcher.match(action.tooltip))
            if score > 0:
                run = lambda action=action: self._run(action)  # noqa: E731
                yield Hit(score, matcher.highlight(text), run, help=action.tooltip)
