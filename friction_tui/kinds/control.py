"""Control flow.

If, Loop and Scan. The parser takes nearly all of them; the builder refuses what follows.
"""

from functools import partial

from friction_tui.kinds.examples import But, Message, ModelText
from friction_tui.kinds.kind import Kind
from friction_tui.vocabulary.finding import Severity, Tier

ControlKind = partial(
    Kind,
    matters=frozenset({"sizes"}),
)
"""What the kinds of this family have in common, unless they say otherwise."""

GROWING_STATE = ControlKind(
    id="control/growing-state",
    summary="A loop carries a tensor that changes its shape",
    title="{op} {node} carries a tensor that changes its shape",
    severities=(Severity.ERROR, Severity.WARNING),
    tiers=(Tier.BUILDER, Tier.PARSER),
    cause="""
TensorRT's recurrence (IRecurrenceLayer) keeps one shape for all iterations. A state that grows by one column
per step, as in a decoder that appends to its output, does not.
""",
    evidence="""
The carried tensor, its shape on entry and after each of the first iterations, the node that changes it.
""",
    example="""`ids = torch.cat([ids, next], 1)` in a scripted loop: `First input has shape [3,1] and second [3,2]`.""",
    fix="""Pre-allocate the tensor at its final size and write into it; unroll the loop; or export one step.""",
    shows=ModelText(
        """
        g (float[8] x) => (float[a] y) <int64 trips = {3}, bool on = {1}> {
            [main] y = Loop (trips, on, x) <
                body = b (int64 i, bool ci, float[a] s) => (bool co, float[a] out) {
                    co = Identity (ci)
                    [grow] out = Concat <axis = 0> (s, s) }> }
    """,
        ranges={},
    ),
    quiet=But("Concat <axis = 0>", "Add"),
    reads_sizes=True,
    rewrites=("unroll-loop",),
)

LOOP_CONDITION = ControlKind(
    id="control/loop-condition",
    summary="A loop without a condition whose body reads one",
    title="Loop {node} has no condition, and its body reads it",
    tiers=(Tier.PARSER,),
    cause="""
The condition of a Loop may be left blank: then only the trip count ends it, and the body is given true. TensorRT
makes no tensor for a blank input, so a body that reads its condition reads nothing.
""",
    evidence="""The loop, the body's name for the condition, and the node that reads it.""",
    example="""`Loop(M, "", x)` with `cond_out = Identity(cond_in)` in the body: `Node input was not registered`.""",
    fix="""Give the loop a constant true as its condition.""",
    shows=ModelText(
        """
        g (float[8] x) => (float[8] y) <int64 trips = {3}, bool on = {1}> {
            [main] y = Loop (trips, , x) <
                body = b (int64 i, bool ci, float[8] s) => (bool co, float[8] out) {
                    co = Identity (ci)
                    out = Mul (s, s) }> }
    """,
        ranges={},
    ),
    quiet=But("(trips, ,", "(trips, on,"),
    rewrites=("loop-condition", "unroll-loop"),
)

SLICE_BY_ITERATION = ControlKind(
    id="control/slice-by-iteration",
    summary="A slice whose bounds move with the iterations of a loop",
    title="Slice {slice} moves with the iterations of Loop {loop}",
    tiers=(Tier.BUILDER,),
    cause="""
TensorRT-RTX 1.7.1 cannot build a Slice inside a Loop whose bounds are computed from the iteration number or
from the carried state; it stops with an internal error. A Gather by the same number builds.
""",
    evidence="""The slice, the bound that changes, the loop.""",
    example="""`x[i:i+1]` in a scripted `for i in range(n)`.""",
    fix="""`x[i]` (Gather), or a Scan over the rows.""",
    shows=ModelText(
        """
        g (float[8] x) => (float[8] y) <int64 trips = {3}, bool on = {1}, int64[1] zero = {0}, int64 one = {1}> {
            [main] y = Loop (trips, on, x) <
                body = b (int64 i, bool ci, float[8] s) => (bool co, float[8] out) {
                    co = Identity (ci)
                    first = Unsqueeze (i, zero)
                    next = Add (i, one)
                    end = Unsqueeze (next, zero)
                    [row] r = Slice (x, first, end)
                    m = ReduceSum <keepdims = 0> (r)
                    out = Add (s, m) }> }
    """,
        ranges={},
    ),
    quiet=But("r = Slice", "r = Gather", "first, end", "first"),
    rewrites=("slice-to-gather", "unroll-loop"),
)

NESTED_IF = ControlKind(
    id="control/nested-if",
    summary="An If in a branch of another If, with dynamic sizes",
    title="If {inner} stands in a branch of If {outer}, with dynamic sizes",
    tiers=(Tier.BUILDER,),
    cause="""
TensorRT-RTX 1.7.1 cannot build an If inside a branch of another one when both are decided at run time and the
inner one works on a dynamic shape.
""",
    evidence="""Both nodes and their conditions.""",
    example="""`if a: (if b: x * m else: -x) else: relu(x)` with a dynamic batch.""",
    fix="""`torch.where` for the inner choice, or fixed sizes.""",
    shows=ModelText("""
        g (float[n,6] x, bool a, bool b) => (float[n,6] y) {
            [outer] y = If (a) <
                then_branch = t () => (float[n,6] u) {
                    [inner] u = If (b) <
                        then_branch = p () => (float[n,6] m) { m = Relu (x) },
                        else_branch = q () => (float[n,6] k) { k = Neg (x) }> },
                else_branch = e () => (float[n,6] v) { v = Tanh (x) }> }
    """),
    quiet=ModelText(
        """
        g (float[4,6] x, bool a, bool b) => (float[4,6] y) {
            [outer] y = If (a) <
                then_branch = t () => (float[4,6] u) {
                    [inner] u = If (b) <
                        then_branch = p () => (float[4,6] m) { m = Relu (x) },
                        else_branch = q () => (float[4,6] k) { k = Neg (x) }> },
                else_branch = e () => (float[4,6] v) { v = Tanh (x) }> }
    """,
        ranges={},
    ),
    reads_sizes=True,
    rewrites=("inline-if", "if-to-where"),
)

DYNAMIC_TRIP_COUNT = ControlKind(
    id="control/dynamic-trip-count",
    summary="The number of iterations depends on values",
    severities=(Severity.ERROR, Severity.WARNING),
    tiers=(Tier.PARSER, Tier.BUILDER),
    cause="""
A Loop with scan outputs stacks one row per iteration; if the trip count is computed from values, the number of
rows is data-dependent.
""",
    evidence="""The trip count and what computes it.""",
    example="""`for i in range(int(lengths.max())): outs.append(...)`.""",
    fix="""A constant trip count, or one taken from x.shape; a pre-allocated result.""",
    shows=ModelText(
        """
        g (float[4] x, float[3] lengths) => (float[4] last, float[m,4] y) <bool on = {1}, int64 three = {3}> {
            longest = ReduceMax <keepdims = 0> (lengths)
            trips = Cast <to = 7> (longest)
            [main] last, y = Loop (trips, on, x) <
                body = b (int64 i, bool ci, float[4] s) => (bool co, float[4] out, float[4] row) {
                    co = Identity (ci)
                    out = Add (s, x)
                    row = Identity (out) }> }
    """,
        ranges={},
    ),
    quiet=But("Loop (trips,", "Loop (three,"),
    rewrites=("unroll-loop",),
)

IF_BRANCHES = ControlKind(
    id="control/if-branches",
    summary="The branches of an If differ in rank",
    title="The branches of If {node} differ in rank",
    severities=(Severity.ERROR, Severity.WARNING),
    tiers=(Tier.BUILDER, Tier.PARSER),
    cause="""
TensorRT wants the same rank from both branches, unless the condition is known when it builds: computed from
constants and from sizes without a range. A condition that merely happens to be the same for every size is not folded.
""",
    evidence="""Both shapes and the condition.""",
    example="""`x.squeeze(1)` on a size the exporter did not know becomes `If(size == 1, Squeeze, Identity)`.""",
    fix="""Squeeze an axis that is always 1, keep the dimension, or fix the size the condition tests.""",
    shows=ModelText(
        """
        g (float[n,c,4] x) => (float[a,b] y) <int64[1] one = {1}> {
            s = Shape (x)
            size = Gather (s, one)
            alone = Equal (size, one)
            [branch] y = If (alone) <
                then_branch = t () => (float[a,b] m) { [drop] m = Squeeze (x, one) },
                else_branch = e () => (float[a,b,4] k) { k = Identity (x) }> }
    """,
        ranges={"n": (1, 2, 4), "c": (1, 2, 4)},
    ),
    quiet=But(ranges={"n": (1, 2, 4), "c": (1, 1, 1)}),
    reads_sizes=True,
    rewrites=("inline-if", "if-branch-of-larger-sizes", "if-same-rank"),
)

BRANCH_CANNOT_WORK = ControlKind(
    id="control/branch-cannot-work",
    summary="A branch that cannot work at any size",
    title="{op} {node} {breaks}",
    tiers=(Tier.SHAPES,),
    cause="""
TensorRT works out the shapes of both branches, whichever is taken at run time, so a branch that would never be
taken still has to be valid. Where it fails at some sizes only, the finding is the one of the node.
""",
    evidence="""The node in the branch, with its sizes.""",
    example="""Reshape of 8 elements to [7] in the then branch, where the else branch works.""",
    fix="""Make the branch valid, or fold the If.""",
    shows=ModelText(
        """
        g (float[2,4] x, bool k) => (float[a] y) <int64[1] s = {7}, int64[1] all = {-1}> {
            [choice] y = If (k) <
                then_branch = t () => (float[a] m) { [view] m = Reshape (x, s) },
                else_branch = e () => (float[8] w) { [flat] w = Reshape (x, all) }> }
    """,
        ranges={},
    ),
    quiet=But("1] s = {7", "1] s = {8"),
    reads_sizes=True,
    rewrites=("inline-if", "working-branch"),
)

LOOP_BODY = ControlKind(
    id="control/loop-body",
    summary="Not supported inside a loop",
    severities=(Severity.ERROR, Severity.WARNING),
    tiers=(Tier.BUILDER, Tier.PARSER),
    cause="""The builder has operators and patterns it does not take inside a loop body.""",
    evidence="""Its text: `operation not supported within a loop body`.""",
    example="""LSTM with sequence lengths on TensorRT 8.""",
    fix="""Move it out, unroll, or drop the lengths.""",
    shows=Message("/decoder/LSTM: operation not supported within a loop body"),
    quiet=ModelText(
        """
        g (float[8] x) => (float[8] y) <int64 trips = {3}, bool on = {1}> {
            [main] y = Loop (trips, on, x) <
                body = b (int64 i, bool ci, float[8] s) => (bool co, float[8] out) {
                    co = Identity (ci)
                    out = Mul (s, s) }> }
    """,
        ranges={},
    ),
    rewrites=("unroll-loop", "unroll-scan"),
)
