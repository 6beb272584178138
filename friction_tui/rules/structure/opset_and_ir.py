"""The model's IR version and opsets against ONNX itself and every runtime installed here."""

from __future__ import annotations

from collections.abc import Iterator

import onnx
from onnx import helper

from friction_tui.engines import onnxruntime
from friction_tui.engines.base import EngineCrashed, EngineMissing
from friction_tui.kinds import versions
from friction_tui.model.graph import Node
from friction_tui.model.opened import OpenedModel
from friction_tui.model.provenance import location_of
from friction_tui.rules.check import Check
from friction_tui.rules.context import CheckContext
from friction_tui.rules.structure.operator_schema import known_domains, newest_opset
from friction_tui.vocabulary.finding import Finding, Location, LocationKind, Severity

_OPSET_ALL_TAKE = 21
_IR_ALL_TAKE = 10
"""The newest opset and IR version of ONNX 1.16 (April 2024): the runtimes this tool installs with take them."""
_NODES_SHOWN = 20
"""Nodes of a domain without an import that are among the locations."""
_IR_VERSION = Location(LocationKind.MODEL, "ir_version")
_OPSET_IMPORT = Location(LocationKind.MODEL, "opset_import")
OLDEST_OPSET = 7
"""TensorRT's parser and ONNX Runtime both begin here: `Pre-opset 7 broadcasting is unsupported`."""

_BROADCASTING = frozenset(
    {"Add", "Sub", "Mul", "Div", "Pow", "And", "Or", "Xor", "Equal", "Greater", "Less", "Gemm", "PRelu"}
)


def check(context: CheckContext) -> Iterator[Finding]:
    """Errors for versions nobody has defined or that are missing, warnings for what one installed runtime lacks."""
    model = context.model
    if model.file.kind != "onnx":
        return
    yield from _ir_version(model)
    yield from _imports(model)
    opset = model.index.opsets.get("")
    if opset is not None:
        yield from _opset_range(model, opset)
    yield from _other_domains(model)
    yield from _onnx_runtime(model, opset)


def _ir_version(model: OpenedModel) -> Iterator[Finding]:
    ir = model.proto.ir_version
    if ir <= 0:
        needed = helper.find_min_ir_version_for(model.proto.opset_import, ignore_unknown=True) or 8
        yield versions.NO_IR.finding(
            cause="The field ir_version is missing, which ONNX requires. TensorRT does not look; ONNX Runtime refuses "
            "the model (Missing model IR version).",
            locations=[_IR_VERSION],
            fixes=[f"Set it: `model.ir_version = {needed}`, and save."],
        )
    elif ir > onnx.IR_VERSION:
        yield versions.IR_TOO_NEW.finding(
            ir=ir,
            onnx=onnx.__version__,
            cause=f"The model has IR version {ir}; ONNX {onnx.__version__} knows versions up to {onnx.IR_VERSION}, and "
            f"ONNX Runtime refuses what is newer than it (`Unsupported model IR version: {ir}`). TensorRT does not "
            "look.",
            locations=[_IR_VERSION],
            fixes=[
                "Set `model.ir_version = 8` (or 10) and save: it needs no other change unless the model uses newer "
                "types.",
                "Upgrade onnx and ONNX Runtime to versions that know it.",
            ],
        )
    elif ir < 4 and model.proto.graph.initializer:
        inputs = {value.name for value in model.proto.graph.input}
        hidden = [tensor.name for tensor in model.proto.graph.initializer if tensor.name not in inputs]
        if hidden:
            yield versions.IR_INITIALIZERS.finding(
                ir=ir,
                cause=f"The model has IR version {ir}, in which every initializer must also be a graph input, but "
                f"{hidden[0]}"
                + (f" and {len(hidden) - 1} more are" if len(hidden) > 1 else " is")
                + " not: the IR version is too low. The checker refuses it, the engines do not mind.",
                locations=[_IR_VERSION],
                fixes=["Set `model.ir_version = 4` or newer (8 is safe) and save."],
            )


def _imports(model: OpenedModel) -> Iterator[Finding]:
    """Domains used without an import, and domains imported twice."""
    index = model.index
    imported = set(index.opsets)
    users: dict[str, list[Node]] = {}
    for node in index.nodes:
        domain = "" if node.proto.domain == "ai.onnx" else node.proto.domain
        if domain not in imported and not node.graph.startswith("@"):
            users.setdefault(domain, []).append(node)
    for domain, nodes in users.items():
        shown = domain or "ai.onnx, the standard operators"
        guess = onnx.defs.onnx_opset_version() if not domain else newest_opset(domain) or 1
        yield versions.NO_OPSET.finding(
            domain=domain or "ai.onnx",
            cause=f"{len(nodes)} nodes (first {nodes[0].proto.op_type} {nodes[0].name}) use the domain {shown}, but "
            "the opset_import for it is missing, so nothing says by which opset they are to be read. TensorRT guesses "
            "in silence; ONNX Runtime and the checker refuse the model.",
            locations=[_OPSET_IMPORT, *(location_of(model, node) for node in nodes[:_NODES_SHOWN])],
            fixes=[
                f"Add it: `model.opset_import.append(onnx.helper.make_opsetid('{domain}', N))`, with the opset N the "
                f"model was written for (at most {guess})."
            ],
        )
    opsets: dict[str, list[int]] = {}
    for entry in model.proto.opset_import:
        opsets.setdefault(entry.domain or "ai.onnx", []).append(entry.version)
    for domain, imports in opsets.items():
        if len(set(imports)) > 1:
            yield versions.TWO_OPSETS.finding(
                domain=domain,
                cause=f"The model imports the domain {domain} {len(imports)} times, with opset "
                f"{' and '.join(map(str, sorted(set(imports))))}: a duplicate. Engines disagree on which one counts.",
                locations=[_OPSET_IMPORT],
                fixes=["Remove the duplicate opset import that is not meant."],
            )


def _opset_range(model: OpenedModel, opset: int) -> Iterator[Finding]:
    newest = newest_opset("")
    if opset > newest:
        yield versions.OPSET_TOO_NEW.finding(
            opset=opset,
            domain="ai.onnx",
            cause=f"The model is stamped opset {opset}; the newest opset ONNX {onnx.__version__} defines is {newest}. "
            f"TensorRT takes any number in silence; ONNX Runtime refuses the model (`Opset {opset} is under "
            "development`).",
            locations=[_OPSET_IMPORT],
            fixes=[
                f"Export with an opset the runtimes support, such as opset 17 to {min(newest, _OPSET_ALL_TAKE)}.",
                "Correct the opset import if the number is wrong; upgrade onnx and ONNX Runtime if it is real.",
            ],
        )
    elif opset < 1:
        yield versions.NO_OPSET.finding(
            domain="ai.onnx",
            cause=f"The model imports ONNX's own operators at opset {opset}: opsets begin at 1, so the version is "
            "missing or was damaged. TensorRT's parser takes it in silence and guesses; ONNX Runtime refuses the "
            "model.",
            locations=[_OPSET_IMPORT],
            fixes=[
                "Set the opset the model was exported with, `model.opset_import[0].version = 17`, and save.",
                "Export it again if that is not known.",
            ],
        )
    elif opset < OLDEST_OPSET:
        broadcasting = [node for node in model.index.nodes if node.proto.op_type in _BROADCASTING]
        first = f" {broadcasting[0].proto.op_type} {broadcasting[0].name} is such a node." if broadcasting else ""
        yield versions.OPSET_TOO_OLD.finding(
            opset=opset,
            cause=f"The model is stamped opset {opset}. TensorRT's parser and ONNX Runtime support opset "
            f"{OLDEST_OPSET} and newer; below, Add and its kind broadcast by other rules and are refused (`Pre-opset 7 "
            f"broadcasting is unsupported`).{first}",
            locations=[_OPSET_IMPORT, *(location_of(model, node) for node in broadcasting)],
            fixes=["Convert it with onnx.version_converter to opset 13 or newer, or export it again."],
            severity=Severity.WARNING if broadcasting else Severity.NOTE,
        )


def _other_domains(model: OpenedModel) -> Iterator[Finding]:
    for domain, version in model.index.opsets.items():
        newest = newest_opset(domain) if domain in known_domains() else 0
        if domain and newest and version > newest:
            yield versions.OPSET_TOO_NEW.finding(
                opset=version,
                domain=domain,
                cause=f"The model imports opset {version} of {domain}; the newest ONNX {onnx.__version__} defines is "
                f"{newest}.",
                locations=[_OPSET_IMPORT],
                fixes=[f"Correct the opset import of {domain}, at most {newest}."],
            )


def _onnx_runtime(model: OpenedModel, opset: int | None) -> Iterator[Finding]:
    """Whether the ONNX Runtime installed here takes the model's IR and opset. Asked only for recent models."""
    ir = model.proto.ir_version
    if (opset is None or opset <= _OPSET_ALL_TAKE) and ir <= _IR_ALL_TAKE:
        return
    if ir > onnx.IR_VERSION or (opset or 0) > newest_opset(""):
        return  # reported above
    try:
        takes = onnxruntime.limits()
    except (EngineMissing, EngineCrashed):
        return  # no ONNX Runtime that could be too old
    if ir <= takes.ir and (opset or 0) <= takes.opset:
        return
    name = onnxruntime.label().removesuffix(" CPU")
    yield versions.ONNXRUNTIME_TOO_OLD.finding(
        runtime=name,
        cause=f"The model has IR version {ir} and opset {opset}; the installed {name} takes IR versions up to "
        f"{takes.ir} and opsets up to {takes.opset}. TensorRT is not concerned, but results cannot be compared with it "
        "here.",
        locations=[_OPSET_IMPORT],
        fixes=[
            "Upgrade onnxruntime, or export with a lower opset; for the IR version alone, `model.ir_version = 10` may "
            "do."
        ],
    )


CHECK = Check(
    "versions",
    "opset and IR version against every runtime",
    check,
    (
        versions.NO_IR,
        versions.IR_TOO_NEW,
        versions.IR_INITIALIZERS,
        versions.NO_OPSET,
        versions.TWO_OPSETS,
        versions.OPSET_TOO_NEW,
        versions.OPSET_TOO_OLD,
        versions.ONNXRUNTIME_TOO_OLD,
    ),
)
