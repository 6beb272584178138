"""Where an operator comes from that is not ONNX's own: ATen, TensorFlow, ONNX Runtime, a plugin, a typo.

TensorRT says `Plugin not found` for all of them, except for those that it reads as ONNX's operator of the same name.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass

from friction_tui.kinds import operators
from friction_tui.kinds.kind import Kind
from friction_tui.model.graph import Node
from friction_tui.model.opened import OpenedModel
from friction_tui.model.provenance import location_of
from friction_tui.rules.context import CheckContext
from friction_tui.rules.operators.operator_tables import onnx_name_of_aten, support, tensorflow_names
from friction_tui.rules.structure.operator_schema import history_of, known_domains, operator_names
from friction_tui.vocabulary.finding import Finding, Fix

_ORT_DOMAINS = ("com.microsoft", "com.ms.internal")
_ATEN_DOMAINS = ("org.pytorch", "aten", "pkg.torch")
_TENSORFLOW_DOMAINS = ("ai.onnx.converters.tensorflow", "tensorflow", "tf")
_ML_DOMAINS = ("ai.onnx.ml",)
_TRAINING_DOMAINS = ("ai.onnx.preview.training", "ai.onnx.training")
_SNAKE_CASE = re.compile(r"^(aten::)?_?[a-z0-9]+(_[a-z0-9]+)*$")
_PLUGIN_NAME = re.compile(r"(_TRT|TRT|Plugin(Dynamic)?|_DYNAMIC)$|^MMCV|^TRT")


@dataclass(frozen=True, slots=True)
class Origin:
    """Who made an operator that is not taken. `what` is a sentence that starts with the operator's name."""

    kind: Kind
    what: str
    fixes: tuple[Fix | str, ...]


def origin_of(model: OpenedModel, node: Node) -> Origin | None:
    """Why TensorRT does not know the operator; None for an operator of ONNX itself."""
    op, domain = node.proto.op_type, node.proto.domain
    if domain.startswith(_ORT_DOMAINS):
        return _onnx_runtime(domain)
    if op.lower() == "aten" or op.startswith("aten::") or domain.startswith(_ATEN_DOMAINS):
        return _aten(node)
    if domain.startswith(_TENSORFLOW_DOMAINS) or (not _is_onnx(op) and _from_tensorflow(model, op, domain)):
        return _tensorflow(op)
    if domain.startswith(_ML_DOMAINS):
        return Origin(
            operators.CLASSICAL_ML,
            f"{op} is an operator of the domain {domain} (classical machine learning, from scikit-learn and the like), "
            "which TensorRT does not support: it takes neural networks only.",
            (
                "Keep this part outside the engine: run it in ONNX Runtime after the network.",
                "Convert the estimator to tensor operators with hummingbird-ml and export that.",
            ),
        )
    if domain.startswith(_TRAINING_DOMAINS):
        return Origin(
            operators.TRAINING_DOMAIN,
            f"{op} is an operator of the training domain {domain}; TensorRT runs inference only.",
            ("Export the inference graph: model.eval(), without optimizer and loss.",),
        )
    if domain not in ("", "ai.onnx"):
        return _custom(op, domain)
    return None if _is_onnx(op) else _unknown(model, node)


def _is_onnx(op: str) -> bool:
    return bool(history_of(op, ""))


def _onnx_runtime(domain: str) -> Origin:
    return Origin(
        operators.ORT_OPTIMISED,
        f"the domain {domain} is ONNX Runtime's own. The model was saved after ONNX Runtime optimised (or quantized) "
        "it: standard operators were fused into contrib operators that only ONNX Runtime has.",
        (
            "Use the original, un-optimised model, as it was before ONNX Runtime (or Olive, optimum) saved it.",
            "If it was only quantized: quantize again with quant_format=QDQ and without graph optimizations.",
        ),
    )


def _aten(node: Node) -> Origin:
    op = next((a.s.decode(errors="replace") for a in node.proto.attribute if a.name == "operator"), "")
    known = onnx_name_of_aten(op or node.proto.op_type)
    name = f"{node.proto.op_type} (aten::{op})" if op else node.proto.op_type
    instead = f"Write it with {known}: " if known else ""
    return Origin(
        operators.ATEN,
        f"{name} is a fallback: the PyTorch exporter had no ONNX translation and left the ATen operator in the graph. "
        "It is not ONNX, so nothing but PyTorch can run it.",
        (
            f"{instead}re-export without ONNX_ATEN_FALLBACK, at a higher opset or with dynamo=True.",
            "Rewrite the line of the model with operators that have an ONNX translation.",
        ),
    )


def _from_tensorflow(model: OpenedModel, op: str, domain: str) -> bool:
    if domain not in ("", "ai.onnx"):
        return False
    return op in tensorflow_names() or "tf2onnx" in model.proto.producer_name.lower()


def _tensorflow(op: str) -> Origin:
    hint = (
        "it calls a function of the saved model, which has to be inlined first"
        if "PartitionedCall" in op or op.startswith("Stateless")
        else "there was no conversion for it at this opset"
    )
    return Origin(
        operators.TENSORFLOW,
        f"{op} is a TensorFlow operator that tf2onnx could not convert and left in the graph ({hint}). It is unknown "
        "to ONNX and not supported by TensorRT.",
        (
            "Convert again with a newer tf2onnx and --opset 18; freeze the SavedModel first to inline its functions.",
            "Replace that layer in the TensorFlow model, or move it outside the exported part.",
        ),
    )


def _custom(op: str, domain: str) -> Origin:
    return Origin(
        operators.PLUGIN,
        f"{op} of the domain {domain} is a custom operator, not an ONNX operator: TensorRT needs a plugin of exactly "
        "that name, version and namespace, and none is loaded.",
        (
            f"Load the library that implements {op}: --builder plugins=lib.so (trtexec --dynamicPlugins=lib.so).",
            "Replace it by standard operators and re-export.",
        ),
    )


def _unknown(model: OpenedModel, node: Node) -> Origin:
    op = node.proto.op_type
    if _PLUGIN_NAME.search(op):
        return Origin(
            operators.PLUGIN,
            f"{op} is the name of a TensorRT plugin, not an ONNX operator, and no plugin of that name is loaded.",
            (
                "Load TensorRT's plugins before parsing: trt.init_libnvinfer_plugins(logger, ''), or their .so.",
                "TensorRT-RTX has no such plugins: use the enterprise edition, or do it outside the model.",
            ),
        )
    if known := onnx_name_of_aten(op):
        return Origin(
            operators.ATEN,
            f"{op} is not an ONNX operator: it is the name PyTorch (ATen) has for it. The exporter left it unknown to "
            f"every runtime. ONNX calls it {known}.",
            (
                f"Re-export at an opset that has {known}.",
                "Rename the node by hand only if inputs and attributes are the same; else write a plugin.",
            ),
        )
    near = _nearest(op)
    if near:
        opset = model.index.opsets.get("", 0)
        sure = _almost_equal(op, near) and history_of(near, "")[0].since <= opset and not node.graph
        rename = Fix(f"Rename it to {near}.", rewrite="rename-op" if sure else "", nodes=(node.path,) if sure else ())
        return Origin(
            operators.MISSPELT,
            f"{op} is not an ONNX operator: it is unknown in every opset. It looks misspelt: ONNX has {near}.",
            (
                rename,
                "Correct the script that made the graph.",
            ),
        )
    home = next((domain for domain in sorted(known_domains()) if domain and history_of(op, domain)), "")
    if home:
        return Origin(
            operators.UNKNOWN,
            f"{op} is not an ONNX operator of the default domain; the domain {home} has one of that name.",
            (f"Set the node's domain to {home}, and expect TensorRT to need a plugin for it.",),
        )
    made_by = f" The model was made by {model.proto.producer_name}." if model.proto.producer_name else ""
    paddle = "paddle" in model.proto.producer_name.lower()
    owners = "PaddlePaddle's" if paddle else "PyTorch's or PaddlePaddle's"
    native = f" A name in lower case like this usually comes from {owners} own operators, left by the exporter."
    aten = native if _SNAKE_CASE.match(op) else ""
    return Origin(
        operators.UNKNOWN,
        f"{op} is not an ONNX operator: it is unknown in every opset, and no plugin has that name.{aten}{made_by}",
        (
            *(("Upgrade paddle2onnx, or raise its --opset_version, and export again.",) if paddle else ()),
            f"Replace {op} by standard operators and re-export, or load a plugin of that name.",
            "Put it in a domain of its own if it is a custom operator, so that its origin is visible.",
        ),
    )


def _almost_equal(op: str, near: str) -> bool:
    """Whether two names differ by a letter or two only, so that one is surely meant to be the other."""
    return difflib.SequenceMatcher(None, op.lower().replace("_", ""), near.lower()).ratio() >= 0.86


def _nearest(op: str) -> str:
    """The ONNX operator whose name is almost `op`, "" when there is none."""
    by_lower = {name.lower(): name for name in operator_names("")}
    folded = op.lower().replace("_", "")
    if folded in by_lower:
        return by_lower[folded]
    found = difflib.get_close_matches(folded, by_lower, n=1, cutoff=0.8)
    return by_lower[found[0]] if found else ""


def read_as_onnx(context: CheckContext) -> Iterator[Finding]:
    """Operators of another domain that TensorRT silently takes for the ONNX operators of the same name."""
    index = context.model.index
    nodes = [n for n in index.nodes if _read_as_standard(n) and not index.function_of(n.proto)]
    if not nodes:
        return
    domains = ", ".join(sorted({node.proto.domain for node in nodes}))
    ops = ", ".join(sorted({node.proto.op_type for node in nodes}))
    local = any(not node.proto.domain.startswith("com.") for node in nodes)
    missing = f" If {ops} was a function of the model, its definition is missing from it." if local else ""
    restore = (
        f"Add the definition of {ops} to the model's functions again, or replace it by standard operators: re-export."
    )
    yield operators.DOMAIN_IGNORED.finding(
        ops=ops,
        domains=domains,
        cause=f"TensorRT's parser looks at the operator's name and ignores its domain: {ops} of {domains} is imported "
        "as the standard operator of that name, whatever it computes (com.microsoft.nchwc has reordered weights)."
        + missing,
        locations=(location_of(context.model, node) for node in nodes),
        fixes=(
            *((restore,) if local else ()),
            "Use the original model, before it was optimised; or give a custom operator a name of its own.",
        ),
    )


def _read_as_standard(node: Node) -> bool:
    """Whether TensorRT reads a foreign operator as the ONNX one of the same name: it looks at the name alone."""
    domain, op = node.proto.domain, node.proto.op_type
    if domain in ("", "ai.onnx") or op not in support().taken:
        return False
    # In ONNX Runtime's main contrib domain the names that exist in ONNX too mean the same.
    return domain != "com.microsoft"
