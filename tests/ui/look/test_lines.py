"""Text in cells: nothing is cut without an ellipsis, nothing is lost in wrapping, few style runs."""

import pytest
from rich.cells import cell_len
from rich.style import Style

from friction_tui.ui.look.lines import Line, cut, fitted, strip_of, width_of, wrapped

TEXTS = ["head/Reshape breaks for every batch but 1", "日本語のノード名", "a" * 50, "x", ""]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("width", [1, 2, 7, 20, 60])
def test_cut_fits_and_says_that_it_cut(text: str, width: int) -> None:
    spans = cut([(text[:3], "error"), (text[3:], "name")], width)
    shown = "".join(part for part, _ in spans)
    assert cell_len(shown) <= width
    assert shown == text or shown.endswith("…")


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("width", [2, 9, 33])
def test_wrapping_loses_no_character(text: str, width: int) -> None:
    lines = wrapped(text, width)
    assert all(cell_len(line) <= width for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


@pytest.mark.parametrize("width", [3, 10, 24, 80])
def test_a_line_takes_its_width_exactly_and_keeps_its_tail(width: int) -> None:
    spans = fitted(Line((("a long beginning of a line", "text"),), (("tail", "muted"),)), width)
    assert width_of(spans) == width
    if width >= 24:
        assert "".join(text for text, _ in spans).endswith("tail")


def test_neighbours_of_one_role_are_one_run_and_control_characters_are_shown() -> None:
    strip = strip_of([("a", "x"), ("b", "x"), ("  ", "y"), ("c\x1b[31m\n", "x")], lambda _: Style())
    assert len(list(strip)) == 1
    assert strip.text == "ab  c\\x1b[31m\\n"


def test_what_is_written_out_as_an_escape_is_cut_with_an_ellipsis() -> None:
    line = Line((("👩\u200d👩\u200d👧/[bold]x[/bold]", "name"),), (("x fix", "muted"),))
    spans = fitted(line, 24)
    assert width_of(spans) == 24
    assert "…" in spans[0][0] and spans[-1][0] == "x fix"


def test_a_path_is_broken_after_a_slash() -> None:
    assert wrapped("at /models/detector/version_12/model.onnx", 24) == [
        "at",
        "/models/detector/",
        "version_12/model.onnx",
    ]
    assert wrapped("x" * 30, 24) == ["x" * 24, "x" * 6]
