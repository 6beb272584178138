"""The characters of one row's gutter, two columns a lane."""

from __future__ import annotations

from functools import lru_cache

from friction_tui.drawing.glyphs import Glyphs


@lru_cache(maxsize=8192)
def gutter(own: int, joins: int, above: int, below: int, width: int, glyph: str, glyphs: Glyphs) -> str:
    """A row with a glyph in lane `own`, reading the lanes in `joins`; masks of lanes above and below it.

    `width` in lanes; the text is twice as wide. What it draws can be read back without doubt:
    tests/drawing/test_roundtrip.py does.
    """
    touched = joins | 1 << own
    left = (touched & -touched).bit_length() - 1
    right = touched.bit_length() - 1
    text: list[str] = []
    for lane in range(width):
        bit = 1 << lane
        if lane == own:
            text.append(glyph)
        elif joins & bit:
            corner = glyphs.on if below & bit else glyphs.end
            text.append(corner[0] if lane == left else corner[2] if lane == right else corner[1])
        elif above & below & bit:
            text.append(glyphs.lane)
        else:
            text.append(glyphs.across if left < lane < right else " ")
        text.append(glyphs.across if left <= lane < right else " ")
    return "".join(text)


@lru_cache(maxsize=1024)
def passing(below: int, width: int, glyphs: Glyphs) -> str:
    """A row without a glyph: only what runs by."""
    return "".join(f"{glyphs.lane if below >> lane & 1 else ' '} " for lane in range(width))
