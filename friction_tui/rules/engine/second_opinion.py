"""ONNX Runtime and ONNX's checker beside TensorRT: evidence for known findings, findings where they alone object.

That a runtime refuses what our rules explain is one more name under the finding. That it takes what TensorRT refuses
separates a limit of TensorRT from a broken model.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import msgspec

from friction_tui.engines.base import Opinion, Ran
from friction_tui.kinds import dynamic, onnxruntime, quantization, structure, weights
from friction_tui.kinds.kind import Kind
from friction_tui.model.graph import Node
from friction_tui.model.opened import OpenedModel
from friction_tui.model.provenance import location_of
from friction_tui.vocabulary.finding import EngineWords, Finding, Location, LocationKind, Severity, Tier

_PREFIX = re.compile(
    r"^\[ONNXRuntimeError\] : \d+ : \w+ : (?:Load model from \S+ failed:)?(?:This is an invalid model\. )?"
)
_SOURCE = re.compile(r"/onnxruntime_src\S+:\d+ [^(]*\((?:[^()]|\([^()]*\))*\)(?: const)? ")
_CHECKED = re.compile(r"name: (?P<name>.*?) OpType: (?P<op>\w+)", re.IGNORECASE)
_NO_KERNEL = "NOT_IMPLEMENTED"
_NO_OPERATOR = "is not a registered function/op"
_NO_SCHEMA = "No Op registered for"
_ABOUT_VERSIONS = re.compile(
    r"Unsupported model IR version|is under development|opset_import|Missing model IR version|No opset import"
)
"""What the check of versions reports in full."""

_NOT_FINITE = frozenset((weights.NAN.id, weights.INF.id))
"""What claims that an output is NaN or Inf."""
_NOBODY_RUNS = frozenset(
    kind.id
    for kind in (
        dynamic.LAYER_PARAMETERS,
        quantization.SCALE_LENGTH,
        quantization.AXIS_RANGE,
        quantization.NAN_SCALE,
        quantization.SCALE_NOT_POSITIVE,
    )
)
"""What ONNX Runtime loads as well, and then fails on, or computes nothing of use."""


def with_second_opinion(findings: Iterable[Finding], verdict: Opinion, runtime: str, checker: str) -> list[Finding]:
    """`findings` with what ONNX Runtime and the checker say of the same nodes; they are signed with these labels."""
    every = list(findings)
    refused = {n.path: without_prefix(n.text) for n in verdict.nodes if _kind(n.text) is not onnxruntime.NO_KERNEL}
    broken = any(one.tier is Tier.MODEL and one.severity is Severity.ERROR for one in every)
    result = []
    for one in every:
        outer = [path.partition(".")[0] for path in one.node_paths]
        texts = [refused[path] for path in outer if path in refused] if one.severity is not Severity.NOTE else []
        if texts and one.source != runtime:
            result.append(_with_words(one, EngineWords(runtime, texts[0])))
        elif _is_limit(one) and not broken and not verdict.error:
            evidence = (*one.evidence, f"{runtime} loads the model: it is a limit of TensorRT, the graph is valid")
            result.append(msgspec.structs.replace(one, evidence=evidence))
        elif verdict.checker and one.source != checker and set(one.names) & _named(verdict.checker):
            result.append(_with_words(one, EngineWords(checker, verdict.checker.splitlines()[0])))
        else:
            result.append(one)
    return result


def claims_to_run(findings: Iterable[Finding]) -> bool:
    """Whether a finding claims that outputs are not finite, which a run can confirm."""
    return any(one.kind in _NOT_FINITE and one.severity is Severity.ERROR for one in findings)


def confirmed_by_run(findings: Iterable[Finding], ran: Ran, runtime: str) -> list[Finding]:
    """The findings; those that claim outputs which are not finite with what a run at opt came to.

    Where all outputs are finite the values did not reach them with this input: a warning.
    """
    if ran.error:
        return list(findings)
    if ran.not_finite:
        said = f"{runtime} ran it at opt: {', '.join(ran.not_finite[:4])} has NaN or Inf in it"
    else:
        said = f"{runtime} ran it at opt on made-up input, and every output is finite"

    def confirmed(one: Finding) -> Finding:
        if one.kind not in _NOT_FINITE or one.severity is not Severity.ERROR:
            return one
        evidence = (*one.evidence, said)
        if ran.not_finite:
            return msgspec.structs.replace(one, evidence=evidence)
        cause = f"{one.cause} In a run with made-up input they did not reach an output; another may differ."
        return msgspec.structs.replace(one, severity=Severity.WARNING, cause=cause, evidence=evidence)

    return [confirmed(one) for one in findings]


def objections(
    model: OpenedModel, findings: Iterable[Finding], verdict: Opinion, runtime: str, checker: str
) -> list[Finding]:
    """What only ONNX Runtime or only the checker object to: nothing in `findings` names the node, or the model."""
    if _ABOUT_VERSIONS.search(verdict.error):
        return []
    known = [one for one in findings if one.severity is not Severity.NOTE]
    explained = {path.partition(".")[0] for one in known for path in one.node_paths}
    named = {name for one in known for name in one.names}
    alone: dict[str, list[tuple[Node, str]]] = {}
    for error in verdict.nodes:
        node, kind = model.index.by_path[error.path], _kind(error.text)
        if error.path not in explained and not named & set(model.index.reads(node)):
            reason = f"{node.proto.domain} {node.proto.op_type}" if kind is onnxruntime.REFUSES else kind.id
            alone.setdefault(reason, []).append((node, error.text))
    found = [_refused(model, nodes, runtime) for nodes in alone.values()]
    if verdict.error and not verdict.nodes and not known:
        found.append(_refused_whole(model, verdict.error, runtime))
    if verdict.checker and not found:
        found.extend(_forbidden(model, known, verdict.checker, checker))
    return found


def without_prefix(text: str) -> str:
    """ONNX Runtime's text without the code, the path of our copy and the line of its source."""
    return _SOURCE.sub("", _PREFIX.sub("", text)).strip()


def _with_words(finding: Finding, words: EngineWords) -> Finding:
    return msgspec.structs.replace(
        finding,
        also=tuple(dict.fromkeys((*finding.also, words.source))),
        words=tuple(dict.fromkeys((*finding.words, words))),
    )


def _is_limit(finding: Finding) -> bool:
    """Whether TensorRT refuses it, as a node, for what only TensorRT cannot do."""
    if finding.kind in _NOBODY_RUNS:
        return False
    refuses = finding.tier in (Tier.PARSER, Tier.BUILDER) and finding.severity is Severity.ERROR
    return refuses and bool(finding.node_paths)


def _kind(text: str) -> Kind:
    if _NO_KERNEL in text:
        return onnxruntime.NO_KERNEL
    if _NO_OPERATOR in text or _NO_SCHEMA in text:
        return onnxruntime.UNKNOWN_OPERATOR
    return onnxruntime.REFUSES


def _refused(model: OpenedModel, nodes: list[tuple[Node, str]], runtime: str) -> Finding:
    """Nodes that only ONNX Runtime refuses, for one reason. What it merely lacks is not a fault of the model."""
    node, text = nodes[0]
    kind, op = _kind(text), node.proto.op_type
    ops = ", ".join(dict.fromkeys(one.proto.op_type for one, _ in nodes))
    domains = ", ".join(dict.fromkeys(one.proto.domain for one, _ in nodes if one.proto.domain))
    causes = {
        onnxruntime.NO_KERNEL: f"ONNX Runtime has no CPU kernel for {ops} with the element types used here.",
        onnxruntime.UNKNOWN_OPERATOR: f"ONNX Runtime does not know {ops}" + (f" of {domains}." if domains else "."),
        onnxruntime.REFUSES: f"ONNX Runtime refuses {op} {node.name}: {without_prefix(text).splitlines()[0]}",
    }
    fix = (
        f"Look at the attributes and inputs of {node.name}: what ONNX Runtime does not take, others may not."
        if kind is onnxruntime.REFUSES
        else "Nothing needs to be done for TensorRT. To compare results, run the model it was exported from."
    )
    return kind.finding(
        what=f"{op} {node.name}" + (f" and {len(nodes) - 1} more" if nodes[1:] else ""),
        cause=f"{causes[kind]} TensorRT is not concerned, but the model cannot be run on the CPU to compare results.",
        source=runtime,
        locations=(location_of(model, one) for one, _ in nodes),
        fixes=(fix,),
        words=(EngineWords(runtime, one) for one in dict.fromkeys(without_prefix(text) for _, text in nodes)),
    )


def _refused_whole(model: OpenedModel, text: str, runtime: str) -> Finding:
    named = [node for node in model.index.nodes if node.proto.name and node.proto.name in text]
    return onnxruntime.REFUSES.finding(
        what="the model",
        cause=f"ONNX Runtime does not load the model: {without_prefix(text).splitlines()[0]} TensorRT does.",
        source=runtime,
        locations=[location_of(model, node) for node in named[:1]] or [Location(LocationKind.MODEL, "model")],
        fixes=("Re-export the model, or repair what ONNX Runtime names: other tools may refuse it as well.",),
        words=(EngineWords(runtime, without_prefix(text)),),
    )


def _named(complaint: str) -> set[str]:
    return {found["name"] for found in _CHECKED.finditer(complaint) if found["name"]}


def _forbidden(model: OpenedModel, known: list[Finding], complaint: str, checker: str) -> Iterator[Finding]:
    """A breach of the specification in a node, which no rule has named. The checker stops at its first.

    What it says of the whole graph is either a rule's, or of no consequence (an output without a shape).
    """
    found = _CHECKED.search(complaint)
    if found is None or _ABOUT_VERSIONS.search(complaint) or any(one.tier is Tier.MODEL for one in known):
        return
    wanted = (found["op"], found["name"])
    node = next((one for one in model.index.nodes if (one.proto.op_type, one.proto.name) == wanted), None)
    if node is None or any(node.path in one.node_paths for one in known):
        return
    if node.proto.domain == "ai.onnx":
        return  # the long name of ONNX's own domain, which engines read and the checker does not
    yield structure.CHECKER.finding(
        node=f"{node.proto.op_type} {node.name}",
        cause=f"The node breaks the ONNX specification: {complaint.splitlines()[0].partition('  ==>')[0].strip(' .')}. "
        "TensorRT takes it, other tools may not.",
        source=checker,
        locations=(location_of(model, node),),
        fixes=("Re-export the model, or repair what edited it; `onnx.checker.check_model` then agrees.",),
        words=(EngineWords(checker, complaint),),
    )
