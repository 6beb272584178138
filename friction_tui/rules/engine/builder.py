"""The builder's messages as findings: each one decoded, its names turned back into nodes of the model."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

import msgspec

from friction_tui.engines.base import BuilderAnswer
from friction_tui.kinds import READING_SIZES, control, engine, profile, structure
from friction_tui.model.graph import Node
from friction_tui.model.provenance import location_of
from friction_tui.rules.context import CheckContext
from friction_tui.rules.engine.decode import Reading, decode
from friction_tui.rules.engine.foreign_node import named_nodes, region, suspects
from friction_tui.rules.engine.unknown_message import reduce_command, unknown_fixes, what_is_known
from friction_tui.vocabulary.finding import EngineWords, Finding, Location, LocationKind, Severity, Tier
from friction_tui.vocabulary.protocol import BuildResult

_FOREIGN = re.compile(r"ForeignNode\[(?P<first>.+?)\.\.\.(?P<last>.+?)\]")
_CANNOT_RUN = re.compile(r"values are not self-consistent|violate shape constraints")
"""TensorRT builds in spite of these and only warns; the engine cannot run at that point."""
_SUSPECTS_NAMED = 5
_AFTER_AN_END = {
    engine.BUILDER_CRASHED: (
        "Change the node named here, or find the smallest part that crashes: {reduce}",
        "Try another TensorRT version, and report the crash to NVIDIA with that part.",
    ),
    engine.BUILD_TIMEOUT: (
        "Give it more time, or lower the profile's max sizes.",
        "Build for one target only; each of them compiles its own kernels.",
    ),
    engine.OUT_OF_HOST_MEMORY: (
        "Close other programs, or build on a machine with more memory.",
        "Lower the profile's max sizes.",
    ),
}
"""What to do about a build that ended without a result."""


def build_findings(context: CheckContext, result: BuildResult) -> list[Finding]:
    """The findings of a build: its messages read against the model it was given.

    A message that TensorRT prints as a warning although the engine cannot run there is an error here; one that is
    harmless is left out.
    """
    found: list[Finding] = []
    for raw in result.findings:
        texts = [words.text for words in raw.words] or [raw.cause]
        for text in dict.fromkeys(texts):
            found.extend(message_findings(context, [text], result.source, raw.severity))
    return found


def message_findings(
    context: CheckContext, texts: Iterable[str], source: str, severity: Severity = Severity.ERROR
) -> Iterator[Finding]:
    """One finding per message that means something; harmless ones and repeats are left out."""
    for text in dict.fromkeys(texts):
        reading = decode(text)
        if reading.harmless or not text.strip():
            continue
        level = Severity.ERROR if _CANNOT_RUN.search(text) else severity
        yield _finding(context, reading, text, source, level)


def answer_findings(context: CheckContext, answer: BuilderAnswer) -> Iterator[Finding]:
    """The findings of a question to the builder: what it refuses, where the engine cannot run, or how it died."""
    yield from at_guessed_sizes(context, _answered(context, answer))


def _answered(context: CheckContext, answer: BuilderAnswer) -> Iterator[Finding]:
    source = f"{answer.label} builder"
    if answer.verdict in ("crashed", "memory", "timeout"):
        late = answer.verdict == "timeout"
        yield ended_without_result(context, answer.how, source, answer.tail, answer, timed_out=late)
        return
    told = False
    for said in answer.refusals:
        reading = decode(said.text)
        if not reading.harmless and said.text.strip():
            told = True
            nodes = answer.located or said.nodes
            how = _how_located(context, answer)
            yield _finding(context, reading, said.text, source, Severity.ERROR, nodes, extra=how)
    if answer.verdict == "refused" and not told:
        yield ended_without_result(context, "gave no engine and no reason", source, answer.tail, answer)
    yield from message_findings(context, [said.text for said in answer.cannot_run], source)


def at_guessed_sizes(context: CheckContext, findings: Iterable[Finding]) -> list[Finding]:
    """Errors that depend on sizes as warnings, where nobody chose a size: another one may well be taken."""
    profile = context.recipe.profile
    chosen = profile is None or (profile.ranges.keys() | profile.values.keys()) - set(profile.guessed)
    if chosen or profile is None or not profile.guessed:
        return list(findings)
    sizes = ", ".join(f"{key} {r.opt}" for key, r in profile.ranges.items())
    return [
        msgspec.structs.replace(
            one, severity=Severity.WARNING, cause=f"{one.cause} This is at sizes that were guessed ({sizes} at opt)."
        )
        if one.severity is Severity.ERROR and one.kind in READING_SIZES
        else one
        for one in findings
    ]


def ended_without_result(
    context: CheckContext,
    how: str,
    source: str,
    tail: str = "",
    answer: BuilderAnswer | None = None,
    *,
    timed_out: bool = False,
) -> Finding:
    """The finding of a build that gave neither an engine nor a refusal. `how` it ended follows "the build".

    `answer` is the builder's, where it was asked for the place.
    """
    nodes = [context.model.index.by_path[path] for path in (answer.located if answer else ())]
    memory = "memory" in how
    kind = engine.OUT_OF_HOST_MEMORY if memory else engine.BUILD_TIMEOUT if timed_out else engine.BUILDER_CRASHED
    target = f" for {context.recipe.target}" if context.recipe.target else ""
    begins = _how_located(context, answer) if answer else ""
    return kind.finding(
        cause=f"The build{target} {how}, so there is neither an engine nor a reason.{begins}",
        source=source,
        locations=tuple(location_of(context.model, node) for node in nodes) or (Location(LocationKind.MODEL, ""),),
        fixes=[text.format(reduce=reduce_command(context)) for text in _AFTER_AN_END[kind]],
        words=(EngineWords(source, tail),) if tail else (),
    )


def _how_located(context: CheckContext, answer: BuilderAnswer) -> str:
    """How the place of a failure was found, as a sentence to add to its cause; "" where a message names it."""
    nodes = [context.model.index.by_path[path] for path in answer.located]
    if not nodes:
        return ""
    named = ", ".join(f"{node.proto.op_type} {node.name}" for node in nodes[:_SUSPECTS_NAMED])
    more = f" and {len(nodes) - _SUSPECTS_NAMED} more" if len(nodes) > _SUSPECTS_NAMED else ""
    if not answer.alone:
        return f" The failure begins with {named}{more}: the model up to there fails too."
    of = "It fails" if len(nodes) == 1 else "They fail"
    return f" Built without the rest of the model: {named}{more}. {of} in the same way."


def _finding(
    context: CheckContext,
    reading: Reading,
    text: str,
    source: str,
    severity: Severity,
    nodes: tuple[str, ...] = (),
    *,
    extra: str = "",
) -> Finding:
    """`nodes` are paths of nodes that are meant, `extra` says how they were found where no message names them."""
    passed = _passed_through(context, reading)
    if passed is not None:
        reading = passed
    locations, about = _locations(context, reading, text)
    if nodes and not _FOREIGN.search(text):
        locations = tuple(location_of(context.model, context.model.index.by_path[path]) for path in nodes)
        about = extra
    if reading.kind is control.NESTED_IF:
        locations = _outer_ifs(context) or locations
    elif reading.kind is profile.SAME_SYMBOL:
        locations = (Location(LocationKind.MODEL, ""),)  # about inputs; no node is at fault
    elif about_input := _input_of(context, reading):
        locations, about = (about_input,), ""
    tier = Tier.SHAPES if _CANNOT_RUN.search(text) else reading.tier
    known = reading.kind is engine.OTHER
    at = [context.model.index.by_path[one.node] for one in locations if one.node] if known else []
    names = ", ".join(location.name for location in locations[:3] if location.name)
    return reading.kind.decoded(
        f"{reading.kind.summary}: {names}" if names else reading.kind.summary,
        severity=Severity.WARNING if tier is Tier.UNKNOWN else severity,
        tier=tier,
        cause=reading.cause + about,
        source=source,
        locations=locations,
        evidence=(*what_is_known(context, at), *_tried(context, nodes)) if known else (),
        fixes=unknown_fixes(context) if known else reading.fixes,
        words=(EngineWords(source, text),),
    )


def _passed_through(context: CheckContext, reading: Reading) -> Reading | None:
    """A message about `__s` in a model whose input `s` is an output as well: TensorRT gave the input this name."""
    if reading.kind is not profile.MISSING:
        return None
    both = {value.name for value in context.model.index.inputs}
    both &= {value.name for value in context.model.proto.graph.output}
    name = next((name.removeprefix("__") for name in reading.names if name.removeprefix("__") in both), None)
    if name is None:
        return None
    cause = (
        f"The input {name} is an output as well, so TensorRT renames the input to __{name}: the profile has a range "
        f"for {name} and none for __{name}, and the build fails."
    )
    fix = f"Write the output with Identity({name}) under a name of its own."
    return replace(reading, kind=structure.INPUT_IS_OUTPUT, cause=cause, fixes=(fix,), names=(name,), groups={})


def _tried(context: CheckContext, nodes: tuple[str, ...]) -> Iterator[str]:
    """At which sizes and for which target the builder was asked, and what was built without the rest."""
    ranges = context.recipe.profile.ranges if context.recipe.profile else {}
    sizes = ", ".join(f"{key} {r.min}..{r.opt}..{r.max}" for key, r in ranges.items())
    target = f", for {context.recipe.target}" if context.recipe.target else ""
    parts = f", then parts of it, of which {len(nodes)} of {len(context.model.index.nodes)} nodes" if nodes else ""
    yield f"tried: the whole model at {sizes or 'the sizes it declares'}{target}{parts}"


def _input_of(context: CheckContext, reading: Reading) -> Location | None:
    """The input that a message about the profile names; no node is at fault then."""
    if reading.kind.family != "profile" and reading.kind is not structure.INPUT_IS_OUTPUT:
        return None
    inputs = {value.name for value in context.model.index.inputs}
    name = next((name for name in reading.names if name in inputs), None)
    return Location(LocationKind.INPUT, name) if name else None


def _outer_ifs(context: CheckContext) -> tuple[Location, ...]:
    """The Ifs of the main graph with another If in a branch: the builder names a layer somewhere before them."""
    index = context.model.index
    inner = [node for node in index.nodes if node.proto.op_type == "If" and node.graph and node.graph[0] != "@"]
    outer = {node.path.partition(".")[0]: None for node in inner}
    owners = [index.by_path[path] for path in outer if index.by_path[path].proto.op_type == "If"]
    return tuple(location_of(context.model, node) for node in owners)


def _locations(context: CheckContext, reading: Reading, text: str) -> tuple[tuple[Location, ...], str]:
    """Where a message points, and what to add to its cause."""
    foreign = _FOREIGN.search(text)
    if foreign:
        inside = region(context.model, foreign["first"], foreign["last"])
        ranked = suspects(context.table, inside)[:_SUSPECTS_NAMED]
        if not ranked:
            return (Location(LocationKind.MODEL, ""),), ""
        listed = "; ".join(f"{node.proto.op_type} {node.name} ({why})" for node, why in ranked)
        return (
            tuple(location_of(context.model, node) for node, _ in ranked),
            f" The region holds {len(inside)} nodes; the most suspicious of them: {listed}.",
        )
    # Where a layer is named, the writer of the tensor it chokes on is not at fault.
    tensors = {reading.groups.get("tensor"), reading.groups.get("tensor2")}
    layers = _nodes(context, (name for name in reading.names if name not in tensors))
    nodes = layers or _nodes(context, reading.names)
    if nodes:
        return tuple(dict.fromkeys(location_of(context.model, node) for node in nodes)), ""
    inputs = {value.name for value in context.model.index.inputs}
    kinds_of = {
        **dict.fromkeys(context.model.index.initializers, LocationKind.INITIALIZER),
        **dict.fromkeys(inputs, LocationKind.INPUT),
    }
    named = tuple(Location(kinds_of.get(name, LocationKind.TENSOR), name) for name in reading.names)
    return named or (Location(LocationKind.MODEL, ""),), ""


def _nodes(context: CheckContext, names: Iterable[str]) -> list[Node]:
    return [node for name in names for node in named_nodes(context.model, name)]
