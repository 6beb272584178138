"""Lanes: which value runs in which column of the gutter, by linear scan (as registers are allocated).

A lane is a live *value*, not an edge: it starts at the glyph of the row that makes the value, joins every
row that reads it and ends at the last. There are `lanes` of them at most. An edge that is too long, a value
read all over the graph, or one for which there is no room is not drawn but named at both ends: a far reference.

Two lies are guarded against. A glyph right below an unrelated one would read as an edge, so a row does not
take the lane of the row above unless it reads it. And a lane given up for want of room ends where it was last
read, it does not run on into the glyph that takes its place.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

REACH = 96
"""The longest stretch of rows a lane runs without being read."""
HUB = 8
"""A value read by so many rows over more than `REACH` of them gets no lane."""


@dataclass(frozen=True, slots=True)
class Lanes:
    """The gutter of consecutive rows. Bit L of a mask is lane L."""

    own: array[int]
    """The lane of each row's glyph, -1 for a row without one."""
    joins: array[int]
    """Lanes whose value each row reads."""
    below: array[int]
    """Lanes that run on below each row."""
    far: list[tuple[int, int]]
    """(reader, source): edges that are not drawn."""
    width: int
    """How many lanes are used."""


def allocate(
    sources: Sequence[Sequence[int] | None], lanes: int, *, continues: bool = False, continued: bool = False
) -> Lanes:
    """Lanes for rows 0, 1, …; `sources[r]` are the rows that row r reads, None for a row without a glyph.

    A source that does not come before its reader is far. At least four `lanes`, at most 31. When the rows
    continue others (`continues`), or others follow (`continued`), of which nothing is known here, the first
    glyph stands in an odd lane and the last in an even one, so that none is right below an unrelated one.
    O(edges + rows × lanes).
    """
    size = len(sources)
    uses: list[list[int]] = [[] for _ in range(size)]
    for row, read in enumerate(sources):
        for source in read or ():
            if source < row:
                uses[source].append(row)
    own = array("b", [-1]) * size
    joins = array("i", bytes(4 * size))
    turns = [0] * (size + 1)
    far: list[tuple[int, int]] = []
    everything = (1 << lanes) - 1
    even = everything & 0x55555555
    free = everything
    lane_of = [-1] * size
    seen = [0] * size
    holder = [0] * lanes
    drawn_to = [0] * lanes
    next_use = [0] * lanes
    above = 0  # the bit of the glyph in the row above
    for row, read in enumerate(sources):
        if read is None:
            above = 0
            continue
        joined = ending = 0
        for source in read:
            lane = lane_of[source] if source < row else -1
            if lane < 0:
                far.append((row, source))
                continue
            joined |= 1 << lane
            drawn_to[lane] = row
            seen[source] += 1
            later = uses[source]
            if seen[source] < len(later) and later[seen[source]] - row <= REACH:
                next_use[lane] = later[seen[source]]
                continue
            lane_of[source] = -1
            turns[source] ^= 1 << lane
            turns[row] ^= 1 << lane
            ending |= 1 << lane
        free |= ending
        allowed = everything
        if continues and row == 0:
            allowed &= ~even
        if continued and row == size - 1:
            allowed &= even
        choice = ending & allowed or free & ~above & allowed
        if choice:
            lane = (choice & -choice).bit_length() - 1
        else:
            held = allowed & ~free & (~above | joined)
            lane = _furthest(held & ~joined or held, next_use)
            source = holder[lane]
            lane_of[source] = -1
            if drawn_to[lane] > source:
                turns[source] ^= 1 << lane
                turns[drawn_to[lane]] ^= 1 << lane
            free |= 1 << lane
        own[row] = lane
        joins[row] = joined
        above = 1 << lane
        later = uses[row]
        if later and later[0] - row <= REACH and not (len(later) >= HUB and later[-1] - row > REACH):
            free &= ~above
            lane_of[row] = lane
            holder[lane] = row
            drawn_to[lane] = row
            next_use[lane] = later[0]
    below = array("i", bytes(4 * size))
    running = used = 0
    for row in range(size):
        running ^= turns[row]
        below[row] = running
        used |= running
    return Lanes(own, joins, below, far, max(used.bit_length(), max(own, default=0) + 1))


def _furthest(candidates: int, next_use: Sequence[int]) -> int:
    """The candidate lane whose value is read last (Belady's choice)."""
    return max((lane for lane in range(len(next_use)) if candidates >> lane & 1), key=next_use.__getitem__)
