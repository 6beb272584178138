"""onnx's own C++: shape inference, checker, inliner and version converter, in a process with limits.

On a hostile or broken graph it can crash, run without end or take all memory, and it holds the GIL meanwhile. So it
runs in a child that is ended then; whoever asked gets `NotAnswered` and goes on without the answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from friction_tui.processes.begin import command
from friction_tui.processes.child import Stop
from friction_tui.processes.ended import ChildDied
from friction_tui.processes.server import Server

if TYPE_CHECKING:
    import onnx

MEMORY = 4 << 30
"""Bytes of address space it may take. A model is asked about without its weights: 200,000 nodes take 1 GB."""
LIMIT_S = 10.0
"""Seconds a question may take, and `PER_MEGABYTE_S` more for each megabyte of the model."""
PER_MEGABYTE_S = 2.0
"""100,000 nodes are 10 MB, which takes 3 s."""
NODE_LIMIT_S = 5.0
"""Seconds that one node may take: most take a tenth of a millisecond."""


class NativeRefused(Exception):
    """onnx raised an error. The text is its own; `name` is the error's class, such as `InferenceError`."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(text)
        self.name = name


class NotAnswered(Exception):
    """The process that was asked died, ran out of memory or took too long. The text says which, after "it"."""


class _Said(msgspec.Struct):
    """An answer: bytes by name, or the error that was raised."""

    given: dict[str, bytes] = {}
    error: str = ""
    text: str = ""


def infer_shapes(proto: onnx.ModelProto, *, data_prop: bool = False, stop: Stop = lambda: False) -> onnx.ModelProto:
    """The model with inferred types in `value_info`. Raises NativeRefused, NotAnswered, Stopped."""
    return _model(proto, "infer_shapes", [False, False, data_prop], stop)


def inline_local_functions(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The model with the bodies of its functions in place of their calls. Raises NativeRefused, NotAnswered."""
    return _model(proto, "inline_local_functions", [False])


def inline_operators(proto: onnx.ModelProto, operators: Sequence[str]) -> onnx.ModelProto:
    """The model with these operators of the default domain replaced by the functions that ONNX defines them by.

    Raises NativeRefused, NotAnswered.
    """
    return _model(proto, "inline_operators", [list(operators)])


def convert_version(proto: onnx.ModelProto, target: int) -> onnx.ModelProto:
    """The model at opset `target`. Raises NativeRefused, NotAnswered."""
    return _model(proto, "convert_version", [target])


def check_model(proto: onnx.ModelProto) -> None:
    """Raises NativeRefused with what the checker has against the model; NotAnswered."""
    _ask("check_model", [], {"": _serialized(proto)})


def infer_node(
    operator: tuple[str, str, int],
    node: bytes,
    types: Mapping[str, bytes],
    data: Mapping[str, bytes],
    opsets: Mapping[str, int],
) -> dict[str, bytes]:
    """Types of a node's outputs by name, every message serialized; `operator` is its type, domain and opset.

    Raises NativeRefused, NotAnswered.
    """
    payload = {"": node, **{f"t{name}": given for name, given in types.items()}}
    payload |= {f"d{name}": given for name, given in data.items()}
    return _ask("infer_node", [*operator, dict(opsets)], payload, limit_s=NODE_LIMIT_S)


def prestart() -> None:
    """Begin starting the process."""
    _SERVER.prestart()


def close() -> None:
    """End the process; the next question starts another."""
    _SERVER.close()


def _serialized(proto: onnx.ModelProto) -> bytes:
    try:
        serialized: bytes = proto.SerializeToString()
    except Exception as error:
        # protobuf raises an EncodeError of its own, or ValueError, for more than 2 GB and for text that is not UTF-8
        raise NativeRefused(type(error).__name__, str(error)) from error
    return serialized


def _model(proto: onnx.ModelProto, what: str, arguments: list[object], stop: Stop = lambda: False) -> onnx.ModelProto:
    from onnx import ModelProto

    answer = ModelProto()
    answer.ParseFromString(_ask(what, arguments, {"": _serialized(proto)}, stop=stop)[""])
    return answer


def _ask(
    what: str,
    arguments: list[object],
    payload: Mapping[str, bytes],
    *,
    limit_s: float = 0.0,
    stop: Stop = lambda: False,
) -> dict[str, bytes]:
    size = sum(map(len, payload.values()))
    question = {"what": what, "arguments": arguments, "sizes": [[name, len(part)] for name, part in payload.items()]}
    limit = limit_s or LIMIT_S + PER_MEGABYTE_S * size / 1e6
    try:
        answer = _SERVER.ask(question, b"".join(payload.values()), stop=stop, limit_s=limit)
    except ChildDied as error:
        raise NotAnswered(f"took longer than {limit:.0f} s" if error.code is None else error.how) from None
    except UnicodeEncodeError as error:
        raise NativeRefused(type(error).__name__, str(error)) from None
    said = _DECODER.decode(answer)
    if said.error == "MemoryError":
        raise NotAnswered(f"needs more than {MEMORY >> 30} GB of memory")
    if said.error:
        raise NativeRefused(said.error, said.text)
    return said.given


_DECODER = msgspec.json.Decoder(_Said)
_SERVER = Server("onnx", lambda: command("friction_tui.model.onnx_native_job", memory=MEMORY), limit_s=LIMIT_S)
