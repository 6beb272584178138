"""The log file: the notices to the user, how a worker died, why the app crashed. Rotated, so it stays small."""

from __future__ import annotations

import faulthandler
import logging
from logging.handlers import RotatingFileHandler

from friction_tui import __version__
from friction_tui.locations import crash_file, log_file

LOG = logging.getLogger("friction_tui")
LOG_BYTES = 1_000_000
LOGS_KEPT = 3


def start_log() -> str:
    """Write to the log from now on; returns why that is not possible, "" when it is.

    What the interpreter itself says when it dies of a signal has a file of its own: it is written without Python,
    straight to a file that must not be rotated away under it.
    """
    try:
        log_file().parent.mkdir(parents=True, exist_ok=True)
        handler = RotatingFileHandler(log_file(), maxBytes=LOG_BYTES, backupCount=LOGS_KEPT, encoding="utf-8")
        crashes = crash_file().open("ab")  # stays open for as long as the process lives
    except OSError as error:
        return str(error)
    handler.setFormatter(logging.Formatter("%(asctime)s %(process)d %(levelname)s %(message)s"))
    LOG.addHandler(handler)
    LOG.setLevel(logging.INFO)
    LOG.propagate = False
    faulthandler.enable(crashes)
    LOG.info("friction-tui %s starts", __version__)
    return ""
