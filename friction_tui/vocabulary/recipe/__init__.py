"""What the user chose, how it is written down, and what an edit of it changes."""

from friction_tui.vocabulary.recipe.recipe import (
    POINTS,
    ExportOptions,
    History,
    InputSpec,
    Precision,
    Profile,
    Range,
    Recipe,
    Rewrite,
    Source,
    SourceKind,
    Values,
    dim_key,
)

__all__ = [
    "POINTS",
    "ExportOptions",
    "History",
    "InputSpec",
    "Precision",
    "Profile",
    "Range",
    "Recipe",
    "Rewrite",
    "Source",
    "SourceKind",
    "Values",
    "dim_key",
]
