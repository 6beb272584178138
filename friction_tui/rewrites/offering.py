"""Tries which rewrites fit findings; in a process of its own, asked by `friction_tui.rewrites.offers`."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
import onnx

from friction_tui.kinds import KINDS
from friction_tui.model.graph import Node
from friction_tui.model.opened import OpenedModel, from_proto
from friction_tui.model.references import reference
from friction_tui.processes.stdio import take_stdout
from friction_tui.rewrites import REWRITES
from friction_tui.rewrites.base import CannotRewrite, NeedsOpset, RewriteFault, Rewriter
from friction_tui.rewrites.cutting import head_size, refused_nodes
from friction_tui.rewrites.expansion import SIMPLIFY
from friction_tui.rewrites.folding import FOLD, RANDOM, constant_nodes
from friction_tui.rewrites.graph_editor import GraphEditor
from friction_tui.rewrites.graph_parts import graph_at
from friction_tui.rewrites.newer_opset import CONVERT, TARGETS
from friction_tui.rewrites.offers import REFUSALS, Asked, may_be_mended
from friction_tui.vocabulary.finding import Finding, Fix, Severity, Tier

_OF_SIZES = frozenset({"Shape", "Size"})
_DECIDED = frozenset({"If", "Loop"})
"""Operators that a constant condition decides."""
_SIMPLIFIED = frozenset(
    (
        *("Abs", "Add", "BatchNormalization", "Cast", "CastLike", "Clip", "Concat", "ConcatFromSequence"),
        *("ConstantOfShape", "Conv", "ConvInteger", "ConvTranspose", "Div", "Dropout", "Expand", "Flatten", "Gather"),
        *("Gemm", "HardSigmoid", "Identity", "MatMul", "Max", "Min", "Mul", "Pad", "QLinearConv", "Relu", "Reshape"),
        *("Scan", "ScatterND", "SequenceAt", "SequenceConstruct", "Shape", "Size", "Slice", "Split"),
        *("SplitToSequence", "Squeeze", "Sub", "Transpose", "Unsqueeze"),
    )
)
"""Operators that onnxscript's optimiser has rules for, whatever their inputs are: its `rewriter/rules/common` and
`optimizer/_constant_folding.py`, 0.7."""


def with_offers(model: OpenedModel, findings: Iterable[Finding], *, thorough: bool = False) -> list[Finding]:
    """The findings with the rewrites that fit, the best first.

    Each is tried on a copy of the model, so that a fix that is offered applies. Weights need not be loaded. Rewrites
    for any refusal take seconds on a large model: they are tried where none for the operator fits, or if `thorough`.
    """
    offering = _Offering(model, thorough=thorough)
    return [offering.of(finding) if may_be_mended(finding) else finding for finding in findings]


class _Offering:
    """Tries rewrites on one model; the editor's facts are worked out once."""

    def __init__(self, model: OpenedModel, *, thorough: bool = False) -> None:
        self._model, self._thorough = model, thorough
        self._editor: GraphEditor | None = None
        self._edits: dict[tuple[str, tuple[str, ...]], onnx.ModelProto | None] = {}
        self._by_op: dict[tuple[str, str], list[Rewriter]] = {}
        self._needs_opset: dict[str, Rewriter] = {}
        self._converted: _Offering | None = None
        self._follows_values: set[str] | None = None
        for rewriter in REWRITES.values():
            for op in rewriter.ops:
                self._by_op.setdefault(op, []).append(rewriter)

    def of(self, finding: Finding) -> Finding:
        """The finding with every rewrite that fits some of its nodes."""
        known = {fix.rewrite for fix in finding.fixes}
        self._needs_opset = {}
        nodes = self._nodes(finding)
        offered: list[Fix] = []
        for rewriter in self._candidates(finding):
            if rewriter.general and any(fix.applicable for fix in offered) and not self._thorough:
                continue
            if (fix := self.fix(rewriter, nodes)) is not None:
                offered.append(fix)
        if self._needs_opset and (fix := self._after_conversion(nodes, self._needs_opset.values())) is not None:
            offered.append(fix)
        if not offered and finding.tier is Tier.SHAPES:
            # Where sizes do not fit together the fault may be in what computes an operand.
            behind = self._writers(nodes)
            candidates = [REWRITES[name] for name in KINDS[finding.kind].rewrites]
            offered = [fix for one in candidates if one.node and (fix := self.fix(one, behind)) is not None]
        new = tuple(fix for fix in offered if fix.rewrite not in known)
        fixes = _in_order(new, tuple(map(_promised, finding.fixes)), from_source=finding.line is not None)
        cut = () if any(fix.applicable for fix in fixes) else self._cut(finding)
        return msgspec.structs.replace(finding, fixes=(*fixes, *cut))

    def _candidates(self, finding: Finding) -> list[Rewriter]:
        named = [REWRITES[name] for name in KINDS[finding.kind].rewrites]
        if finding.tier in REFUSALS and finding.severity is Severity.ERROR:
            if constant_nodes(self._model, finding.node_paths):
                named.insert(0, FOLD)  # no operator is left, which no other rewrite can better
            ops = {(node.proto.domain, node.proto.op_type): None for node in self._nodes(finding)}
            for domain, op in ops:
                named.extend(self._by_op.get(("" if domain == "ai.onnx" else domain, op), ()))
            named.extend(rewriter for rewriter in REWRITES.values() if rewriter.general)
        return list({rewriter.name: rewriter for rewriter in named}.values())

    def _cut(self, finding: Finding) -> tuple[Fix, ...]:
        """The last way out of a refusal that nothing mends: the rest of the model in ONNX Runtime."""
        refused = refused_nodes([finding])
        nodes, costly = head_size(self._model, refused) if refused else (0, 0)
        if not costly:
            return ()
        before = f"the {nodes} nodes that do not depend on it" if nodes > 1 else "the node that does not depend on it"
        name = shlex.quote(self._model.path.name)
        return (
            Fix(
                f"Cut the model: TensorRT runs {before}, as far as they parse, ONNX Runtime the rest "
                f"(friction-tui fix {name} -o OUT.onnx --cut)."
            ),
        )

    def _nodes(self, finding: Finding) -> list[Node]:
        found = (self._model.index.by_path.get(path) for path in finding.node_paths)
        return [node for node in found if node is not None]

    def _writers(self, nodes: Iterable[Node]) -> list[Node]:
        """The nodes that write what `nodes` of the main graph read."""
        index = self._model.index
        found = [index.producer.get(name) for node in nodes if not node.graph for name in node.inputs]
        return list({node.path: node for node in found if node is not None}.values())

    def fix(self, rewriter: Rewriter, nodes: Sequence[Node]) -> Fix | None:
        """The rewrite at those of the nodes that it fits, None where it fits nowhere."""
        if rewriter is SIMPLIFY and not self._may_become_simpler(nodes):
            return None
        if rewriter.node is None:
            paths = [node.path for node in nodes]
            edited = self._edited(rewriter, paths)
            if edited is None or (rewriter.general and not _changed(self._model.proto, nodes, edited)):
                return None
        else:
            paths = [node.path for node in nodes if self._fits(rewriter, node)]
            if not paths:
                return None
        references = tuple(reference(self._model.index, path) for path in paths)
        changes = f": {rewriter.changes}" if rewriter.changes else ""
        text = f"{rewriter.title[:1].upper()}{rewriter.title[1:]} ({rewriter.exactness}{changes})."
        return _promised(Fix(text, rewrite=rewriter.name, nodes=references))

    def _after_conversion(self, nodes: Sequence[Node], rewriters: Iterable[Rewriter]) -> Fix | None:
        """The conversion to a newer opset, where one of `rewriters` then fits one of the nodes."""
        if self._converted is None:
            proto = self._edited(CONVERT, ())
            if proto is None:
                return None
            self._converted = _Offering(from_proto(proto, self._model.path))
        there = self._converted.like(nodes)
        for rewriter in rewriters:
            if self._converted.fix(rewriter, there) is not None:
                title = f"{CONVERT.title[:1].upper()}{CONVERT.title[1:]}"
                return _promised(Fix(f"{title} ({CONVERT.exactness}), then: {rewriter.title}.", rewrite=CONVERT.name))
        return None

    def like(self, nodes: Sequence[Node]) -> list[Node]:
        """The nodes of this model that write what `nodes` of another do; of their operators where none does.

        A conversion puts functions in place of their calls, and renames outputs of operators that it replaces.
        """
        own = {node.outputs[0]: node for node in self._model.index.nodes if node.outputs}
        found = [own[node.outputs[0]] for node in nodes if node.outputs and node.outputs[0] in own]
        ops = {node.proto.op_type for node in nodes}
        return found or [node for node in self._model.index.nodes if node.proto.op_type in ops]

    def _edited(self, rewriter: Rewriter, paths: Sequence[str]) -> onnx.ModelProto | None:
        key = (rewriter.name, tuple(paths))
        if key not in self._edits:
            try:
                self._edits[key] = rewriter.run(self._model, paths)
            except CannotRewrite as error:
                self._edits[key] = None
                self._note(rewriter, error)
            except Exception as error:
                self._edits[key] = None
                self._note(rewriter, RewriteFault(error))
        return self._edits[key]

    def _fits(self, rewriter: Rewriter, node: Node) -> bool:
        op = ("" if node.proto.domain == "ai.onnx" else node.proto.domain, node.proto.op_type)
        if (rewriter.ops and op not in rewriter.ops) or rewriter.node is None:
            return False
        if node.graph.startswith("@"):
            return self._edited(rewriter, [node.path]) is not None
        if self._editor is None:
            proto = onnx.ModelProto()
            proto.CopyFrom(self._model.proto)
            self._editor = GraphEditor(proto, self._model.path.parent)
        graph = graph_at(self._editor.proto, node.graph)
        misfit = self._editor.misfit(graph, node.index, rewriter.node)
        self._note(rewriter, misfit)
        return misfit is None

    def _may_become_simpler(self, nodes: Sequence[Node]) -> bool:
        """Whether the optimiser can change any of the nodes. Trying takes a second, and 20 s at 10,000 nodes.

        It works out what depends on no input's values, removes what no output needs, puts functions in place of their
        calls, and has rules for the operators in `_SIMPLIFIED`.
        """
        if self._model.proto.functions or any(node.graph or node.proto.op_type in _SIMPLIFIED for node in nodes):
            return True
        if self._follows_values is None:
            self._follows_values = _following_values(self._model)
        index = self._model.index
        if any(node.path not in index.needed for node in nodes):
            return True
        for node in nodes:
            constant = [name for name in node.inputs if name and name not in self._follows_values]
            if any(name in index.producer or node.proto.op_type in _DECIDED for name in constant):
                return True
        return False

    def _note(self, rewriter: Rewriter, misfit: CannotRewrite | None) -> None:
        if isinstance(misfit, RewriteFault):
            print(f"{rewriter.name}: {misfit}", file=sys.stderr)
        if isinstance(misfit, NeedsOpset) and misfit.opset <= TARGETS[0]:
            self._needs_opset[rewriter.name] = rewriter


def _in_order(offered: tuple[Fix, ...], own: tuple[Fix, ...], *, from_source: bool) -> tuple[Fix, ...]:
    """Rewrites before what the user would have to do; where the line in the user's source is known, that edit first.

    A rewrite has to be made again after every export, an edit of the source does not.
    """
    by_hand = tuple(fix for fix in own if from_source and not fix.applicable)
    return (*by_hand, *offered, *(fix for fix in own if fix not in by_hand))


def _following_values(model: OpenedModel) -> set[str]:
    """Tensors of the main graph that are computed from the values of an input, not only from its sizes."""
    index = model.index
    stored = {tensor.name for tensor in model.proto.graph.initializer}
    found = {value.name for value in model.proto.graph.input if value.name not in stored}
    for number in index.sorted_in(""):
        node = index.main[number]
        if node.proto.op_type in _OF_SIZES or node.proto.domain not in ("", "ai.onnx"):
            follows = node.proto.op_type not in _OF_SIZES
        else:
            follows = node.proto.op_type in RANDOM or any(name in found for name in index.reads(node))
        if follows:
            found.update(name for name in node.outputs if name)
    return found


def _promised(fix: Fix) -> Fix:
    """The fix with what its rewrite promises about the results."""
    rewriter = REWRITES.get(fix.rewrite)
    if rewriter is None:
        return fix
    return msgspec.structs.replace(fix, exactness=rewriter.exactness.value, changes=rewriter.changes)


def _changed(model: onnx.ModelProto, refused: Iterable[Node], edited: onnx.ModelProto) -> bool:
    """Whether an edit of the whole model took one of the refused nodes out, or made an input of it constant."""
    writers = {node.output[0]: node for node in edited.graph.node if node.output}
    before, after = _constants(model.graph), _constants(edited.graph)
    for node in refused:
        now = writers.get(next(iter(node.outputs), ""))
        if now is None or now.op_type != node.proto.op_type:
            return True
        if any(name in after and old not in before for name, old in zip(now.input, node.inputs, strict=False)):
            return True
    return False


def _constants(graph: onnx.GraphProto) -> set[str]:
    written = {node.output[0] for node in graph.node if node.op_type == "Constant" and node.output}
    return {tensor.name for tensor in graph.initializer} | written


def main() -> None:
    """In a process of its own: an `Asked` on stdin, the findings on stdout."""
    channel = take_stdout()
    asked = msgspec.json.decode(sys.stdin.buffer.read(), type=Asked)
    model = from_proto(onnx.load(asked.path, load_external_data=False), Path(asked.path))
    channel.write(msgspec.json.encode(with_offers(model, asked.findings)))
    channel.flush()
