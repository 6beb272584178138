"""What belongs to training or to chance: training mode left on, random operators, loss and optimizer nodes."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from friction_tui.kinds import training
from friction_tui.model.constants import constant_value
from friction_tui.model.graph import Node
from friction_tui.model.opened import OpenedModel
from friction_tui.model.provenance import location_of
from friction_tui.rules.check import Check
from friction_tui.rules.context import CheckContext
from friction_tui.vocabulary.finding import Finding, Fix, Location, LocationKind

_RANDOM = frozenset(
    {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Multinomial", "Bernoulli"}
)
_EVAL = Fix(
    "Call model.eval() before the export, and export again: it switches Dropout and BatchNorm to inference mode. A "
    "functional call needs `training=self.training` as well."
)


def _leave(nodes: list[Node]) -> tuple[Fix, ...]:
    """The rewrite, where it reaches: it edits the main graph."""
    if any(node.graph for node in nodes):
        return ()
    text = "Or leave training mode in this file: BatchNormalization uses its stored mean and variance, Dropout goes."
    return (Fix(text, rewrite="eval-mode", nodes=tuple(node.path for node in nodes)),)


def check(context: CheckContext) -> Iterator[Finding]:
    """Errors for training mode, which the engine refuses; warnings for random operators."""
    model = context.model
    if model.file.kind != "onnx":
        return
    opset = model.index.opsets.get("", 0)
    dropouts: list[Node] = []
    undecided: list[Node] = []
    norms: list[Node] = []
    random: list[Node] = []
    for node in model.index.nodes:
        op = node.proto.op_type
        if node.proto.domain not in ("", "ai.onnx"):
            continue
        if op == "Dropout":
            state = _dropout_trains(model, node, opset)
            if state is not False:
                (dropouts if state else undecided).append(node)
        elif op == "BatchNormalization" and _norm_trains(node, opset):
            norms.append(node)
        elif op in _RANDOM:
            random.append(node)
    if dropouts:
        yield _dropout(model, dropouts)
    if undecided:
        yield _undecided(model, undecided)
    if norms:
        yield _norm(model, norms)
    if random:
        yield _random(model, random)
    if model.proto.training_info:
        yield training.TRAINING_INFO.finding(
            cause=f"The model has {len(model.proto.training_info)} training_info entries (graphs that initialise or "
            "update weights). Inference engines ignore them.",
            locations=(Location(LocationKind.MODEL, "training_info"),),
            fixes=("Remove training_info from the model that is deployed.",),
        )


def _attribute(node: Node, name: str, default: int) -> int:
    return next((attribute.i for attribute in node.proto.attribute if attribute.name == name), default)


def _dropout_trains(model: OpenedModel, node: Node, opset: int) -> bool | None:
    """Whether a Dropout drops: an input from opset 12 on, `is_test` below 7, never between. None: at run time."""
    if 0 < opset < 7:
        return _attribute(node, "is_test", 0) == 0
    inputs = node.proto.input
    if opset < 12 or len(inputs) < 3 or not inputs[2]:
        return False
    value = constant_value(model, inputs[2], graph=node.graph)
    return None if value is None else bool(np.any(value))


def _norm_trains(node: Node, opset: int) -> bool:
    """Whether a BatchNormalization uses the batch's own statistics (ONNX operator docs, by opset)."""
    if opset >= 14:
        return _attribute(node, "training_mode", 0) != 0
    if 0 < opset < 7:
        return _attribute(node, "is_test", 0) == 0
    return len([name for name in node.proto.output if name]) > 1


def _named(nodes: list[Node]) -> str:
    more = f" and {len(nodes) - 1} more" if len(nodes) > 1 else ""
    return f"{nodes[0].proto.op_type} {nodes[0].name}{more}"


def _locations(model: OpenedModel, nodes: list[Node]) -> tuple[Location, ...]:
    return tuple(location_of(model, node) for node in nodes)


def _dropout(model: OpenedModel, nodes: list[Node]) -> Finding:
    return training.DROPOUT.finding(
        cause=f"{_named(nodes)} is in training mode (training_mode is true): it drops values at random on every run. "
        "The model was exported in train() mode, or calls the functional form without its mode. TensorRT says `does "
        "not support the Dropout operator in training mode`; ONNX Runtime runs it and gives another result each time.",
        locations=_locations(model, nodes),
        fixes=(_EVAL, *_leave(nodes), "Or set the training_mode input to false, or remove the Dropout nodes."),
    )


def _undecided(model: OpenedModel, nodes: list[Node]) -> Finding:
    switch = nodes[0].proto.input[2]
    return training.DROPOUT_SWITCH.finding(
        cause=f"{_named(nodes)} reads its training_mode from the tensor {switch}, which is not a constant. TensorRT "
        "wants it as an initializer with the value false.",
        locations=_locations(model, nodes),
        fixes=(_EVAL, f"Make {switch} an initializer with the value false."),
    )


def _norm(model: OpenedModel, nodes: list[Node]) -> Finding:
    return training.BATCH_NORM.finding(
        cause=f"{_named(nodes)} is in training mode: it normalizes with the statistics of the batch instead of the "
        "trained running mean and variance, so the result depends on what else is in the batch. The model was "
        "exported in train() mode. TensorRT does not support training_mode == 1 in BatchNormalization.",
        locations=_locations(model, nodes),
        fixes=(
            _EVAL,
            *_leave(nodes),
            "F.batch_norm needs training=False; BatchNorm made with track_running_stats=False has no running "
            "statistics: use InstanceNorm or GroupNorm if batch statistics are meant.",
        ),
    )


def _random(model: OpenedModel, nodes: list[Node]) -> Finding:
    seeded = sum(any(attribute.name == "seed" for attribute in node.proto.attribute) for node in nodes)
    seeds = f" {seeded} of them have a seed, which TensorRT ignores." if seeded else ""
    return training.RANDOM.finding(
        op=nodes[0].proto.op_type,
        cause=f"{_named(nodes)} makes random values inside the graph: results are random, differ from run to run and "
        f"between engines, and cannot be compared.{seeds}",
        locations=_locations(model, nodes),
        fixes=(
            "Make the random noise an input of the model, so that the caller controls it and outputs can be compared.",
            "If it is a leftover of training (noise, stochastic depth, sampling), call model.eval() or replace it.",
        ),
    )


CHECK = Check(
    "training",
    "layers left in training mode",
    check,
    (training.DROPOUT, training.DROPOUT_SWITCH, training.BATCH_NORM, training.RANDOM, training.TRAINING_INFO),
)
