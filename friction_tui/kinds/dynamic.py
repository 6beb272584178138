"""Dynamic shapes.

What the model cannot do at some size of its ranges. Every node is followed at min, opt and max and at awkward sizes
between; then the sizes are varied one by one to find which one is to blame and which sizes work. TensorRT checks opt
when it builds, min and max with a warning at most, and the rest never: most of these build and fail at run time.

What fails only at sizes that the tool guessed is a warning at most, and says so; that a batch which is declared free
works at one size only is no guess. Where min, opt and max work and the
sizes between them have to be multiples, the finding is a warning until the range has that step.
"""

from functools import partial

from friction_tui.kinds.examples import But, Message, ModelText, Weights
from friction_tui.kinds.kind import Kind
from friction_tui.vocabulary.finding import Severity, Tier
from friction_tui.vocabulary.recipe import Values

DynamicKind = partial(
    Kind,
    title="{op} {node} {breaks}",
    severities=(Severity.ERROR, Severity.WARNING, Severity.NOTE),
    reads_sizes=True,
    matters=frozenset({"sizes"}),
    moot_under=("weights/size-mismatch",),
)
"""What the kinds of this family have in common, unless they say otherwise."""

BAKED_RESHAPE = DynamicKind(
    id="dynamic/baked-reshape",
    summary="A size of the example became a constant in a reshape",
    tiers=(Tier.SHAPES, Tier.BUILDER, Tier.PARSER),
    cause="""
`x.shape[0]` was a Python number while tracing, so the target of Reshape is a constant that fits one size only.
`[1, -1]` fits them all, and folds a larger batch into the features: then it is a node behind it that breaks.
""",
    evidence="""The target, the entry that holds the example's size, the element counts.""",
    example="""`x.view(1, 256)` with a dynamic batch: `reshape would change volume 1024 to 256`.""",
    fix="""
`x.flatten(1)`, or -1 for that entry; export again with the dimension dynamic. The tool can rewrite the entry.
""",
    shows=ModelText("g (float[n,3,8,8] x) => (float[a,b] y) <int64[2] s = {4, 192}> { [view] y = Reshape (x, s) }"),
    quiet=But("] s = {4,", "] s = {-1,"),
    rewrites=(
        "reshape-follow-input",
        "reshape-minus-one",
        "reshape-batch-copy",
        "reshape-entry-of-computed",
    ),
)

RESHAPE_REMAINDER = DynamicKind(
    id="dynamic/reshape-remainder",
    summary="The elements do not divide by the fixed entries of a reshape",
    tiers=(Tier.SHAPES, Tier.BUILDER, Tier.PARSER),
    cause="""
The target leaves one dimension to compute (-1) and the rest do not divide the element count at this size.
""",
    evidence="""The target, the count, and the multiple that works.""",
    example="""Windows of 7: `reshape(n, -1, 7, c)` for a length of 30.""",
    fix="""Pad to a multiple, or keep to sizes that divide.""",
    shows=ModelText(
        "g (float[1,t,4] x) => (float[1,b,7,4] y) <int64[4] s = {0, -1, 7, 4}> { [windows] y = Reshape (x, s) }",
        ranges={"t": (14, 28, 30)},
    ),
    quiet=But(ranges={"t": (28, 28, 28)}),
    rewrites=("reshape-follow-input",),
)

RESHAPE_VOLUME = DynamicKind(
    id="dynamic/reshape-volume",
    summary="A reshape that changes the number of elements",
    severities=(Severity.ERROR,),
    tiers=(Tier.SHAPES,),
    cause="""Input and target are both fixed and do not have the same number of elements.""",
    evidence="""Both shapes.""",
    example="""[2, 3] to [7].""",
    fix="""Correct the target.""",
    shows=ModelText("g (float[2,3] x) => (float[a] y) <int64[1] s = {7}> { [view] y = Reshape (x, s) }", ranges={}),
    quiet=But("1] s = {7", "1] s = {6"),
    rewrites=(
        "reshape-follow-input",
        "reshape-batch-copy",
    ),
)

BAKED_CONSTANT = DynamicKind(
    id="dynamic/baked-constant",
    summary="A constant of the example's size meets a dynamic one",
    tiers=(Tier.SHAPES,),
    cause="""
A mask, a class token, an initial state or a position table was built from the example's size at export: the
target of Expand or Tile, the bounds of a Slice, or the tensor itself is a constant.
""",
    evidence="""The constant with its size, the tensor it meets, the size that tensor follows.""",
    example="""`torch.zeros(1, 1, 8, 8)` as a causal mask in a Where against `[N, h, q, k]`.""",
    fix="""Build it from `x.shape`, or make it as large as needed and slice it; export again.""",
    shows=ModelText(
        """
        g (float[1,t,t] scores) => (float[1,t,t] y) <float low = {-1e9}> {
            [mask] y = Where (causal, scores, low) }
    """,
        ranges={"t": (4, 8, 16)},
        weights=(Weights("causal", (1, 8, 8), dtype="bool"),),
    ),
    quiet=But(ranges={"t": (8, 8, 8)}),
    rewrites=(
        "expand-follow-partner",
        "tile-follow-partner",
        "slice-to-the-end",
        "expand-constant",
        "table-follow-partner",
        "initial-state-follow-input",
    ),
)

BAKED_RESIZE = DynamicKind(
    id="dynamic/baked-resize",
    summary="A Resize that also resizes the batch",
    title="Resize {node} also resizes the batch",
    severities=(Severity.ERROR,),
    tiers=(Tier.SHAPES,),
    cause="""Resize has a constant for all sizes, the batch included. Another batch is interpolated to that size: every
runtime runs it and the result is wrong.""",
    evidence="""The sizes and the batches.""",
    example="""`F.interpolate(x, size=...)` in old exporters.""",
    fix="""Scales instead of sizes, or sizes computed from x.shape; from opset 18 on, axes [2, 3].""",
    shows=ModelText(
        "g (float[n,2,8,8] x) => (float[a,2,16,16] y) <int64[4] s = {1, 2, 16, 16}> { y = Resize (x, , , s) }"
    ),
    quiet=ModelText("g (float[n,2,8,8] x) => (float[n,2,16,16] y) <float[4] s = {1, 1, 2, 2}> { y = Resize (x, , s) }"),
    rewrites=("resize-spatial-only",),
)

STRIDE_MULTIPLE = DynamicKind(
    id="dynamic/stride-multiple",
    summary="Only multiples of a stride work",
    tiers=(Tier.SHAPES,),
    cause="""
A size is halved and doubled again, or cut into blocks. Other sizes lose their remainder on the way, and the
skip connection no longer fits.
""",
    evidence="""The node, the two sizes that meet, the divisor.""",
    example="""A U-Net with three levels needs multiples of 8: `Axis 2 has mismatched dimensions of 16 and 17`.""",
    fix="""Ranges of multiples (the tool offers them), padding, or a resize of the skip connection.""",
    shows=ModelText(
        """
        g (float[1,4,h,64] x) => (float[1,8,h,64] y) {
            [pool] p = MaxPool <kernel_shape = [4, 4], strides = [4, 4]> (x)
            [up] u = ConvTranspose <strides = [4, 4]> (p, k)
            [skip] y = Concat <axis = 1> (u, x) }
    """,
        ranges={"h": (32, 66, 128)},
        weights=(Weights("k", (4, 4, 4, 4)),),
    ),
    quiet=But(ranges={"h": (64, 64, 64)}),
    rewrites=("fit-to-first",),
)

TABLE_TOO_SHORT = DynamicKind(
    id="dynamic/table-too-short",
    summary="A constant table shorter than the input",
    tiers=(Tier.SHAPES,),
    cause="""A constant (position embedding, mask) is sliced to the input's length and has fewer entries.""",
    evidence="""The constant, its length, the first size that is too long.""",
    example="""512 positions and a sequence of 1024.""",
    fix="""Keep the max at its length, or export with a longer table.""",
    shows=ModelText(
        """
        g (int64[1,t] ids) => (float[1,t,8] y) <int64[1] zero = {0}, int64[1] one = {1}> {
            e = Gather (tokens, ids)
            length = Shape <start = 1, end = 2> (ids)
            p = Slice (positions, zero, length, one)
            [embed] y = Add (e, p) }
    """,
        ranges={"t": (1, 8, 32)},
        weights=(Weights("tokens", (30, 8)), Weights("positions", (1, 16, 8))),
    ),
    quiet=But(ranges={"t": (1, 8, 16)}),
    rewrites=("slice-to-the-end",),
)

MUST_BE_EQUAL = DynamicKind(
    id="dynamic/must-be-equal",
    summary="Two sizes that must be equal and need not be",
    tiers=(Tier.SHAPES,),
    cause="""Two operands follow different sizes, which the ranges allow to differ.""",
    evidence="""Which operand follows which size.""",
    example="""`a [N, 4] + b [M, 4]`.""",
    fix="""The same sizes at every point; one symbol for both.""",
    shows=ModelText(
        "g (float[n,4] a, float[m,4] b) => (float[c,4] y) { [sum] y = Add (a, b) }",
        ranges={"n": (1, 2, 4), "m": (1, 3, 4)},
    ),
    quiet=But(", float[m,", ", float[n,", ranges={"n": (1, 2, 4)}),
    rewrites=(
        "expand-follow-partner",
        "tile-follow-partner",
        "expand-constant",
    ),
)

BROADCAST = DynamicKind(
    id="dynamic/broadcast",
    summary="Sizes that cannot be broadcast",
    tiers=(Tier.SHAPES, Tier.BUILDER, Tier.PARSER),
    cause="""Sizes that meet in an element-wise operation must be equal, or 1.""",
    evidence="""Both shapes, the axis.""",
    example="""[1, 4, 8] + [1, 16, 8].""",
    fix="""Make both follow the same size.""",
    shows=ModelText("g (float[1,4,8] x, float[1,16,8] z) => (float[1,c,8] y) { [sum] y = Add (x, z) }", ranges={}),
    quiet=But("float[1,16", "float[1,1"),
    rewrites=(
        "expand-follow-partner",
        "tile-follow-partner",
        "slice-to-the-end",
        "expand-constant",
        "table-follow-partner",
    ),
)

CONCAT = DynamicKind(
    id="dynamic/concat",
    summary="Parts that do not join",
    tiers=(Tier.SHAPES, Tier.BUILDER, Tier.PARSER),
    cause="""Parts to concatenate must agree on every other axis.""",
    evidence="""The shapes, the axis.""",
    example="""[1, 4, 32] and [1, 4, 33] along axis 1.""",
    fix="""Pad or crop one of them.""",
    shows=ModelText(
        "g (float[1,4,32] x, float[1,4,33] z) => (float[1,8,32] y) { [join] y = Concat <axis = 1> (x, z) }", ranges={}
    ),
    quiet=But("float[1,4,33", "float[1,4,32"),
    rewrites=(
        "expand-follow-partner",
        "tile-follow-partner",
        "slice-to-the-end",
        "expand-constant",
        "table-follow-partner",
    ),
)

MATMUL = DynamicKind(
    id="dynamic/matmul",
    summary="A matrix product whose inner size changes",
    tiers=(Tier.SHAPES, Tier.BUILDER, Tier.PARSER),
    cause="""The number of features depends on the size of the input, and the weights are made for one.""",
    evidence="""Both sizes, and the Flatten or Reshape that made features of the spatial size.""",
    example="""Flatten, then Gemm for 3×8×8 = 192 features, with dynamic height and width.""",
    fix="""Fix the size, or pool to a fixed size before flattening.""",
    shows=ModelText(
        "g (float[1,3,h,8] x) => (float[1,10] y) { [flat] f = Flatten (x) [fc] y = Gemm (f, w) }",
        ranges={"h": (8, 16, 32)},
        weights=(Weights("w", (192, 10)),),
    ),
    quiet=But(ranges={"h": (8, 8, 8)}),
)

SQUEEZE = DynamicKind(
    id="dynamic/squeeze",
    summary="A squeeze of an axis that is not always 1",
    tiers=(Tier.SHAPES, Tier.BUILDER, Tier.PARSER),
    cause="""
The axis was 1 in the example. Without axes Squeeze removes every axis of size 1, so that even the rank depends
on the input; TensorRT fixes the rank when it builds.
""",
    evidence="""The axis and its sizes.""",
    example="""`x.squeeze()` or `x.squeeze(0)` with a dynamic batch.""",
    fix="""Remove it, or name an axis that is always 1.""",
    shows=ModelText("g (float[n,4,1] x) => (float[a,b] y) <int64[1] axes = {0}> { [drop] y = Squeeze (x, axes) }"),
    quiet=But("axes = {0", "axes = {2"),
    rewrites=(
        "squeeze-fixed-axes",
        "working-branch",
        "drop-squeeze",
    ),
)

INDEX_RANGE = DynamicKind(
    id="dynamic/index-range",
    summary="An index out of range",
    tiers=(Tier.SHAPES, Tier.BUILDER, Tier.PARSER),
    cause="""A constant index lies outside its axis, always or at some sizes. TensorRT does not check indices: it
builds, and rows of zeros were seen to come out (NVIDIA/TensorRT#4774).""",
    evidence="""Index, axis, size.""",
    example="""Token 7 in a table of 4; `x[:, 15]` for a length that may be 4.""",
    fix="""Correct the index or the table; -1 for the last one; raise the min.""",
    shows=ModelText(
        "g (float[1,t,8] x) => (float[1,8] y) <int64 i = {15}> { [last] y = Gather <axis = 1> (x, i) }",
        ranges={"t": (4, 16, 32)},
    ),
    quiet=But("int64 i = {15", "int64 i = {-1"),
)

UNROLLED_LOOP = DynamicKind(
    id="dynamic/unrolled-loop",
    summary="A loop over a dynamic axis that was unrolled for the example",
    severities=(Severity.ERROR, Severity.WARNING),
    tiers=(Tier.SHAPES,),
    cause="""`for t in range(x.shape[1])` is a Python loop: the export holds one Gather for each step of the example. A
shorter input is read out of range; the rest of a longer one is ignored without an error.""",
    evidence="""The indices 0, 1, 2... of one axis that follows the input.""",
    example="""A GRUCell called step by step over 6 frames.""",
    fix="""Work on the whole axis, or a scripted loop or scan; export again with the size dynamic.""",
    shows=ModelText(
        """
        g (float[1,t,4] x) => (float[1,4] y) <int64 i = {0}, int64 j = {1}, int64 k = {2}, int64 l = {3}> {
            [step0] a = Gather <axis = 1> (x, i)
            [step1] b = Gather <axis = 1> (x, j)
            [step2] c = Gather <axis = 1> (x, k)
            [step3] d = Gather <axis = 1> (x, l)
            y = Sum (a, b, c, d) }
    """,
        ranges={"t": (2, 4, 9)},
    ),
    quiet=But(ranges={"t": (4, 4, 4)}),
)

PAD = DynamicKind(
    id="dynamic/pad",
    summary="Pads that do not fit",
    tiers=(Tier.SHAPES,),
    cause="""
Reflection needs a dimension larger than the pad; cropping (negative pads) cannot take more than there is.
""",
    evidence="""Pads and size.""",
    example="""Reflection by 4 at size 2.""",
    fix="""Raise the min, or pad with constants.""",
    shows=ModelText(
        """
        g (float[1,1,w] x) => (float[1,1,v] y) <int64[6] pads = {0, 0, 4, 0, 0, 4}> {
            [pad] y = Pad <mode = "reflect"> (x, pads) }
    """,
        ranges={"w": (2, 16, 32)},
    ),
    quiet=But(ranges={"w": (5, 16, 32)}),
)

TOPK = DynamicKind(
    id="dynamic/topk",
    summary="K larger than the axis",
    tiers=(Tier.SHAPES, Tier.BUILDER, Tier.PARSER),
    cause="""K is a constant, and at small sizes the axis has fewer elements.""",
    evidence="""K and the size.""",
    example="""The best 100 of 50 boxes.""",
    fix="""Raise the min to K, or `min(k, n)` at export.""",
    shows=ModelText(
        "g (float[1,t] x) => (float[1,k] y) <int64[1] k = {100}> { [best] y, i = TopK (x, k) }",
        ranges={"t": (50, 200, 400)},
    ),
    quiet=But(ranges={"t": (100, 200, 400)}),
)

COLLAPSED = DynamicKind(
    id="dynamic/collapsed",
    summary="An input smaller than the kernel",
    tiers=(Tier.SHAPES, Tier.BUILDER, Tier.PARSER),
    cause="""The input is smaller than the kernel at this size.""",
    evidence="""Window and size.""",
    example="""A 7×7 pooling on a 4×4 map.""",
    fix="""Raise the min, or pool globally.""",
    shows=ModelText(
        "g (float[1,3,h,h] x) => (float[1,3,p,p] y) { [pool] y = AveragePool <kernel_shape = [7, 7]> (x) }",
        ranges={"h": (4, 14, 28)},
    ),
    quiet=But(ranges={"h": (7, 14, 28)}),
)

SPLIT = DynamicKind(
    id="dynamic/split",
    summary="Parts that do not add up",
    tiers=(Tier.SHAPES,),
    cause="""The sizes of the parts are constants and the axis is dynamic.""",
    evidence="""The parts and the size.""",
    example="""`torch.split(x, [4, 4], 1)` for 12 channels.""",
    fix="""`torch.chunk`, or sizes computed from the shape.""",
    shows=ModelText(
        """
        g (float[1,c] x) => (float[1,4] a, float[1,4] b) <int64[2] sizes = {4, 4}> {
            [parts] a, b = Split <axis = 1> (x, sizes) }
    """,
        ranges={"c": (8, 8, 12)},
    ),
    quiet=But(ranges={"c": (8, 8, 8)}),
    rewrites=("split-equally",),
)

SLICE = DynamicKind(
    id="dynamic/slice",
    summary="A slice beyond the tensor",
    tiers=(Tier.SHAPES, Tier.BUILDER, Tier.PARSER),
    cause="""Bounds, axes or steps do not fit the shape.""",
    evidence="""The bounds and the shape.""",
    example="""A step of 0.""",
    fix="""Take the bounds from the input's shape.""",
    shows=ModelText(
        """
        g (float[1,8] x) => (float[1,4] y) <
            int64[1] start = {0}, int64[1] end = {4}, int64[1] axis = {1}, int64[1] step = {0}> {
            [cut] y = Slice (x, start, end, axis, step) }
    """,
        ranges={},
    ),
    quiet=But("step = {0", "step = {1"),
    moot_under=("dynamic/axis",),
    rewrites=("slice-to-the-end",),
)

RANGE = DynamicKind(
    id="dynamic/range",
    summary="A Range that never ends",
    tiers=(Tier.SHAPES,),
    cause="""The step is 0 or leads away from the limit.""",
    evidence="""Start, limit, step.""",
    example="""Range(0, 4, 0).""",
    fix="""Correct the limits.""",
    shows=ModelText(
        """
        g (int64 first) => (int64[m] y) <int64 start = {0}, int64 limit = {4}, int64 step = {0}> {
            [count] r = Range (start, limit, step)
            y = Add (r, first) }
    """,
        ranges={},
    ),
    quiet=But("step = {0}>", "step = {1}>"),
)

SHAPE_VALUES = DynamicKind(
    id="dynamic/shape-values",
    summary="Values of a shape tensor that do not fit",
    severities=(Severity.ERROR,),
    tiers=(Tier.SHAPES,),
    cause="""The values given for a shape-tensor input ask for a shape the data cannot have.""",
    evidence="""The node and both shapes.""",
    example="""Values [3, 4] for the target of a reshape of 8 elements.""",
    fix="""Correct the values, or the other ranges.""",
    shows=ModelText(
        "g (float[n,4] x, int64[2] target) => (float[a,b] y) { [view] y = Reshape (x, target) }",
        values={"target": Values((1, 4), (2, 3), (4, 4))},
    ),
    quiet=But(values={"target": Values((1, 4), (2, 4), (4, 4))}),
)

CANNOT_WORK = DynamicKind(
    id="dynamic/cannot-work",
    summary="Sizes an operator does not allow",
    tiers=(Tier.SHAPES,),
    cause="""The operator's own rules are broken at this size.""",
    evidence="""The shapes and the rule.""",
    example="""DepthToSpace in blocks of 2 × 2 of 6 channels, which are not a multiple of 4.""",
    fix="""Change the sizes, or the node.""",
    shows=ModelText(
        "g (float[1,6,4,4] x) => (float[1,c,8,8] y) { [up] y = DepthToSpace <blocksize = 2> (x) }", ranges={}
    ),
    quiet=But("float[1,6", "float[1,8"),
    vague=True,
    rewrites=(
        "reshape-follow-input",
        "reshape-one-minus-one",
        "reshape-copy-zero",
        "squeeze-fixed-axes",
    ),
)

BREAKS = DynamicKind(
    id="dynamic/breaks",
    summary="The builder says that a point cannot run",
    title="The builder says that a point cannot run",
    severities=(Severity.ERROR,),
    tiers=(Tier.SHAPES,),
    cause="""
TensorRT warns `Profile kMIN values are not self-consistent` and builds an engine that cannot run there.
""",
    evidence="""Its text.""",
    example="""kMAX sizes beyond a position table.""",
    fix="""Change the range.""",
    shows=Message("Profile kMAX values are not self-consistent: positions has 512 entries"),
    quiet=ModelText("g (float[n,4] x) => (float[n,4] y) { y = Relu (x) }"),
    vague=True,
)

LAYER_PARAMETERS = DynamicKind(
    id="dynamic/layer-parameters",
    summary="Stored weights that are made for another number of channels",
    tiers=(Tier.SHAPES, Tier.BUILDER, Tier.PARSER),
    cause="""
The weights of a convolution, or scale and bias of a normalization, fix the channels of the input, and these
are others: a layout was swapped, a Concat lost, a group count changed. GroupNormalization takes one value a group at
opset 18 to 20 and one a channel from 21 on.
""",
    evidence="""The shapes of input and parameter.""",
    example="""A weight [4, 1, 3, 3] for an input of 3 channels.""",
    fix="""Correct the weight or the input; for GroupNormalization export at the opset the parameters are made for.""",
    shows=ModelText(
        "g (float[n,3,8,8] x) => (float[n,4,6,6] y) { [conv] y = Conv (x, w) }", weights=(Weights("w", (4, 1, 3, 3)),)
    ),
    quiet=But(weights=(Weights("w", (4, 3, 3, 3)),)),
)

AXIS = DynamicKind(
    id="dynamic/axis",
    summary="An axis the input does not have",
    tiers=(Tier.SHAPES,),
    cause="""Axis or perm counts more dimensions than the input has.""",
    evidence="""The axis and the shape.""",
    example="""Softmax with axis 5 on a matrix.""",
    fix="""Correct the axis; -1 is the last one.""",
    shows=ModelText("g (float[n,8] x) => (float[n,8] y) { [probs] y = Softmax <axis = 5> (x) }"),
    quiet=But("<axis = 5", "<axis = -1"),
    matters=frozenset({"axis"}),
)

FOLDED_BATCH = DynamicKind(
    id="dynamic/folded-batch",
    summary="A reshape that folds the batch into another axis",
    severities=(Severity.WARNING, Severity.ERROR),
    tiers=(Tier.HAZARD, Tier.SHAPES),
    cause="""
The first entry of the target is the batch of the example, and a -1 behind it takes in whatever a larger batch
brings. Or the -1 stands in front and takes in the batch together with a size whose example is in the entries behind it.
No runtime refuses it where the elements divide: the samples of a batch end up in one row, or one sample in several.
""",
    evidence="""The shapes before and behind for a batch of 2; no result has the batch as an axis again.""",
    example="""`x.view(1, -1)` with a dynamic batch; `x.view(-1, 16 * 8)` with a dynamic length of 16 at export.""",
    fix="""`x.flatten(1)`, or -1 for the first entry; export again with the batch dynamic.""",
    shows=ModelText(
        "g (float[n,16] x) => (float[a,m] y) <int64[2] s = {1, -1}> { [view] r = Reshape (x, s) y = Relu (r) }"
    ),
    quiet=But("s = {1, -1", "s = {-1, 16"),
    moot_under=("dynamic/baked-reshape",),
    rewrites=(
        "reshape-follow-input",
        "reshape-batch-copy",
    ),
)

OUTPUT_STAYS = DynamicKind(
    id="dynamic/output-stays",
    summary="An output that does not follow the size it is declared with",
    title="The output {output} has {size} on axis {axis} whatever {key} is",
    severities=(Severity.WARNING,),
    tiers=(Tier.HAZARD,),
    cause="""
The model says that an axis of an output has the size of an input's axis, and it has one and the same size at the two
largest sizes of the range. A slice, an index, a reshape or a reduction took the size of the example, or took the axis
away. No runtime refuses it: declared names of sizes are not checked. Whoever feeds a batch of 8 gets results for as
many as the example had.
""",
    evidence="""The shapes of the output at max of the dimension and one step below, the others at opt.""",
    example="""`return y[:2]` where 2 was the batch of the example.""",
    fix="""Take the size from the input (`y[: x.shape[0]]`), or do not declare the output's axis as dynamic.""",
    shows=ModelText(
        "g (float[n,8] x) => (float[n,8] y) <int64[1] a = {0}, int64[1] b = {2}> "
        "{ r = Relu (x) [cut] y = Slice (r, a, b, a) }"
    ),
    quiet=But("float[n,8] y", "float[k,8] y"),
    moot_under=("dynamic/baked-reshape", "dynamic/folded-batch", "dynamic/baked-constant"),
)
