"""Facts about an opened model as they cross the boundary: its graph, its borders, one node, one initializer."""

from __future__ import annotations

import msgspec

from friction_tui.vocabulary.finding import SourceLine


class Body(msgspec.Struct, frozen=True):
    """The inside of an If branch, a Loop or Scan, or a local function: items `first` <= i < `last`."""

    label: str
    first: int
    last: int


class GraphData(msgspec.Struct, frozen=True):
    """A model's graph, ready to be drawn; all lists are parallel, one entry an *item*.

    Items are the nodes plus one pseudo-node per graph input (op `Input`), per graph output (op `Output`)
    and per outer value used in a body (op `<outer>`). Initializers and Constant nodes without inputs are
    not items of their own unless nothing else shows them.

    `paths` is the node path: `12` for the 13th node of the main graph, `12.then_branch.3` inside an
    attribute graph, `@domain:name.3` inside a local function; `<name` for an input, `>name` for an output,
    `^name` for an outer value.
    `inputs[i]` are the items whose values item i reads, in order and without repeats, always of the same
    body. `scopes[i]` indexes `scope_table`, a list of module paths such as ("model", "layers.0", "attn").
    `order` is a permutation of all items: the rows of the main graph first, then each body's own, each in
    display order (its scopes contiguous). A cyclic graph is ordered as far as it goes, the rest in file order.
    `bodies` hold what opens in place; `owners` maps an item to the bodies it opens into.
    The main graph is items 0 <= i < `main`.
    """

    names: list[str]
    ops: list[str]
    paths: list[str]
    inputs: list[list[int]]
    scopes: list[int]
    scope_table: list[tuple[str, ...]]
    order: list[int]
    main: int
    bodies: list[Body] = []
    owners: dict[int, list[int]] = {}
    nodes: int = 0
    """Of the whole model, hidden Constants and nodes of bodies included."""


class Dim(msgspec.Struct, frozen=True):
    """A declared dimension of an input or output: a fixed `size`, or a `symbol`, or neither (unknown)."""

    size: int | None = None
    symbol: str = ""


class Port(msgspec.Struct, frozen=True):
    """A graph input or output. `dtype` as numpy spells it (`float32`). `dims` None: rank unknown.

    `shape_tensor` marks an input that TensorRT reads as a shape, which needs values in the profile.
    """

    name: str
    dtype: str
    dims: tuple[Dim, ...] | None
    shape_tensor: bool = False


class ModelSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a model right after opening it, weights unread. Sizes in bytes."""

    path: str
    ir_version: int
    opsets: dict[str, int]
    producer: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    nodes: int
    initializers: int
    weights_bytes: int
    external_bytes: int
    file_bytes: int
    functions: int = 0
    metadata: dict[str, str] = {}
    own_operators: tuple[str, ...] = ()
    """The operator types that neither ONNX nor ONNX Runtime defines, sorted: their names are the author's."""


class TensorDetail(msgspec.Struct, frozen=True):
    """One tensor at a node's border. `shapes` at min, opt and max, None where not known."""

    name: str
    dtype: str
    shapes: tuple[tuple[int, ...] | None, ...]
    role: str = "tensor"
    """`tensor`, `initializer`, `constant`, `input`, `output` or `missing`."""
    value: str = ""
    """A small constant's value, shortened."""
    formal: str = ""
    """The operator's own name for this input or output (`X`, `shape`)."""


class NodeDetail(msgspec.Struct, frozen=True, kw_only=True):
    """The inspector's view of one item."""

    path: str
    name: str
    op: str
    domain: str
    opset: int
    attributes: tuple[tuple[str, str], ...]
    inputs: tuple[TensorDetail, ...]
    outputs: tuple[TensorDetail, ...]
    source: SourceLine | None = None
    scope: tuple[str, ...] = ()
    doc: str = ""


class InitializerStats(msgspec.Struct, frozen=True, kw_only=True):
    """Statistics of one initializer, read from disk on demand. `error` says why they could not be read."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    bytes: int
    min: float | None = None
    max: float | None = None
    mean: float | None = None
    std: float | None = None
    zeros: int = 0
    nans: int = 0
    infs: int = 0
    fp16_subnormal: int = 0
    """How many non-zero values would be subnormal or zero in fp16."""
    fp16_overflow: int = 0
    histogram: tuple[int, ...] = ()
    error: str = ""
