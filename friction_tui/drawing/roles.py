"""What a piece of drawn text is, for the theme to colour. Colour is never the only carrier of anything."""

from __future__ import annotations

import enum

from friction_tui.drawing.marks import ProblemMark


class Role(enum.Enum):
    """What a piece of a row is."""

    GUTTER = "gutter"
    GLYPH_OK = "glyph_ok"
    GLYPH_ERROR = "glyph_error"
    GLYPH_WARNING = "glyph_warning"
    GLYPH_UNKNOWN = "glyph_unknown"
    OP = "op"
    NAME = "name"
    SCOPE = "scope"
    SHAPE = "shape"
    COUNT = "count"
    FAR = "far"
    DIM = "dim"
    MARK_ERROR = "mark_error"
    MARK_WARNING = "mark_warning"
    MARK_UNKNOWN = "mark_unknown"
    GOES = "goes"
    CHANGES = "changes"


Segment = tuple[str, Role]
"""A text and what it is."""

GLYPH_ROLES = {
    None: Role.GLYPH_OK,
    ProblemMark.ERROR: Role.GLYPH_ERROR,
    ProblemMark.WARNING: Role.GLYPH_WARNING,
    ProblemMark.UNKNOWN: Role.GLYPH_UNKNOWN,
}
MARK_ROLES = {
    ProblemMark.ERROR: Role.MARK_ERROR,
    ProblemMark.WARNING: Role.MARK_WARNING,
    ProblemMark.UNKNOWN: Role.MARK_UNKNOWN,
}
