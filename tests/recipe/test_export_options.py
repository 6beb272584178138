"""The options of an export, typed on the command line or in the app."""

from __future__ import annotations

import pytest

from friction_tui.vocabulary.recipe import ExportOptions
from friction_tui.vocabulary.recipe.export_options import options_text, parse_options
from friction_tui.vocabulary.recipe.text import RecipeTextError


def test_options_are_read_as_they_are_written() -> None:
    chosen = ExportOptions(
        legacy=True, optimize=False, external_data=False, keep_initializers=True, timeout_s=60, memory_limit_mb=4000
    )
    assert parse_options([options_text(chosen)]) == chosen
    assert parse_options(["legacy, optimize=no", "timeout-s=90"]) == ExportOptions(
        legacy=True, optimize=False, timeout_s=90
    )
    assert parse_options([]) == ExportOptions()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("optimise=no", "did you mean optimize?"),
        ("optimize=maybe", "optimize is yes or no, not maybe"),
        ("timeout_s", "timeout_s is a number"),
        ("timeout_s=0", "ends every export"),
        ("memory_limit_mb=-1", "is a number"),
    ],
)
def test_what_is_no_option_says_what_is(text: str, told: str) -> None:
    with pytest.raises(RecipeTextError, match=told.replace("?", r"\?")):
        parse_options([text])
