"""friction_tui: see, understand and remove the friction between a trained model and its TensorRT engine."""

import os
import sys

__version__ = "0.1.0"


def _forget_current_directory() -> None:
    """Take entries of PYTHONPATH that mean the current directory, as the empty one of `:/my/libraries`, off the path.

    A `click.py` there would be imported in place of the installed one.
    """
    given = os.environ.get("PYTHONPATH", "")
    entries = given.split(os.pathsep) if given else []
    here = {os.path.abspath(entry) for entry in entries if os.path.normpath(entry or ".") == "."}  # noqa: PTH100
    sys.path[:] = [entry for entry in sys.path if entry not in here.difference(entries)]


_forget_current_directory()
