"""The parameters of a module's forward, which TorchScript keeps in a schema of its own."""

from __future__ import annotations

import inspect
from typing import Any


def signature_of(module: Any) -> inspect.Signature:
    """How `module` is called, without `self`. Raises TypeError or ValueError where that cannot be known."""
    forward = getattr(module, "forward", module)
    schema = getattr(forward, "schema", None)
    if schema is None:
        return inspect.signature(forward)
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return inspect.Signature(
        [
            inspect.Parameter(
                argument.name,
                kinds[argument.kwarg_only],
                default=argument.default_value if argument.has_default_value() else inspect.Parameter.empty,
            )
            for argument in schema.arguments[1:]
        ]
    )
