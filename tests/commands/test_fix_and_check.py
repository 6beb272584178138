"""`fix` and `check` judge alike: what `fix` says of the model that it writes, `check` says of that file."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import onnx
import pytest

from friction_tui.commands import checking, fix
from friction_tui.kinds import KINDS
from friction_tui.kinds.examples import Built, ModelText
from friction_tui.report import answered
from friction_tui.samples import SAMPLES, sample
from friction_tui.vocabulary.recipe import Profile, Range, Recipe, Source
from friction_tui.worker.headless import ask_all
from tests.kinds.judged import model_of_example
from tests.rewrites.mended import model_of

pytest.importorskip("tensorrt_rtx", reason="asks the RTX edition, which is part of the cpu extra, not of gpu")

PRODUCT = "g (float[n,8] x, float[8,4] w) => (float[n,4] y) { y = MatMul(x, w) }"
ATTENTION_IN_IF = """g (float[1,4,8,16] q, bool c) => (float[1,4,8,16] y) {
    y = If(c) <then_branch = g1 () => (float[1,4,8,16] a) { a = Attention(q, q, q) },
               else_branch = g2 () => (float[1,4,8,16] b) { b = Neg(q) }>
}"""
MASK = "g (float[n,6] x, bool[n] m) => (float[k,6] y) { y = Compress<axis=0>(x, m) }"


def statuses(path: Path, recipe: Recipe, folder: Path) -> tuple[int, int]:
    """The exit statuses of `fix` and of `check` of its output, with the same options."""
    out = folder / "fixed" / "fixed.onnx"
    out.parent.mkdir()
    asked: dict[str, Any] = {"level": "", "only": (), "form": "json", "script": None, "diff": False, "cut": False}
    fixed = fix.run(recipe, out, **asked, allow=False)
    again = msgspec.structs.replace(recipe, source=Source(str(out)))
    answers = asyncio.run(ask_all([again], parallel=1))
    verdicts = [answered.verdict_of(answer) for answer in answers]
    return fixed, checking.exit_code(verdicts, checking.fail_on("error"))


@pytest.mark.parametrize(
    ("text", "opset", "target", "status"),
    [
        pytest.param(PRODUCT, 17, "", 0, id="sound"),
        pytest.param(PRODUCT, 17, "SM75", 1, id="no kernel on the target"),
        pytest.param(ATTENTION_IN_IF, 23, "", 1, id="no kernel for a node at risk"),
        pytest.param(MASK, 17, "", 0, id="mended"),
    ],
)
def test_fix_ends_as_check_of_its_output_does(text: str, opset: int, target: str, status: int, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    onnx.save(model_of(text, opset).proto, str(path))
    recipe = Recipe(source=Source(str(path)), profile=Profile({"n": Range(1, 2, 4)}), target=target)
    assert statuses(path, recipe, tmp_path) == (status, status)


def _examples() -> list[Any]:
    """The model that shows each kind: on those that show none there is nothing to fix."""
    return [
        pytest.param(kind.shows, id=kind.id) for kind in KINDS.values() if isinstance(kind.shows, ModelText | Built)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("example", _examples())
def test_they_agree_on_the_examples_of_all_kinds(example: ModelText | Built, tmp_path: Path) -> None:
    model = model_of_example(example, tmp_path)
    path = tmp_path / "model.onnx"
    onnx.save(model.proto, str(path))
    around = example.around if isinstance(example, Built) else example
    recipe = Recipe(
        source=Source(str(path)),
        profile=Profile() if around.guessed else around.profile,
        precision=around.precision,
        target=around.target,
        parse=around.parsed,
    )
    fixed, checked = statuses(path, recipe, tmp_path)
    assert fixed == checked


@pytest.mark.slow
@pytest.mark.parametrize("name", SAMPLES)
def test_they_agree_on_the_samples(name: str, tmp_path: Path) -> None:
    path = sample(name)
    assert path is not None
    fixed, checked = statuses(path, Recipe(source=Source(str(path)), profile=Profile()), tmp_path)
    assert fixed == checked
