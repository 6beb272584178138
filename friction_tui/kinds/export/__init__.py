"""Export.

What happens between the user's Python and the ONNX file. The exporter's own errors name its internals; these kinds
name the user's line and the edit. Everything is judged in a process of its own, with the user's consent.
"""

from friction_tui.kinds.export.capture import *  # noqa: F403 - a family is all that its topics declare
from friction_tui.kinds.export.outcome import *  # noqa: F403
from friction_tui.kinds.export.process import *  # noqa: F403
from friction_tui.kinds.export.translation import *  # noqa: F403
