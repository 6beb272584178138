"""What TensorRT-RTX 1.7.1 cannot do inside the bodies of Loop and If, whatever the sizes.

Each was measured with small models that differ in one thing: the one with it fails, the one without it builds.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx

from friction_tui.kinds import control
from friction_tui.model.graph import Node
from friction_tui.model.provenance import location_of
from friction_tui.rules.context import CheckContext
from friction_tui.rules.control.build_time import known_at_build
from friction_tui.vocabulary.finding import Finding
from friction_tui.vocabulary.recipe import POINTS


def body_limits(context: CheckContext, nodes: list[Node]) -> Iterator[Finding]:
    """Findings for the Loops and Ifs among `nodes`."""
    for node in nodes:
        if node.proto.op_type == "Loop":
            yield from _without_condition(context, node)
            if context.rtx:
                yield from _slices(context, node)
        elif node.proto.op_type == "If" and context.rtx:
            yield from _nested(context, node)


def _without_condition(context: CheckContext, node: Node) -> Iterator[Finding]:
    """A Loop given no condition whose body reads it: TensorRT-RTX 1.7.1 does not register the tensor."""
    body = next(iter(context.model.index.bodies_of(node.path)), "")
    graph = context.model.index.graphs.get(body)
    given = len(node.inputs) > 1 and node.inputs[1]
    if given or not isinstance(graph, onnx.GraphProto) or len(graph.input) < 2:
        return
    name = graph.input[1].name
    readers = context.model.index.consumers_in(body).get(name, [])
    if not readers:
        return
    yield control.LOOP_CONDITION.finding(
        node=node.name,
        cause=f"Loop {node.name} leaves its condition input blank (its second input, always true then), and its body "
        f"reads it as {name} in {readers[0].proto.op_type} {readers[0].name}. ONNX allows that; TensorRT makes no "
        "tensor for a blank condition and says `Node input was not registered`.",
        locations=(*(location_of(context.model, reader) for reader in readers), location_of(context.model, node)),
        fixes=(
            f"Give Loop {node.name} a constant condition: a bool initializer that is true as its second input.",
            f"Or let the body make its own: a constant true in place of {name}.",
        ),
    )


def _slices(context: CheckContext, node: Node) -> Iterator[Finding]:
    """Slices whose bounds change from one iteration to the next. A Gather by the same number builds."""
    index = context.model.index
    body = next(iter(index.bodies_of(node.path)), "")
    graph = index.graphs.get(body)
    if not isinstance(graph, onnx.GraphProto):
        return
    changing = {value.name for value in graph.input}
    for number in index.sorted_in(body):
        step = index.nodes_in[body][number]
        if step.proto.op_type in ("Shape", "Size"):
            continue
        bound = next((name for name in step.inputs[1:] if name in changing), "")
        if step.proto.op_type == "Slice" and bound:
            yield _slice(context, node, step, bound)
        if changing.intersection(step.inputs):
            changing.update(name for name in step.outputs if name)


def _slice(context: CheckContext, node: Node, step: Node, bound: str) -> Finding:
    return control.SLICE_BY_ITERATION.finding(
        slice=step.name,
        loop=node.name,
        cause=f"The bound {bound} of Slice {step.name} is computed from the iteration number or the carried state of "
        f"Loop {node.name}, so it changes from one iteration to the next. TensorRT-RTX 1.7.1 cannot build that "
        "(internal error `makeScopeNodesContiguous: Assertion newNodeOrder.size() == g.nodes.size() failed`); the same "
        "with Gather builds.",
        locations=(location_of(context.model, step), location_of(context.model, node)),
        fixes=(
            f"Use Gather in place of Slice {step.name}: x[i] (index_select) instead of x[i:i+1] in the code.",
            "Hand the rows to the body as a scan input (Scan, torch.scan), or unroll the loop.",
        ),
    )


def _nested(context: CheckContext, node: Node) -> Iterator[Finding]:
    """An If in a branch of another one, where both are decided at run time and a size is dynamic."""
    index = context.model.index
    outer = index.by_path.get(index.owner_of(node.graph))
    while outer is not None and outer.proto.op_type != "If":
        outer = index.by_path.get(index.owner_of(outer.graph))
    if outer is None or not node.inputs or not outer.inputs or not _dynamic(context, node):
        return
    if known_at_build(context, node.inputs[0], node.graph) or known_at_build(context, outer.inputs[0], outer.graph):
        return
    yield control.NESTED_IF.finding(
        inner=node.name,
        outer=outer.name,
        cause=f"If {node.name} works on tensors of dynamic shape and stands in a branch of If {outer.name}; both "
        f"conditions ({node.inputs[0]}, {outer.inputs[0]}) are known at run time only. TensorRT-RTX 1.7.1 cannot build "
        "that (an internal error of Myelin); with fixed sizes, or with one of the two decided, it builds.",
        locations=(location_of(context.model, node), location_of(context.model, outer)),
        fixes=(
            "Compute both sides and choose with Where (torch.where) in place of the inner if.",
            "Decide one of the two before the export: a constant condition folds away.",
            "Fix the sizes the inner branches work on (a profile cannot: export them static).",
        ),
    )


def _dynamic(context: CheckContext, node: Node) -> bool:
    """Whether a result of a node varies over the ranges."""
    for name in node.outputs:
        found = [context.table.at(point).inside(node.graph).types.get(name) for point in POINTS]
        shapes = {one.sizes for one in found if one is not None and one.sizes is not None}
        if len(shapes) > 1:
            return True
    return False
