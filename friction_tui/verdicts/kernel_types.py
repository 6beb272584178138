"""Which kernels of an engine are really in half, fp8 or int8, and why the others are not.

A kernel counts with the narrowest type of number that it reads: that is what the engine inspector says. What a fused
kernel computes in between it does not say.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from friction_tui.vocabulary.protocol import BuildResult, Kernel
from friction_tui.vocabulary.recipe import Precision, Recipe

NARROW = ("fp4", "int4", "fp8", "int8", "float16", "bfloat16")
"""Types of numbers narrower than float32, the narrowest first."""
WIDE = ("float32",)
NAMED = 4
"""Nodes that are named with a reason; the others are counted."""


def type_of(kernel: Kernel) -> str:
    """The type that a kernel counts with; "" for one that reads no numbers: it moves shapes, indices or truth."""
    return next((kind for kind in (*NARROW, *WIDE) if kind in kernel.reads), "")


def counts_of(build: BuildResult) -> dict[str, int]:
    """How many kernels count with each type, the narrowest type first."""
    counts = Counter(filter(None, map(type_of, build.kernels)))
    return {kind: counts[kind] for kind in (*NARROW, *WIDE) if kind in counts}


def share_text(build: BuildResult) -> str:
    """`kernels by what they read: 5 of 8 float16 (62%), 3 float32`; "" where the engine did not say."""
    counts = counts_of(build)
    total = sum(counts.values())
    if not total:
        return ""
    first, *rest = counts
    said = [f"{counts[first]} of {total} {first} ({100 * counts[first] // total}%)"]
    return "kernels by what they read: " + ", ".join([*said, *(f"{counts[kind]} {kind}" for kind in rest)])


def reasons(build: BuildResult, recipe: Recipe) -> list[str]:
    """Why kernels are in float32, one sentence a reason with the nodes; [] where none is, or where nothing is narrow.

    A model that is float32 throughout, as it was exported, has one reason: nothing else was asked for.
    """
    wide = [kernel for kernel in build.kernels if type_of(kernel) in WIDE]
    if not wide:
        return []
    narrow = any(type_of(kernel) in NARROW for kernel in build.kernels)
    if not narrow and recipe.precision is Precision.AS_EXPORTED:
        return ["the model is float32, and no other precision was chosen"]
    found: dict[str, list[Kernel]] = {}
    for kernel in wide:
        found.setdefault(_reason(kernel, build, recipe), []).append(kernel)
    return [f"{reason}: {_nodes(kernels, recipe)}" for reason, kernels in found.items()]


def _reason(kernel: Kernel, build: BuildResult, recipe: Recipe) -> str:
    if set(kernel.onnx_nodes) & set(recipe.keep_float32):
        return "kept float32 by the recipe"
    if any(kind in kernel.writes for kind in NARROW):
        return "turns float32 into the narrower type"
    if not kernel.onnx_nodes:
        return "moves data between layouts of TensorRT's own"
    if not build.typed:
        return "chosen by the builder, which does not say why"
    if recipe.precision in (Precision.FP16, Precision.BF16):
        return f"its operator stays float32 when a model is turned into {recipe.precision}"
    return "float32 in the model: no QuantizeLinear or Cast before it"


def _nodes(kernels: list[Kernel], recipe: Recipe) -> str:
    """How many they are, and of each the nodes that the recipe keeps, else its first node, else its own name."""
    names: dict[str, None] = {}
    for kernel in kernels:
        kept = [name for name in kernel.onnx_nodes if name in recipe.keep_float32]
        names |= dict.fromkeys(kept or kernel.onnx_nodes[:1] or (kernel.name,))
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{len(kernels)} kernel{'s' if len(kernels) > 1 else ''}, {', '.join(list(names)[:NAMED])}{more}"


def lines(build: BuildResult, recipe: Recipe) -> Iterator[str]:
    """What to tell after a build: the share, then why the rest is float32."""
    share = share_text(build)
    if share:
        yield share
        yield from (f"float32: {reason}" for reason in reasons(build, recipe))
