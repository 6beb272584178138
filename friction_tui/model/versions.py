"""Facts about ONNX's versions: which release brought which opset and IR version, and when an operator changed.

From the tables of the installed onnx package (`onnx.helper.VERSION_TABLE`, operator schemas).
"""

from __future__ import annotations

import onnx


def newest_opset() -> int:
    """The newest released opset of the default domain that the installed onnx knows."""
    return max(int(row[2]) for row in onnx.helper.VERSION_TABLE)


def newest_opset_of_ir(ir_version: int) -> int:
    """The newest opset released with this IR version; the newest of all for an unknown IR version."""
    return max((int(row[2]) for row in onnx.helper.VERSION_TABLE if row[1] == ir_version), default=newest_opset())


def least_ir(opset: int) -> int:
    """The lowest IR version a model with this opset of the default domain may have."""
    imports = [onnx.helper.make_opsetid("", min(opset, newest_opset()))]
    return int(onnx.helper.find_min_ir_version_for(imports))


def operator_versions(op: str, domain: str = "") -> tuple[int, ...]:
    """The opsets at which the operator appeared or changed, ascending; () for an operator onnx does not know."""
    return tuple(sorted(s.since_version for s in _schemas_by_name().get((domain, op), ())))


def operator_exists(op: str, domain: str, opset: int) -> bool:
    """Whether the operator is defined, and not deprecated, in this opset."""
    try:
        return not onnx.defs.get_schema(op, opset, domain).deprecated
    except (onnx.defs.SchemaError, TypeError):  # an opset beyond 32 bits is none
        return False


_BY_NAME: dict[tuple[str, str], list[onnx.defs.OpSchema]] = {}


def _schemas_by_name() -> dict[tuple[str, str], list[onnx.defs.OpSchema]]:
    if not _BY_NAME:
        for schema in onnx.defs.get_all_schemas_with_history():
            _BY_NAME.setdefault((schema.domain, schema.name), []).append(schema)
    return _BY_NAME
