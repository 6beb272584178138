"""A first profile for a model without one.

Sizes are small, so that everything after opening is quick, and such that the model's own shapes work at min,
opt and max if a few tries can find them: a wrong guess must not look like a fault of the model.

- A batch dimension (axis 0) gets 1 · 4 · 8. It keeps 8 as its max even where only 1 works, and its opt falls
  back to 1: a dimension declared free that is not free is what people come here to find.
- Height and width get one fixed size, 224 or the first of `_SPATIAL` that works. Networks halve them several
  times, and few sizes in a range survive that.
- Any other dimension counts as a sequence: 1 · 128 · 256, or less range where that does not work.
- Sizes that operators tie to each other (the batch of a state and of the input, a mask as long as cache and input
  together) follow each other: see `friction_tui.model.shapes.ties`.

Where shapes cannot tell, because first choices failed or shapes are not known, ONNX Runtime runs the model if it can.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from friction_tui.model.constants import tensor_value
from friction_tui.model.names import declared_dim
from friction_tui.model.opened import OpenedModel
from friction_tui.model.shapes.point_shapes import beside_the_way, input_sizes, shapes_at
from friction_tui.model.shapes.related import relations_of
from friction_tui.model.shapes.tensors import PointShapes
from friction_tui.model.shapes.ties import ties
from friction_tui.vocabulary.recipe import POINTS, Profile, Range, Values
from friction_tui.vocabulary.recipe.relations import Relation, with_related

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
    *(Range(size, size, size) for size in (128, 512, 256, 64, 32, 16, 8, 1024, 77, 1)),
)
_BATCH_NAMES = re.compile(r"(^|_)(n|b|bs|batch|batch_?size|num_images)($|_)", re.IGNORECASE)
_SPATIAL_NAMES = re.compile(r"(^|_)(h|w|height|width|rows|cols)($|_|\d)", re.IGNORECASE)
_SEQUENCE_NAMES = re.compile(r"seq|len|time|token|past|frame|step|ctx|context", re.IGNORECASE)
_TRIED_NODES = 60_000
"""Nodes followed altogether while trying: about a second, whatever the size of the model."""
_SMALL_MODEL = 4_000
"""Nodes up to which min and max are tried as well as opt."""
_FREE = (0, 0, 0)
"""The cost of a choice with which nothing fails."""
_HINTS = 6
_RUNS = 4
"""How often a model is run at most."""
_ROUNDS = 3
"""Nodes behind one that fails are not known to fail, so ties are looked for again behind those that were found."""

Choice = Range | Values
Runs = Callable[[Profile], bool | None]
"""Whether the model runs at the opt sizes of a profile; None where nobody can tell in time."""


@dataclass(frozen=True, slots=True)
class _Unknown:
    """One thing to choose: what it is, and the choices in order of preference."""

    key: str
    kind: str
    choices: tuple[Choice, ...]


def guess(
    model: OpenedModel,
    free: Mapping[str, list[tuple[str, int]]],
    shape_tensors: set[str],
    chosen: Profile,
    runs: Runs = lambda profile: None,  # noqa: ARG005
) -> Profile:
    """`chosen` completed with ranges for all `free` dim keys and values for the `shape_tensors`.

    What is added is marked as guessed, and fits what was chosen. A model of more than 20,000 nodes gets the first
    choice of everything, untried.
    """
    hints = _hints(model)
    asked = {key: uses for key, uses in free.items() if not _is_chosen(key, uses, chosen)}
    unknowns = [_classify(model, key, uses, hints) for key, uses in asked.items()]
    unknowns += [_values(model, name) for name in sorted(shape_tensors) if name not in chosen.values]
    task = _Task(model, chosen, _following(relations_of(free, chosen), asked))
    unknowns = [item for item in unknowns if item.key not in task.following]
    best: dict[str, Choice] = {item.key: item.choices[0] for item in unknowns}
    trials = iter(range(min(60, _TRIED_NODES // (3 * (len(model.index.nodes) + 1)))))
    if not unknowns or next(trials, None) is None:
        return task.profile(best)
    sure = task.cost(best) == _FREE
    if not sure:
        unknowns = task.tie(best, unknowns)
        best = {item.key: best[item.key] for item in unknowns}
        best = _improved(best, unknowns, task, trials)
    if not sure or not _all_known(model, task.profile(best)):
        best = _that_runs(best, unknowns, task, runs)
    return task.profile(best)


class _Task:
    """What is to be chosen for a model: the sizes `following` from others need no choice."""

    def __init__(self, model: OpenedModel, chosen: Profile, following: dict[str, Relation]) -> None:
        self.model = model
        self.following = following
        self._chosen = chosen
        self._points = POINTS if len(model.index.nodes) < _SMALL_MODEL else ("opt",)

    def profile(self, choice: Mapping[str, Choice]) -> Profile:
        """The profile with a choice, and what follows from it."""
        ranges = {key: size for key, size in choice.items() if isinstance(size, Range)}
        values = {key: given for key, given in choice.items() if isinstance(given, Values)}
        given = self._chosen
        whole = Profile(ranges={**ranges, **given.ranges}, values={**values, **given.values})
        follow = with_related(whole, self.following.values())
        follow |= {key: _SINGLE for key in self.following if key not in follow and key not in whole.ranges}
        return Profile(
            ranges={**whole.ranges, **follow},
            values=whole.values,
            guessed=(*given.guessed, *choice, *(key for key in follow if key not in choice)),
            relations=given.relations,
        )

    def cost(self, choice: Mapping[str, Choice]) -> tuple[int, int, int]:
        """(points at which something fails, nodes that fail over all points, nodes in branches not taken there)."""
        profile = self.profile(choice)
        failures, beside = [], 0
        for point in self._points:
            values = {name: given.at(point) for name, given in profile.values.items()}
            shapes = shapes_at(self.model, input_sizes(self.model, profile, point), values, point)
            failures.append(len(shapes.failures))
            beside += sum(1 for _ in beside_the_way(self.model, shapes))
        return sum(1 for count in failures if count), sum(failures), beside

    def tie(self, choice: Mapping[str, Choice], unknowns: list[_Unknown]) -> list[_Unknown]:
        """Learn which sizes follow others; the unknowns that are left to choose."""
        # A batch keeps its range, and what is tied to it follows.
        order = sorted(unknowns, key=lambda item: item.kind != "batch")
        for _ in range(_ROUNDS):
            profile = self.profile({item.key: choice[item.key] for item in order})
            values = {name: given.opt for name, given in profile.values.items()}
            base = {key: chosen.opt for key, chosen in profile.ranges.items()}
            base = {item.key: base[item.key] for item in order if item.key in base} | base

            def shapes(sizes: Mapping[str, int], values: Mapping[str, tuple[int, ...]] = values) -> PointShapes:
                at = Profile(ranges={key: Range(size, size, size) for key, size in sizes.items()})
                return shapes_at(self.model, input_sizes(self.model, at, "opt"), values, "opt")

            movable = {item.key for item in order if item.kind != "values"}
            found = ties(self.model, base, shapes, movable, self.following.values())
            if not found:
                break
            self.following |= {relation.key: relation for relation in found}
            order = [item for item in order if item.key not in self.following]
        return [item for item in unknowns if item.key not in self.following]


def _following(relations: Iterable[Relation], asked: Collection[str]) -> dict[str, Relation]:
    """For each relation the size that follows from the others, of those that are `asked` for: the left one if it is."""
    following: dict[str, Relation] = {}
    for relation in relations:
        for key in (relation.key, *reversed(relation.keys[1:])):
            solved = relation.solved_for(key) if key in asked and key not in following else None
            if solved is not None:
                following[key] = solved
                break
    return following


def _all_known(model: OpenedModel, profile: Profile) -> bool:
    """Whether every output's shape is known at opt: then a run could say nothing more of sizes."""
    values = {name: given.opt for name, given in profile.values.items()}
    types = shapes_at(model, input_sizes(model, profile, "opt"), values, "opt").types
    outputs = [types.get(value.name) for value in model.proto.graph.output]
    return all(found is not None and found.sizes is not None for found in outputs)


def _that_runs(best: dict[str, Choice], unknowns: list[_Unknown], task: _Task, runs: Runs) -> dict[str, Choice]:
    """`best`, or the first other choice of equal cost that runs where `best` does not."""
    if runs(task.profile(best)) is not False:
        return best
    least, left = task.cost(best), _RUNS - 1
    for item in unknowns:
        for choice in item.choices if item.kind in ("sequence", "spatial") else ():
            other = {**best, item.key: choice}
            if choice == best[item.key] or task.cost(other) > least:
                continue
            if runs(task.profile(other)):
                return other
            left -= 1
            if not left:
                return best
    return best


def _improved(
    best: dict[str, Choice], unknowns: list[_Unknown], task: _Task, trials: Iterator[int]
) -> dict[str, Choice]:
    """A choice that fails less than the first one, if one is found."""
    batches = [item.key for item in unknowns if item.kind == "batch"]
    rest = [item for item in unknowns if item.kind != "batch"]
    # A baked batch would fail every try, so sizes are sought with a batch of one, which works if anything does.
    found = _search({**best, **dict.fromkeys(batches, _SINGLE)}, rest, task, trials)
    usual = {**found, **dict.fromkeys(batches, _BATCH)}
    if not batches or not task.cost({**usual, **dict.fromkeys(batches, _OPT_OF_BATCH)})[0]:
        return usual
    return {**found, **dict.fromkeys(batches, _BATCH_OF_ONE)} if not task.cost(found)[0] else usual


def _search(
    chosen: dict[str, Choice], unknowns: list[_Unknown], task: _Task, trials: Iterator[int]
) -> dict[str, Choice]:
    """The cheapest choice met: first all unknowns of one kind moved together, then each on its own."""
    cost = task.cost
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


def _is_chosen(key: str, uses: list[tuple[str, int]], chosen: Profile) -> bool:
    return key in chosen.ranges or all(f"{name}[{axis}]" in chosen.ranges for name, axis in uses)


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
