"""What the user chose, how it is written down, and what an edit of it changes."""

from friction_tui.vocabulary.recipe.recipe import (
    POINTS as POINTS,
    ExportOptions as ExportOptions,
    History as History,
    InputSpec as InputSpec,
    Precision as Precision,
    Profile as Profile,
    Range as Range,
    Recipe as Recipe,
    Rewrite as Rewrite,
    Source as Source,
    SourceKind as SourceKind,
    Value as Value,
    Values as Values,
    dim_key as dim_key,
)
