"""A first profile for a model without one.

Sizes are small, so that everything after opening is quick, and such that the model's own shapes work at min,
opt and max if a few tries can find them: a wrong guess must not look like a fault of the model.

- A batch dimension (axis 0) gets 1 · 4 · 8. It keeps 8 as its max even where only 1 works, and its opt falls
  back to 1: a dimension declared free that is not free is what people come here to find.
- Height and width get one fixed size, 224 or the first of `_SPATIAL` that works. Networks halve them several
  times, and few sizes in a range survive that.
- Any other dimension counts as a sequence: 1 · 128 · 256, or less range where that does not work.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from friction_tui.model.constants import tensor_value
from friction_tui.model.names import declared_dim
from friction_tui.model.opened import OpenedModel
from friction_tui.model.shapes.point_shapes import input_sizes, shapes_at
from friction_tui.vocabulary.recipe import POINTS, Profile, Range, Values

_SINGLE = Range(1, 1, 1)
_BATCH = Range(1, 4, 8)
_BATCH_OF_ONE = Range(1, 1, 8)
_OPT_OF_BATCH = Range(4, 4, 4)
_SPATIAL = (224, 256, 512, 640, 320, 416, 128, 64, 32, 28, 16, 8)
_SEQUENCE = (
    Range(1, 128, 256),
    Range(16, 128, 256),
    Range(64, 128, 256),
    Range(1, 64, 128),
    Range(1, 16, 32),
    Range(1, 8, 16),
    *(Range(size, size, size) for size in (128, 64, 32, 16, 8, 512, 77, 1)),
)
_BATCH_NAMES = re.compile(r"(^|_)(n|b|bs|batch|batch_?size|num_images)($|_)", re.IGNORECASE)
_SPATIAL_NAMES = re.compile(r"(^|_)(h|w|height|width|rows|cols)($|_|\d)", re.IGNORECASE)
_SEQUENCE_NAMES = re.compile(r"seq|len|time|token|past|frame|step|ctx|context", re.IGNORECASE)
_TRIED_NODES = 60_000
"""Nodes followed altogether while trying: about a second, whatever the size of the model."""
_SMALL_MODEL = 4_000
"""Nodes up to which min and max are tried as well as opt."""
_FREE = (0, 0)
"""The cost of a choice with which nothing fails."""
_HINTS = 6

Choice = Range | Values


@dataclass(frozen=True, slots=True)
class _Unknown:
    """One thing to choose: what it is, and the choices in order of preference."""

    key: str
    kind: str
    choices: tuple[Choice, ...]


def guess(
    model: OpenedModel, free: Mapping[str, list[tuple[str, int]]], shape_tensors: set[str], chosen: Profile
) -> Profile:
    """`chosen` completed with ranges for all `free` dim keys and values for the `shape_tensors`.

    What is added is marked as guessed, and fits what was chosen. A model of more than 20,000 nodes gets the first
    choice of everything, untried.
    """
    hints = _hints(model)
    asked = {key: uses for key, uses in free.items() if not _is_chosen(key, uses, chosen)}
    sums = {key: terms for key in asked if (terms := _terms(key, free))}
    unknowns = [_classify(model, key, uses, hints) for key, uses in asked.items() if key not in sums]
    unknowns += [_values(model, name) for name in sorted(shape_tensors) if name not in chosen.values]
    if not unknowns:
        return _profile(chosen, _added(sums, chosen.ranges))
    nodes = len(model.index.nodes) + 1
    trials = iter(range(min(60, _TRIED_NODES // (3 * nodes))))
    points = POINTS if nodes <= _SMALL_MODEL else ("opt",)

    def cost(choice: Mapping[str, Choice]) -> tuple[int, int]:
        profile = _profile(chosen, {**choice, **_added(sums, {**chosen.ranges, **choice})})
        return _cost(model, profile, points)

    best: dict[str, Choice] = {item.key: item.choices[0] for item in unknowns}
    if next(trials, None) is not None and cost(best) != _FREE:
        best = _improved(best, unknowns, cost, trials)
    return _profile(chosen, {**best, **_added(sums, {**chosen.ranges, **best})})


def _improved(
    best: dict[str, Choice],
    unknowns: list[_Unknown],
    cost: Callable[[Mapping[str, Choice]], tuple[int, int]],
    trials: Iterator[int],
) -> dict[str, Choice]:
    """A choice that fails less than the first one, if one is found."""
    batches = [item.key for item in unknowns if item.kind == "batch"]
    rest = [item for item in unknowns if item.kind != "batch"]
    # A baked batch would fail every try, so sizes are sought with a batch of one, which works if anything does.
    found = _search({**best, **dict.fromkeys(batches, _SINGLE)}, rest, cost, trials)
    usual = {**found, **dict.fromkeys(batches, _BATCH)}
    if not batches or cost({**usual, **dict.fromkeys(batches, _OPT_OF_BATCH)}) == _FREE:
        return usual
    return {**found, **dict.fromkeys(batches, _BATCH_OF_ONE)} if cost(found) == _FREE else usual


def _search(
    chosen: dict[str, Choice],
    unknowns: list[_Unknown],
    cost: Callable[[Mapping[str, Choice]], tuple[int, int]],
    trials: Iterator[int],
) -> dict[str, Choice]:
    """The cheapest choice met: first all unknowns of one kind moved together, then each on its own."""
    best, least = chosen, cost(chosen)
    groups = [[item for item in unknowns if item.kind == kind] for kind in ("spatial", "sequence", "values")]
    groups += [[item] for item in unknowns]
    for group in groups:
        for position in range(1, max((len(item.choices) for item in group), default=0)):
            if least == _FREE or next(trials, None) is None:
                return best
            moved = {item.key: item.choices[min(position, len(item.choices) - 1)] for item in group}
            found = cost({**best, **moved})
            if found < least:
                best, least = {**best, **moved}, found
    return best


def _cost(model: OpenedModel, profile: Profile, points: Sequence[str]) -> tuple[int, int]:
    """(points at which something fails, nodes that fail over all points)."""
    failures = []
    for point in points:
        values = {name: given.at(point) for name, given in profile.values.items()}
        failures.append(len(shapes_at(model, input_sizes(model, profile, point), values, point).failures))
    return sum(1 for count in failures if count), sum(failures)


def _is_chosen(key: str, uses: list[tuple[str, int]], chosen: Profile) -> bool:
    return key in chosen.ranges or all(f"{name}[{axis}]" in chosen.ranges for name, axis in uses)


def _profile(chosen: Profile, added: Mapping[str, Choice]) -> Profile:
    ranges = {key: choice for key, choice in added.items() if isinstance(choice, Range)}
    values = {key: choice for key, choice in added.items() if isinstance(choice, Values)}
    return Profile(
        ranges={**ranges, **chosen.ranges}, values={**values, **chosen.values}, guessed=(*chosen.guessed, *added)
    )


def _classify(model: OpenedModel, key: str, uses: list[tuple[str, int]], hints: list[int]) -> _Unknown:
    name, axis = uses[0]
    value = next(value for value in model.index.inputs if value.name == name)
    dims = [declared_dim(dim) for dim in value.type.tensor_type.shape.dim]
    symbol = "" if "[" in key else key
    if _BATCH_NAMES.search(symbol) or (axis == 0 and not _SEQUENCE_NAMES.search(symbol)):
        return _Unknown(key, "batch", (_BATCH,))
    channels_last = len(dims) == 4 and axis in (1, 2) and dims[3].size in (1, 3, 4)
    image = (len(dims) in (4, 5) and axis >= 2) or channels_last
    if _SPATIAL_NAMES.search(symbol) or (image and not _SEQUENCE_NAMES.search(symbol)):
        sizes = dict.fromkeys((*_SPATIAL, *hints))
        return _Unknown(key, "spatial", tuple(Range(size, size, size) for size in sizes))
    return _Unknown(key, "sequence", (*_SEQUENCE, *(Range(size, size, size) for size in hints)))


def _hints(model: OpenedModel) -> list[int]:
    """Sizes the graph itself mentions most, in Reshape and Expand targets and in constants that are broadcast."""
    counts: Counter[int] = Counter()
    for node in model.index.main:
        if node.proto.op_type in ("Reshape", "Expand", "Add", "Mul", "Where"):
            for name in node.proto.input:
                tensor = model.index.initializers.get(name)
                if tensor is None:
                    continue
                if node.proto.op_type in ("Reshape", "Expand"):
                    value = tensor_value(tensor, 16)
                    counts.update([] if value is None or value.dtype.kind != "i" else value.ravel().tolist())
                else:
                    counts.update(tensor.dims[:-1])
    return [size for size, _ in counts.most_common() if 1 < size <= 4096][:_HINTS]


def _values(model: OpenedModel, name: str) -> _Unknown:
    """Choices for the values of a shape-tensor input: small counts first, then the sizes of what it shapes."""
    value = next(value for value in model.index.inputs if value.name == name)
    dims = [declared_dim(dim).size or 1 for dim in value.type.tensor_type.shape.dim]
    count = dims[0] if dims else 1
    rows = [(1, 4, 8), (1, 1, 1), (2, 2, 2), (8, 16, 32), (32, 64, 128), (224, 224, 224)]
    choices = [Values(*((size,) * count for size in row)) for row in rows]
    for node in model.index.consumers.get(name, []):
        if node.proto.op_type in ("Reshape", "Expand", "Resize"):
            shaped = next((v for v in model.index.inputs if v.name == node.proto.input[0]), None)
            sizes = [declared_dim(dim).size or 1 for dim in shaped.type.tensor_type.shape.dim] if shaped else []
            if len(sizes) == count:
                choices.insert(0, Values(tuple(sizes), tuple(sizes), tuple(sizes)))
    return _Unknown(name, "values", tuple(choices))


def _terms(key: str, free: Mapping[str, object]) -> list[str]:
    """The parts of a symbol that is a sum of others, such as `past_length + 1`; [] for any other."""
    parts = [part.strip() for part in key.split("+")]
    summed = len(parts) > 1 and all(part.isdecimal() or (part in free and part != key) for part in parts)
    return parts if summed else []


def _added(sums: Mapping[str, list[str]], chosen: Mapping[str, Choice]) -> dict[str, Choice]:
    """Ranges of the symbols that are sums, from those of their parts."""
    added: dict[str, Choice] = {}
    for key, parts in sums.items():
        totals = []
        for point in POINTS:
            sizes = [_size(part, chosen, point) for part in parts]
            totals.append(sum(sizes))
        added[key] = Range(*totals)
    return added


def _size(part: str, chosen: Mapping[str, Choice], point: str) -> int:
    choice = chosen.get(part)
    return choice.at(point) if isinstance(choice, Range) else int(part) if part.isdecimal() else 1
