"""Element types the engine does not have: where they enter, who reads them first, where the Cast belongs.

What TensorRT-RTX 1.7.1's parser and builder do with each type was measured with one-node models: float64 is narrowed
to float32 without an error, int16, unsigned integers from 16 bits, strings and complex numbers are refused even when
nothing reads them, and quantized constants must go straight into a DequantizeLinear.
"""

from __future__ import annotations

from collections.abc import Iterator

from onnx import TensorProto, ValueInfoProto

from friction_tui.kinds.types import (
    BFLOAT16,
    FLOAT64,
    NOT_A_TENSOR,
    QUANTIZED_CONSTANT,
    UINT8_INSIDE,
    UNSUPPORTED_CAST,
    UNSUPPORTED_INITIALIZER,
    UNSUPPORTED_INPUT,
    UNSUPPORTED_OUTPUT,
)
from friction_tui.model.graph import Node
from friction_tui.model.names import dtype_name
from friction_tui.model.opened import OpenedModel
from friction_tui.model.provenance import location_of
from friction_tui.rules.check import Check
from friction_tui.rules.context import CheckContext
from friction_tui.rules.types.element_types import element_types
from friction_tui.rules.types.type_constraints import type_text
from friction_tui.rules.weights.stored_tensors import Stored, stored_tensors
from friction_tui.vocabulary.finding import Finding, Location, LocationKind, Severity

TAKEN = frozenset(
    {
        TensorProto.FLOAT,
        TensorProto.DOUBLE,
        TensorProto.FLOAT16,
        TensorProto.BFLOAT16,
        TensorProto.INT8,
        TensorProto.UINT8,
        TensorProto.INT32,
        TensorProto.INT64,
        TensorProto.BOOL,
        TensorProto.FLOAT8E4M3FN,
        TensorProto.INT4,
        TensorProto.FLOAT4E2M1,
    }
)
"""Types TensorRT-RTX 1.7.1 imports as input, initializer or output; float64 becomes float32."""
_QUANTIZED = frozenset({TensorProto.FLOAT8E4M3FN, TensorProto.INT4, TensorProto.FLOAT4E2M1})
_MOVERS = frozenset(
    {"DequantizeLinear", "Reshape", "Transpose", "Concat", "Identity", "Squeeze", "Unsqueeze", "Flatten"}
)
"""Operators that may read an 8-bit float or 4-bit tensor, as the builder's own message lists them."""
_HARMLESS_READERS = frozenset({"Cast", "CastLike", "Shape", "Size"})
_UINT8_READERS = frozenset(
    {"Cast", "CastLike", "Equal", "Shape", "Size", "QuantizeLinear", "DequantizeLinear", "BitShift"}
)
"""What TensorRT-RTX 1.7.1 lets read uint8, and what has a finding of its own."""
_STANDS_IN: dict[int, str] = {
    TensorProto.INT16: "int32",
    TensorProto.UINT16: "int32",
    TensorProto.UINT32: "int64",
    TensorProto.UINT64: "int64",
    TensorProto.UINT4: "int4",
}


def check(context: CheckContext) -> Iterator[Finding]:
    """Errors for types the engine refuses, a warning for float64 arithmetic, a note for bfloat16."""
    model = context.model
    if model.file.kind != "onnx":
        return
    stored = list(stored_tensors(model))
    yield from _borders(model)
    yield from _constants(model, stored)
    yield from _casts(model)
    yield from _uint8(model)
    yield from _float64(model, stored)
    yield from _bfloat16(context)


def _first_reader(model: OpenedModel, tensor: str) -> Node | None:
    return next(iter(model.index.consumers.get(tensor, ())), None)


def _reader_text(node: Node | None) -> str:
    return f"first read by {node.proto.op_type} {node.name}" if node else "read by nothing"


def _remedies(data_type: int, tensor: str, reader: Node | None) -> tuple[str, ...]:
    """What to do about a refused type at the border of the graph."""
    if data_type == TensorProto.STRING:
        return (
            f"Keep text outside the engine: remove {tensor} and the nodes that read it, and do the label lookup "
            "or tokenizing before or after inference; feed integer ids (int32 or int64) instead.",
            "For a scikit-learn export turn ZipMap and string labels off (integer classes), or strip them off.",
        )
    if data_type in (TensorProto.COMPLEX64, TensorProto.COMPLEX128):
        return (
            f"Carry real and imaginary part of {tensor} as a last axis of size 2 (torch.view_as_real), float32.",
            "Do the complex part (FFT, STFT) outside the engine, or replace it by Conv or MatMul with a fixed basis.",
        )
    if reader is not None and reader.proto.op_type in ("QuantizeLinear", "DequantizeLinear"):
        return (
            f"Quantize to signed int8 (QInt8), symmetric with zero point 0: {tensor} makes it "
            f"{dtype_name(data_type)}, and TensorRT quantizes to int8, int4 and fp8 only.",
            f"Or leave this tensor unquantized: remove {reader.name} and its pair.",
        )
    other = _STANDS_IN.get(data_type, "float32")
    where = f" in front of {reader.name}" if reader else ""
    return (
        f"Make {tensor} {other} and insert a Cast{where} only if the reader needs it; cast the data outside.",
        "Re-export with that dtype.",
    )


def _borders(model: OpenedModel) -> Iterator[Finding]:
    """Inputs and outputs of a type the engine does not take."""
    for place, unsupported, values in (
        (LocationKind.INPUT, UNSUPPORTED_INPUT, model.index.inputs),
        (LocationKind.OUTPUT, UNSUPPORTED_OUTPUT, model.proto.graph.output),
    ):
        for value in values:
            found = value.type.WhichOneof("value")
            if found not in (None, "tensor_type"):
                yield _not_a_tensor(place, value, str(found).removesuffix("_type"))
            data_type = value.type.tensor_type.elem_type
            if found != "tensor_type" or not data_type or data_type in TAKEN:
                continue
            reader = _first_reader(model, value.name) if place is LocationKind.INPUT else None
            read = f", {_reader_text(reader)}," if place is LocationKind.INPUT else ""
            yield unsupported.finding(
                name=value.name,
                dtype=dtype_name(data_type),
                cause=f"The graph {place.value} {value.name}{read} has the data type (dtype) {type_text(data_type)}, "
                "which TensorRT does not support. Its message has neither node nor type: `Failed to convert ONNX date "
                "type to TensorRT data type`.",
                locations=(Location(place, value.name), *((location_of(model, reader),) if reader else ())),
                fixes=_remedies(data_type, value.name, reader),
            )


def _not_a_tensor(place: LocationKind, value: ValueInfoProto, what: str) -> Finding:
    return NOT_A_TENSOR.finding(
        place=place.value.capitalize(),
        name=value.name,
        type=f"an {what}" if what == "optional" else f"a {what}",
        cause=f"The graph {place.value} {value.name} has the type {what}, not tensor; TensorRT does not support it.",
        locations=(Location(place, value.name),),
        fixes=(
            "Replace it by one tensor per element (for a scikit-learn export: turn ZipMap off).",
            "Keep that part of the model outside the engine.",
        ),
    )


def _constants(model: OpenedModel, stored: list[Stored]) -> Iterator[Finding]:
    """Initializers and constants of a refused type, and quantized ones that are read directly."""
    refused: dict[int, list[Stored]] = {}
    direct: dict[int, list[Stored]] = {}
    for tensor in stored:
        data_type = tensor.proto.data_type
        if data_type not in TAKEN:
            refused.setdefault(data_type, []).append(tensor)
        elif data_type == TensorProto.INT8 or data_type in _QUANTIZED:
            allowed = _MOVERS if data_type in _QUANTIZED else {"DequantizeLinear"}
            readers = [node for node, _ in tensor.readers if node.proto.op_type not in allowed | {"QuantizeLinear"}]
            if readers:
                direct.setdefault(data_type, []).append(tensor)
    for data_type, tensors in refused.items():
        yield _refused_constants(model, data_type, tensors)
    for data_type, tensors in direct.items():
        yield _direct_constants(model, data_type, tensors)


def _refused_constants(model: OpenedModel, data_type: int, tensors: list[Stored]) -> Finding:
    first = tensors[0]
    reader = first.readers[0][0] if first.readers else None
    what = "Constant" if first.constant else "initializer"
    more = f", and {len(tensors) - 1} more like it" if len(tensors) > 1 else ""
    role = " (labels or class names, it seems)" if data_type == TensorProto.STRING else ""
    fixes = _remedies(data_type, first.name, reader)
    if reader is None:
        fixes = (f"Nothing reads {first.name}: remove it from the initializers.", *fixes)
    return UNSUPPORTED_INITIALIZER.finding(
        what=what.capitalize(),
        name=first.name,
        dtype=dtype_name(data_type),
        cause=f"The {what} {first.name}{role}, {_reader_text(reader)}{more}, has the data type (dtype) "
        f"{type_text(data_type)}, which TensorRT does not support: it cannot import the weights, even unused ones, and "
        "only says `Failed to import initializer`.",
        locations=(*(tensor.location(model) for tensor in tensors), *((location_of(model, reader),) if reader else ())),
        fixes=fixes,
    )


def _direct_constants(model: OpenedModel, data_type: int, tensors: list[Stored]) -> Finding:
    first = tensors[0]
    reader = next(node for node, _ in first.readers if node.proto.op_type != "DequantizeLinear")
    name = dtype_name(data_type)
    more = f" {len(tensors) - 1} more tensors are used so." if len(tensors) > 1 else ""
    return QUANTIZED_CONSTANT.finding(
        dtype=name,
        name=first.name,
        op=reader.proto.op_type,
        cause=f"The {name} tensor {first.name} is read by {reader.proto.op_type} {reader.name}. TensorRT takes a "
        "quantized constant only directly in front of a DequantizeLinear and fails at the build (`Quantized constant "
        f"is only allowed before DQ`), although the parser accepts it.{more}",
        locations=(*(tensor.location(model) for tensor in tensors), location_of(model, reader)),
        fixes=(
            f"If the values are quantized weights, let a DequantizeLinear read {first.name} directly and put "
            f"{reader.proto.op_type} behind it, on the float tensor (or apply it to the stored weights beforehand).",
            f"If they are plain integers, store {first.name} as int32 (or the dequantized weights as float16).",
        ),
    )


def _casts(model: OpenedModel) -> Iterator[Finding]:
    """Casts to a type the engine does not have."""
    found: dict[int, list[Node]] = {}
    for node in model.index.nodes:
        if node.proto.op_type == "Cast":
            to = next((attribute.i for attribute in node.proto.attribute if attribute.name == "to"), 0)
            if to and to not in TAKEN:
                found.setdefault(to, []).append(node)
    for data_type, nodes in found.items():
        more = f" {len(nodes) - 1} more do the same." if len(nodes) > 1 else ""
        yield UNSUPPORTED_CAST.finding(
            dtype=dtype_name(data_type),
            cause=f"Cast {nodes[0].name} makes {type_text(data_type)}, a data type (dtype) TensorRT does not "
            f"support.{more}",
            locations=(location_of(model, node) for node in nodes),
            fixes=(
                f"Cast to {_STANDS_IN.get(data_type, 'float32')} instead, where its range is enough.",
                *_remedies(data_type, nodes[0].proto.output[0], None)[:1],
            ),
        )


def _uint8(model: OpenedModel) -> Iterator[Finding]:
    """uint8 anywhere but between the border and a Cast (NvInfer.h, DataType::kUINT8; seen with 12 operators)."""
    types = element_types(model)[""]
    borders = {value.name for value in (*model.index.inputs, *model.proto.graph.output)}
    found: list[tuple[str, Node]] = []
    for name, data_type in types.items():
        if data_type != TensorProto.UINT8 or name in model.index.initializers:
            continue
        readers = model.index.consumers.get(name, [])
        writer = model.index.producer.get(name)
        inside = [node for node in readers if node.proto.op_type not in _UINT8_READERS]
        if inside:
            found.append((name, inside[0]))
        elif writer is not None and writer.proto.op_type == "Cast" and readers and name not in borders:
            found.append((name, writer))
    if found:
        name, node = found[0]
        more = f" {len(found) - 1} more tensors are used so." if len(found) > 1 else ""
        yield UINT8_INSIDE.finding(
            tensor=name,
            cause=f"{node.proto.op_type} {node.name} works with the uint8 tensor {name}. TensorRT supports uint8 only "
            "at the border, from an input into a Cast and from a Cast into an output, not supported anywhere "
            f"else.{more}",
            locations=(
                location for n, each in found for location in (location_of(model, each), _tensor_location(model, n))
            ),
            fixes=(
                f"Insert a Cast of {name} to float32, float16 or int32 before {node.name}, behind the input.",
                "For packed 4-bit or 8-bit weights: unpack them before the export, or store them as int8 or int4 "
                "in front of a DequantizeLinear.",
            ),
        )


def _tensor_location(model: OpenedModel, name: str) -> Location:
    known = {value.name for value in model.index.inputs}
    return Location(LocationKind.INPUT if name in known else LocationKind.TENSOR, name)


def _float64(model: OpenedModel, stored: list[Stored]) -> Iterator[Finding]:
    """float64 that is computed with: the engine narrows it to float32, bindings included, without a message."""
    double = TensorProto.DOUBLE
    locations: list[Location] = []
    uses: list[str] = []
    for value in model.index.inputs:
        if value.type.tensor_type.elem_type == double:
            locations.append(Location(LocationKind.INPUT, value.name))
            uses.append(f"the input {value.name}, {_reader_text(_first_reader(model, value.name))}")
    for tensor in stored:
        if tensor.proto.data_type == double and any(
            n.proto.op_type not in _HARMLESS_READERS for n, _ in tensor.readers
        ):
            locations.append(tensor.location(model))
            uses.append(f"the {'constant' if tensor.constant else 'initializer'} {tensor.name}")
    types = element_types(model)
    computed = [
        node
        for node in model.index.nodes
        if node.proto.op_type not in ("Constant", "Identity")
        and any(types.get(node.graph, {}).get(name) == double for name in node.proto.output)
    ]
    for value in model.proto.graph.output:
        if value.type.tensor_type.elem_type == double:
            locations.append(Location(LocationKind.OUTPUT, value.name))
            uses.append(f"the output {value.name}")
    if not locations:
        if not computed:
            return
        uses.append(f"what {computed[0].proto.op_type} {computed[0].name} computes")
        if all(node.proto.op_type == "Cast" for node in computed):
            return  # cast up and down again, nothing is computed with it
    locations.extend(location_of(model, node) for node in computed)
    more = f" and {len(uses) - 1} more" if len(uses) > 1 else ""
    border = locations[0].name
    yield FLOAT64.finding(
        name=border,
        cause=f"The model uses float64 (double) for {uses[0]}{more}. TensorRT has no float64: it narrows inputs, "
        "weights and results to float32 without an error, so the bindings take 4-byte values where the model says 8, "
        "and up to 29 bits of precision are gone. It is often numpy's default dtype that leaked into the export.",
        locations=locations,
        evidence=uses[:12],
        fixes=(
            "Export the model in float32: model.float(), example inputs with .float() or `.astype(np.float32)`, "
            "constants with dtype=torch.float32.",
            f"Or declare {border} as float32 and insert a Cast at the border, where the precision is not needed.",
        ),
    )


def _bfloat16(context: CheckContext) -> Iterator[Finding]:
    """bfloat16 needs compute capability 8.0."""
    names = [
        name
        for types in element_types(context.model).values()
        for name, data_type in types.items()
        if data_type == TensorProto.BFLOAT16
    ]
    if not names:
        return
    turing = context.recipe.target.upper() == "SM75"
    borders = [value for value in context.model.index.inputs if value.name in set(names)]
    yield BFLOAT16.finding(
        severity=Severity.WARNING if turing else Severity.NOTE,
        cause=f"{len(names)} tensors are bfloat16, first {names[0]}. bfloat16 needs compute capability 8.0 (Ampere) "
        "or newer" + (", and the target is SM75 (Turing)." if turing else "; on Turing (SM75) it cannot run natively."),
        locations=(Location(LocationKind.TENSOR, names[0]),),
        fixes=(
            "Export in float16 or float32 for older GPUs.",
            *(
                f"The input {v.name} is bfloat16, which numpy lacks: declare it float32 and Cast inside."
                for v in borders[:1]
            ),
        ),
    )


CHECK = Check(
    "dtypes",
    "element types TensorRT does not have",
    check,
    (
        UNSUPPORTED_INPUT,
        UNSUPPORTED_OUTPUT,
        UNSUPPORTED_INITIALIZER,
        UNSUPPORTED_CAST,
        NOT_A_TENSOR,
        FLOAT64,
        UINT8_INSIDE,
        QUANTIZED_CONSTANT,
        BFLOAT16,
    ),
)
