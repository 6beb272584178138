"""Whether the optimization profile is one: present, complete, in order, and in agreement with the model."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

import msgspec
import onnx

from friction_tui.kinds import profile as kinds
from friction_tui.model.names import declared_dim
from friction_tui.model.shapes.profile import free_dims, shape_tensor_inputs
from friction_tui.model.shapes.related import relations_of
from friction_tui.rules.check import Check
from friction_tui.rules.context import CheckContext
from friction_tui.vocabulary.finding import Finding, Fix, Location, LocationKind, Severity
from friction_tui.vocabulary.recipe import POINTS, Profile, Range, Values, dim_key
from friction_tui.vocabulary.recipe.relations import Relation, parse_relation, with_related


def check(context: CheckContext) -> Iterator[Finding]:
    """Everything TensorRT would refuse a profile for, and what it drops silently."""
    if context.model.file.kind != "onnx":
        return
    free = free_dims(context.model)
    wanted = needed_values(context)
    profile = context.recipe.profile
    if profile is None:
        if free or wanted:
            yield _missing(context, sorted({name for uses in free.values() for name, _ in uses} | wanted))
        return
    yield from _orders(context, profile)
    yield from _contradictions(context, profile)
    yield from _symbols(profile, free)
    yield from _left_out(profile, free)
    yield from _values(context, profile, wanted)
    yield from _unknown_keys(context, profile, free)
    yield from _relations(profile, free)


def _relations(profile: Profile, free: dict[str, list[tuple[str, int]]]) -> Iterator[Finding]:
    """Relations that the sizes at a point break, and relations of something the model does not have."""
    known = free.keys() | profile.ranges.keys()
    for relation in relations_of(free, profile):
        points = {point: {key: chosen.at(point) for key, chosen in profile.ranges.items()} for point in POINTS}
        broken = [point for point in POINTS if relation.holds(points[point]) is False]
        if not broken or all(key in profile.guessed for key in relation.keys):
            continue
        least, most = _extent(relation, profile)
        own = profile.ranges[relation.key]
        never = least > own.max or most < own.min
        sides = "; ".join(
            f"{point}: {points[point][relation.key]} and {relation.size(points[point])}" for point in broken
        )
        wanted = with_related(
            Profile(ranges={key: r for key, r in profile.ranges.items() if key != relation.key}), (relation,)
        )
        yield kinds.RELATION.finding(
            relation=relation,
            severity=Severity.ERROR if never else Severity.WARNING,
            cause=f"{relation} is to hold whenever the model runs, and the two sides differ at {sides}. "
            + (
                "No sizes of the ranges satisfy it, so the engine could never run."
                if never
                else "TensorRT chooses kernels for opt and reserves memory for max, sizes which can never occur."
            ),
            locations=[_input(name) for name in _inputs(relation, free)]
            or [Location(LocationKind.PROFILE, relation.key)],
            fixes=(
                Fix(
                    f"Set {relation.key} to what follows: "
                    + "; ".join(f"{r.min}..{r.opt}..{r.max}" for r in wanted.values()),
                    ranges=wanted,
                ),
                f"Or drop the relation, if {relation.key} does not depend on the others.",
            ),
        )
    for text in profile.relations:
        strange = [key for key in parse_relation(text).keys if key not in known and key not in _axes(free)]
        if strange:
            yield kinds.UNKNOWN_KEY.finding(
                key=strange[0],
                mismatch="no dimension of the model is called that",
                cause=f"The relation {text} speaks of {', '.join(strange)}, and the model's free dimensions are "
                f"{', '.join(free) or 'none'}. It is not used.",
                locations=(Location(LocationKind.PROFILE, strange[0]),),
                fixes=(
                    f"Correct the relation: its names are symbols of the model or input[axis] ({', '.join(free)}).",
                ),
            )


def _extent(relation: Relation, profile: Profile) -> tuple[int, int]:
    """The least and the most that the right side can come to within the ranges."""
    least = most = relation.constant
    for key, factor in relation.terms:
        ends = [factor * profile.ranges[key].min, factor * profile.ranges[key].max]
        least, most = least + min(ends), most + max(ends)
    return least, most


def _axes(free: dict[str, list[tuple[str, int]]]) -> set[str]:
    return {f"{name}[{axis}]" for uses in free.values() for name, axis in uses}


def _inputs(relation: Relation, free: dict[str, list[tuple[str, int]]]) -> list[str]:
    """The inputs that take a size of the relation."""
    return list(dict.fromkeys(name for key in relation.keys for name, _ in free.get(key, ())))


def needed_values(context: CheckContext) -> set[str]:
    """The inputs whose values decide shapes; a trip count decides one only where a Loop has scan outputs."""
    inputs = shape_tensor_inputs(context.model)
    if not inputs:
        return inputs
    loops = [node for node in context.model.index.main if node.proto.op_type == "Loop" and node.proto.input]
    without_rows = {node.proto.input[0] for node in loops if len(node.proto.output) <= len(node.proto.input) - 2}
    index = context.model.index
    return {
        name
        for name in inputs
        if name not in without_rows or any(node.proto.op_type != "Loop" for node in index.consumers.get(name, ()))
    }


def _input(name: str) -> Location:
    return Location(LocationKind.INPUT, name)


def _missing(context: CheckContext, names: list[str]) -> Finding:
    shapes = []
    for value in context.model.index.inputs:
        if value.name in names and value.type.tensor_type.HasField("shape"):
            dims = [declared_dim(dim) for dim in value.type.tensor_type.shape.dim]
            shapes.append(
                f"{value.name}:{'x'.join(str(d.size if d.size is not None else d.symbol or '?') for d in dims)}"
            )
    flags = " ".join(f"--{point}Shapes={','.join(shapes)}" for point in POINTS)
    return kinds.MISSING.finding(
        inputs=", ".join(names),
        cause=f"{', '.join(names)} {'have' if len(names) > 1 else 'has'} dynamic dimensions and there is no "
        "optimization profile: TensorRT refuses to build without a range (min, opt, max) for each.",
        locations=tuple(_input(name) for name in names),
        fixes=(
            f"Give a range for every dynamic dimension: {flags} with your numbers in place of the symbols.",
            "Export the model with fixed sizes.",
        ),
    )


def _orders(context: CheckContext, profile: Profile) -> Iterator[Finding]:
    """Whether min <= opt <= max holds and nothing is negative; TensorRT drops a second invalid profile silently."""
    uses = free_dims(context.model)
    for key, chosen in profile.ranges.items():
        names = dict.fromkeys(name for name, _ in uses.get(key, ((key.partition("[")[0], 0),)))
        locations = tuple(_input(name) for name in names)
        given = f"min {chosen.min}, opt {chosen.opt}, max {chosen.max}"
        if min(chosen.min, chosen.opt, chosen.max) < 0:
            yield kinds.NEGATIVE.finding(
                dimension=key,
                cause=f"The profile's range of {key} has a negative size ({given}); TensorRT refuses such a profile "
                "and then says that it is missing dimensions.",
                locations=locations,
                fixes=(f"Use a positive range for {key}, with min at 1 or more.",),
            )
        elif not chosen.min <= chosen.opt <= chosen.max:
            low, opt, high = sorted((chosen.min, chosen.opt, chosen.max))
            yield kinds.UNORDERED.finding(
                dimension=key,
                cause=f"The profile of {', '.join(names)} has {given} for {key}, which does not satisfy min <= opt <= "
                "max. TensorRT refuses it, or drops it silently when it is not the first profile.",
                locations=locations,
                fixes=(Fix(f"Put the sizes in order: {low}, {opt}, {high}.", ranges={key: Range(low, opt, high)}),),
            )
        elif chosen.min == 0:
            yield kinds.ZERO_LENGTH.finding(
                dimension=key,
                severity=Severity.NOTE,
                cause=f"The profile lets {key} be 0 (zero length, as an empty past in the first decode step). TensorRT "
                "10 and later build and run that; TensorRT 8 refuses empty tensors.",
                locations=locations,
                fixes=(f"For TensorRT 8: min 1 for {key}, and a separate prefill model without past.",),
            )


def _contradictions(context: CheckContext, profile: Profile) -> Iterator[Finding]:
    """Ranges for dimensions whose sizes the model fixes, a finding for each input."""
    for value in context.model.index.inputs:
        given = _too_few(value, profile)
        if given:
            yield _wrong_rank(value, given)
            continue
        wrong = {
            axis: (size, chosen)
            for axis, proto in enumerate(value.type.tensor_type.shape.dim)
            if (size := declared_dim(proto).size) is not None
            and (chosen := profile.ranges.get(f"{value.name}[{axis}]")) is not None
            and chosen != Range(size, size, size)
        }
        if wrong:
            yield _static(value.name, wrong)


def _static(name: str, wrong: dict[int, tuple[int, Range]]) -> Finding:
    """`wrong` is, for each axis of the input, the size the model fixes and the range the profile asks for."""
    axes = f"axis {next(iter(wrong))}" if len(wrong) == 1 else f"axes {', '.join(map(str, wrong))}"
    fixed = "; ".join(
        f"axis {axis} is fixed at {size}, the profile asks for min {chosen.min}, opt {chosen.opt}, max {chosen.max}"
        for axis, (size, chosen) in wrong.items()
    )
    sizes = " × ".join(str(size) for size, _ in wrong.values())
    spec = ", ".join(f"{axis}: Dim.DYNAMIC" for axis in wrong)
    kept = {f"{name}[{axis}]": Range(size, size, size) for axis, (size, _) in wrong.items()}
    names = ", ".join(f'{axis}: "{"batch" if axis == 0 else f"d{axis}"}"' for axis in wrong)
    return kinds.STATIC_SIZE.finding(
        input=name,
        size=sizes,
        axes=axes,
        cause=f"The input {name} is static in the model where the profile asks for something else: {fixed}. "
        "TensorRT refuses a profile that differs from a static dimension.",
        locations=(_input(name),),
        fixes=(
            Fix(
                f"Keep {', '.join(f'{size} for {name}[{axis}]' for axis, (size, _) in wrong.items())}, the size that "
                "the model is made for.",
                ranges=kept,
            ),
            (
                f"If nothing in the model needs that size, re-export with {axes} of {name} dynamic: dynamic_shapes="
                f"{{{name!r}: {{{spec}}}}}, or "
                f"dynamic_axes={{{name!r}: {{{names}}}}} with dynamo=False."
            ),
        ),
    )


def _too_few(value: onnx.ValueInfoProto, profile: Profile) -> list[Range]:
    """What was chosen for an input whose first sizes contradict the model and whose last ones were not given.

    A channel or batch left out moves every size by one axis. [] when it does not look like that.
    """
    dims = [declared_dim(dim) for dim in value.type.tensor_type.shape.dim]
    chosen: list[Range | None] = []
    for axis, dim in enumerate(dims):
        keys = (f"{value.name}[{axis}]", dim.symbol)
        key = next((key for key in keys if key and key in profile.ranges and key not in profile.guessed), "")
        chosen.append(profile.ranges[key] if key else None)
    count = next((axis for axis, own in enumerate(chosen) if own is None), len(chosen))
    contradict = any(
        own is not None and dim.size is not None and own != Range(dim.size, dim.size, dim.size)
        for own, dim in zip(chosen, dims, strict=True)
    )
    left = dims[count:]
    open_end = all(own is None for own in chosen[count:]) and any(dim.size is None for dim in left)
    return [own for own in chosen[:count] if own is not None] if contradict and count and open_end else []


def _wrong_rank(value: onnx.ValueInfoProto, given: list[Range]) -> Finding:
    dims = [declared_dim(dim) for dim in value.type.tensor_type.shape.dim]
    shape = " × ".join(str(dim.size) if dim.size is not None else dim.symbol or "?" for dim in dims)
    sizes = " × ".join(str(chosen.opt) for chosen in given)
    return kinds.RANK.finding(
        input=value.name,
        given=len(given),
        rank=len(dims),
        cause=f"The input {value.name} has {len(dims)} dimensions ({shape}), and the profile's shape has {len(given)} "
        f"({sizes} at opt): one is missing, so the others stand at the wrong axes. TensorRT refuses it "
        f"(`Dynamic-shaped input tensor {value.name} has {len(dims)} dimensions but profile 0 has "
        f"{len(given)} dimensions`).",
        locations=(_input(value.name),),
        fixes=(f"Give all {len(dims)} dimensions of {value.name} in the shape, the batch included: {shape}.",),
    )


def fitting(context: CheckContext) -> Profile:
    """The profile without the ranges that contradict a size fixed in the model, which are a finding already."""
    profile = context.recipe.profile or Profile()
    fixed = {
        f"{value.name}[{axis}]"
        for value in context.model.index.inputs
        for axis, dim in enumerate(value.type.tensor_type.shape.dim)
        if declared_dim(dim).size is not None
    }
    if fixed.isdisjoint(profile.ranges):
        return profile
    return msgspec.structs.replace(
        profile, ranges={key: chosen for key, chosen in profile.ranges.items() if key not in fixed}
    )


def _symbols(profile: Profile, free: dict[str, list[tuple[str, int]]]) -> Iterator[Finding]:
    """Dimensions with one symbol and different ranges: TensorRT keeps them equal at run time."""
    for symbol, uses in free.items():
        ranges = {
            f"{name}[{axis}]": profile.ranges.get(f"{name}[{axis}]") or profile.ranges.get(symbol)
            for name, axis in uses
        }
        different = {chosen for chosen in ranges.values() if chosen is not None}
        if len(different) < 2:
            continue
        each = "; ".join(f"{key} {r.min} · {r.opt} · {r.max}" for key, r in ranges.items() if r is not None)
        fatal = len({chosen.opt for chosen in different}) > 1
        low, high = max(r.min for r in different), min(r.max for r in different)
        opt = min(max(min(r.opt for r in different), low), high)
        common = {symbol: Range(low, opt, high)} if low <= high else {}
        yield kinds.SAME_SYMBOL.finding(
            symbol=symbol,
            severity=Severity.ERROR if fatal else Severity.WARNING,
            cause=f"{', '.join(dict.fromkeys(name for name, _ in uses))} share the symbol {symbol}, so their sizes "
            f"must be the same at run time, and the profile gives them ranges that differ: {each}. "
            + (
                "At opt they conflict, and the build fails."
                if fatal
                else "Sizes outside the common range can never be used."
            ),
            locations=tuple(_input(name) for name in dict.fromkeys(name for name, _ in uses)),
            fixes=(
                Fix(f"Give {symbol} the same range everywhere.", ranges=common),
                "If the sizes are independent, export them under different names (rename one symbol).",
            ),
        )


def _left_out(profile: Profile, free: dict[str, list[tuple[str, int]]]) -> Iterator[Finding]:
    """Inputs without any range although others have one; the tool's guess stands in, TensorRT would refuse."""
    if not profile.ranges.keys() - set(profile.guessed):
        return
    open_dims: dict[str, list[str]] = {}
    chosen_inputs: set[str] = set()
    for key, uses in free.items():
        for name, axis in uses:
            own = f"{name}[{axis}]"
            given = key if key in profile.ranges else own if own in profile.ranges else ""
            if given and given not in profile.guessed:
                chosen_inputs.add(name)
            else:
                open_dims.setdefault(name, []).append(dim_key(name, axis, key if key != own else ""))
    for name, keys in open_dims.items():
        absent = any(key not in profile.ranges for key in keys)
        if name in chosen_inputs and not absent:
            continue
        guesses = ", ".join(f"{k} {r.min} · {r.opt} · {r.max}" for k in keys if (r := profile.ranges.get(k)))
        yield kinds.MISSING_RANGE.finding(
            input=name,
            severity=Severity.ERROR if absent else Severity.WARNING,
            cause=f"The profile is missing the dynamic input {name} ({', '.join(keys)}): TensorRT refuses a profile "
            "without it." + (f" The tool goes on with a guess: {guesses}." if guesses else ""),
            locations=(_input(name),),
            fixes=(
                (
                    f"Give min, opt and max for {name}: a range for {', '.join(keys)} (--minShapes, --optShapes, "
                    "--maxShapes)."
                ),
            ),
        )


def _values(context: CheckContext, profile: Profile, wanted: set[str]) -> Iterator[Finding]:
    """Inputs that TensorRT reads as shapes, without values or with the wrong number of them."""
    for value in context.model.index.inputs:
        name = value.name
        if name not in wanted:
            continue
        given = profile.values.get(name)
        guessed = name in profile.guessed
        if given is None or guessed:
            guess = (
                f" The tool goes on with a guess: {given.min} · {given.opt} · {given.max}." if given is not None else ""
            )
            yield kinds.SHAPE_VALUES.finding(
                input=name,
                severity=Severity.ERROR if given is None or _chosen_any(profile) else Severity.WARNING,
                cause=f"{name} is an integer input that decides the shape of other tensors (a shape tensor): the "
                f"profile needs its values at min, opt and max, not only its shape, and none were given.{guess}",
                locations=(_input(name),),
                fixes=(
                    (
                        f"Give the values of {name}, three lists of integers (set_shape_input, setShapeValues; "
                        "--shape-values here)."
                    ),
                    "Make it a constant, or compute it from the shape of another input.",
                ),
            )
        elif falling := _falling(given):
            position, (low, opt, high) = falling
            yield kinds.VALUES_UNORDERED.finding(
                input=name,
                cause=f"The profile's values of the shape tensor {name} are {given.min} (min), {given.opt} (opt) and "
                f"{given.max} (max): entry {position} is {low} · {opt} · {high}. TensorRT wants min <= opt <= max for "
                "every entry and refuses the profile, even where each of the three shapes would work.",
                locations=(_input(name),),
                fixes=(
                    (
                        f"Raise or lower entry {position} of {name} so that it does not fall from min to max. Where "
                        "one entry grows as another shrinks, make several profiles."
                    ),
                ),
            )


def _falling(given: Values) -> tuple[int, tuple[int, int, int]] | None:
    """The first entry that is smaller at a larger point, with its three values."""
    for position, (low, opt, high) in enumerate(zip(given.min, given.opt, given.max, strict=False)):
        if not low <= opt <= high:
            return position, (low, opt, high)
    return None


def _chosen_any(profile: Profile) -> bool:
    return bool((profile.ranges.keys() | profile.values.keys()) - set(profile.guessed))


def _unknown_keys(context: CheckContext, profile: Profile, free: dict[str, list[tuple[str, int]]]) -> Iterator[Finding]:
    """Ranges for something the model does not have, a finding for each input or symbol; nothing uses them."""
    axes = {
        f"{value.name}[{axis}]"
        for value in context.model.index.inputs
        for axis in range(len(value.type.tensor_type.shape.dim))
    }
    names = ", ".join(value.name for value in context.model.index.inputs)
    unknown = [key for key in (*profile.ranges, *profile.values) if key not in free and key not in axes]
    known = {value.name for value in context.model.index.inputs}
    for name in dict.fromkeys(key.rpartition("[")[0] or key for key in unknown if key not in known):
        mismatch = f"{name} has fewer dimensions" if name in known else f"there is no input or symbol {name}"
        near = difflib.get_close_matches(name, known, n=1)
        yield kinds.UNKNOWN_KEY.finding(
            key=name,
            mismatch=mismatch,
            cause=f"The range for {name} is used by nothing: {mismatch} in the model; its inputs are {names}. "
            f"TensorRT's tools stop at such a name.",
            locations=(Location(LocationKind.PROFILE, name),),
            fixes=(
                Fix(f"Write {near[0]} instead of {name}." if near else f"Correct the name (inputs: {names})."),
                f"Remove {name} from the profile.",
            ),
        )


CHECK = Check(
    "profile",
    "whether the optimization profile is one",
    check,
    (
        kinds.MISSING,
        kinds.MISSING_RANGE,
        kinds.UNORDERED,
        kinds.NEGATIVE,
        kinds.ZERO_LENGTH,
        kinds.RANK,
        kinds.STATIC_SIZE,
        kinds.SAME_SYMBOL,
        kinds.SHAPE_VALUES,
        kinds.VALUES_UNORDERED,
        kinds.UNKNOWN_KEY,
        kinds.RELATION,
    ),
)
