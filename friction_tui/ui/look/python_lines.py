"""Python text as coloured spans, line by line."""

from __future__ import annotations

from pygments.token import Token
from textual.highlight import HighlightTheme, highlight

from friction_tui.ui.look.lines import Span

TAB = 4


class _Roles(HighlightTheme):
    """Tokens by the role they play here; the theme gives the colours, as everywhere."""

    STYLES = {  # noqa: RUF012 - declared so by its base
        Token.Comment: "muted",
        Token.Keyword: "keyword",
        Token.Literal.Number: "number",
        Token.Literal.String: "string",
        Token.Literal.String.Double: "string",
        Token.Literal.String.Single: "string",
        Token.Literal.String.Doc: "muted",
        Token.Literal.String.Affix: "string",
        Token.Name.Builtin: "name",
        Token.Name.Builtin.Pseudo: "name",
        Token.Name.Class: "strong",
        Token.Name.Decorator: "keyword",
        Token.Name.Function: "strong",
        Token.Operator.Word: "keyword",
    }


def coloured(text: str) -> list[list[Span]]:
    """The lines of a Python file as spans, tabs expanded. A blank line is an empty list."""
    lines = text.expandtabs(TAB).splitlines()
    content = highlight("\n".join(lines), language="python", theme=_Roles, tab_size=TAB)
    roles = ["text"] * len(content.plain)
    for span in content.spans:
        if span.style in _ROLE_NAMES:
            roles[span.start : span.end] = [str(span.style)] * (span.end - span.start)
    made: list[list[Span]] = []
    start = 0
    for line in lines:
        made.append(_runs(line, roles[start : start + len(line)]))
        start += len(line) + 1
    return made


_ROLE_NAMES = frozenset(_Roles.STYLES.values())


def _runs(line: str, roles: list[str]) -> list[Span]:
    """Neighbouring characters of one role together."""
    spans: list[Span] = []
    start = 0
    for at in range(1, len(line) + 1):
        if at == len(line) or roles[at] != roles[start]:
            spans.append((line[start:at], roles[start]))
            start = at
    return spans
