"""The command palette: every action that means something now, as `Noun: verb`, with its key and help."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from textual.command import DiscoveryHit, Hit, Hits, Provider

from friction_tui.ui.actions.registry import Action, available

if TYPE_CHECKING:
    from friction_tui.ui.app import FrictionApp


def entry(action: Action, chosen: Mapping[str, str]) -> str:
    """`Build: build  (b)`; `chosen` are the user's own keys by action."""
    key = f"  ({action.key(chosen)})" if action.key(chosen) else ""
    return f"{action.noun}: {action.label}{key}"


class Commands(Provider):
    """Feeds the palette from the registry, then with Textual's own commands: two providers would race for the top."""

    @property
    def _friction(self) -> FrictionApp:
        return cast("FrictionApp", self.app)

    def _run(self, action: Action) -> None:
        bench = self._friction.workbench
        if bench is not None:
            bench.call_later(bench.action_do, action.id)

    async def discover(self) -> Hits:
        """Everything valid, before anything is typed."""
        state = self._friction.live.state
        for action in sorted(available(state), key=lambda action: action.noun == "Panel"):  # these have digits
            yield DiscoveryHit(entry(action, state.keys), lambda action=action: self._run(action), help=action.tooltip)
        for command in self.app.get_system_commands(self.screen):
            yield DiscoveryHit(command.title, command.callback, help=command.help)

    async def search(self, query: str) -> Hits:
        """What matches by name or help."""
        matcher = self.matcher(query)
        state = self._friction.live.state
        for action in available(state):
            text = entry(action, state.keys)
            score = max(matcher.match(text), 0.6 * matcher.match(action.tooltip))
            if score > 0:
                run = lambda action=action: self._run(action)  # noqa: E731
                yield Hit(score, matcher.highlight(text), run, help=action.tooltip)
        for command in self.app.get_system_commands(self.screen):
            score = matcher.match(command.title)
            if score > 0:
                yield Hit(score, matcher.highlight(command.title), command.callback, help=command.help)
